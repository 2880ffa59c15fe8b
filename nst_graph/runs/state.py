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
from nst_graph.errors import InputError
from nst_graph.evaluation import Floats
from nst_graph.optimise.steps import Lazily, Step
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
        names = _checked(path)
        text, picture = json.loads(_array(path, "text").tobytes()), _array(path, "picture")
        fields = {name: text[name] for name in _FIELDS}
        counts = [fields[name] for name in ("iteration", "evaluations", "restarts", "stage", "before")]
        numbers = [fields["seconds"], fields["total"], *fields["terms"].values()]
        if not all(type(count) is int and 0 <= count < 2**53 for count in counts) or counts[-1] > counts[0]:
            raise ValueError("invalid counts")
        if not all(type(number) in (int, float) and math.isfinite(number) for number in numbers):
            raise ValueError("numbers that are not finite")
        if picture.dtype == np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
            raise ValueError("no picture")
        saved = [name for name in names if name.startswith("memory/")]
        memory = Lazily({name.removeprefix("memory/"): partial(_array, path, name) for name in saved})
        step = Step(read=lambda: cast(Floats, picture), memory=lambda: memory, **fields)
        return step, records.checked(text["record"])
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path}: {reason}; make it readable, or move it away and resume, or paint anew") from error
    except Exception as error:  # NumPy and zipfile may raise anything if bytes are damaged
        raise InputError(f"{path}: not a whole state; move it away and resume, or paint anew") from error


def _checked(path: Path) -> list[str]:
    """The arrays' names, after each was read; as compression is refused, none takes more memory than the file."""
    with zipfile.ZipFile(path) as archive:
        if any(entry.file_size != entry.compress_size for entry in archive.infolist()):
            raise ValueError("compressed")
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    for name in names:
        array = _array(path, name)
        if array.dtype not in (np.float32, np.float64, np.uint8) or not np.isfinite(array).all():
            raise ValueError("not an array of a state")
    return names


def _array(path: Path, name: str) -> npt.NDArray[np.generic]:
    # NumPy parses headers as Python's literals, which is safe for short ones.
    with np.load(path, max_header_size=HEADER) as archive:
        return cast(npt.NDArray[np.generic], archive[name])
