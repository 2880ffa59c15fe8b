"""Features, Gram matrices, losses and gradients against tests/reference.py."""

import numpy as np
import pytest
import reference
from conftest import MEAN, as_reference, random_picture

from nst_graph import images, weights
from nst_graph.model import losses, vgg
from nst_graph.model.objective import Objective, Style
from nst_graph.model.strips import Cut
from nst_graph.model.tensorflow import initialise, tf
from nst_graph.settings import CHOICES, Settings

CONTENT_LAYERS = {"conv4_2": 0.7, "conv2_2": 0.3}
STYLE_LAYERS = {"conv1_1": 0.2, "conv1_2": 0.1, "conv3_3": 0.4, "conv5_3": 0.3}
SIZES = [(48, 64), (37, 53)]  # even and odd at every pooling


def error(found, expected):
    """The largest difference, relative to the largest value."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    return np.abs(found - expected).max() / np.abs(expected).max()


def evaluate(network, picture, pooling, fetch, **how):
    with tf.Graph().as_default() as within, tf.Session(graph=within) as session:
        tensors = vgg.build(network, tf.constant(picture), pooling=pooling, **how)
        initialise(session)
        return session.run({name: fetch(tensor) for name, tensor in tensors.items()})


def test_the_reference_convolves_as_scipy_does(layers):
    picture = random_picture(9, 7).astype(np.float64)
    kernel, bias = (weight.astype(np.float64) for weight in layers[0][2:])
    assert error(reference.convolve_fast(picture, kernel, bias), reference.convolve(picture, kernel, bias)) < 1e-12


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("size", SIZES)
def test_features_and_grams(layers, network, size, pooling):
    picture = random_picture(*size)
    expected = reference.features(layers, MEAN, picture, pooling)
    found = evaluate(network, picture, pooling, lambda tensor: tensor)
    grams = evaluate(network, picture, pooling, losses.gram)
    assert set(found) == set(expected)
    for name, features in expected.items():
        assert found[name].shape == (1, *features.shape)
        assert error(found[name][0], features) < 1e-5, name
        assert error(grams[name], reference.gram(features)) < 1e-5, name


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (2, 1), (48, 64), (37, 53)])
@pytest.mark.parametrize(("padding", "mode"), [("zeros", "constant"), ("replicate", "edge"), ("reflect", "reflect")])
def test_padding(layers, network, size, padding, mode):
    """In float64 the first convolution is SciPy's on NumPy's padding, of one line too; deeper ones pad with zeros."""
    picture = random_picture(*size).astype(np.float64)
    first, part = layers[0][2:], network if min(size) >= 16 else network.upto(["conv1_2"])
    expected = {"conv1_1": np.maximum(first_convolution(picture - network.mean, *first, mode), 0)}
    rest = layers[2:] if part is network else layers[2:4]
    expected |= reference.features(rest, 0, expected["conv1_1"])
    found = evaluate(part, picture, "average", lambda tensor: tensor, padding=padding)
    for name, features in expected.items():
        assert found[name].shape == (1, *features.shape)
        assert error(found[name][0], features) < 1e-12, name


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 2), (9, 7)])
@pytest.mark.parametrize(("padding", "mode"), [("zeros", "constant"), ("replicate", "edge"), ("reflect", "reflect")])
def test_the_gradient_at_the_border(layers, network, size, padding, mode):
    """Where every unit fires the features are linear, and the gradient g has <K d, w> = <d, g> for any d."""
    kernel, bias = (weight.astype(np.float64) for weight in layers[0][2:])
    conv = weights.Conv("conv1_1", kernel, bias + 1e6)
    part = weights.Network((conv, weights.Relu("conv1_1")), network.mean, network.layout)
    random = np.random.default_rng(0)
    direction, slope = random.normal(size=(*size, 3)), random.normal(size=(*size, bias.size))
    with tf.Graph().as_default() as within, tf.Session(graph=within) as session:
        picture = tf.placeholder(tf.float64, (None, None, 3))
        features = vgg.build(part, picture, padding=padding)["conv1_1"]
        gradient = tf.gradients(features, picture, tf.constant(slope[None]))
        initialise(session)
        (pulled,) = session.run(gradient, {picture: random_picture(*size)})
    along = (first_convolution(direction, kernel, np.zeros(bias.size), mode) * slope).sum()
    assert (direction * pulled).sum() == pytest.approx(along, rel=1e-9)


def first_convolution(picture, kernel, bias, mode):
    """That of a picture with a line more at each side; beyond those zeros make no difference."""
    padded = np.pad(picture, ((1, 1), (1, 1), (0, 0)), mode)
    return reference.convolve(padded, kernel.astype(np.float64), bias.astype(np.float64))[1:-1, 1:-1]


@pytest.mark.parametrize("padding", CHOICES["padding"])
def test_targets_are_padded_as_the_picture_is(network, padding):
    picture = random_picture(37, 53)
    for objective in (
        Objective(network, picture, [Style(picture)], setting(padding=padding)),
        Objective(network, picture, [Style(picture)], setting(padding=padding), cut=Cut(2, 16)),
    ):
        other, same = objective(random_picture(37, 53, 1)), objective(picture)
        assert same.total < 1e-9 * other.total


def test_the_graph_ends_at_the_deepest_layer(network):
    with tf.Graph().as_default() as within:
        features = vgg.build(network.upto(["conv3_1"]), tf.placeholder(tf.float32, (32, 32, 3)))
        kinds = [operation.type for operation in within.get_operations()]
    assert list(features) == ["conv1_1", "conv1_2", "pool1", "conv2_1", "conv2_2", "pool2", "conv3_1"]
    assert kinds.count("Conv2D") == 5 and kinds.count("AvgPool") == 2


def setting(**changes):
    return Settings(
        **{"content_layers": CONTENT_LAYERS, "style_layers": STYLE_LAYERS, "alpha": 2.0, "beta": 30.0} | changes
    )


@pytest.mark.parametrize("rounding", ["down", "up"])
@pytest.mark.parametrize("pooling", ["average", "max", "l2"])
@pytest.mark.parametrize("cut", [None, Cut(2, 16)])
def test_poolings_are_layers(layers, network, pooling, rounding, cut):
    """Each one's loss by the equations, for content and style, of odd sizes; all of them together are equation 7."""
    picture, content, style = (random_picture(37, 53, seed) for seed in (1, 2, 3))
    content_layers, style_layers = {"pool2": 0.5, "conv3_1": 0.5}, {"conv1_1": 0.3, "pool1": 0.3, "pool4": 0.4}
    settings = setting(
        content_layers=content_layers, style_layers=style_layers, pooling=pooling, pool_rounding=rounding
    )
    part = network.upto(settings.layers, rounding)
    assert part.layers[-1].name == "pool4"
    found = Objective(part, content, [Style(style)], settings, np.float64, cut=cut).by_layer(picture)
    painted, contents, styles = (
        reference.features(layers, MEAN, each, pooling, rounding=rounding) for each in (picture, content, style)
    )
    expected = {
        f"style {name}": 30 * weight * reference.style_loss(painted[name], styles[name])
        for name, weight in style_layers.items()
    } | {
        f"content {name}": 2 * weight * reference.content_loss(painted[name], contents[name])
        for name, weight in content_layers.items()
    }
    assert found.terms == pytest.approx(expected, rel=1e-6) and list(found.terms) == list(expected)
    assert found.total == pytest.approx(sum(expected.values()), rel=1e-6)


