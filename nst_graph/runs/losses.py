"""losses.csv and losses.png: a row for each iteration, or for each frame of a film, and their curves."""

import csv
import importlib.util
import io
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nst_graph import files

#: A row of losses.csv by the names of the columns, and rows by the number in the first column.
Row = dict[str, float]
Rows = dict[int, Row]
#: The first columns; those of the terms and of the total follow.
COUNTS = ("iteration", "evaluations", "seconds")
#: Those of a film, a row a frame; `beside` are the seconds beside the optimiser's.
FILM_COUNTS = ("frame", "iterations", "evaluations", "seconds", "beside")
#: The settings that the terms are weighted by in equation 7.
WEIGHTS = {"content": "alpha", "style": "beta", "smoothness": "smoothness"}


def read(directory: Path, counts: Sequence[str] = COUNTS) -> Rows:
    """Read losses.csv, whose columns begin with these counts; empty if it is missing or damaged."""
    try:
        table = csv.DictReader(files.read_text(directory / "losses.csv").splitlines())
        rows = [{name: float(cell) for name, cell in row.items()} for row in table]
        *others, last = table.fieldnames or [""]
    except (OSError, ValueError, TypeError, csv.Error):
        return {}
    valid = last == "total" and tuple(others[: len(counts)]) == tuple(counts)
    valid = valid and all(math.isfinite(value) for row in rows for value in row.values())
    return {int(row[counts[0]]): row for row in rows} if valid else {}


def terms(row: Iterable[str]) -> list[str]:
    """The names of the terms in a row."""
    return [name for name in row if name not in (*COUNTS, "total")]


def to_csv(rows: Rows) -> bytes:
    """losses.csv, in the order of the numbers."""
    formats = {"seconds": ".3f", "beside": ".3f"}
    ordered = [rows[number] for number in sorted(rows)]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerows(ordered[:1])  # the names
    writer.writerows([format(value, formats.get(name, ".9g")) for name, value in row.items()] for row in ordered)
    return table.getvalue().encode()


def weighted(rows: Rows, settings: Mapping[str, Any]) -> list[Row]:
    """Rows with the total and the terms that it is the sum of: content × alpha, style × beta, smoothness.

    With --ratio-at beta is another one at each size: the style is then what the others leave of the total.
    """
    names = {"content": "content × alpha", "style": "style × beta"}
    curves = []
    for row in rows.values():
        parts = {name: settings[weight] * row[name] for name, weight in WEIGHTS.items() if name in row}
        if settings.get("ratio_at") is not None and "style" in parts:
            parts["style"] = max(0.0, row["total"] - sum(part for name, part in parts.items() if name != "style"))
        named = {names.get(name, name): parts[name] for name in row if name in parts}
        curves.append({name: row[name] for name in COUNTS} | named | {"total": row["total"]})
    return curves


def draw(curves: Sequence[Row], say: Callable[[str], None]) -> bytes | None:
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
        names = ("total", *terms(curves[0]))
        for name in names:
            values = np.array([row[name] for row in curves])
            if (values > 0).any():  # a term that is always 0 has no logarithm
                axis.semilogy([row["iteration"] for row in curves], np.where(values > 0, values, np.nan), label=name)
        # As on the page: the start, and a term that counts for nothing, may be decades away.
        later = curves[1:] if len(curves) > 2 else curves
        if shown := [row[name] for row in later for name in names if row[name] > 1e-4 * row["total"] > 0]:
            axis.set_ylim(min(shown) / 1.1, max(shown) * 1.1)
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
