"""PyTorch's legacy files (torch.save before 1.6), read without PyTorch and without executing code.

Such a file is a sequence of five pickles (a magic number, a protocol number, information on the
system, the saved object, the keys of the storages), and then, for each key, an int64 count and that
many little-endian numbers. Only dictionaries of tensors are supported, each stored whole, row by row.
"""

import io
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import numpy.typing as npt

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
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is none of a tensor's parts")
        return _NAMES[module, name]

    def persistent_load(self, pid: Any) -> tuple[str, npt.DTypeLike, int]:
        """A storage: its key, and its type and count of numbers."""
        _, dtype, key, _, count, _ = pid
        return key, dtype, count


def read(data: bytes) -> dict[str, npt.NDArray[np.generic]]:
    """Read the tensors in the bytes of a file known to be whole, by name. Raises UnpicklingError at other names."""
    file = io.BytesIO(data)
    _, _, _, tensors, keys = (_Unpickler(file).load() for _ in range(5))
    storages = {key: (dtype, count) for (key, dtype, count), *_ in tensors.values()}
    numbers = {}
    for key in keys:
        dtype, count = storages[key]
        file.seek(8, io.SEEK_CUR)  # the count once more
        numbers[key] = np.frombuffer(file.read(count * np.dtype(dtype).itemsize), dtype)
    return {name: numbers[key].reshape(shape) for name, ((key, *_), _, shape, *_) in tensors.items()}
