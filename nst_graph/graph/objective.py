"""The objective: a callable that takes a picture and returns its loss terms and their gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nst_graph.evaluation import Evaluation, Floats
from nst_graph.graph import losses, vgg
from nst_graph.graph.line import Line
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
class Guide:
    """What a frame of a film is held to: the frame before, warped, [height, width, 3], where it can be trusted.

    `trust` is [height, width] in 0..1, `weight` that of the steadiness term.
    """

    picture: Picture
    trust: Mask
    weight: float


@dataclass(frozen=True)
class Target:
    """The Gram matrix [N_l, N_l] that a style asks for at a layer, and the weight of its term.

    `style` is the style's index, `positions` M_l, or the sum of the mask [M_l] at that layer.
    """

    style: int
    layer: str
    gram: Floats
    weight: float
    positions: float
    mask: Floats | None

    def term(self, gram: tf.Tensor, style_loss: str, pixels: int) -> tf.Tensor:
        """This target's part of equation 5."""
        return self.weight * losses.STYLE[style_loss](gram, self.gram, self.positions, pixels)


class Objective:
    """Equations 1 to 7 for one content and its styles.

    `network` reaches as deep as the layers in use, which the content must be large enough for
    (see Network.smallest_side). The styles' Gram matrices are computed once and are constants of the
    graph. With several styles the style term is the sum of theirs, each times its share. For the frames
    of a film the content can be changed, and if it is `steady` be held to a Guide.

    Pictures, losses and gradients are of type `dtype`, and so are convolutions unless `compute` is given
    (see vgg.build); targets never are of a narrower one. A `measure` of the same network and settings
    may serve several objectives. With `line`, the type of its vectors, the picture is a point of a Line.
    """

    def __init__(
        self,
        network: Network,
        content: Picture,
        styles: Sequence[Style],
        settings: Settings,
        dtype: npt.DTypeLike = np.float32,
        compute: tf.DType | None = None,
        measure: Measure | None = None,
        line: npt.DTypeLike | None = None,
        steady: bool = False,
    ) -> None:
        self._dtype, self.vectors = np.dtype(dtype), None
        self._weights = term_weights(settings, steady)
        self._measure = measure
        measured = measure or Measure(network, settings, self._dtype)

        def measuring() -> tuple[dict[str, Floats], list[Target]]:
            found = measured.features(content), style_targets(network, content, styles, settings, measured.grams)
            if measure is None:
                measured.close()
            return found

        with ThreadPoolExecutor(1) as beside, tf.Graph().as_default() as self.graph:
            found = beside.submit(measuring)  # which leaves Python free to build the network meanwhile
            self.line = Line(content.shape, line, settings.corrections) if line else None
            self.picture = self.line.point if self.line else tf.placeholder(self._dtype, content.shape, name="picture")
            features = vgg.build(
                network,
                self.picture,
                pooling=settings.pooling,
                compute=compute,
                convolutions=settings.convolutions,
                padding=settings.padding,
            )
            self._guide = Held(content.shape, self._dtype) if steady else None
            wanted, targets = found.result()
            self._wanted = {name: zeros(f"{name}_wanted", value.shape, value.dtype) for name, value in wanted.items()}
            self._build(features, targets, settings)
            self.session = session(self.graph)
            initialise(self.session, [self.line.steps, self.line.changes] if self.line else [])
        self._load(wanted)

    def _build(self, features: Mapping[str, tf.Tensor], targets: Sequence[Target], settings: Settings) -> None:
        """The terms, and the gradient of equation 7."""
        height, width = self.picture.shape.as_list()[:2]
        terms: dict[str, list[tf.Tensor]] = {name: [] for name in self._weights}

        def at(layer: str, weight: float) -> tf.Tensor:
            return losses.unit_gradient(features[layer], weight) if settings.unit_gradients else features[layer]

        for layer, wanted in self._wanted.items():
            weight = settings.content_layers[layer]
            squares = losses.squared_difference(at(layer, settings.alpha * weight), wanted.read_value())
            loss = losses.CONTENT[settings.content_loss](squares, float(wanted.shape.num_elements()))
            terms["content"].append(weight * loss)
        for target in targets:
            features_at = at(target.layer, settings.beta * target.weight)
            gram = losses.gram(features_at, target.mask, settings.style_loss in losses.WITH_SUMS)
            terms["style"].append(target.term(gram, settings.style_loss, height * width))
        if settings.smoothness:
            terms["smoothness"].append(losses.SMOOTHNESS[settings.smoothness_loss](self.picture))
        weights: dict[str, Any] = dict(self._weights)
        if self._guide:
            terms["steadiness"].append(self._guide.term(self.picture))
            weights["steadiness"] = self._guide.weight
        self._terms = {name: tf.add_n(parts) for name, parts in terms.items() if parts}
        total = tf.add_n([weights[name] * term for name, term in self._terms.items()])
        (self.gradient,) = tf.gradients(total, self.picture)

    def turn_to(self, content: Picture, guide: Guide | None = None) -> None:
        """Take another content of the same size, by the `measure` it was made with, and its guide, if it has one."""
        assert self._measure is not None
        self._load(self._measure.features(content))
        if self._guide:
            self._weights["steadiness"] = self._guide.load(self.session, guide)

    def _load(self, wanted: Mapping[str, Floats]) -> None:
        for layer, features in wanted.items():
            load(self.session, self._wanted[layer], features)

    def close(self) -> None:
        """Give the memory back."""
        self.session.close()

    def __call__(self, picture: Floats) -> Evaluation:
        """Evaluate at a picture [height, width, 3], in one session call."""
        terms, total, gradient = self.evaluate(self.gradient, {self.picture: picture.astype(self._dtype, copy=False)})
        return Evaluation(terms, total, gradient)

    def evaluate(self, fetches: Any, feed: Mapping[tf.Tensor, Any]) -> tuple[dict[str, float], float, Any]:
        """Evaluate with what is fed; returns the terms, the total, and what is fetched of the gradient."""
        values, fetched = self.session.run((self._terms, fetches), feed)
        return *weigh(values, self._weights), fetched


