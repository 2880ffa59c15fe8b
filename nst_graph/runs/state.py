"""State: where a run is. state.npz has all that a killed one goes on from: a step, in arrays and JSON."""

import json
import math
import zipfile
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from nst_graph import files, images
from nst_graph.errors import DamagedError, InputError, decoding
from nst_graph.evaluation import Floats
from nst_graph.optimise.steps import LazyArrays, Step
from nst_graph.runs import losses, records

#: The counts and the other fields of a Step that are saved as JSON.
COUNTS = ("iteration", "evaluations", "restarts", "stage", "iteration_offset")
FIELDS = (*COUNTS, "seconds", "terms", "total")
#: The longest header of an array, in bytes; those of a state have 118.
HEADER = 200


def reached(path: Path) -> tuple[dict[str, Any], Step | None]:
    """The record of the run in a directory, with its stages and what was decided for each; and the step it reached.

    Of an unfinished run that is the step in state.npz, with the optimiser's state; of a finished painting the end,
    without; at the start None. Raises InputError if there is no run, it cannot go on, or a file is damaged.
    """
    record = records.read(path)
    if "film" not in record and record["outcome"].get("state") == "finished":
        return record, _end(path, record["outcome"])
    if "mark" in record:
        raise _too_old(path)
    return record, read(path / "state.npz") if (path / "state.npz").exists() else None


def _end(path: Path, outcome: dict[str, Any]) -> Step:
    rows = losses.read(path)
    fields: dict[str, Any] = {name: outcome.get("iterations" if name == "iteration" else name) for name in FIELDS}
    if not _are_counts(fields) or not rows:
        raise _too_old(path)
    picture, row = images.read(path / "final.png"), rows[max(rows)]
    fields["terms"] = {name: row[name] for name in losses.terms(row)}
    return Step(read=lambda: picture, optimizer_state=dict, **fields)


def _too_old(path: Path) -> InputError:
    saved = [*sorted(path.glob("iteration-*.png")), *path.glob("final.png")]
    remedy = f"paint on from its last picture with --init {saved[-1]} and another --output" if saved else "paint anew"
    return InputError(f"{path}: a run of an older version, which cannot go on; {remedy}")


def _are_counts(fields: dict[str, Any]) -> bool:
    return all(type(fields[name]) is int and 0 <= fields[name] < 2**53 for name in COUNTS)


def write(step: Step, file: BinaryIO) -> None:
    """Write a step to an open file. Raises OSError as write does."""
    text = np.frombuffer(json.dumps({name: getattr(step, name) for name in FIELDS}).encode(), np.uint8)
    memory = ((f"memory/{name}", array) for name, array in step.optimizer_state().items())
    # As np.savez does, but with one array after the other in memory.
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in chain([("text", text), ("picture", step.picture)], memory):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def read(path: Path) -> Step:
    """Read a step, without executing anything. Raises InputError if it is damaged."""
    try:
        if kind := files.non_file(path):
            raise DamagedError(kind)
        with decoding()(zipfile.ZipFile)(path) as archive:
            if any(entry.file_size != entry.compress_size for entry in archive.infolist()):  # it may take any memory
                raise DamagedError("compressed")
            names = [name.removesuffix(".npy") for name in archive.namelist()]
        for name in names:
            _array(path, name)  # so that damage is told now
        fields, picture = _fields(_array(path, "text")), cast(Floats, _array(path, "picture"))
        if picture.dtype.kind != "f" or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            raise DamagedError("no picture")
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path}: {reason}; make it readable, or move it away and resume, or paint anew") from error
    except DamagedError as error:
        raise InputError(f"{path}: not a whole state; move it away and resume, or paint anew") from error
    saved = [name for name in names if name.startswith("memory/")]
    memory = LazyArrays({name.removeprefix("memory/"): partial(_array, path, name) for name in saved})
    return Step(read=lambda: picture, optimizer_state=lambda: memory, **fields)


def _array(path: Path, name: str) -> npt.NDArray[np.generic]:
    # NumPy parses headers as Python's literals, which is safe for short ones.
    with decoding()(np.load)(path, max_header_size=HEADER) as archive, decoding():
        array = archive[name]
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "uif" or not np.isfinite(array).all():
        raise DamagedError(f"{name} has no numbers")
    return array


def _fields(text: npt.NDArray[np.generic]) -> dict[str, Any]:
    with decoding():
        fields = json.loads(text.tobytes())
    if not isinstance(fields, dict) or fields.keys() != {*FIELDS} or not isinstance(fields["terms"], dict):
        raise DamagedError("other fields")
    numbers = [fields["seconds"], fields["total"], *fields["terms"].values()]
    if not all(type(number) in (int, float) and math.isfinite(number) for number in numbers):
        raise DamagedError("numbers that are not finite")
    if not _are_counts(fields) or fields["iteration_offset"] > fields["iteration"]:
        raise DamagedError("invalid counts")
    return fields
