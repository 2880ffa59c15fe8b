"""Painting: from files and settings to a picture. What scripts/paint.py does, as one function."""

import contextlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nst_graph import files, machine, pictures, places, scenes, weights
from nst_graph.errors import InputError
from nst_graph.graph import precision
from nst_graph.graph.objective import Objective, TargetExtractor
from nst_graph.graph.tensorflow import gpu_name, has_gpu, tf
from nst_graph.graph.tiles import TiledObjective
from nst_graph.news import count
from nst_graph.optimise import Outcome, Step, Vectors, minimise
from nst_graph.optimise.steps import Arrays, OffsetObserver
from nst_graph.pictures import ImageLike, Picture
from nst_graph.plans import Plan, available_memory, plan
from nst_graph.runs import records, timelapse
from nst_graph.runs.run import Run
from nst_graph.scenes import Originals, Say, Scene, Sources
from nst_graph.settings import DEPTHS, Settings, Stage
from nst_graph.weights import Network

Observer = Callable[[Step], None]


@dataclass(frozen=True)
class Painting:
    """A painted picture [height, width, 3] in about 0..255, and how it was painted.

    Where the photograph is not opaque it is [height, width, 4], with that alpha.
    `network` is the one that painted, such as VGG-19. Where the start was given as a picture in memory, the
    settings' `init` is "FILE".
    """

    picture: Picture
    outcome: Outcome
    settings: Settings
    network: str

    @property
    def seconds(self) -> float:
        """How long the optimiser worked, at all sizes, without reading files and building graphs."""
        return self.outcome.step.seconds

    def save(self, path: Path | str) -> None:
        """Write the picture as PNG, JPEG or TIFF, by the suffix; the file says how it was painted.

        A JPEG has 8 bits a colour. Raises InputError for other suffixes, or OSError as open and write do.
        """
        path = places.path(path)
        suffix = path.suffix.lower()
        if suffix not in DEPTHS:
            raise InputError(f"{path}: pictures are saved as {', '.join(DEPTHS)}; name one of these")
        depth, texts = min(self.settings.depth, max(DEPTHS[suffix])), records.texts(self.settings, self.network)
        data = pictures.to_file(self.picture, suffix, depth, texts)
        with files.atomic(path) as file:
            file.write(data)


def paint(
    content: ImageLike,
    styles: ImageLike | Sequence[ImageLike] = (),
    settings: Settings | None = None,
    *,
    weights_file: Path | str | None = None,
    masks: ImageLike | Sequence[ImageLike] = (),
    init: ImageLike | None = None,
    output: Path | str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    read_limit: float = files.READ_LIMIT,
    side_by_side: int = 1,
    say: Say | None = None,
    observers: Iterable[Observer] = (),
) -> Painting:
    """Paint the photograph `content` in the style of one or several pictures.

    A picture is a path, an image of Pillow's, or an array [height, width] or [height, width, 3 or 4], alpha last, of
    uint8, uint16, or floating point in 0..255. `masks`, a grey picture a style, say where each is wanted; of floating
    point they are in 0..1. `init` is a picture to start from. With `output` the run is recorded in that directory, or
    beside that picture file, as scripts/paint.py does it, or with `resume` an unfinished one is continued.
    `read_limit` is the memory that reading a file may take, in GB, and `side_by_side` the number of paintings among
    which the machine's memory is shared. `observers` get every Step; one that raises StopIteration ends the painting
    there. `say` gets lines of news; without it those that are warnings, as of another network than is wanted, are
    Python's.

    Raises InputError, before anything is written, where a picture or a setting cannot be used, or is not what a run
    was begun with. KeyboardInterrupt, and Pause from an observer, pass through once the state is saved.
    """
    settings = settings or Settings()
    if resume and output is None:
        raise InputError("resume: there is no directory to go on in; name it as output")
    with pictures.Files() as image_files:
        masks = pictures.listed(masks)
        images = settings.styles(content, pictures.listed(styles, with_directories=True), masks)
        paths = [image_files.path(style, f"style-{number}") for number, style in enumerate(images, 1)]
        masked = [image_files.path(mask, f"mask-{number}", is_mask=True) for number, mask in enumerate(masks, 1)]
        if init is not None:
            settings = replace(settings, init=str(image_files.path(init, "init").absolute()))
        photograph = image_files.path(content, "content")
        sources = Sources.named(photograph, paths, masked, settings, weights_file, read_limit, say or _warn)
        run = Run(places.path(output), overwrite, resume, say or _warn) if output is not None else None
        news = say or (lambda line: None)
        painting = _paint(sources, settings, run, news, say or _warn, observers, side_by_side)
    in_memory = init is not None and not isinstance(init, str | os.PathLike)
    return replace(painting, settings=replace(settings, init="FILE")) if in_memory else painting


