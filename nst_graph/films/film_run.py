"""A FilmRun: a film's directory, where each painted frame is a finished file, and a killed film goes on."""

from __future__ import annotations

import csv
import io
import json
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nst_graph import files, pictures, signals
from nst_graph.errors import InputError, Pause
from nst_graph.films import check_record, media
from nst_graph.films.clips import Clip, Outline
from nst_graph.optimise import Step
from nst_graph.pictures import Picture
from nst_graph.runs import page, records, state
from nst_graph.runs.directory import Directory, claimed
from nst_graph.scenes import Sources

#: The first columns of losses.csv, which has a row a frame; `beside` are the seconds beside the optimiser's.
COLUMNS = ("frame", "iterations", "evaluations", "seconds", "beside")
#: The latest frames, whose time tells how long the others take.
RECENT = 20


@dataclass(frozen=True)
class Frame:
    """A painted frame, counted from 1: the step it ended with, the seconds beside the optimiser's, and its file."""

    number: int
    step: Step
    beside: float
    png: bytes


@dataclass(frozen=True)
class ShotProgress:
    """How far a shot is painted: the first frame that is not finished, and what it is painted from."""

    number: int
    #: The loss that the first frame of the shot ended with; None where there is none, or losses.csv does not say it.
    total: float | None = None
    #: The last frames before, at most `reach`, as they were painted; unless the last is that of the film, as their
    #: files have them.
    painted: tuple[Picture, ...] = ()
    reach: int = 1
    #: The step that the frame ended with, if a killed run painted it and could not add it.
    kept: Step | None = None

    def after(self, frame: Frame) -> ShotProgress:
        """The same once that frame is finished."""
        total = frame.step.total if self.total is None else self.total
        painted = (*self.painted, frame.step.picture.astype(np.float32))[-self.reach :]
        return ShotProgress(frame.number + 1, total, painted, self.reach)


