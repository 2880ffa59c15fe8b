"""Colours: the content's chrominance kept, or the styles' colours matched."""

from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import SMALL, random_picture
from skimage import color

from nst_graph import images

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


def test_covariance_matching():
    style, content = 0.3 * random_picture(40, 50, 1) + 90, 0.2 * random_picture(60, 30, 2) + 100
    matched = images.match_colours(style, content, "covariance").reshape(-1, 3)
    np.testing.assert_allclose(matched.mean(0), content.reshape(-1, 3).mean(0), rtol=1e-3)
    np.testing.assert_allclose(np.cov(matched.T), np.cov(content.reshape(-1, 3).T), rtol=1e-2, atol=0.05)


@pytest.mark.parametrize("how", ["histogram", "covariance"])
def test_matched_colours_reach_the_targets(paint, how):
    assert paint(settings=replace(SMALL, colours=how)).outcome.step.total != paint().outcome.step.total
