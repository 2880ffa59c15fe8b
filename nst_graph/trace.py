"""The authors' notebook: its settings, and the losses it printed beside ours."""

from __future__ import annotations

from pathlib import Path

from nst_graph import pictures, weights
from nst_graph.errors import InputError
from nst_graph.news import tell
from nst_graph.objective import Objective, Style
from nst_graph.optimisers import Step, lbfgs
from nst_graph.painting import find_weights
from nst_graph.pictures import Picture
from nst_graph.recipes import NOTEBOOK, RECIPES

#: Shorter side of both pictures, in pixels.
SIZE = 512
#: Losses by evaluation that the notebook prints, with the real VGG-19.
PUBLISHED = {
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
}
FILES = ("Tuebingen_Neckarfront.jpg", "vangogh_starry_night.jpg")


def run(images: Path, weights_file: Path | None, size: int, iterations: int, limit: float) -> int:
    """Minimise as the notebook does, and print each 50th loss; returns the exit status.

    Both pictures keep their shape, their shorter side `size`. Raises InputError where one is
    missing.
    """
    settings = RECIPES[NOTEBOOK].settings
    path = weights_file if weights_file is not None else find_weights(settings.network, tell)
    photograph, painting = (_fit(pictures.read(images / name, limit), size) for name in FILES)
    whole = weights.read(path, limit)
    network = whole.upto(settings.layers)
    need = network.smallest_side(settings.layers)
    if size < need:
        raise InputError(f"--size {size}: the deepest layer needs {need} pixels; take more")
    objective = Objective(network, photograph, [Style(painting)], settings)
    height, width = photograph.shape[:2]
    tell(f"ours: {whole.name}, {width} x {height} pixels; published: VGG-19, shorter side {SIZE}")
    tell("evaluations  published       ours")
    due = dict(PUBLISHED)

    def observe(step: Step) -> None:
        while due and step.evaluations >= min(due):
            evaluations = min(due)
            tell(f"{evaluations:11}  {due.pop(evaluations):9.7g}  {step.total:9.7g}")

    lbfgs(objective, photograph, min(iterations, max(PUBLISHED)), observe)
    objective.close()
    return 0


def _fit(picture: Picture, shorter: int) -> Picture:
    height, width = picture.shape[:2]
    scale = shorter / min(height, width)
    return pictures.resize(picture, round(height * scale), round(width * scale))
