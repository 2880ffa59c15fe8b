"""Every recipe's loss at its start, from the tables' formulas alone, and that it falls."""

import functools
import re
from dataclasses import asdict, replace

import imageio.v3 as iio
import numpy as np
import pytest
import reference
from conftest import MEAN, ROOT, as_reference, random_picture
from PIL import Image

import nst_graph.painting
from nst_graph import places, weights
from nst_graph.commands import options
from nst_graph.commands import paint as cli
from nst_graph.errors import InputError
from nst_graph.model import vgg
from nst_graph.recipes import RECIPES
from nst_graph.settings import Settings

#: Width and height of the photograph and of the painting.
PHOTO, PAINTING = (80, 48), (56, 72)
FIRST = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


@pytest.fixture(scope="module")
def directory(tmp_path_factory, vgg19_file):
    """A photograph, a painting and the weights, with a rescaled network beside them."""
    directory = tmp_path_factory.mktemp("recipes")
    iio.imwrite(directory / "photo.png", random_picture(*PHOTO[::-1], 1).astype(np.uint8))
    iio.imwrite(directory / "painting.png", random_picture(*PAINTING[::-1], 2).astype(np.uint8))
    name = "imagenet-vgg-verydeep-19-8bit.mat"
    (directory / name).symlink_to(vgg19_file)
    network = weights.read(vgg19_file)
    scales = vgg.mean_activations(network, [random_picture(64, 64, seed) for seed in (3, 4)])
    weights.write(vgg.rescale(network, scales), directory / name.replace(".mat", "-rescaled.mat"), "test")
    return directory


@pytest.fixture(scope="module")
def measured(directory):
    """Features by network, pooling and picture, each computed once."""
    cache = {}

    @functools.cache
    def layers(rescaled):
        return as_reference(weights.read(directory / f"imagenet-vgg-verydeep-19-8bit{'-rescaled' * rescaled}.mat"))

    def features(rescaled, replicated, pooling, rounding, picture):
        key = rescaled, replicated, pooling, rounding, picture.shape, picture.tobytes()
        if key not in cache:
            convolution = convolve_replicated if replicated else reference.convolve_fast
            cache[key] = reference.features(layers(rescaled), MEAN, picture, pooling, convolution, rounding)
        return cache[key]

    return features


def convolve_replicated(picture, kernel, bias):
    """The first convolution sees the outermost pixels again beyond the border."""
    if picture.shape[-1] != 3:
        return reference.convolve_fast(picture, kernel, bias)
    wide = np.pad(picture, ((1, 1), (1, 1), (0, 0)), "edge")
    return reference.convolve_fast(wide, kernel, bias)[1:-1, 1:-1]


def squares(difference):
    return np.sum(difference**2)


def gatys_2015(painted, content, style, picture):
    style_term = sum(reference.style_loss(painted[name], style[name]) / 5 for name in FIRST)
    return 1 * reference.content_loss(painted["conv4_2"], content["conv4_2"]) + 1000 * style_term


def mean_gram(features):
    return reference.gram(features) / (features.shape[0] * features.shape[1])


def mean_gram_squares(painted, style, name):
    return np.mean((mean_gram(painted[name]) - mean_gram(style[name])) ** 2)


def gatys_2016(painted, content, style, picture):
    terms = [1e3 / painted[name].shape[-1] ** 2 * mean_gram_squares(painted, style, name) for name in FIRST]
    return np.mean((painted["conv4_2"] - content["conv4_2"]) ** 2) + sum(terms)


def gatys_2016_rescaled(painted, content, style, picture):
    terms = [1e9 / 5 * mean_gram_squares(painted, style, name) for name in FIRST]
    return 1e6 * np.mean((painted["conv4_2"] - content["conv4_2"]) ** 2) + sum(terms)


def texture(painted, content, style, picture):
    """Equation 4 to the letter, of five layers, each by 1e9."""
    names = "conv1_1", "pool1", "pool2", "pool3", "pool4"
    return sum(1e9 * reference.style_loss(painted[name], style[name]) for name in names)


def devos(painted, content, style, picture):
    style_term = sum(0.5 * reference.style_loss(painted[name], style[name]) for name in FIRST)
    return 0.0025 * reference.content_loss(painted["conv4_2"], content["conv4_2"]) + 1 * style_term


