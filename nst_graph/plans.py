"""A Plan: how a size fits into memory, decided before painting starts."""

from __future__ import annotations

from dataclasses import dataclass

from nst_graph import machine
from nst_graph.errors import InputError
from nst_graph.graph.tiles import halo, refuse_unit_gradients
from nst_graph.optimise.optimisers import CORRECTIONS
from nst_graph.pictures import Picture
from nst_graph.recipes import Settings
from nst_graph.weights import Network

#: Share of the machine's memory that is planned with.
SHARE = 0.8
#: Sides of tiles that are tried, the fastest first, and the fewest corrections worth keeping.
SIDES = (1024, 768, 512, 384, 256)
FEWEST = 3


@dataclass(frozen=True)
class Plan:
    """The side of the tiles, None for one piece, and the corrections that L-BFGS keeps."""

    tile: int | None
    corrections: int


def plan(network: Network, photograph: Picture, settings: Settings, have: float | None = None) -> Plan:
    """Plan for a picture of the photograph's size in `have` bytes, the machine's by default.

    Raises InputError where no plan fits, with what would.
    """
    found = _fit(network, photograph, settings, SHARE * (machine.memory() if have is None else have))
    if found.tile is not None:
        refuse_unit_gradients(settings)
    return found


def _fit(network: Network, photograph: Picture, settings: Settings, budget: float) -> Plan:
    height, width = photograph.shape[:2]
    pixels, reach = int(height * width), halo(network)
    style = pixels * settings.style_scale * settings.style_scale  # of a painting; infinite where ** would raise
    kept = float(machine.KEPT_PER_PIXEL * max(pixels, style))
    corrections = CORRECTIONS
    if settings.optimiser == "lbfgs":
        smallest = machine.BASE + machine.PER_PIXEL * (SIDES[-1] + 2 * reach) ** 2
        while kept + machine.lbfgs_bytes(pixels, corrections) + smallest > budget and corrections > FEWEST:
            corrections -= 1
        kept += machine.lbfgs_bytes(pixels, corrections)
    if settings.tile is not None:
        return Plan(settings.tile, corrections)

    def bytes_for(side: int | None) -> float:
        whole = max(pixels, style)
        seen = whole if side is None else min(whole, (side + 2 * reach) ** 2)
        return machine.BASE + kept + machine.PER_PIXEL * seen

    for side in (None, *SIDES):
        if bytes_for(side) <= budget:
            return Plan(side, corrections)
    lighter = "add --optimiser adam, or " if settings.optimiser == "lbfgs" else ""
    lighter += "take a smaller --style-scale, or " if settings.style_scale > 1 else ""
    raise InputError(
        f"--size {max(height, width)}: painting {width} x {height} pixels takes {bytes_for(SIDES[-1]) / 1e9:.4g} GB "
        f"and {budget / 1e9:.1f} GB can be had; {lighter}take a smaller --size"
    )
