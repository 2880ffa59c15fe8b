"""Curves: the columns of losses.csv."""

import csv
import math
from pathlib import Path

from nst_graph import files

Curves = dict[str, list[float]]
#: The first columns; those of the terms and of the total follow.
COUNTS = ("iteration", "evaluations", "seconds")


def read(directory: Path) -> Curves:
    """Read the columns of losses.csv by name; none if it is missing or damaged."""
    try:
        header, *rows = csv.reader(files.read_text(directory / "losses.csv").splitlines())
        curves = {name: [float(row[column]) for row in rows] for column, name in enumerate(header)}
    except (OSError, ValueError, IndexError, csv.Error):
        return {}
    valid = tuple(curves)[:3] == COUNTS and tuple(curves)[-1] == "total" and len(rows) > 0
    return curves if valid and all(math.isfinite(value) for values in curves.values() for value in values) else {}