def shibuya(alpha, beta, gamma, content_layer="conv5_2", style_layers=FIRST):
    def total(painted, content, style, picture):
        pixels = picture.shape[0] * picture.shape[1]
        layers = [squares(reference.gram(painted[name]) - reference.gram(style[name])) for name in style_layers]
        style_term = np.mean(layers) / (4 * 3**2 * pixels**2) * pixels / (1023 * 768)
        content_term = squares(painted[content_layer] - content[content_layer])
        dx, dy = picture[:-1, 1:] - picture[:-1, :-1], picture[1:, :-1] - picture[:-1, :-1]
        return alpha * content_term + beta * style_term + gamma * np.sum((dx**2 + dy**2) ** 1.25)

    return total


def vgg19_adam(painted, content, style, picture):
    total = np.mean((painted["conv4_2"] - content["conv4_2"]) ** 2)
    for name, weight in zip(FIRST, (1, 0.8, 0.5, 0.3, 0.1), strict=True):
        difference = reference.gram(painted[name]) - reference.gram(style[name])
        total += 1e6 * weight * np.mean(difference**2) / painted[name].size
    return total


def bisht(painted, content, style, picture):
    unit = picture / 255
    variation = np.abs(np.diff(unit, axis=0)).sum() + np.abs(np.diff(unit, axis=1)).sum()
    style_term = np.mean([mean_gram_squares(painted, style, name) for name in FIRST])
    return 1e4 * np.mean((painted["conv5_2"] - content["conv5_2"]) ** 2) + 1e-2 * style_term + 4e-4 * variation


def avelar(painted, content, style, picture):
    style_term = sum(mean_gram_squares(painted, style, name) for name in FIRST)
    return np.mean((painted["conv4_2"] - content["conv4_2"]) ** 2) + 4e-3 * style_term


def neural_style(painted, content, style, picture):
    squares_of = [mean_gram_squares(painted, style, name) / painted[name].shape[-1] ** 2 for name in FIRST]
    variation = np.abs(np.diff(picture, axis=0)).sum() + np.abs(np.diff(picture, axis=1)).sum()
    return 5 * np.mean((painted["conv4_2"] - content["conv4_2"]) ** 2) + 100 * sum(squares_of) + 1e-3 * variation


def crowson(painted, content, style, picture):
    total = 0.015 * np.mean((painted["conv4_2"] - content["conv4_2"]) ** 2)
    for name, weight in zip(FIRST, (256, 64, 16, 4, 1), strict=True):
        rows = [each[name].reshape(-1, each[name].shape[-1]) for each in (painted, style)]
        total += weight / 341 * reference.wasserstein(*rows, np.ones(len(rows[0])))
    wide = np.pad(picture / 255, ((1, 1), (1, 1), (0, 0)), "edge")
    straight = np.mean((wide[1:-1, 2:] - wide[1:-1, 1:-1]) ** 2) + np.mean((wide[2:, 1:-1] - wide[1:-1, 1:-1]) ** 2)
    across = np.mean((wide[1:, 1:] - wide[:-1, :-1]) ** 2) + np.mean((wide[1:, :-1] - wide[:-1, 1:]) ** 2)
    return total + 2 * (2 * straight / 3 + across / 6)


def studio(painted, content, style, picture):
    beta = 1e5 * (max(picture.shape[:2]) / 512) ** 2
    total = 10 * (squares(np.diff(picture, axis=0)) + squares(np.diff(picture, axis=1)))
    for name in FIRST:
        difference = mean_gram(painted[name]) - mean_gram(style[name])
        total += beta / 5 * squares(difference) / (4 * painted[name].shape[-1] ** 2)
    return total + reference.content_loss(painted["conv4_2"], content["conv4_2"])


def of_content(photo, random):
    return photo


def around_the_mean(photo, random):
    return MEAN + random.uniform(-20, 20, (*photo.shape[:2], 1))


def normal(photo, random):
    return MEAN + random.normal(0, 20, photo.shape)


def faint(photo, random):
    return MEAN + random.normal(0, 0.001, photo.shape)


def nearly_grey(photo, random):
    return MEAN + random.normal(0, 1, photo.shape)


def full_range(photo, random):
    return random.uniform(0, 255, photo.shape)


