"""Strips: they cover, and loss and gradient are those of the whole, borders included."""

import numpy as np
import pytest
from conftest import random_picture

from nst_graph import weights
from nst_graph.errors import InputError
from nst_graph.model.objective import Objective, Style
from nst_graph.model.strips import Cut, reach, strips
from nst_graph.model.tensorflow import tf
from nst_graph.settings import Settings

FIRST = {"conv1_1": 1.0}


def check(network, size, cut, settings, styles, dtype=np.float64, rel=1e-12, **options):
    """Loss and gradient in strips and in one piece, at two pictures one after the other."""
    part, content = network.upto(settings.layers, settings.pool_rounding), random_picture(*size, 2)
    in_strips, whole = (Objective(part, content, styles, settings, dtype, cut=one, **options) for one in (cut, None))
    for seed in (1, 4):
        evaluation, expected = (objective(random_picture(*size, seed)) for objective in (in_strips, whole))
        for name, value in expected.terms.items():
            assert evaluation.terms[name] == pytest.approx(value, rel=rel)
        assert evaluation.total == pytest.approx(expected.total, rel=rel)
        scale = np.abs(expected.gradient).max()
        np.testing.assert_allclose(evaluation.gradient, expected.gradient, rtol=0, atol=rel * scale)


@pytest.mark.parametrize(
    ("size", "cut", "changes"),
    [
        ((200, 264), Cut(4, 32), {}),
        ((201, 271), Cut(1, 48), {"pooling": "max"}),
        ((223, 175), Cut(2, 64), {"content_loss": "mean", "style_loss": "mean"}),
        ((208, 130), Cut(3, 16), {"style_layers": {"conv2_2": 1}, "content_layers": {"conv3_1": 0.5, "conv1_2": 0.5}}),
        ((130, 209), Cut(4, 20), {"smoothness": 3.0, "style_loss": "over-pixels", "content_loss": "squares"}),
        ((130, 209), Cut(3, 1000), {"smoothness": 3.0, "smoothness_loss": "squared", "padding": "replicate"}),
        ((201, 175), Cut(2, 18), {"padding": "reflect", "pooling": "max"}),
        ((33, 49), Cut(1, 16), {"padding": "reflect", "content_layers": FIRST, "style_layers": FIRST}),
        ((130, 175), Cut(5, 24), {"style_loss": "wasserstein", "pooling": "l2"}),
        ((130, 175), Cut(4, 24), {"smoothness": 3, "smoothness_loss": "nine-point"}),
        ((90, 200), Cut(5, 24), {"alpha": 0.0}),
        ((90, 200), Cut(3, 32), {"beta": 0.0}),
        ((203, 271), Cut(5, 24, 2), {"content_layers": {"conv3_1": 0.5, "conv1_2": 0.5, "conv2_2": 1}}),
        ((201, 175), Cut(3, 32, 3), {"pooling": "max", "padding": "reflect"}),
        (
            (131, 93),
            Cut(4, 16, 2),
            {"style_loss": "mean", "style_layers": {"conv2_2": 1, "pool2": 1, "pool1": 2}},
        ),
    ],
)
def test_strips_equal_the_whole(network, size, cut, changes):
    check(network, size, cut, Settings(**changes), [Style(random_picture(150, 190, 3))], rel=1e-11)


@pytest.mark.parametrize("pool_rounding", ["down", "up"])
@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize(
    ("size", "cut", "content", "style"),
    [
        ((131, 97), Cut(1, 16), "pool1", ("conv1_1", "pool1", "pool2", "pool3", "pool4")),
        ((131, 97), Cut(4, 24), "pool2", ("conv1_1", "pool1", "pool2", "pool3", "pool4")),
        ((75, 113), Cut(3, 20), "pool3", ("pool1", "conv2_1")),
        ((90, 77), Cut(5, 32), "conv4_2", ("pool2", "pool5")),
    ],
)
def test_poolings_as_layers(network, size, cut, content, style, pooling, pool_rounding):
    """Of odd sizes too, whichever way they are rounded, and with a mask."""
    layers = {"content_layers": {content: 1.0}, "style_layers": dict.fromkeys(style, 1.0)}
    settings = Settings(**layers, pooling=pooling, pool_rounding=pool_rounding)
    mask = np.linspace(0, 1, size[0] * size[1], dtype=np.float32).reshape(size)
    styles = [Style(random_picture(83, 71, 3), 0.6), Style(random_picture(83, 71, 4), 0.4, mask)]
    check(network, size, cut, settings, styles)


@pytest.mark.parametrize("cut", [Cut(1, 32), Cut(5, 32), Cut(5, 32, 2)])
def test_masks(network, cut):
    size = (150, 210)
    mask = np.zeros(size, np.float32)
    mask[:, :100] = 1
    styles = [
        Style(random_picture(*size, 3), 0.5, mask), Style(random_picture(*size, 4), 0.3, 1 - mask),
        Style(random_picture(*size, 5), 0.2),
    ]  # fmt: skip
    check(network, size, cut, Settings(), styles)


@pytest.mark.parametrize("sides", [(149, 113), (97, 131)])
@pytest.mark.parametrize("rows", [16, 40])
def test_prime_sides(network, sides, rows):
    check(network, sides, Cut(4, rows), Settings(), [Style(random_picture(131, 97, 3))])


def test_single_precision_and_bfloat16(network):
    style, cut = [Style(random_picture(150, 190, 3))], Cut(3, 32)
    check(network, (130, 175), cut, Settings(convolutions="direct"), style, np.float32, 1e-4)
    check(network, (130, 175), cut, Settings(), style, np.float32, 2e-2, compute=tf.bfloat16)


@pytest.mark.thorough
def test_the_real_network(vgg19_file):
    network, size = weights.read(vgg19_file), (150, 213)
    for cut in (Cut(2, 48), Cut(5, 32), Cut(5, 32, 2)):
        check(network, size, cut, Settings(), [Style(random_picture(*size, 3))])


@pytest.mark.parametrize(
    ("height", "rows", "overlap"), [(200, 64, 2), (17, 32, 4), (161, 48, 4), (31, 16, 2), (5, 2, 4), (1, 16, 2)]
)
def test_each_row_has_one_owner(height, rows, overlap):
    """And the gradient of each is whole after one strip, whatever follows."""
    cover = strips(height, rows, overlap)
    assert [row for strip in cover for row in range(strip.start, strip.stop)] == list(range(height))
    assert [row for strip in cover for row in range(strip.first, strip.end)] == list(range(height))
    for strip in cover:
        assert strip.start % overlap == strip.first % overlap == 0
        assert strip.first == max(0, strip.start - overlap) and strip.last == min(height, strip.stop + overlap)
        assert strip.stop - strip.start >= min(overlap, height)


def test_reach_is_a_row_for_each_convolution(network):
    """VGG-16 has blocks of two, two, three, three and three; pooling takes even numbers."""
    assert [reach(layers) for layers in network.upto(["conv5_3"]).blocks] == [2, 2, 4, 4, 4]
    assert [reach(layers) for layers in network.upto(["conv3_1"]).blocks] == [2, 2, 2]
    assert [reach(Cut(3, 16, joined).parts(network)[0]) for joined in (1, 2, 3)] == [2, 8, 24]


def test_unit_gradients_are_refused(network):
    content = random_picture(64, 64)
    with pytest.raises(InputError, match="unit_gradients: not in strips"):
        Objective(network, content, [Style(content)], Settings(unit_gradients=True), cut=Cut(1, 32))