def _warn(line: str) -> None:
    warnings.warn(line, stacklevel=2)


def _paint(
    sources: Sources,
    settings: Settings,
    run: Run | None,
    say: Say,
    warn: Say,
    observers: Iterable[Observer],
    side_by_side: int,
) -> Painting:
    """Paint, and record that in a run, if there is one."""
    # Where it fails, the run saves its state before the objective that holds that is closed.
    with contextlib.ExitStack() as objectives, run or contextlib.nullcontext():
        if settings.timelapse is not None:
            timelapse.check(settings.timelapse)
        originals = scenes.read(sources, settings, say, warn)
        whole = network_of(sources, warn)
        network = whole.upto(settings.layers)
        stages = run.stages if run is not None else ()
        parts = parts_of(originals, network, settings, say, stages, available_memory(side_by_side))
        del originals  # which may be much larger
        start = parts[0].start(network)
        height, width = parts[-1].scene.shape[:2]
        device = f" on {gpu_name()}" if has_gpu() else ""
        say(f"{whole.name} paints {width} x {height} pixels{device} ({sources.weights})")
        resume_from = _resume_from(run, parts, say)
        finish = partial(parts[-1].scene.finish, settings=settings)
        observers = list(observers)
        if run is not None:
            observers[:0] = run.open(sources, whole.name, settings, parts[-1].scene, finish, described(parts))
        outcome = paint_parts(network, parts, start, resume_from, settings, observers, say, objectives)
        if run is not None:
            run.finish(outcome.reason)
        return Painting(finish(outcome.step.picture.astype(np.float32)), outcome, settings, whole.name)


def network_of(sources: Sources, warn: Say) -> Network:
    """The whole network. Raises InputError if it cannot be read."""
    whole = weights.read(sources.weights, sources.read_limit)
    if weights.are_transposed(whole):
        check = f"{places.program('get_weights')} check"
        warn(f"{sources.weights}: its kernels lie transposed, it paints wrongly; see {check}")
    return whole


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Raise MemoryError in the place of TensorFlow's."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError("memory ran out") from error


@dataclass(frozen=True)
class Part:
    """A stage of the painting, with its settings, its pictures and its plan."""

    stage: Stage
    settings: Settings
    scene: Scene
    plan: Plan

    @property
    def pixels(self) -> int:
        """Of the picture."""
        return self.scene.shape[0] * self.scene.shape[1]

    @property
    def fitted(self) -> Settings:
        """The settings, with as many curvature pairs as fit into memory."""
        return replace(self.settings, corrections=self.plan.pairs)

    def start(self, network: Network) -> Picture:
        """What is painted from, where this is the first stage."""
        how = self.settings
        return pictures.start(self.scene.base, network.mean, how.start_noise, how.seed, how.noise, how.noise_amplitude)

    def vector_dtype(self, warm: bool) -> str | None:
        """The type of the vectors of the graph's L-BFGS; None where another optimiser paints.

        A `warm` one goes on with curvature pairs, which SciPy's does not take: from SciPy's the graph's takes the steps
        that SciPy's would have taken.
        """
        if self.settings.optimiser != "lbfgs":
            return None
        return "float64" if warm and self.plan.vector_dtype is None else self.plan.vector_dtype

    def news(self, iterations: int, warm: bool = False) -> str:
        """A line that says what will be painted."""
        settings = self.settings
        height, width = self.scene.shape[:2]
        names = {"lbfgs": f"{'the graph' if self.vector_dtype(warm) else 'SciPy'}'s L-BFGS", "adam": "Adam"}
        name = names.get(settings.optimiser, "gradient descent")
        line = f"{count(iterations, 'iteration')} of {name} at {width} x {height} in {self.stage.precision}"
        if self.plan.tile is not None:
            line += f", in tiles of {self.plan.tile}"
        if settings.optimiser == "lbfgs" and self.plan.pairs < settings.corrections:
            line += f", with {count(self.plan.pairs, 'curvature pair')}, for want of memory"
        return line


