"""Targets: what a picture is compared with, extracted from the content, the styles and earlier frames of a film."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nst_graph.evaluation import Floats
from nst_graph.graph import losses, vgg
from nst_graph.graph.tensorflow import session, tf
from nst_graph.pictures import Mask, Picture
from nst_graph.settings import Settings
from nst_graph.weights import Network, Pool

#: The positions of a layer that a mask covers at least if its style has a target there.
LEAST_POSITIONS = 0.5
#: A term, "content" or "style", or with a mask "style 0", and a layer.
Key = tuple[str, str]


@dataclass(frozen=True)
class Style:
    """A painting [height, width, 3], its share of the style term, and where it is wanted.

    A mask [height, width] in 0..1, of the content's size, says which part of the picture is to have this
    style: that part's statistic is then compared with the painting's.
    """

    picture: Picture
    share: float = 1.0
    mask: Mask | None = None


@dataclass(frozen=True)
class StyleTarget:
    """The statistic that a style asks for at a layer, of so many positions, and the weight of its term.

    `positions` are M_l, or the sum of the mask [height, width] at that layer.
    """

    key: Key
    mask: Floats | None
    statistic: Floats
    weight: float
    positions: float


@dataclass(frozen=True)
class TemporalTarget:
    """What a frame of a film is held to: the frame before, warped, [height, width, 3], where the flow can be trusted.

    `flow_consistency` is [height, width] in 0..1, `weight` that of the temporal loss.
    """

    picture: Picture
    flow_consistency: Mask
    weight: float


@dataclass(frozen=True)
class Tile:
    """The part of a picture whose features are a tile's own, and the larger part, its halo included, to compute them.

    Each is (top, bottom, left, right) in pixels, cut at whole positions of the deepest layer.
    """

    own: tuple[int, int, int, int]
    outer: tuple[int, int, int, int]

    def owned(self, level: int) -> list[int]:
        """Its own part of a layer after so many poolings, [top, bottom, left, right] within the tile."""
        offsets = (self.outer[0], self.outer[0], self.outer[2], self.outer[2])
        return [(at - offset) >> level for at, offset in zip(self.own, offsets, strict=True)]

    def positions(self, level: int) -> tuple[slice, slice]:
        """Its own part within the whole layer."""
        top, bottom, left, right = (at >> level for at in self.own)
        return slice(top, bottom), slice(left, right)


def tiles(network: Network, picture: Floats, side: int | None) -> list[Tile]:
    """Cover a picture [height, width, ...] by tiles that own squares of about `side` pixels, or by one tile."""
    unit = 1 << sum(isinstance(layer, Pool) for layer in network.layers)
    step, reach = max(unit, (side or max(picture.shape[:2])) // unit * unit), network.halo

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


class OwnFeatures:
    """Features [1, height, width, filters], by layer, of the positions that a tile owns; of all where none is fed."""

    def __init__(self, network: Network, features: Mapping[str, tf.Tensor], layers: Iterable[str]) -> None:
        self.levels = {layer: network.poolings(layer) for layer in layers}
        self._bounds = {layer: tf.placeholder_with_default([0, tf.int32.max] * 2, (4,)) for layer in self.levels}
        self.by_layer = {}
        for layer, bounds in self._bounds.items():
            top, bottom, left, right = tf.unstack(bounds)
            self.by_layer[layer] = features[layer][:, top:bottom, left:right]

    def feed(self, tile: Tile) -> dict[tf.Tensor, Any]:
        """What makes them those of a tile."""
        return {bounds: tile.owned(self.levels[layer]) for layer, bounds in self._bounds.items()}


class TargetExtractor:
    """Extracts content features and styles' statistics, by one graph for pictures of any size; a context manager.

    It is of no narrower type than float32. With a `side` it works tile by tile, in memory that depends on that. There
    is nothing of a term whose weight is 0.
    """

    def __init__(self, network: Network, settings: Settings, dtype: npt.DTypeLike = np.float32) -> None:
        self._network, self._settings = network, settings
        contents, styles = layers_in_use(settings)
        with tf.Graph().as_default() as graph:
            self._picture = tf.placeholder(np.dtype(dtype), (None, None, 3))
            features = vgg.build(network, self._picture, settings.pooling, padding=settings.padding)
            self._own = OwnFeatures(network, features, dict.fromkeys([*contents, *styles]))
            self._features = {layer: self._own.by_layer[layer] for layer in contents}
            statistic = losses.STYLE[settings.style_loss].statistic
            self._statistics = {layer: statistic(self._own.by_layer[layer], None) for layer in styles}
            self._session = session(graph)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back."""
        self._session.close()

    def features(self, picture: Picture, side: int | None = None) -> dict[str, Floats]:
        """The content features [1, height, width, filters] of a picture [height, width, 3], by layer."""
        whole: dict[str, Floats] = {}
        for tile, parts in self._by_tile(self._features, picture, side):
            for layer, part in parts.items():
                level = self._own.levels[layer]
                shape = [length >> level for length in picture.shape[:2]]
                rows, columns = tile.positions(level)
                whole.setdefault(layer, np.empty((1, *shape, part.shape[-1]), part.dtype))[:, rows, columns] = part
        return whole

    def style_targets(self, content: Picture, styles: Sequence[Style], side: int | None = None) -> list[StyleTarget]:
        """A target for each style and layer.

        A painting of another size than the content's counts as if it had that size, and one with a
        mask as if it had the mask's part of it: its statistic is scaled by the numbers of positions.
        A mask has no target at a layer of which it covers less than half a position.
        """
        targets = []
        for index, style in enumerate(styles):
            for layer, statistic in self._sums(style.picture, side).items():
                mask, positions = None, float(self._network.positions(content, layer))
                if style.mask is not None:
                    mask = self._network.shrink(style.mask, layer).astype(np.float32)
                    positions = float(mask.sum(dtype=np.float64))
                    if positions < LEAST_POSITIONS:
                        continue
                scale = statistic.dtype.type(positions / self._network.positions(style.picture, layer))
                weight = style.share * self._settings.style_layers[layer]
                key = "style" if mask is None else f"style {index}", layer
                targets.append(StyleTarget(key, mask, statistic * scale, weight, positions))
        return targets

    def _sums(self, picture: Picture, side: int | None) -> dict[str, Floats]:
        """The style loss's statistics of a picture, by layer."""
        sums: dict[str, Any] = dict.fromkeys(self._statistics, 0)
        for _, parts in self._by_tile(self._statistics, picture, side):
            sums = {layer: total + parts[layer] for layer, total in sums.items()}
        return sums

    def _by_tile(
        self, fetches: dict[str, tf.Tensor], picture: Picture, side: int | None
    ) -> Iterator[tuple[Tile, dict[str, Floats]]]:
        for tile in tiles(self._network, picture, side):
            top, bottom, left, right = tile.outer
            feed = {self._picture: picture[top:bottom, left:right], **self._own.feed(tile)}
            yield tile, self._session.run(fetches, feed)


def layers_in_use(settings: Settings) -> tuple[list[str], list[str]]:
    """The layers of the content and of the style term, none where its weight is 0."""
    return list(settings.content_layers) if settings.alpha else [], list(settings.style_layers) if settings.beta else []
