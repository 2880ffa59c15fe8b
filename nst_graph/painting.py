"""Painting: from files and settings to a picture. What scripts/paint.py does, as one function, and step by step."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nst_graph import files, images, machine, places, signals, weights
from nst_graph.errors import InputError, Pause, in_python
from nst_graph.evaluation import Floats
from nst_graph.images import ImageLike, Picture
from nst_graph.model.objective import Objective, TargetExtractor
from nst_graph.model.tensorflow import gpu_name, has_gpu, reserve, tf
from nst_graph.news import count, duration
from nst_graph.optimise import Outcome, Step, Vectors, minimise
from nst_graph.optimise.steps import Arrays, OffsetObserver
from nst_graph.recipes import DEFAULT, Recipe, settings_of
from nst_graph.runs import records, timelapse
from nst_graph.runs.observers import Progress, in_notebook
from nst_graph.runs.run import Run, row_of
from nst_graph.settings import DEPTHS, STARTS, Settings
from nst_graph.stages import InputFiles, InputImages, PreparedStage, Say, bytes_needed, prepare_stages
from nst_graph.weights import Network

Observers = Sequence[Callable[[Step], None]]
#: How a STYLE gets the strokes of --style-detail first, but for settings KEPT of the painting: Gatys et al. 2016,
#: "Controlling Perceptual Factors in Neural Style Transfer" (arXiv 1611.07865), by their notebook on scale.
DETAIL = Settings(alpha=0, beta=1, style_loss="mean", style_layers={"conv1_1": 500, "conv2_1": 500}, size=None)
DETAIL = replace(DETAIL, iterations=500, save_every=50, init="content", style_shape="area", colours="covariance")
KEPT = (
    "resample",
    "pooling",
    "pool_rounding",
    "padding",
    "lbfgs",
    "corrections",
    "precision",
    "convolutions",
    "tile",
    "memory",
)


@dataclass(frozen=True, eq=False, repr=False)
class Painting:
    """A painted picture [height, width, 3] in about 0..255, and how it was painted.

    Where the photograph is not opaque it is [height, width, 4], with that alpha.
    `network` is the one that painted, such as VGG-19. Where the start was given as a picture in memory, the
    settings' `init` is "FILE". `losses` are the columns of losses.csv: iteration, evaluations, seconds, the terms
    before their weights, and total, equation 7. A notebook shows the picture; NumPy, Pillow and `paint` take it.

    >>> painting = paint("photo.jpg", "painting.jpg", size=40, iterations=5)
    >>> painting.outcome.step.iteration, painting.settings.alpha, painting.losses["iteration"]
    (5, 1.0, [0, 1, 2, 3, 4, 5])
    >>> np.asarray(painting).dtype
    dtype('uint8')
    >>> painting.save("result.jpg")
    """

    picture: Picture
    outcome: Outcome
    settings: Settings
    network: str
    losses: dict[str, list[float]]

    @property
    def seconds(self) -> float:
        """How long the optimiser worked, at all sizes, without reading files and building graphs."""
        return self.outcome.step.seconds

    @property
    def image(self) -> Image.Image:
        """The picture as an image of Pillow's, of 8 bits a colour."""
        return Image.fromarray(images.to_bytes(self.picture))

    def save(self, path: Path | str) -> None:
        """Write the picture as PNG, JPEG or TIFF, by the suffix; the file says how it was painted.

        A JPEG has 8 bits a colour. Raises InputError for other suffixes, or OSError as open and write do.
        """
        path = places.path(path)
        suffix = path.suffix.lower()
        if suffix not in DEPTHS:
            raise InputError(f"{path}: pictures are saved as {', '.join(DEPTHS)}; name one of these")
        depth, texts = min(self.settings.depth, max(DEPTHS[suffix])), records.texts(self.settings, self.network)
        data = images.to_file(self.picture, suffix, depth, texts, self.settings.dpi)
        with files.atomic(path) as file:
            file.write(data)

    def tobytes(self) -> bytes:
        """The bytes of the image."""
        return self.image.tobytes()

    @property
    def __array_interface__(self) -> dict[str, Any]:
        strides = np.asarray(self.image).strides  # with which Pillow asks for tobytes, not for a buffer
        return {**self.image.__array_interface__, "strides": strides}

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.image, dtype)

    def __repr__(self) -> str:
        step, (height, width, _) = self.outcome.step, self.picture.shape
        how = f"{count(step.iteration, 'iteration')} in {step.seconds:.1f} s, loss {step.total:.4g}"
        return f"<Painting, {width} x {height} pixels, by {self.network}: {how}>"

    def _repr_png_(self) -> bytes:
        return images.to_png(self.picture)


