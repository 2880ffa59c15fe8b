"""losses.png: the loss curves of a run, if matplotlib is installed."""

import importlib.util
import io
import logging
from collections.abc import Callable

import numpy as np

from nst_graph.runs import curves
from nst_graph.runs.curves import Curves


def draw(losses: Curves, say: Callable[[str], None]) -> bytes | None:
    """A PNG of weighted curves over iterations, logarithmic, by matplotlib's own defaults, not the user's.

    None without losses or matplotlib; or, after a line to `say`, where that fails.
    """
    if importlib.util.find_spec("matplotlib") is None or not losses:
        return None
    # Without a home directory matplotlib warns about its cache, which does not matter here.
    logging.getLogger("matplotlib").setLevel(logging.CRITICAL)
    try:
        import matplotlib.figure  # not pyplot, which has global state and may open windows
    except Exception as error:  # a matplotlibrc or MPLBACKEND that it cannot use
        say(f"no curves: matplotlib cannot be loaded ({error})")
        return None

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        figure = matplotlib.figure.Figure(figsize=(8, 4.5), layout="tight")
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
        encoded = io.BytesIO()
        try:
            figure.savefig(encoded, format="png", dpi=100)
        except Exception as error:  # fonts, caches: a plot is not worth a painting
            say(f"no curves: matplotlib cannot draw them ({error})")
            return None
    return encoded.getvalue()
