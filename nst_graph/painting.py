"""Painting: from files and settings to a picture. What scripts/paint.py does, as one function."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from nst_graph import colours, files, pictures, weights
from nst_graph.errors import InputError
from nst_graph.objective import Objective, Style
from nst_graph.optimisers import Outcome, Step, minimise
from nst_graph.pictures import Picture
from nst_graph.recipes import Settings
from nst_graph.run import Run
from nst_graph.weights import Network

ROOT = Path(__file__).resolve().parent.parent

#: Where networks are looked for when no file is named.
MODEL = ROOT / "model"
WEIGHTS = {
    "VGG-19": "imagenet-vgg-verydeep-19.mat",
    "VGG-16": "imagenet-vgg-verydeep-16.mat",
    "VGG-19 rescaled": "imagenet-vgg-verydeep-19-rescaled.mat",
    "VGG-16 rescaled": "imagenet-vgg-verydeep-16-rescaled.mat",
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
    for name in (network, sibling):
        path = MODEL / WEIGHTS[name]
        if path.exists():
            if name != network:
                say(f"{network} is wanted, but {MODEL / WEIGHTS[network]} is not there: {name} paints in its place")
            return path
    how = "rescale FILE --images DIR" if "rescaled" in network else "vgg16"
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
    say: Callable[[str], None] = lambda line: None,
    observers: Iterable[Callable[[Step], None]] = (),
) -> Painting:
    """Paint the photograph `content` in the style of one or several pictures.

    `masks`, one grey picture a style, say where each style is wanted. With `output` a directory
    is filled as scripts/paint.py does it. `observers` are called with every Step, `say` with lines
    of news. Raises InputError, before anything is written, where a file or a setting cannot be
    used; KeyboardInterrupt passes through once the picture is saved.
    """
    settings = settings or Settings()
    content_path = Path(content)
    style_paths = [Path(style) for style in ([styles] if isinstance(styles, str | Path) else styles)]
    mask_paths = [Path(mask) for mask in masks]
    if masks and len(mask_paths) != len(style_paths):
        raise InputError(f"--masks: {len(mask_paths)} for {len(style_paths)} styles; give one for each style")
    weights_path = Path(weights_file) if weights_file is not None else find_weights(settings.network, say)
    run = Run(Path(output), overwrite) if output is not None else None

    photograph = pictures.fit(pictures.read(content_path), settings.size)
    height, width = photograph.shape[:2]
    if max(height, width) < settings.size:
        say(f"{content_path} has only {width} x {height} pixels, --size is {settings.size}: it keeps its size")
    targets = _styles(photograph, style_paths, mask_paths, settings)
    whole = weights.read(weights_path)
    network = whole.upto(settings.layers)
    need = network.smallest_side(settings.layers)
    for path, style in [(content_path, Style(photograph)), *zip(style_paths, targets, strict=True)]:
        if min(style.picture.shape[:2]) < need:
            sides = f"{style.picture.shape[1]} x {style.picture.shape[0]}"
            raise InputError(
                f"{path}: {sides} pixels are too few for the deepest layer, which needs {need} each way; "
                "take a larger picture or --size, or layers that are less deep"
            )
    start = _start(photograph, targets, settings, network)
    say(f"{whole.name} paints {width} x {height} pixels ({weights_path})")

    def finish(picture: Picture) -> Picture:
        return colours.keep(picture, photograph) if settings.colours == "luminance" else picture

    observers = list(observers)
    if run is not None:
        record = {
            "content": _source(content_path),
            "styles": [_source(path) for path in style_paths],
            "masks": [_source(path) for path in mask_paths],
            "weights": _source(weights_path) | {"network": whole.name},
            "settings": asdict(settings),
            "width": width,
            "height": height,
            "versions": _versions(),
        }
        run.open(record, settings.save_every, finish)
        observers.insert(0, run.observe)

    def observe(step: Step) -> None:
        for observer in observers:
            observer(step)

    try:
        outcome = minimise(Objective(network, photograph, targets, settings), start, settings, observe)
    except BaseException as error:
        if run is not None:
            interrupted = isinstance(error, KeyboardInterrupt)
            run.close({"state": "interrupted" if interrupted else f"failed: {type(error).__name__}"})
        raise
    if run is not None:
        run.close({"state": "finished", "reason": outcome.reason, "restarts": outcome.restarts})
    return Painting(finish(outcome.step.picture.astype(np.float32)), outcome)


def _styles(photograph: Picture, paths: list[Path], masks: list[Path], settings: Settings) -> list[Style]:
    height, width = photograph.shape[:2]
    styles = []
    for index, (path, share) in enumerate(zip(paths, settings.blend(len(paths)), strict=True)):
        sides = (max(1, round(side * settings.style_scale)) for side in (height, width))
        picture = pictures.resize(pictures.read(path), *sides)
        if settings.colours in ("histogram", "covariance"):
            picture = colours.match(picture, photograph, settings.colours)
        mask = pictures.read_mask(masks[index], height, width) if masks else None
        styles.append(Style(picture, share, mask))
    return styles


def _start(photograph: Picture, styles: list[Style], settings: Settings, network: Network) -> Picture:
    height, width = photograph.shape[:2]
    if settings.init in ("noise", "content"):
        base = photograph
    elif settings.init != "style":
        base = pictures.resize(pictures.read(Path(settings.init)), height, width)
    elif styles:
        base = pictures.resize(styles[0].picture, height, width)
    else:
        raise InputError("--init style: there is no style; name a STYLE or another start")
    return pictures.start(base, network.mean, settings.start_noise, settings.seed)


def _source(path: Path) -> dict[str, str]:
    return {"path": str(path.resolve()), "sha256": files.sha256(path)}


def _versions() -> dict[str, str]:
    packages = ("nst_graph", "tensorflow", "scipy", "numpy", "imageio", "pillow")
    return {"python": platform.python_version()} | {package: version(package) for package in packages}
