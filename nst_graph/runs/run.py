"""A Run: an observer that leaves pictures, losses, state and a page in a directory, each file whole at every moment."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from nst_graph import pictures, places
from nst_graph.errors import InputError, Pause
from nst_graph.optimise.steps import Step
from nst_graph.pictures import Picture
from nst_graph.recipes import Settings
from nst_graph.runs import curves, page, plots, records, state, timelapse
from nst_graph.runs.curves import Curves
from nst_graph.runs.directory import TENSORBOARD, Directory, lock
from nst_graph.runs.state import State
from nst_graph.scenes import Scene, Sources

#: Packages whose versions are recorded.
PACKAGES = ("nst_graph", "tensorflow", "scipy", "numpy", "imageio", "pillow")
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
    where another process paints there, or where it cannot be a run's. Used in a with statement, at
    whose end a run that is not finished keeps its state, and others are let in.
    """

    def __init__(self, path: Path, overwrite: bool = False, resume: bool = False) -> None:
        self.path = path
        if path.exists() and not path.is_dir():
            raise InputError(f"--output {path}: not a directory; name another")
        self._lock: filelock.BaseFileLock | None = None
        self._rows: list[list[str]] = []
        self._last: Step | None = None
        self._written = 0.0
        self._drawn = time.monotonic()
        self._state: State | None = None
        self._resume, self._opened = resume, False
        self._directory = Directory.at(path)
        if self._directory.record and not overwrite and not resume:
            raise InputError(f"--output {path}: holds a run; name another directory, or add --overwrite or --resume")
        try:
            if self._directory.record:
                self._lock = lock(path)
            if resume:
                self._read()
            self._directory.check()
        except BaseException:
            self._release()
            raise

    @property
    def begun(self) -> Step | None:
        """The step that a run which is resumed had reached; None where it begins at the start."""
        return self._state.step if self._state is not None else None

    def _read(self) -> None:
        self._before = records.read(self.path)
        if (self.path / "state.npz").exists():
            self._state = state.read(self.path / "state.npz")
            self._before = self._state.record
            self._rows = _rows(curves.read(self.path), self._state.step.iteration)

    def open(
        self,
        sources: Sources,
        network: str,
        settings: Settings,
        scene: Scene,
        finish: Callable[[Picture], Picture],
    ) -> list[Callable[[Step], None]]:
        """Make the directory, empty it of an older run or go on in it, and describe the run in run.json.

        `scene` is what is painted at last, `finish` is applied to each picture that is saved.
        Returns the run's observers. Raises InputError where the directory cannot be written, where
        the run to resume was begun with something else, or where the older run's files are what
        this one is painted from.
        """
        record = json.loads(json.dumps(_record(sources, network, settings, scene)))
        if self._resume:
            different = records.differences(self._before, record)
            if different:
                raise InputError("; ".join(different) + "; resume with what it was begun with, or paint elsewhere")
            # Where they are found now may be the copies, which go when the run is finished.
            record |= {name: self._before.get(name) for name in records.SOURCES}
        else:
            self._directory.check_apart(sources.by_role().values())
        self._record, self._finish, self._save_every = record, finish, settings.save_every
        shown = {"content": scene.photograph}
        shown |= {f"style-{number}": style.picture for number, style in enumerate(scene.styles, 1)}
        try:
            self._begin(sources, shown)
        except OSError as error:
            raise InputError(f"--output {self.path}: {error.strerror}; name a directory that can be written") from error
        self._opened = True
        observers: list[Callable[[Step], None]] = [self.observe]
        if settings.tensorboard:
            from nst_graph.runs.tensorboard import Events  # imports TensorFlow

            events = Events(self.path / TENSORBOARD, self._directory.mark, settings.save_every, finish)
            observers.append(events.observe)
        return observers

    def _begin(self, sources: Sources, shown: dict[str, Picture]) -> None:
        if self._lock is None:
            self._lock = lock(self.path)
        if not self._resume:
            self._directory.clear()  # before run.json changes: no old state beside a new record
        self._directory.tidy()
        self._describe({"state": "painting"})
        self._directory.add_copies(sources.by_role())
        for name, picture in shown.items():
            self._directory.put(f"{name}.png", pictures.to_png(picture))
        self._show()

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
            self._save_state(step)
            if time.monotonic() - self._drawn > PLOT_EVERY:
                self._draw()
                self._drawn = time.monotonic()

    def finish(self, reason: str) -> None:
        """End the run: save final.png and the film, and remove what it took to go on."""
        self._save_end()
        self._film()
        self._describe_end({"state": "finished", "reason": reason})
        self._directory.remove("state.npz")
        self._directory.remove_copies()
        self._draw()
        self._show()
        self._opened = False

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Save what it takes to go on where the run ends before it is finished, and let other runs in."""
        try:
            if self._opened:
                # Where a disk is full this fails too; the last whole state is there.
                with suppress(*([OSError] if isinstance(error, OSError) else [])):
                    self._stop(error)
        finally:
            self._release()

    def _stop(self, error: BaseException | None) -> None:
        states: dict[Any, str] = {KeyboardInterrupt: "interrupted", Pause: "paused"}
        if self._last is not None:
            self._save_state(self._last)
        self._save_end()
        self._describe_end({"state": states.get(type(error), f"failed: {error}")})
        self._draw()
        self._show()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _save_end(self) -> None:
        if self._last is not None:
            self._save(self._last, "final.png")
            self._log()

    def _describe_end(self, outcome: dict[str, Any]) -> None:
        if self._last is not None:
            outcome |= {
                "iterations": self._last.iteration,
                "evaluations": self._last.evaluations,
                "seconds": round(self._last.seconds, 3),
                "restarts": self._last.restarts,
                "total": self._last.total,
            }
        self._describe(outcome)

    def _save_state(self, step: Step) -> None:
        saved = State(step, self._record)
        self._directory.write("state.npz", lambda file: state.write(saved, file))

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
        if self.path.parent.resolve() == places.OUTPUT:
            page.write_gallery(places.OUTPUT)

    def _describe(self, outcome: dict[str, Any]) -> None:
        self._directory.describe(self._record | {"outcome": outcome})


def _record(sources: Sources, network: str, settings: Settings, scene: Scene) -> dict[str, Any]:
    """All it takes to paint the same again."""
    height, width = scene.shape[:2]
    return {
        "content": records.source(sources.content),
        "styles": [records.source(path) for path in sources.styles],
        "masks": [records.source(path) for path in sources.masks],
        "init": None if sources.init is None else records.source(sources.init),
        "weights": records.source(sources.weights) | {"network": network},
        "settings": asdict(settings),
        "read_limit": sources.read_limit,
        "width": width,
        "height": height,
        "versions": {"python": platform.python_version()} | {package: version(package) for package in PACKAGES},
        # "0", "1", or null where TensorFlow itself decides.
        "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
    }
