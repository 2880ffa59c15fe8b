"""Painting: from files and settings to a picture. What scripts/paint.py does, as one function."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from nst_graph import files, machine, pictures, weights
from nst_graph.errors import InputError, Pause
from nst_graph.graph.objective import LEAST_POSITIONS, Measure, Objective, Style
from nst_graph.graph.tensorflow import tf
from nst_graph.graph.tiles import TiledObjective
from nst_graph.optimise.optimisers import CORRECTIONS, Arrays, Outcome, Relay, Step, minimise
from nst_graph.pictures import Picture, colours
from nst_graph.plans import Plan, plan
from nst_graph.recipes import STARTS, Settings, Stage
from nst_graph.runs import timelapse
from nst_graph.runs.directory import TENSORBOARD
from nst_graph.runs.records import MODEL
from nst_graph.runs.run import Run
from nst_graph.runs.tensorboard import Events
from nst_graph.weights import Network

#: The names of networks in MODEL, where they are looked for when no file is named, the best first.
WEIGHTS = {
    "VGG-19": ("imagenet-vgg-verydeep-19.mat", "imagenet-vgg-verydeep-19-8bit.mat"),
    "VGG-16": ("imagenet-vgg-verydeep-16.mat",),
    "VGG-19 rescaled": ("imagenet-vgg-verydeep-19-rescaled.mat", "imagenet-vgg-verydeep-19-8bit-rescaled.mat"),
    "VGG-16 rescaled": ("imagenet-vgg-verydeep-16-rescaled.mat",),
}


@dataclass(frozen=True)
class Painting:
    """A painted picture [height, width, 3] in about 0..255, and how it came about."""

    picture: Picture
    outcome: Outcome


def find_weights(network: str, say: Callable[[str], None]) -> Path:
    """The network's weights in model/, or else those of its sibling, 16 for 19 layers or 19 for 16.

    Raises InputError where there are neither.
    """
    sibling = network.replace("19", "16") if "19" in network else network.replace("16", "19")
    how = "rescale FILE --images DIR" if "rescaled" in network else network.lower().replace("-", "")
    for name in (network, sibling):
        for path in (MODEL / file for file in WEIGHTS[name]):
            if path.exists():
                if name != network:
                    say(f"{name} paints in the place of {network}, which scripts/get_weights.py {how} gets")
                return path
    raise InputError(f"--weights: no {network} in {MODEL}; run scripts/get_weights.py {how}, or name a file")


def paint(
    content: Path | str,
    styles: Path | str | Sequence[Path | str],
    settings: Settings | None = None,
    *,
    weights_file: Path | str | None = None,
    masks: Sequence[Path | str] = (),
    output: Path | str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    read_limit: float = files.READ_LIMIT,
    say: Callable[[str], None] = lambda line: None,
    observers: Iterable[Callable[[Step], None]] = (),
) -> Painting:
    """Paint the photograph `content` in the style of one or several pictures.

    `masks`, one grey picture a style, say where each style is wanted. With `output` a directory
    is filled as scripts/paint.py does it, or with `resume` an unfinished one is gone on with.
    `read_limit` is the memory that reading a file may take, in GB. `observers` are called with
    every Step, `say` with lines of news. Raises InputError, before
    anything is written, where a file or a setting cannot be used, or is not what a run was begun
    with; KeyboardInterrupt, and Pause from an observer, pass through once the state is saved.
    """
    settings = settings or Settings()
    content_path = Path(content)
    style_paths = [Path(style) for style in ([styles] if isinstance(styles, str | Path) else styles)]
    mask_paths = [Path(mask) for mask in masks]
    if masks and len(mask_paths) != len(style_paths):
        raise InputError(f"--masks: {len(mask_paths)} for {len(style_paths)} styles; give one for each style")
    weights_path = Path(weights_file) if weights_file is not None else find_weights(settings.network, say)
    init_path = None if settings.init in STARTS else Path(settings.init)
    if settings.timelapse is not None:
        timelapse.check(settings.timelapse)
    run = Run(Path(output), overwrite, resume) if output is not None else None
    with run or contextlib.nullcontext():
        originals = _Originals(
            pictures.fit(pictures.read(content_path, read_limit, say), settings.size),
            [pictures.read(path, read_limit, say) for path in style_paths],
            mask_paths,
            None if init_path is None else pictures.read(init_path, read_limit, say),
            read_limit,
        )
        height, width = originals.photograph.shape[:2]
        if max(height, width) < settings.size:
            say(f"{content_path} has only {width} x {height} pixels, --size is {settings.size}: it keeps its size")
        whole = weights.read(weights_path, read_limit)
        if weights.are_transposed(whole):
            say(f"{weights_path}: its kernels lie transposed, and the painting will not be what it should; see --check")
        network = whole.upto(settings.layers)
        need = network.smallest_side(settings.layers)
        stages = _stages(settings, originals.photograph, need, say)
        photographs = [pictures.fit(originals.photograph, stage.size) for stage in stages]
        plans = [plan(network, photograph, settings) for photograph in photographs]  # before styles are enlarged
        scenes = [originals.scene(photograph, settings) for photograph in photographs]
        parts = _seen(list(zip(stages, scenes, plans, strict=True)), mask_paths, network, settings, say)
        scenes = [scene for _, scene, _ in parts]
        _check_sizes([(content_path, scenes[0].photograph)], need, "picture or --size")
        larger = "--size" if settings.style_scale >= 1 else "--style-scale or --size"
        _check_sizes(zip(style_paths, (style.picture for style in scenes[0].styles), strict=True), need, larger)
        start = pictures.start(scenes[0].base, network.mean, settings.start_noise, settings.seed)
        say(f"{whole.name} paints {width} x {height} pixels ({weights_path})")

        def finish(picture: Picture) -> Picture:
            photograph = pictures.resize(originals.photograph, picture.shape[0], picture.shape[1])
            return colours.keep(picture, photograph) if settings.colours == "luminance" else picture

        begun = run.state.step if run is not None and run.state is not None else None
        if begun is not None:
            _check_begun(begun, scenes)
            say(f"goes on from iteration {begun.iteration}")
        observers = list(observers)
        if run is not None:
            record = {
                "content": _source(content_path),
                "styles": [_source(path) for path in style_paths],
                "masks": [_source(path) for path in mask_paths],
                "init": None if init_path is None else _source(init_path),
                "weights": _source(weights_path) | {"network": whole.name},
                "settings": asdict(settings),
                "read_limit": read_limit,
                "width": width,
                "height": height,
                "versions": _versions(),
                # "0", "1", or null where TensorFlow itself decides.
                "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
            }
            painted = scenes[-1]
            shown = {f"style-{number}": style.picture for number, style in enumerate(painted.styles, 1)}
            sources = {"content": content_path} | ({} if init_path is None else {"init": init_path})
            sources |= {f"style-{number}": path for number, path in enumerate(style_paths, 1)}
            sources |= {f"mask-{number}": path for number, path in enumerate(mask_paths, 1)}
            run.open(record, finish, {"content": painted.photograph} | shown, sources)
            observers.insert(0, run.observe)
            if settings.tensorboard:
                observers.append(Events(run.path / TENSORBOARD, run.mark, settings.save_every, finish).observe)
        try:
            outcome = _paint_stages(network, parts, start, begun, settings, observers, say)
        except BaseException as error:
            if run is not None:
                states = {KeyboardInterrupt: "interrupted", Pause: "paused"}
                # Where a disk is full this fails too; the last whole state is there.
                with contextlib.suppress(*([OSError] if isinstance(error, OSError) else [])):
                    run.close({"state": states.get(type(error), f"failed: {error}")}, finished=False)
            raise
        if run is not None:
            run.close({"state": "finished", "reason": outcome.reason}, finished=True)
        return Painting(finish(outcome.step.picture.astype(np.float32)), outcome)


def _paint_stages(
    network: Network,
    stages: Sequence[tuple[Stage, Scene, Plan]],
    picture: Picture,
    last: Step | None,
    settings: Settings,
    observers: Sequence[Callable[[Step], None]],
    say: Callable[[str], None],
) -> Outcome:
    """Paint one stage after the other, each from the picture of the one before; or on from `last`.

    A stage that gains nothing more leaves the rest of its iterations to the next one of its size.
    """
    memory: Arrays | None = None
    before = stages[0][1].photograph
    measure = Measure(network, settings)
    planned = 0
    for index, (stage, scene, room) in enumerate(stages):
        planned = stage.iterations + (planned if scene.photograph.shape == before.shape else 0)
        if last is not None and last.stage == index:
            picture, memory = last.picture, last.memory()
        elif last is not None and last.stage < index:
            picture, memory = _carry(last, before, scene.photograph, settings)
        before = scene.photograph
        if last is not None and last.stage > index:
            continue
        iterations = planned
        if last is not None and last.picture.shape == before.shape:
            iterations -= last.iteration - last.before
        say(_news(replace(stage, iterations=iterations), scene, room, settings))
        relay = Relay(observers, index, last)
        compute = tf.bfloat16 if stage.bfloat16 else None
        given = network, scene.photograph, scene.styles, settings
        here = replace(settings, iterations=iterations)
        try:
            objective = (
                Objective(*given, compute=compute, measure=measure)
                if room.tile is None
                else TiledObjective(*given, room.tile, compute=compute)
            )
            outcome = minimise(objective, picture, here, relay.observe, room.corrections, memory)
        except tf.errors.ResourceExhaustedError as error:  # TensorFlow's MemoryError
            raise MemoryError("memory ran out") from error
        objective.close()
        del objective
        machine.give_memory_back()  # or many paintings in one process would pile up
        last = relay.counted(outcome.step)
    measure.close()
    assert last is not None  # settings have one stage at least
    return Outcome(last, outcome.reason)


def _carry(step: Step, before: Picture, photograph: Picture, settings: Settings) -> tuple[Picture, Arrays | None]:
    """Where a stage begins after a step of the one before: its picture, and the optimiser's memory."""
    picture = step.picture.astype(np.float32)
    if photograph.shape == before.shape:
        return picture, step.memory()
    if settings.alpha > 0:
        return pictures.carry(picture, before, photograph), None
    return pictures.enlarge(picture, *photograph.shape[:2]), None


