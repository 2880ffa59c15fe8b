"""index.html: the page of a run, and a gallery of runs, from the files in their directories."""

import json
import os
import time
import urllib.parse
from contextlib import suppress
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from nst_graph import files
from nst_graph.errors import InputError
from nst_graph.runs import curves, records
from nst_graph.runs.curves import Curves

#: The largest number of points of a curve, and of latest iterations used to estimate the remaining time.
POINTS, RECENT = 400, 20


def of_run(directory: Path) -> bytes:
    """A run's index.html, from its run.json, losses.csv and pictures."""
    return _fill("page.html", _run(directory))


def write_gallery(directory: Path) -> None:
    """Write an index.html of the runs in a directory, the latest first, unless another is there. Raises OSError."""
    path = directory / "index.html"
    if os.path.lexists(path) and not _is_gallery(path):
        return
    runs = []
    for record in directory.glob("*/run.json"):
        if run := _run(record.parent):
            name = record.parent.name
            place = urllib.parse.quote(os.fsencode(name), safe="")
            runs.append(run | {"name": _text(name), "place": place, "losses": {}})
    runs.sort(key=lambda run: -run["updated"])
    with files.atomic(path) as file:
        file.write(_fill("gallery.html", {"runs": runs}))


def _is_gallery(path: Path) -> bool:
    """Whether a file begins as the galleries written here."""
    head = _template("gallery.html").partition("<style>")[0]
    with suppress(OSError, ValueError):
        return not path.is_symlink() and files.read_text(path).startswith(head)
    return False


def _run(directory: Path) -> dict[str, Any]:
    """The data of a run's page; empty if run.json is damaged."""
    try:
        run = _data(directory, records.read(directory))
        json.dumps(run, allow_nan=False)  # JSON has no NaN or infinity
    except (InputError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return run


def _data(directory: Path, record: dict[str, Any]) -> dict[str, Any]:
    settings, outcome, versions = record["settings"], record["outcome"], record.get("versions")
    iterations = int(sum(settings["scale_iterations"]) + settings["iterations"])
    names = [_text(Path(source["path"]).name) for source in (record["content"], *record["styles"])]
    saved = sorted(directory / name for name in record.get("files", ()) if name.startswith("iteration-"))
    labels = {file: f"iteration {int(file.stem.split('-')[1])}" for file in saved}
    labels[directory / "final.png"] = f"end: iteration {outcome.get('iterations', '')}"
    pictures = [
        {"file": f"{file.name}?{int(file.stat().st_mtime)}", "label": label}
        for file, label in labels.items()
        if file.exists()
    ]
    sources = ("content.png", *(f"style-{number}.png" for number in range(1, len(names))))
    losses = _thinned(curves.read(directory))
    logs = directory / "run.json", directory / "losses.csv"
    return {
        "names": names,
        "sources": [name for name in sources if (directory / name).exists()],
        "state": str(outcome["state"]),
        "reason": str(outcome.get("reason", "")),
        "size": f"{record['width']} x {record['height']}",
        "network": str(record["weights"].get("network", "")),
        "versions": versions if isinstance(versions, dict) else {},
        "settings": settings,
        "iterations": iterations,
        "pictures": pictures,
        "losses": losses,
        "left": _left(losses, iterations),
        "updated": max(file.stat().st_mtime for file in logs if file.exists()),
        "written": time.time(),
    }


def _text(name: str) -> str:
    """A file name decoded as UTF-8, which nearly all systems use, whatever the locale."""
    return os.fsencode(name).decode(errors="replace")


def _thinned(losses: Curves) -> Curves:
    """Curves with at most POINTS evenly spaced points and the latest ones."""
    length = len(losses.get("iteration", ()))
    rows = sorted({*range(0, length, length // POINTS + 1), *range(max(0, length - RECENT), length)})
    return {name: [values[row] for row in rows] for name, values in losses.items()}


def _left(losses: Curves, iterations: int) -> float | None:
    """The remaining seconds at the latest speed; None if there are too few iterations to tell."""
    done, seconds = losses.get("iteration", []), losses.get("seconds", [])
    if len(done) < 2:
        return None
    first = -min(RECENT, len(done))
    steps = done[-1] - done[first]
    return (seconds[-1] - seconds[first]) / max(steps, 1) * (iterations - done[-1])


def _fill(template: str, data: dict[str, Any]) -> bytes:
    # The data contain names of files, which must not be parsed as markup.
    text = json.dumps(data).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return _template(template).replace("{data}", text).encode()


def _template(name: str) -> str:
    return resources("nst_graph.runs").joinpath(name).read_text(encoding="utf-8")
