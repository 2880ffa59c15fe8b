"""Every recipe's loss at its start, from the tables' formulas alone, and that it falls."""

from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
import reference
from conftest import MEAN, ROOT, as_reference, random_picture

import nst_graph.painting
from nst_graph import pictures, places, weights
from nst_graph.commands import paint as cli
from nst_graph.errors import InputError
from nst_graph.graph import rescaling
from nst_graph.recipes import RECIPES

HEIGHT, WIDTH = 72, 96
FIRST = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


@pytest.fixture(scope="module")
def directory(tmp_path_factory, vgg19_file):
    """A photograph, a painting and the weights, with a rescaled network beside them."""
    directory = tmp_path_factory.mktemp("recipes")
    iio.imwrite(directory / "photo.png", random_picture(HEIGHT, WIDTH, 1).astype(np.uint8))
    iio.imwrite(directory / "painting.png", random_picture(HEIGHT, WIDTH, 2).astype(np.uint8))
    name = "imagenet-vgg-verydeep-19-8bit.mat"
    (directory / name).symlink_to(vgg19_file)
    network = weights.read(vgg19_file)
    scales = rescaling.mean_activations(network, [random_picture(64, 64, seed) for seed in (3, 4)])
    weights.write(rescaling.rescale(network, scales), directory / name.replace(".mat", "-rescaled.mat"), "test")
    return directory


@pytest.fixture(scope="module")
def measured(directory):
    """Features by (network, pooling, picture), each computed once."""
    cache = {}

    def features(rescaled, pooling, name, picture):
        key = rescaled, pooling, name
        if key not in cache:
            file = "imagenet-vgg-verydeep-19-8bit" + ("-rescaled" if rescaled else "") + ".mat"
            layers = as_reference(weights.read(directory / file))
            cache[key] = reference.features(layers, MEAN, picture, pooling, reference.convolve_fast)
        return cache[key]

    return features


def squares(difference):
    return np.sum(difference**2)


def gatys_2015(painted, content, style, picture):
    style_term = sum(reference.style_loss(painted[name], style[name]) / 5 for name in FIRST)
    return 1 * reference.content_loss(painted["conv4_2"], content["conv4_2"]) + 1000 * style_term


def mean_gram_squares(painted, style, name):
    height, width, _ = painted[name].shape
    return np.mean(((reference.gram(painted[name]) - reference.gram(style[name])) / (height * width)) ** 2)


def gatys_2016(painted, content, style, picture):
    terms = [1e3 / painted[name].shape[-1] ** 2 * mean_gram_squares(painted, style, name) for name in FIRST]
    return np.mean((painted["conv4_2"] - content["conv4_2"]) ** 2) + sum(terms)


def gatys_2016_rescaled(painted, content, style, picture):
    terms = [1e9 / 5 * mean_gram_squares(painted, style, name) for name in FIRST]
    return 1e6 * np.mean((painted["conv4_2"] - content["conv4_2"]) ** 2) + sum(terms)


def shibuya(alpha, beta, gamma, content_layer="conv5_2", style_layers=FIRST):
    def total(painted, content, style, picture):
        layers = [squares(reference.gram(painted[name]) - reference.gram(style[name])) for name in style_layers]
        style_term = np.mean(layers) / (4 * 3**2 * (HEIGHT * WIDTH) ** 2)
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
    style_term = np.mean([mean_gram_squares(painted, style, name) for name in FIRST])
    return np.mean((painted["conv5_2"] - content["conv5_2"]) ** 2) + 1e-4 * style_term


