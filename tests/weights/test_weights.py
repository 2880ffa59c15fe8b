"""Weights: every layout, what must be refused, and the orientation of kernels."""

import re
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import scipy.io
from conftest import MEAN, cell, random_layers, run_here, save_mat

from nst_graph import weights
from nst_graph.commands import get_weights
from nst_graph.errors import InputError
from nst_graph.weights import matlab


def assert_same(network, layers):
    expected = [layer for layer in layers if layer[0] == "conv"]
    assert [conv.name for conv in network.convolutions] == [layer[1] for layer in expected]
    for conv, (_, _, kernel, bias) in zip(network.convolutions, expected, strict=True):
        np.testing.assert_array_equal(conv.kernel, kernel)
        np.testing.assert_array_equal(conv.bias, bias)
    kinds = {"conv": weights.Conv, "relu": weights.Relu, "pool": weights.Pool}
    assert [type(layer) for layer in network.layers] == [kinds[layer[0]] for layer in layers]


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("layout", ["oldest", "older", "current"])
def test_layouts(tmp_path, layers, layout, names, compress):
    network = weights.read(save_mat(tmp_path / "a.mat", layers, layout, names=names, compress=compress))
    assert_same(network, layers)
    assert network.layout == layout
    np.testing.assert_allclose(network.mean, MEAN, rtol=1e-6)


@pytest.mark.parametrize(("blocks", "name"), [((2, 2, 3, 3, 3), "VGG-16"), ((2, 2, 4, 4, 4), "VGG-19")])
def test_layer_list_comes_from_the_file(tmp_path, blocks, name):
    layers = random_layers(blocks=blocks)
    network = weights.read(save_mat(tmp_path / "a.mat", layers, "current"))
    assert network.name == name
    assert_same(network, layers)


def test_mean_that_the_file_lacks_is_vggs(tmp_path, layers):
    path = save_mat(tmp_path / "a.mat", layers, "oldest")
    content = scipy.io.loadmat(path)
    scipy.io.savemat(path, {"layers": content["layers"]})
    np.testing.assert_allclose(weights.read(path).mean, MEAN, rtol=1e-6)


def test_fully_connected_layers_do_not_stay(tmp_path, layers):
    pair = cell([np.zeros((7, 7, 10, 8192), np.float32), np.zeros((8192, 1))])
    fc6 = {"name": "fc6", "type": "conv", "weights": pair}
    softmax = {"name": "prob", "type": "softmax"}
    path = save_mat(tmp_path / "a.mat", layers, "current", extra=[fc6, softmax], compress=True)
    tracemalloc.start()
    network = weights.read(path)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert_same(network, layers)
    assert peak > 16e6  # the measurement sees the arrays
    assert kept < 3e6


def test_upto_keeps_what_the_layers_need(network):
    part = network.upto(["conv2_1", "conv1_2"])
    assert [conv.name for conv in part.convolutions] == ["conv1_1", "conv1_2", "conv2_1"]
    assert isinstance(part.layers[-1], weights.Relu)
    assert network.upto(["conv1_1", "pool2"]).layers[-1] == weights.Pool("pool2")


def test_poolings_that_round_up(network):
    """A position for what is left of an odd side, and of a mask the mean of that."""
    down, up = network.upto(["pool3"]), network.upto(["pool3"], "up")
    picture = np.zeros((37, 53, 3))
    assert [down.positions(picture, name) for name in ("conv1_1", "pool1", "conv3_1", "pool3")] == [1961, 468, 117, 24]
    assert [up.positions(picture, name) for name in ("conv1_1", "pool1", "conv3_1", "pool3")] == [1961, 513, 140, 35]
    mask = np.arange(15.0).reshape(3, 5)
    assert down.shrink(mask, "pool1").tolist() == [[3, 5]]
    assert up.shrink(mask, "pool1").tolist() == [[3, 5, 6.5], [10.5, 12.5, 14]]


def test_upto_lists_the_layers_that_exist(network):
    with pytest.raises(InputError, match=r"conv6_1: not in this network; it has conv1_1 conv1_2 .* conv5_3"):
        network.upto(["conv1_1", "conv6_1"])