@pytest.mark.parametrize("pooling", ["average", "max", "l2"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("styles", [1, 3])
def test_loss_terms(layers, network, size, pooling, styles):
    blend = (2.0, 1.0, 5.0)[:styles]
    picture, content = random_picture(*size, 1), random_picture(*size, 2)
    paintings = [random_picture(*size, 3 + i) for i in range(styles)]
    shares = np.array(blend) / sum(blend)
    targets = [Style(painting, share) for painting, share in zip(paintings, shares, strict=True)]
    objective = Objective(network, content, targets, setting(pooling=pooling))
    found = objective(picture)
    terms = CONTENT_LAYERS, STYLE_LAYERS, shares
    content_term, style_term = reference.terms(layers, MEAN, picture, content, paintings, *terms, pooling=pooling)
    assert found.terms["content"] == pytest.approx(content_term, rel=1e-5)
    assert found.terms["style"] == pytest.approx(style_term, rel=1e-5)
    assert found.total == pytest.approx(2 * content_term + 30 * style_term, rel=1e-5)
    assert found.gradient.shape == picture.shape


@pytest.mark.parametrize("pooling", ["average", "max", "l2"])
@pytest.mark.parametrize("size", SIZES)
def test_gradient_against_finite_differences(layers, network, size, pooling):
    """The graph in float64; the differences are those of the reference, not of the graph."""
    picture = random_picture(*size, 1).astype(np.float64)
    content, style = random_picture(*size, 2), random_picture(*size, 3)
    gradient = Objective(network, content, [Style(style)], setting(pooling=pooling), dtype=np.float64)(picture).gradient

    def total(shifted):
        how = {"pooling": pooling, "convolution": reference.convolve_fast}
        content_term, style_term = reference.terms(
            layers, MEAN, shifted, content, [style], CONTENT_LAYERS, STYLE_LAYERS, [1.0], **how
        )
        return 2 * content_term + 30 * style_term

    rng, step = np.random.default_rng(4), 1e-5
    corners = [(0, 0, 0), (size[0] - 1, size[1] - 1, 2)]
    for at in corners + [tuple(rng.integers(0, picture.shape)) for _ in range(6)]:
        shift = np.zeros_like(picture)
        shift[at] = step
        slope = (total(picture + shift) - total(picture - shift)) / (2 * step)
        assert gradient[at] == pytest.approx(slope, rel=1e-6, abs=1e-6 * np.abs(gradient).max())


def test_content_gradient_is_zero_where_features_are_not_positive(network):
    """Equation 2: a filter that never fires pulls nothing."""
    first = network.layers[0]
    dead = weights.Network(
        (weights.Conv("conv1_1", first.kernel, np.full_like(first.bias, -1e6)), network.layers[1]),
        network.mean,
        "current",
    )
    settings = Settings(content_layers={"conv1_1": 1.0}, style_layers={"conv1_1": 1.0}, beta=0)
    content = random_picture(16, 16)
    evaluation = Objective(dead, content, [Style(content)], settings)(content + 50)
    assert evaluation.total == 0 and not evaluation.gradient.any()


@pytest.mark.parametrize("masked", [False, True])
def test_wasserstein(masked):
    random = np.random.default_rng(0)
    painted, wanted = random.gamma(1, 2, (1, 8, 9, 6)), random.gamma(2, 1, (1, 7, 5, 6))
    share = random.uniform(size=72) if masked else np.ones(72)
    with tf.Graph().as_default(), tf.Session() as session:
        given, positions = tf.placeholder(tf.float64, painted.shape), share.sum()
        target = session.run(losses.gram_and_sums(tf.constant(wanted))) * positions / 35
        found = losses.gram_and_sums(given, tf.constant(share) if masked else None)
        loss = losses.wasserstein(found, target, positions, 72)
        (gradient,) = tf.gradients(loss, given)

        def at(picture):
            return session.run(loss, {given: picture})

        expected = reference.wasserstein(painted.reshape(72, 6), wanted.reshape(35, 6), share)
        assert at(painted) == pytest.approx(expected, rel=1e-9)
        step = 1e-5 * random.normal(size=painted.shape)
        slope = np.sum(session.run(gradient, {given: painted}) * step)
        assert (at(painted + step) - at(painted - step)) / 2 == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_moments(masked):
    """Means and deviations of every filter, counted by a mask; the gradient is finite for a silent filter too."""
    random = np.random.default_rng(0)
    painted, style = random.gamma(1, 2, (1, 8, 9, 6)), random.gamma(2, 1, (1, 7, 5, 6))
    painted[..., 5] = style[..., 5] = 0
    share = random.uniform(size=72) if masked else np.ones(72)
    with tf.Graph().as_default(), tf.Session() as session:
        features, positions = tf.placeholder(tf.float64, painted.shape), share.sum()
        target = session.run(losses.sums_and_squares(tf.constant(style))) * positions / 35
        sums = losses.sums_and_squares(features, tf.constant(share) if masked else None)
        loss = losses.moments(sums, target, positions, 72)
        value, gradient = session.run((loss, tf.gradients(loss, features)[0]), {features: painted})
        rows, other = painted.reshape(72, 6), style.reshape(35, 6)
        mean = np.average(rows, axis=0, weights=share)
        deviation = np.sqrt(np.average((rows - mean) ** 2, axis=0, weights=share))
        expected = np.mean((mean - other.mean(0)) ** 2 + (deviation - other.std(0)) ** 2)
        assert value == pytest.approx(expected, rel=1e-6) and np.isfinite(gradient).all()
        step = 1e-5 * random.normal(size=painted.shape) * (painted > 0)
        ends = [session.run(loss, {features: painted + sign * step}) for sign in (1, -1)]
        assert (ends[0] - ends[1]) / 2 == pytest.approx(np.sum(gradient * step), rel=1e-5)


def test_losses_vanish_at_their_targets(network):
    content, style = random_picture(32, 32, 1), random_picture(32, 32, 2)
    objective = Objective(network, content, [Style(style)], setting())
    assert objective(content).terms["content"] == 0
    assert objective(style).terms["style"] == 0


@pytest.mark.parametrize("pooling", ["average", pytest.param("max", marks=pytest.mark.thorough)])
def test_real_vgg19(vgg19_file, pooling):
    """The paper's own layers with the real network, at an odd size."""
    settings = Settings(pooling=pooling)
    network = weights.read(vgg19_file).upto([*settings.content_layers, *settings.style_layers])
    layers = as_reference(network)
    content, style = random_picture(37, 53, 1), random_picture(37, 53, 2)
    picture = images.start(content, network.mean, 1.0, 0)
    found = Objective(network, content, [Style(style)], settings)(picture)
    content_term, style_term = reference.terms(
        layers, MEAN, picture, content, [style], settings.content_layers, settings.style_layers, [1.0],
        pooling=pooling, convolution=reference.convolve_fast,
    )  # fmt: skip
    assert found.terms["content"] == pytest.approx(content_term, rel=1e-5)
    assert found.terms["style"] == pytest.approx(style_term, rel=1e-5)
    assert found.total == pytest.approx(content_term + 1000 * style_term, rel=1e-5)
