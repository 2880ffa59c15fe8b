"""Shots: those of a film are painted side by side, by processes of this machine or by a cluster."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nst_graph.batch import cluster, processes
from nst_graph.errors import InputError
from nst_graph.films import filming
from nst_graph.films.clips import Clip
from nst_graph.films.film_run import Frame
from nst_graph.films.filming import Keep, Numbered, Shot
from nst_graph.pictures import Picture
from nst_graph.scenes import Say

#: Frames that a worker of a cluster paints before it sends them back.
INTERVAL = 5


def share(
    shots: Sequence[Shot], clip: Clip, keep: Keep, say: Say, scheduler: str | None = None, workers: int = 1
) -> list[str]:
    """Paint shots on dask's cluster at `scheduler`, or by so many processes; returns a line for each failure.

    Frames are kept here as they come. Raises InputError if dask is needed and missing, or no cluster is there.
    """
    if scheduler is None:
        return processes.share([_Here(shot, clip, keep) for shot in shots], workers, say)
    return cluster.share([_There(shot, clip, keep) for shot in shots], scheduler, say)


class _Here:
    """A shot as a task of processes: each reads the clip, and sends one frame after the other."""

    def __init__(self, shot: Shot, clip: Clip, keep: Keep) -> None:
        self._shot, self._clip, self._keep = shot, clip, keep
        self.name = f"shot {shot.place}"

    def work(self) -> Callable[[processes.Send], object]:
        return functools.partial(_paint_on, self._shot, self._clip)

    def receive(self, frame: Frame) -> None:
        self._keep(frame)
        self._shot = _after(self._shot, frame)


def _paint_on(shot: Shot, clip: Clip, send: processes.Send) -> None:
    """Paint what is left of a shot."""
    filming.paint_shot(shot, _numbered(shot, clip), lambda frame: send(_news(frame), frame.number, frame))


class _There:
    """A shot as a task of a cluster: it is sent the frames of an interval, and sends them back painted."""

    def __init__(self, shot: Shot, clip: Clip, keep: Keep) -> None:
        self._shot, self._keep = shot, keep
        self._frames, self._taken = _numbered(shot, clip), dict[int, Picture]()
        self.name = f"shot {shot.place}"

    def inputs(self) -> list[Path]:
        sources = self._shot.sources
        return [*sources.styles, *sources.masks, sources.weights]

    def order(self, names: Sequence[str]) -> tuple[Any, ...]:
        return _interval, self._shot, names, self._photographs()

    def _photographs(self) -> list[Numbered]:
        """The frames of the next interval; before them, if they are finished, the shot's first and those in reach."""
        first, begin = self._shot.frames.start, self._shot.progress.number
        end, reach = min(begin + INTERVAL, self._shot.frames.stop), self._shot.progress.reach
        while max(self._taken, default=0) + 1 < end:
            number, photograph = next(self._frames)
            self._taken = {kept: self._taken[kept] for kept in self._taken if kept == first or kept >= begin - reach}
            self._taken[number] = _packed(photograph)
        return list(self._taken.items())

    def receive(self, frames: Sequence[Frame]) -> str | None:
        for frame in frames:
            self._keep(frame)
            self._shot = _after(self._shot, frame)
        if self._shot.progress.number in self._shot.frames:
            return _news(frames[-1])
        self._frames, self._taken = iter(()), {}  # which closes the clip
        return None


def _interval(store: Path, shot: Shot, names: Sequence[str], photographs: Sequence[Numbered]) -> list[Frame]:
    """On a worker that has the inputs in `store`: paint the frames of an interval."""
    *pictures, weights = (store / name for name in names)
    styles = len(shot.sources.styles)
    sources = replace(shot.sources, styles=tuple(pictures[:styles]), masks=tuple(pictures[styles:]), weights=weights)
    made: list[Frame] = []
    frames = ((number, photograph.astype(np.float32)) for number, photograph in photographs)
    filming.paint_shot(replace(shot, sources=sources), frames, made.append)
    return made


def _after(shot: Shot, frame: Frame) -> Shot:
    return replace(shot, progress=shot.progress.after(frame))


def _news(frame: Frame) -> str:
    return f"frame {frame.number}, loss {frame.step.total:.4g}"


def _numbered(shot: Shot, clip: Clip) -> Iterator[Numbered]:
    """The frames of a shot. Raises InputError if one is no longer there."""
    numbered = itertools.islice(enumerate(clip.frames(), 1), shot.frames.start - 1, None)
    for number in shot.frames:
        numbered_frame = next(numbered, None)
        if numbered_frame is None:
            raise InputError(f"{clip.path}: frame {number} can no longer be read; put it back")
        yield numbered_frame


def _packed(photograph: Picture) -> Any:
    """A frame in a byte a colour, if that says it all."""
    packed = photograph.astype(np.uint8)
    return packed if (packed == photograph).all() else photograph