@pytest.mark.parametrize(
    ("layer", "pixels"), [("conv1_2", 1), ("conv2_1", 2), ("conv3_3", 4), ("conv5_1", 16), ("pool4", 16)]
)
def test_smallest_side(network, layer, pixels):
    assert network.smallest_side([layer, "conv1_1"]) == pixels


def refused(path, words, most=50e6):
    """By one line, and before so much memory is taken."""
    tracemalloc.start()
    done = run_here("get_weights.py", "check", path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < most
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert re.search(words, done.stderr) and str(path) in done.stderr and "scripts/get_weights.py" in done.stderr


def test_what_is_no_network(tmp_path):
    refused(tmp_path / "none.mat", "no such file")
    refused(tmp_path, "a directory")
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.eye(3)})
    refused(tmp_path / "a.mat", "no variable 'layers'")
    for weights_of_first, words in (
        ({}, "the two weights"),
        ({"weights": cell([np.zeros((7, 7, 3, 5)), np.zeros((5, 1))])}, "not a VGG's conv1_1"),
        ({"weights": cell([np.zeros((11, 11, 3, 96)), np.zeros((96, 1))])}, "not a VGG's conv1_1"),  # AlexNet's
    ):
        first = {"name": "fc6" if words[0] == "n" else "conv1_1", "type": "conv"} | weights_of_first
        refused(save_mat(tmp_path / "a.mat", [], "current", extra=[first]), words)


@pytest.mark.parametrize(
    "content", [b"", b"hello\n", b"<!DOCTYPE html><html>404</html>" * 99, bytes(4096), b"\x89HDF\r\n\x1a\n" * 99]
)
def test_no_mat_file(tmp_path, content):
    (tmp_path / "a.mat").write_bytes(content)
    refused(tmp_path / "a.mat", "not a")


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.99])
def test_truncated_file(tmp_path, layers, compress, share):
    path = save_mat(tmp_path / "a.mat", layers, "current", compress=compress)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(path, "not a")


def element(kind, data):
    """An element of a MATLAB file: its type, its size, its data, padded."""
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(shape, data, kind=6):
    """A variable `layers` of numbers, whatever its shape claims."""
    sides = struct.pack(f"<{len(shape)}i", *shape)
    return element(6, struct.pack("<II", kind, 0)) + element(5, sides) + element(1, b"layers") + data


def mat(*elements):
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"".join(elements)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (mat(element(14, matrix((2**20, 2**20), element(9, bytes(80))))), "has not the numbers that its shape claims"),
        (mat(element(14, matrix((2**20, 2**20), b"", kind=1))), "claims more than it holds"),
        (mat(struct.pack("<II", 14, 2**32 - 8) + matrix((4, 4), b"")), "ends early, or a size in it is wrong"),
        (mat(element(14, matrix((4, 4), struct.pack("<II", 9, 2**31)))), "ends early, or a size in it is wrong"),
        (mat(struct.pack("<II", 15, 2**32 - 8) + zlib.compress(bytes(99))), "ends early, or a size in it is wrong"),
    ],
    ids=["numbers", "cells", "variable", "element", "compressed"],
)
def test_claims_of_terabytes(tmp_path, content, words):
    (tmp_path / "a.mat").write_bytes(content)
    refused(tmp_path / "a.mat", words, 4e6)


def test_a_variable_that_unpacks_a_thousandfold(tmp_path):
    size, packer = 1_000_000_000, zlib.compressobj(1)
    head = matrix((25_000, 10_000), struct.pack("<II", 7, size))
    parts = [packer.compress(struct.pack("<II", 14, len(head) + size) + head)]
    parts += [packer.compress(bytes(1_000_000)) for _ in range(1000)]
    packed = b"".join([*parts, packer.flush()])
    (tmp_path / "a.mat").write_bytes(mat(struct.pack("<II", 15, len(packed)) + packed))
    refused(tmp_path / "a.mat", "takes more than 1 GB, --read-limit, to read")


