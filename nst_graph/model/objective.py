"""The objective: a callable that takes a picture and returns its loss terms and their gradient, whole or by tiles."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from nst_graph.errors import InputError
from nst_graph.evaluation import Evaluation, Floats
from nst_graph.images import Picture
from nst_graph.model import losses, vgg
from nst_graph.model.targets import Key, Style, StyleTarget, TargetExtractor, TemporalTarget, Tile, own_features, tiles
from nst_graph.model.tensorflow import SessionOwner, initialise, load, session, tf, zeros
from nst_graph.settings import Settings
from nst_graph.weights import Network

__all__ = ["Objective", "Style", "TargetExtractor", "TemporalTarget", "TiledObjective"]

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
    (see vgg.build). `targets` of the same network and settings may be extracted by what serves several
    objectives. Without a `source` pictures are fed.
    """

    #: The side of the tiles, if any, in which targets are extracted.
    _side: int | None = None

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
        self._network, self._settings, self._dtype, self._targets = network, settings, np.dtype(dtype), targets
        self._weights = {"content": settings.alpha, "style": settings.beta}
        self._weights |= {"smoothness": settings.smoothness} if settings.smoothness else {}
        self._weights |= {"steadiness": 0.0} if steady else {}
        extractor = targets or TargetExtractor(network, settings, self._dtype)

        def extract() -> tuple[dict[str, Floats], list[StyleTarget]]:
            with contextlib.nullcontext() if targets else extractor:
                return extractor.features(content, self._side), extractor.style_targets(content, styles, self._side)

        with ThreadPoolExecutor(1) as beside, tf.Graph().as_default() as self.graph:
            extracted = beside.submit(extract)  # which leaves Python free to build the network meanwhile
            make = source or (lambda shape: tf.placeholder(self._dtype, shape, name="picture"))
            self.picture = make(content.shape)
            shapes = {"picture": content.shape, "flow_consistency": content.shape[:2], "weight": ()} if steady else {}
            self._temporal = {name: zeros(f"temporal_{name}", shape, self._dtype) for name, shape in shapes.items()}
            seen = self._network_input()
            features = vgg.build(network, seen, settings.pooling, compute, settings.convolutions, settings.padding)
            contents, self._styles = extracted.result()
            self._counts = {layer: values.size for layer, values in contents.items()}
            self._build(features, contents)
            self.session = session(self.graph)
            initialise(self.session)
        self._load(contents)

    def turn_to(self, content: Picture, temporal: TemporalTarget | None = None) -> None:
        """Take another content of the same size, by the `targets` it was made with, and what it is held to, if so."""
        assert self._targets is not None
        self._load(self._targets.features(content, self._side))
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

    def evaluate(self, fetches: Any, feed: Mapping[tf.Tensor, Any]) -> tuple[dict[str, float], float, Any]:
        """Evaluate with what is fed; returns the terms, equation 7, and what is fetched of the gradient."""
        values, fetched = self._run(fetches, feed)
        terms = {name: float(values.get(name, 0.0)) for name in self._weights}  # 0 where one is not in use
        return terms, sum(self._weights[name] * value for name, value in terms.items()), fetched

    def _run(self, fetches: Any, feed: Mapping[tf.Tensor, Any]) -> tuple[Mapping[str, Any], Any]:
        """The terms in use, and what is fetched."""
        terms, fetched = self.session.run((self._terms, fetches), feed)
        return terms, fetched

    def _network_input(self) -> tf.Tensor:
        """What the network is built on."""
        return self.picture

    def _build(self, features: Tensors, contents: Mapping[str, Floats]) -> None:
        """The terms, and the gradient of equation 7."""
        self._contents = {
            layer: zeros(f"{layer}_target", value.shape, value.dtype) for layer, value in contents.items()
        }
        targets = {layer: target.read_value() for layer, target in self._contents.items()}
        masks = {target.key: target.mask.ravel() for target in self._styles if target.mask is not None}
        self._terms, total = self._assemble(self.picture, self._sums(features, targets, masks))
        (self.gradient,) = tf.gradients(total, self.picture)

    def _load(self, contents: dict[str, Floats]) -> None:
        """Take content features for the target."""
        for layer, values in contents.items():
            load(self.session, self._contents[layer], values)

    def _sums(self, features: Tensors, contents: Tensors, masks: Mapping[Key, Any]) -> dict[Key, tf.Tensor]:
        """The sums over positions: squared differences of the content's layers, and the styles' statistics."""
        settings = self._settings

        def at(layer: str, weight: float) -> tf.Tensor:
            return losses.unit_gradient(features[layer], weight) if settings.unit_gradients else features[layer]

        sums: dict[Key, tf.Tensor] = {}
        for layer, target in contents.items():
            painted = at(layer, settings.alpha * settings.content_layers[layer])
            sums["content", layer] = losses.squared_difference(painted, target)
        statistic = losses.STYLE[settings.style_loss].statistic
        weights = {target.key: settings.beta * target.weight for target in self._styles}
        return sums | {key: statistic(at(key[1], weight), masks.get(key)) for key, weight in weights.items()}

    def _assemble(self, picture: tf.Tensor, sums: Mapping[Key, tf.Tensor]) -> tuple[Tensors, tf.Tensor]:
        """Equation 5 and the other terms, and equation 7, from sums over positions, whole or added up."""
        settings, (height, width) = self._settings, picture.shape.as_list()[:2]
        content, style = losses.CONTENT[settings.content_loss], losses.STYLE[settings.style_loss]
        content_losses = [
            settings.content_layers[layer] * content(sums["content", layer], count)
            for layer, count in self._counts.items()
        ]
        style_losses = [
            target.weight * style.distance(sums[target.key], target.statistic, target.positions, height * width)
            for target in self._styles
        ]
        terms = {
            name: tf.add_n(parts) for name, parts in (("content", content_losses), ("style", style_losses)) if parts
        }
        weights: dict[str, Any] = dict(self._weights)
        if settings.smoothness:
            terms["smoothness"] = losses.SMOOTHNESS[settings.smoothness_loss](picture)
        if self._temporal:
            warped, consistency, weights["steadiness"] = (held.read_value() for held in self._temporal.values())
            terms["steadiness"] = losses.temporal_loss(picture, warped, consistency)
        return terms, tf.add_n([weights[name] * term for name, term in terms.items()])


