"""Settings as data: how to paint."""

from __future__ import annotations

import math
import os
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from nst_graph import places
from nst_graph.errors import InputError
from nst_graph.news import count

Source = TypeVar("Source")

STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")

NETWORKS = ("VGG-19", "VGG-16", "VGG-19 rescaled", "VGG-16 rescaled")
POOLINGS = ("average", "max", "l2")
PADDINGS = ("zeros", "replicate", "reflect")
CONTENT_LOSSES = ("equation1", "squares", "mean")
STYLE_LOSSES = ("equation4", "mean", "mean-over-size", "over-pixels", "wasserstein", "moments")
SMOOTHNESS_LOSSES = ("absolute", "squared", "power", "nine-point")
SIDES = ("longer", "shorter")
RESAMPLINGS = ("lanczos", "bicubic", "bilinear")
STYLE_SHAPES = ("content", "own", "area")
NOISES = ("grey", "uniform", "normal", "full-range")
OPTIMISERS = ("lbfgs", "adam", "gradient-descent")
LBFGS = ("auto", "scipy", "graph")
PRECISIONS = ("float32", "bfloat16", "auto")
CONVOLUTIONS = ("auto", "direct", "winograd")
TIMELAPSES = ("gif", "mp4")
#: The kinds of files that a picture is saved as, by suffix, and the bits a colour that each may have.
DEPTHS = {".png": (8, 16), ".jpg": (8,), ".jpeg": (8,), ".tif": (8, 16), ".tiff": (8, 16)}
COLOURS = ("painting", "luminance", "histogram", "covariance")


#: Other programs' names of choices.
SYNONYMS = {"avg": "average", "gray": "grey", "l-bfgs": "lbfgs"}


def layer_name(name: str) -> str:
    """conv1_1 for relu1_1 and block1_conv1, as others call it: features are taken after the rectifier."""
    return re.sub(r"(?:relu|block)(\d+)_(?:conv)?(\d+)", r"conv\1_\2", name)


def layer_weights(layers: Mapping[str, float | None]) -> dict[str, float]:
    """Give each of n layers that has no weight of its own 1/n: without weights they sum to one."""
    return {name: 1 / len(layers) if weight is None else weight for name, weight in layers.items()}


def equal(names: Iterable[str]) -> dict[str, float]:
    """Layers that weigh the same and sum to one."""
    return layer_weights(dict.fromkeys(names))


#: More curvature pairs than anybody's L-BFGS keeps.
MOST_CORRECTIONS = 1000
#: Of weights and rates; what is much larger float32 cannot hold.
LARGEST = 1e30
#: Share of the last scale's iterations that --precision auto leaves to float32.
FLOAT32_SHARE = 0.1


@dataclass(frozen=True)
class Stage:
    """A size as in Settings, the iterations there, and the type of the convolutions: of PRECISIONS, but not auto."""

    size: int | None
    iterations: int
    precision: str