#: What `paint` takes as a picture, and as several.
PictureLike = ImageLike | Painting
Pictures = PictureLike | Sequence[PictureLike]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or a notebook's stop ended `paint`; `painting` is what was painted, None where nothing was.

    A run with an `output` goes on with resume=True.

    >>> print(Interrupted())
    nothing was painted yet
    """

    def __init__(self, painting: Painting | None = None) -> None:
        super().__init__()
        self.painting = painting

    def __str__(self) -> str:
        where = "is .painting of this exception, in a notebook sys.last_value.painting"
        return f"{self.painting} {where}" if self.painting else "nothing was painted yet"

    def _render_traceback_(self) -> list[str]:  # for IPython
        return [f"Interrupted: {self}"]


def paint(
    content: PictureLike,
    styles: Pictures = (),
    settings: Recipe | Settings | str = DEFAULT,
    *,
    weights_file: Path | str | None = None,
    masks: Pictures = (),
    style_masks: Pictures = (),
    init: PictureLike | None = None,
    output: Path | str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    read_limit: float = files.READ_LIMIT,
    side_by_side: int = 1,
    say: Say | None = None,
    observers: Iterable[Callable[[Step], None]] = (),
    progress: bool | None = None,
    **changes: Any,
) -> Painting:
    """Paint the photograph `content` in the style of one or several pictures.

    A picture is a path, an image of Pillow's, a Painting, or an array [height, width] or [height, width, 3 or 4], alpha
    last, of uint8, uint16, or floating point in 0..255. `settings` are a recipe, its name, or Settings, and `changes`
    any settings by name. `masks`, a grey picture a style, say where each is wanted, `style_masks` from which part of
    it; of floating point they are in 0..1. `init` is a picture to start from, or noise, content or style. With `output`
    the run is recorded in that directory, or beside that picture file, or with `resume` an unfinished one continued.
    Reading a file may take `read_limit` GB; `side_by_side` paintings share the memory. `observers` get every Step, and
    may end it by StopIteration. `say` gets news, else warnings are Python's. `progress` shows a bar, as notebooks do.

    Raises InputError for a wrong picture or setting before anything is written; Interrupted and Pause once it is saved.

    >>> paint(np.zeros((32, 40, 3), np.uint8), ["monet.jpg", "munch.jpg"], iterations=5).image.size
    (40, 32)
    """
    if isinstance(init, str) and init in STARTS:
        init, changes = None, {**changes, "init": init}
    settings = settings_of(settings or DEFAULT, **changes)
    if resume and output is None:
        raise InputError("resume: there is no directory to go on in; name it as output")
    pictures, warn = (content, styles, masks, style_masks, init), say or _warn
    shows = in_notebook() if progress is None else progress
    with images.Files() as memory, closing(Progress(settings.save_every // 10)) as bar:
        paths, settings = _input_files(memory, pictures, settings, weights_file, read_limit, warn)
        run = Run(places.path(output), overwrite, resume, warn) if output is not None else None
        seen_by = [*observers, bar.observe] if shows else list(observers)
        painting = _paint(paths, settings, run, say or (lambda line: None), warn, seen_by, side_by_side)
        if shows:
            bar.draw(painting.picture)
    return painting


def steps(
    content: PictureLike, styles: Pictures = (), settings: Recipe | Settings | str = DEFAULT, **options: Any
) -> Iterator[Step]:
    """The steps of a painting, the start first, for a loop of one's own; `options` are those of `paint`.

    A step has iteration, terms, total and picture, [height, width, 3] in about 0..255. A loop that is left pauses the
    painting. Raises what `paint` raises.

    >>> for step in steps("photo.jpg", "painting.jpg", size=40):
    ...     if step.iteration == 3:
    ...         break
    >>> step.picture.shape
    (32, 40, 3)
    """
    made, asked = SimpleQueue[Step | BaseException | None](), SimpleQueue[bool]()

    def hand_over(step: Step) -> None:
        made.put(step.kept())
        if not asked.get():
            raise Pause

    def work() -> None:
        try:
            paint(content, styles, settings, observers=[hand_over], **{"progress": False} | options)
        except BaseException as error:  # the other thread raises it
            made.put(error)
        made.put(None)

    thread = Thread(target=work, daemon=True)  # which Python does not wait for where a loop is never left
    thread.start()
    try:
        while isinstance(step := made.get(), Step):
            yield step
            asked.put(True)
    finally:
        asked.put(False)
        thread.join()
    if step is not None:
        raise step


def _warn(line: str) -> None:
    warnings.warn(in_python(line), stacklevel=2)


def _input_files(
    image_files: images.Files, pictures: tuple[Any, Any, Any, Any, Any], settings: Settings, *how: Any
) -> tuple[InputFiles, Settings]:
    """The files of all pictures, new ones for those in memory; and the settings, whose start is FILE if that is new."""
    content, styles, *several, init = pictures
    masks, style_masks = (images.as_list(some) for some in several)
    styles = settings.styles(content, images.as_list(styles, with_directories=True), masks, style_masks)
    many = image_files.paths
    paths_of = many(styles, "style"), many(masks, "mask", True), many(style_masks, "style-mask", True)
    paths = InputFiles.named(image_files.path(content, "content"), *paths_of, settings, *how)
    if init is None:
        return paths, settings
    start = image_files.path(init, "init").absolute()
    name = str(start) if isinstance(init, str | os.PathLike) else "FILE"
    return replace(paths, named_by=paths.named_by | {"init": start}), replace(settings, init=name)


def _paint(
    paths: InputFiles, settings: Settings, run: Run | None, say: Say, warn: Say, observers: Observers, side_by_side: int
) -> Painting:
    """Paint, and record that in a run, if there is one."""
    reached, rows = deque[Step](maxlen=1), dict(run.rows) if run else {}

    def painting(outcome: Outcome) -> Painting:
        end = outcome.step.kept()
        columns = {name: [type(number)(row[name]) for row in rows.values()] for name, number in row_of(end).items()}
        picture = last.finish(end.picture.astype(np.float32))
        return Painting(picture, replace(outcome, step=end), settings, whole.name, columns)

    # Where painting fails, the run saves its state before the objective that holds it is closed.
    with ExitStack() as stack, run or nullcontext():
        try:
            if settings.timelapse is not None:
                timelapse.check(settings.timelapse)
            input_images = InputImages.read(paths, settings, say, warn)
            path = paths.named_by.get("style_detail")
            detail = None if path is None else images.to_bytes(images.read(path, paths.read_limit, warn))
            whole = network_of(paths, warn)
            network, earlier = whole.upto(settings.layers, settings.pool_rounding), run.stages if run else ()
            stages = prepare_stages(input_images, network, settings, say, earlier, side_by_side)
            del input_images  # which may be much larger
            last = stages[-1]
            device = f" on {gpu_name()}" if has_gpu() else ""
            say(f"{whole.name} paints {last.shape[1]} x {last.shape[0]} pixels{device} ({paths.weights})")
            if run:
                run.open(paths, whole.name, settings, stages)
                observers = [run.observe, *observers]
            if (step := run.resume_from if run else None) is not None:
                say(f"goes on from iteration {step.iteration}")
            if detail is not None:
                shared = partial(paint, weights_file=paths.weights, side_by_side=side_by_side, say=say, progress=False)
                stages = _detailed(stages, run, partial(shared, styles=detail, read_limit=np.inf), say)
                last = stages[-1]
                if run:
                    run.final_form = last.finish
            keep = [reached.append, lambda step: rows.update({step.iteration: row_of(step)})]
            observers = [*keep, *observers, _estimator(stages, network, say)]
            outcome = paint_stages(network, stages, step, observers, say, stack)
            if run:
                run.finish(outcome.reason)
            return painting(outcome)
        except KeyboardInterrupt:  # what led there is of no use to anybody
            with signals.ignored():
                raise Interrupted(painting(Outcome(reached[0], "interrupted")) if reached else None) from None


def _detailed(
    stages: list[PreparedStage], run: Run | None, paint_style: Callable[..., Painting], say: Say
) -> list[PreparedStage]:
    """The stages with STYLEs painted by DETAIL, but those that the run has already."""
    styles, kept = stages[-1].styles, {name: getattr(stages[-1].settings, name) for name in KEPT}

    def painted(number: int, style: Picture) -> Picture:
        def observe(step: Step) -> None:
            if step.iteration % DETAIL.save_every == 0:
                say(f"style {number}, detail: iteration {step.iteration} of {DETAIL.iterations}, loss {step.total:.4g}")
                if run:
                    run.show_style(number, step.picture)

        painting = paint_style(images.to_bytes(style), settings=replace(DETAIL, **kept), observers=[observe])
        return np.clip(painting.picture, 0, 255)

    def picture(number: int, style: Picture) -> Picture:
        return run.keep_detail(number, lambda: painted(number, style)) if run else painted(number, style)

    pictures: list[Picture] = []
    for number, style in enumerate(styles, 1):  # a painting of several regions is there several times
        same = [
            done for done, other in zip(pictures, styles, strict=False) if np.array_equal(other.picture, style.picture)
        ]
        pictures += same[:1] or [picture(number, style.picture)]
    return [stage.with_styles(pictures) for stage in stages]


def network_of(paths: InputFiles, warn: Say) -> Network:
    """The whole network. Raises InputError if it cannot be read."""
    whole = weights.read(paths.weights, paths.read_limit)
    if weights.are_transposed(whole):
        check = f"{places.program('get_weights')} check"
        warn(f"{paths.weights}: its kernels lie transposed, it paints wrongly; see {check}")
    return whole


def _bytes_needed(stages: Sequence[PreparedStage], network: Network) -> float:
    """The memory that painting all stages takes."""
    styles = [max((style.picture.size / 3 for style in stage.styles), default=0.0) for stage in stages]
    return max(
        bytes_needed(stage.plan, network, stage.shape[:2], style, stage.settings)
        for stage, style in zip(stages, styles, strict=True)
    )


def _estimator(stages: Sequence[PreparedStage], network: Network, say: Say) -> Callable[[Step], None]:
    """An observer that says what time, by some iterations' evaluations, and what memory the picture takes."""
    (height, width, _), memory, seen = stages[-1].shape, _bytes_needed(stages, network), list[Floats]()

    def observe(step: Step) -> None:
        if len(seen) < 2 and step.left:  # the first, and the one that tells
            now = np.array([step.seconds, step.evaluations, step.iteration, -step.left])
            seconds, evaluations, iterations, work = now - (seen or [now])[0]
            if not seen or iterations >= 5 or seconds > 60:
                seen.append(now)
            if len(seen) == 2:
                left = seconds / max(1, evaluations) * iterations / work * step.left
                takes = f"about {duration(left)} and {memory / 1e9:.1f} GB of memory"
                say(f"{width} x {height} pixels, {count(step.total_iterations, 'iteration')}: {takes}")

    return observe


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise MemoryError in the place of TensorFlow's."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError("memory ran out") from error


