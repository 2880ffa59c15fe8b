"""A run's directory: pictures, losses and settings, each file whole at every moment."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nst_graph import files, pictures
from nst_graph.errors import InputError
from nst_graph.optimisers import Step
from nst_graph.pictures import Picture

#: Seconds from one writing of losses.csv to the next, at least.
LOSSES_EVERY = 2.0


class Run:
    """An observer that leaves in a directory what a person wants to look at.

    iteration-00100.png, ... and final.png; losses.csv with a row for each iteration; run.json
    with all it takes to paint the same again. Raises InputError where the directory holds a run
    and `overwrite` is not set, or cannot be one.
    """

    def __init__(self, path: Path, overwrite: bool = False) -> None:
        self.path = path
        if path.exists() and not path.is_dir():
            raise InputError(f"--output {path}: not a directory; name another")
        if self._files() and not overwrite:
            raise InputError(f"--output {path}: holds a run; name another directory or add --overwrite")
        self._rows: list[list[object]] = []
        self._last: Step | None = None
        self._written = 0.0

    def _files(self) -> list[Path]:
        named = [self.path / name for name in ("run.json", "losses.csv", "final.png")]
        return [file for file in named if file.exists()] + sorted(self.path.glob("iteration-*.png"))

    def open(self, record: dict[str, Any], save_every: int, finish: Callable[[Picture], Picture]) -> None:
        """Make the directory, empty it of an older run, and write run.json with `record`.

        `finish` is applied to each picture that is saved. Raises InputError where the directory
        cannot be written.
        """
        self._record, self._save_every, self._finish = record, save_every, finish
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._describe({"state": "painting"})
            for old in self._files():
                if old.name != "run.json":
                    old.unlink()
        except OSError as error:
            raise InputError(f"--output {self.path}: {error.strerror}; name a directory that can be written") from error

    def observe(self, step: Step) -> None:
        """Log a step, and save its picture when it is due."""
        self._last = step
        if not self._rows:
            self._rows.append(["iteration", "evaluations", "seconds", *step.terms, "total"])
        figures = [f"{value:.9g}" for value in (*step.terms.values(), step.total)]
        self._rows.append([step.iteration, step.evaluations, f"{step.seconds:.3f}", *figures])
        due = step.iteration > 0 and step.iteration % self._save_every == 0
        if due:
            self._save(step, f"iteration-{step.iteration:05}.png")
        if due or step.iteration == 0 or time.monotonic() - self._written > LOSSES_EVERY:
            self._log()

    def close(self, outcome: dict[str, Any]) -> None:
        """Save the last picture as final.png, and say in run.json how the run ended."""
        if self._last is not None:
            self._save(self._last, "final.png")
            self._log()
            outcome = outcome | {
                "iterations": self._last.iteration,
                "evaluations": self._last.evaluations,
                "seconds": round(self._last.seconds, 3),
                "total": self._last.total,
            }
        self._describe(outcome)

    def _save(self, step: Step, name: str) -> None:
        pictures.write(self._finish(step.picture.astype(np.float32)), self.path / name)

    def _log(self) -> None:
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows(self._rows)
        with files.atomic(self.path / "losses.csv") as file:
            file.write(table.getvalue().encode())
        self._written = time.monotonic()

    def _describe(self, outcome: dict[str, Any]) -> None:
        with files.atomic(self.path / "run.json") as file:
            file.write(json.dumps(self._record | {"outcome": outcome}, indent=2).encode() + b"\n")
