"""losses.png: the loss curves of a run, where matplotlib is installed."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

from nst_graph import files


def write(directory: Path) -> None:
    """Draw losses.png from losses.csv: total and terms over iterations, logarithmic.

    Does nothing without matplotlib. Raises OSError as open and write do.
    """
    if importlib.util.find_spec("matplotlib") is None or not (directory / "losses.csv").exists():
        return
    # Not pyplot: no window, no global state.
    from matplotlib.figure import Figure

    with (directory / "losses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    figure = Figure(figsize=(8, 4.5))
    axis = figure.subplots()
    iterations = [int(row["iteration"]) for row in rows]
    for name in ("total", *(name for name in rows[0] if name not in ("iteration", "evaluations", "seconds", "total"))):
        axis.plot(iterations, [float(row[name]) for row in rows], label=name)
    axis.set(yscale="log", xlabel="iteration", ylabel="loss (terms unweighted, total weighted)")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.tight_layout()
    with files.atomic(directory / "losses.png") as file:
        figure.savefig(file, format="png", dpi=100)