@memory_errors()
def paint_stages(
    network: Network, stages: list[PreparedStage], step: Step | None, observers: Observers, say: Say, stack: ExitStack
) -> Outcome:
    """Paint one stage after the other, each from the picture of the one before; or on from a step of one of them.

    A stage that ends early leaves the rest of its iterations to the next one of its size. Where one fails, the `stack`
    closes its objective, which holds the state that a run saves before.
    """
    total, at_size = sum(stage.settings.iterations for stage in stages), 0
    memory = _bytes_needed(stages, network)
    work = [stage.settings.iterations * stage.photograph.size for stage in stages]
    for index, stage in enumerate(stages):
        goes_on = index > 0 and stage.shape == stages[index - 1].shape
        at_size = stage.settings.iterations + (at_size if goes_on else 0)
        if step is not None and step.stage > index:
            continue
        if step is None:
            picture, state, iterations = stage.start(network), None, at_size
        else:
            picture, state = warm_start(step, stages[step.stage], stage)
            goes_on = goes_on or step.stage == index
            iterations = at_size - (step.iteration - step.iteration_offset if goes_on else 0)
        say(_news(stage, iterations, bool(state)))

        def left(iteration: int, iterations: int = iterations, index: int = index) -> float:
            rest = (iterations - iteration) * stages[index].photograph.size + sum(work[index + 1 :])
            return rest / max(1, sum(work))

        counter = OffsetObserver(observers, index, step, goes_on, total, left)
        reserve(memory)
        objective, vectors = objective_of(network, stage, warm=bool(state))
        stack.enter_context(objective)
        settings = replace(stage.settings, iterations=iterations, corrections=stage.plan.pairs)
        outcome = minimise(objective, picture, settings, counter.observe, state, vectors)
        ends = index + 1 == len(stages) or stages[index + 1].shape != stage.shape
        final_state = {} if ends else dict(outcome.step.optimizer_state())
        step = counter.counted(outcome.step)
        counter.latest = replace(outcome.step.kept(), optimizer_state=partial(dict, final_state))
        outcome = replace(outcome, step=step)
        stack.close()
        del objective, vectors
        machine.release_memory()  # or many paintings in one process would add up
        if outcome.stopped:
            break
    assert step is not None  # settings have one stage at least
    return outcome


