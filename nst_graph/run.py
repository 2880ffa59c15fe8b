"""A run's directory: pictures, losses, state and a page, each file whole at every moment."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from nst_graph import curves, files, page, pictures, plots, records, state
from nst_graph.curves import Curves
from nst_graph.errors import InputError
from nst_graph.optimisers import Step
from nst_graph.pictures import Picture
from nst_graph.state import State

#: Seconds from one writing of losses.csv and the page to the next, at least.
LOSSES_EVERY = 2.0
#: And from one losses.png to the next, which takes longer.
PLOT_EVERY = 20.0
#: What a run leaves in its directory.
PATTERNS = (
    *("run.json", "losses.csv", "losses.png", "state.npz", "index.html", "content.png", "style-*.png"),
    *("iteration-*.png", "final.png", "timelapse.*", "tensorboard/events.out.tfevents.*"),
)


def _take(path: Path) -> int:
    """Take a directory's lock, which goes with the process, however it ends. Raises InputError."""
    handle = os.open(path / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise InputError(f"--output {path}: another process paints there; name another directory") from error
    return handle


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Make a directory and keep every other run out of it. Raises InputError where one is there, or OSError."""
    path.mkdir(parents=True, exist_ok=True)
    handle = _take(path)
    try:
        yield
    finally:
        os.close(handle)


def _row(iteration: float, evaluations: float, seconds: float, *figures: float) -> list[str]:
    return [f"{iteration:.0f}", f"{evaluations:.0f}", f"{seconds:.3f}", *(f"{figure:.9g}" for figure in figures)]


def _rows(found: Curves, iteration: int) -> list[list[str]]:
    """losses.csv as it was at an iteration; nothing where it is not whole."""
    rows = [row for row in zip(*found.values(), strict=True) if row[0] <= iteration]
    return [list(found), *(_row(*row) for row in rows)] if rows else []


class Run:
    """An observer that leaves in a directory what a person wants to look at, and what it takes to go on.

    iteration-00100.png, ... and final.png; losses.csv with a row for each iteration; run.json
    with all it takes to paint the same again; index.html; state.npz until the run is finished.
    Raises InputError where the directory holds a run and neither `overwrite` nor `resume` is
    set, where another process paints there, or where it cannot be a run's. Others are kept out
    until the end of a with statement.
    """

    def __init__(self, path: Path, overwrite: bool = False, resume: bool = False) -> None:
        self.path = path
        if path.exists() and not path.is_dir():
            raise InputError(f"--output {path}: not a directory; name another")
        self._lock: int | None = None
        if self._files():
            if not overwrite and not resume:
                raise InputError(
                    f"--output {path}: holds a run; name another directory, or add --overwrite or --resume"
                )
            self._hold()
        self._rows: list[list[str]] = []
        self._last: Step | None = None
        self._written = 0.0
        self._drawn = time.monotonic()
        self.state: State | None = None
        self._resume = resume
        if resume:
            try:
                self._read()
            except BaseException:
                self.__exit__()
                raise

    def _read(self) -> None:
        self._begun = records.read(self.path)
        if (self.path / "state.npz").exists():
            self.state = state.read(self.path / "state.npz")
            self._begun = self.state.record
            self._rows = _rows(curves.read(self.path), self.state.step.iteration)

    def _files(self) -> list[Path]:
        return [file for pattern in PATTERNS for file in sorted(self.path.glob(pattern))]

    def _hold(self) -> None:
        if self._lock is None:
            self._lock = _take(self.path)

    def open(
        self,
        record: dict[str, Any],
        save_every: int,
        finish: Callable[[Picture], Picture],
        sources: dict[str, Picture],
    ) -> None:
        """Make the directory, empty it of an older run or go on in it, and write run.json with `record`.

        `finish` is applied to each picture that is saved; `sources`, by name, are saved as they
        are painted from. Raises InputError where the directory cannot be written, or `record`
        is not that of the run to go on with.
        """
        record = json.loads(json.dumps(record))
        if self._resume:
            different = records.differences(self._begun, record)
            if different:
                raise InputError("; ".join(different) + "; resume with what it was begun with, or paint elsewhere")
        self._record, self._save_every, self._finish = record, save_every, finish
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._hold()
            if not self._resume:
                # A killed overwriting must not leave the old state beside the new record.
                for old in self._files():
                    old.unlink()
            for pattern in PATTERNS:  # what was being written when a run was killed
                for torn in self.path.glob(f".{pattern}.????????"):
                    torn.unlink()
            self._describe({"state": "painting"})
            for name, picture in sources.items():
                pictures.write(picture, self.path / f"{name}.png")
            self._show()
        except OSError as error:
            raise InputError(f"--output {self.path}: {error.strerror}; name a directory that can be written") from error

    def observe(self, step: Step) -> None:
        """Log a step; save its picture, and the state, when they are due."""
        self._last = step
        if not self._rows:
            self._rows.append([*curves.COUNTS, *step.terms, "total"])
        figures = *step.terms.values(), step.total
        self._rows.append(_row(step.iteration, step.evaluations, step.seconds, *figures))
        due = step.iteration > 0 and step.iteration % self._save_every == 0
        if due:
            self._save(step, f"iteration-{step.iteration:05}.png")
        if due or step.iteration == 0 or time.monotonic() - self._written > LOSSES_EVERY:
            self._log()
        if due:
            self._keep(step)
            if time.monotonic() - self._drawn > PLOT_EVERY:
                plots.write(self.path)
                self._drawn = time.monotonic()

    def close(self, outcome: dict[str, Any], finished: bool) -> None:
        """Save the last picture as final.png, and say in run.json how the run ended.

        A run that is not finished keeps its state; one whose disk is full, the last that was whole.
        """
        if self._last is not None:
            self._save(self._last, "final.png")
            self._log()
            outcome = outcome | {
                "iterations": self._last.iteration,
                "evaluations": self._last.evaluations,
                "seconds": round(self._last.seconds, 3),
                "restarts": self._last.restarts,
                "total": self._last.total,
            }
            if not finished:
                self._keep(self._last)
        self._describe(outcome)
        if finished:
            (self.path / "state.npz").unlink(missing_ok=True)
        plots.write(self.path)
        self._show()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        """Let others in."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _keep(self, step: Step) -> None:
        state.write(State(step, self._record), self.path / "state.npz")

    def _save(self, step: Step, name: str) -> None:
        pictures.write(self._finish(step.picture.astype(np.float32)), self.path / name)

    def _log(self) -> None:
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows(self._rows)
        with files.atomic(self.path / "losses.csv") as file:
            file.write(table.getvalue().encode())
        self._show()
        self._written = time.monotonic()

    def _show(self) -> None:
        page.write(self.path)
        if self.path.parent.resolve() == records.OUTPUT:
            page.write_gallery(records.OUTPUT)

    def _describe(self, outcome: dict[str, Any]) -> None:
        with files.atomic(self.path / "run.json") as file:
            file.write(json.dumps(self._record | {"outcome": outcome}, indent=2).encode() + b"\n")