def refuse_unit_gradients(settings: Settings) -> None:
    """Raise InputError for unit gradients, whose norm is that of a whole layer."""
    if settings.unit_gradients:
        raise InputError("--unit-gradients: not with tiles; leave it away, or take a smaller --size")


class TiledObjective(Objective):
    """The same as Objective, in memory that depends on a tile's size and hardly on the picture's.

    A first pass over the tiles sums the statistics and the content's squared differences; a second sends each
    tile its share of their gradient, and overlapping parts of the tiles' gradients add up. Each
    position of each layer belongs to one tile. The sums are variables of the graph. Raises
    InputError for unit gradients.
    """

    def __init__(
        self, network: Network, content: Picture, styles: Sequence[Style], settings: Settings, side: int, **options: Any
    ) -> None:
        refuse_unit_gradients(settings)
        self._side, self._tiles = side, tiles(network, content, side)
        super().__init__(network, content, styles, settings, **options)

    def _run(self, fetches: Any, feed: Mapping[tf.Tensor, Any]) -> tuple[Mapping[str, Any], Any]:
        self.session.run((self._take, self._reset), feed)
        for tile in self._tiles:
            self.session.run(self._add_sums, self._feed(tile))
        terms, _ = self.session.run((self._terms, self._begin_gradient))
        for tile in self._tiles:
            self.session.run(self._add_gradient, self._feed(tile))
        return terms, self.session.run(fetches, feed)

    def _network_input(self) -> tf.Tensor:
        """The part of the picture that a tile sees; the picture is kept."""
        self._point = zeros("point", self.picture.shape)
        self._take = self._point.assign(self.picture).op
        self._outer, self._inner = tf.placeholder(tf.int32, (4,)), tf.placeholder(tf.int32, (4,))
        top, bottom, left, right = tf.unstack(self._outer)
        self._seen = tf.ensure_shape(self._point.read_value()[top:bottom, left:right], (None, None, 3))
        return self._seen

    def _build(self, features: Tensors, contents: Mapping[str, Floats]) -> None:
        """What is done to each tile: its sums, and their gradient, are added; and what is done once, in between."""
        own = own_features(self._network, features, self._inner)
        self._contents = {layer: tf.placeholder(tf.float32, own[layer].shape) for layer in contents}
        self._masks = {target.key: target.mask for target in self._styles if target.mask is not None}
        self._shares = {key: tf.placeholder(tf.float32, (None,)) for key in self._masks}
        parts = self._sums(own, self._contents, self._shares)
        sums, slopes = (
            {key: zeros(f"{name}{number}", part.shape) for number, (key, part) in enumerate(parts.items())}
            for name in ("sum", "slope")
        )
        self._reset = [total.assign(tf.zeros_like(total)).op for total in sums.values()]
        self._add_sums = [sums[key].assign_add(part).op for key, part in parts.items()]
        gradient = zeros("gradient", self.picture.shape)
        self.gradient = gradient.read_value()
        pulled = [tf.reduce_sum(slopes[key] * part) for key, part in parts.items()]
        (part_of_gradient,) = tf.gradients(tf.add_n(pulled), self._seen)
        top, bottom, left, right = tf.unstack(self._outer)
        with tf.control_dependencies([part_of_gradient]):
            # Read whole, a variable that is written in parts would be copied.
            before = tf.gather(gradient, tf.range(top, bottom))[:, left:right]
        self._add_gradient = gradient[top:bottom, left:right].assign(before + part_of_gradient).op
        point, totals = self._point.read_value(), {key: total.read_value() for key, total in sums.items()}
        self._terms, total = self._assemble(point, totals)
        zero = tf.UnconnectedGradients.ZERO
        first, *pulls = tf.gradients(total, [point, *totals.values()], unconnected_gradients=zero)
        stored = [slope.assign(pull).op for slope, pull in zip(slopes.values(), pulls, strict=True)]
        self._begin_gradient = [gradient.assign(first).op, *stored]

    def _load(self, contents: dict[str, Floats]) -> None:
        self._features = contents

    def _feed(self, tile: Tile) -> dict[tf.Tensor, Any]:
        """What a tile needs: where it is, and its parts of the content's features and of the masks."""
        feed: dict[tf.Tensor, Any] = {self._outer: tile.outer, self._inner: tile.inner}
        for layer, part in self._contents.items():
            feed[part] = self._features[layer][:, *tile.positions(self._network.poolings(layer))]
        for key, part in self._shares.items():
            feed[part] = self._masks[key][tile.positions(self._network.poolings(key[1]))].ravel()
        return feed
