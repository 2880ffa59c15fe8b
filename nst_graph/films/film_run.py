"""A FilmRun: a film's directory, where each painted frame is a finished file, and a killed film goes on."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nst_graph import files, images
from nst_graph.films import check_record, media
from nst_graph.films.clips import Clip, Outline
from nst_graph.images import Picture
from nst_graph.optimise import Step
from nst_graph.runs import losses, page, records
from nst_graph.runs.directory import writing
from nst_graph.runs.run import BaseRun
from nst_graph.stages import InputFiles

#: The first columns of losses.csv, which has a row a frame; `beside` are the seconds beside the optimiser's.
COLUMNS = ("frame", "iterations", "evaluations", "seconds", "beside")


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

    def after(self, frame: Frame) -> "ShotProgress":
        """The same once that frame is finished."""
        total = frame.step.total if self.total is None else self.total
        painted = (*self.painted, frame.step.picture.astype(np.float32))[-self.reach :]
        return ShotProgress(frame.number + 1, total, painted, self.reach)


class FilmRun(BaseRun):
    """The frames of a film in a directory, with run.json, losses.csv, index.html, and at the end film.mp4.

    A painted frame, frame-00001.png, is there whole or not at all, and is not painted again. Until the film is
    finished state.npz has the last ones as they were painted: as a Step whose iteration is the number of the frame.
    """

    def __init__(self, path: Path, overwrite: bool = False, resume: bool = False) -> None:
        if resume:
            check_record(path, records.read(path))
        super().__init__(path, None, overwrite, resume)
        self._rows = losses.read(path, COLUMNS) if resume else {}
        #: The last frames as they were painted, by number.
        self._latest = dict[int, Picture]()
        if (step := self.resume_from) is not None:
            memory = step.optimizer_state()
            self._latest = {int(name): memory[name].astype(np.float32) for name in memory if name.isdecimal()}
            self._latest[step.iteration] = step.picture.astype(np.float32)

    def open(self, record: dict[str, Any], sources: InputFiles) -> None:
        """Begin the film, or go on with it. Raises InputError if it was begun with other sources or settings."""
        with writing(self.path):
            self._begin(record, sources)
        self._is_open = True

    def progress(self, shot: range) -> ShotProgress:
        """How far the shot of these frames is painted."""
        first = next((number for number in shot if not self._frame(number).exists()), shot.stop)
        total = next((self._rows[number]["total"] for number in range(shot.start, first) if number in self._rows), None)
        painted = []
        for number in range(max(shot.start, first - self._reach), first) if first < shot.stop else ():
            exact = self._latest.get(number)
            painted.append(images.read(self._frame(number), files.READ_LIMIT) if exact is None else exact)
        return ShotProgress(first, total, tuple(painted), self._reach)

    def add(self, frame: Frame) -> None:
        """Add a frame, and its row to losses.csv; its file comes last, as with it the frame is finished."""
        number, step = frame.number, frame.step
        kept = range(number - self._reach, number)  # from which the frame is painted again, if it must be
        memory = {str(other): picture for other, picture in self._latest.items() if other in kept}
        self._latest = {int(name): picture for name, picture in memory.items()} | {number: step.picture.astype("f4")}
        self._save_state(replace(step, iteration=number, iteration_offset=0, optimizer_state=lambda: memory))
        counts = {"frame": number, "iterations": step.iteration, "evaluations": step.evaluations}
        seconds = {"seconds": step.seconds, "beside": frame.beside}
        self._rows[number] = {**counts, **seconds, **step.terms, "total": step.total}
        self._directory.put("losses.csv", losses.to_csv(self._rows))
        self._directory.put(self._frame(number).name, frame.png)
        self._show()

    def finish(self, clip: Clip, outline: Outline) -> str | None:
        """Write film.mp4, and remove the state; why the film is silent, if the clip is not."""
        paths = [self._frame(number) for number in range(1, self._record["film"]["frames"] + 1)]
        unfinished = self.path / ".film.unfinished.mp4"
        try:
            why = media.write(paths, outline.times, clip.path, outline.sound, unfinished)
            self._directory.put("film.mp4", unfinished.read_bytes())
        finally:
            unfinished.unlink(missing_ok=True)
        self._stop("finished")
        self._is_open = False
        self._directory.remove(r"state\.npz")
        return why

    @property
    def _reach(self) -> int:
        return int(self._record["film"]["back"][-1])

    def _stop(self, reason: str) -> None:
        self._describe({"state": reason})

    def _describe(self, outcome: dict[str, Any]) -> None:
        super()._describe(outcome)
        self._show()

    def _show(self) -> None:
        page.update_gallery(self.path.parent)  # first, as the page has a link to it
        self._directory.put("index.html", page.of_film(self.path))

    def _frame(self, number: int) -> Path:
        return self.path / f"frame-{number:05}.png"
