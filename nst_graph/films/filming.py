"""Filming: from a clip and settings to a film, frame by frame. What scripts/paint_video.py does, as one function."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nst_graph import machine, painting, pictures, scenes
from nst_graph.films import flow
from nst_graph.films.clips import Clip
from nst_graph.films.film import Film, check_packages
from nst_graph.films.reel import Reel
from nst_graph.graph.objective import Guide, Measure, Objective
from nst_graph.graph.tiles import TiledObjective
from nst_graph.news import count
from nst_graph.optimise import Step, minimise
from nst_graph.optimise.steps import Relay
from nst_graph.painting import Part
from nst_graph.pictures import Picture
from nst_graph.recipes import Settings
from nst_graph.runs import records, run
from nst_graph.scenes import Originals, Say, Sources
from nst_graph.weights import Network

Observer = Callable[[Step], None]


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
    say: Say = lambda line: None,
    observers: Iterable[Observer] = (),
) -> Path:
    """Paint the frames of a clip in the style of one or several pictures; returns the path of the mp4.

    Each frame is held to the one before, as Ruder, Dosovitskiy and Brox 2016 (arXiv 1604.08610) do; after a cut
    a shot begins anew. `observers` get every Step of every frame, counted over the whole film. Raises what
    nst_graph.paint raises; `resume` goes on with an unfinished film.
    """
    check_packages()
    sources = Sources.named(clip.path, styles, masks, settings, weights_file, clip.read_limit, say)
    with Reel(output, overwrite, resume) as reel:
        shots = clip.shots(say)
        originals = scenes.read(sources, settings, say, say, next(clip.frames()))
        network = painting.network_of(sources, say)
        used = network.upto(settings.layers)
        shot = _Shot(originals, used, settings, film, say)
        record = run.describe(sources, network.name, settings, shot.parts[-1].scene)
        reel.open(record | {"film": clip.facts() | asdict(film) | {"shots": shots, "frames": sum(shots)}}, sources)
        height, width = shot.parts[-1].scene.shape[:2]
        found = f"{count(sum(shots), 'frame')}, {float(clip.rate):.6g} a second, in {count(len(shots), 'shot')}"
        say(f"{network.name} paints {width} x {height} pixels: {found}")
        progress = _Progress(observers, [film.planned(settings, place) for length in shots for place in range(length)])
        frames = enumerate(clip.frames(), 1)
        for index, length in enumerate(shots):
            taken: Iterable[tuple[int, Picture]] = itertools.islice(frames, length)
            if index > 0:
                number, photograph = next(frames)
                shot = _Shot(replace(originals, photograph=photograph), used, settings, film, say)
                taken = itertools.chain([(number, photograph)], itertools.islice(frames, length - 1))
            _shoot(shot, taken, reel, progress, records.texts(settings, network.name))
            shot.close()
        if not reel.finish(clip):
            say(f"{clip.path}: its sound cannot be read; the film is silent")
    return output / "film.mp4"


def _shoot(
    shot: _Shot, frames: Iterable[tuple[int, Picture]], reel: Reel, progress: _Progress, texts: dict[str, str]
) -> None:
    """Paint the frames of one shot that are not finished yet."""
    begin, before, total = reel.next, None, None
    for number, frame in frames:
        if number >= begin:
            step = reel.kept(number)  # a killed run painted it, and could not add it
            if step is None:
                guide = None
                if before is not None and total is not None and not shot.film.alone:
                    given = shot.fit(frame), shot.fit(before), reel.painted(number - 1)
                    guide = flow.guide(*given, shot.film.weight(total))
                with painting.memory_errors():
                    step = shot.paint(frame, guide, progress.of_frame(number))
                reel.keep(number, step)
            picture = shot.part(frame).scene.finish(step.picture.astype(np.float32), shot.settings)
            reel.add(number, step, pictures.to_png(picture, shot.settings.depth, texts))
        before, total = frame, reel.total(number) if total is None else total


class _Shot:
    """The frames from one cut to the next. The graph and the styles' targets are made once, for the first to paint."""

    def __init__(self, originals: Originals, network: Network, settings: Settings, film: Film, say: Say) -> None:
        self.settings, self.film, self._network, self._say = settings, film, network, say
        self.parts = painting.parts_of(originals, network, settings, say)
        self._measure = Measure(network, settings)

    @cached_property
    def _objective(self) -> Objective | TiledObjective:
        last = self.parts[-1]
        return painting.objective_of(self._network, last, last.settings, self._measure, self.film.steadiness > 0)

    def close(self) -> None:
        """Give the memory back."""
        self._measure.close()
        if "_objective" in self.__dict__:
            self._objective.close()
        machine.release_memory()

    def fit(self, frame: Picture) -> Picture:
        """A frame in the size of the film."""
        height, width = self.parts[-1].scene.shape[:2]
        return pictures.resize(frame, height, width, self.settings.resample)

    def part(self, frame: Picture, index: int = -1) -> Part:
        """A stage of painting this frame."""
        part = self.parts[index]
        height, width = part.scene.shape[:2]
        photograph = pictures.resize(self.fit(frame), height, width, self.settings.resample)
        return replace(part, scene=part.scene.of(photograph))

    def paint(self, frame: Picture, guide: Guide | None, observe: Observer) -> Step:
        """Paint a frame: from the guide's picture, to which it is held where that can be trusted; or as a first one.

        White noise where it cannot be trusted would not become a painting in a few iterations.
        """
        parts = [self.part(frame, index) for index in range(len(self.parts))]
        *coarse, last = parts
        start, iterations, before = parts[0].start(self._network), last.stage.iterations, None
        if guide is not None:
            start, iterations = guide.picture, self.film.iterations
        elif coarse:
            before = painting.paint_parts(self._network, coarse, start, None, self.settings, [observe], self._say).step
            start, _ = painting.carry(before, coarse[-1].scene.photograph, last.scene.photograph, self.settings)
        self._objective.turn_to(last.scene.photograph, guide)
        relay = Relay([observe], len(coarse), before, False, 0)
        wanted = replace(last.settings, iterations=iterations)
        step = relay.counted(minimise(self._objective, start, wanted, relay.observe, last.plan.pairs).step)
        picture = step.picture
        return replace(step, read=lambda: picture, memory=dict)


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
            for observer in self._observers:
                observer(replace(step, seconds=self._seconds, **counts))

        return observe
