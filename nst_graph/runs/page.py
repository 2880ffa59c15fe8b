"""index.html: the page of a run, and a gallery of runs, from the files in their directories."""

import json
import math
import os
import re
import shlex
import subprocess
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from fractions import Fraction
from functools import cache
from importlib.resources import files as resources
from itertools import pairwise
from pathlib import Path
from typing import Any

from nst_graph import files, places
from nst_graph.errors import InputError, flag
from nst_graph.recipes import DEFAULT, RECIPES, fast
from nst_graph.runs import losses, records
from nst_graph.runs.losses import Row
from nst_graph.settings import PATHS, Settings, equal
from nst_graph.weights.sources import FILES

#: The largest number of points of a curve, and of latest iterations used to estimate the remaining time.
POINTS, RECENT = 400, 20
#: Seconds without news after which a run may have been killed, and how many of its iterations or frames that is at
#: least, as a shot's first frame takes many times as long; and the seconds before the pace is known.
SILENT, SILENT_ITERATIONS, SILENT_FRAMES = 120.0, 10, 50
SILENT_START, SILENT_FILM = 300.0, 1800.0


def of_run(directory: Path) -> bytes:
    """The index.html of a run, a painting or a film, from the files in its directory."""
    return _fill("page.html", _made(directory, _page))


def update_gallery(directory: Path) -> None:
    """Write the gallery of a directory that has one, and of the default one, if it can be written."""
    if directory.resolve() == places.OUTPUT or _is_gallery(directory / "index.html"):
        with suppress(OSError):
            write_gallery(directory)


def write_gallery(directory: Path) -> None:
    """Write an index.html of the runs in a directory, the latest first, unless another is there. Raises OSError."""
    path = directory / "index.html"
    if os.path.lexists(path) and not _is_gallery(path):
        return
    runs = [run for record in directory.glob("*/run.json") if (run := _made(record.parent, _card))]
    runs.sort(key=lambda run: -run["updated"])
    common = []
    if len(runs) > 1:
        common = [option for option in runs[0]["options"] if all(option in run["options"] for run in runs)]
    for run in runs:
        run["options"] = [option for option in run["options"] if option not in common]
        run["pictures"] = run["pictures"][-1:]
    with files.atomic(path) as file:
        file.write(_fill("gallery.html", {"name": _text(directory.resolve().name), "runs": runs, "common": common}))


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
    state, is_film, stages = str(record["outcome"]["state"]), "film" in record, record["stages"]
    pictures = _pictures(directory, record)
    if is_film:
        progress = _film_progress(directory, record, len(pictures))
    else:
        rows = losses.read(directory) if state in ("painting", "paused") else {}
        progress = _progress([*rows.values()], stages, record["outcome"])
    options = None  # of another version there are none
    with suppress(InputError, LookupError):
        options = _options(record, directory)
    logs = directory / "run.json", directory / "losses.csv"
    return progress | {
        "name": _text(directory.name),
        "place": _quoted(directory.name),
        "title": _title(record),
        "state": state,
        "reason": str(record["outcome"].get("reason", "")),
        "width": int(record["width"]),
        "height": int(record["height"]),
        # Of a file, the name alone.
        "options": [
            _text(shlex.join([name, *(Path(word).name if name in map(flag, PATHS) else word for word in words)]))
            for name, *words in options or ()
        ],
        "pictures": pictures,
        "result": None if state == "painting" else _result(directory, record),
        "again": None if options is None else paint_command(record, options),
        "resume": _command("paint_video" if is_film else "paint", ["--resume", str(directory.resolve())]),
        "updated": max(file.stat().st_mtime for file in logs if file.exists()),
    }


def _progress(rows: Sequence[Row], stages: Sequence[dict[str, Any]], outcome: dict[str, Any]) -> dict[str, Any]:
    """How far a painting is: iterations, seconds painted and left, and seconds of silence that say it was killed."""
    latest: dict[str, Any] = (rows[-1] if rows else {}) | outcome
    left, pace = _left(rows, stages)
    return {
        "unit": "iteration",
        "now": int(latest.get("iterations", latest.get("iteration", 0))),
        "last": sum(stage["iterations"] for stage in stages),
        "seconds": float(latest.get("seconds", 0)),
        "left": left,
        "silent": max(SILENT, SILENT_ITERATIONS * pace) if pace else SILENT_START,
    }


