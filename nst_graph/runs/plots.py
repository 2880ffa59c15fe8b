"""losses.png: the loss curves of a run, where matplotlib is installed."""

from __future__ import annotations

import importlib.util
import io
import logging

import numpy as np

from nst_graph.runs import curves
from nst_graph.runs.curves import Curves


def draw(found: Curves) -> bytes | None:
    """A PNG of total and terms over iterations, logarithmic; None without matplotlib, or without rows."""
    if importlib.util.find_spec("matplotlib") is None or not found:
        return None
    # Without a home directory it warns of its cache, which is nobody's concern here.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    # Not pyplot: no window, no global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5))
    axis = figure.subplots()
    for name in ("total", *(name for name in found if name not in (*curves.COUNTS, "total"))):
        values = np.array(found[name])
        if (values > 0).any():  # a logarithm has no place for a term that is 0 throughout
            axis.plot(found["iteration"], np.where(values > 0, values, np.nan), label=name)
            axis.set_yscale("log")
    axis.set(xlabel="iteration", ylabel="loss (terms unweighted, total weighted)")
    axis.grid(alpha=0.3)
    if axis.get_lines():
        axis.legend()
    figure.tight_layout()
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    return drawn.getvalue()
