"""The authors' notebook repeated: its settings and optimiser, and the losses it printed beside ours.

Gatys' PyTorch notebook (2017) paints at 512 pixels, then at 800 from the result. PyTorch's L-BFGS is
reimplemented here as it was at that time.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nst_graph import images, weights
from nst_graph.errors import InputError
from nst_graph.images import Picture
from nst_graph.model.objective import Objective, Style
from nst_graph.news import tell
from nst_graph.recipes import NOTEBOOK, RECIPES

FILES = ("Tuebingen_Neckarfront.jpg", "vangogh_starry_night.jpg")
#: Evaluations in each call of the notebook's optimiser; only after a call does the notebook check their number.
CALL = 20
#: PyTorch's defaults: the number of curvature pairs (s, y), and the smallest s^T y of a pair that is used.
PAIRS, LEAST_CURVATURE = 100, 1e-10

Vector = npt.NDArray[np.float32]


_AT_512 = (1388532.5, 707860.75, 538045.4, 469374.9, 433804.6, 411657.6, 395248.2, 383885.3, 375128.8, 368493.8)
#: The stages: the losses that the notebook prints, by the shorter side in pixels, and by its numbers for them.
#: These are one more than the number of the evaluation: "50" is the 49th.
PUBLISHED = {
    512: dict(zip(range(50, 501, 50), _AT_512, strict=True)),
    800: {50: 393681.7, 100: 318565.3, 150: 288719.7, 200: 272176.6},
}


def run(directory: Path, weights_file: Path | None, size: int | None, convolutions: str, limit: float) -> None:
    """Paint as the notebook does, and print its losses beside ours.

    `size` replaces 512, and 800 likewise. Raises InputError if a picture is missing or too small.
    """
    size = next(iter(PUBLISHED)) if size is None else size
    settings = replace(RECIPES[NOTEBOOK].settings, convolutions=convolutions)
    path = weights_file if weights_file is not None else weights.find(settings.network, tell)
    originals = [images.read(directory / name, limit) for name in FILES]
    whole = weights.read(path, limit)
    network = whole.upto(settings.layers)
    need = network.smallest_side(settings.layers)
    if size < need:
        raise InputError(f"--size {size}: the deepest layer needs {need} pixels; take more")
    picture: Picture | None = None
    for side, published in PUBLISHED.items():
        shorter = round(side * size / 512)
        photograph, painting = (fit(original, shorter) for original in originals)
        height, width = photograph.shape[:2]
        tell(f"{whole.name}, {width} x {height} pixels; published: VGG-19, shorter side {side}")
        # The notebook converts the result to 8 bits, rounding down, before it enlarges it.
        start = photograph if picture is None else resize(np.floor(np.clip(picture, 0, 255)), height, width)
        objective = Objective(network, photograph, [Style(painting)], settings)
        calls = max(published) // CALL + 1  # the notebook stops after the call in which it prints the last loss
        tell("iteration  published       ours  difference")
        picture = lbfgs(objective, start, calls * CALL, partial(_compare, published))
        objective.close()


def _compare(published: dict[int, float], evaluation: int, loss: float) -> None:
    number = evaluation + 1
    if number in published:
        theirs = published[number]
        tell(f"{number:9}  {theirs:9.7g}  {loss:9.7g}  {loss / theirs - 1:+10.2%}")


def lbfgs(objective: Objective, start: Picture, iterations: int, observe: Callable[[int, float], None]) -> Picture:
    """Minimise like torch.optim.LBFGS in the notebook: in float32, with steps of length 1 and no line search.

    Nocedal and Wright, Numerical Optimization, algorithm 7.4. `observe` is called with each
    evaluation's number and loss. Returns the picture after the last step.
    """
    pairs: deque[tuple[Vector, Vector]] = deque(maxlen=PAIRS)
    x, before, step = start.ravel().astype(np.float32), None, None
    for evaluation in range(1, iterations + 1):
        result = objective(x.reshape(start.shape))
        observe(evaluation, result.total)
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