#: For the pictures above, shrunk to 40 pixels where the recipe shrinks at all: width and height of photograph and
#: painting, and the filter. Of its own shape, the painting is 40 x 51 by its shorter side, 31 x 40 by its longer one.
STRETCHED = (40, 24), (40, 24), Image.Resampling.LANCZOS
SHORTER_OWN = (67, 40), (40, 51), Image.Resampling.LANCZOS
SHORTER = (67, 40), (67, 40), Image.Resampling.LANCZOS
LONGER_OWN = (40, 24), (31, 40), Image.Resampling.BICUBIC
LONGER_LANCZOS = (40, 24), (31, 40), Image.Resampling.LANCZOS
LONGER_BILINEAR = (40, 24), (31, 40), Image.Resampling.BILINEAR
FOUR_TO_THREE = (40, 30), (40, 30), Image.Resampling.LANCZOS
SQUARE = (40, 40), (40, 40), Image.Resampling.LANCZOS
AS_IT_IS = (80, 48), (80, 48), Image.Resampling.BILINEAR
MEN, MEN_FROM_NOISE = (
    ("conv1_2", "conv2_2", "conv3_3"),
    ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3"),
)
#: By area: of 40 * 40 pixels.
AREA_OWN = (52, 31), (35, 45), Image.Resampling.LANCZOS
AREA = (52, 31), (52, 31), Image.Resampling.BILINEAR
#: By recipe: the formula, the pooling, the sizes, the start.
FORMULAS = {
    "gatys2015": (gatys_2015, "average", STRETCHED, around_the_mean),
    "gatys2016": (gatys_2016, "max", SHORTER_OWN, of_content),
    "gatys2016-rescaled": (gatys_2016_rescaled, "max", SHORTER_OWN, of_content),
    "gatys2017": (gatys_2016, "max", AREA_OWN, of_content),
    "gatys2015-texture": (texture, "average", AREA, nearly_grey),
    "devos": (devos, "average", FOUR_TO_THREE, of_content),
    "shibuya2017": (shibuya(0.8, 1, 0.1), "max", AS_IT_IS, of_content),
    "shibuya2017-cat-style": (shibuya(0, 1, 0), "max", AS_IT_IS, of_content),
    "shibuya2017-cat-both": (shibuya(1, 1, 0), "max", AS_IT_IS, of_content),
    "shibuya2017-cat-smooth": (shibuya(1, 1, 0.7), "max", AS_IT_IS, of_content),
    "shibuya2017-cat-noise": (shibuya(1, 0.05, 0.01), "max", AS_IT_IS, full_range),
    "shibuya2017-men": (shibuya(0.1, 1, 0.1, "conv5_1", MEN), "max", AS_IT_IS, of_content),
    "shibuya2017-men-noise": (shibuya(1, 0.05, 0.01, "conv5_3", MEN_FROM_NOISE), "max", AS_IT_IS, full_range),
    "vgg19-adam": (vgg19_adam, "max", SHORTER, of_content),
    "bisht2020": (bisht, "max", LONGER_OWN, of_content),
    "bisht2020-noise": (bisht, "max", LONGER_OWN, normal),
    "avelar2019": (avelar, "max", SQUARE, of_content),
    "neural-style-pt": (neural_style, "max", LONGER_BILINEAR, faint),
    "style-transfer-pytorch": (crowson, "max", LONGER_OWN, of_content),
    "studio": (studio, "average", LONGER_LANCZOS, of_content),
}


def test_every_recipe_has_its_formula():
    assert set(FORMULAS) == set(RECIPES)


def resized(file, size, resample):
    """A picture by Pillow, in floating point."""
    bands = Image.open(file).split()
    return np.stack([np.clip(band.convert("F").resize(size, resample), 0, 255) for band in bands], axis=-1)


@pytest.mark.parametrize("name", FORMULAS)
def test_loss_at_the_start(name, directory, measured, monkeypatch):
    monkeypatch.setattr(places, "MODEL", directory)
    formula, pooling, (photo_size, painting_size, resample), start = FORMULAS[name]
    steps, settings = [], RECIPES[name].settings
    size = 40 if settings.size is not None else None
    nst_graph.paint(
        directory / "photo.png", directory / "painting.png",
        replace(settings, size=size, iterations=0, precision="float32"), observers=[steps.append],
    )  # fmt: skip
    photo = resized(directory / "photo.png", photo_size, resample)
    painting = resized(directory / "painting.png", painting_size, resample)
    picture = start(photo, np.random.RandomState(0))
    caffes = name in ("gatys2017", "gatys2015-texture")
    replicated, rounding = name == "style-transfer-pytorch", "up" if caffes else "down"
    network = "rescaled" in settings.network, replicated, pooling, rounding
    expected = formula(*(measured(*network, each) for each in (picture, photo, painting)), picture)
    assert steps[0].total == pytest.approx(expected, rel=1e-4)


