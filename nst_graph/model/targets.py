"""Targets: what a picture is compared with, extracted from the content, the styles and earlier frames of a film."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nst_graph.evaluation import Floats
from nst_graph.images import Mask, Picture
from nst_graph.model import losses, vgg
from nst_graph.model.strips import Block, Cut, heights, strips
from nst_graph.model.tensorflow import SessionOwner, initialise, session, tf
from nst_graph.settings import Settings
from nst_graph.weights import Network

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


class TargetExtractor(SessionOwner):
    """Extracts content features and styles' statistics, by one graph for pictures of any size; a context manager.

    The blocks of the network are computed one after the other, in strips where there is a `cut`. There is nothing of a
    term whose weight is 0.
    """

    def __init__(self, network: Network, settings: Settings, dtype: npt.DTypeLike = np.float32) -> None:
        self._network, self._settings = network, settings
        statistic = losses.STYLE[settings.style_loss].statistic
        contents = settings.content_layers if settings.alpha else {}
        styles = settings.style_layers if settings.beta else {}
        with tf.Graph().as_default() as graph:
            build = vgg.Build(settings.pooling, None, settings.convolutions, settings.padding, network.rounds_up)
            self._blocks = [
                Block(network, layers, build, np.dtype(dtype), first=not number)
                for number, layers in enumerate(network.blocks)
            ]
            features = [block.features for block in self._blocks]
            self._features = [{layer: some[layer] for layer in contents if layer in some} for some in features]
            self._statistics = [
                {layer: statistic(some[layer], None) for layer in styles if layer in some} for some in features
            ]
            self.session = session(graph)
            initialise(self.session)

    def features(self, picture: Picture, cut: Cut | None = None) -> dict[str, Floats]:
        """The content features [1, height, width, filters] of a picture [height, width, 3], by layer."""
        parts = self._by_strip(self._features, picture, cut)
        return {layer: np.concatenate(some, 1) for layer, some in parts.items()}

    def style_targets(self, content: Picture, styles: Sequence[Style], cut: Cut | None = None) -> list[StyleTarget]:
        """A target for each style and layer.

        A painting of another size than the content's counts as if it had that size, and one with a
        mask as if it had the mask's part of it: its statistic is scaled by the numbers of positions.
        A mask has no target at a layer of which it covers less than half a position.
        """
        targets = []
        for index, style in enumerate(styles):
            parts = self._by_strip(self._statistics, style.picture, cut)
            for layer, statistic in ((layer, np.sum(some, 0)) for layer, some in parts.items()):
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

    def _by_strip(
        self, fetches: Sequence[Mapping[str, tf.Tensor]], picture: Picture, cut: Cut | None
    ) -> dict[str, list[Floats]]:
        """What is fetched of each block, for strip after strip, by layer; no deeper than anything is."""
        parts: dict[str, list[Floats]] = {}
        values = picture
        deepest = max((number for number, some in enumerate(fetches) if some), default=-1)
        high = heights(self._network.blocks, cut.rows) if cut else [len(picture)] * len(self._blocks)
        for number in range(deepest + 1):
            block, below = self._blocks[number], np.empty(0, values.dtype)
            asked = fetches[number], [block.pooled] if number < deepest else []
            for strip in strips(len(values), high[number], block.reach):
                feed = block.feed(strip) | {block.values: values[strip.first : strip.last]}
                results, pooled = self.session.run(asked, feed)
                for layer, result in results.items():
                    parts.setdefault(layer, []).append(result)
                for some in pooled:  # copied at once: they are TensorFlow's memory
                    rows = (len(values) + self._network.rounds_up) // 2
                    below = below if below.size else np.empty((rows, *some.shape[1:]), some.dtype)
                    below[strip.start // 2 :][: len(some)] = some
            values = below
        return parts
