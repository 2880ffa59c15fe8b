"""Small networks, in files of every layout, and small pictures."""

import contextlib
import csv
import hashlib
import importlib.util
import io
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest
import scipy.io

import nst_graph
from nst_graph import weights
from nst_graph.errors import Pause
from nst_graph.figures import panels
from nst_graph.runs import losses
from nst_graph.settings import Settings

# Begun in the background of a shell, the tests and what they start would not hear Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
MEAN = (123.68, 116.779, 103.939)
BLOCKS = (2, 2, 3, 3, 3)
FILTERS = (6, 7, 8, 9, 10)
#: Settings of paintings in which the layers do not matter: the graph is built in a fraction of the time.
FIRST_LAYERS = {"content_layers": {"conv1_1": 1.0}, "style_layers": {"conv1_1": 1.0}}
LOSSES_PNG = iio.imwrite("<bytes>", np.zeros((1, 1, 3), np.uint8), extension=".png")


def random_layers(seed=0, blocks=BLOCKS, filters=FILTERS):
    """A VGG of few filters, as tests/reference.py takes it, with features of about 10 to 100."""
    rng = np.random.default_rng(seed)
    layers, depth = [], 3
    for block, (count, width) in enumerate(zip(blocks, filters, strict=True), start=1):
        for index in range(1, count + 1):
            name = f"conv{block}_{index}"
            kernel = rng.normal(0, np.sqrt(2 / (9 * depth)), (3, 3, depth, width)).astype(np.float32)
            bias = rng.normal(0, 1, width).astype(np.float32)
            layers += [("conv", name, kernel, bias), ("relu", name)]
            depth = width
        layers.append(("pool", f"pool{block}"))
    return layers


def hashes(directory):
    """The SHA-256 of each file below a directory, by its name."""
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


def as_reference(network):
    """A Network as tests/reference.py takes it."""
    kinds = {weights.Conv: "conv", weights.Relu: "relu", weights.Pool: "pool"}
    return [
        (kinds[type(layer)], layer.name, *((layer.kernel, layer.bias) if isinstance(layer, weights.Conv) else ()))
        for layer in network.layers
    ]


def cell(values):
    array = np.empty((1, len(values)), dtype=object)
    array[0, :] = values
    return array


def save_mat(path, layers, layout, extra=(), mean=MEAN, names=True, compress=False, side=224):
    """Write layers in one of MatConvNet's layouts, with a fully connected tail of `extra` structs."""
    structs = []
    for kind, name, *pair in layers:
        named = {"name": name.replace("conv", kind) if kind == "relu" else name, "type": kind} if names else {}
        if kind == "conv" and layout == "oldest":
            structs.append({"filters": pair[0], "biases": pair[1].reshape(1, -1), "stride": 1.0, "pad": 1.0} | named)
        elif kind == "conv" and layout == "older":
            structs.append({"pad": np.ones((1, 4)), "weights": cell([pair[0], pair[1].reshape(1, -1)])} | named)
        elif kind == "conv":
            structs.append(named | {"weights": cell([pair[0], pair[1].reshape(-1, 1)]), "dilate": 1.0})
        elif kind == "pool":
            two = np.array([[2.0, 2.0]])
            structs.append({"method": "max", "pool": two, "stride": two, "pad": np.zeros((1, 4))} | named)
        else:
            structs.append(named or {"precious": 0.0})
    content = {"layers": cell(structs + list(extra))}
    if layout == "older":  # a whole picture, as those files have it
        content["normalization"] = {"averageImage": np.broadcast_to(np.array(mean), (side, side, 3))}
    elif layout == "oldest":
        content["normalization"] = {"averageImage": np.array(mean).reshape(1, 1, 3)}
    else:
        content["meta"] = {"normalization": {"averageImage": np.array(mean, np.float32).reshape(1, 1, 3)}}
    scipy.io.savemat(path, content, do_compression=compress)
    return path


