"""Records: run.json, what a run was begun with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from nst_graph import files
from nst_graph.errors import InputError
from nst_graph.recipes import Settings

#: Names that a run gives to its files.
NAMES = re.compile(
    r"run\.json|losses\.csv|losses\.png|state\.npz|index\.html|content\.png|final\.png|timelapse\.(gif|mp4)"
    r"|style-[0-9]+\.png|iteration-[0-9]{5,}\.png"
)
#: Where an unfinished run has copies of what it is painted from.
COPIES = ".sources"
#: The parts of a record that are files, each with its path and hash.
SOURCES = ("content", "styles", "masks", "init", "weights")


def read(path: Path) -> dict[str, Any]:
    """run.json of a run's directory. Raises InputError where there is none, or it is not whole."""
    try:
        return checked(json.loads(files.read_text(path / "run.json")))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path}: holds no run; begin one with CONTENT and STYLE") from error
    except OSError as error:
        raise InputError(f"{path / 'run.json'}: {error.strerror}; make it readable") from error
    except (ValueError, RecursionError) as error:  # the latter where it nests thousands deep
        raise InputError(f"{path / 'run.json'}: not a run's record; name another directory") from error


def checked(record: Any) -> dict[str, Any]:
    """A record whose parts are of the kinds they should be. Raises ValueError otherwise."""
    wanted = {"settings": dict, "content": dict, "weights": dict, "styles": list, "masks": list}
    if not isinstance(record, dict) or not all(isinstance(record.get(part), kind) for part, kind in wanted.items()):
        raise ValueError("no record")
    if not isinstance(record.get("outcome", {}), dict):
        raise ValueError("no outcome")
    if not isinstance(record.get("read_limit", 1.0), int | float):
        raise ValueError("no limit")
    if not re.fullmatch("[0-9a-f]{16}", str(record.get("mark", "0" * 16))) or not _is_list(record.get("files", {})):
        raise ValueError("no list of files")
    for source in (source for name in SOURCES for source in _sources(record, name)):
        if not all(isinstance(source.get(key), str) for key in ("path", "sha256")):
            raise ValueError("no source")
    return record


def _is_list(listed: Any) -> bool:
    """Whether this names files as a run does, with their hashes."""
    return isinstance(listed, dict) and all(
        (NAMES.fullmatch(name) or re.fullmatch(rf"{re.escape(COPIES)}/[^/\0]+", name))
        and isinstance(hashes, list)
        and all(isinstance(digest, str) for digest in hashes)
        for name, hashes in listed.items()
    )


def settings(record: dict[str, Any], path: Path) -> Settings:
    """The settings of a record. Raises InputError where they are not this version's."""
    values: dict[str, Any] = record["settings"]
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    kinds = get_type_hints(Settings)
    if not all(name in kinds and _is_a(value, kinds[name]) for name, value in values.items()):
        raise InputError(f"{path / 'run.json'}: settings of another version; paint anew with --overwrite")
    return Settings(**values)


def _is_a(value: Any, kind: Any) -> bool:
    """Whether a value is of the kind that a setting is annotated with."""
    origin, kinds = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return any(_is_a(value, one) for one in kinds)
    if origin is tuple:
        return isinstance(value, tuple) and all(_is_a(item, kinds[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, dict) and all(_is_a(item, kinds[1]) for item in value.values())
    if kind is float:
        return type(value) in (int, float)
    return type(value) is kind


def differences(begun: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Where sources or settings are not those a run was begun with: a line for each.

    A source is its bytes; it may lie elsewhere meanwhile.
    """
    lines = []
    for name in SOURCES:
        before, after = _sources(begun, name), _sources(now, name)
        if [source["sha256"] for source in before] != [source["sha256"] for source in after]:
            lines.append(f"{name} {_paths(after)}: the run was begun with other bytes, of {_paths(before)}")
    before = asdict(Settings()) | begun["settings"]  # an older version's has fewer
    for name, value in now["settings"].items():
        old = before[name]
        if name == "init" and begun.get("init") and now.get("init"):
            continue  # pictures: told by their bytes above
        if old != value:
            lines.append(f"--{name.replace('_', '-')} {value}: the run was begun with {old}")
    return lines


def _sources(record: dict[str, Any], name: str) -> list[dict[str, str]]:
    sources = record.get(name) or []
    sources = sources if isinstance(sources, list) else [sources]
    if not all(isinstance(source, dict) for source in sources):
        raise ValueError("no source")
    return sources


def source(path: Path) -> dict[str, str]:
    """How a record names a file. Raises OSError as open does."""
    return {"path": str(path.resolve()), "sha256": files.sha256(path)}


def find(source: dict[str, str], places: Iterable[Path]) -> Path:
    """The file of a source: where it was, or whatever in these directories has its bytes, below them too.

    Raises InputError where there is none.
    """
    path = Path(source["path"])
    if _has_bytes(path, source["sha256"]):
        return path
    for place in places:
        for other in sorted(place.rglob("*")):
            if _has_bytes(other, source["sha256"]):
                return other
    gone = "has other bytes than when the run was begun" if path.exists() else "is gone"
    raise InputError(f"{path}: {gone}; put it back, or a copy of it into the run's directory")


def _has_bytes(path: Path, digest: str) -> bool:
    try:
        return path.is_file() and files.sha256(path) == digest
    except OSError:
        return False


def _paths(sources: list[dict[str, str]]) -> str:
    return " ".join(source["path"] for source in sources) or "none"
