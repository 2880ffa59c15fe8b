"""losses.png: the loss curves of a run, if matplotlib is installed."""

import importlib.util
import io
import logging

import numpy as np

from nst_graph.runs import curves
from nst_graph.runs.curves import Curves


def draw(losses: Curves) -> bytes | None:
    """A PNG of weighted curves over iterations, logarithmic; None without losses or a matplotlib that can be loaded."""
    if importlib.util.find_spec("matplotlib") is None or not losses:
        return None
    # Without a home directory matplotlib warns about its cache, which does not matter here.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    # Not pyplot, which has global state and may open windows.
    try:
        from matplotlib.figure import Figure
    except ValueError:  # MPLBACKEND names no backend that there is
        return None

    figure = Figure(figsize=(8, 4.5))
    axis = figure.subplots()
    for name in ("total", *(name for name in losses if name not in (*curves.COUNTS, "total"))):
        values = np.array(losses[name])
        if (values > 0).any():  # a term that is always 0 has no logarithm
            axis.plot(losses["iteration"], np.where(values > 0, values, np.nan), label=name)
            axis.set_yscale("log")
    axis.set(xlabel="iteration", ylabel="loss")
    axis.grid(alpha=0.3)
    if axis.get_lines():
        axis.legend()
    figure.tight_layout()
    encoded = io.BytesIO()
    figure.savefig(encoded, format="png", dpi=100)
    return encoded.getvalue()