def falls(name, photograph, style, size, **where):
    totals = []
    nst_graph.paint(
        photograph, style, replace(RECIPES[name].settings, size=size, iterations=15),
        observers=[lambda step: totals.append(step.total)], **where,
    )  # fmt: skip
    return len(totals) == 16 and totals[-1] < 0.95 * totals[0]


ON_VGG16 = [name for name, recipe in RECIPES.items() if recipe.settings.network == "VGG-16"]


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in ON_VGG16])
def test_it_runs_and_its_loss_falls(name, directory, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "MODEL", directory)
    iio.imwrite(tmp_path / "photo.png", random_picture(96, 128, 1).astype(np.uint8))
    assert falls(name, tmp_path / "photo.png", cli.EXAMPLE_STYLE, 64)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ON_VGG16)
def test_it_runs_and_its_loss_falls_on_vgg16(name, vgg16_file):
    """On photographs: the author's rates are too large for a style of strong contrast, as docs/recipes.md says."""
    china = cli._example_photograph()
    assert falls(name, china, china.with_name("flower.jpg"), 128, weights_file=vgg16_file)


def test_no_recipe_is_named_outside_its_file():
    for path in (ROOT / "nst_graph").glob("*.py"):
        if path.name != "recipes.py":
            text = path.read_text()
            assert not [name for name in RECIPES if name in text], path


def test_the_best_that_is_there_paints(tmp_path, monkeypatch):
    """Published VGG-19 before that with 8-bit kernels, before VGG-16; what paints in another's place is said."""
    monkeypatch.setattr(places, "MODEL", tmp_path)
    said = []
    for number in ("16", "19-8bit", "19"):
        (tmp_path / f"imagenet-vgg-verydeep-{number}.mat").touch()
        found = weights.find("VGG-19", said.append)
        assert found.name == f"imagenet-vgg-verydeep-{number}.mat"
    assert said == ["using VGG-16; for VGG-19 run python scripts/get_weights.py vgg19"]
    assert weights.find("VGG-16", said.append).name == "imagenet-vgg-verydeep-16.mat"
    (tmp_path / "imagenet-vgg-verydeep-16.mat").unlink()
    weights.find("VGG-16", said.append)
    assert said[1:] == ["using VGG-19; for VGG-16 run python scripts/get_weights.py vgg16"]


def test_no_weights_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "MODEL", tmp_path)
    with pytest.raises(InputError, match="no VGG-19 rescaled .* rescale FILE --images DIR"):
        nst_graph.paint("a.png", "b.png", RECIPES["gatys2016-rescaled"].settings)


def options_of(cell):
    """The words of the code in a cell that are options."""
    code = [
        words
        for words in re.findall("`([^`]*)`", cell)
        if (words.startswith("--") and " " in words) or words in ("--bounded", "--match-histogram")
    ]
    return " ".join(code).split()


def painted_by(words, network, size):
    named = Settings(network=network, size=size)
    return replace(named, **options.settings(options.parse(words)))


def recipes_on_the_page():
    """Each recipe's settings as docs/recipes.md says them: by a table, or by options beside a table."""
    for section in (ROOT / "docs" / "recipes.md").read_text().split("\n## ")[1:]:
        name, words, network, size = section.split("\n")[0], [], "", Settings.size
        rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in section.split("\n") if row.startswith("| ")]
        for what, _, here in rows:
            if what.strip("`") in RECIPES:
                other = re.findall(r"network (VGG[^`,]*)", here) or [network]
                yield what.strip("`"), painted_by([*words, *options_of(here)], other[0], size)
                continue
            network = here.split(",")[0] if what == "network" else network
            size = None if "not resized" in here else size
            words += options_of(here)
        yield name, painted_by(words, network, size)


def test_the_page_says_what_the_recipes_are():
    found = dict(recipes_on_the_page())
    assert set(found) == set(RECIPES)
    for name, recipe in RECIPES.items():
        for setting, value in asdict(recipe.settings).items():
            expected = pytest.approx(value, rel=1e-6) if isinstance(value, float | dict | tuple) else value
            assert getattr(found[name], setting) == expected, (name, setting)
