"""Masks, colours, scales, bounds, texture and reconstruction, optimisers, unit gradients, rescaling."""

from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
import reference
from conftest import MEAN, as_reference, random_picture, run_here, run_script
from skimage import color

import nst_graph
from nst_graph import images, optimise, weights
from nst_graph.commands import get_weights
from nst_graph.commands import paint as cli
from nst_graph.errors import InputError
from nst_graph.evaluation import Evaluation
from nst_graph.model import vgg
from nst_graph.model.objective import Objective, Style
from nst_graph.settings import CHOICES, Settings

SMALL = Settings(iterations=20, save_every=100)


@pytest.fixture
def paint(pictures_dir, network_file):
    def call(*styles, settings=SMALL, **options):
        files = [pictures_dir / name for name in styles or ["painting.png"]]
        return nst_graph.paint(pictures_dir / "photo.png", files, settings, weights_file=network_file, **options)

    return call


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


def test_luminance_keeps_the_contents_chrominance(paint, pictures_dir):
    result = paint(settings=replace(SMALL, colours="luminance"))
    content = images.read(pictures_dir / "photo.png")
    found, expected = color.rgb2yuv(result.picture / 255), color.rgb2yuv(content / 255)
    np.testing.assert_allclose(found[..., 1:], expected[..., 1:], atol=1e-5)
    assert result.picture.min() >= -1e-3 and result.picture.max() <= 255.001
    # Where nothing gives way, the luminance is the painting's.
    wanted = color.rgb2yuv(np.clip(result.outcome.step.picture, 0, 255) / 255)[..., 0]
    assert np.mean(np.abs(found[..., 0] - wanted) < 1e-4) > 0.6


def test_luminance_in_saved_pictures(paint, pictures_dir, tmp_path):
    paint(settings=replace(SMALL, colours="luminance"), output=tmp_path / "run")
    saved = iio.imread(tmp_path / "run" / "final.png")
    content = images.read(pictures_dir / "photo.png")
    difference = color.rgb2yuv(saved / 255)[..., 1:] - color.rgb2yuv(content / 255)[..., 1:]
    assert np.abs(difference).max() < 1 / 255  # rounding to 8 bits


def test_histogram_matching():
    style, content = random_picture(40, 50, 1), random_picture(60, 30, 2) * 0.5 + 60
    matched = images.match_colours(style, content, "histogram")
    for band in range(3):
        shares = np.linspace(0.05, 0.95, 10)
        np.testing.assert_allclose(
            np.quantile(matched[..., band], shares), np.quantile(content[..., band], shares), atol=2
        )


def test_covariance_matching():
    style, content = 0.3 * random_picture(40, 50, 1) + 90, 0.2 * random_picture(60, 30, 2) + 100
    matched = images.match_colours(style, content, "covariance").reshape(-1, 3)
    np.testing.assert_allclose(matched.mean(0), content.reshape(-1, 3).mean(0), rtol=1e-3)
    np.testing.assert_allclose(np.cov(matched.T), np.cov(content.reshape(-1, 3).T), rtol=1e-2, atol=0.05)


@pytest.mark.parametrize("how", ["histogram", "covariance"])
def test_matched_colours_reach_the_targets(paint, how):
    assert paint(settings=replace(SMALL, colours=how)).outcome.step.total != paint().outcome.step.total


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


def test_texture_and_reconstruction(pictures_dir, network_file, tmp_path):
    common = ["--weights", network_file, "--iterations", 20]
    for name, options in (("painting.png", ["--alpha", 0]), ("photo.png", ["--beta", 0])):
        done = run_here("paint.py", pictures_dir / name, *options, *common, "--output", tmp_path / name[:-4])
        assert done.returncode == 0, done.stderr
    header, *texture = (tmp_path / "painting" / "losses.csv").read_text().splitlines()
    assert header.endswith("content,style,total")
    assert {row.split(",")[3] for row in texture} == {"0"}
    assert float(texture[-1].split(",")[4]) < 0.5 * float(texture[0].split(",")[4])
    _, *reconstruction = (tmp_path / "photo" / "losses.csv").read_text().splitlines()
    assert {row.split(",")[4] for row in reconstruction} == {"0"}
    assert float(reconstruction[-1].split(",")[3]) < 0.5 * float(reconstruction[0].split(",")[3])


def test_layers_of_terms_without_weight_are_not_built(network):
    assert Settings(beta=0).layers == ["conv4_2"]
    assert "conv4_2" not in Settings(alpha=0).layers


@pytest.mark.parametrize("optimiser", ["lbfgs", "adam", "gradient-descent"])
def test_bounded_pixels_stay_in_range(optimiser):
    target = np.linspace(-100, 400, 60).reshape(4, 5, 3)

    def pull(picture):
        difference = picture - target
        return Evaluation({}, float((difference**2).sum() / 2), difference)

    start = np.full(target.shape, 128, np.float32)
    seen = []
    settings = Settings(optimiser=optimiser, rate=0.5 if optimiser != "adam" else 5, iterations=200, bounded=True)
    outcome = optimise.minimise(pull, start, settings, lambda step: seen.append(step.picture))
    assert all(picture.min() >= 0 and picture.max() <= 255 for picture in seen)
    np.testing.assert_allclose(outcome.step.picture, np.clip(target, 0, 255), atol=1)


