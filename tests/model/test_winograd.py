"""Winograd's convolutions: the sums they stand for, at any size, and the objective with them."""

import numpy as np
import pytest
import reference
from conftest import random_picture

from nst_graph import weights
from nst_graph.model import vgg, winograd
from nst_graph.model.objective import Objective, Style
from nst_graph.model.strips import Cut
from nst_graph.model.tensorflow import tf
from nst_graph.settings import Settings


@pytest.mark.parametrize("by", [winograd.SMALL, winograd.LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    ("tiles", "known"),
    [(1, True), (6, False), (96, True), (96, False), (None, False)],
    ids=["row by row", "uneven strips", "one strip", "one strip of any size", "on a GPU"],
)
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (5, 3), (12, 13), (2, 31), (18, 5), (23, 18)])
def test_convolution_and_gradient(size, tiles, known, by, monkeypatch):
    """In float64 against the paper's page of NumPy; the gradient is the one with <K d, w> = <d, g> for any d."""
    monkeypatch.setattr(winograd, "has_gpu", lambda: tiles is None)
    monkeypatch.setattr(winograd, "STRIP", 1)
    monkeypatch.setattr(winograd, "LEAST_TILES", tiles)
    random = np.random.default_rng(0)
    kernel = random.normal(size=(3, 3, 5, 7))
    given, direction = random.normal(size=(2, 1, *size, 5))
    slope = random.normal(size=(1, *size, 7))
    with tf.Graph().as_default() as within, tf.Session(graph=within) as session:
        values = tf.placeholder(tf.float64, given.shape if known else (1, None, None, 5))
        result = winograd.convolve(values, kernel, winograd.tiling(values, by, 7))
        assert result.shape.as_list() == [1, *(size if known else (None, None)), 7]
        gradient = tf.gradients(result, values, tf.constant(slope))
        session.run(tf.global_variables_initializer())
        found, (pulled,) = session.run((result, gradient), {values: given})
    np.testing.assert_allclose(found[0], reference.convolve(given[0], kernel, np.zeros(7)), rtol=0, atol=1e-12)
    along = (reference.convolve(direction[0], kernel, np.zeros(7)) * slope[0]).sum()
    assert (direction * pulled).sum() == pytest.approx(along, rel=1e-10)


def test_it_is_where_it_pays(vgg19_file, monkeypatch):
    """At 512 x 384 on VGG-19: not on the pixels, on a GPU nowhere with 64 filters, and nowhere in bfloat16."""
    network = weights.read(vgg19_file).upto(["conv5_1"])
    on_gpu = ["conv1_1", "conv1_2", "conv2_1"]
    for compute, has_gpu, direct in ((None, False, ["conv1_1"]), (None, True, on_gpu), (tf.bfloat16, False, None)):
        monkeypatch.setattr(winograd, "has_gpu", lambda has_gpu=has_gpu: has_gpu)
        with tf.Graph().as_default() as within:
            vgg.build(network, tf.placeholder(tf.float32, (384, 512, 3)), compute=compute, convolutions="winograd")
            names = [operation.name for operation in within.get_operations() if operation.type == "Conv2D"]
        assert names == (direct or [layer.name for layer in network.layers if isinstance(layer, weights.Conv)])


def test_larger_tiles_where_positions_are_many():
    kernel = np.zeros((3, 3, 128, 128), np.float32)
    for size, by in (
        ((48, 64), winograd.LARGE),
        ((None, None), winograd.LARGE),
        ((24, 32), winograd.SMALL),
        ((6, 8), None),
    ):
        assert winograd.fastest(*size, kernel) is by


@pytest.mark.thorough
def test_the_objective(vgg19_file, monkeypatch):
    """Loss and gradient on the real network, whole and in strips, against direct convolutions in float64."""
    plain, fewer = Settings(convolutions="direct"), Settings(convolutions="winograd")
    network = weights.read(vgg19_file).upto(plain.layers)
    shape = (150, 213)
    picture, content, style = random_picture(*shape, 1), random_picture(*shape, 2), Style(random_picture(*shape, 3))
    exact = Objective(network, content, [style], plain, np.float64)(picture)
    for objective in (
        Objective(network, content, [style], fewer),
        Objective(network, content, [style], fewer, cut=Cut(5, 64)),
    ):
        found = objective(picture)
        for name, value in exact.terms.items():
            assert found.terms[name] == pytest.approx(value, rel=1e-5)
        # In single precision a unit whose input is next to zero may fire, or not, where it does not, or does,
        # in double; the gradient then differs in what the unit sees. Everywhere else it is the same.
        difference, size = np.abs(found.gradient - exact.gradient), np.sqrt(np.mean(exact.gradient**2))
        assert np.quantile(difference, 0.9) < 1e-5 * size
        assert np.sqrt(np.mean(difference**2)) < 1e-3 * size


@pytest.mark.thorough
@pytest.mark.parametrize("by", [winograd.SMALL, winograd.LARGE], ids=["small", "large"])
def test_the_gradient_on_vgg16(vgg16_file, monkeypatch, by):
    """In float64, in which no unit's input is that near to zero, the whole gradient is the same."""
    monkeypatch.setattr(winograd, "LARGE", by)
    plain, fewer = Settings(convolutions="direct"), Settings(convolutions="winograd")
    network = weights.read(vgg16_file).upto(plain.layers)
    picture, content, style = (random_picture(150, 213, seed) for seed in (1, 2, 3))
    exact, found = (
        Objective(network, content, [Style(style)], settings, np.float64)(picture).gradient
        for settings in (plain, fewer)
    )
    assert np.linalg.norm(found - exact) < 1e-12 * np.linalg.norm(exact)