def warm_start(step: Step, earlier: PreparedStage, stage: PreparedStage) -> tuple[Floats, Arrays | None]:
    """Where a stage begins after a step of an earlier one, or of its own: its picture, and the optimiser's state."""
    if stage is earlier:
        return step.picture, step.optimizer_state()
    picture = step.picture.astype(np.float32)
    if stage.shape == earlier.shape:
        return picture, step.optimizer_state()
    if stage.settings.alpha > 0:
        return images.enlarge_change(picture, earlier.content, stage.content), None
    return images.resample(images.unframed(picture), *stage.photograph.shape[:2]), None


def objective_of(
    network: Network,
    stage: PreparedStage,
    targets: TargetExtractor | None = None,
    steady: bool = False,
    warm: bool = False,
) -> tuple[Objective, Vectors | None]:
    """What a stage minimises, and the vectors of the graph's L-BFGS, if that does it."""
    inputs = network, stage.content, stage.styles, stage.settings
    tf.config.experimental.enable_tensor_float_32_execution(stage.settings.precision == "tf32")
    compute = tf.bfloat16 if stage.settings.precision == "bfloat16" else None
    dtype = _vector_dtype(stage, warm)
    vectors = None if dtype is None else Vectors(dtype, stage.plan.pairs, stage.settings.bounded)
    source = None if vectors is None else vectors.point
    objective = Objective(*inputs, compute=compute, targets=targets, source=source, steady=steady, cut=stage.plan.cut)
    return objective, vectors


