"""A State: everything needed to resume a killed run, in one file of arrays and JSON."""

from __future__ import annotations

import json
import math
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from nst_graph import files
from nst_graph.errors import InputError
from nst_graph.evaluation import Floats
from nst_graph.optimise.steps import Step
from nst_graph.runs import records

#: The fields of a Step that are saved as JSON.
_FIELDS = ("iteration", "evaluations", "seconds", "terms", "total", "restarts", "stage", "before")


@dataclass(frozen=True)
class State:
    """A step, and the record of its run: sources and settings."""

    step: Step
    record: dict[str, Any]


def write(state: State, file: BinaryIO) -> None:
    """Write a state to an open file. Raises OSError as write does."""
    fields = {name: getattr(state.step, name) for name in _FIELDS} | {"record": state.record}
    memory: dict[str, Any] = {f"memory/{name}": array for name, array in state.step.memory().items()}
    text = np.frombuffer(json.dumps(fields).encode(), np.uint8)
    np.savez(file, text=text, picture=state.step.picture, **memory)


def read(path: Path) -> State:
    """Read a state, without executing anything in it. Raises InputError if it is damaged."""
    if kind := files.non_file(path):
        raise InputError(f"{path}: {kind}, not a state; move it away and resume, or paint anew")
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {entry.filename.removesuffix(".npy"): _array(archive, entry) for entry in archive.infolist()}
        text, picture = json.loads(arrays.pop("text").tobytes()), arrays.pop("picture")
        fields = {name: text[name] for name in _FIELDS}
        counts = [fields[name] for name in ("iteration", "evaluations", "restarts", "stage", "before")]
        numbers = [fields["seconds"], fields["total"], *fields["terms"].values()]
        if not all(type(count) is int and 0 <= count < 2**53 for count in counts) or counts[-1] > counts[0]:
            raise ValueError("invalid counts")
        if not all(type(number) in (int, float) and math.isfinite(number) for number in numbers):
            raise ValueError("numbers that are not finite")
        if picture.dtype == np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
            raise ValueError("no picture")
        memory = {name.removeprefix("memory/"): array for name, array in arrays.items()}
        step = Step(read=lambda: cast(Floats, picture), memory=lambda: memory, **fields)
        return State(step, records.checked(text["record"]))
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path}: {reason}; make it readable, or move it away and resume, or paint anew") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, *_BROKEN) as error:
        raise InputError(f"{path}: not a whole state; move it away and resume, or paint anew") from error


#: What zipfile raises for a damaged archive.
_BROKEN = (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, zlib.error, struct.error, OverflowError)
#: The header of np.save, which NumPy itself would parse as a Python expression.
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<type><f4|<f8|\|u1)', 'fortran_order': False, "
    rb"'shape': \((?P<shape>[0-9, ]{0,99})\), \} *\n",
    re.DOTALL,
)


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> npt.NDArray[np.generic]:
    """Read an array of an archive; as compression is refused, it takes no more memory than the file has bytes."""
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
        raise ValueError("compressed")
    data = archive.read(entry)
    header = _HEADER.match(data)
    if header is None:
        raise ValueError("not an array of a state")
    shape = [int(side) for side in header["shape"].split(b",") if side.strip()]
    array = np.frombuffer(memoryview(data)[header.end() :], header["type"].decode()).reshape(shape)
    if not np.isfinite(array).all():
        raise ValueError("values that are not finite")
    return array