@dataclass(frozen=True)
class Settings:
    """What decides a painting beside its pictures; the defaults are Gatys, Ecker and Bethge (2015).

    Raises InputError, naming the option, where a value cannot be used. Lists serve as tuples, as JSON has them.

    Attributes:
        network: Which weights are taken from model/ where none are named: VGG-19, VGG-16, VGG-19 rescaled or
            VGG-16 rescaled.
        size: A side of the result, in pixels; None: the photograph's.
        enlarge: Whether a photograph smaller than `size` is enlarged to it; else it keeps its size.
        side: Which side `size` is: longer or shorter.
        squash: Width and height, or their ratio, that the photograph is squashed to; None: it keeps its own.
        resample: The filter by which photograph, styles and a start are resized: lanczos, bicubic or bilinear.
        iterations: Most iterations, or steps, of the optimiser.
        alpha: Weight of the content, equation 7; 0 leaves texture synthesis.
        beta: Weight of the style, equation 7; 0 leaves content reconstruction.
        ratio_at: The `size`, or width and height, that alpha and beta are meant for: at others beta is scaled by
            the pixels there over those. Where it is None, beta is the same at all sizes.
        content_layers: Layers of the content, with weights.
        style_layers: Layers of equation 5, with weights w_l.
        content_loss: How differences of features are counted: equation1, squares or mean.
        style_loss: How differences of Gram matrices are counted: equation4, mean, mean-over-size, over-pixels or
            wasserstein.
        smoothness: Weight of the smoothness term.
        smoothness_loss: How roughness is counted: absolute, squared, power or nine-point.
        unit_gradients: Scale each layer's gradient to an L1 norm of its weight, as Johnson's neural-style can.
        style_blend: Weight of each style picture, scaled to sum to one; equal where there is none.
        style_shape: Whose shape a style picture is given: that of the content, to which it is stretched; its own,
            brought to `size` as the photograph is; or its own by area, with as many pixels as the photograph.
        style_scale: Size of the style pictures, relative to that: one number, or one for each.
        colours: Whose colours: those of the painting; luminance paints the photograph's lightness alone; histogram
            and covariance match the styles to the photograph first.
        pooling: How poolings pool: average, max or l2.
        padding: What the first convolution sees beyond the border: zeros, replicate or reflect.
        init: noise, content, style (the first), or a picture's path.
        noise_ratio: Share of noise in the start; where it is None, 1 for init "noise" and 0 for the others.
        noise: The distribution of the noise: grey, uniform, normal or full-range.
        noise_amplitude: Of grey and uniform noise its largest value, of normal noise its standard deviation, in
            grey levels.
        seed: Seed of the noise.
        optimiser: lbfgs, adam or gradient-descent.
        lbfgs: Whose L-BFGS: scipy, graph or auto, which is the graph's where there is a GPU, or where SciPy's takes
            too much memory.
        corrections: Curvature pairs that L-BFGS keeps.
        pixel_scale: What adam and gradient-descent divide red, green and blue by: their variables are the quotients.
        rate: Learning rate of adam and gradient-descent, for these variables.
        beta1: Adam's decay of the mean gradient.
        beta2: Adam's decay of the mean squared gradient.
        epsilon: Adam's guard against division by zero, for these variables.
        average: The decay of a running mean over the steps of adam and gradient-descent, which is what is shown and
            goes to the next scale; 0: the last step.
        bounded: Keep every pixel in 0..255: box bounds of L-BFGS-B; the others clip after each step.
        precision: Type of the convolutions: float32, bfloat16 or auto, which is bfloat16 where that is faster, and
            float32 for the last iterations.
        convolutions: How float32 is convolved: direct, winograd or auto, which is winograd where that is faster.
        scales: Sizes, in pixels, to paint at before `size`, each from the one before; those that are not below it are
            left out.
        scale_iterations: Iterations at each of `scales`.
        tile: Side of the tiles that are evaluated one by one; where it is None, as memory demands.
        save_every: Iterations from one saved picture to the next.
        depth: Bits a colour of the saved pictures, 8 or 16.
        tensorboard: Write losses and pictures for TensorBoard too.
        timelapse: A film of the saved pictures at the end: gif or mp4; None: no film.
    """

    network: str = "VGG-19"
    size: int | None = 512
    enlarge: bool = False
    side: str = "longer"
    squash: tuple[int, ...] | None = None
    resample: str = "lanczos"
    iterations: int = 1000
    alpha: float = 1.0
    beta: float = 1000.0
    ratio_at: tuple[int, ...] | None = None
    content_layers: Mapping[str, float] = field(default_factory=lambda: {"conv4_2": 1.0})
    style_layers: Mapping[str, float] = field(default_factory=lambda: equal(STYLE_LAYERS))
    content_loss: str = "equation1"
    style_loss: str = "equation4"
    smoothness: float = 0.0
    smoothness_loss: str = "absolute"
    unit_gradients: bool = False
    style_blend: tuple[float, ...] | None = None
    style_shape: str = "content"
    style_scale: float | tuple[float, ...] = 1.0
    colours: str = "painting"
    pooling: str = "average"
    padding: str = "zeros"
    init: str = "noise"
    noise_ratio: float | None = None
    noise: str = "grey"
    noise_amplitude: float = 20.0
    seed: int = 0
    optimiser: str = "lbfgs"
    lbfgs: str = "auto"
    corrections: int = 10
    pixel_scale: tuple[float, ...] = (1.0, 1.0, 1.0)
    rate: float = 10.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    average: float = 0.0
    bounded: bool = False
    precision: str = "float32"
    convolutions: str = "auto"
    scales: tuple[int, ...] = ()
    scale_iterations: tuple[int, ...] = ()
    tile: int | None = None
    save_every: int = 100
    depth: int = 8
    tensorboard: bool = False
    timelapse: str | None = None

    def __post_init__(self) -> None:
        for option, kind in _kinds().items():
            object.__setattr__(self, option, _typed(option, getattr(self, option), kind))
        for option, least in (("size", 1), ("iterations", 0), ("save_every", 1), ("seed", 0), ("corrections", 1)):
            value = getattr(self, option)
            _require(value is None or value >= least, option, value, f"give a whole number of {least} or more")
        for option, most in (("seed", 2**32 - 1), ("corrections", MOST_CORRECTIONS)):
            _require(getattr(self, option) <= most, option, getattr(self, option), f"give a whole number up to {most}")
        for option in ("alpha", "beta", "smoothness", "noise_amplitude"):
            value = getattr(self, option)
            _require(_weight(value), option, value, "give a number from 0 to 1e30")
        for option in ("style_scale", "rate", "epsilon"):
            value = getattr(self, option)
            good = all(map(_positive, value)) and value if isinstance(value, tuple) else _positive(value)
            _require(bool(good), option, _words(value), "give a number above 0, at most 1e30")
        for option, length in (("squash", 2), ("pixel_scale", 3)):
            value = getattr(self, option)
            good = value is None or (len(value) == length and all(map(_positive, value)))
            _require(good, option, _words(value), f"give {length} numbers above 0, at most 1e30")
        good = self.ratio_at is None or (len(self.ratio_at) in (1, 2) and all(side >= 1 for side in self.ratio_at))
        _require(good, "ratio_at", _words(self.ratio_at), "give a size, or width and height, in pixels")
        _require(not (self.bounded and self.lbfgs == "graph"), "lbfgs", self.lbfgs, "keeps no bounds; scipy does")
        for option in ("beta1", "beta2", "average"):
            value = getattr(self, option)
            _require(0 <= value < 1, option, value, "give a number from 0 to below 1")
        steps = self.optimiser != "lbfgs" or not self.average
        _require(steps, "average", self.average, "name adam or gradient-descent as --optimiser")
        _require(self.alpha + self.beta > 0, "beta", self.beta, "give alpha or beta above 0: nothing would be painted")
        for option in ("content_layers", "style_layers"):
            layers = getattr(self, option)
            _require(bool(layers), option, "", "name at least one layer")
            for name, weight in layers.items():
                _require(_weight(weight), option, f"{name}={weight}", "give a weight from 0 to 1e30")
        if self.style_blend is not None:
            good = all(map(_weight, self.style_blend)) and sum(self.style_blend) > 0
            _require(good, "style_blend", _words(self.style_blend), "give weights from 0 to 1e30, one of them above 0")
        for option, choices in CHOICES.items():
            value = getattr(self, option)
            good = value in choices or value is None is getattr(type(self), option)
            _require(good, option, value, _one_of(choices))
        for scale in self.scales:
            _require(scale >= 1, "scales", scale, "give whole numbers of 1 or more")
        fits = len(self.scale_iterations) == len(self.scales) and all(number >= 1 for number in self.scale_iterations)
        remedy = "give a whole number above 0 for each of --scales"
        _require(fits, "scale_iterations", _words(self.scale_iterations), remedy)
        _require(self.depth in (8, 16), "depth", self.depth, "give 8 or 16")
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
        scales = zip(self.scales, self.scale_iterations, strict=True)
        stages = [Stage(size, number, precision) for size, number in scales if size < (self.size or math.inf)]
        rest = self.iterations
        if self.precision == "auto" and precision != "float32":
            stages.append(Stage(self.size, round(rest * (1 - FLOAT32_SHARE)), precision))
            rest -= stages[-1].iterations
            precision = "float32"
        return [*stages, Stage(self.size, rest, precision)]

    def at(self, stage: Stage, shape: tuple[int, int]) -> Settings:
        """The settings of a stage at which the picture has this height and width."""
        beta = self.beta
        if self.ratio_at is not None:
            sides = shape if len(self.ratio_at) == 2 else [max(shape) if self.side == "longer" else min(shape)]
            beta *= (math.prod(sides) / math.prod(self.ratio_at)) ** (2 / len(sides))
        return replace(self, size=stage.size, scales=(), scale_iterations=(), beta=beta, ratio_at=None)

    def styles(
        self,
        content: Source,
        styles: Sequence[Source],
        masks: Sequence[object] = (),
        remedy: str = "name a photograph and at least one painting, before the options",
    ) -> tuple[Source, ...]:
        """The style pictures: where a texture names none, the content itself, at its size.

        Raises InputError where they are missing, with the remedy, or are not as many as their weights or masks.
        """
        styles = tuple(styles) or ((content,) if self.alpha == 0 else ())
        if not styles and self.beta > 0:
            raise InputError(f"STYLE is missing: {remedy}")
        self.blend(len(styles))
        self.style_scales(len(styles))
        if masks and len(masks) != len(styles):
            raise InputError(f"--masks: {len(masks)} for {count(len(styles), 'style')}; give one for each style")
        return styles

    def blend(self, styles: int) -> tuple[float, ...]:
        """The weight of each of so many style pictures; they sum to one."""
        weights = self.style_blend if self.style_blend is not None else (1.0,) * styles
        _require(len(weights) == styles, "style_blend", _words(weights), f"give {styles}, one for each style")
        return tuple(weight / sum(weights) for weight in weights)

    def style_scales(self, styles: int) -> tuple[float, ...]:
        """The scale of each of so many style pictures."""
        scales = self.style_scale if isinstance(self.style_scale, tuple) else (self.style_scale,) * styles
        remedy = f"give one number, or {styles}, one for each style"
        _require(len(scales) == styles, "style_scale", _words(scales), remedy)
        return scales


