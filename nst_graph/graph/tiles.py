"""The objective in bounded memory: exact loss and gradient, tile by tile."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nst_graph.errors import InputError
from nst_graph.evaluation import Evaluation, Floats
from nst_graph.graph import losses, vgg
from nst_graph.graph.line import Line
from nst_graph.graph.objective import Guide, Held, Style, Target, style_targets, term_weights, weigh
from nst_graph.graph.tensorflow import initialise, session, tf, zeros
from nst_graph.pictures import Picture
from nst_graph.settings import Settings
from nst_graph.weights import Network, Pool


@dataclass(frozen=True)
class Tile:
    """The part of a picture whose features are a tile's own, and the larger part, its halo included, to compute them.

    Each is (top, bottom, left, right) in pixels, cut at whole positions of the deepest layer.
    """

    own: tuple[int, int, int, int]
    outer: tuple[int, int, int, int]

    def cut(self, picture: Floats) -> Floats:
        """The outer part of a picture."""
        top, bottom, left, right = self.outer
        return picture[top:bottom, left:right]

    def owned(self, level: int) -> list[int]:
        """Its own part of a layer after so many poolings, [top, bottom, left, right] within the tile."""
        offsets = (self.outer[0], self.outer[0], self.outer[2], self.outer[2])
        return [(at - offset) >> level for at, offset in zip(self.own, offsets, strict=True)]

    def positions(self, level: int) -> tuple[slice, slice]:
        """Its own part within the whole layer."""
        top, bottom, left, right = (at >> level for at in self.own)
        return slice(top, bottom), slice(left, right)


def tiles(network: Network, picture: Floats, side: int) -> list[Tile]:
    """Cover a picture [height, width, ...] by tiles that own squares of about `side` pixels."""
    unit = 1 << sum(isinstance(layer, Pool) for layer in network.layers)
    step, reach = max(unit, side // unit * unit), network.halo

    def spans(length: int) -> Iterator[tuple[int, int, int, int]]:
        # What is left at the end, and owns no position of the deepest layer, goes to the last tile.
        starts = list(range(0, max(1, length - unit + 1), step))
        for start, end in zip(starts, [*starts[1:], length], strict=True):
            yield start, end, max(0, start - reach), min(length, end + reach)

    return [
        Tile((top, bottom, left, right), (outer_top, outer_bottom, outer_left, outer_right))
        for top, bottom, outer_top, outer_bottom in spans(picture.shape[0])
        for left, right, outer_left, outer_right in spans(picture.shape[1])
    ]


def refuse_unit_gradients(settings: Settings) -> None:
    """Raise InputError for unit gradients, whose norm is that of a whole layer."""
    if settings.unit_gradients:
        raise InputError("--unit-gradients: not with tiles; leave it away, or take a smaller --size")


#: The style whose mask says where, or None for the whole, and a layer.
Key = tuple[int | None, str]


class TiledObjective:
    """The same as Objective, in memory that depends on a tile's size and hardly on the picture's.

    A first pass over the tiles sums the Gram matrices and the content term; a second sends each
    tile its share of their gradient, and overlapping parts of the tiles' gradients add up. Each
    position of each layer belongs to one tile. The sums are variables of the graph. Raises
    InputError for unit gradients.
    """

    def __init__(
        self,
        network: Network,
        content: Picture,
        styles: Sequence[Style],
        settings: Settings,
        side: int,
        compute: tf.DType | None = None,
        line: npt.DTypeLike | None = None,
        steady: bool = False,
    ) -> None:
        refuse_unit_gradients(settings)
        self._settings, self._network, self._side, self.vectors = settings, network, side, None
        self._weights = term_weights(settings, steady)
        self._content_layers = dict(settings.content_layers) if settings.alpha else {}
        self._style_layers = list(settings.style_layers) if settings.beta else []
        masks = {index: style.mask for index, style in enumerate(styles) if style.mask is not None}
        self._keys: list[Key] = [(region, layer) for region in (None, *masks) for layer in self._style_layers]
        self._shrunk: dict[Key, Floats] = {
            (index, layer): network.shrink(masks[index], layer) for index, layer in self._keys if index is not None
        }
        self._tiles = tiles(network, content, side)
        with tf.Graph().as_default() as self.graph:
            self.session = session(self.graph)
            self.line = Line(content.shape, line, settings.corrections) if line else None
            self.picture = self.line.point if self.line else tf.placeholder(tf.float32, content.shape, name="picture")
            self._point = self.line.trial if self.line else zeros("point", content.shape)
            self._load = self.picture.op if self.line else self._point.assign(self.picture).op
            self._guide = Held(content.shape) if steady else None
            self._sum = zeros("gradient", content.shape)
            self.gradient = self._sum.read_value()
            self._build_tile(content, compute)
            initialise(self.session, [self.line.steps, self.line.changes] if self.line else [])
            self.turn_to(content)
            self._build_whole(style_targets(network, content, styles, settings, self._grams_of), content)

    def turn_to(self, content: Picture, guide: Guide | None = None) -> None:
        """Take another content of the same size, and its guide, if it has one."""
        self._wanted = [self.session.run(self._own, self._feed(tile, {}, content)) for tile in self._tiles]
        if self._guide:
            self._weights["steadiness"] = self._guide.load(self.session, guide)

    def close(self) -> None:
        """Give the memory back."""
        self.session.close()

    def __call__(self, picture: Floats) -> Evaluation:
        """Evaluate at a picture [height, width, 3]."""
        terms, total, gradient = self.evaluate(self.gradient, {self.picture: picture.astype(np.float32, copy=False)})
        return Evaluation(terms, total, gradient)

    def evaluate(self, fetches: Any, feed: Mapping[tf.Tensor, Any]) -> tuple[dict[str, float], float, Any]:
        """Evaluate with what is fed; returns the terms, the total, and what is fetched of the gradient."""
        self.session.run((self._load, self._reset), feed)
        for tile, wanted in zip(self._tiles, self._wanted, strict=True):
            self.session.run(self._add_terms, self._feed(tile, wanted))
        values, _ = self.session.run((self._terms, self._begin_gradient))
        for tile, wanted in zip(self._tiles, self._wanted, strict=True):
            self.session.run(self._add_gradient, self._feed(tile, wanted))
        return *weigh(values, self._weights), self.session.run(fetches, feed)

    def _build_tile(self, content: Picture, compute: tf.DType | None) -> None:
        """What is done to each tile: its content term and Gram matrices, and their gradient, are added."""
        self._cut = tf.placeholder(tf.int32, (4,))
        top, bottom, left, right = tf.unstack(self._cut)
        cut = tf.cast(self._point.read_value()[top:bottom, left:right], tf.float32)
        self._input = tf.ensure_shape(cut, (None, None, 3))
        features = vgg.build(
            self._network,
            self._input,
            pooling=self._settings.pooling,
            compute=compute,
            convolutions=self._settings.convolutions,
            padding=self._settings.padding,
        )
        self._bounds, own = {}, {}
        for layer in dict.fromkeys([*self._content_layers, *self._style_layers]):
            self._bounds[layer] = tf.placeholder(tf.int32, (4,))
            first, last, leftmost, rightmost = tf.unstack(self._bounds[layer])
            own[layer] = features[layer][:, first:last, leftmost:rightmost]
        self._own = {layer: own[layer] for layer in self._content_layers}
        self._targets = {layer: tf.placeholder(tf.float32, own[layer].shape) for layer in self._content_layers}
        self._shares = {key: tf.placeholder(tf.float32, (None,)) for key in self._keys if key[0] is not None}
        with_sums = self._settings.style_loss in losses.WITH_SUMS
        self._grams = {key: losses.gram(own[key[1]], self._shares.get(key), with_sums) for key in self._keys}
        loss = losses.CONTENT[self._settings.content_loss]
        content_term = tf.constant(0.0)
        for layer, weight in self._content_layers.items():
            squares = losses.squared_difference(own[layer], self._targets[layer])
            content_term += weight * loss(squares, float(self._network.values(content, layer)))
        self._content = zeros("content", ())
        self._sums = {key: zeros(f"gram{n}", gram.shape) for n, (key, gram) in enumerate(self._grams.items())}
        self._slopes = {key: zeros(f"slope{n}", gram.shape) for n, (key, gram) in enumerate(self._grams.items())}
        sums = [self._content, *self._sums.values()]
        self._reset = [total.assign(tf.zeros_like(total)).op for total in sums]
        added = zip(sums, [content_term, *self._grams.values()], strict=True)
        self._add_terms = [total.assign_add(value).op for total, value in added]
        pulled = [tf.reduce_sum(self._slopes[key] * gram) for key, gram in self._grams.items()]
        (gradient,) = tf.gradients(tf.add_n([self._settings.alpha * content_term, *pulled]), self._input)
        with tf.control_dependencies([gradient]):
            # Read whole, a variable that is written in parts would be copied.
            before = tf.gather(self._sum, tf.range(top, bottom))[:, left:right]
        self._add_gradient = self._sum[top:bottom, left:right].assign(before + gradient).op

    def _build_whole(self, targets: Sequence[Target], content: Picture) -> None:
        """What is done once: the style term of the summed Gram matrices, and the terms of the pixels."""
        settings, (height, width) = self._settings, content.shape[:2]
        terms = {"content": self._content.read_value(), "style": tf.constant(0.0)}
        used: dict[Key, tf.Tensor] = {}
        for target in targets:
            key = (target.style if target.mask is not None else None), target.layer
            used[key] = self._sums[key].read_value() if key not in used else used[key]
            terms["style"] += target.term(used[key], settings.style_loss, height * width)
        slopes = tf.gradients(settings.beta * terms["style"], list(used.values())) if used else []
        picture = tf.cast(self._point.read_value(), tf.float32)
        own = []
        if settings.smoothness:
            terms["smoothness"] = losses.SMOOTHNESS[settings.smoothness_loss](picture)
            own.append(settings.smoothness * terms["smoothness"])
        if self._guide:
            terms["steadiness"] = self._guide.term(picture)
            own.append(self._guide.weight * terms["steadiness"])
        first = tf.gradients(tf.add_n(own), picture)[0] if own else tf.zeros_like(self._sum)
        self._terms = terms
        stored = [self._slopes[key].assign(slope).op for key, slope in zip(used, slopes, strict=True)]
        self._begin_gradient = [self._sum.assign(first).op, *stored]

    def _feed(self, tile: Tile, wanted: Mapping[str, Floats], picture: Floats | None = None) -> dict[Any, Any]:
        """What a tile needs; its part of `picture`, if that is given, takes the place of the point's."""
        feed: dict[Any, Any] = {self._cut: tile.outer} if picture is None else {self._input: tile.cut(picture)}
        feed |= {bounds: tile.owned(self._network.poolings(layer)) for layer, bounds in self._bounds.items()}
        feed |= {self._targets[layer]: features for layer, features in wanted.items()}
        for (region, layer), share in self._shares.items():
            rows, columns = tile.positions(self._network.poolings(layer))
            feed[share] = self._shrunk[region, layer][rows, columns].ravel()
        return feed

    def _grams_of(self, painting: Picture) -> dict[str, Floats]:
        """The Gram matrices of a painting of any size."""
        sums: dict[str, Any] = dict.fromkeys(self._style_layers, 0.0)
        for tile in tiles(self._network, painting, self._side):
            feed: dict[Any, Any] = {self._input: tile.cut(painting)}
            feed |= {bounds: tile.owned(self._network.poolings(layer)) for layer, bounds in self._bounds.items()}
            found = self.session.run({layer: self._grams[None, layer] for layer in sums}, feed)
            sums = {layer: sums[layer] + found[layer] for layer in sums}
        return sums