def _film_progress(directory: Path, record: dict[str, Any], frames: int) -> dict[str, Any]:
    """The same of a film, in frames; and the seconds that each is shown for."""
    film, rows = record["film"], losses.read(directory, losses.FILM_COUNTS).values()
    times = sorted(frame.stat().st_mtime for frame in directory.glob("frame-*.png"))[-RECENT - 1 :]
    gaps = sorted(later - time for time, later in pairwise(times))[:-1]  # in the longest it may have been interrupted
    pace = sum(gaps) / max(len(gaps), 1)
    return {
        "unit": "frame",
        "now": frames,
        "last": film["frames"],
        "seconds": sum(row["seconds"] + row["beside"] for row in rows),
        "left": pace * (film["frames"] - frames) if gaps else None,
        "silent": max(SILENT, SILENT_FRAMES * pace) if gaps else SILENT_FILM,
        "shown": float(film["seconds"]) / film["frames"],
    }


def _result(directory: Path, record: dict[str, Any]) -> dict[str, str] | None:
    """The name of the last picture, or of the film, and where it is, from the run's page; None where there is none."""
    suffix = (record["picture"] or {}).get("suffix")
    beside = [f"../{directory.resolve().name}{suffix}"] if suffix else []
    for place in (*beside, "film.mp4", "final.png"):
        if (directory / place).exists():
            return {"name": _text(Path(place).name), "href": _quoted(place)}
    return None


def _page(directory: Path, record: dict[str, Any]) -> dict[str, Any]:
    """What a run's page shows beside that."""
    settings, versions, film = record["settings"], record.get("versions"), record.get("film", {})
    files = r"(content|style-\d+)\.png|timelapse\.(gif|mp4)|losses\.csv|run\.json"
    rows = {} if film else losses.read(directory)
    return _card(directory, record) | {
        "sources": [_text(Path(source["path"]).name) for source in (record["content"], *record["styles"])],
        **{name: [_text(Path(mask["path"]).name) for mask in record[name]] for name in records.SEVERAL[1:]},
        "files": [name for name in sorted(os.listdir(directory)) if re.fullmatch(files, name)],
        "gallery": _is_gallery(directory.parent / "index.html"),
        "network": _network(record),
        "stages": record["stages"],
        "versions": versions if isinstance(versions, dict) else {},
        "settings": {name: value for name, value in settings.items() if name != "network"}
        | ({"first_iterations": settings["iterations"]} | film if film else {}),
        "losses": _thinned(losses.weighted(rows, settings)),
    }


def _title(record: dict[str, Any]) -> str:
    content, *styles = (_text(Path(source["path"]).name) for source in (record["content"], *record["styles"]))
    if record["settings"]["alpha"] == 0:
        return f"The texture of {', '.join(styles or [content])}"
    if record["settings"]["beta"] == 0 or not styles:
        return f"{content}, its content alone"
    return f"{content} in the style of {', '.join(dict.fromkeys(styles))}"


def _pictures(directory: Path, record: dict[str, Any]) -> list[dict[str, Any]]:
    """The saved pictures in order, with their iterations; while a run is painted, a final.png is one of before."""
    saved = filter(None, (re.fullmatch(r"(iteration|frame)-(\d{5,})\.png", name) for name in os.listdir(directory)))
    labelled = {int(match[2]): (match[0], match[1]) for match in saved}
    state, last = record["outcome"]["state"], record["outcome"].get("iterations")
    if state != "painting" and isinstance(last, int):
        labelled[last] = "final.png", "iteration" if state == "paused" else "end: iteration"
    return [
        {"file": f"{name}?{int((directory / name).stat().st_mtime)}", "label": f"{label} {number}", "iteration": number}
        for number, (name, label) in sorted(labelled.items())
        if (directory / name).exists()
    ]


def _network(record: dict[str, Any]) -> str:
    """The network that paints, and the one that it replaces where the settings name another."""
    painted, named = str(record["weights"].get("network", "")), record["settings"]["network"]
    is_ours = Path(record["weights"]["path"]).parent == (places.MODEL and places.MODEL.resolve())
    replaced = is_ours and painted.startswith("VGG-") and not painted.startswith(named.split()[0])
    return f"{painted}, in the place of {named}" if replaced else painted


def _quoted(name: str) -> str:
    """A file name, or a path of some, as an address in a page."""
    return urllib.parse.quote(os.fsencode(name))


def _text(name: str) -> str:
    """A file name decoded as UTF-8, which nearly all systems use, whatever the locale."""
    return os.fsencode(name).decode(errors="replace")


