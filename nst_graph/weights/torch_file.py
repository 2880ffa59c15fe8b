"""PyTorch's older files (torch.save before 1.6), read without PyTorch and without running code.

Such a file is five pickles, one after the other (a magic number, a protocol number, the writer's
machine, the object that was saved, the storages' keys), and then, for each key, an int64 count
and that many raw little-endian numbers. The object may here be a dictionary of tensors alone.
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
    """The bytes are no such file, or hold something else."""


@dataclass(frozen=True)
class _Storage:
    """Numbers that follow the pickles, under a key."""

    key: str
    dtype: np.dtype[Any]
    count: int


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage; offset and strides count its numbers."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], gradient: bool, hooks: object
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


#: All that the pickles may name; each stands for what it is called in PyTorch.
_NAMES: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
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
    """The tensors in a file's bytes, by name. Raises TorchFileError where it holds anything else."""
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
    except Exception as error:  # broken bytes lead the unpickler to raise almost anything
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
    first = tensor.offset
    return numbers[tensor.storage.key][first : first + math.prod(tensor.shape)].reshape(tensor.shape)
