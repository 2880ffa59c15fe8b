"""The objective: a callable that takes a picture and returns its loss terms and their gradient."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nst_graph.evaluation import Evaluation, Floats
from nst_graph.graph import losses, vgg
from nst_graph.graph.tensorflow import initialise, load, session, tf, zeros
from nst_graph.pictures import Mask, Picture
from nst_graph.settings import Settings
from nst_graph.weights import Network

#: The positions of a layer that a mask covers at least if its style has a target there.
LEAST_POSITIONS = 0.5


@dataclass(frozen=True)
class Style:
    """A painting [height, width, 3], its share of the style term, and where it is wanted.

    A mask [height, width] in 0..1, of the content's size, says which part of the picture is to have this
    style: that part's Gram matrix is then compared with the painting's.
    """

    picture: Picture
    share: float = 1.0
    mask: Mask | None = None


@dataclass(frozen=True)
class TemporalTarget:
    """What a frame of a film is held to: the frame before, warped, [height, width, 3], where the flow can be trusted.

    `flow_consistency` is [height, width] in 0..1, `weight` that of the temporal loss.
    """

    picture: Picture
    flow_consistency: Mask
    weight: float


#: The style whose mask says where, or None for the whole picture, and a layer.
Key = tuple[int | None, str]


@dataclass(frozen=True)
class StyleTarget:
    """The statistic that a style asks for at a layer, of so many positions, and the weight of its term.

    `key` says where in the picture, `positions` are M_l, or the sum of the mask at that layer.
    """

    key: Key
    statistic: Floats
    weight: float
    positions: float


#: What makes the picture a tensor [height, width, 3] in the current graph; optimisers that keep it there have one.
Source = Callable[[Sequence[int]], tf.Tensor]


def assemble(
    settings: Settings,
    picture: tf.Tensor,
    squares: Mapping[str, tf.Tensor],
    values: Mapping[str, float],
    statistics: Callable[[Key], tf.Tensor],
    targets: Sequence[StyleTarget],
    temporal: TemporalVariables | None,
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """Equation 5 and the other terms, and equation 7, from sums over positions, whole or added up.

    `squares` are the sums of squared differences of the content's features by layer, `values` how many they are;
    `statistics` gives a style loss's statistic of the picture.
    """
    terms: dict[str, tf.Tensor] = {}
    if squares:
        loss = losses.CONTENT[settings.content_loss]
        terms["content"] = tf.add_n(
            [settings.content_layers[layer] * loss(total, values[layer]) for layer, total in squares.items()]
        )
    if targets:
        distance, (height, width) = losses.STYLE[settings.style_loss].distance, picture.shape.as_list()[:2]
        terms["style"] = tf.add_n(
            [
                target.weight * distance(statistics(target.key), target.statistic, target.positions, height * width)
                for target in targets
            ]
        )
    if settings.smoothness:
        terms["smoothness"] = losses.SMOOTHNESS[settings.smoothness_loss](picture)
    weights: dict[str, Any] = term_weights(settings)
    if temporal:
        terms["steadiness"], weights["steadiness"] = temporal.term(picture), temporal.weight
    return terms, tf.add_n([weights[name] * term for name, term in terms.items()])


class Objective:
    """Equations 1 to 7 for one content and its styles, as a context manager.

    `network` reaches as deep as the layers in use, which the content must be large enough for
    (see Network.smallest_side). The styles' statistics are computed once and are constants of the
    graph. With several styles the style term is the sum of theirs, each times its share. For the frames
    of a film the content can be changed, and if it is `steady` be held to a TemporalTarget.

    Pictures, losses and gradients are of type `dtype`, and so are convolutions unless `compute` is given
    (see vgg.build); targets never are of a narrower one. `targets` of the same network and settings may be
    extracted by what serves several objectives. Without a `source` pictures are fed.
    """

    def __init__(
        self,
        network: Network,
        content: Picture,
        styles: Sequence[Style],
        settings: Settings,
        dtype: npt.DTypeLike = np.float32,
        compute: tf.DType | None = None,
        targets: TargetExtractor | None = None,
        source: Source | None = None,
        steady: bool = False,
    ) -> None:
        self._dtype = np.dtype(dtype)
        self._weights = term_weights(settings, steady)
        self._targets = targets
        extractor = targets or TargetExtractor(network, settings, self._dtype)

        def extract() -> tuple[dict[str, Floats], list[StyleTarget]]:
            with contextlib.nullcontext() if targets else extractor:
                return extractor.features(content), extractor.style_targets(content, styles)

        with ThreadPoolExecutor(1) as beside, tf.Graph().as_default() as self.graph:
            extracted = beside.submit(extract)  # which leaves Python free to build the network meanwhile
            make = source or (lambda shape: tf.placeholder(self._dtype, shape, name="picture"))
            self.picture = make(content.shape)
            features = vgg.build(
                network,
                self.picture,
                pooling=settings.pooling,
                compute=compute,
                convolutions=settings.convolutions,
                padding=settings.padding,
            )
            self._temporal = TemporalVariables(content.shape, self._dtype) if steady else None
            content_features, style_targets = extracted.result()
            self._content = {
                layer: zeros(f"{layer}_target", value.shape, value.dtype) for layer, value in content_features.items()
            }
            self._build(features, style_masks(network, styles, settings, self._dtype), style_targets, settings)
            self.session = session(self.graph)
            initialise(self.session)
        self._load(content_features)

    def _build(
        self,
        features: Mapping[str, tf.Tensor],
        masks: Mapping[Key, Floats],
        targets: Sequence[StyleTarget],
        settings: Settings,
    ) -> None:
        """The terms, and the gradient of equation 7."""

        def at(layer: str, weight: float) -> tf.Tensor:
            return losses.unit_gradient(features[layer], weight) if settings.unit_gradients else features[layer]

        squares = {
            layer: losses.squared_difference(
                at(layer, settings.alpha * settings.content_layers[layer]), target.read_value()
            )
            for layer, target in self._content.items()
        }
        values = {layer: float(target.shape.num_elements()) for layer, target in self._content.items()}
        statistic = losses.STYLE[settings.style_loss].statistic
        weights = {target.key: settings.beta * target.weight for target in targets}

        @cache
        def statistics(key: Key) -> tf.Tensor:
            mask = masks.get(key)
            return statistic(at(key[1], weights[key]), None if mask is None else mask.ravel())

        self._terms, total = assemble(settings, self.picture, squares, values, statistics, targets, self._temporal)
        (self.gradient,) = tf.gradients(total, self.picture)

    def turn_to(self, content: Picture, temporal: TemporalTarget | None = None) -> None:
        """Take another content of the same size, by the `targets` it was made with, and what it is held to, if so."""
        assert self._targets is not None
        self._load(self._targets.features(content))
        if self._temporal:
            self._weights["steadiness"] = self._temporal.load(self.session, temporal)

    def _load(self, features: Mapping[str, Floats]) -> None:
        for layer, values in features.items():
            load(self.session, self._content[layer], values)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back."""
        self.session.close()

    def value_and_gradient(self, picture: Floats) -> Evaluation:
        """Evaluate at a picture [height, width, 3], in one session call."""
        terms, total, gradient = self.evaluate(self.gradient, {self.picture: picture.astype(self._dtype, copy=False)})
        return Evaluation(terms, total, gradient)

    __call__ = value_and_gradient

    def evaluate(self, fetches: Any, feed: Mapping[tf.Tensor, Any]) -> tuple[dict[str, float], float, Any]:
        """Evaluate with what is fed; returns the terms, the total, and what is fetched of the gradient."""
        values, fetched = self.session.run((self._terms, fetches), feed)
        return *weigh(values, self._weights), fetched


