"""Colours: the content's chrominance kept, or the styles' colours matched, or the content's to theirs."""

from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
import scipy.linalg
from conftest import SMALL, random_picture
from skimage import color

import nst_graph
from nst_graph import images
from nst_graph.settings import Settings

SHARES = np.linspace(0.02, 0.98, 25)


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


@pytest.mark.parametrize("styles", [["painting.png"], ["painting.png", "other.png"]])
def test_histograms_matched_at_the_end(paint, tmp_path, styles):
    """Each channel's levels are those of the styles, of several those of all their pixels; the painting is the same."""
    painted, same = (
        paint(*styles, settings=replace(SMALL, match_histogram=match), output=tmp_path / str(match))
        for match in (True, False)
    )
    np.testing.assert_array_equal(painted.outcome.step.picture, same.outcome.step.picture)
    shown = [iio.imread(tmp_path / "True" / f"style-{number}.png") for number, _ in enumerate(styles, 1)]
    pixels = np.concatenate([picture.reshape(-1, 3) for picture in shown])
    for name in ("final.png", "iteration-00000.png"):
        saved, before = (iio.imread(tmp_path / how / name) for how in ("True", "False"))
        expected, found, unmatched = (
            np.quantile(each, SHARES, (0, 1)[: each.ndim - 1]) for each in (pixels, saved, before)
        )
        np.testing.assert_allclose(found, expected, atol=3)
        assert np.abs(unmatched - expected).max() > 9


def same_moments(found, expected):
    """Mean and covariance of the pixels, to 1e-5; a covariance's zero is measured by its variances."""
    found, expected = (picture.reshape(-1, 3).astype(np.float64) for picture in (found, expected))
    np.testing.assert_allclose(found.mean(0), expected.mean(0), rtol=1e-5)
    covariance = np.cov(expected.T)
    np.testing.assert_allclose(np.cov(found.T), covariance, rtol=1e-5, atol=1e-5 * np.diag(covariance).min())


def coloured(height, width, seed):
    """A picture whose channels go together, with few of the lightest and darkest levels, in whole numbers."""
    picture = 0.4 * random_picture(height, width, seed) @ np.random.default_rng(seed).dirichlet([2, 2, 2], 3)
    return np.rint(picture + np.array([70, 90, 60])).astype(np.uint8)


def test_covariance_matching():
    style, content = coloured(40, 50, 1).astype(np.float32), coloured(60, 30, 2).astype(np.float32)
    matched = images.match_colours(style, content, "covariance")
    assert matched.min() > 0 and matched.max() < 255
    same_moments(matched, content)
    # The root is symmetric: of the map itself, C'^(1/2) C^(-1/2), by least squares.
    ones = np.ones((style[..., 0].size, 1))
    matrix = np.linalg.lstsq(np.hstack([style.reshape(-1, 3), ones]), matched.reshape(-1, 3), rcond=None)[0][:3].T
    roots = [scipy.linalg.sqrtm(np.cov(picture.reshape(-1, 3).T)).real for picture in (content, style)]
    np.testing.assert_allclose(matrix, roots[0] @ np.linalg.inv(roots[1]), atol=1e-4)


@pytest.mark.parametrize("blend", [None, (1, 3)])
def test_match_photograph(network_file, blend):
    """The start, which is the photograph as it is painted, has mean and covariance of the styles' pixels."""
    photograph, styles = coloured(48, 64, 3), [coloured(48, 64, 4), coloured(48, 64, 5)][: len(blend or "1")]
    settings = Settings(iterations=0, init="content", colours="match-photograph", style_blend=blend)
    painting = nst_graph.paint(photograph, styles, settings, weights_file=network_file)
    assert painting.picture.min() > 0 and painting.picture.max() < 255
    repeated = [style for style, times in zip(styles, blend or (1,), strict=True) for _ in range(times)]
    if blend is None:
        same_moments(painting.picture, styles[0])
    else:  # np.cov divides by one less than it has pixels, here by another number
        pixels = np.concatenate(repeated).reshape(-1, 3).astype(np.float64)
        found = painting.picture.reshape(-1, 3)
        np.testing.assert_allclose(found.mean(0), pixels.mean(0), rtol=1e-5)
        np.testing.assert_allclose(np.cov(found.T), np.cov(pixels.T), rtol=1e-3, atol=1e-2)
    assert painting.outcome.step.terms["content"] < 1e-3  # it is what the content is compared with


def test_luminance_first(network_file):
    """Photograph and style are compared in grey, the style's mean moved; the photograph's chroma is put back."""
    photograph, style = coloured(48, 64, 3), coloured(48, 64, 4)
    grey, grey_style = (np.repeat(one @ np.array([[0.299], [0.587], [0.114]]), 3, -1) for one in (photograph, style))
    moved = grey_style - grey_style.mean() + grey.mean()
    settings = Settings(iterations=0, init="content")
    expected = nst_graph.paint(grey, moved, settings, weights_file=network_file).outcome.step
    first = replace(settings, colours="luminance-first")
    painting = nst_graph.paint(photograph, style, first, weights_file=network_file)
    assert painting.outcome.step.terms["style"] == pytest.approx(expected.terms["style"], rel=1e-3)
    np.testing.assert_allclose(painting.picture, photograph, atol=0.05)
    longer = nst_graph.paint(photograph, style, replace(first, iterations=10), weights_file=network_file)
    found, expected = color.rgb2yuv(longer.picture / 255), color.rgb2yuv(photograph / 255)
    np.testing.assert_allclose(found[..., 1:], expected[..., 1:], atol=1e-5)
    assert np.abs(found[..., 0] - expected[..., 0]).max() > 0.01


@pytest.mark.parametrize("how", ["histogram", "covariance", "luminance-first", "match-photograph"])
def test_matched_colours_reach_the_targets(paint, how):
    assert paint(settings=replace(SMALL, colours=how)).outcome.step.total != paint().outcome.step.total
