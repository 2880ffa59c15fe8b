"""A Network: the named layers of a VGG, read from and written to MatConvNet's .mat files.

Kernels are [height, width, in, out], as MatConvNet stores them. The input is RGB in 0..255 minus the mean.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nst_graph import files, places
from nst_graph.errors import DamagedError, InputError
from nst_graph.weights import matlab
from nst_graph.weights.matlab import Value

Array = npt.NDArray[np.float32]

#: The mean RGB of the ImageNet pictures that VGG was trained on (Simonyan and Zisserman 2014).
VGG_MEAN = (123.68, 116.779, 103.939)

REMEDY = f"get a good file with {places.command('get_weights')}"


@dataclass(frozen=True)
class Conv:
    """A 3x3 convolution: kernel [3, 3, in, out] and bias [out]."""

    name: str
    kernel: Array
    bias: Array


@dataclass(frozen=True)
class Relu:
    """A rectifier, which has the name of the convolution before it."""

    name: str


@dataclass(frozen=True)
class Pool:
    """A 2x2 pooling with stride 2."""

    name: str


@dataclass(frozen=True)
class Network:
    """The convolutional part of a VGG, the mean RGB [3] of its input, and the layout of its file.

    Its poolings leave an odd side's last position out, or if it `rounds_up` pool it alone.
    """

    layers: tuple[Conv | Relu | Pool, ...]
    mean: Array
    layout: str
    rounds_up: bool = False

    @property
    def convolutions(self) -> tuple[Conv, ...]:
        return tuple(layer for layer in self.layers if isinstance(layer, Conv))

    @property
    def blocks(self) -> list[tuple[Conv | Relu | Pool, ...]]:
        """The layers up to each pooling, and those after the last."""
        ends = [place + 1 for place, layer in enumerate(self.layers) if isinstance(layer, Pool)]
        cuts = [0, *ends, len(self.layers)]
        return [self.layers[start:stop] for start, stop in itertools.pairwise(cuts) if start < stop]

    @property
    def name(self) -> str:
        """VGG-16 or VGG-19 if all convolutions are there, else their number; and whether they are 8-bit."""
        names = {layer.name for layer in self.convolutions}
        depth = 19 if "conv3_4" in names else 16
        name = f"VGG-{depth}" if len(names) == depth - 3 else f"{len(names)} convolutions of a VGG"
        return f"{name} with 8-bit kernels" if self.is_8bit else name

    @property
    def is_8bit(self) -> bool:
        """Whether kernels are 8-bit indices into tables: none but small ones has more than 256 different weights.

        That is judged by the first 20,000 of each.
        """
        samples = [conv.kernel.ravel()[:20_000] for conv in self.convolutions if conv.kernel.size > 512]
        return bool(samples) and all(np.unique(sample).size <= 256 for sample in samples)

    def poolings(self, name: str) -> int:
        """The number of poolings up to a layer, which may be one itself."""
        names = [layer.name for layer in self.layers]
        return sum(isinstance(layer, Pool) for layer in self.layers[: names.index(name) + 1])

    def smallest_side(self, names: Iterable[str]) -> int:
        """The smallest height or width of a picture in which each of these layers has a position."""
        return max(1 << self.poolings(name) for name in names)

    def positions(self, picture: npt.NDArray[np.floating], name: str) -> int:
        """M_l of a layer, the size of its feature maps, for a picture [height, width, ...]."""
        most = (1 << self.poolings(name)) - 1 if self.rounds_up else 0
        height, width = ((int(side) + most) >> self.poolings(name) for side in picture.shape[:2])
        return height * width

    def taken_together(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values [height, width] by what a pooling takes together, [height', 2, width', 2]."""
        odd = [(0, side % 2 * self.rounds_up) for side in values.shape]
        height, width = ((side + self.rounds_up) // 2 for side in values.shape)
        return np.pad(values, odd, "edge")[: 2 * height, : 2 * width].reshape(height, 2, width, 2)

    def shrink(self, mask: npt.NDArray[np.floating], name: str) -> npt.NDArray[np.floating]:
        """Average a mask [height, width] down to a layer's size, by averages of what each pooling takes together."""
        for _ in range(self.poolings(name)):
            mask = self.taken_together(mask).mean(axis=(1, 3))
        return mask

    def upto(self, names: Iterable[str], pool_rounding: str = "down") -> Network:
        """The network up to the deepest of these layers, whose poolings round odd sides "down" or "up".

        Raises InputError if one is no convolution or pooling of this network.
        """
        in_use, known = set(names), list(dict.fromkeys(layer.name for layer in self.layers))
        for name in sorted(in_use - set(known)):
            raise InputError(f"layer {name}: not in this network; it has {' '.join(known)}")
        last = max(i for i, layer in enumerate(self.layers) if layer.name in in_use)
        return Network(self.layers[: last + 1], self.mean, self.layout, pool_rounding == "up")


def read(path: Path, limit: float = files.READ_LIMIT) -> Network:
    """Read a MatConvNet VGG file in any of its three layouts, up to its fully connected layers.

    `limit` is in GB of memory. Raises InputError if the file is missing, damaged, or not a VGG's.
    """
    if kind := files.non_file(path):
        raise InputError(f"{path}: {kind}, not a .mat file; {REMEDY}")
    try:
        content = matlab.read(path, ("layers", "meta", "normalization"), limit * 1e9)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; {REMEDY}") from error
    except DamagedError as error:
        raise InputError(f"{path}: not a whole MATLAB file ({error}); {REMEDY}") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise InputError(f"{path}: {getattr(error, 'strerror', error)}; name a file that can be read") from error
    try:
        return _network(content)
    except InputError as error:
        raise InputError(f"{path}: {error}; {REMEDY}") from error


def _network(content: dict[str, Value]) -> Network:
    cells = content.get("layers")
    if not isinstance(cells, list):
        raise InputError("no variable 'layers' that is a list: not a MatConvNet network")
    layers: list[Conv | Relu | Pool] = []
    layout, depth, block, index = "", 3, 1, 0
    for cell in cells:
        fields = _fields(cell)
        name, kind = str(fields.get("name", "")), fields.get("type", "pool" if "pool" in fields else "relu")
        if kind == "conv" or "filters" in fields or "weights" in fields:
            if not re.fullmatch(r"conv[0-9]+_[0-9]+", name):
                if name:
                    break  # fc6, or not a VGG
                name = f"conv{block}_{index + 1}"
            layout = "oldest" if "filters" in fields else "older"
            if name in [layer.name for layer in layers]:
                raise InputError(f"{name} comes twice: not a VGG")
            conv = _conv(name, fields, depth)
            layers.append(conv)
            depth, index = conv.bias.size, index + 1
        elif kind == "relu" and layers:
            layers.append(Relu(layers[-1].name))
        elif kind == "pool":
            sides = [_array(fields[field]) for field in ("pool", "stride") if field in fields]
            if any((side != 2).any() for side in sides):
                raise InputError(f"{name or kind} is not 2x2 with stride 2: not a VGG")
            layers.append(Pool(f"pool{block}"))
            block, index = block + 1, 0
        else:
            break
    if not any(isinstance(layer, Conv) for layer in layers):
        raise InputError("its first layer is not a VGG's conv1_1: VGG-16 or VGG-19 is needed")
    for layer, after in itertools.pairwise([*layers, None]):
        if isinstance(layer, Conv) and not isinstance(after, Relu):
            raise InputError(f"no rectifier follows {layer.name}: not a VGG")
    return Network(tuple(layers), _mean(content), "current" if "meta" in content else layout)


def _conv(name: str, fields: dict[str, Value], depth: int) -> Conv:
    pair = [fields["filters"], fields.get("biases")] if "filters" in fields else fields.get("weights")
    if not isinstance(pair, list) or len(pair) != 2:
        raise InputError(f"{name} has not the two weights, filters and biases")
    filters, biases = map(_array, pair)
    if filters.ndim == 3:  # MATLAB drops a trailing dimension of one
        filters = filters[..., None]
    if filters.shape != (3, 3, depth, biases.size):
        raise InputError(f"{name}'s filters are {filters.shape}, not (3, 3, {depth}, {biases.size}): not a VGG")
    with np.errstate(over="ignore"):
        # Copies, or they would keep all of the file in memory.
        kernel: Array = np.array(filters, np.float32, order="C")
        bias: Array = np.array(biases, np.float32).ravel()
    if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
        raise InputError(f"{name} holds weights that are not finite")
    return Conv(name, kernel, bias)


def _mean(content: dict[str, Value]) -> Array:
    root = _fields(content["meta"]) if "meta" in content else content
    normalization = _fields(root.get("normalization"))
    if "averageImage" not in normalization:  # some of the oldest files hold only the layers
        return np.array(VGG_MEAN, dtype=np.float32)
    picture = _array(normalization["averageImage"]).astype(np.float64)
    if (picture.size != 3 and picture.shape[-1:] != (3,)) or not (np.abs(picture) <= 255).all():
        raise InputError(f"normalization.averageImage is {picture.shape}, not the mean of RGB pictures in 0..255")
    return np.asarray(picture.reshape(-1, 3).mean(axis=0), np.float32)


def _fields(value: Value) -> dict[str, Value]:
    """The non-empty fields of a struct, or of a cell with only that; none if the value is no struct."""
    while isinstance(value, list) and len(value) == 1:
        (value,) = value
    fields = value if isinstance(value, dict) else {}
    return {name: field for name, field in fields.items() if field is not None and len(field) > 0}


def _array(value: Value) -> npt.NDArray[np.generic]:
    if not isinstance(value, np.ndarray):
        raise InputError("something else, or more than any VGG has, where numbers should be: not a VGG")
    return value


def write(network: Network, path: Path, description: str) -> None:
    """Write the network atomically, in MatConvNet's current layout.

    The same network and description (ASCII, up to 100 characters) give the same bytes.
    """
    import scipy.io

    normalization = {"averageImage": network.mean.reshape(1, 1, 3)}
    with files.atomic(path) as file:
        layers = [_struct(layer) for layer in network.layers]
        scipy.io.savemat(file, {"layers": layers, "meta": {"normalization": normalization}})
        # SciPy writes the date into the text at the beginning; a MATLAB file has 116 bytes for that.
        file.seek(0)
        file.write(f"MATLAB 5.0 MAT-file, {description}".encode("ascii").ljust(116)[:116])


def _struct(layer: Conv | Relu | Pool) -> dict[str, Any]:
    if isinstance(layer, Conv):
        pair = np.empty((1, 2), object)
        pair[0, :] = layer.kernel, layer.bias.reshape(-1, 1)
        size, pad, stride = np.array([layer.kernel.shape], dtype=np.float64), np.ones((1, 4)), np.ones((1, 2))
        return {"name": layer.name, "type": "conv", "weights": pair, "size": size, "pad": pad, "stride": stride}
    if isinstance(layer, Relu):
        return {"name": layer.name.replace("conv", "relu"), "type": "relu"}
    two = np.full((1, 2), 2.0)
    return {"name": layer.name, "type": "pool", "method": "max", "pool": two, "stride": two, "pad": np.zeros((1, 4))}


class Mirrors(NamedTuple):
    """How closely a layer's mirrored filters match its filters: mean best cosine similarity.

    VGG was trained with random left-right mirroring, so left_right is larger, unless kernels lie transposed in the
    file, [width, height].
    """

    left_right: float
    up_down: float


def mirrors(conv: Conv) -> Mirrors:
    """Compare a layer's mirrored filters with its filters."""
    filters = conv.kernel.reshape(-1, conv.bias.size).astype(np.float64)
    filters /= np.maximum(np.linalg.norm(filters, axis=0), 1e-30)

    def best(axis: int) -> float:
        mirrored = np.flip(filters.reshape(conv.kernel.shape), axis).reshape(filters.shape)
        return float((mirrored.T @ filters).max(axis=1).mean())

    return Mirrors(left_right=best(1), up_down=best(0))


def are_transposed(network: Network) -> bool:
    """Whether kernels are [width, height], by the first six layers, but those with too few filters for a sign.

    Weights not trained on ImageNet go undetected.
    """
    compared = [mirrors(conv) for conv in network.convolutions[:6] if conv.bias.size >= 64]
    return len(compared) >= 4 and all(mirror.left_right < mirror.up_down for mirror in compared)
