"""Settings as data: how to paint. The defaults are those of Gatys, Ecker and Bethge (2015)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from nst_graph.errors import InputError

STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


def layer_weights(layers: Mapping[str, float | None]) -> dict[str, float]:
    """Give each of n layers that has no weight of its own 1/n: without weights they sum to one."""
    return {name: 1 / len(layers) if weight is None else weight for name, weight in layers.items()}


@dataclass(frozen=True)
class Settings:
    """What decides a painting beside its pictures and the network.

    Raises InputError, naming the option, where a value cannot be used.
    """

    #: Longer side of the result, in pixels.
    size: int = 512
    #: Most iterations of L-BFGS.
    iterations: int = 1000
    #: Weight of the content, equation 7.
    alpha: float = 1.0
    #: Weight of the style, equation 7.
    beta: float = 1000.0
    #: Layers of equation 1, with weights.
    content_layers: Mapping[str, float] = field(default_factory=lambda: {"conv4_2": 1.0})
    #: Layers of equation 5, with weights w_l.
    style_layers: Mapping[str, float] = field(default_factory=lambda: layer_weights(dict.fromkeys(STYLE_LAYERS)))
    #: Weight of each style picture, scaled to sum to one; equal where there is none.
    style_blend: tuple[float, ...] | None = None
    #: "average" or "max".
    pooling: str = "average"
    #: "noise", "content", "style" (the first), or a picture's path.
    init: str = "noise"
    #: Share of noise in the start; where it is None, 1 for init "noise" and 0 for the others.
    noise_ratio: float | None = None
    #: Seed of the noise.
    seed: int = 0
    #: Iterations from one saved picture to the next.
    save_every: int = 100

    def __post_init__(self) -> None:
        for option, least in (("size", 1), ("iterations", 0), ("save_every", 1), ("seed", 0)):
            value = getattr(self, option)
            _require(value >= least, option, value, f"give a whole number of {least} or more")
        _require(self.seed < 2**32, "seed", self.seed, "give a whole number below 2^32")
        for option in ("alpha", "beta"):
            value = getattr(self, option)
            _require(_weight(value), option, value, "give a number of 0 or more")
        _require(self.alpha + self.beta > 0, "beta", self.beta, "give alpha or beta above 0: nothing would be painted")
        for option in ("content_layers", "style_layers"):
            layers = getattr(self, option)
            _require(bool(layers), option, "", "name at least one layer")
            for name, weight in layers.items():
                _require(_weight(weight), option, f"{name}={weight}", "give a weight of 0 or more")
        if self.style_blend is not None:
            text = " ".join(map(str, self.style_blend))
            good = all(map(_weight, self.style_blend)) and sum(self.style_blend) > 0
            _require(good, "style_blend", text, "give weights of 0 or more, one of them above 0")
        _require(self.pooling in ("average", "max"), "pooling", self.pooling, "give average or max")
        ratio = self.noise_ratio
        _require(ratio is None or 0 <= ratio <= 1, "noise_ratio", ratio, "give a number from 0 to 1")

    @property
    def start_noise(self) -> float:
        """The share of noise in the start."""
        if self.noise_ratio is not None:
            return self.noise_ratio
        return 1.0 if self.init == "noise" else 0.0

    def blend(self, styles: int) -> tuple[float, ...]:
        """The weight of each of so many style pictures; they sum to one."""
        weights = self.style_blend if self.style_blend is not None else (1.0,) * styles
        _require(
            len(weights) == styles, "style_blend", " ".join(map(str, weights)), f"give {styles}, one for each style"
        )
        return tuple(weight / sum(weights) for weight in weights)


def _weight(value: float) -> bool:
    return math.isfinite(value) and value >= 0


def _require(good: bool, option: str, value: object, remedy: str) -> None:
    if not good:
        raise InputError(f"--{option.replace('_', '-')} {value}: {remedy}")
