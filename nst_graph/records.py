"""Records: run.json, what a run was begun with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nst_graph.errors import InputError
from nst_graph.recipes import Settings

ROOT = Path(__file__).resolve().parent.parent
#: Where runs go that are given no directory; its index.html shows them all.
OUTPUT = ROOT / "output"


def read(path: Path) -> dict[str, Any]:
    """run.json of a run's directory. Raises InputError where there is none, or it is not whole."""
    try:
        record = json.loads((path / "run.json").read_text())
        if not isinstance(record, dict) or not isinstance(record.get("settings"), dict):
            raise ValueError("no record")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path}: holds no run; begin one with CONTENT and STYLE") from error
    except ValueError as error:
        raise InputError(f"{path / 'run.json'}: not a run's record; paint anew with --overwrite") from error
    return record


def settings(record: dict[str, Any], path: Path) -> Settings:
    """The settings of a record. Raises InputError where they are not this version's."""
    values: dict[str, Any] = record["settings"]
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    try:
        return Settings(**values)
    except TypeError as error:
        raise InputError(f"{path / 'run.json'}: settings of another version; paint anew with --overwrite") from error


def differences(begun: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Where sources or settings are not those a run was begun with: a line for each.

    A source is its bytes; it may lie elsewhere meanwhile.
    """
    lines = []
    for name in ("content", "styles", "masks", "init", "weights"):
        before, after = _sources(begun, name), _sources(now, name)
        if [source["sha256"] for source in before] != [source["sha256"] for source in after]:
            lines.append(f"{name} {_paths(after)}: the run was begun with other bytes, of {_paths(before)}")
    for name, value in now["settings"].items():
        old = begun["settings"].get(name)
        if old != value:
            lines.append(f"--{name.replace('_', '-')} {value}: the run was begun with {old}")
    return lines


def _sources(record: dict[str, Any], name: str) -> list[dict[str, str]]:
    sources = record.get(name) or []
    return sources if isinstance(sources, list) else [sources]


def _paths(sources: list[dict[str, str]]) -> str:
    return " ".join(source["path"] for source in sources) or "none"
