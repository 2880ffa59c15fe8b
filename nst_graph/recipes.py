"""Settings as data: how to paint, and the named recipes.

To add a recipe, write its numbers into RECIPES.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nst_graph.errors import InputError

STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")

NETWORKS = ("VGG-19", "VGG-16", "VGG-19 rescaled", "VGG-16 rescaled")
POOLINGS = ("average", "max")
CONTENT_LOSSES = ("equation1", "squares", "mean")
STYLE_LOSSES = ("equation4", "mean", "mean-over-size", "over-pixels")
SMOOTHNESS_LOSSES = ("absolute", "power")
OPTIMISERS = ("lbfgs", "adam", "gradient-descent")
LBFGS = ("auto", "scipy", "graph")
PRECISIONS = ("float32", "tf32", "bfloat16", "auto")
CONVOLUTIONS = ("auto", "direct", "winograd")
TIMELAPSES = ("gif", "mp4")
COLOURS = ("painting", "luminance", "histogram", "covariance")


def layer_weights(layers: Mapping[str, float | None]) -> dict[str, float]:
    """Give each of n layers that has no weight of its own 1/n: without weights they sum to one."""
    return {name: 1 / len(layers) if weight is None else weight for name, weight in layers.items()}


def equal(names: Iterable[str]) -> dict[str, float]:
    """Layers that weigh the same and sum to one."""
    return layer_weights(dict.fromkeys(names))


#: Of weights and rates; what is much larger float32 cannot hold.
LARGEST = 1e30
#: Share of the last scale's iterations that --precision auto leaves to float32.
FLOAT32_SHARE = 0.1


@dataclass(frozen=True)
class Stage:
    """A longer side in pixels, the iterations there, and the type of the convolutions: of PRECISIONS, but not auto."""

    size: int
    iterations: int
    precision: str


@dataclass(frozen=True)
class Settings:
    """What decides a painting beside its pictures; the defaults are Gatys, Ecker and Bethge (2015).

    Raises InputError, naming the option, where a value cannot be used.
    """

    #: Which weights are taken from model/ where none are named; one of NETWORKS.
    network: str = "VGG-19"
    #: Longer side of the result, in pixels.
    size: int = 512
    #: Most iterations, or steps, of the optimiser.
    iterations: int = 1000
    #: Weight of the content, equation 7; 0 leaves texture synthesis.
    alpha: float = 1.0
    #: Weight of the style, equation 7; 0 leaves content reconstruction.
    beta: float = 1000.0
    #: Layers of the content, with weights.
    content_layers: Mapping[str, float] = field(default_factory=lambda: {"conv4_2": 1.0})
    #: Layers of equation 5, with weights w_l.
    style_layers: Mapping[str, float] = field(default_factory=lambda: equal(STYLE_LAYERS))
    #: How differences of features are counted; one of CONTENT_LOSSES.
    content_loss: str = "equation1"
    #: How differences of Gram matrices are counted; one of STYLE_LOSSES.
    style_loss: str = "equation4"
    #: Weight of the smoothness term.
    smoothness: float = 0.0
    #: How roughness is counted; one of SMOOTHNESS_LOSSES.
    smoothness_loss: str = "absolute"
    #: Scale each layer's gradient to an L1 norm of its weight, as Johnson's neural-style can.
    unit_gradients: bool = False
    #: Weight of each style picture, scaled to sum to one; equal where there is none.
    style_blend: tuple[float, ...] | None = None
    #: Size of the style pictures, relative to the content's.
    style_scale: float = 1.0
    #: Whose colours; one of COLOURS.
    colours: str = "painting"
    #: One of POOLINGS.
    pooling: str = "average"
    #: "noise", "content", "style" (the first), or a picture's path.
    init: str = "noise"
    #: Share of noise in the start; where it is None, 1 for init "noise" and 0 for the others.
    noise_ratio: float | None = None
    #: Seed of the noise.
    seed: int = 0
    #: One of OPTIMISERS.
    optimiser: str = "lbfgs"
    #: Whose L-BFGS: one of LBFGS. "auto" is the graph's where there is a GPU, or where SciPy's takes too much memory.
    lbfgs: str = "auto"
    #: Learning rate of adam and gradient-descent, for pixels in 0..255.
    rate: float = 10.0
    #: Adam's decay of the mean gradient.
    beta1: float = 0.9
    #: Adam's guard against division by zero, for pixels in 0..255.
    epsilon: float = 1e-8
    #: Keep every pixel in 0..255: box bounds of L-BFGS-B; the others clip after each step.
    bounded: bool = False
    #: Type of the convolutions: one of PRECISIONS; auto is tf32 on a GPU, bfloat16 where that is
    #: faster, and float32 for the last iterations.
    precision: str = "float32"
    #: How float32 is convolved: one of CONVOLUTIONS; auto is winograd where that is faster, see winograd.py.
    convolutions: str = "auto"
    #: Longer sides, in pixels, to paint at before `size`, each from the one before.
    scales: tuple[int, ...] = ()
    #: Iterations at each of `scales`.
    scale_iterations: tuple[int, ...] = ()
    #: Side of the tiles that are evaluated one by one; where it is None, as memory demands.
    tile: int | None = None
    #: Iterations from one saved picture to the next.
    save_every: int = 100
    #: Write losses and pictures for TensorBoard too.
    tensorboard: bool = False
    #: A film of the saved pictures at the end: one of TIMELAPSES, or None.
    timelapse: str | None = None

    def __post_init__(self) -> None:
        for option, least in (("size", 1), ("iterations", 0), ("save_every", 1), ("seed", 0)):
            value = getattr(self, option)
            _require(value >= least, option, value, f"give a whole number of {least} or more")
        _require(self.seed < 2**32, "seed", self.seed, "give a whole number below 2^32")
        for option in ("alpha", "beta", "smoothness"):
            value = getattr(self, option)
            _require(_weight(value), option, value, "give a number from 0 to 1e30")
        for option in ("style_scale", "rate", "epsilon"):
            value = getattr(self, option)
            _require(_weight(value) and value > 0, option, value, "give a number above 0, at most 1e30")
        _require(not (self.bounded and self.lbfgs == "graph"), "lbfgs", self.lbfgs, "keeps no bounds; scipy does")
        _require(0 <= self.beta1 < 1, "beta1", self.beta1, "give a number from 0 to below 1")
        _require(self.alpha + self.beta > 0, "beta", self.beta, "give alpha or beta above 0: nothing would be painted")
        for option in ("content_layers", "style_layers"):
            layers = getattr(self, option)
            _require(bool(layers), option, "", "name at least one layer")
            for name, weight in layers.items():
                _require(_weight(weight), option, f"{name}={weight}", "give a weight from 0 to 1e30")
        if self.style_blend is not None:
            text = " ".join(map(str, self.style_blend))
            good = all(map(_weight, self.style_blend)) and sum(self.style_blend) > 0
            _require(good, "style_blend", text, "give weights from 0 to 1e30, one of them above 0")
        for option, choices in CHOICES.items():
            value = getattr(self, option)
            good = value in choices or value is None is getattr(type(self), option)
            _require(good, option, value, f"give one of {', '.join(choices)}")
        for scale in self.scales:
            _require(0 < scale < self.size, "scales", scale, f"give sizes below --size {self.size}")
        fits = len(self.scale_iterations) == len(self.scales) and all(number >= 1 for number in self.scale_iterations)
        given = " ".join(map(str, self.scale_iterations))
        _require(fits, "scale_iterations", given, "give a whole number above 0 for each of --scales")
        _require(self.tile is None or self.tile >= 16, "tile", self.tile, "give 16 pixels or more")
        ratio = self.noise_ratio
        _require(ratio is None or 0 <= ratio <= 1, "noise_ratio", ratio, "give a number from 0 to 1")

    @property
    def start_noise(self) -> float:
        """The share of noise in the start."""
        if self.noise_ratio is not None:
            return self.noise_ratio
        return 1.0 if self.init == "noise" else 0.0

    @property
    def layers(self) -> list[str]:
        """The layers in use: those of the terms that weigh anything."""
        return [*(self.content_layers if self.alpha else ()), *(self.style_layers if self.beta else ())]

    def stages(self, fastest: str) -> list[Stage]:
        """What is painted one after the other; `fastest` is the type that "auto" stands for, but at the end."""
        precision = fastest if self.precision == "auto" else self.precision
        before = zip(self.scales, self.scale_iterations, strict=True)
        stages = [Stage(size, iterations, precision) for size, iterations in before]
        rest = self.iterations
        if self.precision == "auto" and precision != "float32":
            stages.append(Stage(self.size, round(rest * (1 - FLOAT32_SHARE)), precision))
            rest -= stages[-1].iterations
            precision = "float32"
        return [*stages, Stage(self.size, rest, precision)]

    def blend(self, styles: int) -> tuple[float, ...]:
        """The weight of each of so many style pictures; they sum to one."""
        weights = self.style_blend if self.style_blend is not None else (1.0,) * styles
        _require(
            len(weights) == styles, "style_blend", " ".join(map(str, weights)), f"give {styles}, one for each style"
        )
        return tuple(weight / sum(weights) for weight in weights)


#: Starts that are no picture's path.
STARTS = ("noise", "content", "style")
#: The settings that are one of a few names.
CHOICES = {
    "network": NETWORKS,
    "content_loss": CONTENT_LOSSES,
    "style_loss": STYLE_LOSSES,
    "smoothness_loss": SMOOTHNESS_LOSSES,
    "colours": COLOURS,
    "pooling": POOLINGS,
    "optimiser": OPTIMISERS,
    "lbfgs": LBFGS,
    "precision": PRECISIONS,
    "convolutions": CONVOLUTIONS,
    "timelapse": TIMELAPSES,
}


def _weight(value: float) -> bool:
    return 0 <= value <= LARGEST


def _require(good: bool, option: str, value: object, remedy: str) -> None:
    if not good:
        raise InputError(f"--{option.replace('_', '-')} {value}: {remedy}")


#: What --fast paints before the last scale, as shares of its size, and the iterations at the first
#: scale, which begins with noise, at others, and at the last.
FAST_SCALES = (0.125, 0.25)
FAST_FIRST, FAST_NEXT, FAST_ITERATIONS = 60, 35, 150
#: Below this a scale is left out: its deepest layer would see next to nothing.
SMALLEST_SCALE = 64


def fast(size: int) -> dict[str, Any]:
    """The settings that --fast stands for at a size."""
    scales = tuple(round(share * size) for share in FAST_SCALES if share * size >= SMALLEST_SCALE)
    return {
        "precision": "auto",
        "scales": scales,
        "scale_iterations": (FAST_FIRST, *[FAST_NEXT] * len(scales))[: len(scales)],
        "iterations": FAST_ITERATIONS,
    }


@dataclass(frozen=True)
class Recipe:
    """Settings under a name, and a line that says whose they are."""

    about: str
    settings: Settings


_FILTERS = {"conv1_1": 64, "conv2_1": 128, "conv3_1": 256, "conv4_1": 512, "conv5_1": 512}


# The rates on record make the loss grow at once on pixels in 0..255 (from 9.06e9 to 9.5e11 and
# 1.6e19, at 128 pixels); divided by 255, as for pixels in 0..1, every variant descends.
def _shibuya(
    alpha: float,
    beta: float,
    smoothness: float,
    iterations: int,
    rate: float,
    *,
    init: str = "content",
    content: str = "conv5_2",
    style: Iterable[str] = STYLE_LAYERS,
) -> Settings:
    return Settings(
        network="VGG-16",
        pooling="max",
        init=init,
        alpha=alpha,
        beta=beta,
        smoothness=smoothness,
        smoothness_loss="power",
        content_layers=equal([content]),
        style_layers=equal(style),
        content_loss="squares",
        style_loss="over-pixels",
        optimiser="gradient-descent",
        rate=rate / 255,
        iterations=iterations,
        save_every=max(1, iterations // 10),
    )


#: The recipe in force where none is named.
DEFAULT = "gatys2015"
#: The authors' notebook, whose losses are published.
NOTEBOOK = "gatys2016"

RECIPES = {
    DEFAULT: Recipe("Gatys, Ecker, Bethge 2015: the paper, white noise, average pooling, L-BFGS", Settings()),
    NOTEBOOK: Recipe(
        "the authors' released notebook: means for sums, 1e3/N^2 per layer, max pooling, from the content",
        Settings(
            pooling="max",
            init="content",
            beta=1.0,
            content_loss="mean",
            style_loss="mean",
            style_layers={name: 1e3 / filters**2 for name, filters in _FILTERS.items()},
            iterations=500,
            save_every=50,
        ),
    ),
    "gatys2016-rescaled": Recipe(
        "the same on the rescaled network: content 1e6, style 1e9 over the layers",
        Settings(
            network="VGG-19 rescaled",
            pooling="max",
            init="content",
            alpha=1e6,
            beta=1e9,
            content_loss="mean",
            style_loss="mean",
            iterations=500,
            save_every=50,
        ),
    ),
    # Its optimiser is not on record ("iterations of one session"): L-BFGS, as in the paper.
    "devos": Recipe(
        "de Vos, TensorFlow 1: the paper from 60 % noise and 40 % content, 640 pixels",
        Settings(noise_ratio=0.6, size=640),
    ),
    "shibuya2017": Recipe("Shibuya 2017, Keras, cats into art: VGG-16, 10 steps", _shibuya(0.8, 1, 0.1, 10, 0.001)),
    "shibuya2017-style": Recipe("the same, style alone, 100 steps", _shibuya(0, 1, 0, 100, 0.01)),
    "shibuya2017-both": Recipe("the same, content and style alike", _shibuya(1, 1, 0, 100, 0.01)),
    "shibuya2017-smooth": Recipe("the same, and smoothness 0.7", _shibuya(1, 1, 0.7, 100, 0.01)),
    "shibuya2017-light": Recipe("the same, content 0.1, smoothness 0.1", _shibuya(0.1, 1, 0.1, 100, 0.001)),
    "shibuya2017-noise": Recipe("the same from noise, 5000 steps", _shibuya(1, 0.05, 0.01, 5000, 0.03, init="noise")),
    "shibuya2017-conv5_1": Recipe(
        "shibuya2017 with content from conv5_1", _shibuya(0.8, 1, 0.1, 10, 0.001, content="conv5_1")
    ),
    "shibuya2017-conv5_3": Recipe(
        "shibuya2017 with content from conv5_3", _shibuya(0.8, 1, 0.1, 10, 0.001, content="conv5_3")
    ),
    "shibuya2017-three": Recipe(
        "shibuya2017 with style from three layers",
        _shibuya(0.8, 1, 0.1, 10, 0.001, style=("conv1_2", "conv2_2", "conv3_3")),
    ),
    "shibuya2017-last": Recipe(
        "shibuya2017 with style from each block's last layer",
        _shibuya(0.8, 1, 0.1, 10, 0.001, style=("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")),
    ),
    # The rate is 0.003 on pixels that torchvision divides by 255 and a deviation of about 0.226;
    # "the same small size" is taken as 400.
    "vgg19-adam": Recipe(
        "PyTorch course notebook: VGG-19, max pooling, from the content, Adam",
        Settings(
            pooling="max",
            init="content",
            size=400,
            beta=1e6,
            content_loss="mean",
            style_loss="mean-over-size",
            style_layers={"conv1_1": 1.0, "conv2_1": 0.8, "conv3_1": 0.5, "conv4_1": 0.3, "conv5_1": 0.1},
            optimiser="adam",
            rate=0.003 * 0.226 * 255,
            iterations=2000,
        ),
    ),
    # Its pixels are in 0..1: the weight of their variation, Adam's rate and epsilon are scaled.
    "bisht2020": Recipe(
        "Bisht 2020, TensorFlow 2: VGG-19, max pooling, from the content, Adam, clipped",
        Settings(
            pooling="max",
            init="content",
            alpha=1e4,
            beta=1e-2,
            smoothness=4e-4 / 255,
            content_layers={"conv5_2": 1.0},
            content_loss="mean",
            style_loss="mean",
            optimiser="adam",
            rate=0.02 * 255,
            beta1=0.99,
            epsilon=0.1 / 255,
            bounded=True,
        ),
    ),
    # No number but the layers' kind is on record: the weights and the rate are ours.
    "avelar2019": Recipe(
        "Avelar 2019, PyTorch: several paintings at once, one late layer, gradient descent",
        Settings(
            init="content",
            content_layers={"conv5_2": 1.0},
            content_loss="mean",
            style_loss="mean",
            beta=1e-4,
            optimiser="gradient-descent",
            rate=3.0,  # VGG-19 diverges at 10
        ),
    ),
}
