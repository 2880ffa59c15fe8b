"""MATLAB files of level 5, read as far as networks need them: numbers, text, cells and structs.

scipy.io.loadmat is not used: in SciPy 1.17 one in a hundred damaged files ends it with a segmentation fault or keeps it
busy for ever (tests/fuzzing.py makes them), and it knows no limit of memory. The format is MathWorks' "MAT-File
Format", 2020. Objects, functions, sparse matrices and arrays of structs are skipped.
"""

import math
import mmap
import struct
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nst_graph.errors import DamagedError, decoding

#: A numeric array, text, a cell, a struct, or None for what is skipped.
Value = npt.NDArray[np.generic] | str | list[Any] | dict[str, Any] | None
#: The type of an element, and its data.
_Element = tuple[int, memoryview]

#: Arrays of more numbers than this are skipped; no convolution of a VGG has as many.
LARGEST = 1 << 22
#: Bytes of memory that an element may take beside its data. The names of ImageNet's classes are 10,000 elements.
_ELEMENT = 1 << 12
#: How many bytes are unpacked at a time, to a thousand times as many at most.
_CHUNK = 1 << 14

_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "<i1", 2: "<u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
#: Classes of matrices, the first of their flags.
_CELL, _STRUCT, _CHAR, _NUMERIC = 1, 2, 4, range(6, 16)
_COMPLEX = 0x08


def read(path: Path, names: Collection[str], limit: float) -> dict[str, Value]:
    """Read the variables with these names, using at most `limit` bytes of memory; numbers keep their stored type.

    Arrays are views of the file, which stays open as long as they are in use. Raises DamagedError, which says how the
    file is damaged or of another kind, or OSError as open does.
    """
    with path.open("rb") as file:
        header = file.read(128)
        if header.startswith(b"MATLAB 7.3"):
            raise DamagedError("level 7.3; save it in MATLAB with -v7")
        if header[124:] != b"\x00\x01IM":
            raise DamagedError("its header is no MATLAB file's")
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    reader = _Reader(limit)
    try:
        variables = dict(reader.variable(element, names) for element in reader.elements(data[128:]))
    except RecursionError as error:
        raise DamagedError("its cells and structs nest too deep") from error
    return {name: value for name, value in variables.items() if name in names}


class _Reader:
    """Reads elements within a limit of memory."""

    def __init__(self, limit: float) -> None:
        self._limit, self._remaining = limit, limit

    def _spend(self, size: int) -> None:
        self._remaining -= size
        if self._remaining < 0:
            raise DamagedError(f"it takes more than {self._limit / 1e9:g} GB, --read-limit, to read")

    def elements(self, data: memoryview) -> Iterator[_Element]:
        """The elements in sequence that `data` consist of."""
        at = 0
        while at < len(data):
            self._spend(_ELEMENT)
            kind, size = struct.unpack("<II", bytes(data[at : at + 8]).ljust(8, b"\xff"))
            start, after = at + 8, at + 8 + -(-size // 8) * 8
            if kind == _COMPRESSED:
                after = start + size
            elif kind >> 16:  # type, size and up to four bytes of data in eight
                kind, size, start, after = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            if start + size > min(len(data), after):
                raise DamagedError("it ends early, or a size in it is wrong")
            yield kind, data[start : start + size]
            at = after

    def _unpacked(self, packed: memoryview) -> memoryview:
        unpacker, data, spent = zlib.decompressobj(), bytearray(), 0
        for start in range(0, len(packed), _CHUNK):
            with decoding():
                data += unpacker.decompress(packed[start : start + _CHUNK])
            claim = max(len(data), int.from_bytes(data[4:8], "little"))
            self._spend(claim - spent)
            spent = claim
        if not unpacker.eof:
            raise DamagedError("it ends early")
        return memoryview(data)

    def variable(self, element: _Element, names: Collection[str] | None = None) -> tuple[str, Value]:
        """The name and value of a variable, or of a part of one; the value is None if the name is not in `names`."""
        kind, data = element
        if kind == _COMPRESSED:
            elements = list(self.elements(self._unpacked(data)))
            kind, data = elements[0] if len(elements) == 1 else (kind, data)
        if kind != _MATRIX:
            raise DamagedError(f"an element of type {kind} where a variable should be")
        match list(self.elements(data)):
            case []:
                return "", np.empty((0, 0))
            case [(6, flags), *_] if len(flags) == 8 and flags[0] not in (_CELL, _STRUCT, _CHAR, *_NUMERIC):
                return "", None
            case [(6, flags), (5, sides), (1, letters), *parts] if len(flags) == 8 and len(sides) in range(4, 132, 4):
                name = str(letters, "latin-1")
                if names is not None and name not in names:
                    return name, None
                return name, self._value(flags, np.frombuffer(sides, "<u4").tolist(), parts)
        raise DamagedError("a part of a variable's head is not what it should be")

    def _value(self, flags: memoryview, shape: list[int], parts: list[_Element]) -> Value:
        kind, count = flags[0], math.prod(shape)
        if kind == _CELL:
            return self._values(count, parts)
        if kind == _STRUCT:
            return self._struct(parts) if count == 1 else None
        form, data = parts[0] if parts else (0, memoryview(b""))
        if kind == _CHAR:
            return str(data, "latin-1").replace("\0", "")  # as ASCII is in UTF-8, -16 and -32
        if form not in _NUMBERS or len(data) != count * np.dtype(_NUMBERS[form]).itemsize:
            raise DamagedError("an array has not the numbers that its shape claims")
        if count > LARGEST or flags[1] & _COMPLEX:
            return None
        self._spend(4 * count)  # for the later copy in float32
        return np.frombuffer(data, _NUMBERS[form]).reshape(shape, order="F")

    def _values(self, count: int, parts: list[_Element]) -> list[Value]:
        if count > len(parts):
            raise DamagedError("a cell or a struct claims more than it holds")
        return [self.variable(part)[1] for part in parts[:count]]

    def _struct(self, parts: list[_Element]) -> dict[str, Value]:
        match parts:
            case [(5, length), (1, names), *values] if step := int.from_bytes(length, "little"):
                fields = [str(names[at : at + step], "latin-1").split("\0")[0] for at in range(0, len(names), step)]
                return dict(zip(fields, self._values(len(fields), values), strict=True))
        raise DamagedError("a struct's field names are not what they should be")
