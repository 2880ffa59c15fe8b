"""The authors' notebooks repeated: their settings and optimiser, and the losses they printed beside ours.

Each paints at 512 pixels, then larger from the result. PyTorch's L-BFGS, which is Torch's, is reimplemented here as it
was at that time. The published losses are in a table beside this file, by the size of the stage and the notebook's
number of the evaluation: of the layers, the style's first, and in total; or in total alone.
"""

import io
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nst_graph import files, images, weights
from nst_graph.errors import InputError
from nst_graph.evaluation import Evaluation, Floats
from nst_graph.images import Picture
from nst_graph.model.objective import Objective, Style
from nst_graph.news import tell
from nst_graph.optimise.steps import Function
from nst_graph.recipes import NOTEBOOKS, RECIPES

FILES = ("Tuebingen_Neckarfront.jpg", "vangogh_starry_night.jpg")
#: Torch's defaults: the number of curvature pairs (s, y), and the smallest s^T y of a pair that is used.
PAIRS, LEAST_CURVATURE = 100, 1e-10
#: The least grey level of a figure's ground.
GROUND = 250

Vector = npt.NDArray[np.float32]


def run(
    name: str,
    directory: Path,
    weights_file: Path | None,
    changes: dict[str, Any],
    limit: float,
    theirs: Sequence[Path],
    output: Path | None,
) -> None:
    """Paint as the notebook of this name does, but for changed settings, and print its losses beside ours.

    The size is that of the first stage, and the second one's follows. `theirs` are pictures with axes that the notebook
    shows after each stage: how near ours are is printed. Ours go into the directory `output`. Raises InputError if a
    picture is missing or too small.
    """
    (fit_size, enlarge, ahead, more), table = NOTEBOOK_OF[name], published(name)
    settings = replace(RECIPES[NOTEBOOKS[name]].settings, **{"size": min(table)} | changes)
    path = weights_file if weights_file is not None else weights.find(settings.network, tell)
    originals = [images.read(directory / file, limit) for file in FILES]
    shown = [within_axes(images.read(file, limit, ground=255)) for file in theirs]
    whole = weights.read(path, limit)
    network = whole.upto(settings.layers, settings.pool_rounding)
    need, size = network.smallest_side(settings.layers), settings.size or min(table)
    if size < need:
        raise InputError(f"--size {size}: the deepest layer needs {need} pixels; take more")
    picture: Picture | None = None
    for stage, (side, losses) in enumerate(table.items()):
        photograph, painting = (fit_size(original, round(side * size / min(table))) for original in originals)
        height, width = photograph.shape[:2]
        what = "shorter side" if settings.side == "shorter" else "root of the area"
        tell(f"{whole.name}, {width} x {height} pixels; published: VGG-19, {what} {side}")
        start = photograph if picture is None else enlarge(picture, height, width)
        tell("iteration  published       ours  difference")
        with Objective(network, photograph, [Style(painting)], settings) as objective:
            picture = lbfgs(objective.by_layer, start, max(losses) + more, partial(_compare, losses, ahead))
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            with files.atomic(output / f"{name}-{side}.png") as file:
                file.write(images.to_png(picture))
        if stage < len(shown):
            correlation, levels = nearness(picture, shown[stage])
            tell(f"{theirs[stage].name}: correlation {correlation:.3f}, mean difference {levels:.1f} grey levels")


def published(name: str) -> dict[int, dict[int, Floats]]:
    """The losses that a notebook printed, by size and number."""
    rows = np.loadtxt(Path(__file__).with_name(f"{name}.csv"), delimiter=",", skiprows=1)
    return {int(size): {int(row[1]): row[2:] for row in rows if row[0] == size} for size in dict.fromkeys(rows[:, 0])}


def _compare(losses: Mapping[int, Floats], ahead: int, evaluation: int, result: Evaluation) -> None:
    """Print an evaluation's losses beside those published of it, and of number 1 the total, of which none is."""
    number, ours = evaluation + ahead, {**result.terms, "": result.total}
    if number == 1:
        tell(f"{number:9}  {'':9}  {result.total:9.7g}")
    theirs = losses.get(number, np.empty(0))
    for layer, loss in zip(list(ours)[-len(theirs) :], theirs, strict=False):
        tell(f"{number:9}  {loss:9.7g}  {ours[layer]:9.7g}  {ours[layer] / loss - 1:+10.2%}  {layer}".rstrip())


