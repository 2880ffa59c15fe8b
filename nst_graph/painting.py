"""Painting: from files and settings to a picture. What scripts/paint.py does, as one function."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from nst_graph import files, pictures, weights
from nst_graph.errors import InputError
from nst_graph.objective import Objective
from nst_graph.optimisers import Outcome, Step, lbfgs
from nst_graph.pictures import Picture
from nst_graph.recipes import Settings
from nst_graph.run import Run

ROOT = Path(__file__).resolve().parent.parent

#: Where the weights are looked for when none are named, the best first.
WEIGHTS = (
    ROOT / "model" / "imagenet-vgg-verydeep-19.mat",
    ROOT / "model" / "imagenet-vgg-verydeep-16.mat",
)


@dataclass(frozen=True)
class Painting:
    """A painted picture [height, width, 3] in about 0..255, and how it came about."""

    picture: Picture
    outcome: Outcome


def find_weights() -> Path:
    """The weights in model/. Raises InputError where there are none."""
    for path in WEIGHTS:
        if path.exists():
            return path
    raise InputError(f"--weights: none in {WEIGHTS[0].parent}; run scripts/get_weights.py vgg16, or name a file")


def paint(
    content: Path | str,
    styles: Path | str | Sequence[Path | str],
    settings: Settings | None = None,
    *,
    weights_file: Path | str | None = None,
    output: Path | str | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda line: None,
    observers: Iterable[Callable[[Step], None]] = (),
) -> Painting:
    """Paint the photograph `content` in the style of one or several pictures.

    With `output` a directory is filled as scripts/paint.py does it. `observers` are called with
    every Step, `say` with lines of news. Raises InputError, before anything is written, where a
    file or a setting cannot be used; KeyboardInterrupt passes through once the picture is saved.
    """
    settings = settings or Settings()
    content_path = Path(content)
    style_paths = [Path(style) for style in ([styles] if isinstance(styles, str | Path) else styles)]
    weights_path = Path(weights_file) if weights_file is not None else find_weights()
    settings.blend(len(style_paths))
    run = Run(Path(output), overwrite) if output is not None else None

    photograph = pictures.fit(pictures.read(content_path), settings.size)
    height, width = photograph.shape[:2]
    if max(height, width) < settings.size:
        say(f"{content} has only {width} x {height} pixels, --size is {settings.size}: it keeps its size")
    paintings = [pictures.resize(pictures.read(style), height, width) for style in style_paths]
    base = {"noise": photograph, "content": photograph, "style": paintings[0]}.get(settings.init)
    if base is None:
        base = pictures.resize(pictures.read(Path(settings.init)), height, width)

    whole = weights.read(weights_path)
    layers = [*settings.content_layers, *settings.style_layers]
    network = whole.upto(layers)
    need = network.smallest_side(layers)
    if min(height, width) < need:
        raise InputError(
            f"{content}: {width} x {height} pixels are too few for the deepest layer, which needs {need} each way; "
            "take a larger picture or --size, or layers that are less deep"
        )
    say(f"{whole.name} paints {width} x {height} pixels ({weights_path})")
    start = pictures.start(base, network.mean, settings.start_noise, settings.seed)

    observers = list(observers)
    if run is not None:
        record = {
            "content": _source(content_path),
            "styles": [_source(style) for style in style_paths],
            "weights": _source(weights_path) | {"network": whole.name},
            "settings": asdict(settings),
            "width": width,
            "height": height,
            "versions": _versions(),
        }
        run.open(record, settings.save_every)
        observers.insert(0, run.observe)

    def observe(step: Step) -> None:
        for observer in observers:
            observer(step)

    try:
        objective = Objective(network, photograph, paintings, settings)
        outcome = lbfgs(objective, start, settings.iterations, observe)
    except BaseException as error:
        if run is not None:
            interrupted = isinstance(error, KeyboardInterrupt)
            run.close({"state": "interrupted" if interrupted else f"failed: {type(error).__name__}"})
        raise
    if run is not None:
        run.close({"state": "finished", "reason": outcome.reason, "restarts": outcome.restarts})
    return Painting(outcome.step.picture.astype(np.float32), outcome)


def _source(path: Path) -> dict[str, str]:
    return {"path": str(path.resolve()), "sha256": files.sha256(path)}


def _versions() -> dict[str, str]:
    packages = ("nst_graph", "tensorflow", "scipy", "numpy", "imageio", "pillow")
    return {"python": platform.python_version()} | {package: version(package) for package in packages}
