"""A state: everything needed to resume a killed run, a step and the run's record, in one file of arrays and JSON."""

import json
import math
import zipfile
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from nst_graph import files
from nst_graph.errors import DamagedError, InputError, decoding
from nst_graph.evaluation import Floats
from nst_graph.optimise.steps import LazyArrays, Step
from nst_graph.runs import records

#: The fields of a Step that are saved as JSON.
_FIELDS = ("iteration", "evaluations", "seconds", "terms", "total", "restarts", "stage", "before")
#: The longest header of an array, in bytes; those of a state have 118.
HEADER = 200


def write(step: Step, record: dict[str, Any], file: BinaryIO) -> None:
    """Write a step and the record of its run to an open file. Raises OSError as write does."""
    fields = {name: getattr(step, name) for name in _FIELDS} | {"record": record}
    text = np.frombuffer(json.dumps(fields).encode(), np.uint8)
    memory = ((f"memory/{name}", array) for name, array in step.memory().items())
    # As np.savez does, but with one array after the other in memory.
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in chain([("text", text), ("picture", step.picture)], memory):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def read(path: Path) -> tuple[Step, dict[str, Any]]:
    """Read a step and the record of its run, without executing anything. Raises InputError if they are damaged."""
    if kind := files.non_file(path):
        raise InputError(f"{path}: {kind}, not a state; move it away and resume, or paint anew")
    try:
        names = _checked_names(path)
        fields, record = _checked_text(_array(path, "text"))
        picture = cast(Floats, _array(path, "picture"))
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path}: {reason}; make it readable, or move it away and resume, or paint anew") from error
    except DamagedError as error:
        raise InputError(f"{path}: not a whole state; move it away and resume, or paint anew") from error
    saved = [name for name in names if name.startswith("memory/")]
    memory = LazyArrays({name.removeprefix("memory/"): partial(_array, path, name) for name in saved})
    return Step(read=lambda: picture, memory=lambda: memory, **fields), record


def _checked_names(path: Path) -> list[str]:
    """The arrays' names, after each was read; as compression is refused, none takes more memory than the file."""
    with decoding()(zipfile.ZipFile)(path) as archive:
        if any(entry.file_size != entry.compress_size for entry in archive.infolist()):
            raise DamagedError("compressed")
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    for name in names:
        array = _array(path, name)
        if array.dtype.kind not in "uif" or not np.isfinite(array).all():
            raise DamagedError(f"{name} has no numbers")
        if name == "picture" and (array.dtype.kind != "f" or array.ndim != 3 or array.shape[2] != 3 or not array.size):
            raise DamagedError("no picture")
    return names


def _checked_text(text: npt.NDArray[np.generic]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of a Step, and a run's record. Raises DamagedError."""
    with decoding():
        parsed = json.loads(text.tobytes())
    if (
        not isinstance(parsed, dict)
        or not {*_FIELDS, "record"} <= parsed.keys()
        or not isinstance(parsed["terms"], dict)
    ):
        raise DamagedError("fields are missing")
    fields = {name: parsed[name] for name in _FIELDS}
    counts = [fields[name] for name in ("iteration", "evaluations", "restarts", "stage", "before")]
    numbers = [fields["seconds"], fields["total"], *fields["terms"].values()]
    if not all(type(count) is int and 0 <= count < 2**53 for count in counts) or counts[-1] > counts[0]:
        raise DamagedError("invalid counts")
    if not all(type(number) in (int, float) and math.isfinite(number) for number in numbers):
        raise DamagedError("numbers that are not finite")
    return fields, records.checked(parsed["record"])


def _array(path: Path, name: str) -> npt.NDArray[np.generic]:
    # NumPy parses headers as Python's literals, which is safe for short ones.
    with decoding()(np.load)(path, max_header_size=HEADER) as archive, decoding():
        array = archive[name]
    if not isinstance(array, np.ndarray):
        raise DamagedError(f"{name} is no array")
    return array
