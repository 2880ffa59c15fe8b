"""Recipes: settings under a name."""

import re
from dataclasses import dataclass, replace
from typing import Any

from nst_graph.errors import OptionError, near
from nst_graph.settings import OPTIONS, STYLE_LAYERS, Settings, equal

#: What --fast paints before the last scale, as shares of its size, and the iterations at the first
#: scale, which begins with noise, at others, and at the last.
FAST_SCALES = (0.125, 0.25)
FAST_FIRST, FAST_NEXT, FAST_ITERATIONS = 60, 35, 150
#: Smaller scales are left out: the deepest layer would see next to nothing.
SMALLEST_SCALE = 64
#: The iterations of a print at each size before the last, which is so many times as large, and at the last.
PRINT_SCALES, LEAST_STEP, PRINT_LAST = {512: 200, 1024: 60, 2048: 30, 4096: 20}, 1.3, 20


def fast(settings: "str | Recipe | Settings", **changes: Any) -> Settings:
    """The settings as --fast paints them, coarse to fine, in fewer iterations; `changes` are made, and win over that.

    Where the size is the photograph's there is one scale. Raises InputError and TypeError as `settings_of` does.

    >>> fast(Settings(size=512), beta=1e5).scales
    (64, 128)
    """
    settings = settings_of(settings)
    size = replace(settings, scales=(), scale_iterations=(), size=changes.get("size", settings.size)).size
    scales = tuple(round(share * size) for share in FAST_SCALES if size and share * size >= SMALLEST_SCALE)
    faster: dict[str, Any] = {
        "precision": "auto",
        "scales": scales,
        "scale_iterations": (FAST_FIRST, *[FAST_NEXT] * len(scales))[: len(scales)],
        "iterations": FAST_ITERATIONS,
    }
    return settings_of(settings, **faster | changes)


