"""A Plan: how a picture's size fits into memory, decided before painting starts."""

from dataclasses import dataclass, replace

import numpy as np

from nst_graph import machine
from nst_graph.errors import InputError
from nst_graph.graph.tensorflow import gpu_memory, has_gpu
from nst_graph.graph.tiles import refuse_unit_gradients
from nst_graph.settings import Settings
from nst_graph.weights import Network

#: Share of the machine's memory that may be used.
SHARE = 0.8
#: Sides of tiles, the fastest first.
TILES = (1024, 768, 512, 384, 256)
#: The fewest curvature pairs with which L-BFGS is worth using.
FEWEST_PAIRS = 3
#: Bytes of one evaluation in one piece: TensorFlow itself, and each pixel (benchmarks/run.py memory).
BASE, PER_PIXEL = 1.5e9, 2500
#: Bytes a pixel whatever the tiles: pictures, gradient, the content's features.
WHOLE_PER_PIXEL = 110
#: Bytes a pixel and channel of SciPy's L-BFGS-B, in float64: its work space (5 numbers), bounds (2), integers
#: (2), copies of picture and gradient (9); and for each pair its own (2), History's points and pairs (2.5).
SCIPY, SCIPY_PAIR = 18 * 8, 4.5 * 8
#: Numbers a pixel and channel of the graph's: variables and what an operation holds; and for each pair two, with bounds
#: one more.
GRAPH, GRAPH_PAIR = 15, 2


@dataclass(frozen=True)
class Plan:
    """The side of the tiles, None for one piece; L-BFGS's curvature pairs, and the type of the graph's vectors."""

    tile: int | None
    pairs: int
    vector_dtype: str | None = None


def plan(
    network: Network,
    shape: tuple[int, int],
    style: float,
    settings: Settings,
    memory: float | None = None,
    earlier: Plan | None = None,
) -> Plan:
    """Plan for a picture of this height and width, and styles of at most so many pixels.

    `memory` is what it may take, in bytes; by default, what the GPU or the machine has. The `earlier` plan of a run
    that goes on is kept where it fits. Raises InputError where no plan fits, with what would, or where unit
    gradients would need tiles.
    """
    plans = [Plan(None, settings.corrections)] if settings.optimiser != "lbfgs" else _lbfgs_plans(settings)
    tiles = (None, *TILES) if settings.tile is None else (settings.tile,)
    budget = SHARE * (available_memory() if memory is None else memory)
    height, width = shape
    pixels = height * width
    whole = BASE + WHOLE_PER_PIXEL * max(pixels, style)

    def bytes_for(plan: Plan) -> float:
        evaluated = max(pixels, style)
        if plan.tile is not None:
            evaluated = min(evaluated, (plan.tile + 2 * network.halo) ** 2)
        total = whole + PER_PIXEL * evaluated
        return total + _lbfgs_bytes(pixels, plan, settings.bounded) if settings.optimiser == "lbfgs" else total

    if earlier is not None and bytes_for(earlier) <= budget:
        return earlier
    for candidate in plans:
        for tile in tiles:
            tiled = replace(candidate, tile=tile)
            if bytes_for(tiled) <= budget:
                if tile is not None:
                    refuse_unit_gradients(settings)
                return tiled
    least = bytes_for(replace(plans[-1], tile=tiles[-1]))
    lighter = "add --optimiser adam, or " if settings.optimiser == "lbfgs" else ""
    lighter += "leave --tile away, or " if settings.tile is not None else ""
    lighter += "take a smaller --style-scale, or " if np.max(settings.style_scale) > 1 else ""
    raise InputError(
        f"--size {max(height, width)}: painting {width} x {height} pixels takes {least / 1e9:.4g} GB "
        f"and {budget / 1e9:.1f} GB can be had; {lighter}take a smaller --size"
    )


def available_memory(paintings: int = 1) -> float:
    """The memory of the GPU, or of the machine, for each of so many paintings at a time, in bytes."""
    return (gpu_memory() or machine.memory()) / paintings


def _lbfgs_plans(settings: Settings) -> list[Plan]:
    """What L-BFGS may be, the best first: SciPy's or the graph's, that in float32, then with fewer pairs."""
    scipys: list[str | None] = [None]
    graphs: list[str | None] = ["float64", "float32"]
    lines = {"scipy": scipys, "graph": graphs, "auto": graphs if has_gpu() else [*scipys, *graphs]}[settings.lbfgs]
    most = settings.corrections
    fewer = range(most - 1, FEWEST_PAIRS - 1, -1)
    return [Plan(None, most, line) for line in lines] + [Plan(None, pairs, lines[-1]) for pairs in fewer]


def _lbfgs_bytes(pixels: int, plan: Plan, bounded: bool) -> float:
    """The memory of L-BFGS, in bytes, for a picture of so many pixels."""
    if plan.vector_dtype is None:
        return 3 * pixels * (SCIPY + SCIPY_PAIR * plan.pairs)
    return 3 * pixels * (GRAPH + (GRAPH_PAIR + bounded) * plan.pairs) * np.dtype(plan.vector_dtype).itemsize
