"""A Run: an observer that leaves pictures, losses, state and a page in a directory, each file whole at every moment."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nst_graph import pictures
from nst_graph.errors import InputError
from nst_graph.optimise.optimisers import Step
from nst_graph.pictures import Picture
from nst_graph.runs import curves, page, plots, records, state, timelapse
from nst_graph.runs.curves import Curves
from nst_graph.runs.directory import Directory, take
from nst_graph.runs.state import State

#: Seconds from one writing of losses.csv and the page to the next, at least.
LOSSES_EVERY = 4.0
#: And from one losses.png to the next, which takes longer.
PLOT_EVERY = 20.0


def _row(iteration: float, evaluations: float, seconds: float, *figures: float) -> list[str]:
    return [f"{iteration:.0f}", f"{evaluations:.0f}", f"{seconds:.3f}", *(f"{figure:.9g}" for figure in figures)]


def _rows(found: Curves, iteration: int) -> list[list[str]]:
    """losses.csv as it was at an iteration; nothing where it is not whole."""
    rows = [row for row in zip(*found.values(), strict=True) if row[0] <= iteration]
    return [list(found), *(_row(*row) for row in rows)] if rows else []


class Run:
    """An observer that leaves in a directory what a person wants to look at, and what it takes to go on.

    iteration-00100.png, ... and final.png; losses.csv with a row for each iteration; run.json
    with all it takes to paint the same again; index.html; state.npz and copies of the pictures it
    is painted from until the run is finished. Raises InputError where the directory holds a run
    and neither `overwrite` nor `resume` is set, where it holds another's files of a run's names,
    where another process paints there, or where it cannot be a run's. Others are kept out until
    the end of a with statement.
    """

    def __init__(self, path: Path, overwrite: bool = False, resume: bool = False) -> None:
        self.path = path
        if path.exists() and not path.is_dir():
            raise InputError(f"--output {path}: not a directory; name another")
        self._lock: int | None = None
        self._rows: list[list[str]] = []
        self._last: Step | None = None
        self._written = 0.0
        self._drawn = time.monotonic()
        self.state: State | None = None
        self._resume = resume
        self._directory = Directory.at(path)
        if self._directory.record and not overwrite and not resume:
            raise InputError(f"--output {path}: holds a run; name another directory, or add --overwrite or --resume")
        try:
            if self._directory.record:
                self._lock = take(path)
            if resume:
                self._read()
            self._directory.check()
        except BaseException:
            self.__exit__()
            raise

    @property
    def mark(self) -> str:
        """What names of this run's own end with, and no others."""
        return self._directory.mark

    def _read(self) -> None:
        self._begun = records.read(self.path)
        if (self.path / "state.npz").exists():
            self.state = state.read(self.path / "state.npz")
            self._begun = self.state.record
            self._rows = _rows(curves.read(self.path), self.state.step.iteration)

    def open(
        self,
        record: dict[str, Any],
        finish: Callable[[Picture], Picture],
        shown: dict[str, Picture],
        sources: dict[str, Path],
    ) -> None:
        """Make the directory, empty it of an older run or go on in it, and write run.json with `record`.

        `finish` is applied to each picture that is saved; `shown`, by name, are saved as they are
        painted from, and `sources`, by role, are the files they are read from. Raises InputError
        where the directory cannot be written, where `record` is not that of the run to go on with,
        or where the older run's files are what this one is painted from.
        """
        record = json.loads(json.dumps(record))
        if self._resume:
            different = records.differences(self._begun, record)
            if different:
                raise InputError("; ".join(different) + "; resume with what it was begun with, or paint elsewhere")
            # Where they are found now may be the copies, which go when it is finished.
            record |= {name: self._begun.get(name) for name in records.SOURCES}
        else:
            self._directory.keep(sources.values())
        self._record, self._finish = record, finish
        self._save_every = record["settings"]["save_every"]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if self._lock is None:
                self._lock = take(self.path)
            if not self._resume:
                self._directory.clear()  # before run.json changes: no old state beside a new record
            self._directory.tidy()
            self._describe({"state": "painting"})
            self._directory.carry(sources)
            for name, picture in shown.items():
                self._directory.put(f"{name}.png", pictures.to_png(picture))
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
                self._draw()
                self._drawn = time.monotonic()

    def close(self, outcome: dict[str, Any], finished: bool) -> None:
        """Save the last picture as final.png and, at its end, the film; say in run.json how the run ended.

        A run that is not finished keeps its state; one whose disk is full, the last that was whole.
        """
        if self._last is not None:
            outcome = outcome | {
                "iterations": self._last.iteration,
                "evaluations": self._last.evaluations,
                "seconds": round(self._last.seconds, 3),
                "restarts": self._last.restarts,
                "total": self._last.total,
            }
            if not finished:
                self._keep(self._last)
            self._save(self._last, "final.png")
            self._log()
        if finished:
            self._film()
        self._describe(outcome)
        if finished:
            self._directory.remove("state.npz")
            self._directory.unload()
        self._draw()
        self._show()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        """Let others in."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _keep(self, step: Step) -> None:
        kept = State(step, self._record)
        self._directory.write("state.npz", lambda file: state.write(kept, file))

    def _save(self, step: Step, name: str) -> None:
        self._directory.put(name, pictures.to_png(self._finish(step.picture.astype(np.float32))))

    def _log(self) -> None:
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows(self._rows)
        self._directory.put("losses.csv", table.getvalue().encode())
        self._show()
        self._written = time.monotonic()

    def _draw(self) -> None:
        drawn = plots.draw(curves.read(self.path))
        if drawn is not None:
            self._directory.put("losses.png", drawn)

    def _film(self) -> None:
        kind = self._record["settings"]["timelapse"]
        if kind is not None:
            self._directory.put(f"timelapse.{kind}", timelapse.film(self._directory.pictures(), kind))

    def _show(self) -> None:
        self._directory.put("index.html", page.of_run(self.path))
        if self.path.parent.resolve() == records.OUTPUT:
            page.write_gallery(records.OUTPUT)

    def _describe(self, outcome: dict[str, Any]) -> None:
        self._directory.describe(self._record | {"outcome": outcome})
