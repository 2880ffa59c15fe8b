"""Targets: what a picture is compared with, extracted from the content, the styles and earlier frames of a film."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nst_graph.evaluation import Floats
from nst_graph.images import Mask, Picture
from nst_graph.model import losses, vgg
from nst_graph.model.tensorflow import SessionOwner, session, tf
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

    @property
    def inner(self) -> list[int]:
        """Its own part within the larger one."""
        top, _, left, _ = self.outer
        return [at - offset for at, offset in zip(self.own, (top, top, left, left), strict=True)]

    def positions(self, level: int) -> tuple[slice, slice]:
        """Its own part of a layer after so many poolings."""
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


def own_features(network: Network, features: Mapping[str, tf.Tensor], inner: tf.Tensor) -> dict[str, tf.Tensor]:
    """Features [1, height, width, filters] by layer, of the positions within (top, bottom, left, right) in pixels."""
    own = {}
    for layer, values in features.items():
        top, bottom, left, right = tf.unstack(inner // 2 ** network.poolings(layer))
        own[layer] = values[:, top:bottom, left:right]
    return own


class TargetExtractor(SessionOwner):
    """Extracts content features and styles' statistics, by one graph for pictures of any size; a context manager.

    With a `side` it works tile by tile, in memory that depends on that. There is nothing of a term whose weight is 0.
    """

    def __init__(self, network: Network, settings: Settings, dtype: npt.DTypeLike = np.float32) -> None:
        self._network, self._settings = network, settings
        statistic = losses.STYLE[settings.style_loss].statistic
        with tf.Graph().as_default() as graph:
            self._picture, self._inner = (
                tf.placeholder(np.dtype(dtype), (None, None, 3)),
                tf.placeholder(tf.int32, (4,)),
            )
            features = vgg.build(network, self._picture, settings.pooling, padding=settings.padding)
            own = own_features(network, features, self._inner)
            self._features = {layer: own[layer] for layer in settings.content_layers if settings.alpha}
            self._statistics = {layer: statistic(own[layer], None) for layer in settings.style_layers if settings.beta}
            self.session = session(graph)

    def features(self, picture: Picture, side: int | None = None) -> dict[str, Floats]:
        """The content features [1, height, width, filters] of a picture [height, width, 3], by layer."""
        whole: dict[str, Floats] = {}
        for tile, parts in self._by_tile(self._features, picture, side):
            for layer, part in parts.items():
                level = self._network.poolings(layer)
                if layer not in whole:
                    height, width = (length >> level for length in picture.shape[:2])
                    whole[layer] = np.empty((1, height, width, part.shape[-1]), part.dtype)
                whole[layer][:, *tile.positions(level)] = part
        return whole

    def style_targets(self, content: Picture, styles: Sequence[Style], side: int | None = None) -> list[StyleTarget]:
        """A target for each style and layer.

        A painting of another size than the content's counts as if it had that size, and one with a
        mask as if it had the mask's part of it: its statistic is scaled by the numbers of positions.
        A mask has no target at a layer of which it covers less than half a position.
        """
        targets = []
        for index, style in enumerate(styles):
            statistics: dict[str, Any] = dict.fromkeys(self._statistics, 0)
            for _, parts in self._by_tile(self._statistics, style.picture, side):
                statistics = {layer: total + parts[layer] for layer, total in statistics.items()}
            for layer, statistic in statistics.items():
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

    def _by_tile(
        self, fetches: dict[str, tf.Tensor], picture: Picture, side: int | None
    ) -> Iterator[tuple[Tile, dict[str, Floats]]]:
        for tile in tiles(self._network, picture, side):
            top, bottom, left, right = tile.outer
            feed = {self._picture: picture[top:bottom, left:right], self._inner: tile.inner}
            yield tile, self.session.run(fetches, feed)