def random_picture(height, width, seed=0):
    """A picture with structure at several scales, float32 in 0..255."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / rng.uniform(2, 9) + rng.uniform(0, 6)) + np.cos(y / rng.uniform(2, 9)) for _ in range(3)]
    picture = 128 + 40 * np.stack(waves, axis=-1) + rng.normal(0, 15, (height, width, 3))
    return np.clip(picture, 0, 255).astype(np.float32)


@pytest.fixture(autouse=True)
def quick_curves(monkeypatch):
    """Drawing losses.png takes a quarter of a small painting's time; but where it is tried one picture serves all."""
    monkeypatch.setattr(losses, "draw", lambda curves, say: LOSSES_PNG)


@pytest.fixture(scope="session")
def layers():
    return random_layers()


@pytest.fixture(scope="session")
def network_file(layers, tmp_path_factory):
    return save_mat(tmp_path_factory.mktemp("weights") / "small.mat", layers, "current")


@pytest.fixture(scope="session")
def network(network_file):
    return weights.read(network_file)


@pytest.fixture(scope="session")
def pictures_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pictures")
    iio.imwrite(directory / "photo.png", random_picture(48, 64, 1).astype(np.uint8))
    iio.imwrite(directory / "painting.png", random_picture(40, 56, 2).astype(np.uint8))
    iio.imwrite(directory / "other.png", random_picture(50, 50, 3).astype(np.uint8))
    return directory


@pytest.fixture(scope="session")
def pair(pictures_dir):
    """A photograph and a painting."""
    return pictures_dir / "photo.png", pictures_dir / "painting.png"


@pytest.fixture
def without(monkeypatch):
    """A function that hides a package that is installed."""
    find = importlib.util.find_spec

    def hide(package):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))

    return hide


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """All pictures but Picasso's and Kandinsky's, as here."""
    directory = tmp_path_factory.mktemp("images")
    for seed, key in enumerate(("photograph", "turner", "vangogh", "munch")):
        jpeg = random_picture(48, 64, seed).astype(np.uint8)
        iio.imwrite(directory / panels.SOURCES[key].file, jpeg)
    return directory


@pytest.fixture(scope="session")
def vgg19_file():
    path = ROOT / "model" / "imagenet-vgg-verydeep-19-8bit.mat"
    assert path.exists(), "VGG-19 is missing: make test sets it up"
    return path


@pytest.fixture(scope="session")
def vgg16_file():
    path = ROOT / "model" / "imagenet-vgg-verydeep-16.mat"
    assert path.exists(), "VGG-16 is missing: make test-all sets it up"
    return path


@pytest.fixture
def impatient(monkeypatch):
    """A scheduler that is not there is waited for one second, not ten."""
    distributed = pytest.importorskip("distributed", reason="dask is an extra")
    client = distributed.Client
    monkeypatch.setattr(distributed, "Client", lambda address, timeout: client(address, timeout=1))


def command(name, *arguments):
    """What a user runs."""
    return [sys.executable, str(ROOT / "scripts" / name), *map(str, arguments)]


def run_script(name, *arguments, **options):
    """Run a script as a user does; returns the finished process with its output as text."""
    return subprocess.run(command(name, *arguments), capture_output=True, text=True, timeout=300, **options)


def run_here(name, *arguments):
    """The same in this process, which has TensorFlow already."""
    main = importlib.import_module(f"nst_graph.commands.{name.removesuffix('.py')}").main
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(list(map(str, arguments)))
    return SimpleNamespace(returncode=status, stdout=out.getvalue(), stderr=err.getvalue())


def stop_at(iteration, error=Pause):
    """An observer that ends a painting there, as if for now."""

    def observe(step):
        if step.iteration == iteration:
            raise error

    return observe


def loss_rows(directory):
    """The rows of a run's losses.csv, as text by column."""
    with (directory / "losses.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def cluster():
    """Two workers of dask."""
    distributed = pytest.importorskip("distributed", reason="dask is an extra")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        yield cluster


#: What `paint` paints with.
SMALL = Settings(iterations=20, save_every=100)


@pytest.fixture
def paint(pictures_dir, network_file):
    """nst_graph.paint on small pictures, with a small network."""

    def call(*styles, settings=SMALL, **options):
        files = [pictures_dir / name for name in styles or ["painting.png"]]
        return nst_graph.paint(pictures_dir / "photo.png", files, settings, weights_file=network_file, **options)

    return call
