"""PyTorch's legacy files (torch.save before 1.6), read without PyTorch and without executing code.

Such a file is a sequence of five pickles (a magic number, a protocol number, information on the
system, the saved object, the keys of the storages), and then, for each key, an int64 count and that
many little-endian numbers. Only dictionaries of tensors are supported.
"""

from __future__ import annotations

import io
import math
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class TorchFileError(Exception):
    """The file is damaged or of another kind, or holds something other than tensors."""


@dataclass(frozen=True)
class _Storage:
    """A block of numbers after the pickles."""

    key: str
    dtype: np.dtype[Any]
    count: int


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage, with the parameters of _rebuild_tensor_v2; offset and strides count numbers."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    requires_grad: bool
    hooks: object


#: The only names that the pickles may use, and plain data in their place.
_NAMES: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch", "ByteStorage"): "<u1",
    ("torch", "FloatStorage"): "<f4",
    ("collections", "OrderedDict"): OrderedDict,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise TorchFileError(f"it names {module}.{name}, which is none of a tensor's parts")
        return _NAMES[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, count, view = pid
        if kind != "storage" or dtype not in ("<u1", "<f4") or view is not None:
            raise TorchFileError("a storage that is none")
        return _Storage(key, np.dtype(dtype), count)


def read(data: bytes) -> dict[str, npt.NDArray[np.generic]]:
    """Read the tensors in a file's bytes, by name. Raises TorchFileError."""
    try:
        file = io.BytesIO(data)
        magic, protocol, _, found, keys = (_Unpickler(file).load() for _ in range(5))
        if (magic, protocol) != (MAGIC, PROTOCOL):
            raise TorchFileError("not a file of PyTorch's older kind")
        storages = {tensor.storage.key: tensor.storage for tensor in found.values()}
        numbers = {key: _numbers(file, storages[key]) for key in keys}
        return {name: _view(tensor, numbers) for name, tensor in found.items()}
    except TorchFileError:
        raise
    except Exception as error:  # the unpickler may raise anything if bytes are damaged
        raise TorchFileError(f"not whole ({error})") from error


def _numbers(file: io.BytesIO, storage: _Storage) -> npt.NDArray[np.generic]:
    count = int.from_bytes(file.read(8), "little", signed=True)
    data = file.read(count * storage.dtype.itemsize) if count == storage.count else b""
    if len(data) != storage.count * storage.dtype.itemsize:
        raise TorchFileError("it ends early")
    return np.frombuffer(data, storage.dtype)


def _view(tensor: _Tensor, numbers: Mapping[str, npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
    contiguous = tuple(math.prod(tensor.shape[axis + 1 :]) for axis in range(len(tensor.shape)))
    if tensor.strides != contiguous:
        raise TorchFileError("a tensor that is not stored row by row")
    end = tensor.offset + math.prod(tensor.shape)
    return numbers[tensor.storage.key][tensor.offset : end].reshape(tensor.shape)
