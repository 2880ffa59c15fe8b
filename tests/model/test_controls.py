"""Masks, scales of styles, unit gradients and smoothness by their formulas."""

from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
import reference
from conftest import MEAN, SMALL, as_reference, random_picture

import nst_graph
from nst_graph import images, weights
from nst_graph.commands import paint as cli
from nst_graph.errors import InputError
from nst_graph.model.objective import Objective, Style
from nst_graph.settings import CHOICES, Settings


@pytest.mark.parametrize("size", [(32, 48), (37, 53)])
def test_masked_style_by_its_formula(layers, network, size):
    """Eq. 4 over the mask's positions; half grey counts half; poolings average the mask."""
    picture, content, style = (random_picture(*size, seed) for seed in (1, 2, 3))
    mask = np.zeros(size, np.float32)
    mask[:, : size[1] // 2], mask[4:9, -6:] = 1, 0.5
    settings = Settings(content_layers={"conv1_1": 1.0}, style_layers={"conv2_1": 0.4, "conv3_2": 0.6})
    found = Objective(network, content, [Style(style, 1.0, mask)], settings)(picture).terms["style"]

    painted, wanted = (reference.features(layers, MEAN, p) for p in (picture, style))
    expected = 0
    for name, weight in settings.style_layers.items():
        shrunk = mask.astype(np.float64)[..., None]
        for _ in range(int(name[4]) - 1):
            shrunk = reference.pool(shrunk, "average")
        height, width, filters = painted[name].shape
        region = np.einsum("yx,yxi,yxj->ij", shrunk[..., 0], painted[name], painted[name])
        positions = shrunk.sum()
        target = reference.gram(wanted[name]) * positions / (height * width)
        expected += weight * np.sum((region - target) ** 2) / (4 * filters**2 * positions**2)
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_white_mask_changes_nothing(network):
    picture, content, style = (random_picture(32, 48, seed) for seed in (1, 2, 3))
    plain, masked = (
        Objective(network, content, [Style(style, 1.0, mask)], Settings())(picture)
        for mask in (None, np.ones((32, 48), np.float32))
    )
    assert masked.total == pytest.approx(plain.total, rel=1e-6)


@pytest.mark.thorough
def test_masks_on_the_real_network(vgg19_file, tmp_path):
    """Two styles, half a picture each: after 100 iterations each half is nearer to its own style."""
    height, width = 64, 96
    iio.imwrite(tmp_path / "photo.png", random_picture(height, width, 1).astype(np.uint8))
    iio.imwrite(tmp_path / "stripes.png", stripes(height, width))
    masks = np.zeros((2, height, width), np.uint8)
    masks[0, :, : width // 2] = masks[1, :, width // 2 :] = 255
    for index, mask in enumerate(masks):
        iio.imwrite(tmp_path / f"mask{index}.png", mask)
    styles = [cli.EXAMPLE_STYLE, tmp_path / "stripes.png"]
    painting = nst_graph.paint(
        tmp_path / "photo.png", styles, Settings(iterations=100), weights_file=vgg19_file,
        masks=[tmp_path / "mask0.png", tmp_path / "mask1.png"],
    )  # fmt: skip

    layers = as_reference(weights.read(vgg19_file).upto(["conv4_1"]))

    def grams(picture):
        features = reference.features(layers, MEAN, picture, "average", reference.convolve_fast)
        return {n: reference.gram(f) / f[..., 0].size for n, f in features.items() if n.endswith("_1")}

    halves = [painting.picture[:, : width // 2], painting.picture[:, width // 2 :]]
    wanted = [grams(images.resize(images.read(style), height, width)) for style in styles]
    for own, half in enumerate(halves):
        found = grams(half)
        for name in found:
            distances = [np.sum((found[name] - target[name]) ** 2) for target in wanted]
            assert distances[own] < distances[1 - own], (own, name)


def stripes(height, width):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([200 + 50 * np.sin((x + y) / 2), 60 + 50 * np.sin((x + y) / 2), 40 + 0 * x], -1).astype(np.uint8)


def test_masks_must_fit(paint, pictures_dir, tmp_path):
    with pytest.raises(InputError, match="masks: 1 for 2 styles; give one for each style"):
        paint("painting.png", "other.png", masks=[pictures_dir / "photo.png"])
    iio.imwrite(tmp_path / "black.png", np.zeros((9, 9), np.uint8))
    with pytest.raises(InputError, match=r"black.png: the mask is black"):
        paint(masks=[tmp_path / "black.png"])


def test_style_scale_by_its_formula(layers, network, paint, pictures_dir):
    settings = replace(SMALL, style_scale=0.5, iterations=0)
    found = paint(settings=settings).outcome.step.terms["style"]
    photo = images.read(pictures_dir / "photo.png")
    style = images.resize(images.read(pictures_dir / "painting.png"), 24, 32)
    picture = images.start(photo, network.mean, 1.0, 0)
    painted, wanted = (reference.features(layers, MEAN, p) for p in (picture, style))
    expected = 0
    for name in settings.style_layers:
        (height, width, filters), ratio = painted[name].shape, painted[name][..., 0].size / wanted[name][..., 0].size
        difference = reference.gram(painted[name]) - ratio * reference.gram(wanted[name])
        expected += 0.2 * np.sum(difference**2) / (4 * filters**2 * (height * width) ** 2)
    assert found == pytest.approx(expected, rel=1e-5)


def test_layers_of_terms_without_weight_are_not_built(network):
    assert Settings(beta=0).layers == ["conv4_2"]
    assert "conv4_2" not in Settings(alpha=0).layers


def test_unit_gradients(network):
    """One layer: the gradient at its features has an L1 norm of its weight; the loss stays as it was."""
    content, style = random_picture(32, 32, 1), random_picture(32, 32, 2)
    one = {"content_layers": {"conv1_1": 2.0}, "beta": 0, "alpha": 3.0}
    plain, unit = (
        Objective(network, content, [Style(style)], Settings(unit_gradients=unit, **one))(style)
        for unit in (False, True)
    )
    assert unit.terms == plain.terms
    # conv1_1 alone: both point the same way, and differ by the norm of F - P.
    ratio = unit.gradient / plain.gradient
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=1e-3)


def nine_point(pixels):
    """style-transfer-pytorch's: squares of right and lower neighbours by 2/3, of diagonal ones by 1/6, each a mean."""
    wide = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), "edge")
    right, below = wide[1:-1, 2:] - pixels, wide[2:, 1:-1] - pixels
    falling, rising = wide[1:, 1:] - wide[:-1, :-1], wide[1:, :-1] - wide[:-1, 1:]
    return 2 * (np.mean(right**2) + np.mean(below**2)) / 3 + (np.mean(falling**2) + np.mean(rising**2)) / 6


def test_smoothness_terms_by_their_formulas(network):
    picture = random_picture(32, 32, 5)
    pixels = picture.astype(np.float64)
    dx, dy = pixels[:-1, 1:] - pixels[:-1, :-1], pixels[1:, :-1] - pixels[:-1, :-1]
    expected = {
        "absolute": np.abs(np.diff(pixels, axis=0)).sum() + np.abs(np.diff(pixels, axis=1)).sum(),
        "squared": (np.diff(pixels, axis=0) ** 2).sum() + (np.diff(pixels, axis=1) ** 2).sum(),
        "power": ((dx**2 + dy**2) ** 1.25).sum(),
        "nine-point": nine_point(pixels),
    }
    assert set(expected) == set(CHOICES["smoothness_loss"])
    for name, value in expected.items():
        settings = Settings(smoothness=2.0, smoothness_loss=name)
        found = Objective(network, picture, [Style(picture)], settings)(picture)
        assert found.terms["smoothness"] == pytest.approx(value, rel=1e-5)
        assert found.total == pytest.approx(2 * value, rel=1e-5)


def test_smoothness_has_a_column_of_its_own(paint, tmp_path):
    paint(settings=replace(SMALL, smoothness=0.1, iterations=1), output=tmp_path / "run")
    header = (tmp_path / "run" / "losses.csv").read_text().splitlines()[0]
    assert header == "iteration,evaluations,seconds,content,style,smoothness,total"