@pytest.mark.parametrize("kind", [3, 5, 16, 17], ids=["object", "sparse", "function", "opaque"])
def test_objects_are_not_opened(tmp_path, kind):
    (tmp_path / "a.mat").write_bytes(mat(element(14, matrix((1, 1), element(1, b"evil"), kind=kind))))
    refused(tmp_path / "a.mat", "no variable 'layers'")


def test_cells_within_cells_without_end(tmp_path):
    inner = element(14, b"")
    for _ in range(2000):
        inner = element(14, matrix((1, 1), inner, kind=1))
    (tmp_path / "a.mat").write_bytes(mat(inner))
    refused(tmp_path / "a.mat", "nest too deep")


def test_it_reads_what_scipy_reads(tmp_path):
    """Numbers, text, cells and structs."""
    content = {
        "a": np.arange(24.0).reshape(2, 3, 4),
        "b": np.arange(5, dtype=np.uint8),
        "c": "text",
        "d": np.eye(2) > 0,
    }
    content |= {"e": cell([np.float32(2), "x"]), "f": {"g": np.zeros((0, 3)), "h": np.int16(7)}}
    scipy.io.savemat(tmp_path / "a.mat", content)
    expected = scipy.io.loadmat(tmp_path / "a.mat")
    found = matlab.read(tmp_path / "a.mat", content.keys(), 1e9)
    for name in "abd":
        np.testing.assert_array_equal(found[name], expected[name])
    assert found["c"] == "text" and found["e"][1] == "x" and found["e"][0].item() == 2
    assert found["f"]["g"].size == 0 and found["f"]["h"].item() == 7


def changed(layers, index, **changes):
    kind, name, kernel, bias = layers[index]
    values = {"kernel": kernel, "bias": bias} | changes
    return [*layers[:index], (kind, name, values["kernel"], values["bias"]), *layers[index + 1 :]]


def test_wrong_shapes(tmp_path, layers):
    wide = changed(layers, 0, kernel=np.zeros((11, 11, 3, 6), np.float32))
    refused(save_mat(tmp_path / "a.mat", wide, "current"), r"conv1_1's filters are \(11, 11, 3, 6\)")
    thin = changed(layers, 2, kernel=layers[2][2][:, :, :4])
    refused(save_mat(tmp_path / "b.mat", thin, "current"), "conv1_2's filters")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(tmp_path, layers, value):
    bias = layers[5][3].copy()
    bias[2] = value
    path = save_mat(tmp_path / "a.mat", changed(layers, 5, bias=bias), "current")
    refused(path, "conv2_1 holds weights that are not finite")


def test_write_and_read_again(tmp_path, network, layers):
    weights.write(network, tmp_path / "a.mat", "a test")
    again = weights.read(tmp_path / "a.mat")
    assert_same(again, layers)
    assert again.layout == "current"
    np.testing.assert_array_equal(again.mean, network.mean)
    written = (tmp_path / "a.mat").read_bytes()
    weights.write(network, tmp_path / "a.mat", "a test")
    assert (tmp_path / "a.mat").read_bytes() == written


def test_mirrors_by_definition(network):
    conv = network.convolutions[3]
    filters = [conv.kernel[..., i].astype(np.float64) for i in range(conv.bias.size)]

    def cosine(a, b):
        return np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b))

    left_right = np.mean([max(cosine(f[:, ::-1], g) for g in filters) for f in filters])
    up_down = np.mean([max(cosine(f[::-1], g) for g in filters) for f in filters])
    found = weights.mirrors(conv)
    assert found.left_right == pytest.approx(left_right) and found.up_down == pytest.approx(up_down)


