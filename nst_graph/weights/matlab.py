"""MATLAB files of level 5, read as far as networks need them: numbers, text, cells and structs.

scipy.io.loadmat is not used here: in SciPy 1.17 some damaged files end it with a segmentation fault (tests/fuzzing.py
shows it). The format is MathWorks' "MAT-File Format", 2020. Sizes are checked against the bytes that are there
before memory is allocated. Objects, functions, sparse matrices and arrays of structs are skipped.
"""

import io
import math
import os
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from nst_graph.errors import DamagedError, decoding

#: A numeric array, text, a cell, a struct, or None for what is skipped.
Value = npt.NDArray[np.generic] | str | list[Any] | dict[str, Any] | None

#: Arrays of more numbers than this are skipped; no convolution of a VGG has as many.
LARGEST = 1 << 22
#: How deep cells and structs may nest, and how many elements a file may have; some files hold the
#: names of ImageNet's classes, which are about 10,000 elements.
DEPTH, ELEMENTS = 16, 100_000

_HEADER, _CHUNK = 128, 1 << 20
_MATRIX, _COMPRESSED = 14, 15
_INTEGERS = {1: "<i1", 2: "<u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 12: "<i8", 13: "<u8"}
_NUMBERS = _INTEGERS | {7: "<f4", 9: "<f8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16-le", 16: "utf-8", 17: "utf-16-le", 18: "utf-32-le"}
_CELL, _STRUCT, _CHAR, _NUMERIC = 1, 2, 4, range(6, 16)
_COMPLEX = 0x800


def read(path: Path, names: Collection[str], limit: float) -> dict[str, Value]:
    """Read the variables with these names, using at most `limit` bytes of memory; numbers keep their stored type.

    Raises DamagedError, which says how the file is damaged or of another kind, or OSError as open does.
    """
    variables: dict[str, Value] = {}
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        header = file.read(_HEADER)
        if header.startswith(b"MATLAB 7.3"):
            raise DamagedError("level 7.3; save it in MATLAB with -v7")
        if header[124:] != b"\x00\x01IM":
            raise DamagedError("its header is no MATLAB file's")
        reader, at = _Reader(limit), _HEADER
        while at < size:
            reader.open(file, at)
            kind, length, after = reader.tag(size)
            variable, end = file, float(size)
            if kind == _COMPRESSED:
                after = min(after, reader.at + length)  # compressed elements are not padded
                variable, end = io.BufferedReader(_Unpacked(file, reader.at + length)), math.inf
                reader.open(variable, 0)
            else:
                reader.open(file, at)
            name, value = reader.variable(end, 0, names)
            at = after
            if name in names:
                if variable is not file and variable.read(1):  # which also has zlib compare the checksum
                    raise DamagedError("its compressed data go on after their end")
                variables[name] = value
    return variables


class _Reader:
    """Reads elements in sequence from the position `at`; `end` is where the enclosing element ends."""

    def __init__(self, limit: float) -> None:
        self._limit, self._bytes, self._elements = limit, limit, ELEMENTS

    def open(self, file: io.BufferedReader, at: int) -> None:
        self._file, self.at = file, at
        if file.seekable():
            file.seek(at)

    def take(self, size: int, end: float) -> bytes:
        if size > end - self.at:
            raise DamagedError("it ends early, or a size in it is wrong")
        self._spend(size)
        data = self._file.read(size)
        if len(data) < size:
            raise DamagedError("it ends early")
        self.at += size
        return data

    def _spend(self, size: int) -> None:
        self._bytes -= size
        if self._bytes < 0:
            raise DamagedError(f"it takes more than {self._limit / 1e9:g} GB, --read-limit, to read")

    def goto(self, at: int) -> None:
        if self._file.seekable():
            self._file.seek(at - self.at, os.SEEK_CUR)
            self.at = at
        while self.at < at:
            self.take(min(at - self.at, _CHUNK), at)

    def tag(self, end: float) -> tuple[int, int, int]:
        """Read an element's tag: its type, the size of the data that follow, and where the next element begins."""
        self._elements -= 1
        if self._elements < 0:
            raise DamagedError(f"it has more than {ELEMENTS} elements")
        kind = int.from_bytes(self.take(4, end), "little")
        is_small = kind >> 16  # type, size and data in eight bytes
        if is_small:
            kind, size, after = kind & 0xFFFF, kind >> 16, self.at + 4
        else:
            size = int.from_bytes(self.take(4, end), "little")
            after = self.at + -(-size // 8) * 8
        if self.at + size > end or (is_small and size > 4):
            raise DamagedError("it ends early, or a size in it is wrong")
        return kind, size, int(min(after, end))

    def integers(self, end: int, most: int, count: int | None = None) -> npt.NDArray[Any]:
        """Read an element of integers, so many if that is known, that take at most `most` bytes."""
        kind, size, after = self.tag(end)
        step = np.dtype(_INTEGERS.get(kind, "V0")).itemsize
        if size > most or step == 0 or size % step or count not in (None, size // step):
            raise DamagedError("a part of a variable's head is not what it should be")
        data = np.frombuffer(self.take(size, end), _INTEGERS[kind])
        self.goto(after)
        return data

    def variable(self, end: float, depth: int, names: Collection[str] | None = None) -> tuple[str, Value]:
        """Read a variable, or what a cell or a struct holds: its name and value, None for a name not in `names`."""
        kind, size, after = self.tag(end)
        if kind != _MATRIX:
            raise DamagedError(f"an element of type {kind} where a variable should be")
        if depth > DEPTH:
            raise DamagedError(f"it nests more than {DEPTH} deep")
        named = self._matrix(self.at + size, depth, names) if size else ("", np.empty((0, 0)))
        self.goto(after)
        return named

    def _matrix(self, end: int, depth: int, names: Collection[str] | None) -> tuple[str, Value]:
        flags = int(self.integers(end, 8, 2)[0])
        kind = flags & 0xFF
        if kind not in (_CELL, _STRUCT, _CHAR, *_NUMERIC):
            return "", None
        shape = self.integers(end, 4 * 32).tolist()
        name = self.integers(end, 255).tobytes().decode("latin-1")
        if not shape or min(shape) < 0:
            raise DamagedError("a part of a variable's head is not what it should be")
        if names is not None and name not in names:
            return name, None
        return name, self._value(kind, flags & _COMPLEX, shape, end, depth)

    def _value(self, kind: int, is_complex: int, shape: list[int], end: int, depth: int) -> Value:
        if kind == _CELL:
            return self._values(math.prod(shape), end, depth)
        if kind == _STRUCT and math.prod(shape) == 1:
            return self._struct(end, depth)
        if kind == _CHAR:
            text, size, _ = self.tag(end)
            return self.take(size, end).decode(_TEXTS[text], "replace") if text in _TEXTS and size <= _CHUNK else ""
        return self._numbers(shape, end) if kind in _NUMERIC and not is_complex else None

    def _values(self, count: int, end: int, depth: int) -> list[Value]:
        if count * 8 > end - self.at:
            raise DamagedError("a cell or a struct claims more than it holds")
        return [self.variable(end, depth + 1)[1] for _ in range(count)]

    def _struct(self, end: int, depth: int) -> dict[str, Value]:
        step = int(self.integers(end, 4, 1)[0])
        text = self.integers(end, 1 << 16).tobytes()
        if not 1 <= step <= 64 or len(text) % step:
            raise DamagedError("a struct's field names are not what they should be")
        fields = [text[at : at + step].split(b"\0")[0].decode("latin-1") for at in range(0, len(text), step)]
        return dict(zip(fields, self._values(len(fields), end, depth), strict=True))

    def _numbers(self, shape: list[int], end: int) -> Value:
        kind, size, _ = self.tag(end)
        count = math.prod(shape)
        if kind not in _NUMBERS or count * np.dtype(_NUMBERS[kind]).itemsize != size:
            raise DamagedError("an array has not the numbers that its shape claims")
        if count > LARGEST:
            return None
        self._spend(4 * count)  # for the later copy in float32
        return np.frombuffer(self.take(size, end), _NUMBERS[kind]).reshape(shape, order="F")


class _Unpacked(io.RawIOBase):
    """The data of a compressed variable that reaches to `end`, which can only be read from its beginning."""

    def __init__(self, file: BinaryIO, end: int) -> None:
        self._file, self._end = file, end
        self._decompressor = zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._decompressor.eof:
            packed = self._decompressor.unconsumed_tail
            packed = packed or self._file.read(min(_CHUNK, self._end - self._file.tell()))
            with decoding():
                part = self._decompressor.decompress(packed, len(buffer))
            if part:
                buffer[: len(part)] = part
                return len(part)
            if not packed:
                raise DamagedError("it ends early")
        return 0