def _vector_dtype(stage: PreparedStage, warm: bool) -> str | None:
    """The type of the vectors of the graph's L-BFGS; None where another optimiser paints.

    A `warm` one goes on with curvature pairs, which SciPy's does not take: from SciPy's the graph's takes the steps
    that SciPy's would have taken.
    """
    if stage.settings.optimiser != "lbfgs":
        return None
    return "float64" if warm and stage.plan.vector_dtype is None else stage.plan.vector_dtype


def _news(stage: PreparedStage, iterations: int, warm: bool) -> str:
    """A line that says what will be painted."""
    settings, plan, (height, width) = stage.settings, stage.plan, stage.shape[:2]
    names = {"lbfgs": f"{'the graph' if _vector_dtype(stage, warm) else 'SciPy'}'s L-BFGS", "adam": "Adam"}
    name = names.get(settings.optimiser, settings.optimiser.replace("-", " "))
    line = f"{count(iterations, 'iteration')} of {name} at {width} x {height} in {settings.precision}"
    if plan.blocks:
        line += f", {count(plan.blocks, 'block')} of the network in strips of {plan.rows} rows"
    if settings.optimiser == "lbfgs" and plan.pairs < settings.corrections:
        line += f", with {count(plan.pairs, 'curvature pair')}, for want of memory"
    return line
