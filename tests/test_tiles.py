"""Tiles: they cover, and loss and gradient are those of the whole, borders included."""

import numpy as np
import pytest
from conftest import random_picture

from nst_graph import weights
from nst_graph.errors import InputError
from nst_graph.model.objective import Objective, Style, TiledObjective
from nst_graph.model.targets import tiles
from nst_graph.settings import Settings


def close(found, expected):
    for name, value in expected.terms.items():
        assert found.terms[name] == pytest.approx(value, rel=1e-4)
    assert found.total == pytest.approx(expected.total, rel=1e-4)
    scale = np.abs(expected.gradient).max()
    np.testing.assert_allclose(found.gradient, expected.gradient, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize(
    ("size", "side", "changes"),
    [
        ((200, 264), 64, {}),
        ((201, 271), 64, {"pooling": "max"}),
        ((223, 175), 96, {"content_loss": "mean", "style_loss": "mean"}),
        ((208, 130), 48, {"style_layers": {"conv2_2": 1.0}, "content_layers": {"conv3_1": 0.5, "conv1_2": 0.5}}),
        ((130, 209), 64, {"smoothness": 3.0, "style_loss": "over-pixels", "content_loss": "squares"}),
        ((130, 209), 64, {"smoothness": 3.0, "smoothness_loss": "squared", "padding": "replicate"}),
        ((201, 175), 64, {"padding": "reflect", "pooling": "max"}),
        ((33, 49), 16, {"padding": "reflect", "content_layers": {"conv1_1": 1.0}, "style_layers": {"conv1_1": 1.0}}),
        (
            (130, 175),
            64,
            {"style_loss": "wasserstein", "pooling": "l2", "smoothness": 3, "smoothness_loss": "nine-point"},
        ),
        ((90, 200), 64, {"alpha": 0.0}),
        ((90, 200), 64, {"beta": 0.0}),
    ],
)
def test_tiles_equal_the_whole(network, size, side, changes):
    settings = Settings(**changes)
    part = network.upto(settings.layers)
    picture, content = random_picture(*size, 1), random_picture(*size, 2)
    style = Style(random_picture(150, 190, 3))
    tiled = TiledObjective(part, content, [style], settings, side)
    close(tiled(picture), Objective(part, content, [style], settings)(picture))


def test_masks(network):
    size, settings = (150, 210), Settings()
    part = network.upto(settings.layers)
    picture, content = random_picture(*size, 1), random_picture(*size, 2)
    mask = np.zeros(size, np.float32)
    mask[:, :100] = 1
    styles = [
        Style(random_picture(*size, 3), 0.5, mask), Style(random_picture(*size, 4), 0.3, 1 - mask),
        Style(random_picture(*size, 5), 0.2),
    ]  # fmt: skip
    tiled = TiledObjective(part, content, styles, settings, 64)
    close(tiled(picture), Objective(part, content, styles, settings)(picture))


@pytest.mark.thorough
def test_the_real_network(vgg19_file):
    """Direct convolutions round alike wherever a tile begins; Winograd's do not: test_winograd.py has their bounds."""
    settings = Settings(convolutions="direct")
    part = weights.read(vgg19_file).upto(settings.layers)
    size = (150, 213)
    picture, content = random_picture(*size, 1), random_picture(*size, 2)
    style = Style(random_picture(*size, 3))
    tiled = TiledObjective(part, content, [style], settings, 64)
    close(tiled(picture), Objective(part, content, [style], settings)(picture))


@pytest.mark.parametrize(("size", "side"), [((200, 264), 64), ((17, 16), 32), ((161, 97), 48), ((31, 500), 16)])
def test_each_position_has_one_owner(network, size, side):
    part = network.upto(["conv5_1"])
    cover = tiles(part, np.zeros(size), side)
    for level in range(5):
        owners = np.zeros([length >> level for length in size], int)
        for tile in cover:
            owners[tile.positions(level)] += 1
            top, bottom, left, right = (at >> level for at in tile.inner)
            assert owners[tile.positions(level)].shape == (bottom - top, right - left)
        assert (owners == 1).all()


def test_halo_is_as_small_as_it_can_be(network):
    """Worked by hand for VGG-16: 2 pixels become 2, 6 become 8, 20 become 24, 48 stay, 64."""
    assert network.upto(["conv5_1"]).halo == 64
    assert network.upto(["conv1_1"]).halo == 1
    assert network.upto(["conv2_1"]).halo == 4


def test_unit_gradients_are_refused(network):
    content = random_picture(64, 64)
    with pytest.raises(InputError, match="--unit-gradients"):
        TiledObjective(network, content, [Style(content)], Settings(unit_gradients=True), 32)