def printed(settings: Settings, paper: str, ratio: float) -> Settings:
    """The settings for a print on a paper such as A3@300, at 300 dots an inch, of a picture of this width over height.

    It is as large as fits the paper, upright or lying (docs/prints.md). Raises InputError for an unknown paper.

    >>> printed(Settings(), "A4@300", 4 / 3).size, printed(Settings(), "30x40cm@200", 4 / 3).scales
    (3307, (512, 1024, 2048))
    """
    match = re.fullmatch(r"(?:A([0-6])|(\d{1,3})x(\d{1,3})(cm|in))@(\d{1,4})", paper, re.IGNORECASE | re.ASCII)
    if match is None:
        raise OptionError("print", paper, "give A0 to A6, 30x40cm or 8x10in, say, and dots an inch, as in A3@300")
    series, *other, unit, dots = match.groups()
    sides = sorted(map(float, other)) if unit else [84.1, 118.9]
    for _ in range(int(series or 0)):  # each is half of the one before, in whole millimetres
        sides = [sides[1] * 10 // 2 / 10, sides[0]]
    inches = [side if unit and unit.lower() == "in" else side / 2.54 for side in sides]
    size = max(1, int(min(inches[1], inches[0] * max(ratio, 1 / ratio)) * int(dots)))
    scales = {scale: steps for scale, steps in PRINT_SCALES.items() if LEAST_STEP * scale <= size}
    if scales:
        steps = tuple(scales.values())
        settings = replace(settings, scales=tuple(scales), scale_iterations=steps, iterations=PRINT_LAST)
    return replace(settings, size=size, side="longer", enlarge=True, dpi=int(dots))


@dataclass(frozen=True)
class Recipe:
    """Settings under a name, and a line that says whose they are.

    >>> studio = RECIPES["studio"].settings
    >>> replace(studio, size=256).beta
    100000.0
    """

    about: str
    settings: Settings


_FILTERS = {"conv1_1": 64, "conv2_1": 128, "conv3_1": 256, "conv4_1": 512, "conv5_1": 512}


# The author's cat and wave, 1023 x 768 pixels, which are not resized. A step grows as 1/pixels, so his
# rates diverge at smaller sizes: ratio_at is ours and keeps them steady. At his size it changes nothing.
# Ours too: a picture every tenth of the steps.
_CAT = Settings(
    network="VGG-16",
    pooling="max",
    size=None,
    resample="bilinear",
    init="content",
    noise="full-range",
    alpha=0.8,
    beta=1.0,
    ratio_at=(1023, 768),
    smoothness=0.1,
    smoothness_loss="power",
    content_layers={"conv5_2": 1.0},
    content_loss="squares",
    style_loss="over-pixels",
    optimiser="gradient-descent",
    rate=0.001,
    iterations=10,
    save_every=1,
)
_LONGER = replace(_CAT, rate=0.01, iterations=100, save_every=10)
_FROM_NOISE = replace(
    _CAT, init="noise", alpha=1.0, beta=0.05, smoothness=0.01, rate=0.03, iterations=5000, save_every=500
)
_MEN = ["conv1_2", "conv2_2", "conv3_3"]

_GATYS2016 = Settings(
    pooling="max",
    side="shorter",
    style_shape="own",
    init="content",
    beta=1.0,
    content_loss="mean",
    style_loss="mean",
    style_layers={name: 1e3 / filters**2 for name, filters in _FILTERS.items()},
    iterations=500,
    save_every=50,
)

# Pixels are in 0..1, so the weight of their variation is divided by 255.
_BISHT = Settings(
    pooling="max",
    resample="bicubic",
    style_shape="own",
    init="content",
    alpha=1e4,
    beta=1e-2,
    smoothness=4e-4 / 255,
    content_layers={"conv5_2": 1.0},
    content_loss="mean",
    style_loss="mean",
    optimiser="adam",
    pixel_scale=(255.0, 255.0, 255.0),
    rate=0.02,
    beta1=0.99,
    epsilon=0.1,
    bounded=True,
)

#: The recipe in force where none is named.
DEFAULT = "gatys2015"
#: The authors' notebooks whose losses are published, in PyTorch and in Torch.
NOTEBOOKS = {"pytorch": "gatys2016", "torch": "gatys2017"}
#: That of textures, as in the figure of that name.
TEXTURE = "gatys2015-texture"

RECIPES = {
    DEFAULT: Recipe("Gatys, Ecker, Bethge 2015: the paper, white noise, average pooling, L-BFGS", Settings()),
    NOTEBOOKS["pytorch"]: Recipe(
        "the authors' released notebook: means for sums, 1e3/N^2 per layer, max pooling, from the content", _GATYS2016
    ),
    "gatys2016-rescaled": Recipe(
        "the same on the rescaled network: content 1e6, style 1e9 over the layers",
        replace(_GATYS2016, network="VGG-19 rescaled", alpha=1e6, beta=1e9, style_layers=equal(STYLE_LAYERS)),
    ),
    NOTEBOOKS["torch"]: Recipe(
        "the authors' Torch notebook of 2017: the same losses, sizes by area, 512 and then 1024",
        replace(
            _GATYS2016,
            side="area",
            size=1024,
            pool_rounding="up",
            corrections=100,
            scales=(512,),
            scale_iterations=(500,),
            iterations=200,
        ),
    ),
    # Bounds are ours: theirs are the range of the painting's pixels less the mean.
    TEXTURE: Recipe(
        "the authors' DeepTextures, 2015: the texture of one picture by conv1_1 and pool1 to pool4, rescaled network",
        Settings(
            network="VGG-19 rescaled",
            size=256,
            side="area",
            resample="bilinear",
            pool_rounding="up",
            alpha=0.0,
            beta=1e9,
            style_layers=dict.fromkeys(("conv1_1", "pool1", "pool2", "pool3", "pool4"), 1.0),
            noise="normal",
            noise_amplitude=1.0,
            corrections=20,
            bounded=True,
            iterations=2000,
            match_histogram=True,
        ),
    ),
    # 1:200 a layer, as with 1, 1000 and 1/5. The noise is for a --noise-ratio of yours, 0.75 in another of
    # his notebooks; its amplitude is not on record.
    "devos": Recipe(
        "Arnout Devos, TensorFlow 1: the paper's losses from the content, Adam, squashed to 640 x 480",
        Settings(
            size=640,
            squash=(640, 480),
            init="content",
            noise="normal",
            alpha=0.0025,
            beta=1.0,
            style_layers=dict.fromkeys(STYLE_LAYERS, 0.5),
            optimiser="adam",
            rate=2.0,
        ),
    ),
    "shibuya2017": Recipe("Shibuya 2017, Keras, cats into art: VGG-16, cat and wave, 10 steps", _CAT),
    "shibuya2017-cat-style": Recipe("the same, style alone, 100 steps", replace(_LONGER, alpha=0.0, smoothness=0.0)),
    "shibuya2017-cat-both": Recipe(
        "the same, content and style alike, 100 steps", replace(_LONGER, alpha=1.0, smoothness=0.0)
    ),
    "shibuya2017-cat-smooth": Recipe("the same, and smoothness 0.7", replace(_LONGER, alpha=1.0, smoothness=0.7)),
    "shibuya2017-cat-noise": Recipe("cat and wave from noise, 5000 steps", _FROM_NOISE),
    "shibuya2017-men": Recipe(
        "his dancing men, 100 steps",
        replace(
            _CAT, alpha=0.1, content_layers={"conv5_1": 1.0}, style_layers=equal(_MEN), iterations=100, save_every=10
        ),
    ),
    "shibuya2017-men-noise": Recipe(
        "his dancing men from noise, 5000 steps",
        replace(_FROM_NOISE, content_layers={"conv5_3": 1.0}, style_layers=equal([*_MEN, "conv4_3", "conv5_3"])),
    ),
    # 1e6 belongs to torchvision's VGG-19 on normalised pixels; with the original's activations it means something else.
    "vgg19-adam": Recipe(
        "PyTorch course notebook: VGG-19, max pooling, from the content, Adam",
        Settings(
            pooling="max",
            size=400,
            side="shorter",
            init="content",
            beta=1e6,
            content_loss="mean",
            style_loss="mean-over-size",
            style_layers={"conv1_1": 1.0, "conv2_1": 0.8, "conv3_1": 0.5, "conv4_1": 0.3, "conv5_1": 0.1},
            optimiser="adam",
            pixel_scale=(0.229 * 255, 0.224 * 255, 0.225 * 255),
            rate=0.003,
            iterations=2000,
            save_every=400,
        ),
    ),
    "bisht2020": Recipe("Bisht 2020, TensorFlow 2: VGG-19, max pooling, from the content, Adam, clipped", _BISHT),
    # The deviation of its noise is not on record.
    "bisht2020-noise": Recipe("the same from noise", replace(_BISHT, init="noise", noise="normal")),
    # Its pixels are in 0..256; its L-BFGS takes steps of length 1, without a line search.
    "neural-style-pt": Recipe(
        "ProGamerGov's program, with jcjohnson's constants: VGG-19, max pooling, from faint noise, L-BFGS",
        Settings(
            pooling="max",
            resample="bilinear",
            style_shape="own",
            noise="normal",
            noise_amplitude=0.001,
            alpha=5.0,
            beta=100.0,
            smoothness=1e-3,
            content_loss="mean",
            style_loss="mean",
            style_layers={name: 1 / filters**2 for name, filters in _FILTERS.items()},
            corrections=100,
        ),
    ),
    # Its weights belong to torchvision's VGG-19 on normalised pixels, whose features are smaller: with the
    # original's, smoothness weighs less.
    "style-transfer-pytorch": Recipe(
        "Katherine Crowson's program: Wasserstein distances, from the content, Adam, averaged, five scales",
        Settings(
            pooling="max",
            padding="replicate",
            resample="bicubic",
            style_shape="own",
            init="content",
            alpha=0.015,
            beta=1.0,
            smoothness=2 / 255**2,
            smoothness_loss="nine-point",
            content_loss="mean",
            style_loss="wasserstein",
            style_layers={name: 4.0 ** (4 - block) / 341 for block, name in enumerate(STYLE_LAYERS)},
            optimiser="adam",
            pixel_scale=(255.0, 255.0, 255.0),
            rate=0.02,
            beta2=0.99,
            average=0.99,
            bounded=True,
            scales=(128, 181, 256, 362),
            scale_iterations=(1000, 500, 500, 500),
            iterations=500,
            save_every=50,
        ),
    ),
    # The ratio is not on record. Ours is about what gatys2016 gives conv4_1 and conv5_1, 1e3 / 512^2.
    "avelar2019": Recipe(
        "Avelar 2019, PyTorch: several paintings at once, squashed to 512 x 512, L-BFGS",
        Settings(
            pooling="max",
            squash=(512, 512),
            init="content",
            content_loss="mean",
            style_loss="mean",
            style_layers=dict.fromkeys(STYLE_LAYERS, 1.0),
            beta=4e-3,
            iterations=200,
        ),
    ),
    "studio": Recipe(
        "ours, for looks: the paper's losses from the content, coarse to fine, smooth, a style in its own shape",
        Settings(
            style_shape="own",
            init="content",
            beta=1e5,
            ratio_at=(512,),
            smoothness=10.0,
            smoothness_loss="squared",
            precision="auto",
            scales=(128, 256),
            scale_iterations=(60, 35),
            iterations=300,
        ),
    ),
}

#: Our name of a setting by that which another program has for it, such as learning_rate.
_NAMES = {other[2:].replace("-", "_"): name for name, option in OPTIONS.items() for other in option.names.split()}


def settings_of(base: str | Recipe | Settings, **changes: Any) -> Settings:
    """The settings of a recipe, or settings themselves, with `changes` by name.

    Raises InputError for an unknown recipe or a value that cannot be used, TypeError for a name that is no setting's.
    """
    base = RECIPES.get(base, base) if isinstance(base, str) else base
    if not isinstance(base, Recipe | Settings):
        remedy = f"give the name of a recipe, a Recipe or Settings{near(str(base), RECIPES)}"
        raise OptionError("settings", str(base), remedy)
    changes = {_NAMES.get(name, name): value for name, value in changes.items()}
    for name in changes.keys() - OPTIONS.keys():
        raise TypeError(f"{name}: no setting has this name{near(name, OPTIONS)}")
    return replace(base.settings if isinstance(base, Recipe) else base, **changes)
