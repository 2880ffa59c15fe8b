"""Targets: what a picture is compared with, extracted from the content, the styles and earlier frames of a film."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nst_graph.evaluation import Floats
from nst_graph.images import Mask, Picture
from nst_graph.model import losses, vgg
from nst_graph.model.guides import covers, guide
from nst_graph.model.strips import Block, Cut, heights, strips
from nst_graph.model.tensorflow import SessionOwner, initialise, session, tf
from nst_graph.settings import Settings
from nst_graph.weights import Network

#: A term, "content", "style" or "sums", or with a mask "style 0", and a layer.
Key = tuple[str, str]
#: What a loss takes as mask [height, width] at a layer, and of how many positions; by layer.
LayerMasks = dict[str, tuple[Floats, float]]


@dataclass(frozen=True)
class Style:
    """A painting [height, width, 3], its share of the style term, where it is wanted, and from where it is taken.

    A mask [height, width] in 0..1, of the content's size, says which part of the picture is to have this
    style: that part's statistic is then compared with the painting's, or with that of the part of the painting which
    the style mask says, of the painting's size.
    """

    picture: Picture
    share: float = 1.0
    mask: Mask | None = None
    style_mask: Mask | None = None


@dataclass(frozen=True)
class StyleTarget:
    """The statistic that a style asks for at a layer, of so many positions, and the weight of its term.

    Mask and `positions` are those of the loss and the guide at that layer; without a guide `positions` are M_l.
    """

    key: Key
    loss: losses.StyleLoss
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
        own, sums = losses.STYLE[settings.style_loss], settings.guided_sums
        #: What is compared, how much it weighs, and whether by regions.
        self._losses = [(own, 1.0, not sums), *([(losses.GUIDED_SUMS, sums, True)] if sums else [])]
        contents = settings.content_layers if settings.alpha else {}
        styles = settings.style_layers if settings.beta else {}
        with tf.Graph().as_default() as graph:
            build = vgg.Build(settings.pooling, None, settings.convolutions, settings.padding, network.rounds_up)
            self._blocks = [
                Block(network, layers, build, np.dtype(dtype), first=not number)
                for number, layers in enumerate(network.blocks)
            ]
            several = [block.features for block in self._blocks]
            self._features = [{layer: some[layer] for layer in contents if layer in some} for some in several]
            self._masks = {layer: tf.placeholder(np.dtype(dtype), (None, None)) for layer in styles}
            self._statistics = {
                loss: [self._statistics_of(block, loss) for block in self._blocks] for loss, *_ in self._losses
            }
            self.session = session(graph)
            initialise(self.session)

    def features(self, picture: Picture, cut: Cut | None = None) -> dict[str, Floats]:
        """The content features [1, height, width, filters] of a picture [height, width, 3], by layer."""
        parts = self._by_strip(self._features, picture, cut, {})
        return {layer: np.concatenate(some, 1) for layer, some in parts.items()}

    def style_targets(self, content: Picture, styles: Sequence[Style], cut: Cut | None = None) -> list[StyleTarget]:
        """A target for each style and layer.

        A painting of another size than the content's counts as if it had that size, and one with a
        mask as if it had the mask's part of it: its statistic is scaled by the numbers of positions.
        There is no target at a layer of which either mask covers less than half a position.
        """
        targets = []
        for (index, style), (loss, factor, by_regions) in itertools.product(enumerate(styles), self._losses):
            mask, style_mask = (style.mask, style.style_mask) if by_regions else (None, None)
            masks, style_masks = self._at_layers(loss, content, mask), self._at_layers(loss, style.picture, style_mask)
            both = masks.keys() & style_masks.keys()
            fetches = [{layer: some[layer] for layer in some if layer in both} for some in self._statistics[loss]]
            feed = {self._masks[layer]: its_mask for layer, (its_mask, _) in style_masks.items()}
            for layer, some in self._by_strip(fetches, style.picture, cut, feed).items():
                (its_mask, positions), statistic = masks[layer], np.sum(some, 0)
                scale = statistic.dtype.type(positions / style_masks[layer][1])
                weight = style.share * factor * self._settings.style_layers[layer]
                name = f"{'sums' if loss.is_linear else 'style'}{'' if mask is None else f' {index}'}"
                mine = None if mask is None else its_mask
                targets.append(StyleTarget((name, layer), loss, mine, statistic * scale, weight, positions))
        return targets

    def _statistics_of(self, block: Block, loss: losses.StyleLoss) -> dict[str, tf.Tensor]:
        """A loss's statistics of a strip's own rows, by layer."""
        own = {layer: mask[block.own[layer]] for layer, mask in self._masks.items() if layer in block.features}
        return {layer: loss.statistic(block.features[layer], tf.reshape(mask, [-1])) for layer, mask in own.items()}

    def _at_layers(self, loss: losses.StyleLoss, picture: Picture, mask: Mask | None) -> LayerMasks:
        """A mask, or what is one everywhere, as a loss takes it, at each layer of which it covers enough."""
        mask = np.ones(picture.shape[:2], np.float32) if mask is None else mask
        guides = {layer: guide(self._network, mask, layer, self._settings) for layer in self._masks}
        return {layer: loss.mask(one) for layer, one in guides.items() if covers(one)}

    def _by_strip(
        self, fetches: Sequence[Mapping[str, tf.Tensor]], picture: Picture, cut: Cut | None, more: dict[tf.Tensor, Any]
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
                feed = more | block.feed(strip) | {block.values: values[strip.first : strip.last]}
                results, pooled = self.session.run(asked, feed)
                for layer, result in results.items():
                    parts.setdefault(layer, []).append(result)
                for some in pooled:  # copied at once: they are TensorFlow's memory
                    rows = (len(values) + self._network.rounds_up) // 2
                    below = below if below.size else np.empty((rows, *some.shape[1:]), some.dtype)
                    below[strip.start // 2 :][: len(some)] = some
            values = below
        return parts