def _thinned(curves: Sequence[Row]) -> dict[str, list[float]]:
    """The columns of curves, with at most POINTS evenly spaced points and the latest ones."""
    rows = [*curves[: -RECENT : len(curves) // POINTS + 1], *curves[-RECENT:]]
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def _left(rows: Sequence[Row], stages: Sequence[dict[str, Any]]) -> tuple[float | None, float]:
    """The remaining seconds at the latest speed in pixels a second, None if that is not known; and those of a step."""
    if len(rows) < 2:
        return None, 0.0
    first, last = rows[-min(RECENT, len(rows))], rows[-1]

    def work(iterations: float) -> float:
        """The pixels of so many iterations."""
        pixels = 0.0
        for stage in stages:
            here = min(iterations, stage["iterations"])
            pixels, iterations = pixels + here * stage["width"] * stage["height"], iterations - here
        return pixels

    now = work(last["iteration"])
    pace = (last["seconds"] - first["seconds"]) / max(now - work(first["iteration"]), 1)
    return pace * (work(math.inf) - now), pace * stages[-1]["width"] * stages[-1]["height"]


def _fill(template: str, data: dict[str, Any]) -> bytes:
    # The data contain names of files, which must not be parsed as markup.
    text = json.dumps(data).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    whole = _template(template).replace("{shared}", _template("shared.html"))
    return whole.replace("{data}", text).encode()


def _template(name: str) -> str:
    return resources("nst_graph.runs").joinpath(name).read_text(encoding="utf-8")


# The commands that paint a run again or go on with it


def paint_command(record: Mapping[str, Any], options: Sequence[Sequence[str]]) -> str:
    """The command that paints anew what a record describes, with these options."""
    weights = Path(record["weights"]["path"])
    is_found = weights.parent == (places.MODEL and places.MODEL.resolve())  # where no weights are named
    is_found = is_found and weights.name in FILES.get(record["settings"]["network"], ())
    words = [record["content"]["path"], *(style["path"] for style in record["styles"])]
    for option in options:
        named = {flag(name): record[name] for name in PATHS if record.get(name)}
        words += [option[0], named[option[0]]["path"]] if option[0] in named else option
    for name in records.SEVERAL[1:]:
        words += _option(name, tuple(mask["path"] for mask in record[name])) if record[name] else []
    words += [] if is_found else ["--weights", str(weights)]
    words += [] if record["read_limit"] == files.READ_LIMIT else _option("read_limit", record["read_limit"])
    return _command("paint_video" if "film" in record else "paint", words)


def _command(program: str, words: Sequence[str]) -> str:
    words = [*places.command(program).split(), *words]
    return _text(subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words))


def _options(record: dict[str, Any], directory: Path) -> list[list[str]] | None:
    """The fewest options that give a record's settings, and all that a film has beside them, each as its words."""
    options = fewest_options(records.settings(record, directory))
    film = record.get("film")
    if options is None or film is None:
        return options
    first = [["--first-iterations", *words] if name == "--iterations" else [name, *words] for name, *words in options]
    frames = f"{film['start'] or ''}:{'' if film['stop'] is None else film['stop']}"
    own = {name: film[name] for name in ("iterations", "steadiness")} | {"back": tuple(film["back"])}
    own |= {"frames": frames} if frames != ":" else {}
    own |= {"every": film["every"]} if film["every"] > 1 else {}
    own |= {"fps": float(Fraction(film["rate"]))} if film["rate"] else {}
    own |= {"alone": True} if film["alone"] else {}
    return first + [_option(name, value) for name, value in own.items()]


def fewest_options(settings: Settings) -> list[list[str]] | None:
    """The fewest options that give these settings, each as its words; None where there are none that do."""
    target = asdict(settings)
    candidates = []
    for words, base in _bases(settings.size):
        changed = {option: target[option] for option, value in base.items() if target[option] != value}
        if changed.get("size", "") is None:
            changed["size"] = "original"
        # An option can be given, but not taken back.
        if not any(value is None or value is False or value == () for value in changed.values()):
            candidates.append(words + [_option(option, value) for option, value in changed.items()])
    return min(candidates, key=len, default=None)


@cache
def _bases(size: int | None) -> list[tuple[list[list[str]], dict[str, Any]]]:
    """What options may begin with at a size, a recipe and --fast, and the settings that they are then added to."""
    bases = []
    for name, recipe in RECIPES.items():
        words = [] if name == DEFAULT else [["--recipe", name]]
        faster = replace(fast(recipe.settings, size=size), size=recipe.settings.size)
        bases += [(words, asdict(recipe.settings)), ([*words, ["--fast"]], asdict(faster))]
    return bases


def _option(name: str, value: Any) -> list[str]:
    option = f"--{name.replace('_', '-')}"
    if value is True:
        return [option]
    if isinstance(value, Mapping):
        plain = value == equal(value)
        return [option, *(layer if plain else f"{layer}={_number(weight)}" for layer, weight in value.items())]
    return [option, *map(_number, value if isinstance(value, tuple) else (value,))]


def _number(value: Any) -> str:
    """A value as it is written: a whole number without its .0."""
    short = f"{value:g}" if isinstance(value, float) else str(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)
