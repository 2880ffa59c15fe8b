"""Filming: from a clip and settings to a film, frame by frame. What scripts/paint_video.py does, as one function."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nst_graph import images, machine, painting
from nst_graph.errors import InputError, OptionError
from nst_graph.films import Film, check_packages, flow
from nst_graph.films.clips import Clip
from nst_graph.films.film_run import FilmRun, Frame, Shot
from nst_graph.images import Picture
from nst_graph.model.objective import Objective, TargetExtractor, TemporalTarget
from nst_graph.optimise import Step, Vectors, minimise
from nst_graph.optimise.steps import OffsetObserver
from nst_graph.runs import records
from nst_graph.settings import Settings
from nst_graph.stages import InputFiles, InputImages, PreparedStage, Say, prepare_stages

Observer = Callable[[Step], None]
Keep = Callable[[Frame], object]
#: The number of a frame, from 1, and the frame.
Numbered = tuple[int, Picture]
#: Frames that a worker of a cluster paints before it sends them back.
INTERVAL = 5


def paint_film(
    clip: Clip,
    styles: Sequence[Path],
    settings: Settings,
    film: Film,
    output: Path,
    *,
    weights_file: Path | None = None,
    masks: Sequence[Path] = (),
    style_masks: Sequence[Path] = (),
    overwrite: bool = False,
    resume: bool = False,
    side_by_side: int = 1,
    say: Say = lambda line: None,
    observers: Iterable[Observer] = (),
    share: Callable[[Sequence[ShotTask]], list[str]] | None = None,
) -> Path:
    """Paint the frames of a clip in the style of one or several pictures; returns the path of the mp4.

    Each frame is held to the one before, as Ruder, Dosovitskiy and Brox 2016 (arXiv 1604.08610) do; after a cut
    a shot begins anew. `observers` get every Step of every frame, counted over the whole film; none where `share`
    paints the shots elsewhere, and returns a line for each failure. Raises what nst_graph.paint raises; `resume` goes
    on with an unfinished film.
    """
    check_packages()
    if settings.style_detail is not None:
        raise OptionError("style_detail", settings.style_detail, "films have none; name a run's detail-1.png as STYLE")
    sources = InputFiles.named(clip.path, styles, masks, style_masks, settings, weights_file, clip.read_limit, say)
    with FilmRun(output, overwrite, resume) as film_run:
        outline = clip.outline(say)
        plan, first = FilmPlan(clip, sources, settings, film, film_run.stages, side_by_side), next(clip.frames())
        stages = (studio := _Studio(plan, first, say)).stages(first, say)
        counts = {"shots": outline.shots, "frames": sum(outline.shots), "seconds": outline.seconds}
        film_run.open(sources, studio.name, settings, stages, film=clip.facts() | asdict(film) | counts)
        plan = studio.plan = replace(plan, stages=[stage.record() for stage in stages])
        say(f"{studio.name} paints {stages[-1].shape[1]} x {stages[-1].shape[0]} pixels: {outline}")
        del stages
        ranges = itertools.starmap(range, itertools.pairwise(itertools.accumulate(outline.shots, initial=1)))
        shots = [film_run.shot(place, frames) for place, frames in enumerate(ranges, 1)]
        if share is None:
            studio.paint_all(shots, film_run.add, list(observers), say)
        else:
            del studio
            tasks = [ShotTask(plan, shot, film_run.add) for shot in shots if not shot.is_finished]
            if failures := share(tasks):
                raise InputError(f"{'; '.join(failures)}; other frames are kept, --resume {output} goes on")
        if why := film_run.finish(clip, outline):
            say(f"{clip.path}: {why}; the film is silent")
    return output / "film.mp4"


@dataclass(frozen=True)
class FilmPlan:
    """What decides a film, wherever its shots are painted."""

    clip: Clip
    sources: InputFiles
    settings: Settings
    film: Film
    #: What was decided for each stage when the film began, and how many shots are painted at a time.
    stages: Sequence[dict[str, Any]]
    side_by_side: int

    def frames(self, shot: Shot, numbered: Iterator[Numbered] | None = None) -> Iterator[Numbered]:
        """The frames of a shot, among the clip's from some on. Raises InputError if one is no longer there."""
        numbered = enumerate(self.clip.frames(), 1) if numbered is None else numbered
        for number in shot.frames:
            frame = next((frame for other, frame in numbered if other == number), None)
            if frame is None:
                raise InputError(f"{self.clip.path}: frame {number} can no longer be read; put it back")
            yield number, frame