class FilmRun:
    """The frames of a film in a directory, with run.json, losses.csv, index.html, and at the end film.mp4.

    A painted frame, frame-00001.png, is there whole or not at all, and is not painted again. Until the film is
    finished state.npz has the last one as it was painted. As a context manager it says how an unfinished film
    ended, and unlocks the directory. Raises InputError where a Run does.
    """

    def __init__(self, path: Path, overwrite: bool = False, resume: bool = False) -> None:
        self.path = path
        self._resume, self._opened, self._rows = resume, False, list[list[str]]()
        self._took: list[float] = []  # seconds from frame to frame
        Directory.to_paint_in(path, overwrite, resume)  # before a file is made there
        self._painted_last: tuple[int, Step] | None = None
        #: The stages of a film that goes on, as its record has them.
        self.stages: list[dict[str, Any]] = []
        #: The last of successive frames that were added, as they were painted, by number.
        self._latest = dict[int, Picture]()
        with ExitStack() as stack:
            stack.enter_context(claimed(path))
            self._directory = Directory.to_paint_in(path, overwrite, resume)  # as nobody changes it any more
            if resume:
                self._before = records.read(path)
                check_record(path, self._before)
                self.stages = self._before.get("stages", [])
                if (path / "state.npz").exists():
                    step, record = state.read(path / "state.npz")
                    self._painted_last = int(record.get("frame", 0)), step
                    before = step.memory()
                    self._latest = {int(name): before[name].astype(np.float32) for name in before if name.isdecimal()}
                    self._latest[self._painted_last[0]] = step.picture.astype(np.float32)
                self._directory.check()
            self._locks = stack.pop_all()

    def open(self, record: dict[str, Any], sources: Sources) -> None:
        """Begin the film, or go on with it. Raises InputError if it was begun with other sources or settings."""
        record = json.loads(json.dumps(record))
        self._seen = time.monotonic()
        if self._resume:
            different = records.differences(self._before, record)
            earlier = self._before["film"]
            changed = [name for name, value in record["film"].items() if earlier.get(name) != value]
            different += [f"{name}: the film was begun with {earlier.get(name)}" for name in changed]
            if different:
                raise InputError("; ".join(different) + "; resume with what it was begun with, or paint elsewhere")
        else:
            self._directory.check_apart(sources.by_role().values())
        try:
            self._directory.tidy()
            if not self._resume:
                self._directory.clear()
            self._record, self._opened = record, True
            self._rows = self._logged()
            self._took = [float(row[3]) + float(row[4]) for row in self._rows[1:]]
            self._describe({"state": "painting"})
        except OSError as error:
            raise InputError(f"--output {self.path}: {error.strerror}; name a directory that can be written") from error

    @property
    def frames(self) -> int:
        """How many frames the film is to have."""
        return int(self._record["film"]["frames"])

    def progress(self, shot: range) -> ShotProgress:
        """How far the shot of these frames is painted."""
        first, reach = next((number for number in shot if not self._frame(number).exists()), shot.stop), self._reach
        totals = {int(row[0]): float(row[-1]) for row in self._rows[1:]}
        total = next((totals[number] for number in range(shot.start, first) if number in totals), None)
        before = range(max(shot.start, first - reach), first) if first < shot.stop else ()
        kept = self._painted_last[1] if self._painted_last is not None and self._painted_last[0] == first else None
        return ShotProgress(first, total, tuple(map(self._painted, before)), reach, kept)

    def add(self, frame: Frame) -> None:
        """Add a frame, and its row to losses.csv; its step is saved first, so that it is not painted again."""
        now = time.monotonic()
        self._took.append(now - self._seen)
        self._seen = now
        number, step = frame.number, frame.step
        before = self._latest if number - 1 in self._latest else {}
        before = {kept: before[kept] for kept in range(number - self._reach + 1, number) if kept in before}
        self._painted_last, self._latest = (number, step), before | {number: step.picture.astype(np.float32)}
        memory = {str(kept): picture for kept, picture in before.items()}
        saved, record = replace(step, memory=lambda: memory), self._record | {"frame": number}
        self._directory.write("state.npz", lambda file: state.write(saved, record, file))
        counts = [str(number), str(step.iteration), str(step.evaluations), f"{step.seconds:.3f}", f"{frame.beside:.3f}"]
        losses = [f"{loss:.9g}" for loss in (*step.terms.values(), step.total)]
        rows = [row for row in self._rows[1:] if int(row[0]) != number] + [counts + losses]
        self._rows = [[*COLUMNS, *step.terms, "total"], *sorted(rows, key=lambda row: int(row[0]))]
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows(self._rows)
        self._directory.put("losses.csv", table.getvalue().encode())
        self._directory.put(self._frame(number).name, frame.png)
        self._show()

    def finish(self, clip: Clip, outline: Outline) -> str | None:
        """Write film.mp4, and remove the state; why the film is silent, if the clip is not."""
        paths = [self._frame(number) for number in range(1, self.frames + 1)]
        unfinished = self.path / f".film.{self._directory.mark}.mp4"
        try:
            why = media.write(paths, outline.times, clip.path, outline.sound, unfinished)
            self._directory.put("film.mp4", unfinished.read_bytes())
        finally:
            unfinished.unlink(missing_ok=True)
        self._describe({"state": "finished"})
        self._directory.remove("state.npz")
        self._opened = False
        return why

    def left(self) -> float | None:
        """The seconds left at the speed of the latest frames; None before there are any."""
        recent = self._took[-RECENT:]
        return sum(recent) / len(recent) * (self.frames - len(self._finished())) if recent else None

    def __enter__(self) -> FilmRun:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Say how an unfinished film ended, and unlock the directory."""
        states: dict[Any, str] = {KeyboardInterrupt: "interrupted", Pause: "paused"}
        with self._locks:
            if self._opened:
                with signals.ignored(), suppress(*([OSError] if isinstance(error, OSError) else [])):
                    self._describe({"state": states.get(kind, f"failed: {error}")})

    def _finished(self) -> list[int]:
        return [number for number in range(1, self.frames + 1) if self._frame(number).exists()]

    @property
    def _reach(self) -> int:
        return int(self._record["film"]["back"][-1])

    def _painted(self, number: int) -> Picture:
        if number in self._latest:
            return self._latest[number]
        return pictures.read(self._frame(number), files.READ_LIMIT)

    def _frame(self, number: int) -> Path:
        return self.path / f"frame-{number:05}.png"

    def _logged(self) -> list[list[str]]:
        """The rows of losses.csv; none if it is missing or damaged."""
        with suppress(OSError, ValueError, IndexError):
            header, *rows = csv.reader(files.read_text(self.path / "losses.csv").splitlines())
            if header[: len(COLUMNS)] == list(COLUMNS) and all([float(cell) for cell in row] for row in rows):
                return [header, *(row for row in rows if len(row) == len(header))]
        return []

    def _describe(self, outcome: dict[str, Any]) -> None:
        self._record |= {"outcome": outcome}
        self._directory.describe(self._record)
        self._show()

    def _show(self) -> None:
        finished = self._finished()
        names = [Path(source["path"]).name for source in (self._record["content"], *self._record["styles"])]
        film = {
            "names": names,
            "outcome": self._record["outcome"],
            "size": f"{self._record['width']} x {self._record['height']}",
            "film": self._record["film"],
            "settings": self._record["settings"],
            # From the first on, and others that are painted beside them.
            "painted": sum(number == place for place, number in enumerate(finished, 1)),
            "finished": len(finished),
            "left": self.left(),
            "whole": (self.path / "film.mp4").exists(),
            "written": time.time(),
        }
        page.update_gallery(self.path.parent)  # first, as the page has a link to it
        self._directory.put("index.html", page.of_film(self.path, film))
