"""The objective: a callable that takes a picture and returns its loss terms and their gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nst_graph import graph, losses
from nst_graph.errors import InputError
from nst_graph.pictures import Picture
from nst_graph.recipes import Settings
from nst_graph.tensorflow import tf
from nst_graph.weights import Network


@dataclass(frozen=True)
class Evaluation:
    """The objective at one picture.

    `terms` are unweighted, `total` is equation 7, `gradient` that of the total [height, width, 3].
    """

    terms: Mapping[str, float]
    total: float
    gradient: npt.NDArray[np.floating]


class Objective:
    """Equations 1 to 7 for one content and its styles, which all have the same size.

    `network` reaches as deep as the layers in use. The content's features and the styles' Gram
    matrices are computed once and are constants of the graph; one evaluation is one session call.
    With several styles the style term is the blend of their terms.
    """

    def __init__(
        self,
        network: Network,
        content: Picture,
        styles: Sequence[Picture],
        settings: Settings,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        height, width = content.shape[:2]
        need = network.smallest_side([*settings.content_layers, *settings.style_layers])
        if min(height, width) < need:
            raise InputError(
                f"--size: {width} x {height} pixels are too few for the deepest layer; "
                f"use a larger picture, or layers that are less deep (each side needs {need})"
            )
        self._dtype = np.dtype(dtype)
        self._weights = {"content": settings.alpha, "style": settings.beta}
        with tf.Graph().as_default() as within:
            self._session = tf.Session(graph=within)
            self._picture = tf.placeholder(self._dtype, content.shape, name="picture")
            features = graph.build(network, self._picture, settings.pooling)
            contents = {name: features[name] for name in settings.content_layers}
            grams = {name: losses.gram(features[name]) for name in settings.style_layers}
            wanted = self._run(contents, content)
            painted = [self._run(grams, style) for style in styles]

            content_terms = [
                weight * losses.content(features[name], tf.constant(wanted[name]))
                for name, weight in settings.content_layers.items()
            ]
            style_terms = [
                share * weight * losses.style(features[name], tf.constant(targets[name]))
                for share, targets in zip(settings.blend(len(styles)), painted, strict=True)
                for name, weight in settings.style_layers.items()
            ]
            self._terms = {"content": tf.add_n(content_terms), "style": tf.add_n(style_terms)}
            total = tf.add_n([self._weights[name] * term for name, term in self._terms.items()])
            (self._gradient,) = tf.gradients(total, self._picture)

    def __call__(self, picture: npt.NDArray[np.floating]) -> Evaluation:
        """Evaluate at a picture [height, width, 3], in one session call."""
        values, gradient = self._run((self._terms, self._gradient), picture)
        terms = {name: float(value) for name, value in values.items()}
        total = sum(self._weights[name] * value for name, value in terms.items())
        return Evaluation(terms, total, gradient)

    def _run(self, fetches: Any, picture: npt.NDArray[np.floating]) -> Any:
        return self._session.run(fetches, {self._picture: picture.astype(self._dtype, copy=False)})
