"""Words: the options of scripts/paint.py that give a run's settings, and the commands that paint it again or go on."""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

from nst_graph import files, places
from nst_graph.recipes import DEFAULT, RECIPES, fast
from nst_graph.settings import STARTS, Settings, equal
from nst_graph.weights.sources import FILES


def options(settings: Settings) -> list[list[str]] | None:
    """The fewest options that give these settings, each as its words; None where there are none that do."""
    target = asdict(settings)
    candidates = []
    for first_words, base in _bases(settings.size):
        changed = {option: target[option] for option, value in base.items() if target[option] != value}
        if changed.get("size", "") is None:
            changed["size"] = "original"
        # An option can be given, but not taken back.
        if not any(value is None or value is False or value == () for value in changed.values()):
            candidates.append(first_words + [_option(option, value) for option, value in changed.items()])
    return min(candidates, key=len, default=None)


@cache
def _bases(size: int | None) -> list[tuple[list[list[str]], dict[str, Any]]]:
    """What options may begin with at a size, a recipe and --fast, and the settings that they are then added to."""
    bases = []
    for name, recipe in RECIPES.items():
        start = [] if name == DEFAULT else [["--recipe", name]]
        plain = recipe.settings
        faster = replace(fast(plain, size=size), size=plain.size)
        bases += [(start, asdict(plain)), ([*start, ["--fast"]], asdict(faster))]
    return bases


def paint(record: Mapping[str, Any], options: Sequence[Sequence[str]]) -> str:
    """The command that paints anew what a record describes, with these options."""
    words = [record["content"]["path"], *(style["path"] for style in record["styles"])]
    for option in options:
        words += option if option[0] != "--init" or option[1] in STARTS else ["--init", record["init"]["path"]]
    if record["masks"]:
        words += ["--masks", *(mask["path"] for mask in record["masks"])]
    if not _is_found(Path(record["weights"]["path"]), record["settings"]["network"]):
        words += ["--weights", record["weights"]["path"]]
    if (limit := record.get("read_limit", files.READ_LIMIT)) != files.READ_LIMIT:
        words += ["--read-limit", _text(limit)]
    return _command(words)


def resume(directory: Path, program: str = "paint") -> str:
    """The command that goes on with the run in a directory."""
    return _command(["--resume", str(directory.resolve())], program)


def _is_found(path: Path, network: str) -> bool:
    """Whether this file is taken for the network where no weights are named."""
    return path.parent == (places.MODEL and places.MODEL.resolve()) and path.name in FILES.get(network, ())


def _command(words: Sequence[str], program: str = "paint") -> str:
    words = [*places.command(program).split(), *words]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def _option(name: str, value: Any) -> list[str]:
    option = f"--{name.replace('_', '-')}"
    if value is True:
        return [option]
    if isinstance(value, Mapping):
        plain = value == equal(value)
        return [option, *(layer if plain else f"{layer}={_text(weight)}" for layer, weight in value.items())]
    return [option, *map(_text, value if isinstance(value, tuple) else (value,))]


def _text(value: Any) -> str:
    """A value as it is written: a whole number without its .0."""
    short = f"{value:g}" if isinstance(value, float) else str(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)
