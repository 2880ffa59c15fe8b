"""index.html: the page of a run, and a gallery of runs, from the files in their directories."""

import json
import math
import os
import shlex
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from nst_graph import files, places
from nst_graph.errors import InputError
from nst_graph.runs import curves, records, words
from nst_graph.runs.curves import Curves

#: The largest number of points of a curve, and of latest iterations used to estimate the remaining time.
POINTS, RECENT = 400, 20
#: Seconds without news after which a run may have been killed, and how many of its iterations that is at least; and
#: of a film, whose frames take longer.
SILENT, SILENT_ITERATIONS, SILENT_FILM = 300, 10, 1800


def of_run(directory: Path) -> bytes:
    """A run's index.html, from its run.json, losses.csv and pictures."""
    return _fill("page.html", _made(directory, _page))


def update_gallery(directory: Path) -> None:
    """Write the gallery of a directory that has one, and of the default one, if it can be written."""
    if directory.resolve() == places.OUTPUT or _is_gallery(directory / "index.html"):
        with suppress(OSError):
            write_gallery(directory)


def of_film(directory: Path, film: dict[str, Any]) -> bytes:
    """A film's index.html, from what it shows."""
    return _fill("film.html", film | {"gallery": _is_gallery(directory.parent / "index.html")})


def write_gallery(directory: Path) -> None:
    """Write an index.html of the runs in a directory, the latest first, unless another is there. Raises OSError."""
    path = directory / "index.html"
    if os.path.lexists(path) and not _is_gallery(path):
        return
    runs = [run for record in directory.glob("*/run.json") if (run := _made(record.parent, _card))]
    runs.sort(key=lambda run: -run["updated"])
    common = [option for option in runs[0]["options"] if all(option in run["options"] for run in runs)] if runs else []
    for run in runs if len(runs) > 1 else ():
        run["options"] = [option for option in run["options"] if option not in common]
    name = _text(directory.resolve().name)
    with files.atomic(path) as file:
        file.write(_fill("gallery.html", {"name": name, "runs": runs, "common": common if len(runs) > 1 else []}))


def _is_gallery(path: Path) -> bool:
    """Whether a file begins as the galleries written here."""
    head = _template("gallery.html").partition("<style>")[0]
    with suppress(OSError, ValueError):
        return not path.is_symlink() and files.read_text(path).startswith(head)
    return False