def weigh(values: Mapping[str, Any], weights: Mapping[str, float]) -> tuple[dict[str, float], float]:
    """The terms, 0 where one is not in use, and equation 7 in double precision."""
    terms = {name: float(values.get(name, 0.0)) for name in weights}
    return terms, sum(weights[name] * value for name, value in terms.items())


class Held:
    """A Guide as variables of the current graph, which begin without weight."""

    def __init__(self, shape: Sequence[int], dtype: npt.DTypeLike = np.float32) -> None:
        self._picture, self._trust = zeros("warped", shape, dtype), zeros("trust", shape[:2], dtype)
        self._weight = zeros("steadiness", (), dtype)
        self.weight = self._weight.read_value()

    def term(self, picture: tf.Tensor) -> tf.Tensor:
        """The steadiness term of a picture."""
        return losses.steadiness(picture, self._picture.read_value(), self._trust.read_value())

    def load(self, session: tf.Session, guide: Guide | None) -> float:
        """Hold to a guide, or to none; returns the weight of the steadiness term."""
        weight = 0.0 if guide is None else guide.weight
        load(session, self._weight, weight)
        if guide is not None:
            load(session, self._picture, guide.picture)
            load(session, self._trust, guide.trust)
        return weight


def term_weights(settings: Settings, steady: bool = False) -> dict[str, float]:
    """The weight of each term of equation 7, and of smoothness and steadiness, at first 0, where they are in use."""
    weights = {"content": settings.alpha, "style": settings.beta}
    weights |= {"smoothness": settings.smoothness} if settings.smoothness else {}
    return weights | {"steadiness": 0.0} if steady else weights


class Measure:
    """Measures what targets are made of, by one graph for pictures of any size.

    Content features are [1, height, width, filters], Gram matrices [filters, filters], by layer;
    there are none of a term whose weight is 0.
    """

    def __init__(self, network: Network, settings: Settings, dtype: npt.DTypeLike = np.float32) -> None:
        contents = list(settings.content_layers) if settings.alpha else []
        styles = list(settings.style_layers) if settings.beta else []
        with tf.Graph().as_default() as graph:
            self._picture = tf.placeholder(np.dtype(dtype), (None, None, 3))
            features = vgg.build(network, self._picture, settings.pooling, padding=settings.padding)
            self._features = {layer: features[layer] for layer in contents}
            sums = settings.style_loss in losses.WITH_SUMS
            self._grams = {layer: losses.gram(features[layer], sums=sums) for layer in styles}
            self._session = session(graph)

    def close(self) -> None:
        """Give the memory back."""
        self._session.close()

    def features(self, picture: Picture) -> dict[str, Floats]:
        """The content features of a picture [height, width, 3]."""
        return dict(self._session.run(self._features, {self._picture: picture}))

    def grams(self, picture: Picture) -> dict[str, Floats]:
        """The Gram matrices of a picture [height, width, 3]."""
        return dict(self._session.run(self._grams, {self._picture: picture}))


def style_targets(
    network: Network,
    content: Picture,
    styles: Sequence[Style],
    settings: Settings,
    grams: Callable[[Picture], Mapping[str, Floats]],
) -> list[Target]:
    """A target for each style and layer; `grams` gives a painting's Gram matrices by layer.

    A painting of another size than the content's counts as if it had that size, and one with a
    mask as if it had the mask's part of it: its Gram matrix is scaled by the numbers of positions.
    A mask has no target at a layer of which it covers less than half a position.
    """
    targets = []
    for index, style in enumerate(styles):
        for layer, gram in grams(style.picture).items():
            mask = None if style.mask is None else network.shrink(style.mask, layer).astype(gram.dtype).ravel()
            positions = network.positions(content, layer) if mask is None else float(mask.sum())
            if positions < LEAST_POSITIONS:
                continue
            scale = gram.dtype.type(positions / network.positions(style.picture, layer))
            weight = style.share * settings.style_layers[layer]
            targets.append(Target(index, layer, gram * scale, weight, positions, mask))
    return targets
