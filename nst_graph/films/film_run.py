"""A FilmRun: a film's directory, where each painted frame is a finished file, and a killed film goes on."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nst_graph import images
from nst_graph.films import check_record, media
from nst_graph.films.clips import Clip, Outline
from nst_graph.images import Picture
from nst_graph.optimise import Step
from nst_graph.runs import losses, records
from nst_graph.runs.run import BaseRun


@dataclass(frozen=True)
class Frame:
    """A painted frame, counted from 1: the step it ended with, the seconds beside the optimiser's, and its file."""

    number: int
    step: Step
    beside: float
    png: bytes


@dataclass(frozen=True)
class Shot:
    """A shot to be painted: the numbers of its frames, and how far it is."""

    place: int
    frames: range
    #: The first frame that is not finished.
    number: int
    #: The loss that the first frame of the shot ended with; None where there is none, or losses.csv does not say it.
    total: float | None
    #: The last frames before, at most `reach`, as they were painted; unless the last is that of the film, as their
    #: files have them.
    painted: tuple[Picture, ...]
    reach: int

    @property
    def is_finished(self) -> bool:
        return self.number not in self.frames

    def after(self, frame: Frame) -> "Shot":
        """The same once that frame is finished."""
        total = frame.step.total if self.total is None else self.total
        painted = (*self.painted, frame.step.picture.astype(np.float32))[-self.reach :]
        return replace(self, number=frame.number + 1, total=total, painted=painted)


class FilmRun(BaseRun):
    """The frames of a film in a directory, with run.json, losses.csv, index.html, and at the end film.mp4.

    A painted frame, frame-00001.png, is there whole or not at all, and is not painted again. Until the film is
    finished state.npz has the last ones as they were painted: as a Step whose iteration is the number of the frame.
    """

    def __init__(self, path: Path, overwrite: bool = False, resume: bool = False) -> None:
        if resume:
            check_record(path, records.read(path))
        super().__init__(path, None, overwrite, resume)
        self._rows = losses.read(path, losses.FILM_COUNTS) if resume else {}
        #: The last frames as they were painted, by number.
        self._latest = dict[int, Picture]()
        if (step := self.resume_from) is not None:
            memory = step.optimizer_state()
            self._latest = {int(name): memory[name].astype(np.float32) for name in memory if name.isdecimal()}
            self._latest[step.iteration] = step.picture.astype(np.float32)

    def shot(self, place: int, frames: range) -> Shot:
        """The shot of these frames, as far as it is painted."""
        number = next((number for number in frames if not self._frame(number).exists()), frames.stop)
        total = next((self._rows[one]["total"] for one in range(frames.start, number) if one in self._rows), None)
        painted = []
        for other in range(max(frames.start, number - self._reach), number) if number < frames.stop else ():
            exact = self._latest.get(other)
            painted.append(images.read(self._frame(other)) if exact is None else exact)
        return Shot(place, frames, number, total, tuple(painted), self._reach)

    def add(self, frame: Frame) -> None:
        """Add a frame, and its row to losses.csv; its file comes last, as with it the frame is finished."""
        number, step = frame.number, frame.step
        # From those in reach the frame is painted again, if it must be.
        kept = {other: self._latest[other] for other in range(number - self._reach, number) if other in self._latest}
        memory = {str(other): picture for other, picture in kept.items()}
        self._save_state(replace(step, iteration=number, iteration_offset=0, optimizer_state=lambda: memory))
        self._latest = kept | {number: step.picture.astype(np.float32)}
        counts = {"frame": number, "iterations": step.iteration, "evaluations": step.evaluations}
        seconds = {"seconds": step.seconds, "beside": frame.beside}
        self._rows[number] = {**counts, **seconds, **step.terms, "total": step.total}
        self._directory.put("losses.csv", losses.to_csv(self._rows))
        self._directory.put(self._frame(number).name, frame.png)
        self._publish()

    def finish(self, clip: Clip, outline: Outline) -> str | None:
        """Write film.mp4, and remove the state; why the film is silent, if the clip is not."""
        paths = [self._frame(number) for number in range(1, self._record["film"]["frames"] + 1)]
        unfinished = self.path / ".film.unfinished.mp4"
        try:
            why = media.write(paths, outline.times, clip.path, outline.sound, unfinished)
            self._directory.put("film.mp4", unfinished.read_bytes())
        finally:
            unfinished.unlink(missing_ok=True)
        self._end({"state": "finished"})
        return why

    @property
    def _reach(self) -> int:
        return int(self._record["film"]["back"][-1])

    def _frame(self, number: int) -> Path:
        return self.path / f"frame-{number:05}.png"
