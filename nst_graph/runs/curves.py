"""Curves: the columns of losses.csv."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nst_graph import files

Curves = dict[str, list[float]]
#: The first columns; those of the terms and of the total follow.
COUNTS = ("iteration", "evaluations", "seconds")
#: The settings that the terms are weighted by in equation 7.
WEIGHTS = {"content": "alpha", "style": "beta", "smoothness": "smoothness"}


def read(directory: Path) -> Curves:
    """Read the columns of losses.csv by name; none if it is missing or damaged."""
    try:
        header, *rows = csv.reader(files.read_text(directory / "losses.csv").splitlines())
        curves = {name: [float(row[column]) for row in rows] for column, name in enumerate(header)}
    except (OSError, ValueError, IndexError, csv.Error):
        return {}
    valid = tuple(curves)[:3] == COUNTS and tuple(curves)[-1] == "total" and len(rows) > 0
    return curves if valid and all(math.isfinite(value) for values in curves.values() for value in values) else {}


def weighted(curves: Curves, settings: Mapping[str, Any]) -> Curves:
    """The total and the terms that it is the sum of, which are called alpha content, beta style, smoothness.

    With --ratio-at beta is another one at each size: the style is then what the others leave of the total.
    """
    terms = {
        name: [settings[WEIGHTS[name]] * value for value in values]
        for name, values in curves.items()
        if name in WEIGHTS
    }
    if settings.get("ratio_at") is not None and "style" in terms:
        others = [values for name, values in terms.items() if name != "style"]
        terms["style"] = [max(0.0, total - sum(rest)) for total, *rest in zip(curves["total"], *others, strict=True)]
    named = {f"{WEIGHTS[name]} {name}" if WEIGHTS[name] != name else name: values for name, values in terms.items()}
    return {name: curves[name] for name in COUNTS} | named | {"total": curves["total"]} if curves else {}
