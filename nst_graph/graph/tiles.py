"""The objective in bounded memory: exact loss and gradient, tile by tile."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from nst_graph.errors import InputError
from nst_graph.evaluation import Evaluation, Floats
from nst_graph.graph import losses, vgg
from nst_graph.graph.objective import (
    Key,
    Source,
    Style,
    StyleTarget,
    TemporalTarget,
    TemporalVariables,
    assemble,
    style_masks,
    style_targets,
    term_weights,
    weigh,
)
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


class TiledObjective:
    """The same as Objective, in memory that depends on a tile's size and hardly on the picture's.

    A first pass over the tiles sums the statistics and the content's squared differences; a second sends each
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
        source: Source | None = None,
        steady: bool = False,
    ) -> None:
        refuse_unit_gradients(settings)
        self._settings, self._network, self._side = settings, network, side
        self._weights = term_weights(settings, steady)
        self._content_layers = list(settings.content_layers) if settings.alpha else []
        self._style_layers = list(settings.style_layers) if settings.beta else []
        self._masks = style_masks(network, styles, settings, np.float32)
        self._tiles = tiles(network, content, side)
        with tf.Graph().as_default() as self.graph:
            self.session = session(self.graph)
            make = source or (lambda shape: tf.placeholder(tf.float32, shape, name="picture"))
            self.picture = make(content.shape)
            self._point = zeros("point", content.shape)
            self._load = self._point.assign(self.picture).op
            self._temporal = TemporalVariables(content.shape) if steady else None
            self._sum = zeros("gradient", content.shape)
            self.gradient = self._sum.read_value()
            self._build_tile(compute)
            initialise(self.session)
            self.turn_to(content)
            self._build_whole(style_targets(network, content, styles, settings, self._statistics_of), content)

    def turn_to(self, content: Picture, temporal: TemporalTarget | None = None) -> None:
        """Take another content of the same size, and what it is held to, if so."""
        self._features = [self.session.run(self._own, self._feed(tile, {}, content)) for tile in self._tiles]
        if self._temporal:
            self._weights["steadiness"] = self._temporal.load(self.session, temporal)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back."""
        self.session.close()

    def value_and_gradient(self, picture: Floats) -> Evaluation:
        """Evaluate at a picture [height, width, 3]."""
        terms, total, gradient = self.evaluate(self.gradient, {self.picture: picture.astype(np.float32, copy=False)})
        return Evaluation(terms, total, gradient)

    __call__ = value_and_gradient

    def evaluate(self, fetches: Any, feed: Mapping[tf.Tensor, Any]) -> tuple[dict[str, float], float, Any]:
        """Evaluate with what is fed; returns the terms, the total, and what is fetched of the gradient."""
        self.session.run((self._load, self._reset), feed)
        for tile, features in zip(self._tiles, self._features, strict=True):
            self.session.run(self._add_sums, self._feed(tile, features))
        values, _ = self.session.run((self._terms, self._begin_gradient))
        for tile, features in zip(self._tiles, self._features, strict=True):
            self.session.run(self._add_gradient, self._feed(tile, features))
        return *weigh(values, self._weights), self.session.run(fetches, feed)

    def _build_tile(self, compute: tf.DType | None) -> None:
        """What is done to each tile: its squared differences and statistics, and their gradient, are added."""
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
        self._shares = {key: tf.placeholder(tf.float32, (None,)) for key in self._masks}
        statistic = losses.STYLE[self._settings.style_loss].statistic
        keys: list[Key] = [*((None, layer) for layer in self._style_layers), *self._masks]
        self._statistics = {key: statistic(own[key[1]], self._shares.get(key)) for key in keys}
        squares = {layer: losses.squared_difference(own[layer], self._targets[layer]) for layer in self._content_layers}
        parts: dict[str | Key, tf.Tensor] = squares | self._statistics
        self._sums = {key: zeros(f"sum{n}", part.shape) for n, (key, part) in enumerate(parts.items())}
        self._slopes = {key: zeros(f"slope{n}", part.shape) for n, (key, part) in enumerate(parts.items())}
        self._reset = [total.assign(tf.zeros_like(total)).op for total in self._sums.values()]
        self._add_sums = [self._sums[key].assign_add(part).op for key, part in parts.items()]
        pulled = [tf.reduce_sum(self._slopes[key] * part) for key, part in parts.items()]
        (gradient,) = tf.gradients(tf.add_n(pulled), self._input)
        with tf.control_dependencies([gradient]):
            # Read whole, a variable that is written in parts would be copied.
            before = tf.gather(self._sum, tf.range(top, bottom))[:, left:right]
        self._add_gradient = self._sum[top:bottom, left:right].assign(before + gradient).op

    def _build_whole(self, targets: Sequence[StyleTarget], content: Picture) -> None:
        """What is done once: the terms of the sums and of the pixels, and what the sums' gradients are."""
        sums = {key: total.read_value() for key, total in self._sums.items()}
        squares = {layer: sums[layer] for layer in self._content_layers}
        values = {layer: float(self._network.values(content, layer)) for layer in squares}
        picture = tf.cast(self._point.read_value(), tf.float32)
        self._terms, total = assemble(
            self._settings, picture, squares, values, sums.__getitem__, targets, self._temporal
        )
        nothing = tf.UnconnectedGradients.ZERO
        first, *slopes = tf.gradients(total, [picture, *sums.values()], unconnected_gradients=nothing)
        stored = [self._slopes[key].assign(slope).op for key, slope in zip(sums, slopes, strict=True)]
        self._begin_gradient = [self._sum.assign(first).op, *stored]

    def _feed(self, tile: Tile, features: Mapping[str, Floats], picture: Floats | None = None) -> dict[Any, Any]:
        """What a tile needs; its part of a `picture` that is fed takes the place of the point's."""
        feed: dict[Any, Any] = {self._cut: tile.outer} if picture is None else {self._input: tile.cut(picture)}
        feed |= {bounds: tile.owned(self._network.poolings(layer)) for layer, bounds in self._bounds.items()}
        feed |= {self._targets[layer]: values for layer, values in features.items()}
        for (region, layer), share in self._shares.items():
            rows, columns = tile.positions(self._network.poolings(layer))
            feed[share] = self._masks[region, layer][rows, columns].ravel()
        return feed

    def _statistics_of(self, painting: Picture) -> dict[str, Floats]:
        """The statistics of a painting of any size, by layer."""
        sums: dict[str, Any] = dict.fromkeys(self._style_layers, 0.0)
        for tile in tiles(self._network, painting, self._side):
            feed: dict[Any, Any] = {self._input: tile.cut(painting)}
            feed |= {bounds: tile.owned(self._network.poolings(layer)) for layer, bounds in self._bounds.items()}
            parts = self.session.run({layer: self._statistics[None, layer] for layer in sums}, feed)
            sums = {layer: sums[layer] + parts[layer] for layer in sums}
        return sums
