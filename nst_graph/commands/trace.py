"""The authors' notebook: its settings, its optimiser, and the losses it printed beside ours.

Gatys' PyTorch notebook (2017) paints at 512 pixels, then goes on at 800 from what it painted. What
it did by the libraries of its day is done here by hand: Pillow's bilinear resizing, and PyTorch's
L-BFGS.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nst_graph import pictures, weights
from nst_graph.errors import InputError
from nst_graph.graph.objective import Objective, Style
from nst_graph.news import tell
from nst_graph.pictures import Picture
from nst_graph.recipes import NOTEBOOK, RECIPES

FILES = ("Tuebingen_Neckarfront.jpg", "vangogh_starry_night.jpg")
#: Evaluations from one call of the optimiser to the next: the notebook looks only then how many there were.
CALL = 20
#: PyTorch's defaults: pairs of steps and gradient differences, and the least s^T y of one that is kept.
PAIRS, LEAST_CURVATURE = 100, 1e-10


@dataclass(frozen=True)
class Stage:
    """A shorter side in pixels, and the losses that the notebook prints there, by the number it gives them.

    It counts an evaluation before it looks, and prints that count plus one: "50" is the 49th.
    """

    size: int
    published: dict[int, float]


STAGES = (
    Stage(
        512,
        {
            50: 1388532.5,
            100: 707860.75,
            150: 538045.4,
            200: 469374.9,
            250: 433804.6,
            300: 411657.6,
            350: 395248.2,
            400: 383885.3,
            450: 375128.8,
            500: 368493.8,
        },
    ),
    Stage(800, {50: 393681.7, 100: 318565.3, 150: 288719.7, 200: 272176.6}),
)


def run(images: Path, weights_file: Path | None, size: int, winograd: bool, limit: float) -> int:
    """Paint as the notebook does, and print each loss that it prints beside ours; returns the exit status.

    `size` is the shorter side in the place of 512, and the second stage's in proportion. Raises
    InputError where a picture is missing or too small.
    """
    settings = replace(RECIPES[NOTEBOOK].settings, winograd=winograd)
    path = weights_file if weights_file is not None else weights.find(settings.network, tell)
    originals = [pictures.read(images / name, limit) for name in FILES]
    whole = weights.read(path, limit)
    network = whole.upto(settings.layers)
    need = network.smallest_side(settings.layers)
    if size < need:
        raise InputError(f"--size {size}: the deepest layer needs {need} pixels; take more")
    picture: Picture | None = None
    for stage in STAGES:
        shorter = round(stage.size * size / STAGES[0].size)
        photograph, painting = (fit(original, shorter) for original in originals)
        height, width = photograph.shape[:2]
        tell(f"{whole.name}, {width} x {height} pixels; published: VGG-19, shorter side {stage.size}")
        # The notebook makes an 8-bit picture of what it painted, rounded down, and enlarges that.
        start = photograph if picture is None else resize(np.floor(np.clip(picture, 0, 255)), height, width)
        objective = Objective(network, photograph, [Style(painting)], settings)
        picture = _minimise(objective, start, stage)
        objective.close()
    return 0


def _minimise(objective: Objective, start: Picture, stage: Stage) -> Picture:
    tell("iteration  published       ours  difference")

    def observe(evaluation: int, loss: float) -> None:
        printed_as = evaluation + 1
        if printed_as in stage.published:
            published = stage.published[printed_as]
            tell(f"{printed_as:9}  {published:9.7g}  {loss:9.7g}  {loss / published - 1:+10.2%}")

    calls = max(stage.published) // CALL + 1  # it ends after the call that passes its last
    return lbfgs(objective, start, calls * CALL, observe)


def lbfgs(objective: Objective, start: Picture, iterations: int, observe: Callable[[int, float], None]) -> Picture:
    """So many iterations of torch.optim.LBFGS as the notebook uses it: steps of length 1, no line search.

    Nocedal and Wright, Numerical Optimization, algorithm 7.4; in float32, as there. `observe` is
    called with each evaluation's number and loss. Returns the picture after the last step.
    """
    pairs: deque[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]] = deque(maxlen=PAIRS)
    x, before, step = start.ravel().astype(np.float32), None, None
    for evaluation in range(1, iterations + 1):
        found = objective(x.reshape(start.shape))
        observe(evaluation, found.total)
        gradient = found.gradient.ravel().astype(np.float32)
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


def _direction(
    gradient: npt.NDArray[np.float32], pairs: deque[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]
) -> npt.NDArray[np.float32]:
    """Minus the inverse Hessian that the pairs (s, y) make, times the gradient."""
    direction = -gradient
    shares = []
    for step, change in reversed(pairs):
        shares.append(np.float32(step @ direction / (step @ change)))
        direction -= shares[-1] * change
    if pairs:
        step, change = pairs[-1]
        direction *= np.float32(step @ change / (change @ change))
    for (step, change), share in zip(pairs, reversed(shares), strict=True):
        direction += (share - np.float32(change @ direction / (step @ change))) * step
    return direction


def fit(picture: Picture, shorter: int) -> Picture:
    """Resize so that the shorter side has so many pixels; the longer is rounded down, as torchvision does."""
    height, width = picture.shape[:2]
    least = min(height, width)
    return resize(picture, height * shorter // least, width * shorter // least)


def resize(picture: Picture, height: int, width: int) -> Picture:
    """Resample as Pillow before 2.7 did: four neighbours, whatever the scale, half a pixel off, rounded down."""
    rows, columns = _between(picture.shape[0], height), _between(picture.shape[1], width)
    (top, bottom, down), (left, right, along) = rows, columns
    lines = picture[top] + down[:, None, None] * (picture[bottom] - picture[top])
    return np.floor(lines[:, left] + along[:, None] * (lines[:, right] - lines[:, left])).astype(np.float32)


def _between(have: int, want: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """For each pixel the two that it lies between, and how far it is from the first."""
    places: npt.NDArray[np.float64] = np.arange(want, dtype=np.float64) * (have / want) - 0.5
    first = np.floor(places).astype(np.intp)
    return np.maximum(first, 0), np.minimum(first + 1, have - 1), places - first
