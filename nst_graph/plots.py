"""losses.png: the loss curves of a run, where matplotlib is installed."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

from nst_graph import curves, files


def write(directory: Path) -> None:
    """Draw losses.png from losses.csv: total and terms over iterations, logarithmic.

    Does nothing without matplotlib. Raises OSError as open and write do.
    """
    found = curves.read(directory)
    if importlib.util.find_spec("matplotlib") is None or not found:
        return
    # Without a home directory it warns of its cache, which is nobody's concern here.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    # Not pyplot: no window, no global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5))
    axis = figure.subplots()
    for name in ("total", *(name for name in found if name not in (*curves.COUNTS, "total"))):
        axis.plot(found["iteration"], found[name], label=name)
    axis.set(yscale="log", xlabel="iteration", ylabel="loss (terms unweighted, total weighted)")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.tight_layout()
    with files.atomic(directory / "losses.png") as file:
        figure.savefig(file, format="png", dpi=100)