#: Starts that are no picture's path.
STARTS = ("noise", "content", "style")
#: The settings that are one of a few names.
CHOICES = {
    "network": NETWORKS,
    "content_loss": CONTENT_LOSSES,
    "style_loss": STYLE_LOSSES,
    "smoothness_loss": SMOOTHNESS_LOSSES,
    "side": SIDES,
    "resample": RESAMPLINGS,
    "style_shape": STYLE_SHAPES,
    "noise": NOISES,
    "colours": COLOURS,
    "pooling": POOLINGS,
    "padding": PADDINGS,
    "optimiser": OPTIMISERS,
    "lbfgs": LBFGS,
    "precision": PRECISIONS,
    "convolutions": CONVOLUTIONS,
    "timelapse": TIMELAPSES,
}


@cache
def _kinds() -> dict[str, Any]:
    """The annotated types of the settings."""
    return get_type_hints(Settings)


#: What to give where a value has another type than the setting.
REMEDIES: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "a name or a path",
    tuple: "a tuple of numbers",
    Mapping: "numbers by the names of layers, such as {'conv4_2': 1.0}",
}


def _typed(option: str, value: Any, kind: Any) -> Any:
    """The value as its setting's type and by our name: lists as tuples, relu1_1 as conv1_1. Raises InputError."""
    many, one = get_origin(kind) or kind, get_args(kind)
    if many is UnionType:  # of a type and None, or of a number and several
        if value is None and NoneType in one:
            return None
        kinds = [kind for kind in one if kind is not NoneType]
        several = isinstance(value, Iterable) and not isinstance(value, str)
        typed = _typed(option, value, kinds[-1 if several else 0])
        return typed[0] if len(kinds) > 1 and several and len(typed) == 1 else typed
    if many is bool or isinstance(value, bool):
        good = many is type(value)
    elif many is tuple and isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return tuple(_typed(option, item, one[0]) for item in value)
    elif many is Mapping and isinstance(value, Mapping):
        typed = {_typed(option, name, str): _typed(option, weight, float) for name, weight in value.items()}
        return {layer_name(name): weight for name, weight in typed.items()}
    elif many in (int, float) and isinstance(value, Integral):
        return int(value)
    elif many in (int, float) and isinstance(value, Real) and (many is float or float(value).is_integer()):
        return many(float(value))
    elif option == "init" and isinstance(value, str | os.PathLike) and value not in STARTS:
        return os.fspath(places.path(value))
    else:
        good = isinstance(value, many)
    if not good:
        remedy = _one_of(CHOICES[option]) if option in CHOICES else f"give {REMEDIES[many]}"
        raise _error(option, reprlib.repr(value), remedy)
    return SYNONYMS.get(value, value) if option in CHOICES else value


def _one_of(choices: Iterable[str]) -> str:
    return f"give one of {', '.join(choices)}"


def _weight(value: float) -> bool:
    return 0 <= value <= LARGEST


def _positive(value: float) -> bool:
    return _weight(value) and value > 0


def _words(values: float | Iterable[float] | None) -> str:
    return " ".join(map(str, values if isinstance(values, Iterable) else () if values is None else (values,)))


def _require(good: bool, option: str, value: object, remedy: str) -> None:
    if not good:
        raise _error(option, value, remedy)


def _error(option: str, value: object, remedy: str) -> InputError:
    return InputError(f"--{option.replace('_', '-')} {value}: {remedy}")
