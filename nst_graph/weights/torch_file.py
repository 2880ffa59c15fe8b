"""PyTorch's legacy files (torch.save before 1.6), read without PyTorch and without executing code.

Such a file is a sequence of five pickles (a magic number, a protocol number, information on the
system, the saved object, the keys of the storages), and then, for each key, an int64 count and that
many little-endian numbers. Only dictionaries of tensors are supported.
"""

import io
import math
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import numpy.typing as npt

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class TorchFileError(Exception):
    """The file is damaged or of another kind, or holds something other than tensors."""


#: The only names that the pickles may use, and plain data in their place; a tensor is the arguments that make it.
_NAMES: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): lambda *arguments: arguments,
    ("torch", "ByteStorage"): "<u1",
    ("torch", "FloatStorage"): "<f4",
    ("collections", "OrderedDict"): OrderedDict,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise TorchFileError(f"it names {module}.{name}, which is none of a tensor's parts")
        return _NAMES[module, name]

    def persistent_load(self, pid: Any) -> tuple[str, tuple[np.dtype[Any], int]]:
        """A storage: its key, and its type and count of numbers."""
        _, dtype, key, _, count, _ = pid
        if dtype not in ("<u1", "<f4"):
            raise TorchFileError("a storage that is none")
        return key, (np.dtype(dtype), count)


def read(data: bytes) -> dict[str, npt.NDArray[np.generic]]:
    """Read the tensors in a file's bytes, by name. Raises TorchFileError."""
    try:
        file = io.BytesIO(data)
        magic, protocol, _, found, keys = (_Unpickler(file).load() for _ in range(5))
        if (magic, protocol) != (MAGIC, PROTOCOL):
            raise TorchFileError("not a file of PyTorch's older kind")
        storages = dict(storage for storage, *_ in found.values())
        numbers = {key: _numbers(file, *storages[key]) for key in keys}
        return {name: _view(numbers[key], *view) for name, ((key, _), *view) in found.items()}
    except TorchFileError:
        raise
    except Exception as error:  # the unpickler may raise anything if bytes are damaged
        raise TorchFileError(f"not whole ({error})") from error


def _numbers(file: io.BytesIO, dtype: np.dtype[Any], count: int) -> npt.NDArray[np.generic]:
    size = count * dtype.itemsize
    stored, data = int.from_bytes(file.read(8), "little", signed=True), file.read(size)
    if stored != count or len(data) != size:
        raise TorchFileError("it ends early")
    return np.frombuffer(data, dtype)


def _view(
    numbers: npt.NDArray[np.generic], offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> npt.NDArray[np.generic]:
    """A tensor's part of its storage; offset and strides count numbers."""
    view = numbers[offset : offset + math.prod(shape)].reshape(shape)
    if strides != tuple(stride // view.itemsize for stride in view.strides):
        raise TorchFileError("a tensor that is not stored row by row")
    return view
