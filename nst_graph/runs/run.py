"""A Run: an observer that writes pictures, losses, state and a page into a directory, each file atomically."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from nst_graph import pictures, signals
from nst_graph.errors import DamagedError, InputError, Pause
from nst_graph.optimise.steps import Step
from nst_graph.pictures import Picture
from nst_graph.runs import curves, output_image, page, plots, records, state, timelapse
from nst_graph.runs.curves import Curves
from nst_graph.runs.directory import TENSORBOARD, Directory, claimed
from nst_graph.runs.output_image import OutputImage
from nst_graph.scenes import Scene, Sources
from nst_graph.settings import Settings
from nst_graph.version import __version__

#: Packages whose versions are recorded.
PACKAGES = ("tensorflow", "scipy", "numpy", "imageio", "pillow")
#: Minimum seconds between two updates of losses.csv and the page, and of losses.png and the gallery, which take longer.
LOSSES_EVERY, PLOT_EVERY, GALLERY_EVERY = 4.0, 20.0, 60.0


def _row(iteration: float, evaluations: float, seconds: float, *losses: float) -> list[str]:
    return [f"{iteration:.0f}", f"{evaluations:.0f}", f"{seconds:.3f}", *(f"{loss:.9g}" for loss in losses)]


def _rows(columns: Curves, iteration: int) -> list[list[str]]:
    """The header and the rows of losses.csv up to an iteration; empty if there are none."""
    rows = [row for row in zip(*columns.values(), strict=True) if row[0] <= iteration]
    return [list(columns), *(_row(*row) for row in rows)] if rows else []


def _end(path: Path, record: dict[str, Any]) -> Step:
    """The end of a finished run: its final.png, without the optimiser's memory. Raises InputError."""
    outcome, columns = record["outcome"], curves.read(path)
    counts = {name: outcome.get(name) for name in ("iterations", "evaluations", "restarts", "stage", "before")}
    seconds, total = outcome.get("seconds"), outcome.get("total")
    if not all(type(count) is int and count >= 0 for count in counts.values()) or not columns:
        final = path / "final.png"
        raise InputError(f"{path}: a run of an older version, which cannot go on; paint on from it with --init {final}")
    picture = pictures.read(path / "final.png")
    terms = {name: values[-1] for name, values in columns.items() if name not in (*curves.COUNTS, "total")}
    fields = {name.replace("iterations", "iteration"): count for name, count in counts.items()}
    return Step(read=lambda: picture, memory=dict, terms=terms, total=total, seconds=seconds, **fields)