class ShotTask:
    """A shot that is painted elsewhere, as one of batch's tasks; its frames are kept as they come."""

    def __init__(self, plan: FilmPlan, shot: Shot, keep: Keep) -> None:
        self._plan, self._shot, self._keep = plan, shot, keep
        self._photographs, self._taken = plan.frames(shot), dict[int, Any]()
        self.name = f"shot {shot.place}"

    def work(self) -> Callable[[Callable[[str, Any], None]], None]:
        return partial(_paint_rest, self._plan, self._shot)

    def inputs(self) -> list[Path]:
        sources = self._plan.sources
        return [*sources.styles, *sources.masks, *sources.style_masks, sources.weights]

    def interval(self) -> Callable[[list[Path]], tuple[str | None, list[Frame]]]:
        """Goes with the frames to paint; before them, if these are finished, the shot's first and those in reach."""
        first, begin = self._shot.frames.start, self._shot.number
        end, reach = min(begin + INTERVAL, self._shot.frames.stop), self._shot.reach
        while max(self._taken, default=0) + 1 < end:
            number, photograph = next(self._photographs)
            self._taken = {kept: self._taken[kept] for kept in self._taken if kept == first or kept >= begin - reach}
            packed = photograph.astype(np.uint8)  # a byte a colour, if that says it all
            self._taken[number] = packed if (packed == photograph).all() else photograph
        return partial(_paint_interval, self._plan, self._shot, list(self._taken.items()))

    def receive(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            self._keep(frame)
            self._shot = self._shot.after(frame)
        if self._shot.is_finished:
            self._photographs, self._taken = iter(()), {}  # which closes the clip


def _paint_rest(plan: FilmPlan, shot: Shot, send: Callable[[str, Any], None]) -> None:
    """In a process: paint what is left of a shot, and send each frame."""
    frames = plan.frames(shot)
    _, first = start = next(frames)
    studio = _Studio(plan, first, lambda line: None)
    studio.paint(shot, itertools.chain([start], frames), lambda frame: send(_news(frame), [frame]))


def _paint_interval(
    plan: FilmPlan, shot: Shot, photographs: Sequence[Numbered], inputs: list[Path]
) -> tuple[str | None, list[Frame]]:
    """On a worker: paint the frames of an interval, of which the shot's first is one if it is not before them."""
    *images, weights_file = inputs
    rest, several = iter(images), (plan.sources.styles, plan.sources.masks, plan.sources.style_masks)
    styles, masks, style_masks = (tuple(itertools.islice(rest, len(one))) for one in several)
    sources = replace(plan.sources, styles=styles, masks=masks, style_masks=style_masks, weights=weights_file)
    frames = [(number, photograph.astype(np.float32)) for number, photograph in photographs]
    painted: list[Frame] = []
    _Studio(replace(plan, sources=sources), frames[0][1], lambda line: None).paint(shot, iter(frames), painted.append)
    return None if painted[-1].number + 1 == shot.frames.stop else _news(painted[-1]), painted


def _news(frame: Frame) -> str:
    return f"frame {frame.number}, loss {frame.step.total:.4g}"


class _Studio:
    """What all shots have in common: the images, and the network."""

    def __init__(self, plan: FilmPlan, photograph: Picture, say: Say) -> None:
        """Raises InputError if a file cannot be read."""
        self.plan = plan
        self._images = InputImages.read(plan.sources, plan.settings, say, say, photograph)
        whole = painting.network_of(plan.sources, say)
        self.name, self.network = whole.name, whole.upto(plan.settings.layers, plan.settings.pool_rounding)

    def stages(self, photograph: Picture, say: Say = lambda line: None) -> list[PreparedStage]:
        """The stages of a shot with this first frame."""
        plan, inputs = self.plan, replace(self._images, photograph=photograph)
        return prepare_stages(inputs, self.network, plan.settings, say, plan.stages, plan.side_by_side)

    def paint_all(self, shots: Sequence[Shot], keep: Keep, observers: Sequence[Observer], say: Say) -> None:
        """Paint one shot after the other; observers get steps as those of the whole film."""
        settings, film = self.plan.settings, self.plan.film
        first = other = sum(settings.scale_iterations) + settings.iterations
        if not film.alone:
            other = sum(settings.scale_iterations[-1:]) + film.iterations
        planned = [other if place else first for shot in shots for place in range(len(shot.frames))]
        total, seconds, numbered = sum(planned), 0.0, enumerate(self.plan.clip.frames(), 1)

        def observe(number: int, step: Step) -> None:
            iteration = sum(planned[: number - 1]) + step.iteration
            left, gone = 1 - iteration / max(1, total), seconds + step.seconds
            for observer in observers:
                observer(replace(step, iteration=iteration, seconds=gone, total_iterations=total, left=left))

        def keep_and_count(frame: Frame) -> None:
            nonlocal seconds
            seconds += frame.step.seconds
            keep(frame)

        for shot in shots:
            if not shot.is_finished:
                self.paint(shot, self.plan.frames(shot, numbered), keep_and_count, observe, say)

    @painting.memory_errors()
    def paint(
        self,
        shot: Shot,
        frames: Iterator[Numbered],
        keep: Keep,
        observe: Callable[[int, Step], None] = lambda number, step: None,
        say: Say = lambda line: None,
    ) -> None:
        """Paint the frames of a shot that are not finished.

        Of those before, `frames` has the shot's first, and those from the one furthest `back` on.
        """
        started, settings = time.monotonic(), self.plan.settings
        texts = records.texts(settings, self.name)
        first = next(frames)
        earlier: deque[Picture] = deque(maxlen=shot.reach)
        with _ShotPainter(self, first[1], say) as painter:
            for number, frame_of_clip in itertools.chain([first], frames):
                stage = painter.stage(frame_of_clip)
                if number >= shot.number:
                    target = painter.target(stage.content, earlier, shot)
                    step = painter.paint(stage, target, partial(observe, number))
                    png = images.to_png(stage.finish(step.picture.astype(np.float32)), settings.depth, texts)
                    now = time.monotonic()
                    frame = Frame(number, step, max(0.0, now - started - step.seconds), png)
                    started, shot = now, shot.after(frame)
                    keep(frame)
                earlier.append(stage.content)


class _ShotPainter(contextlib.ExitStack):
    """Paints the frames from one cut to the next. Graph and styles' targets are made once, for the first to paint."""

    def __init__(self, studio: _Studio, photograph: Picture, say: Say) -> None:
        super().__init__()
        self._network, self._settings, self._film = studio.network, studio.plan.settings, studio.plan.film
        self._stages, self._say = studio.stages(photograph), say
        self._objectives = dict[int, tuple[Objective, Vectors | None]]()
        self.callback(machine.release_memory)
        self._targets = self.enter_context(TargetExtractor(self._network, self._settings))

    def stage(self, frame: Picture, index: int = -1) -> PreparedStage:
        """A stage of painting this frame, which is brought to its size."""
        stage = self._stages[index]
        height, width = stage.shape[:2]
        return replace(stage, photograph=images.resize(frame, height, width, self._settings.resample))

    def target(self, frame: Picture, earlier: Sequence[Picture], shot: Shot) -> TemporalTarget | None:
        """What a frame is held to, from earlier ones; None for the first one, and for all that are alone."""
        pairs = list(zip(reversed(earlier), reversed(shot.painted), strict=False))
        if not pairs or shot.total is None or self._film.alone:
            return None
        held = [pairs[back - 1] for back in self._film.back if back <= len(pairs)]
        return flow.temporal_target(frame, held, self._film.weight(shot.total))

    def paint(self, last: PreparedStage, target: TemporalTarget | None, observe: Observer) -> Step:
        """Paint a frame at the last stage: held to the target's picture where that can be trusted; or as a first one.

        It starts from that picture; where it cannot be trusted, from what the scale below paints of the photograph, as
        white noise would not become a painting in a few iterations, nor does the photograph at the film's size.
        """
        coarse = [self.stage(last.photograph, index) for index in range(len(self._stages) - 1)]
        previous, iterations = None, last.settings.iterations
        if target is not None:
            start, iterations = target.picture, self._film.iterations
            smaller = [index for index, stage in enumerate(coarse) if stage.shape != last.shape]
            if smaller and not target.flow_consistency.all():
                small = coarse[smaller[-1]]
                begin = self.stage(flow.filled(target, last.content), smaller[-1]).photograph
                previous = self._minimise(smaller[-1], small, begin, small.settings.iterations, observe)
                start = flow.filled(target, painting.warm_start(previous, small, last)[0])
        elif coarse:
            with contextlib.ExitStack() as objectives:
                how = None, [observe], self._say, objectives
                previous = painting.paint_stages(self._network, coarse, *how).step
            start, _ = painting.warm_start(previous, coarse[-1], last)
        else:
            start = last.start(self._network)
        return self._minimise(len(coarse), last, start, iterations, observe, previous, target)

    def _minimise(
        self,
        index: int,
        stage: PreparedStage,
        start: Picture,
        iterations: int,
        observe: Observer,
        previous: Step | None = None,
        target: TemporalTarget | None = None,
    ) -> Step:
        """Paint a stage, after a step of the `previous` one if there is one. What is returned can be sent elsewhere."""
        if index not in self._objectives:
            steady = index + 1 == len(self._stages) and self._film.steadiness > 0
            self._objectives[index] = painting.objective_of(self._network, stage, self._targets, steady)
            self.enter_context(self._objectives[index][0])
        objective, vectors = self._objectives[index]
        objective.turn_to(stage.content, target)
        settings = replace(stage.settings, iterations=iterations, corrections=stage.plan.pairs)
        offset = OffsetObserver([observe], index, previous)
        return offset.counted(minimise(objective, start, settings, offset.observe, vectors=vectors).step).kept()