def weigh(values: Mapping[str, Any], weights: Mapping[str, float]) -> tuple[dict[str, float], float]:
    """The terms, 0 where one is not in use, and equation 7 in double precision."""
    terms = {name: float(values.get(name, 0.0)) for name in weights}
    return terms, sum(weights[name] * value for name, value in terms.items())


class TemporalVariables:
    """A TemporalTarget as variables of the current graph, which begin without weight."""

    def __init__(self, shape: Sequence[int], dtype: npt.DTypeLike = np.float32) -> None:
        self._picture, self._consistency = zeros("warped", shape, dtype), zeros("consistency", shape[:2], dtype)
        self._weight = zeros("temporal_weight", (), dtype)
        self.weight = self._weight.read_value()

    def term(self, picture: tf.Tensor) -> tf.Tensor:
        """The temporal loss of a picture."""
        return losses.temporal_loss(picture, self._picture.read_value(), self._consistency.read_value())

    def load(self, session: tf.Session, target: TemporalTarget | None) -> float:
        """Hold to a target, or to none; returns the weight of the temporal loss."""
        weight = 0.0 if target is None else target.weight
        load(session, self._weight, weight)
        if target is not None:
            load(session, self._picture, target.picture)
            load(session, self._consistency, target.flow_consistency)
        return weight


