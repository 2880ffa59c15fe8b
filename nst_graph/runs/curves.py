"""Curves: the columns of losses.csv."""

from __future__ import annotations

import csv
import math
from pathlib import Path

Curves = dict[str, list[float]]
#: Columns that are there whatever the terms.
COUNTS = ("iteration", "evaluations", "seconds")


def read(directory: Path) -> Curves:
    """The columns of losses.csv by name, evaluations and terms; none where it is missing or not whole."""
    try:
        with (directory / "losses.csv").open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
            curves = {name: [float(row[column]) for row in rows] for column, name in enumerate(header)}
    except (OSError, ValueError, IndexError, csv.Error):
        return {}
    whole = tuple(curves)[:3] == COUNTS and tuple(curves)[-1] == "total" and len(rows) > 0
    return curves if whole and all(math.isfinite(value) for values in curves.values() for value in values) else {}