@pytest.mark.thorough
def test_real_vgg16(vgg16_file):
    """The constants of ImageNet's VGG-16, and the orientation figures measured on it."""
    network = weights.read(vgg16_file)
    assert (network.name, network.layout) == ("VGG-16", "current")
    assert sum(conv.kernel.size + conv.bias.size for conv in network.convolutions) == 14_714_688
    first = network.convolutions[0]
    np.testing.assert_allclose(first.kernel[0, 0, ::-1, 0], [0.42947057, 0.55037946, 0.4800154], rtol=1e-7)
    np.testing.assert_allclose(first.bias[:4], [0.73429835, 0.09340367, 0.06775674, 0.8862966], rtol=1e-6)
    published = {"conv1_1": (0.956, 0.942), "conv1_2": (0.742, 0.738), "conv2_1": (0.661, 0.630)}
    published |= {"conv3_1": (0.699, 0.679), "conv4_1": (0.662, 0.600)}
    for conv in network.convolutions:
        if conv.name in published:
            found = weights.mirrors(conv)
            assert (found.left_right, found.up_down) == pytest.approx(published[conv.name], abs=6e-4)


def test_real_vgg19(vgg19_file):
    """The constants of ImageNet's VGG-19 that are on record, and the orientation figures measured on it."""
    network = weights.read(vgg19_file)
    assert (network.name, network.layout) == ("VGG-19 with 8-bit kernels", "current")
    assert sum(conv.kernel.size + conv.bias.size for conv in network.convolutions) == 20_024_384
    first = network.convolutions[0]
    np.testing.assert_allclose(first.bias[:3], [0.7301776, 0.06493629, 0.03428847], rtol=1e-6)
    on_record = {"conv1_1": (0.953, 0.942), "conv3_1": (0.698, 0.664), "conv4_1": (0.673, 0.623)}
    on_record |= {"conv5_1": (0.600, 0.519), "conv5_4": (0.875, 0.665)}
    for conv in network.convolutions:
        assert np.unique(conv.kernel).size <= 256
        found = weights.mirrors(conv)
        assert found.left_right > found.up_down
        if conv.name in on_record:
            assert (found.left_right, found.up_down) == pytest.approx(on_record[conv.name], abs=6e-4)


@pytest.mark.parametrize("values", [256, 257])
def test_8bit_kernels_are_told_by_their_values(values):
    """256 values a kernel, not one more, make a table of 8-bit indices."""
    rng = np.random.default_rng(0)
    numbers = rng.permutation(np.resize(np.arange(values, dtype=np.float32), 9 * 64 * 64))
    conv = weights.Conv("conv1_1", numbers.reshape(3, 3, 64, 64), np.zeros(64, np.float32))
    network = weights.Network((conv, weights.Relu("conv1_1")), np.zeros(3, np.float32), "current")
    assert network.is_8bit == (values == 256)


def test_check_describes_the_real_file(vgg19_file):
    text = "\n".join(get_weights.check(vgg19_file))
    expected = ["current", "VGG-19 with 8-bit kernels as this program writes it", "rounded to 256 values", "conv5_4"]
    assert all(words in text for words in [*expected, "123.68 116.779 103.939", "as they should be"])


@pytest.mark.thorough
def test_check_describes_vgg16(vgg16_file):
    text = "\n".join(get_weights.check(vgg16_file))
    assert "VGG-16 as this program writes it" in text and "8-bit" not in text


def test_transposed_kernels_are_told(vgg19_file, tmp_path, pair):
    """By a painting too."""
    network = weights.read(vgg19_file).upto(["conv3_3"])
    turned = tuple(
        weights.Conv(layer.name, layer.kernel.transpose(1, 0, 2, 3), layer.bias)
        if isinstance(layer, weights.Conv)
        else layer
        for layer in network.layers
    )
    weights.write(weights.Network(turned, network.mean, "current"), tmp_path / "a.mat", "transposed")
    text = run_here("get_weights.py", "check", tmp_path / "a.mat").stdout
    assert weights.are_transposed(weights.read(tmp_path / "a.mat")) and not weights.are_transposed(network)
    words = [*pair, "--weights", tmp_path / "a.mat"]
    words += ["--content-layers", "conv1_1", "--style-layers", "conv1_1", "--iterations", 0]
    done = run_here("paint.py", *words, "--output", tmp_path / "run")
    assert done.returncode == 0 and "its kernels lie transposed, it paints wrongly" in done.stdout + done.stderr
    assert "TRANSPOSED" in text and "7 convolutions of a VGG" in text and "not a file known" in text