def described(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """What a run's record says of its stages, and what was decided for them when the run began."""
    return [
        {
            "width": part.scene.shape[1],
            "height": part.scene.shape[0],
            "iterations": part.stage.iterations,
            "precision": part.stage.precision,
            "plan": asdict(part.plan),
        }
        for part in parts
    ]


def parts_of(
    originals: Originals,
    network: Network,
    settings: Settings,
    say: Say,
    earlier: Sequence[dict[str, Any]] = (),
    memory: float | None = None,
) -> list[Part]:
    """The stages that can be painted, planned before their pictures are made. Raises InputError if the last cannot.

    `earlier` are those of a run that goes on, as its record has them: what was decided then is kept.
    """
    masks = originals.sources.masks
    plans_before = {(stage["height"], stage["width"]): Plan(**stage["plan"]) for stage in earlier if stage.get("plan")}
    precisions = [stage["precision"] for stage in earlier]
    stages = _stages(settings, originals.photograph, network.smallest_side(settings.layers), precisions, say)
    last = stages[-1][1]
    staged = [settings.at(stage, shape) for stage, shape in stages]
    plans = []
    for (_, shape), here in zip(stages, staged, strict=True):
        largest = max((height * width for height, width in originals.style_sides(shape, here)), default=0.0)
        plans.append(plan(network, shape, largest, here, memory, plans_before.get(shape)))
    whole = pictures.opaque(originals.photograph, *last, settings.resample)
    parts = []
    for (stage, (height, width)), here, planned in zip(stages, staged, plans, strict=True):
        photograph = pictures.resize(whole, height, width, settings.resample)
        part = Part(stage, here, originals.scene(photograph, here), planned)
        mask = scenes.uncovered(part.scene, masks, network, settings)
        if mask is None:
            parts.append(part)
        elif (height, width) != last:
            say(f"scale {stage.size} is left out: {mask} covers no position of a style layer there")
        else:
            remedy = "draw more of it white, or take a larger --size or a shallower layer"
            raise InputError(f"{mask}: at {width} x {height} it covers no position of a style layer; {remedy}")
    scenes.check(parts[0].scene, originals.sources, network, settings)
    return parts


def _stages(
    settings: Settings, photograph: Picture, need: int, precisions: Sequence[str], say: Say
) -> list[tuple[Stage, tuple[int, int]]]:
    """The stages, with height and width; without scales not below the photograph, or with sides below `need` pixels.

    `precisions` are those of the stages of a run that goes on, in which "auto" is decided already.
    """
    if settings.precision == "float32":
        fastest = "float32"
    elif precisions:
        fastest = "bfloat16" if "bfloat16" in precisions else "float32"
    else:
        fastest = precision.fastest(settings.convolutions != "direct")
    if settings.precision == "bfloat16" and fastest == "float32" and not precisions:
        say("--precision bfloat16: not faster than float32 on this machine; it paints all the same")
    last = pictures.fitted(photograph.shape, settings.size, settings.side, settings.squash, settings.enlarge)
    for size in settings.scales:
        if settings.size is not None and size >= settings.size:
            say(f"scale {size} is left out: it is not below --size {settings.size}")
    stages = []
    for stage in settings.stages(fastest):
        shape = pictures.fitted(last, stage.size, settings.side, settings.squash)
        if stage.size == settings.size or (shape != last and min(shape) >= need):
            stages.append((stage, shape))
        elif shape == last:
            say(f"scale {stage.size} is left out: it is not below the picture's size")
        else:
            say(f"scale {stage.size} is left out: a side would have fewer than the {need} pixels that the layers need")
    return stages


def _resume_from(run: Run | None, parts: Sequence[Part], say: Say) -> Step | None:
    """The step that a run reached before; None where there is none. Raises InputError where it fits no stage."""
    resume_from = run.resume_from if run is not None else None
    if resume_from is None:
        return None
    if resume_from.stage >= len(parts) or resume_from.picture.shape != parts[resume_from.stage].scene.shape:
        raise InputError(
            "state.npz: its stages are not these; resume it with the size and the scales that it was begun with, "
            "or paint anew with --overwrite"
        )
    say(f"goes on from iteration {resume_from.iteration}")
    return resume_from


def paint_parts(
    network: Network,
    parts: Sequence[Part],
    picture: Picture,
    last: Step | None,
    settings: Settings,
    observers: Sequence[Observer],
    say: Say,
    objectives: contextlib.ExitStack,
) -> Outcome:
    """Paint one stage after the other, each from the picture of the one before; or on from the step `last`.

    A stage that ends early leaves the rest of its iterations to the next one of its size. The `objectives` hold what
    is to be closed where painting fails, once the state is saved.
    """
    memory: Arrays | None = None
    before = parts[0].scene.photograph
    targets = objectives.enter_context(TargetExtractor(network, settings))
    at_size, total = 0, sum(part.stage.iterations for part in parts)
    work = [part.stage.iterations * part.pixels for part in parts]
    for index, part in enumerate(parts):
        photograph = part.scene.photograph
        at_size = part.stage.iterations + (at_size if photograph.shape == before.shape else 0)
        if last is not None and last.stage == index:
            picture, memory = last.picture, last.memory()
        elif last is not None and last.stage < index:
            picture, memory = carry(last, before, photograph, settings)
        before = photograph
        if last is not None and last.stage > index:
            continue
        goes_on = last is not None and last.picture.shape == photograph.shape
        iterations = at_size - (last.iteration - last.before if last is not None and goes_on else 0)
        say(part.news(iterations, bool(memory)))

        def left(iteration: int, here: int = iterations, index: int = index) -> float:
            return ((here - iteration) * parts[index].pixels + sum(work[index + 1 :])) / max(1, sum(work))

        offset_observer = OffsetObserver(observers, index, last, goes_on, total, left)
        how = replace(part.fitted, iterations=iterations)
        ends = index + 1 == len(parts) or parts[index + 1].scene.shape != photograph.shape
        outcome = _paint_part(network, part, picture, how, offset_observer, memory, targets, ends, objectives)
        last = offset_observer.counted(outcome.step)
        if outcome.stopped:
            break
    targets.close()
    assert last is not None  # settings have one stage at least
    return replace(outcome, step=last)


def _paint_part(
    network: Network,
    part: Part,
    picture: Picture,
    settings: Settings,
    offset_observer: OffsetObserver,
    memory: Arrays | None,
    targets: TargetExtractor,
    ends: bool,
    objectives: contextlib.ExitStack,
) -> Outcome:
    """Paint one stage. The memory of its last step can be read afterwards, unless it `ends` painting at its size."""
    with memory_errors():
        objective, vectors = objective_of(network, part, targets, warm=bool(memory))
        try:
            outcome = minimise(objective, picture, settings, offset_observer.observe, memory, vectors)
        except BaseException:
            objectives.callback(objective.close)  # which holds the state that a run is about to save
            raise
    offset_observer.keep({} if ends else dict(outcome.step.memory()))
    objective.close()
    del objective, vectors
    machine.release_memory()  # or many paintings in one process would add up
    return outcome


def objective_of(
    network: Network, part: Part, targets: TargetExtractor, steady: bool = False, warm: bool = False
) -> tuple[Objective | TiledObjective, Vectors | None]:
    """What a stage minimises, and the vectors of the graph's L-BFGS, if that does it."""
    inputs = network, part.scene.photograph, part.scene.styles, part.fitted
    compute = tf.bfloat16 if part.stage.precision == "bfloat16" else None
    dtype = part.vector_dtype(warm)
    vectors = None if dtype is None else Vectors(dtype, part.plan.pairs, part.settings.bounded)
    options: dict[str, Any] = {"compute": compute, "targets": targets, "source": vectors and vectors.point}
    options["steady"] = steady
    if part.plan.tile is None:
        return Objective(*inputs, **options), vectors
    return TiledObjective(*inputs, part.plan.tile, **options), vectors


def carry(step: Step, before: Picture, photograph: Picture, settings: Settings) -> tuple[Picture, Arrays | None]:
    """Where a stage begins after a step of the one before: its picture, and the optimiser's memory."""
    picture = step.picture.astype(np.float32)
    if photograph.shape == before.shape:
        return picture, step.memory()
    if settings.alpha > 0:
        return pictures.carry(picture, before, photograph), None
    return pictures.enlarge(picture, *photograph.shape[:2]), None
