"""Settings as data: how to paint."""

from __future__ import annotations

import functools
import math
import os
import re
import reprlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from numbers import Integral, Real
from typing import Any, TypeVar

from nst_graph import places
from nst_graph.errors import InputError, OptionError
from nst_graph.news import count

Source = TypeVar("Source")

STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
CONTENT_LOSSES = ("equation1", "squares", "mean")
STYLE_LOSSES = ("equation4", "mean", "mean-over-size", "over-pixels", "wasserstein", "moments")
SMOOTHNESS_LOSSES = ("absolute", "squared", "power", "nine-point")
OPTIMISERS = ("lbfgs", "adam", "gradient-descent")
LBFGS = ("auto", "scipy", "graph")
PRECISIONS = ("float32", "tf32", "bfloat16", "auto")
#: The kinds of files that a picture is saved as, by suffix, and the bits a colour that each may have.
DEPTHS = {".png": (8, 16), ".jpg": (8,), ".jpeg": (8,), ".tif": (8, 16), ".tiff": (8, 16)}
COLOURS = ("painting", "luminance", "luminance-first", "histogram", "covariance", "match-photograph")
GUIDES = ("average", "simple", "inside", "all")
#: Starts that are no picture's path.
STARTS = ("noise", "content", "style")
#: The settings that may name a picture, and their values that name none.
PATHS: dict[str, tuple[str, ...]] = {"init": STARTS, "style_detail": ()}
#: Other programs' names of choices.
SYNONYMS = {"avg": "average", "gray": "grey", "l-bfgs": "lbfgs"}


def layer_name(name: str) -> str:
    """conv1_1 for relu1_1 and block1_conv1, pool1 for block1_pool: features are taken after the rectifier."""
    name = re.sub(r"block(\d+)_pool", r"pool\1", name)
    return re.sub(r"(?:relu|block)(\d+)_(?:conv)?(\d+)", r"conv\1_\2", name)


def equal(names: Collection[str]) -> dict[str, float]:
    """Layers that weigh the same and sum to one."""
    return dict.fromkeys(names, 1 / len(names))


#: Of weights and rates; what is much larger float32 cannot hold.
LARGEST = 1e30


@dataclass(frozen=True)
class Bounds:
    """What a number, or each of several, may be, what several may be together, and what to give instead."""

    holds: Callable[[float], bool]
    remedy: str
    holds_together: Callable[[Sequence[float]], bool] = lambda values: True


def at_least(least: int, most: float = math.inf) -> Bounds:
    """Whole numbers from `least` to `most`."""
    remedy = f"give a whole number of {least} or more" + ("" if most == math.inf else f", up to {most:.0f}")
    return Bounds(lambda value: least <= value <= most, remedy)


WEIGHT = Bounds(lambda value: 0 <= value <= LARGEST, "give a number from 0 to 1e30")
POSITIVE = Bounds(lambda value: 0 < value <= LARGEST, "give a number above 0, at most 1e30")
DECAY = Bounds(lambda value: 0 <= value < 1, "give a number from 0 to below 1")
SHARE = Bounds(lambda value: 0 <= value <= 1, "give a number from 0 to 1")
SIDE = Bounds(lambda side: side >= 1, "give a size, or width and height, in pixels", lambda sides: len(sides) in (1, 2))
BLEND = Bounds(WEIGHT.holds, "give weights from 0 to 1e30, one of them above 0", lambda weights: sum(weights) > 0)
LAYERS = Bounds(WEIGHT.holds, "name layers, with weights from 0 to 1e30")
SCALES = Bounds(lambda size: size >= 1, "give whole numbers of 1 or more")
EACH_SCALE = Bounds(lambda number: number >= 1, "give a whole number above 0 for each of the scales")
TILE = Bounds(lambda side: side >= 16, "give 16 pixels or more")
BITS = Bounds(lambda bits: bits in (8, 16), "give 8 or 16")


