"""MATLAB files of level 5, read as far as networks need them: numbers, text, cells and structs.

scipy.io.loadmat is not used here: in SciPy 1.17 some damaged files end it with a segmentation fault (tests/fuzzing.py
shows it). The format is MathWorks' "MAT-File Format", 2020. Sizes are checked against the bytes that are there
before memory is allocated. Objects, functions, sparse matrices and arrays of structs are skipped, and
the order of bytes is that of all of today's MATLABs.
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

#: A numeric array, text, a cell, a struct, or None for what is skipped.
Value = npt.NDArray[np.generic] | str | list[Any] | dict[str, Any] | None

#: Arrays of more numbers than this are skipped; no convolution of a VGG has as many.
LARGEST = 1 << 22
#: How deep cells and structs may nest, and how many elements a file may have; some files hold the
#: names of ImageNet's classes, which are about 10,000 elements.
DEPTH, ELEMENTS = 16, 100_000

_HEADER = 128
_CHUNK = 1 << 20
_MATRIX, _COMPRESSED = 14, 15
_INTEGERS = {1: "<i1", 2: "<u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 12: "<i8", 13: "<u8"}
_NUMBERS = _INTEGERS | {7: "<f4", 9: "<f8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16-le", 16: "utf-8", 17: "utf-16-le", 18: "utf-32-le"}
_CELL, _STRUCT, _CHAR, _NUMERIC = 1, 2, 4, range(6, 16)
_COMPLEX = 0x800


class MatlabError(Exception):
    """The file is damaged or of another kind; the message says how."""


def read(path: Path, names: Collection[str], limit: float) -> dict[str, Value]:
    """Read the variables with these names, using at most `limit` bytes of memory.

    Numbers keep their stored type. An array of more than LARGEST numbers becomes NaNs of the same
    shape, which take no memory. Raises MatlabError, or OSError as open does.
    """
    variables: dict[str, Value] = {}
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        _check_header(file.read(_HEADER))
        reader = _Reader(limit)
        at = _HEADER
        while at < size:
            file.seek(at)
            reader.open(file, at)
            kind, length, at = reader.tag(size)
            variable = file
            if kind == _COMPRESSED:
                at = min(at, reader.at + length)  # compressed elements are not padded
                variable = io.BufferedReader(_Decompressed(file, length))
                reader.open(variable, 0)
                kind, length, _ = reader.tag(math.inf)
            if kind != _MATRIX:
                raise MatlabError(f"an element of type {kind} where a variable should be")
            name, value = reader.matrix(reader.at + length, 0, names)
            if name in names:
                if variable is not file and variable.read(1):  # which also has zlib compare the checksum
                    raise MatlabError("its compressed data are damaged")
                variables[name] = value
    return variables


def _check_header(header: bytes) -> None:
    if header.startswith(b"MATLAB 7.3"):
        raise MatlabError("level 7.3; save it in MATLAB with -v7")
    if header[124:] != b"\x00\x01IM":
        raise MatlabError("its header is no MATLAB file's")


class _Reader:
    """Reads elements in sequence from the position `at`; `end` is where the enclosing element ends."""

    def __init__(self, limit: float) -> None:
        """How many bytes may be read of all variables."""
        self._limit, self._bytes, self._elements = limit, limit, ELEMENTS

    def open(self, file: io.BufferedReader, at: int) -> None:
        """Read from this file, which is at this position."""
        self._file, self.at = file, at

    def take(self, size: int, end: float) -> bytes:
        if size > end - self.at:
            raise MatlabError("it ends early, or a size in it is wrong")
        self._spend(size)
        data = self._file.read(size)
        if len(data) < size:
            raise MatlabError("it ends early")
        self.at += size
        return data

    def _spend(self, size: int) -> None:
        self._bytes -= size
        if self._bytes < 0:
            raise MatlabError(f"it takes more than {self._limit / 1e9:g} GB, --read-limit, to read")

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
            raise MatlabError(f"it has more than {ELEMENTS} elements")
        first = int.from_bytes(self.take(4, end), "little")
        if first >> 16:  # the small format: type, size and data in eight bytes
            kind, size, after = first & 0xFFFF, first >> 16, self.at + 4
        else:
            kind, size = first, int.from_bytes(self.take(4, end), "little")
            after = self.at + -(-size // 8) * 8
        if self.at + size > end or (first >> 16 and size > 4):
            raise MatlabError("it ends early, or a size in it is wrong")
        return kind, size, int(min(after, end))

    def integers(self, end: int, most: int) -> npt.NDArray[np.generic]:
        """Read an element of integers that take at most `most` bytes."""
        kind, size, after = self.tag(end)
        if size > most or kind not in _INTEGERS or size % np.dtype(_INTEGERS[kind]).itemsize:
            raise MatlabError("a part of a variable's head is not what it should be")
        data = np.frombuffer(self.take(size, end), _INTEGERS[kind])
        self.goto(after)
        return data

    def matrix(self, end: int, depth: int, names: Collection[str] | None = None) -> tuple[str, Value]:
        """Read the name and value of the variable that ends at `end`; None for a name not in `names`."""
        if self.at == end:
            return "", np.empty((0, 0))
        if depth > DEPTH:
            raise MatlabError(f"it nests more than {DEPTH} deep")
        flags = self.integers(end, 8)
        if flags.size != 2:
            raise MatlabError("a part of a variable's head is not what it should be")
        kind, is_complex = int(flags[0]) & 0xFF, int(flags[0]) & _COMPLEX
        if kind not in (_CELL, _STRUCT, _CHAR, *_NUMERIC):
            self.goto(end)
            return "", None
        shape = [int(side) for side in self.integers(end, 4 * 32)]
        name = self.integers(end, 255).tobytes().decode("latin-1")
        if not shape or min(shape) < 0:
            raise MatlabError("a part of a variable's head is not what it should be")
        value: Value = None
        if names is None or name in names:
            if kind == _CELL:
                value = self._values(math.prod(shape), end, depth)
            elif kind == _STRUCT and math.prod(shape) == 1:
                value = self._struct(end, depth)
            elif kind == _CHAR:
                value = self._text(end)
            elif kind in _NUMERIC and not is_complex:
                value = self._numbers(shape, end)
            self.goto(end)
        return name, value

    def _values(self, count: int, end: int, depth: int) -> list[Value]:
        if count * 8 > end - self.at:
            raise MatlabError("a cell or a struct claims more than it holds")
        values = []
        for _ in range(count):
            kind, size, after = self.tag(end)
            if kind != _MATRIX:
                raise MatlabError(f"an element of type {kind} in a cell or a struct")
            values.append(self.matrix(self.at + size, depth + 1)[1])
            self.goto(after)
        return values

    def _struct(self, end: int, depth: int) -> dict[str, Value]:
        length = self.integers(end, 4)
        text = self.integers(end, 1 << 16).tobytes()
        if length.size != 1 or not 1 <= int(length[0]) <= 64 or len(text) % int(length[0]):
            raise MatlabError("a struct's field names are not what they should be")
        step = int(length[0])
        fields = [text[at : at + step].split(b"\0")[0].decode("latin-1") for at in range(0, len(text), step)]
        return dict(zip(fields, self._values(len(fields), end, depth), strict=True))

    def _text(self, end: int) -> str:
        kind, size, _ = self.tag(end)
        if kind not in _TEXTS or size > _CHUNK:
            return ""
        return self.take(size, end).decode(_TEXTS[kind], "replace")

    def _numbers(self, shape: list[int], end: int) -> npt.NDArray[np.generic]:
        kind, size, _ = self.tag(end)
        count = math.prod(shape)
        if kind not in _NUMBERS or count * np.dtype(_NUMBERS[kind]).itemsize != size:
            raise MatlabError("an array has not the numbers that its shape claims")
        if count == 0:
            return np.empty((0, 0))
        if count > LARGEST:
            return np.broadcast_to(np.float32(np.nan), shape)
        self._spend(4 * count)  # for the later copy in float32
        return np.frombuffer(self.take(size, end), _NUMBERS[kind]).reshape(shape, order="F")


class _Decompressed(io.RawIOBase):
    """The data of a compressed variable of this many bytes, which can only be read from its beginning."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file, self._remaining = file, length
        self._decompressor = zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._decompressor.eof:
            compressed = self._decompressor.unconsumed_tail
            if not compressed:
                compressed = self._file.read(min(_CHUNK, self._remaining))
                self._remaining -= len(compressed)
            try:
                part = self._decompressor.decompress(compressed, len(buffer))
            except zlib.error as error:
                raise MatlabError("its compressed data are damaged") from error
            if part:
                buffer[: len(part)] = part
                return len(part)
            if not compressed:
                raise MatlabError("it ends early")
        return 0
