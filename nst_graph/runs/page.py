"""index.html: a run to look at, and a gallery of runs, from what their directories hold."""

from __future__ import annotations

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

#: Most points of a curve on the page, and the last iterations that the time left is reckoned from.
POINTS, RECENT = 400, 20


def of_run(directory: Path) -> bytes:
    """A run's index.html, from its run.json, losses.csv and pictures."""
    return _filled("page.html", _run(directory))


def write_gallery(directory: Path) -> None:
    """Write an index.html that shows all runs in a directory, the latest first. Raises OSError.

    An index.html that is not such a page is left as it is.
    """
    path = directory / "index.html"
    if os.path.lexists(path) and not _is_gallery(path):
        return
    runs = []
    for record in directory.glob("*/run.json"):
        run = _run(record.parent)
        if run:
            name = record.parent.name
            place = urllib.parse.quote(os.fsencode(name), safe="")
            runs.append(run | {"name": _shown(name), "place": place, "losses": {}})
    runs.sort(key=lambda run: -run["updated"])
    with files.atomic(path) as file:
        file.write(_filled("gallery.html", {"runs": runs}))


def _is_gallery(path: Path) -> bool:
    """Whether it begins as the pages that are written here do."""
    head = _template("gallery.html").partition("<style>")[0].encode()
    with suppress(OSError), path.open("rb") as file:
        return path.is_file() and not path.is_symlink() and file.read(len(head)) == head
    return False


def _run(directory: Path) -> dict[str, Any]:
    """What a page shows of a run; nothing where run.json is not whole."""
    try:
        run = _described(directory, records.read(directory))
        json.dumps(run, allow_nan=False)  # a browser knows no infinity
    except (InputError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return run


def _described(directory: Path, record: dict[str, Any]) -> dict[str, Any]:
    settings, outcome, versions = record["settings"], record["outcome"], record.get("versions")
    iterations = int(sum(settings["scale_iterations"]) + settings["iterations"])
    names = [_shown(Path(source["path"]).name) for source in (record["content"], *record["styles"])]
    saved = sorted(directory / name for name in record.get("files", ()) if name.startswith("iteration-"))
    pictures = [
        {"file": f"{file.name}?{int(file.stat().st_mtime)}", "label": label}
        for file, label in (
            *((file, f"iteration {file.stem.split('-')[1].lstrip('0')}") for file in saved),
            (directory / "final.png", f"end: iteration {outcome.get('iterations', '')}"),
        )
        if file.exists()
    ]
    sources = [name for name in ("content", *(f"style-{n}" for n in range(1, len(names)))) if _has(directory, name)]
    losses = _thinned(curves.read(directory))
    logs = directory / "run.json", directory / "losses.csv"
    return {
        "names": names,
        "sources": [f"{name}.png" for name in sources],
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


def _has(directory: Path, name: str) -> bool:
    return (directory / f"{name}.png").exists()


def _shown(name: str) -> str:
    """A file's name as text: its bytes are UTF-8 on nearly every system, whatever the locale says."""
    return os.fsencode(name).decode(errors="replace")


def _thinned(found: Curves) -> Curves:
    """Curves of so many points, the latest kept."""
    length = len(found.get("iteration", ()))
    kept = sorted({*range(0, length, length // POINTS + 1), *range(max(0, length - RECENT), length)})
    return {name: [values[index] for index in kept] for name, values in found.items()}


def _left(losses: Curves, iterations: int) -> float | None:
    """Seconds to the limit of iterations at the latest pace."""
    done, seconds = losses.get("iteration", []), losses.get("seconds", [])
    if len(done) < 2:
        return None
    first = -min(RECENT, len(done))
    steps = done[-1] - done[first]
    return (seconds[-1] - seconds[first]) / max(steps, 1) * (iterations - done[-1])


def _filled(template: str, data: dict[str, Any]) -> bytes:
    # Names come from people: they reach the page as data, and "<" never as itself.
    text = json.dumps(data).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return _template(template).replace("{data}", text).encode()


def _template(name: str) -> str:
    return resources("nst_graph.runs").joinpath(name).read_text(encoding="utf-8")
