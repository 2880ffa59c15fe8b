"""Filming: from a clip and settings to a film, frame by frame. What scripts/paint_video.py does, as one function."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from nst_graph import machine, painting, pictures, scenes
from nst_graph.errors import InputError
from nst_graph.films import flow
from nst_graph.films.clips import Clip
from nst_graph.films.film import Film, check_packages
from nst_graph.films.film_run import FilmRun, Frame, ShotProgress
from nst_graph.graph.objective import Objective, TargetExtractor, TemporalTarget
from nst_graph.graph.tiles import TiledObjective
from nst_graph.optimise import Step, Vectors, minimise
from nst_graph.optimise.steps import OffsetObserver
from nst_graph.painting import Part
from nst_graph.pictures import Picture
from nst_graph.plans import available_memory
from nst_graph.runs import records, run
from nst_graph.scenes import Originals, Say, Sources
from nst_graph.settings import Settings
from nst_graph.weights import Network

Observer = Callable[[Step], None]
#: An objective, and the vectors of the graph's L-BFGS where that minimises it.
Minimised = tuple[Objective | TiledObjective, Vectors | None]
Keep = Callable[[Frame], object]
#: The number of a frame, from 1, and the frame.
Numbered = tuple[int, Picture]


@dataclass(frozen=True)
class Shot:
    """A shot to be painted, wherever: the numbers of its frames, how far it is, and what paints them."""

    place: int
    frames: range
    progress: ShotProgress
    sources: Sources
    settings: Settings
    film: Film
    #: What was decided for each stage when the film began, and how many shots are painted at a time.
    stages: Sequence[dict[str, Any]]
    side_by_side: int


#: Paints shots elsewhere, given the clip and what adds a frame to the film; returns a line for each failure.
Share = Callable[[Sequence[Shot], Clip, Keep, Say], list[str]]


def paint_film(
    clip: Clip,
    styles: Sequence[Path],
    settings: Settings,
    film: Film,
    output: Path,
    *,
    weights_file: Path | None = None,
    masks: Sequence[Path] = (),
    overwrite: bool = False,
    resume: bool = False,
    side_by_side: int = 1,
    say: Say = lambda line: None,
    observers: Iterable[Observer] = (),
    share: Share | None = None,
) -> Path:
    """Paint the frames of a clip in the style of one or several pictures; returns the path of the mp4.

    Each frame is held to the one before, as Ruder, Dosovitskiy and Brox 2016 (arXiv 1604.08610) do; after a cut
    a shot begins anew. `observers` get every Step of every frame, counted over the whole film; none where `share`
    paints the shots. Raises what nst_graph.paint raises; `resume` goes on with an unfinished film.
    """
    check_packages()
    sources = Sources.named(clip.path, styles, masks, settings, weights_file, clip.read_limit, say)
    with FilmRun(output, overwrite, resume) as film_run:
        outline = clip.outline(say)
        lengths = outline.shots
        how = film, film_run.stages, side_by_side
        studio = _Studio.opened(sources, settings, *how, next(clip.frames()), say)
        parts = studio.parts(studio.originals, say)
        stages, scene = painting.described(parts), parts[-1].scene
        del parts
        record = run.describe(sources, studio.network.name, settings, scene, stages)
        studio = replace(studio, stages=stages)
        counts = {"shots": lengths, "frames": sum(lengths), "seconds": outline.seconds}
        film_run.open(record | {"film": clip.facts() | asdict(film) | counts}, sources)
        height, width = scene.shape[:2]
        del scene
        say(f"{studio.network.name} paints {width} x {height} pixels: {outline}")
        ends = list(itertools.accumulate(lengths, initial=1))
        shots = list(itertools.starmap(range, itertools.pairwise(ends)))
        if share is None:
            studio.paint(clip, shots, film_run, observers, say)
        else:
            del studio
            _share(share, clip, shots, film_run, (sources, settings, film, stages, side_by_side), say)
        if why := film_run.finish(clip, outline):
            say(f"{clip.path}: {why}; the film is silent")
    return output / "film.mp4"


def paint_shot(shot: Shot, frames: Iterator[Numbered], keep: Keep) -> None:
    """Paint the frames of a shot that are not finished.

    Of those before, `frames` has the shot's first, from which styles and sizes are made, and those from the one
    furthest `back` on.
    """
    first = next(frames)
    how = shot.film, shot.stages, shot.side_by_side
    studio = _Studio.opened(shot.sources, shot.settings, *how, first[1], lambda line: None)
    studio.shoot(itertools.chain([first], frames), shot.progress, keep)


def _share(share: Share, clip: Clip, shots: Sequence[range], film_run: FilmRun, how: Any, say: Say) -> None:
    """Let others paint what is not finished. Raises InputError, once all is done, where shots failed."""
    places = [(place, frames, film_run.progress(frames)) for place, frames in enumerate(shots, 1)]
    unfinished = [Shot(*place, *how) for place in places if place[2].number in place[1]]
    if failures := share(unfinished, clip, film_run.add, say):
        raise InputError(f"{'; '.join(failures)}; other frames are kept, --resume {film_run.path} goes on")


@dataclass(frozen=True)
class _Studio:
    """What all shots have in common: the pictures, the network, and how it paints."""

    originals: Originals
    network: Network
    settings: Settings
    film: Film
    stages: Sequence[dict[str, Any]]
    side_by_side: int

    @classmethod
    def opened(
        cls,
        sources: Sources,
        settings: Settings,
        film: Film,
        stages: Sequence[dict[str, Any]],
        side_by_side: int,
        photograph: Picture,
        say: Say,
    ) -> _Studio:
        """Raises InputError if a file cannot be read."""
        originals = scenes.read(sources, settings, say, say, photograph)
        return cls(originals, painting.network_of(sources, say), settings, film, stages, side_by_side)

    def parts(self, originals: Originals, say: Say) -> list[Part]:
        """The stages of a shot with this first frame."""
        memory = available_memory(self.side_by_side)
        return painting.parts_of(originals, self.used, self.settings, say, self.stages, memory)

    @cached_property
    def used(self) -> Network:
        """The network up to the last layer in use."""
        return self.network.upto(self.settings.layers)

    def paint(
        self, clip: Clip, shots: Sequence[range], film_run: FilmRun, observers: Iterable[Observer], say: Say
    ) -> None:
        """Paint one shot after the other, but what is finished."""
        places = [place for shot in shots for place in range(len(shot))]
        progress = _Progress(observers, [self.film.planned(self.settings, place) for place in places])
        numbered = enumerate(clip.frames(), 1)
        for shot in shots:
            frames = itertools.islice(numbered, len(shot))
            reached = film_run.progress(shot)
            if reached.number in shot:
                self.shoot(frames, reached, film_run.add, progress.of_frame, say)
            deque(frames, maxlen=0)  # a finished shot is gone past

    def shoot(
        self,
        frames: Iterator[Numbered],
        progress: ShotProgress,
        keep: Keep,
        observer: Callable[[int], Observer] = lambda number: lambda step: None,
        say: Say = lambda line: None,
    ) -> None:
        """Paint the frames of one shot that are not finished yet."""
        seen, texts = time.monotonic(), records.texts(self.settings, self.network.name)
        first = next(frames)
        parts = self.parts(
            replace(self.originals, photograph=first[1]), lambda line: None
        )  # which was said of the film
        with contextlib.closing(_Shot(parts, self.used, self.settings, self.film, say)) as shot:
            before: deque[Picture] = deque(maxlen=progress.reach)
            for number, frame_of_clip in itertools.chain([first], frames):
                photograph = shot.fit(frame_of_clip)
                if number >= progress.number:
                    with painting.memory_errors():
                        step = shot.paint(photograph, shot.guide(photograph, before, progress), observer(number))
                    picture = shot.part(photograph).scene.finish(step.picture.astype(np.float32), self.settings)
                    png = pictures.to_png(picture, self.settings.depth, texts)
                    now = time.monotonic()
                    frame = Frame(number, step, max(0.0, now - seen - step.seconds), png)
                    seen, progress = now, progress.after(frame)
                    keep(frame)
                before.append(photograph)


class _Shot:
    """The frames from one cut to the next. The graph and the styles' targets are made once, for the first to paint."""

    def __init__(self, parts: list[Part], network: Network, settings: Settings, film: Film, say: Say) -> None:
        self.settings, self.film, self._network, self._say = settings, film, network, say
        self.parts = parts
        self._targets = TargetExtractor(network, settings)

    @cached_property
    def _objective(self) -> Minimised:
        last = self.parts[-1]
        return painting.objective_of(self._network, last, self._targets, self.film.steadiness > 0)

    @cached_property
    def _coarser(self) -> int | None:
        """The last stage at a size below the film's."""
        last = self.parts[-1].scene.shape
        return max((index for index, part in enumerate(self.parts) if part.scene.shape != last), default=None)

    @cached_property
    def _coarse_objective(self) -> Minimised:
        assert self._coarser is not None
        part = self.parts[self._coarser]
        return painting.objective_of(self._network, part, self._targets)

    def close(self) -> None:
        """Give the memory back."""
        self._targets.close()
        for made in ("_objective", "_coarse_objective"):
            if made in self.__dict__:
                getattr(self, made)[0].close()
        machine.release_memory()

    def fit(self, frame: Picture) -> Picture:
        """A frame in the size of the film."""
        height, width = self.parts[-1].scene.shape[:2]
        return pictures.resize(frame, height, width, self.settings.resample)

    def part(self, frame: Picture, index: int = -1) -> Part:
        """A stage of painting this frame, which is in the size of the film."""
        part = self.parts[index]
        height, width = part.scene.shape[:2]
        photograph = pictures.resize(frame, height, width, self.settings.resample)
        return part.with_photograph(photograph)

    def guide(self, frame: Picture, before: Sequence[Picture], progress: ShotProgress) -> TemporalTarget | None:
        """What a frame is held to, given those before; None for the first one, and for all that are alone."""
        pairs = list(zip(reversed(before), reversed(progress.painted), strict=False))
        if not pairs or progress.total is None or self.film.alone:
            return None
        held = [pairs[back - 1] for back in self.film.back if back <= len(pairs)]
        return flow.guide(frame, held, self.film.weight(progress.total))

    def paint(self, frame: Picture, guide: TemporalTarget | None, observe: Observer) -> Step:
        """Paint a frame: from the guide's picture, to which it is held where that can be trusted; or as a first one."""
        parts = [self.part(frame, index) for index in range(len(self.parts))]
        *coarse, last = parts
        iterations, before = last.stage.iterations, None
        if guide is not None:
            iterations = self.film.iterations
            start, before = self._moved(parts, guide, observe)
        elif coarse:
            start = coarse[0].start(self._network)
            with contextlib.ExitStack() as objectives:
                how = None, self.settings, [observe], self._say, objectives
                before = painting.paint_parts(self._network, coarse, start, *how).step
            start, _ = painting.carry(before, coarse[-1].scene.photograph, last.scene.photograph, self.settings)
        else:
            start = last.start(self._network)
        self._objective[0].turn_to(last.scene.photograph, guide)
        return self._minimise(self._objective, last, start, iterations, OffsetObserver([observe], len(coarse), before))

    def _moved(self, parts: Sequence[Part], guide: TemporalTarget, observe: Observer) -> tuple[Picture, Step | None]:
        """The guide's picture; where it cannot be trusted, what the scale below paints of the photograph.

        White noise would not become a painting in a few iterations, nor does the photograph at the film's size.
        """
        if self._coarser is None or guide.flow_consistency.all():
            return guide.picture, None
        part, photograph = parts[self._coarser], parts[-1].scene.photograph
        small = part.scene.photograph
        height, width = small.shape[:2]
        start = pictures.resize(flow.filled(guide, photograph), height, width, self.settings.resample)
        self._coarse_objective[0].turn_to(small)
        offset = OffsetObserver([observe], self._coarser, None)
        step = self._minimise(self._coarse_objective, part, start, part.stage.iterations, offset)
        anew, _ = painting.carry(step, small, photograph, self.settings)
        return flow.filled(guide, anew), step

    @staticmethod
    def _minimise(minimised: Minimised, part: Part, start: Picture, iterations: int, offset: OffsetObserver) -> Step:
        """Paint at one size. The step can be sent elsewhere."""
        objective, vectors = minimised
        settings = replace(part.fitted, iterations=iterations)
        step = offset.counted(minimise(objective, start, settings, offset.observe, vectors=vectors).step)
        return replace(step, read=partial(np.asarray, step.picture), memory=dict)


class _Progress:
    """Counts the steps of frames over the whole film, of which so many iterations are planned a frame."""

    def __init__(self, observers: Iterable[Observer], planned: Sequence[int]) -> None:
        self._observers, self._planned, self._seconds = list(observers), planned, 0.0

    def of_frame(self, number: int) -> Observer:
        """An observer of a frame's steps."""
        before, gone = sum(self._planned[: number - 1]), self._seconds

        def observe(step: Step) -> None:
            self._seconds = gone + step.seconds
            counts: dict[str, Any] = {"iteration": before + step.iteration, "planned": sum(self._planned)}
            counts["left"] = 1 - counts["iteration"] / max(1, counts["planned"])
            for observer in self._observers:
                observer(replace(step, seconds=self._seconds, **counts))

        return observe