def _check_begun(begun: Step, scenes: Sequence[Scene]) -> None:
    if begun.stage >= len(scenes) or begun.picture.shape != scenes[begun.stage].photograph.shape:
        raise InputError(
            "state.npz: its stages are not these; with --precision auto a run goes on only on a like processor; "
            "resume it there, or paint anew with --overwrite"
        )


def _seen(
    parts: list[tuple[Stage, Scene, Plan]],
    masks: Sequence[Path],
    network: Network,
    settings: Settings,
    say: Callable[[str], None],
) -> list[tuple[Stage, Scene, Plan]]:
    """The stages in which each mask has a layer that it covers something of.

    Raises InputError where one has none at the full size.
    """
    full = parts[-1][1].photograph.shape
    kept = []
    for stage, scene, fitting in parts:
        height, width = scene.photograph.shape[:2]
        for path, style in zip(masks, scene.styles, strict=False):
            assert style.mask is not None  # there is a mask for each style
            most = max(float(network.shrink(style.mask, layer).sum()) for layer in settings.style_layers)
            if most < LEAST_POSITIONS and scene.photograph.shape == full:
                remedy = "draw more of it white, or take a larger --size or a shallower layer"
                raise InputError(f"{path}: at {width} x {height} it covers no position of a style layer; {remedy}")
            if most < LEAST_POSITIONS:
                say(f"scale {stage.size} is left out: {path} covers no position of a style layer there")
                break
        else:
            kept.append((stage, scene, fitting))
    return kept