class Run:
    """An observer that records a painting in a directory, so that it can be watched, repeated and resumed.

    It writes iteration-00000.png, the start, iteration-00100.png, ... and final.png; losses.csv with a row for
    each iteration; run.json with everything needed to repeat the painting; index.html; and, until it is finished,
    state.npz and copies of the source pictures; and final.png as `path`, if that names a picture: its
    directory then has that name without the suffix. As a context manager it saves the state of an unfinished run at
    the end, and unlocks the directory. Raises InputError if that cannot be used, holds a run and neither
    `overwrite` nor `resume` is set, has other files with names that runs use, or is another process's.
    """

    def __init__(
        self,
        path: Path,
        overwrite: bool = False,
        resume: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`say` gets a line where something beside the painting fails, such as its curves."""
        self.path, picture = output_image.split(path)
        self._say = say
        self._rows: list[list[str]] = []
        self._last: Step | None = None
        self._written = 0.0
        self._drawn = self._listed = time.monotonic()
        #: The last step before a resumed run stopped; None if it begins from the start.
        self.resume_from: Step | None = None
        #: The stages of a resumed run, as its record has them.
        self.stages: list[dict[str, Any]] = []
        self._resume, self._opened = resume, False
        #: Whether it goes on with a finished run.
        self._more = False
        path = self.path
        Directory.to_paint_in(path, overwrite, resume)  # before a file is made there
        with ExitStack() as stack:
            stack.enter_context(claimed(path))
            self._directory = Directory.to_paint_in(path, overwrite, resume)  # as nobody changes it any more
            self._output_image = OutputImage.of(self._directory, picture) if picture or resume else None
            if self._output_image is not None:
                self._output_image.check(overwrite)
            if resume:
                self._before = records.read(path)
                self._more = self._before.get("outcome", {}).get("state") == "finished"
                if self._more:
                    self.resume_from = _end(path, self._before)
                elif (path / "state.npz").exists():
                    self.resume_from, self._before = state.read(path / "state.npz")
                if self.resume_from is not None:
                    self._last = self.resume_from
                    self._rows = _rows(curves.read(path), self.resume_from.iteration)
                self.stages = self._before.get("stages", [])
                self._directory.check()
            self._locks = stack.pop_all()

    def open(
        self,
        sources: Sources,
        network: str,
        settings: Settings,
        scene: Scene,
        finish: Callable[[Picture], Picture],
        stages: Sequence[Mapping[str, Any]],
    ) -> list[Callable[[Step], None]]:
        """Prepare the directory, removing an older run unless it is resumed, and write run.json; returns observers.

        `scene` is that of the last stage; `finish` is applied to each picture before it is saved; `stages` have the
        width, height, iterations and precision of each. Raises InputError if the directory cannot be written, the
        resumed run was begun with other sources or settings, or a source of this run is a file of the older one.
        """
        record = json.loads(json.dumps(describe(sources, network, settings, scene) | {"stages": stages}))
        if self._resume:
            before = self._before
            if self._more:
                before = before | {"settings": before["settings"] | {"iterations": settings.iterations}}
            different = records.differences(before, record)
            if different:
                raise InputError("; ".join(different) + "; resume with what it was begun with, or paint elsewhere")
            # The sources may now be the copies in the directory, which are removed at the end.
            record |= {name: self._before.get(name) for name in records.SOURCES}
        else:
            self._directory.check_apart(sources.by_role().values())
        if self._output_image is not None:
            self._output_image.check_depth(settings.depth)
            self._output_image.check_apart(sources.by_role().values())
            record |= {"picture": self._output_image.record}
        self._record, self._finish, self._save_every = record, finish, settings.save_every
        self._depth, self._texts = settings.depth, records.texts(settings, network)
        shown = {"content": scene.cut(scene.photograph)}
        shown |= {f"style-{number}": style.picture for number, style in enumerate(scene.styles, 1)}
        try:
            self._begin(sources, shown)
        except OSError as error:
            raise InputError(f"--output {self.path}: {error.strerror}; name a directory that can be written") from error
        self._opened = True
        if not settings.tensorboard:
            return [self.observe]
        from nst_graph.runs.tensorboard import Events  # imports TensorFlow

        events = Events(self.path / TENSORBOARD, self._directory.mark, settings.save_every, finish, self._say)
        return [self.observe, events.observe]

    def _begin(self, sources: Sources, shown: dict[str, Picture]) -> None:
        self._directory.tidy()
        if not self._resume:
            self._directory.clear()  # before run.json is written, so that an old state never has a new record
        if self._more:  # before run.json says that it is not finished
            assert self.resume_from is not None
            self._save_state(self.resume_from)
        self._describe({"state": "painting"})
        self._directory.add_copies(sources.by_role())
        for name, picture in shown.items():
            self._directory.put(f"{name}.png", pictures.to_png(picture))
        self._show(gallery=True)

    def observe(self, step: Step) -> None:
        """Log a step, and save its picture and the state every `save_every` iterations; of the start, its picture."""
        self._last = step
        if not self._rows:
            self._rows.append([*curves.COUNTS, *step.terms, "total"])
        self._rows.append(_row(step.iteration, step.evaluations, step.seconds, *step.terms.values(), step.total))
        due = step.iteration % self._save_every == 0
        if due:
            picture = step.picture  # read once
            step = replace(step, read=lambda: picture)
            self._save(step, f"iteration-{step.iteration:05}.png")
        if due or time.monotonic() - self._written > LOSSES_EVERY:
            self._log()
        if due and step.iteration > 0:
            self._save_state(step)
            if time.monotonic() - self._drawn > PLOT_EVERY:
                self._draw()
                self._drawn = time.monotonic()

    def finish(self, reason: str) -> None:
        """End the run: save final.png and the timelapse, and remove the state and the copies of the sources."""
        self._save_end()
        kind = self._record["settings"]["timelapse"]
        if kind is not None:
            try:
                self._directory.put(f"timelapse.{kind}", timelapse.film(self._directory.pictures(), kind))
            except DamagedError as error:
                self._say(f"no timelapse: {error}")
        with signals.ignored():  # or it would be taken for unfinished, without what it takes to go on
            self._describe_end({"state": "finished", "reason": reason})
            self._opened = False
            self._directory.remove("state.npz")
            self._directory.remove_copies()
            self._draw()
            self._show(gallery=True)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Save the state if the run is not finished, and unlock the directory."""
        with self._locks:
            if self._opened:
                # On a full disk this fails too, but the last saved state is intact.
                with signals.ignored(), suppress(*([OSError] if isinstance(error, OSError) else [])):
                    self._stop(error)

    def _stop(self, error: BaseException | None) -> None:
        states: dict[Any, str] = {KeyboardInterrupt: "interrupted", Pause: "paused"}
        if self._last is not None:
            self._save_state(self._last)
        self._save_end()
        self._describe_end({"state": states.get(type(error), f"failed: {error}")})
        self._draw()
        self._show(gallery=True)

    def _save_end(self) -> None:
        if self._last is not None:
            picture = self._save(self._last, "final.png")
            if self._output_image is not None:
                data = pictures.to_file(picture, self._output_image.path.suffix, self._depth, self._texts)
                self._output_image.write(data, self._directory)
            self._log()

    def _describe_end(self, outcome: dict[str, Any]) -> None:
        if self._last is not None:
            outcome |= {
                "iterations": self._last.iteration,
                "evaluations": self._last.evaluations,
                "seconds": round(self._last.seconds, 3),
                "restarts": self._last.restarts,
                "total": self._last.total,
                "stage": self._last.stage,
                "before": self._last.before,
            }
        self._describe(outcome)

    def _save_state(self, step: Step) -> None:
        self._directory.write("state.npz", lambda file: state.write(step, self._record, file))

    def _save(self, step: Step, name: str) -> Picture:
        picture = self._finish(step.picture.astype(np.float32, copy=False))
        self._directory.put(name, pictures.to_png(picture, self._depth, self._texts))
        return picture

    def _log(self) -> None:
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows(self._rows)
        self._directory.put("losses.csv", table.getvalue().encode())
        self._show()
        self._written = time.monotonic()

    def _draw(self) -> None:
        plot = plots.draw(curves.weighted(curves.read(self.path), self._record["settings"]), self._say)
        if plot is not None:
            self._directory.put("losses.png", plot)

    def _show(self, gallery: bool = False) -> None:
        if gallery or time.monotonic() - self._listed > GALLERY_EVERY:
            page.update_gallery(self.path.parent)  # first, as the page has a link to it
            self._listed = time.monotonic()
        self._directory.put("index.html", page.of_run(self.path))

    def _describe(self, outcome: dict[str, Any]) -> None:
        self._directory.describe(self._record | {"outcome": outcome})


def describe(sources: Sources, network: str, settings: Settings, scene: Scene) -> dict[str, Any]:
    """Everything needed to repeat the painting."""
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
        "versions": {"python": platform.python_version(), "nst_graph": __version__}
        | {package: version(package) for package in PACKAGES},
        # "0", "1", or null if TensorFlow decides.
        "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
    }
