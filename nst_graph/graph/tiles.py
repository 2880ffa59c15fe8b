"""The objective in bounded memory: exact loss and gradient, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nst_graph.errors import InputError
from nst_graph.evaluation import Evaluation, Floats
from nst_graph.graph import losses, vgg
from nst_graph.graph.objective import Style, style_targets, term_weights, weigh
from nst_graph.graph.tensorflow import tf
from nst_graph.pictures import Picture
from nst_graph.recipes import Settings
from nst_graph.weights import Network, Pool


@dataclass(frozen=True)
class Tile:
    """The part of a picture whose features a tile owns, and the larger part it is computed from.

    Each is (top, bottom, left, right) in pixels, cut at whole positions of the deepest layer.
    """

    own: tuple[int, int, int, int]
    seen: tuple[int, int, int, int]

    def cut(self, picture: Floats) -> Floats:
        """The part that is seen."""
        top, bottom, left, right = self.seen
        return picture[top:bottom, left:right]

    def owned(self, level: int) -> list[int]:
        """What it owns of a layer after so many poolings, [top, bottom, left, right], within the tile."""
        offsets = (self.seen[0], self.seen[0], self.seen[2], self.seen[2])
        return [(at - offset) >> level for at, offset in zip(self.own, offsets, strict=True)]

    def positions(self, level: int) -> tuple[slice, slice]:
        """The same within the whole layer."""
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
        Tile((top, bottom, left, right), (seen_top, seen_bottom, seen_left, seen_right))
        for top, bottom, seen_top, seen_bottom in spans(picture.shape[0])
        for left, right, seen_left, seen_right in spans(picture.shape[1])
    ]


def refuse_unit_gradients(settings: Settings) -> None:
    """Raise InputError for unit gradients, whose norm is that of a whole layer."""
    if settings.unit_gradients:
        raise InputError("--unit-gradients: not with tiles; leave it away, or take a smaller --size")


Key = tuple[int | None, str]


class TiledObjective:
    """The same as Objective, in memory that depends on a tile's size and hardly on the picture's.

    A first pass over the tiles sums the Gram matrices and the content term; a second sends each
    tile its share of their gradient, and overlapping parts of the tiles' gradients add up. Each
    position of each layer belongs to one tile. Raises InputError for unit gradients.
    """

    def __init__(
        self,
        network: Network,
        content: Picture,
        styles: Sequence[Style],
        settings: Settings,
        side: int,
        compute: tf.DType | None = None,
    ) -> None:
        refuse_unit_gradients(settings)
        self._settings, self._network, self._side = settings, network, side
        self._weights = term_weights(settings)
        self._content_layers = dict(settings.content_layers) if settings.alpha else {}
        self._style_layers = list(settings.style_layers) if settings.beta else []
        self._masks = {index: style.mask for index, style in enumerate(styles) if style.mask is not None}
        masked = [(index, layer) for index in self._masks for layer in self._style_layers]
        self._shrunk = {(index, layer): network.shrink(self._masks[index], layer) for index, layer in masked}
        self._tiles = tiles(network, content, side)
        self._sizes: dict[Any, float] = {}
        self._build_tile(compute)
        self._wanted = [self._session.run(self._own, self._feed(tile, content)) for tile in self._tiles]
        self._targets = style_targets(network, content, styles, settings, self._painting)
        self._build_whole(content)

    def close(self) -> None:
        """Give the memory back."""
        self._session.close()
        self._whole.close()

    def __call__(self, picture: Floats) -> Evaluation:
        """Evaluate at a picture [height, width, 3]."""
        picture = picture.astype(np.float32, copy=False)
        grams: dict[Key, Any] = dict.fromkeys(self._sums, 0.0)
        values: dict[str, Any] = {"content": 0.0}
        for tile, wanted in zip(self._tiles, self._wanted, strict=True):
            feed = self._feed(tile, picture) | {self._wants[layer]: wanted[layer] for layer in wanted}
            content, found = self._session.run((self._content, {key: self._grams[key] for key in grams}), feed)
            values["content"] += float(content)
            grams = {key: grams[key] + found[key] for key in grams}
        rest, slopes, gradient = self._whole.run(
            (self._rest, self._slopes, self._roughness),
            {self._sums[key]: gram for key, gram in grams.items()} | {self._picture: picture},
        )
        for tile, wanted in zip(self._tiles, self._wanted, strict=True):
            feed = self._feed(tile, picture) | {self._wants[layer]: wanted[layer] for layer in wanted}
            feed |= {self._pulls[key]: slope for key, slope in slopes.items()}
            tile.cut(gradient)[...] += self._session.run(self._gradient, feed)
        return weigh(values | rest, self._weights, gradient)

    def _build_tile(self, compute: tf.DType | None) -> None:
        """What is done to each tile: its content term and Gram matrices, and their gradient."""
        with tf.Graph().as_default() as within:
            self._seen = tf.placeholder(tf.float32, (None, None, 3))
            pooling, fewer = self._settings.pooling, self._settings.winograd
            features = vgg.build(self._network, self._seen, pooling, compute, fewer)
            self._bounds, own = {}, {}
            for layer in dict.fromkeys([*self._content_layers, *self._style_layers]):
                self._bounds[layer] = tf.placeholder(tf.int32, (4,))
                top, bottom, left, right = tf.unstack(self._bounds[layer])
                own[layer] = features[layer][:, top:bottom, left:right]
            self._own = {layer: own[layer] for layer in self._content_layers}
            self._wants = {layer: tf.placeholder(tf.float32, own[layer].shape) for layer in self._content_layers}
            self._counts = {layer: tf.placeholder(tf.float32, ()) for layer in self._content_layers}
            self._shares: dict[Key, tf.Tensor] = {}
            self._grams, self._pulls = {}, {}
            for key in [(region, layer) for region in (None, *self._masks) for layer in self._style_layers]:
                region, layer = key
                if region is not None:
                    self._shares[key] = tf.placeholder(tf.float32, (None,))
                self._grams[key] = losses.gram(own[layer], self._shares.get(key))
                self._pulls[key] = tf.placeholder_with_default(tf.zeros_like(self._grams[key]), self._grams[key].shape)
            loss = losses.CONTENT[self._settings.content_loss]
            contents = [
                weight * loss(losses.squared_difference(own[layer], self._wants[layer]), self._counts[layer])
                for layer, weight in self._content_layers.items()
            ]
            self._content = tf.add_n(contents) if contents else tf.constant(0.0)
            pulled = [tf.reduce_sum(self._pulls[key] * gram) for key, gram in self._grams.items()]
            (self._gradient,) = tf.gradients(tf.add_n([self._settings.alpha * self._content, *pulled]), self._seen)
            self._session = tf.Session(graph=within)
            self._session.run(tf.global_variables_initializer())

    def _build_whole(self, content: Picture) -> None:
        """What is done once: the style term of the summed Gram matrices, and smoothness."""
        height, width = content.shape[:2]
        counts = {layer: self._network.values(content, layer) for layer in self._content_layers}
        self._sizes = {self._counts[layer]: float(count) for layer, count in counts.items()}
        with tf.Graph().as_default() as within:
            self._picture = tf.placeholder(tf.float32, content.shape)
            self._sums: dict[Key, tf.Tensor] = {}
            terms = []
            for target in self._targets:
                key = (target.style if target.mask is not None else None), target.layer
                self._sums.setdefault(key, tf.placeholder(tf.float32, target.gram.shape))
                terms.append(target.term(self._sums[key], self._settings.style_loss, height * width))
            self._rest = {"style": tf.add_n(terms) if terms else tf.constant(0.0)}
            total = self._settings.beta * self._rest["style"]
            slopes = tf.gradients(total, list(self._sums.values())) if terms else []
            self._slopes = dict(zip(self._sums, slopes, strict=True))
            self._roughness = tf.zeros_like(self._picture)
            if self._settings.smoothness:
                self._rest["smoothness"] = losses.SMOOTHNESS[self._settings.smoothness_loss](self._picture)
                roughness = self._settings.smoothness * self._rest["smoothness"]
                (self._roughness,) = tf.gradients(roughness, self._picture)
            self._whole = tf.Session(graph=within)

    def _feed(self, tile: Tile, picture: Floats) -> dict[Any, Any]:
        feed: dict[Any, Any] = {self._seen: tile.cut(picture), **self._sizes}
        for layer, bounds in self._bounds.items():
            feed[bounds] = tile.owned(self._network.poolings(layer))
        for (region, layer), share in self._shares.items():
            if region is not None:
                rows, columns = tile.positions(self._network.poolings(layer))
                feed[share] = self._shrunk[region, layer][rows, columns].ravel()
        return feed

    def _painting(self, picture: Picture) -> dict[str, Floats]:
        """The Gram matrices of a painting of any size."""
        layers = self._style_layers
        sums: dict[str, Any] = dict.fromkeys(layers, 0.0)
        for tile in tiles(self._network, picture, self._side):
            feed: dict[Any, Any] = {self._seen: tile.cut(picture)}
            feed |= {bounds: tile.owned(self._network.poolings(layer)) for layer, bounds in self._bounds.items()}
            found = self._session.run({layer: self._grams[None, layer] for layer in layers}, feed)
            sums = {layer: sums[layer] + found[layer] for layer in layers}
        return sums