def _check_sizes(named: Iterable[tuple[Path, Picture]], need: int, what: str) -> None:
    for path, picture in named:
        height, width = picture.shape[:2]
        if min(height, width) < need:
            raise InputError(
                f"{path}: {width} x {height} pixels are too few for the deepest layer, which needs {need} each way; "
                f"take a larger {what}, or layers that are less deep"
            )


@dataclass(frozen=True)
class Scene:
    """What is painted at one size: photograph, styles, and what the start is mixed from."""

    photograph: Picture
    styles: list[Style]
    base: Picture


@dataclass(frozen=True)
class _Originals:
    photograph: Picture
    styles: list[Picture]
    masks: list[Path]
    init: Picture | None
    read_limit: float

    def scene(self, photograph: Picture, settings: Settings) -> Scene:
        """Bring everything to the size of the photograph."""
        height, width = photograph.shape[:2]
        scale = settings.style_scale
        styles = []
        for index, (original, share) in enumerate(zip(self.styles, settings.blend(len(self.styles)), strict=True)):
            picture = pictures.resize(original, max(1, round(height * scale)), max(1, round(width * scale)))
            if settings.colours in ("histogram", "covariance"):
                picture = colours.match(picture, photograph, settings.colours)
            mask = pictures.read_mask(self.masks[index], height, width, self.read_limit) if self.masks else None
            styles.append(Style(picture, share, mask))
        if self.init is not None:
            base = pictures.resize(self.init, height, width)
        elif settings.init != "style":
            base = photograph
        elif styles:
            base = pictures.resize(styles[0].picture, height, width)
        else:
            raise InputError("--init style: there is no style; name a STYLE or another start")
        return Scene(photograph, styles, base)