def test_adam_by_its_formula():
    """Kingma and Ba 2015, algorithm 1 as TensorFlow 1 has it: epsilon inside the corrected rate."""
    start = random_picture(3, 4, 1)

    def objective(picture):
        gradient = np.sin(picture / 30).astype(np.float32)
        return Evaluation({}, float(-30 * np.cos(picture / 30).sum()), gradient)

    seen = []
    settings = Settings(optimiser="adam", rate=2.0, beta1=0.8, epsilon=0.01, iterations=15)
    optimise.minimise(objective, start, settings, lambda step: seen.append(step.picture))
    x, mean, square = start.astype(np.float64), 0.0, 0.0
    for t in range(1, 16):
        gradient = np.sin(x / 30)
        mean, square = 0.8 * mean + 0.2 * gradient, 0.999 * square + 0.001 * gradient**2
        x = x - 2.0 * np.sqrt(1 - 0.999**t) / (1 - 0.8**t) * mean / (np.sqrt(square) + 0.01)
        np.testing.assert_allclose(seen[t], x, atol=1e-3)


def test_gradient_descent_by_its_formula():
    start = random_picture(3, 4, 1)
    seen = []
    settings = Settings(optimiser="gradient-descent", rate=0.25, iterations=10)
    optimise.minimise(lambda p: Evaluation({}, float((p**2).sum() / 2), p), start, settings, seen.append)
    assert [step.evaluations for step in seen] == list(range(1, 12))
    np.testing.assert_allclose(seen[-1].picture, start * 0.75**10, rtol=1e-5)


@pytest.mark.parametrize("optimiser", ["adam", "gradient-descent"])
def test_scaled_pixels_are_the_optimisers_variables(optimiser):
    """As if a program took steps in pixels that it divided itself."""
    start, scale = random_picture(3, 4, 1), np.float32([58.395, 57.12, 255])
    same = {"optimiser": optimiser, "rate": 0.01, "epsilon": 0.1, "iterations": 15}

    def objective(picture):
        return Evaluation({}, float(-30 * np.cos(picture / 30).sum()), np.sin(picture / 30).astype(np.float32))

    def divided(variables):
        found = objective(variables * scale)
        return Evaluation({}, found.total, found.gradient * scale)

    scaled = optimise.minimise(objective, start, Settings(pixel_scale=tuple(map(float, scale)), **same), lambda _: None)
    plain = optimise.minimise(divided, start / scale, Settings(**same), lambda _: None)
    np.testing.assert_allclose(scaled.step.picture, plain.step.picture * scale, rtol=1e-4)
    assert np.abs(scaled.step.picture - start).max() > 1


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


@pytest.mark.parametrize("weights_file", ["network_file", pytest.param("vgg19_file", marks=pytest.mark.thorough)])
def test_rescaling(request, weights_file, tmp_path):
    """Features are the original's over the scales; the mean activations are one; twice changes nothing."""
    (tmp_path / "images").mkdir()
    for seed in (1, 2):
        iio.imwrite(tmp_path / "images" / f"{seed}.png", random_picture(64, 80, seed).astype(np.uint8))
    (tmp_path / "vgg.mat").symlink_to(request.getfixturevalue(weights_file))
    assert get_weights.main(["rescale", str(tmp_path / "vgg.mat"), "--images", str(tmp_path / "images")]) == 0
    assert get_weights.main(["rescale", str(tmp_path / "vgg-rescaled.mat"), "--images", str(tmp_path / "images")]) == 0
    networks = [weights.read(tmp_path / f"{name}.mat") for name in ("vgg", "vgg-rescaled", "vgg-rescaled-rescaled")]
    shown = [random_picture(64, 80, seed).astype(np.uint8).astype(np.float32) for seed in (1, 2)]
    original, once = (vgg.mean_activations(network, shown) for network in networks[:2])
    picture = random_picture(48, 48, 3)
    features = []
    for network in networks:
        layers = as_reference(network)
        features.append(reference.features(layers, MEAN, picture, "average", reference.convolve_fast))
    for name, scale in original.items():
        # In the original's units: what rarely fires is a small difference of large float32 sums.
        np.testing.assert_allclose(once[name] * scale, scale, rtol=1e-4, atol=1e-5 * np.mean(scale))
        divided = features[0][name] / np.where(scale > 0, scale, 1)
        np.testing.assert_allclose(features[1][name], divided, rtol=1e-4, atol=1e-4 * divided.max())
        np.testing.assert_allclose(features[2][name], features[1][name], rtol=1e-4, atol=1e-4 * divided.max())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rescale"], "the following arguments are required: FILE, --images"),
        (["rescale", "{file}", "--images", "{empty}"], "holds no picture"),
        (["rescale", "{file}", "--images", "/none"], "no such directory"),
        (["vgg16", "{file}"], "unrecognized arguments"),
    ],
)  # fmt: skip
def test_rescaling_errors(arguments, words, network_file, tmp_path, capsys):
    named = [word.format(file=network_file, empty=tmp_path) for word in arguments]
    assert get_weights.main(named) == 2 and words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_recipes_option():
    done = run_script("paint.py", "--recipes")
    assert done.returncode == 0 and done.stderr == ""
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(nst_graph.recipes.RECIPES)


def test_options_win_over_the_recipe(pictures_dir, network_file, tmp_path):
    import json

    words = [pictures_dir / "photo.png", pictures_dir / "painting.png", "--recipe", "devos", "--size", 33]
    done = run_here("paint.py", *words, "--weights", network_file, "--iterations", 1, "--output", tmp_path / "run")
    assert done.returncode == 0
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    assert (settings["squash"], settings["size"], settings["iterations"]) == ([640, 480], 33, 1)