def _made(directory: Path, make: Callable[[Path, dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """What is shown of a run; empty if run.json is damaged."""
    try:
        made = make(directory, records.read(directory))
        json.dumps(made, allow_nan=False)  # JSON has no NaN or infinity
    except (InputError, OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
        return {}
    return made


def _card(directory: Path, record: dict[str, Any]) -> dict[str, Any]:
    """What the gallery and the page show of a run."""
    outcome, total = record["outcome"], sum(stage["iterations"] for stage in _stages(record))
    if "film" in record:
        total = record["film"]["frames"]
    pictures = _pictures(directory, record)
    logs = directory / "run.json", directory / "losses.csv"
    program, silent = ("paint_video", float(SILENT_FILM)) if "film" in record else ("paint", float(SILENT))
    if program == "paint" and outcome["state"] == "painting":
        silent = max(silent, SILENT_ITERATIONS * _left(curves.read(directory), _stages(record))[1])
    return {
        "name": _text(directory.name),
        "place": urllib.parse.quote(os.fsencode(directory.name), safe=""),
        "title": _title(record),
        "state": str(outcome["state"]),
        "last": total,
        "width": int(record["width"]),
        "height": int(record["height"]),
        "options": [_text(shlex.join(_short(option))) for option in _options(directory, record) or ()],
        "pictures": pictures,
        "resume": _text(words.resume(directory, program)),
        "silent": silent,
        "updated": max(file.stat().st_mtime for file in logs if file.exists()),
    }


def _page(directory: Path, record: dict[str, Any]) -> dict[str, Any]:
    """What a run's page shows beside that."""
    settings, versions, files = record["settings"], record.get("versions"), record.get("files", {})
    losses, stages = curves.read(directory), _stages(record)
    options = _options(directory, record)
    films = [name for name in ("timelapse.gif", "timelapse.mp4") if name in files and (directory / name).exists()]
    links = {"film": films, "losses.csv": ["losses.csv"] if losses else [], "run.json": ["run.json"]}
    if _is_gallery(directory.parent / "index.html"):
        links = {"all paintings": ["../index.html"]} | links
    return _card(directory, record) | {
        "sources": list(_sources(directory, record)),
        "reason": str(record["outcome"].get("reason", "")),
        "network": _network(record),
        "stages": _told(stages),
        "scales": len({(stage["width"], stage["height"]) for stage in stages}),
        "versions": versions if isinstance(versions, dict) else {},
        "settings": {name: value for name, value in settings.items() if name != "network"},
        "again": None if options is None else _text(words.paint(record, options)),
        "links": {name: files[0] for name, files in links.items() if files},
        "losses": _thinned(curves.weighted(losses, settings)),
        "left": _left(losses, stages)[0],
    }


def _title(record: dict[str, Any]) -> str:
    content, *styles = (_text(Path(source["path"]).name) for source in (record["content"], *record["styles"]))
    if record["settings"]["alpha"] == 0:
        return f"The texture of {', '.join(styles or [content])}"
    if record["settings"]["beta"] == 0 or not styles:
        return f"{content}, its content alone"
    return f"{content} in the style of {', '.join(styles)}"


def _options(directory: Path, record: dict[str, Any]) -> list[list[str]] | None:
    """The options that give a run's settings; None where they are those of another version, or there are none."""
    with suppress(InputError):
        return words.options(records.settings(record, directory))
    return None


def _short(option: list[str]) -> list[str]:
    """An option's words, with the name alone of a file."""
    return ["--init", Path(option[1]).name] if option[0] == "--init" else option


def _stages(record: dict[str, Any]) -> list[dict[str, Any]]:
    """What is painted one after the other; an older version's record does not tell at which sizes."""
    settings = record["settings"]
    whole = {"width": record["width"], "height": record["height"], "precision": settings["precision"]}
    whole["iterations"] = int(sum(settings["scale_iterations"]) + settings["iterations"])
    return record.get("stages") or [whole]


def _told(stages: Sequence[dict[str, Any]]) -> str:
    """The stages as words."""
    return ", ".join(
        f"{stage['iterations']} iterations at {stage['width']} x {stage['height']} in {stage['precision']}"
        for stage in stages
    )


def _pictures(directory: Path, record: dict[str, Any]) -> list[dict[str, Any]]:
    """The saved pictures in order, with their iterations; while a run is painted, a final.png is one of before."""
    listed = (name for name in record.get("files", ()) if name.startswith(("iteration-", "frame-")))
    labelled = {int(Path(name).stem.split("-")[1]): (name, name.split("-")[0]) for name in sorted(listed)}
    state, last = record["outcome"]["state"], record["outcome"].get("iterations")
    if state != "painting" and isinstance(last, int):
        labelled[last] = "final.png", "iteration" if state == "paused" else "end: iteration"
    return [
        {"file": f"{name}?{int((directory / name).stat().st_mtime)}", "label": f"{label} {number}", "iteration": number}
        for number, (name, label) in sorted(labelled.items())
        if (directory / name).exists()
    ]


def _sources(directory: Path, record: dict[str, Any]) -> Iterator[dict[str, str]]:
    """The photograph, and each style with its mask, as they are in the directory."""
    masks = [_text(Path(mask["path"]).name) for mask in record["masks"]]
    for number, source in enumerate((record["content"], *record["styles"])):
        file = f"style-{number}.png" if number else "content.png"
        if (directory / file).exists():
            role = "style" if number else "photograph"
            where = f", where {masks[number - 1]} is white" if number and masks else ""
            yield {"file": file, "role": role, "name": _text(Path(source["path"]).name) + where}


def _network(record: dict[str, Any]) -> str:
    """The network that paints, and the one that it replaces where the settings name another."""
    painted, named = str(record["weights"].get("network", "")), record["settings"]["network"]
    is_ours = Path(record["weights"]["path"]).parent == (places.MODEL and places.MODEL.resolve())
    replaced = is_ours and painted.startswith("VGG-") and not painted.startswith(named.split()[0])
    return f"{painted}, in the place of {named}" if replaced else painted


def _text(name: str) -> str:
    """A file name decoded as UTF-8, which nearly all systems use, whatever the locale."""
    return os.fsencode(name).decode(errors="replace")


def _thinned(losses: Curves) -> Curves:
    """Curves with at most POINTS evenly spaced points and the latest ones."""
    length = len(losses.get("iteration", ()))
    rows = sorted({*range(0, length, length // POINTS + 1), *range(max(0, length - RECENT), length)})
    return {name: [values[row] for row in rows] for name, values in losses.items()}


def _left(losses: Curves, stages: Sequence[dict[str, Any]]) -> tuple[float | None, float]:
    """The remaining seconds at the latest speed in pixels a second, None if that is not known; and those of a step."""
    done, seconds = losses.get("iteration", []), losses.get("seconds", [])
    if len(done) < 2:
        return None, 0.0
    first = -min(RECENT, len(done))

    def work(iterations: float) -> float:
        """The pixels of so many iterations."""
        pixels = 0.0
        for stage in stages:
            here = min(iterations, stage["iterations"])
            pixels, iterations = pixels + here * stage["width"] * stage["height"], iterations - here
        return pixels

    now, whole = work(done[-1]), work(math.inf)
    pace = (seconds[-1] - seconds[first]) / max(now - work(done[first]), 1)
    return pace * (whole - now), pace * stages[-1]["width"] * stages[-1]["height"]


def _fill(template: str, data: dict[str, Any]) -> bytes:
    # The data contain names of files, which must not be parsed as markup.
    text = json.dumps(data).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    whole = _template(template).replace("{shared}", _template("shared.html"))
    return whole.replace("{data}", text).encode()


def _template(name: str) -> str:
    return resources("nst_graph.runs").joinpath(name).read_text(encoding="utf-8")
