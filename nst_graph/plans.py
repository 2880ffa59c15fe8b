"""A Plan: how a picture's size fits into memory, decided before painting starts."""

from __future__ import annotations

from dataclasses import dataclass

from nst_graph import machine
from nst_graph.errors import InputError
from nst_graph.graph.tiles import refuse_unit_gradients
from nst_graph.optimise.history import PAIRS
from nst_graph.pictures import Picture
from nst_graph.recipes import Settings
from nst_graph.weights import Network

#: Share of the machine's memory that may be used.
SHARE = 0.8
#: Sides of tiles, the fastest first.
TILES = (1024, 768, 512, 384, 256)
#: The fewest curvature pairs with which L-BFGS is worth using.
FEWEST_PAIRS = 3
#: Bytes of one evaluation in one piece: TensorFlow itself, and each pixel (benchmarks/run.py memory).
BASE, PER_PIXEL = 1.7e9, 2200
#: Bytes a pixel whatever the tiles: pictures, gradient, the content's features.
WHOLE_PER_PIXEL = 110
#: float64 numbers a pixel and channel in SciPy's L-BFGS-B, beside those of each pair: its work
#: space (5), bounds (2), integers (2), and copies of picture and gradient (9).
LBFGS_NUMBERS = 18
#: And for each pair: SciPy's own (2), History's points and pairs (2.5), half as much as two for its Root.
PAIR_NUMBERS = 5.5


@dataclass(frozen=True)
class Plan:
    """The side of the tiles, None for one piece, and the curvature pairs that L-BFGS keeps."""

    tile: int | None
    pairs: int


def plan(network: Network, photograph: Picture, settings: Settings, memory: float | None = None) -> Plan:
    """Plan for a picture of the photograph's size in `memory` bytes, the machine's by default.

    Raises InputError where no plan fits, with what would, or where unit gradients would need tiles.
    """
    budget = SHARE * (machine.memory() if memory is None else memory)
    height, width = photograph.shape[:2]
    pixels = int(height * width)
    style = pixels * settings.style_scale * settings.style_scale  # infinite where ** would raise
    whole = WHOLE_PER_PIXEL * max(pixels, style)
    pairs = PAIRS
    if settings.optimiser == "lbfgs":
        smallest = BASE + PER_PIXEL * (TILES[-1] + 2 * network.halo) ** 2
        while whole + lbfgs_bytes(pixels, pairs) + smallest > budget and pairs > FEWEST_PAIRS:
            pairs -= 1
        whole += lbfgs_bytes(pixels, pairs)

    def bytes_for(tile: int | None) -> float:
        evaluated = max(pixels, style)
        if tile is not None:
            evaluated = min(evaluated, (tile + 2 * network.halo) ** 2)
        return BASE + whole + PER_PIXEL * evaluated

    for tile in (None, *TILES) if settings.tile is None else (settings.tile,):
        if settings.tile is not None or bytes_for(tile) <= budget:
            if tile is not None:
                refuse_unit_gradients(settings)
            return Plan(tile, pairs)
    lighter = "add --optimiser adam, or " if settings.optimiser == "lbfgs" else ""
    lighter += "take a smaller --style-scale, or " if settings.style_scale > 1 else ""
    raise InputError(
        f"--size {max(height, width)}: painting {width} x {height} pixels takes {bytes_for(TILES[-1]) / 1e9:.4g} GB "
        f"and {budget / 1e9:.1f} GB can be had; {lighter}take a smaller --size"
    )


def lbfgs_bytes(pixels: int, pairs: int) -> float:
    """The memory of SciPy's L-BFGS-B, in bytes, for a picture of so many pixels."""
    return 3 * pixels * 8 * (LBFGS_NUMBERS + PAIR_NUMBERS * pairs)
