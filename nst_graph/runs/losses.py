"""losses.csv and losses.png: a row for each iteration, or for each frame of a film, and their curves."""

import csv
import importlib.util
import io
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nst_graph import files

#: The columns of losses.csv by name, and one row of them.
Curves = dict[str, list[float]]
Row = dict[str, float]
#: The first columns; those of the terms and of the total follow.
COUNTS = ("iteration", "evaluations", "seconds")
#: How numbers are written, but losses.
FORMATS = dict.fromkeys(("seconds", "beside"), ".3f") | dict.fromkeys(("iteration", "evaluations"), ".0f")
FORMATS |= dict.fromkeys(("frame", "iterations"), ".0f")
#: The settings that the terms are weighted by in equation 7.
WEIGHTS = {"content": "alpha", "style": "beta", "smoothness": "smoothness"}


def read(directory: Path, counts: Sequence[str] = COUNTS) -> Curves:
    """Read the columns of losses.csv, which begin with these counts; none if it is missing or damaged."""
    try:
        header, *rows = csv.reader(files.read_text(directory / "losses.csv").splitlines())
        curves = {name: [float(row[column]) for row in rows] for column, name in enumerate(header)}
    except (OSError, ValueError, IndexError, csv.Error):
        return {}
    valid = tuple(header[: len(counts)]) == tuple(counts) and header[-1] == "total" and len(rows) > 0
    return curves if valid and all(math.isfinite(value) for values in curves.values() for value in values) else {}


def by_number(curves: Curves) -> dict[int, Row]:
    """The rows by the number in their first column."""
    rows = (dict(zip(curves, values, strict=True)) for values in zip(*curves.values(), strict=True))
    return {int(next(iter(row.values()))): row for row in rows}


def to_csv(rows: Mapping[int, Row]) -> bytes:
    """losses.csv of rows of the same columns, in the order of their numbers."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    for row in [rows[number] for number in sorted(rows)]:
        if not table.tell():
            writer.writerow(row)
        writer.writerow(format(value, FORMATS.get(name, ".9g")) for name, value in row.items())
    return table.getvalue().encode()


def weighted(curves: Curves, settings: Mapping[str, Any]) -> Curves:
    """The total and the terms that it is the sum of, which are called alpha content, beta style, smoothness.

    With --ratio-at beta is another one at each size: the style is then what the others leave of the total.
    """
    if not curves:
        return {}
    terms = {
        name: [settings[weight] * value for value in curves[name]] for name, weight in WEIGHTS.items() if name in curves
    }
    if settings.get("ratio_at") is not None and "style" in terms:
        others = [values for name, values in terms.items() if name != "style"]
        terms["style"] = [max(0.0, total - sum(rest)) for total, *rest in zip(curves["total"], *others, strict=True)]
    names = {"content": "alpha content", "style": "beta style"}
    named = {names.get(name, name): terms[name] for name in curves if name in terms}
    return {name: curves[name] for name in COUNTS} | named | {"total": curves["total"]}


def draw(curves: Curves, say: Callable[[str], None]) -> bytes | None:
    """A PNG of weighted curves over iterations, logarithmic, by matplotlib's own defaults, not the user's.

    None without losses or matplotlib; or, after a line to `say`, where that fails.
    """
    if importlib.util.find_spec("matplotlib") is None or not curves:
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
        axis.set(xlabel="iteration", ylabel="loss")
        for name in ("total", *(name for name in curves if name not in (*COUNTS, "total"))):
            values = np.array(curves[name])
            if (values > 0).any():  # a term that is always 0 has no logarithm
                axis.semilogy(curves["iteration"], np.where(values > 0, values, np.nan), label=name)
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