def _stages(settings: Settings, photograph: Picture, need: int, say: Callable[[str], None]) -> list[Stage]:
    """The stages for a photograph, without scales not below it, or with sides below `need`."""
    narrow = settings.precision != "float32" and machine.likes_bfloat16(settings.winograd)
    if settings.precision != "float32" and not narrow:
        slower = "it paints all the same" if settings.precision == "bfloat16" else "float32 paints"
        than = "float32 with --winograd" if settings.winograd else "float32"
        say(f"--precision {settings.precision}: bfloat16 is not faster than {than} on this machine; {slower}")
    longer, shorter = max(photograph.shape[:2]), min(photograph.shape[:2])
    stages = settings.stages(narrow)
    last = [replace(stage, size=longer) for stage in stages if stage.size == settings.size]
    coarse = [stage for stage in stages if stage.size < min(longer, settings.size)]
    for stage in coarse:
        if round(shorter * stage.size / longer) < need:
            say(f"scale {stage.size} is left out: a side would have fewer than the {need} pixels that the layers need")
    return [stage for stage in coarse if round(shorter * stage.size / longer) >= need] + last


def _news(stage: Stage, scene: Scene, room: Plan, settings: Settings) -> str:
    height, width = scene.photograph.shape[:2]
    line = f"{stage.iterations} iterations at {width} x {height} in {'bfloat16' if stage.bfloat16 else 'float32'}"
    if room.tile is not None:
        line += f", in tiles of {room.tile}"
    if settings.optimiser == "lbfgs" and room.corrections < CORRECTIONS:
        line += f", with {room.corrections} corrections of L-BFGS, for want of memory"
    return line


def _source(path: Path) -> dict[str, str]:
    return {"path": str(path.resolve()), "sha256": files.sha256(path)}


def _versions() -> dict[str, str]:
    packages = ("nst_graph", "tensorflow", "scipy", "numpy", "imageio", "pillow")
    return {"python": platform.python_version()} | {package: version(package) for package in packages}
