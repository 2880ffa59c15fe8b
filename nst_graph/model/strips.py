"""Blocks of the network in strips: a block's features are there for one strip of rows at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nst_graph.model import vgg
from nst_graph.model.tensorflow import gradients, tf, zeros
from nst_graph.weights import Conv, Network, Pool

Layers = tuple[vgg.Layer, ...]
#: How many layers' features are there at once while a gradient is computed, beside those that are kept for it.
TRANSIENT = 3


@dataclass(frozen=True)
class Cut:
    """How many blocks are evaluated in strips, the rows of the first block's, and how many of the first are joined.

    Of joined blocks the strips are the same, and what the poolings between them give is not kept but computed anew.
    """

    blocks: int
    rows: int
    joined: int = 1

    def parts(self, network: Network) -> list[Layers]:
        """The layers of each block, of the joined ones together."""
        return [tuple(itertools.chain(*network.blocks[: self.joined])), *network.blocks[self.joined : self.blocks]]


@dataclass(frozen=True)
class Strip:
    """Rows [start, stop) of a block's input whose features are its own, and those they follow from, [first, last)."""

    start: int
    stop: int
    first: int
    last: int
    #: The end of the rows that no later strip adds a gradient to.
    end: int


def strips(height: int, rows: int, overlap: int) -> list[Strip]:
    """Cut a block's input into strips of about so many `rows` that overlap by `overlap` rows on both sides.

    Each has a multiple of these, but the last.
    """
    rows = max(1, rows // overlap) * overlap
    starts = list(range(0, max(1, height - overlap + 1), rows))
    cut = [
        Strip(start, stop, max(0, start - overlap), stop + overlap, stop - overlap)
        for start, stop in zip(starts, [*starts[1:], height], strict=True)
    ]
    last = cut[-1]
    return [*cut[:-1], Strip(last.start, height, last.first, height, height)]


def poolings(layers: Layers) -> list[int]:
    """How many of the layers up to each one are poolings."""
    return list(itertools.accumulate(isinstance(layer, Pool) for layer in layers))


def reach(layers: Layers) -> int:
    """How many rows from a strip's edge zero padding affects a block's features, one at each convolution's size.

    A multiple of the rows that poolings make one, and even.
    """
    depths = poolings(layers)
    rows = sum(1 << depth for layer, depth in zip(layers, depths, strict=True) if isinstance(layer, Conv))
    unit = max(2, 1 << depths[-1])
    return -(-rows // unit) * unit


def features_at_once(layers: Layers) -> tuple[float, float]:
    """How many features are kept for a gradient at each position of a block's input, and how many are there besides."""
    depths = zip(layers, poolings(layers), strict=True)
    filters = [layer.bias.size / 4**depth for layer, depth in depths if isinstance(layer, Conv)]
    return sum(filters), TRANSIENT * max(filters)


def filters(layers: Layers) -> int:
    """The filters of what a block gives."""
    return [layer.bias.size for layer in layers if isinstance(layer, Conv)][-1]


def heights(parts: Sequence[Layers], rows: int) -> list[int]:
    """The rows of each part's strips, whose features take as much memory as those of so many of the first's."""
    depths = [0, *itertools.accumulate(poolings(layers)[-1] for layers in parts)]
    numbers = [sum(features_at_once(layers)) / 2**depth for layers, depth in zip(parts, depths, strict=False)]
    return [int(rows * numbers[0] / number) for number in numbers]


class Block:
    """A block's `layers` on rows of its input, which are fed, or those of a variable; in the current graph.

    The `first` takes the picture. A strip has about so many `rows`.

    `features` are those of a strip's own rows, [1, rows, width, filters], by the layer's name, `own` which rows of all
    these are, and `pooled` is what the last layer makes of them, [rows / 2, width / 2, filters], `kept` which of all.
    """

    def __init__(
        self,
        network: Network,
        layers: Layers,
        build: vgg.Build,
        dtype: tf.DType,
        first: bool,
        source: tf.Variable | None = None,
        rows: int | None = None,
    ) -> None:
        self.reach = reach(layers)
        self.rows = tf.placeholder(tf.int32, (5,))
        self.start, self.stop, self.first, self.last, self.end = tf.unstack(self.rows)
        if source is None:
            channels = next(layer.kernel.shape[2] for layer in layers if isinstance(layer, Conv))
            self.values = tf.placeholder(dtype, (None, None, channels))
        else:
            self.values = tf.ensure_shape(source[self.first : self.last], (None, *source.shape[1:]))
        tensor = build.first(network, self.values) if first else self.values[None]
        features, pooled = build.block(layers, tensor, dtype, first=first, rows=rows)
        depths = {layer.name: depth for layer, depth in zip(layers, poolings(layers), strict=True)}

        def at(depth: int, origin: tf.Tensor | int = 0) -> slice:
            """The strip's own rows after so many poolings."""
            start, stop = self.start - origin, self.stop - origin
            return slice(pooled_side(start, depth), pooled_side(stop, depth, network.rounds_up))

        # Of tf.slice the gradient is tf.pad, which takes all cores, and of values[start:stop] it is not.
        self.own, self.kept = {name: at(depths[name]) for name in features}, at(poolings(layers)[-1])
        self.features = {name: _rows(some, at(depths[name], self.first)) for name, some in features.items()}
        self.pooled = _rows(pooled, at(poolings(layers)[-1], self.first))[0]

    def feed(self, strip: Strip) -> dict[tf.Tensor, Any]:
        """What says which strip it is."""
        return {self.rows: (strip.start, strip.stop, strip.first, strip.last, strip.end)}


def pooled_side(side: Any, depth: int, rounds_up: bool = False) -> Any:
    """What so many poolings leave of a side, or where they take one of its multiples."""
    return (side + ((1 << depth) - 1) * rounds_up) // (1 << depth)


def _rows(values: tf.Tensor, rows: slice) -> tf.Tensor:
    some = tf.slice(values, [0, rows.start, 0, 0], [-1, rows.stop - rows.start, -1, -1])
    return tf.ensure_shape(some, [1, None, *values.shape[2:]])


class InStrips:
    """The first blocks of a network, strip by strip, in the current graph.

    `point` is the picture, and `pooled` what the last of the blocks gives, [1, height, width, filters].
    """

    def __init__(self, network: Network, build: vgg.Build, picture: tf.Tensor, cut: Cut) -> None:
        self._point = zeros("point", picture.shape, picture.dtype, use_resource=False)
        self._load = self._point.assign(picture).op
        self._blocks: list[Block] = []
        #: What the blocks take, and what the last of them gives, if it has a pooling.
        self._kept = [self._point]
        self._strips: list[list[Strip]] = []
        parts = cut.parts(network)
        for layers, rows in zip(parts, heights(parts, cut.rows), strict=True):
            sides, source = self._kept[-1].shape.as_list()[:2], self._kept[-1]
            block = Block(network, layers, build, picture.dtype, not self._blocks, source, min(rows, sides[0]))
            self._strips.append(strips(sides[0], rows, block.reach))
            self._blocks.append(block)
            if layers[-1] is not network.layers[-1]:
                sides = [pooled_side(side, poolings(layers)[-1], network.rounds_up) for side in sides]
                shape = *sides, block.pooled.shape[2]
                self._kept.append(zeros("pooled", shape, block.pooled.dtype, use_resource=False))
        self.point, *_, last = tf.identity(self._point), *self._kept
        self.pooled = tf.identity(last)[None]

    def sums(
        self, of_strip: Callable[[vgg.Features, Mapping[str, slice]], Mapping[Any, tf.Tensor]]
    ) -> dict[Any, tf.Tensor]:
        """The sums over all strips, by key, of what `of_strip` makes of one strip's features and of their rows."""
        self._sums, self._slopes = dict[Any, tf.Variable](), dict[Any, tf.Variable]()
        self._gradient = zeros("gradient", self._point.shape, self._point.dtype)
        self._forward, self._backward = [], []
        for number, block in enumerate(self._blocks):
            parts = of_strip(block.features, block.own)
            self._sums |= {key: zeros("sum", part.shape, part.dtype) for key, part in parts.items()}
            self._slopes |= {key: zeros("slope", part.shape, part.dtype) for key, part in parts.items()}
            forward = [self._sums[key].assign_add(part).op for key, part in parts.items()]
            outputs, slopes = list(parts.values()), [self._slopes[key].read_value() for key in parts]
            if number + 1 < len(self._kept):
                kept = self._kept[number + 1][block.kept]
                forward.append(kept.assign(block.pooled).op)
                outputs, slopes = [*outputs, block.pooled], [*slopes, kept]
            self._forward.append(forward)
            (slope,) = gradients(outputs, block.values, slopes)
            self._backward.append(self._stored(block, slope, self._kept[number] if number else None))
        self._reset = [total.assign(tf.zeros_like(total)).op for total in self._sums.values()]
        self._totals = {key: total.read_value() for key, total in self._sums.items()}
        return self._totals

    def _stored(self, block: Block, slope: tf.Tensor, kept: tf.Variable | None) -> list[tf.Operation]:
        """Add up the gradients of a block's input where strips overlap.

        Rows to which no later strip adds take the place of what is `kept`, or are added to the picture's gradient.
        """
        target, overlap = self._gradient if kept is None else kept, 2 * block.reach
        carry = zeros("carry", (overlap, *target.shape[1:]), slope.dtype, use_resource=False)
        both, done = tf.minimum(overlap, block.last - block.first), block.end - block.first
        slope = tf.concat([slope[:both] + carry[:both], slope[both:]], 0)
        whole = tf.identity(slope[:done])
        if kept is None:  # read whole, a variable that is written in parts would be copied
            whole += tf.gather(target, tf.range(block.first, block.end))
        rest = tf.concat([slope[done:], tf.zeros_like(carry)], 0)[:overlap]
        with tf.control_dependencies([whole, rest]):
            return [target[block.first : block.end].assign(whole).op, carry.assign(rest).op]

    def gradient(self, total: tf.Tensor) -> tf.Tensor:
        """The gradient of equation 7, `total`, which is there once it is evaluated."""
        nothing = tf.UnconnectedGradients.ZERO
        kept = self.pooled if len(self._kept) > len(self._blocks) else None
        sources = [self.point, *([] if kept is None else [kept]), *self._totals.values()]
        first, *slopes = gradients(total, sources, unconnected_gradients=nothing)
        self._begin = [self._gradient.assign(first).op]
        if kept is not None:
            self._begin.append(self._kept[-1].assign(slopes.pop(0)[0]).op)
        self._begin += [self._slopes[key].assign(slope).op for key, slope in zip(self._totals, slopes, strict=True)]
        return self._gradient.read_value()

    def evaluate(self, session: tf.Session, terms: Any, feed: Mapping[tf.Tensor, Any]) -> Any:
        """Evaluate the terms and the gradient."""
        session.run((self._load, self._reset), feed)
        for block, cut, forward in zip(self._blocks, self._strips, self._forward, strict=True):
            for strip in cut:
                session.run(forward, block.feed(strip))
        values, _ = session.run((terms, self._begin))
        for block, cut, backward in reversed(list(zip(self._blocks, self._strips, self._backward, strict=True))):
            for strip in cut:
                session.run(backward, block.feed(strip))
        return values
