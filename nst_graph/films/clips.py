"""Clips: moving pictures in a file, or a directory of frames; which of them are painted, and when they are shown."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nst_graph import files, images
from nst_graph.errors import InputError
from nst_graph.films import media
from nst_graph.films.media import RATE, Say, Span, Timed
from nst_graph.images import Picture
from nst_graph.news import count

#: Bins a channel of the histograms that tell a cut, and the share that two frames of a shot have in common at least.
BINS, COMMON = 8, 0.8
#: The rows and columns that are counted there, at least.
COUNTED = 64
#: Sound stays with its picture where `--fps` moves no frame by more seconds, and frames are evenly timed where they
#: differ by no more than EVEN.
APART, EVEN = Fraction(1, 25), Fraction(1, 500)
#: Frames a second, at most.
FASTEST = 1000


class Shown(NamedTuple):
    """A frame of the film: its picture, and the clip's frames and seconds from and up to which it is shown."""

    picture: Picture
    first: int
    begin: Fraction
    stop: int
    end: Fraction


@dataclass(frozen=True)
class Outline:
    """What a clip was read through for: the lengths of its shots, and the seconds at which each frame begins.

    The last of `times` is the end. `sound` is the part of the clip's, in seconds, that goes with the film; None if
    the film runs at another speed.
    """

    shots: Sequence[int]
    times: Sequence[Fraction]
    sound: Span | None

    @property
    def seconds(self) -> float:
        return float(self.times[-1])

    def __str__(self) -> str:
        frames = count(sum(self.shots), "frame")
        spans = [end - begin for begin, end in itertools.pairwise(self.times)]
        even = max(spans) - min(spans) <= EVEN
        rate = f", {len(spans) / self.seconds:.4g} a second" if even else f" in {self.seconds:.3g} s"
        return f"{frames}{rate}, in {count(len(self.shots), 'shot')}"


@dataclass(frozen=True)
class Clip:
    """A clip's frames from `start` up to `stop`, counted from 0, one of `every`.

    `rate` is how many of the file's frames are shown a second; None for the times that it has itself.
    """

    path: Path
    rate: Fraction | None
    start: int = 0
    stop: int | None = None
    every: int = 1
    #: Memory that reading a frame may take, in GB.
    read_limit: float = 1.0

    def __post_init__(self) -> None:
        if self.start < 0 or (self.stop is not None and self.stop <= self.start):
            stop = "" if self.stop is None else self.stop
            remedy = "write the first frame and the one after the last, such as 10:60"
            raise InputError(f"--frames {self.start}:{stop}: {remedy}")
        if self.every < 1:
            raise InputError(f"--every {self.every}: give a whole number of 1 or more")
        if self.rate is not None and not self.rate > 0:
            raise InputError(f"--fps {self.rate}: give a number above 0")

    @classmethod
    def named(
        cls, path: Path, picked: tuple[int, int | None, int], rate: float | None = None, read_limit: float = 1.0
    ) -> Clip:
        """The clip of a file or a directory, which has RATE frames a second unless others are named.

        Raises InputError.
        """
        if not path.exists():
            raise InputError(f"{path}: no such clip; name a film, or a directory of frames")
        if rate is not None and not 0 < rate <= FASTEST:
            raise InputError(f"--fps {rate}: give a number above 0, and at most {FASTEST}")
        if not path.is_dir():
            media.check(path)
        elif rate is None:
            rate = RATE
        return cls(path, None if rate is None else Fraction(rate).limit_denominator(1001), *picked, read_limit)

    def facts(self) -> dict[str, Any]:
        """What a film's record says of it."""
        rate = None if self.rate is None else str(self.rate)
        return {"start": self.start, "stop": self.stop, "every": self.every, "rate": rate}

    def frames(self, say: Say = lambda line: None) -> Iterator[Picture]:
        """The frames, one after the other. Raises InputError where one cannot be read, or is not like the first.

        `say` is told where a film is damaged, and may end too early.
        """
        return (shown.picture for shown in self._shown(say))

    def _shown(self, say: Say) -> Iterator[Shown]:
        """The frames that are painted: of a file not those that only repeat the one before."""
        timed = self._pictures() if self.path.is_dir() else media.frames(self.path, say)
        shown = None
        for number, frame in enumerate(itertools.islice(timed, self.start, self.stop), self.start):
            if (number - self.start) % self.every == 0:
                picture = frame.read()
                if shown is not None and picture.shape != shown.picture.shape:
                    here, first = (f"{width} x {height}" for height, width, _ in (picture.shape, shown.picture.shape))
                    raise InputError(f"{self.path}: frame {number} has {here} pixels, not {first}; make them alike")
                if shown is None or self.path.is_dir() or not np.array_equal(picture, shown.picture):
                    if shown is not None:
                        yield shown
                    shown = Shown(picture, number, frame.begin, number, frame.end)
            assert shown is not None
            shown = shown._replace(stop=number + 1, end=frame.end)
        if shown is not None:
            yield shown

    def _pictures(self) -> Iterator[Timed]:
        """Those of a directory, by the numbers in their names: 2 before 10."""
        for number, file in enumerate(sorted(files.pictures_in(self.path), key=_natural)):
            yield Timed(partial(images.read, file, self.read_limit), Fraction(number), Fraction(number + 1))

    def outline(self, say: Say) -> Outline:
        """Read the clip once, to see its shots and times. Raises InputError if there are no frames.

        A cut is where two frames' histograms of RGB, 8 bins a channel, have less than 80 % in common
        (Swain and Ballard 1991: the sum of the lesser shares of all bins).
        """
        lengths, moments = list[int](), list[tuple[int, Fraction]]()
        previous = end = None
        for shown in self._shown(say):
            histogram = _histogram(shown.picture)
            if previous is None or float(np.minimum(histogram, previous).sum()) < COMMON:
                lengths.append(0)
            lengths[-1] += 1
            previous, end = histogram, (shown.stop, shown.end)
            moments.append((shown.first, shown.begin))
        if end is None:
            remedy = "choose others by --frames" if self.start or self.stop is not None else "name another clip"
            raise InputError(f"{self.path}: no frames there; {remedy}")
        (first, begin), *_ = moments = [*moments, end]
        own = [time - begin for _, time in moments]
        times = own if self.rate is None else [(number - first) / self.rate for number, _ in moments]
        apart = max(abs(one - other) for one, other in zip(own, times, strict=True))
        return Outline(lengths, times, None if apart > APART else (begin, end[1]))


def _natural(file: Path) -> tuple[list[str | int], str]:
    parts = re.split("([0-9]+)", file.name)
    return [int(part) if index % 2 else part.casefold() for index, part in enumerate(parts)], file.name


def _histogram(frame: Picture) -> npt.NDArray[np.float64]:
    step = max(1, min(frame.shape[:2]) // COUNTED)
    bins = images.to_bytes(frame[::step, ::step]) // (256 // BINS)
    counts = np.bincount(np.ravel_multi_index(tuple(bins.reshape(-1, 3).T), (BINS,) * 3), minlength=BINS**3)
    shares: npt.NDArray[np.float64] = counts / counts.sum()
    return shares