def term_weights(settings: Settings, steady: bool = False) -> dict[str, float]:
    """The weight of each term of equation 7, and of smoothness and steadiness, at first 0, where they are in use."""
    weights = {"content": settings.alpha, "style": settings.beta}
    weights |= {"smoothness": settings.smoothness} if settings.smoothness else {}
    return weights | {"steadiness": 0.0} if steady else weights


class TargetExtractor:
    """Extracts content features and styles' statistics, by one graph for pictures of any size; a context manager.

    Content features are [1, height, width, filters] by layer; there is nothing of a term whose weight is 0.
    """

    def __init__(self, network: Network, settings: Settings, dtype: npt.DTypeLike = np.float32) -> None:
        self._network, self._settings = network, settings
        contents = list(settings.content_layers) if settings.alpha else []
        styles = list(settings.style_layers) if settings.beta else []
        with tf.Graph().as_default() as graph:
            self._picture = tf.placeholder(np.dtype(dtype), (None, None, 3))
            features = vgg.build(network, self._picture, settings.pooling, padding=settings.padding)
            self._features = {layer: features[layer] for layer in contents}
            statistic = losses.STYLE[settings.style_loss].statistic
            self._statistics = {layer: statistic(features[layer], None) for layer in styles}
            self._session = session(graph)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back."""
        self._session.close()

    def features(self, picture: Picture) -> dict[str, Floats]:
        """The content features of a picture [height, width, 3]."""
        return dict(self._session.run(self._features, {self._picture: picture}))

    def statistics(self, picture: Picture) -> dict[str, Floats]:
        """The style loss's statistics of a picture [height, width, 3], by layer."""
        return dict(self._session.run(self._statistics, {self._picture: picture}))

    def style_targets(self, content: Picture, styles: Sequence[Style]) -> list[StyleTarget]:
        """A target for each style and layer."""
        return style_targets(self._network, content, styles, self._settings, self.statistics)


def style_masks(
    network: Network, styles: Sequence[Style], settings: Settings, dtype: npt.DTypeLike
) -> dict[Key, Floats]:
    """The styles' masks at the layers of the style [height, width]."""
    return {
        (index, layer): network.shrink(style.mask, layer).astype(dtype)
        for index, style in enumerate(styles)
        if style.mask is not None
        for layer in (settings.style_layers if settings.beta else ())
    }


def style_targets(
    network: Network,
    content: Picture,
    styles: Sequence[Style],
    settings: Settings,
    statistics: Callable[[Picture], Mapping[str, Floats]],
) -> list[StyleTarget]:
    """A target for each style and layer; `statistics` gives a painting's by layer.

    A painting of another size than the content's counts as if it had that size, and one with a
    mask as if it had the mask's part of it: its statistic is scaled by the numbers of positions.
    A mask has no target at a layer of which it covers less than half a position.
    """
    targets = []
    masks = style_masks(network, styles, settings, np.float32)
    for index, style in enumerate(styles):
        for layer, statistic in statistics(style.picture).items():
            mask = masks.get((index, layer))
            positions = network.positions(content, layer) if mask is None else float(mask.sum(dtype=np.float64))
            if positions < LEAST_POSITIONS:
                continue
            scale = statistic.dtype.type(positions / network.positions(style.picture, layer))
            weight = style.share * settings.style_layers[layer]
            key = (None if mask is None else index), layer
            targets.append(StyleTarget(key, statistic * scale, weight, positions))
    return targets