def lbfgs(objective: Function, start: Picture, iterations: int, observe: Callable[[int, Evaluation], None]) -> Picture:
    """Minimise like torch.optim.LBFGS in the notebooks: in float32, with steps of length 1 and no line search.

    Nocedal and Wright, Numerical Optimization, algorithm 7.4. `observe` is called with each
    evaluation's number and result. Returns the picture after the last step.
    """
    pairs: deque[tuple[Vector, Vector]] = deque(maxlen=PAIRS)
    x, before, step = start.ravel().astype(np.float32), None, None
    for evaluation in range(1, iterations + 1):
        result = objective(x.reshape(start.shape))
        observe(evaluation, result)
        gradient = result.gradient.ravel().astype(np.float32)
        if before is not None and step is not None:
            change = gradient - before
            if float(step @ change) > LEAST_CURVATURE:
                pairs.append((step, change))
        direction = _direction(gradient, pairs)
        if before is None:
            direction *= np.float32(min(1, 1 / np.abs(gradient).sum(dtype=np.float64)))
        before, step = gradient, direction
        x = x + step
    return x.reshape(start.shape)


def _direction(gradient: Vector, pairs: deque[tuple[Vector, Vector]]) -> Vector:
    """Minus the inverse Hessian, approximated from the pairs (s, y), times the gradient."""
    direction = -gradient
    alphas = []
    for step, change in reversed(pairs):
        alphas.append(np.float32(step @ direction / (step @ change)))
        direction -= alphas[-1] * change
    if pairs:
        step, change = pairs[-1]
        direction *= np.float32(step @ change / (change @ change))
    for (step, change), alpha in zip(pairs, reversed(alphas), strict=True):
        direction += (alpha - np.float32(change @ direction / (step @ change))) * step
    return direction


def fit(picture: Picture, shorter: int) -> Picture:
    """Resize so that the shorter side has `shorter` pixels; the longer one is rounded down, as in torchvision."""
    height, width = picture.shape[:2]
    least = min(height, width)
    return resize(picture, height * shorter // least, width * shorter // least)


def resize(picture: Picture, height: int, width: int) -> Picture:
    """Resample as Pillow before 2.7: bilinear at any scale, shifted by half a pixel, rounded down."""
    for axis, new in enumerate((height, width)):
        old = picture.shape[axis]
        positions = np.arange(new) * (old / new) - 0.5
        picture = np.apply_along_axis(partial(np.interp, positions, np.arange(old)), axis, picture)
    return np.floor(picture).astype(np.float32)


def fit_area(picture: Picture, size: int) -> Picture:
    """Reduce to as many pixels as a square of `size` has, sides rounded up; a smaller picture stays.

    By scikit-image's pyramid_reduce, which blurs and then interpolates linearly.
    """
    from skimage.transform import pyramid_reduce

    factor = math.sqrt(math.prod(picture.shape[:2])) / size
    if factor <= 1:
        return picture
    reduced = pyramid_reduce(picture.astype(np.float64), factor, channel_axis=-1, preserve_range=True)
    return np.asarray(reduced, np.float32)


def enlarge_jpeg(picture: Picture, height: int, width: int) -> Picture:
    """Enlarge linearly, in 8 bits, what the Torch notebook reads again from a JPEG of Pillow's quality."""
    file = io.BytesIO()
    Image.fromarray(images.to_bytes(picture)).save(file, "JPEG")
    return np.asarray(Image.open(file).resize((width, height), Image.Resampling.BILINEAR), np.float32)


def within_axes(figure: Picture) -> Picture:
    """The picture [height, width, 3] in a figure with axes: what their frame, a pixel wide, surrounds."""
    dark = figure.min(axis=2) < GROUND
    (top, bottom), (left, right) = (np.flatnonzero(dark.mean(axis=axis) > 0.3)[[0, -1]] for axis in (1, 0))
    return figure[top + 1 : bottom, left + 1 : right]


def nearness(picture: Picture, shown: Picture) -> tuple[float, float]:
    """The correlation of a picture with one that is shown smaller, and their mean difference in grey levels."""
    reduced = images.resize(picture, *shown.shape[:2])
    return float(np.corrcoef(reduced.ravel(), shown.ravel())[0, 1]), float(np.abs(reduced - shown).mean())


#: How each notebook brings a picture to a size and enlarges what it painted, which PyTorch's first converts to 8 bits,
#: rounding down; by how much its number of an evaluation is ahead of ours; how many follow the last that it prints.
NOTEBOOK_OF: dict[str, tuple[Callable[[Picture, int], Picture], Callable[[Picture, int, int], Picture], int, int]] = {
    "pytorch": (fit, lambda picture, *size: resize(np.floor(np.clip(picture, 0, 255)), *size), 1, 20),
    "torch": (fit_area, enlarge_jpeg, 0, 0),
}
