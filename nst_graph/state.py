"""A State: all that a run needs to go on after it was killed, in one file of arrays and text."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nst_graph import files
from nst_graph.errors import InputError
from nst_graph.optimisers import Step

#: Numbers of a Step that are kept as text.
_NUMBERS = ("iteration", "evaluations", "seconds", "terms", "total", "restarts", "stage", "before")


@dataclass(frozen=True)
class State:
    """A step, and the record of the run it belongs to: its sources and settings."""

    step: Step
    record: dict[str, Any]


def write(state: State, path: Path) -> None:
    """Write a state, atomically. Raises OSError as open and write do."""
    text = {name: getattr(state.step, name) for name in _NUMBERS} | {"record": state.record}
    memory: dict[str, Any] = {f"memory/{name}": array for name, array in state.step.memory().items()}
    with files.atomic(path) as file:
        np.savez(file, text=np.array(json.dumps(text)), picture=state.step.picture, **memory)


def read(path: Path) -> State:
    """Read a state. Raises InputError where it is not whole; nothing in it is ever executed."""
    try:
        with np.load(path, allow_pickle=False) as file:
            text = json.loads(str(file["text"]))
            picture = file["picture"]
            memory = {name.removeprefix("memory/"): file[name] for name in file.files if name.startswith("memory/")}
        if picture.ndim != 3 or not np.isfinite(picture).all():
            raise ValueError("no picture")
        step = Step(picture=picture, memory=lambda: memory, **{name: text[name] for name in _NUMBERS})
        return State(step, text["record"])
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise InputError(f"{path}: not a whole state; paint anew with --overwrite") from error