@dataclass(frozen=True)
class Option:
    """How a setting is declared: for the checks, the command line, the docstring and the table of docs/usage.md.

    `limits` are bounds or choices, `metavar` stands for its value, or several words for so many values, and `names` are
    what other programs call it. In --help it is in the `group` of this title. `kind` is the annotated type.
    """

    group: str
    default: Any
    about: str
    limits: Bounds | tuple[str, ...] | None = None
    metavar: str = ""
    names: str = ""
    kind: str = ""

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that it may have; empty where these are not a few names."""
        return self.limits if isinstance(self.limits, tuple) else ()

    @property
    def count(self) -> int | None:
        """How many values it has, where that does not change."""
        return len(self.metavar.split()) if " " in self.metavar else None

    @property
    def help(self) -> str:
        """What it is about, and its choices."""
        return f"{self.about}: {', '.join(self.choices)}" if self.choices else self.about

    @property
    def shown_default(self) -> str:
        """The default as it is typed; nothing for what is off."""
        value = () if self.default is None or self.default is False else self.default
        values = value if isinstance(value, tuple | Mapping) else (value,)
        return " ".join(f"{each:g}" if isinstance(each, float) else str(each) for each in values)

    @property
    def remedy(self) -> str:
        """What to give in the place of a value that cannot be used."""
        if isinstance(self.limits, Bounds):
            return self.limits.remedy.replace("a number", f"{self.count} numbers" if self.count else "a number")
        if self.limits is None:
            return "give True or False" if self.kind == "bool" else "give a name or a path"
        return f"give one of {', '.join(self.limits)}"

    def allows(self, value: Any) -> bool:
        """Whether a value of its type is within its limits."""
        if value is None or self.limits is None:
            return True
        if not isinstance(self.limits, Bounds):
            return value in self.limits
        values = tuple(value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else [value])
        enough = len(values) == self.count if self.count else values or self.default == ()
        return bool(enough) and self.limits.holds_together(values) and all(map(self.limits.holds, values))


class Options:
    """The base of dataclasses whose fields are options, made of values of their types and within their limits.

    Raises InputError, naming the option, where a value cannot be used. Lists serve as tuples, as JSON has them.
    """

    def __post_init__(self) -> None:
        for name, option in options_of(type(self)).items():
            value = _convert(name, getattr(self, name), option.kind, option.remedy)
            object.__setattr__(self, name, value)
            _require(option.allows(value), name, value, option.remedy)

    def __repr__(self) -> str:
        """What is not the default."""
        values = {name: value for name, value in vars(self).items() if value != options_of(type(self))[name].default}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in values.items())})"


def options_of(declared: Any) -> dict[str, Option]:
    """How each field of a dataclass is declared, by name, in their order."""
    return {one.name: replace(one.metadata["option"], kind=str(one.type)) for one in fields(declared)}


def option(group: str, default: Any, *about: Any, **names: Any) -> Any:
    """Declare an option of a group as a field of a dataclass: its default, and the other parts of an Option."""
    metadata = {"option": Option(group, default, *about, **names)}
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


#: The groups of --help.
GROUPS = ("what is painted", "the styles", "how it is painted", "how fast, and how large", "what is saved")
WHAT, STYLE, HOW, SPEED, SAVED = (functools.partial(option, group) for group in GROUPS)
PYTHON = functools.partial(option, "")  # of what is no option of the command line


@dataclass(frozen=True, repr=False)
class Settings(Options):
    """What decides a painting beside its pictures; the defaults are Gatys, Ecker and Bethge (2015).

    Raises InputError, naming the option, where a value cannot be used. Lists serve as tuples, as JSON has them.

    >>> settings = Settings(size=256, style_layers={"conv1_1": 0.5, "relu2_1": 0.5})
    >>> settings.beta, settings.layers
    (1000.0, ['conv4_2', 'conv1_1', 'conv2_1'])
    """

    network: str = PYTHON(
        "VGG-19",
        "which weights are taken from model/ where none are named",
        ("VGG-19", "VGG-16", "VGG-19 rescaled", "VGG-16 rescaled"),
    )
    size: int | None = WHAT(
        512, "a side of the result, in pixels, or original; a smaller photograph keeps its own", at_least(1), "PIXELS"
    )
    enlarge: bool = WHAT(False, "enlarge a smaller photograph to --size")
    side: str = WHAT(
        "longer", "which side --size is; area: that of a square of as many pixels", ("longer", "shorter", "area")
    )
    squash: tuple[int, ...] | None = WHAT(
        None, "squash the photograph to this ratio of width and height", POSITIVE, "WIDTH HEIGHT"
    )
    resample: str = WHAT("lanczos", "filter by which pictures are resized", ("lanczos", "bicubic", "bilinear"))
    iterations: int = HOW(1000, "number of iterations, at most", at_least(0))
    alpha: float = WHAT(
        1.0, "weight of the photograph, equation 7; 0: only the STYLE's texture", WEIGHT, names="--content-weight"
    )
    beta: float = WHAT(
        1000.0,
        "weight of the style, equation 7: more paints more; 0: only the CONTENT, reconstructed",
        WEIGHT,
        names="--style-weight",
    )
    ratio_at: tuple[int, ...] | None = WHAT(
        None, "size, or width and height, whose balance all sizes get: beta follows the pixels", SIDE, "PIXELS"
    )
    content_layers: Mapping[str, float] = WHAT(
        {"conv4_2": 1.0}, "layers of the content; of n layers, one without a weight gets 1/n", LAYERS, "LAYER[=WEIGHT]"
    )
    style_layers: Mapping[str, float] = WHAT(
        equal(STYLE_LAYERS),
        "layers of the style, w_l of equation 5; of n layers, one without a weight gets 1/n",
        LAYERS,
        "LAYER[=WEIGHT]",
    )
    content_loss: str = WHAT("equation1", "how features are compared", CONTENT_LOSSES)
    style_loss: str = WHAT("equation4", "how features' statistics are compared", STYLE_LOSSES)
    smoothness: float = WHAT(0.0, "weight of the smoothness term", WEIGHT, "WEIGHT", "--tv-weight")
    smoothness_loss: str = WHAT("absolute", "how roughness is measured", SMOOTHNESS_LOSSES)
    unit_gradients: bool = WHAT(False, "scale each layer's gradient to an L1 norm of its weight")
    style_blend: tuple[float, ...] | None = STYLE(
        None, "weight of each STYLE, or region, scaled to sum to one (default: equal)", BLEND, "WEIGHT"
    )
    guides: str = STYLE(
        "average", "how masks come to layers: pooled, resampled, where nothing else is seen, where any is seen", GUIDES
    )
    widen_guides: int = STYLE(
        0, "widen masks by so many positions of each layer, or narrow them, after a threshold of 0.5", at_least(-99, 99)
    )
    guided_sums: float = STYLE(
        0.0, "weight of mean features of each mask beside one Gram matrix of all; 0: a Gram matrix for each", WEIGHT
    )
    style_shape: str = STYLE(
        "content",
        "whose shape a STYLE gets; its own: --size as the photograph's, or by its area",
        ("content", "own", "area"),
    )
    style_scale: float | tuple[float, ...] = STYLE(
        1.0, "size of all STYLEs, or of each, relative to that", POSITIVE, "FACTOR"
    )
    colours: str = STYLE(
        "painting",
        "luminance paints the lightness alone, luminance-first in grey, histogram and covariance match the STYLE's "
        "colours first, match-photograph the photograph's",
        COLOURS,
        names="--colors --color --colour",
    )
    match_histogram: bool = STYLE(False, "match each channel's histogram to the STYLEs' in what is saved")
    style_detail: str | None = STYLE(None, "a painting whose fine strokes each STYLE gets first", metavar="PAINTING")
    pooling: str = WHAT("average", "how poolings pool", ("average", "max", "l2"))
    pool_rounding: str = WHAT(
        "down", "where a side is odd: down leaves its last position out, up pools it alone, as in Caffe", ("down", "up")
    )
    padding: str = WHAT("zeros", "what the first convolution sees beyond the border", ("zeros", "replicate", "reflect"))
    init: str = HOW("noise", "the start: noise, content, style or a picture FILE", metavar="START")
    noise_ratio: float | None = HOW(
        None, "start from RATIO * noise + (1 - RATIO) * picture, by default 1 or 0", SHARE, "RATIO"
    )
    noise: str = HOW("grey", "distribution of the noise", ("grey", "uniform", "normal", "full-range"))
    noise_amplitude: float = HOW(
        20.0, "largest value of grey or uniform noise, deviation of normal noise, in grey levels", WEIGHT
    )
    seed: int = HOW(0, "seed of the noise", at_least(0, 2**32 - 1))
    optimiser: str = HOW("lbfgs", "the optimiser", OPTIMISERS, names="--optimizer")
    lbfgs: str = HOW(
        "auto", "whose L-BFGS; auto is the graph's on a GPU, and where SciPy's takes too much memory", LBFGS
    )
    corrections: int = HOW(10, "curvature pairs that L-BFGS keeps", at_least(1, 1000))
    pixel_scale: tuple[float, ...] = HOW(
        (1.0, 1.0, 1.0),
        "what adam and gradient-descent divide the channels by, before --rate and --epsilon",
        POSITIVE,
        "RED GREEN BLUE",
    )
    rate: float = HOW(10.0, "learning rate of adam and gradient-descent", POSITIVE, names="--learning-rate")
    beta1: float = HOW(0.9, "adam's decay of the mean gradient", DECAY)
    beta2: float = HOW(0.999, "adam's decay of the mean squared gradient", DECAY)
    epsilon: float = HOW(1e-8, "adam's guard against division by zero", POSITIVE)
    average: float = HOW(0.0, "show the running mean of adam's or gradient-descent's steps, by this decay", DECAY)
    bounded: bool = HOW(False, "keep every pixel in 0..255 while painting")
    precision: str = SPEED(
        "float32",
        "type of the convolutions; auto is bfloat16 where that is fast, float32 at the end, and tf32 a GPU's",
        PRECISIONS,
    )
    convolutions: str = SPEED(
        "auto",
        "how float32 is convolved; winograd has fewer multiplications, to five digits the same",
        ("auto", "direct", "winograd"),
    )
    scales: tuple[int, ...] = SPEED((), "longer sides to paint at first", SCALES, "PIXELS")
    scale_iterations: tuple[int, ...] = SPEED((), "iterations at each of --scales", EACH_SCALE, "N")
    tile: int | None = SPEED(None, "rows of strips, for large pictures (default: as memory demands)", TILE, "PIXELS")
    memory: float | None = SPEED(
        None, "memory that a painting may take, in GB (default: four fifths of the machine's)", POSITIVE, "GB"
    )
    save_every: int = SAVED(100, "iterations between pictures", at_least(1))
    depth: int = SAVED(8, "bits a colour of the saved pictures: 8, or 16 for printing", BITS, "BITS")
    dpi: int | None = SAVED(None, "dots an inch that the saved pictures name, for printers", at_least(1, 99999))
    tensorboard: bool = SAVED(False, "write losses and pictures for TensorBoard too")
    timelapse: str | None = SAVED(None, "a film of the saved pictures at the end", ("gif", "mp4"), "KIND")

    def __post_init__(self) -> None:
        super().__post_init__()
        fits = len(self.scale_iterations) == len(self.scales)
        _require(fits, "scale_iterations", self.scale_iterations, EACH_SCALE.remedy)
        steps = self.optimiser != "lbfgs" or not self.average
        _require(steps, "average", self.average, "name adam or gradient-descent as optimiser")
        _require(self.alpha + self.beta > 0, "beta", self.beta, "give alpha or beta above 0: nothing would be painted")

    @property
    def start_noise(self) -> float:
        """The share of noise in the start."""
        if self.noise_ratio is not None:
            return self.noise_ratio
        return 1.0 if self.init == "noise" else 0.0

    @property
    def paths(self) -> dict[str, str]:
        """The pictures that these settings name, by setting."""
        return {name: path for name, words in PATHS.items() if (path := getattr(self, name)) not in (None, *words)}

    @property
    def layers(self) -> list[str]:
        """The layers in use: those of the terms that weigh anything."""
        return [*(self.content_layers if self.alpha else ()), *(self.style_layers if self.beta else ())]

    def styles(
        self,
        content: Source,
        styles: Sequence[Source],
        masks: Sequence[object] = (),
        style_masks: Sequence[object] = (),
        remedy: str = "name a photograph and at least one painting, before the options",
    ) -> tuple[Source, ...]:
        """The style pictures: where a texture names none, the content itself, at its size; one for each style mask.

        Raises InputError where they are missing, with the remedy, or are not as many as their weights or masks.
        """
        styles = tuple(styles) or ((content,) if self.alpha == 0 else ())
        if not styles and self.beta > 0:
            raise InputError(f"STYLE is missing: {remedy}")
        styles *= len(style_masks) if len(styles) == 1 and style_masks else 1
        self.blend(len(styles))
        self.style_scales(len(styles))
        one_each = "give one for each style" + (", or as many style masks" if len(styles) == 1 and masks else "")
        for name, some in (("masks", masks), ("style_masks", style_masks)):
            if some and len(some) != len(styles):
                raise OptionError(name, f"{len(some)} for {count(len(styles), 'style')}", one_each)
        return styles

    def blend(self, styles: int) -> tuple[float, ...]:
        """The weight of each of so many style pictures; they sum to one."""
        weights = self.style_blend if self.style_blend is not None else (1.0,) * styles
        _require(len(weights) == styles, "style_blend", weights, f"give {styles}, one for each style")
        return tuple(weight / sum(weights) for weight in weights)

    def style_scales(self, styles: int) -> tuple[float, ...]:
        """The scale of each of so many style pictures."""
        scales = self.style_scale if isinstance(self.style_scale, tuple) else (self.style_scale,) * styles
        remedy = f"give one number, or {styles}, one for each style"
        _require(len(scales) == styles, "style_scale", scales, remedy)
        return scales


#: How each setting is declared.
OPTIONS = options_of(Settings)
#: The settings that are one of a few names.
CHOICES = {name: option.choices for name, option in OPTIONS.items() if option.choices}
Settings.__doc__ = f"{Settings.__doc__}\n    Attributes:\n" + "".join(
    f"        {name}: {option.help}.\n" for name, option in OPTIONS.items()
)


def _convert(name: str, value: Any, kind: str, remedy: str) -> Any:
    """The value as its option's type: lists as tuples, NumPy's numbers as Python's, relu1_1 as conv1_1."""
    convert = functools.partial(_convert, name, remedy=remedy)
    if value is None and kind.endswith("None"):
        return None
    if kind.startswith("tuple") and isinstance(value, Real):
        value = (value,)
    if "tuple" in kind and isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        values = tuple(convert(item, "int" if "int" in kind else "float") for item in value)
        return values[0] if kind.startswith("float") and len(values) == 1 else values
    if isinstance(value, Mapping) and kind.startswith("Mapping"):
        return {layer_name(convert(layer, "str")): convert(weight, "float") for layer, weight in value.items()}
    if kind.startswith(("int", "float")) and isinstance(value, Real) and not isinstance(value, bool):
        if isinstance(value, Integral):
            return int(value)
        if kind.startswith("float"):
            return float(value)
        if float(value).is_integer():
            return int(float(value))
    elif kind == "bool" and isinstance(value, bool):
        return value
    elif name in PATHS and isinstance(value, str | os.PathLike) and value not in PATHS[name]:
        return os.fspath(places.path(value))
    elif kind.startswith("str") and isinstance(value, str):
        return SYNONYMS.get(value, value)
    raise OptionError(name, reprlib.repr(value), remedy)


def _require(good: bool, name: str, value: Any, remedy: str) -> None:
    if not good:
        words = [f"{layer}={weight}" for layer, weight in value.items()] if isinstance(value, Mapping) else value
        listed = words if isinstance(words, tuple | list) else [words]
        raise OptionError(name, " ".join(map(str, listed)) or "none", remedy)
