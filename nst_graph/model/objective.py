"""The objective: a callable that takes a picture and returns its loss terms and their gradient, whole or in strips."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from nst_graph.errors import InputError
from nst_graph.evaluation import Evaluation, Floats
from nst_graph.images import Picture
from nst_graph.model import losses, vgg
from nst_graph.model.strips import Cut, InStrips
from nst_graph.model.targets import Key, Style, StyleTarget, TargetExtractor, TemporalTarget
from nst_graph.model.tensorflow import SessionOwner, gradients, initialise, load, session, tf, zeros
from nst_graph.settings import Settings
from nst_graph.weights import Network

__all__ = ["Cut", "Objective", "Style", "TargetExtractor", "TemporalTarget"]

#: What makes the picture a tensor [height, width, 3] in the current graph; optimisers that keep it there have one.
Source = Callable[[Sequence[int]], tf.Tensor]
Tensors = Mapping[str, tf.Tensor]


class Objective(SessionOwner):
    """Equations 1 to 7 for one content and its styles, as a context manager.

    `network` reaches as deep as the layers in use, which the content must be large enough for
    (see Network.smallest_side). The styles' statistics are computed once and are constants of the
    graph. With several styles the style term is the sum of theirs, each times its share. For the frames
    of a film the content can be changed, and if it is `steady` be held to a TemporalTarget.

    Pictures, losses and gradients are of type `dtype`, and so are convolutions unless `compute` is given
    (see vgg.Build). `targets` of the same network and settings may be extracted by what serves several
    objectives. Without a `source` pictures are fed.

    The first blocks of the network are evaluated in strips where there is a `cut`: of their features no more is there
    than one strip's, and what their poolings give. They are computed once for the sums over positions in equations 1
    and 3, and again for the gradient, from the last of them back. Raises InputError for unit gradients in strips.
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
        cut: Cut | None = None,
    ) -> None:
        if cut is not None:
            refuse_unit_gradients(settings)
        self._cut = cut
        self._network, self._settings, self._dtype, self._targets = network, settings, np.dtype(dtype), targets
        self._weights = {"content": settings.alpha, "style": settings.beta}
        self._weights |= {"smoothness": settings.smoothness} if settings.smoothness else {}
        self._weights |= {"steadiness": 0.0} if steady else {}
        extractor = targets or TargetExtractor(network, settings, self._dtype)

        def extract() -> tuple[dict[str, Floats], list[StyleTarget]]:
            with contextlib.nullcontext() if targets else extractor:
                return extractor.features(content, cut), extractor.style_targets(content, styles, cut)

        with ThreadPoolExecutor(1) as beside, tf.Graph().as_default() as self.graph:
            extracted = beside.submit(extract)  # which leaves Python free to build the network meanwhile
            make = source or (lambda shape: tf.placeholder(self._dtype, shape, name="picture"))
            self.picture = make(content.shape)
            shapes = {"picture": content.shape, "flow_consistency": content.shape[:2], "weight": ()} if steady else {}
            self._temporal = {name: zeros(f"temporal_{name}", shape, self._dtype) for name, shape in shapes.items()}
            build = vgg.Build(settings.pooling, compute, settings.convolutions, settings.padding, network.rounds_up)
            self._strips = InStrips(network, build, self.picture, cut) if cut else None
            rest = itertools.chain(*network.blocks[cut.blocks if cut else 0 :])
            begin = self._strips.pooled if self._strips else build.first(network, self.picture)
            features, _ = build.block(list(rest), begin, self._dtype, first=cut is None)
            contents, self._styles = extracted.result()
            self._counts = {layer: values.size for layer, values in contents.items()}
            self._build(features, contents)
            self.session = session(self.graph)
            initialise(self.session)
        self._load(contents)

    def turn_to(self, content: Picture, temporal: TemporalTarget | None = None) -> None:
        """Take another content of the same size, by the `targets` it was made with, and what it is held to, if so."""
        assert self._targets is not None
        self._load(self._targets.features(content, self._cut))
        if self._temporal:
            values = {"weight": 0.0} if temporal is None else vars(temporal)
            for name, value in values.items():
                load(self.session, self._temporal[name], value)
            self._weights["steadiness"] = values["weight"]

    def value_and_gradient(self, picture: Floats) -> Evaluation:
        """Evaluate at a picture [height, width, 3]."""
        terms, total, gradient = self.evaluate(self.gradient, {self.picture: picture.astype(self._dtype, copy=False)})
        return Evaluation(terms, total, gradient)

    __call__ = value_and_gradient

    def by_layer(self, picture: Floats) -> Evaluation:
        """Evaluate at a picture, where the terms are the layers' shares of equation 7, the style's first."""
        values, gradient = self._run(self.gradient, {self.picture: picture.astype(self._dtype, copy=False)})
        shares = {name: self._weights[name.split()[0]] * float(value) for name, value in values.items()}
        total = sum(shares.get(name, 0.0) for name in self._weights)
        parts = {name: share for name, share in shares.items() if name not in ("content", "style")}
        return Evaluation(parts, total, gradient)

    def evaluate(self, fetches: Any, feed: Mapping[tf.Tensor, Any]) -> tuple[dict[str, float], float, Any]:
        """Evaluate with what is fed; returns the terms, equation 7, and what is fetched of the gradient."""
        values, fetched = self._run(fetches, feed)
        terms = {name: float(values.get(name, 0.0)) for name in self._weights}  # 0 where one is not in use
        return terms, sum(self._weights[name] * value for name, value in terms.items()), fetched

    def _run(self, fetches: Any, feed: Mapping[tf.Tensor, Any]) -> tuple[dict[str, Any], Any]:
        """The terms and those of the layers, and what is fetched of the gradient."""
        if self._strips is None:
            return cast(tuple[dict[str, Any], Any], self.session.run((self._terms, fetches), feed))
        return self._strips.evaluate(self.session, self._terms, feed), self.session.run(fetches, feed)

    def _build(self, features: Tensors, contents: Mapping[str, Floats]) -> None:
        """The terms, and the gradient of equation 7."""
        self._contents = {
            layer: zeros(f"{layer}_target", value.shape, value.dtype) for layer, value in contents.items()
        }
        sums, picture = self._sums(features, dict.fromkeys(features, slice(None))), self.picture
        if self._strips is not None:
            sums, picture = sums | self._strips.sums(self._sums), self._strips.point
        self._terms, total = self._assemble(picture, sums)
        self.gradient = gradients(total, picture)[0] if self._strips is None else self._strips.gradient(total)
        #: Whether the gradient is there until the next evaluation.
        self.keeps_gradient = self._strips is not None

    def _load(self, contents: dict[str, Floats]) -> None:
        """Take content features for the target."""
        for layer, values in contents.items():
            load(self.session, self._contents[layer], values)

    def _sums(self, features: Tensors, rows: Mapping[str, slice]) -> dict[Key, tf.Tensor]:
        """The sums over positions of these features, of those rows: squared differences and the styles' statistics."""
        settings = self._settings

        def at(layer: str, weight: float) -> tf.Tensor:
            return losses.unit_gradient(features[layer], weight) if settings.unit_gradients else features[layer]

        sums: dict[Key, tf.Tensor] = {}
        for layer, target in self._contents.items():
            if layer in features:
                painted = at(layer, settings.alpha * settings.content_layers[layer])
                sums["content", layer] = losses.squared_difference(painted, target.read_value()[:, rows[layer]])
        for style in {target.key: target for target in self._styles if target.key[1] in features}.values():
            mask = None if style.mask is None else tf.reshape(tf.constant(style.mask)[rows[style.key[1]]], [-1])
            sums[style.key] = style.loss.statistic(at(style.key[1], settings.beta * style.weight), mask)
        return sums

    def _assemble(self, picture: tf.Tensor, sums: Mapping[Key, tf.Tensor]) -> tuple[Tensors, tf.Tensor]:
        """Equation 5 and the other terms, whole and by layer, and equation 7, from sums over positions."""
        settings, (height, width) = self._settings, picture.shape.as_list()[:2]
        content = losses.CONTENT[settings.content_loss]
        content_losses = [
            settings.content_layers[layer] * content(sums["content", layer], count)
            for layer, count in self._counts.items()
        ]
        style_losses = [
            target.weight * target.loss.distance(sums[target.key], target.statistic, target.positions, height * width)
            for target in self._styles
        ]
        layers = [f"style {target.key[1]}" for target in self._styles] + [f"content {layer}" for layer in self._counts]
        of_layers = list(zip(layers, style_losses + content_losses, strict=True))
        terms = {
            name: tf.add_n(parts) for name, parts in (("content", content_losses), ("style", style_losses)) if parts
        }
        weights: dict[str, Any] = dict(self._weights)
        if settings.smoothness:
            terms["smoothness"] = losses.SMOOTHNESS[settings.smoothness_loss](picture)
        if self._temporal:
            warped, consistency, weights["steadiness"] = (held.read_value() for held in self._temporal.values())
            terms["steadiness"] = losses.temporal_loss(picture, warped, consistency)
        total = tf.add_n([weights[name] * term for name, term in terms.items()])
        by_layer = {name: tf.add_n([loss for layer, loss in of_layers if layer == name]) for name in layers}
        return by_layer | terms, total


def refuse_unit_gradients(settings: Settings) -> None:
    """Raise InputError for unit gradients, whose norm is that of a whole layer."""
    if settings.unit_gradients:
        raise InputError("--unit-gradients: not in strips; leave it away, or take a smaller --size")