#: By recipe: the formula, the pooling, the share of noise in the start.
FORMULAS = {
    "gatys2015": (gatys_2015, "average", 1.0),
    "gatys2016": (gatys_2016, "max", 0.0),
    "gatys2016-rescaled": (gatys_2016_rescaled, "max", 0.0),
    "devos": (gatys_2015, "average", 0.6),
    "shibuya2017": (shibuya(0.8, 1, 0.1), "max", 0.0),
    "shibuya2017-style": (shibuya(0, 1, 0), "max", 0.0),
    "shibuya2017-both": (shibuya(1, 1, 0), "max", 0.0),
    "shibuya2017-smooth": (shibuya(1, 1, 0.7), "max", 0.0),
    "shibuya2017-light": (shibuya(0.1, 1, 0.1), "max", 0.0),
    "shibuya2017-noise": (shibuya(1, 0.05, 0.01), "max", 1.0),
    "shibuya2017-conv5_1": (shibuya(0.8, 1, 0.1, "conv5_1"), "max", 0.0),
    "shibuya2017-conv5_3": (shibuya(0.8, 1, 0.1, "conv5_3"), "max", 0.0),
    "shibuya2017-three": (shibuya(0.8, 1, 0.1, "conv5_2", ("conv1_2", "conv2_2", "conv3_3")), "max", 0.0),
    "shibuya2017-last": (
        shibuya(0.8, 1, 0.1, "conv5_2", ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")), "max", 0.0
    ),
    "vgg19-adam": (vgg19_adam, "max", 0.0),
    "bisht2020": (bisht, "max", 0.0),
    "avelar2019": (avelar, "average", 0.0),
}  # fmt: skip


def test_every_recipe_has_its_formula():
    assert set(FORMULAS) == set(RECIPES)


@pytest.mark.parametrize("name", FORMULAS)
def test_loss_at_the_start(name, directory, measured, monkeypatch):
    monkeypatch.setattr(places, "MODEL", directory)
    formula, pooling, noise = FORMULAS[name]
    steps = []
    nst_graph.paint(
        directory / "photo.png", directory / "painting.png",
        replace(RECIPES[name].settings, iterations=0), observers=[steps.append],
    )  # fmt: skip
    photo, painting = (pictures.read(directory / file) for file in ("photo.png", "painting.png"))
    picture = noise * np.random.RandomState(0).uniform(-20, 20, photo.shape) + (1 - noise) * (photo - MEAN) + MEAN
    rescaled = "rescaled" in name
    expected = formula(
        measured(rescaled, pooling, f"start {noise}", picture),
        measured(rescaled, pooling, "photo", photo),
        measured(rescaled, pooling, "painting", painting),
        picture,
    )
    assert steps[0].total == pytest.approx(expected, rel=1e-4)


def falls(name, tmp_path, **where):
    iio.imwrite(tmp_path / "photo.png", random_picture(96, 128, 1).astype(np.uint8))
    totals = []
    nst_graph.paint(
        tmp_path / "photo.png", cli.EXAMPLE_STYLE,
        replace(RECIPES[name].settings, size=128, iterations=15), observers=[lambda step: totals.append(step.total)],
        **where,
    )  # fmt: skip
    return len(totals) == 16 and totals[-1] < 0.95 * totals[0]


ON_VGG16 = [name for name, recipe in RECIPES.items() if recipe.settings.network == "VGG-16"]


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in ON_VGG16])
def test_it_runs_and_its_loss_falls(name, directory, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "MODEL", directory)
    assert falls(name, tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ON_VGG16)
def test_it_runs_and_its_loss_falls_on_vgg16(name, vgg16_file, tmp_path):
    assert falls(name, tmp_path, weights_file=vgg16_file)


#: What the tables say of optimisers, steps, rates and sizes.
NUMBERS = {
    "gatys2015": {"optimiser": "lbfgs", "save_every": 100, "smoothness": 0, "network": "VGG-19"},
    "devos": {"size": 640, "iterations": 1000, "save_every": 100},
    "shibuya2017": {"optimiser": "gradient-descent", "iterations": 10, "rate": 0.001 / 255, "network": "VGG-16"},
    "shibuya2017-both": {"iterations": 100, "rate": 0.01 / 255},
    "shibuya2017-noise": {"iterations": 5000, "rate": 0.03 / 255, "init": "noise"},
    "vgg19-adam": {"optimiser": "adam", "iterations": 2000},
    "bisht2020": {"size": 512, "iterations": 1000, "rate": 5.1, "beta1": 0.99, "epsilon": 0.1 / 255, "bounded": True},
    "avelar2019": {"optimiser": "gradient-descent"},
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(name):
    for setting, value in NUMBERS[name].items():
        assert getattr(RECIPES[name].settings, setting) == (pytest.approx(value) if isinstance(value, float) else value)


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
    assert said == ["VGG-16 paints in the place of VGG-19, which scripts/get_weights.py vgg19 gets"]
    assert weights.find("VGG-16", said.append).name == "imagenet-vgg-verydeep-16.mat"
    (tmp_path / "imagenet-vgg-verydeep-16.mat").unlink()
    weights.find("VGG-16", said.append)
    assert said[1:] == ["VGG-19 paints in the place of VGG-16, which scripts/get_weights.py vgg16 gets"]


def test_no_weights_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "MODEL", tmp_path)
    with pytest.raises(InputError, match="no VGG-19 rescaled .* rescale FILE --images DIR"):
        nst_graph.paint("a.png", "b.png", RECIPES["gatys2016-rescaled"].settings)
