"""Records: run.json, which says what a run was begun with; and the names of a run's files."""

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nst_graph import files
from nst_graph.errors import DamagedError, InputError, decoding
from nst_graph.settings import DEPTHS, PATHS, PRECISIONS, Settings
from nst_graph.version import __version__

#: The program, with its version.
SOFTWARE = f"nst_graph {__version__}"
#: The subdirectories of an unfinished run's copies of its sources, and of the events for TensorBoard.
COPIES, TENSORBOARD = ".sources", "tensorboard"
#: The endings of files that are not yet whole, and of events.
UNFINISHED, EVENTS = "unfinished", ".nst_graph"
_NAME = (
    r"(run\.json|losses\.csv|losses\.png|state\.npz|index\.html|content\.png|final\.png|timelapse\.(gif|mp4)"
    r"|film\.mp4|(frame|iteration)-[0-9]{5,}\.png|(style|detail)-[0-9]+\.png)"
)
#: The names of a run's files.
NAMES = re.compile(
    rf"{_NAME}|\.{_NAME}\.unfinished|\.film\.unfinished\.mp4|tensorboard/events\..*\.nst_graph"
    rf"|\.sources/\.?(content|{'|'.join(PATHS)}|((style-)?mask|style)-[0-9]+)(\.unfinished)?"
)

#: The parts of a record that describe files by path and hash, among them those of several each.
SEVERAL = ("styles", "masks", "style_masks")
SOURCES = ("content", *SEVERAL, *PATHS, "weights")

_SOURCE = {"path": str, "sha256": str}
_COUNT = range(1, 2**53)
#: How a stage was planned: the fields of stages.Plan.
_PLAN: dict[str, Any] = {"pairs": _COUNT, "vector_dtype": (None, "float32", "float64"), "blocks": range(2**53)}
_PLAN |= {"rows": range(2**53), "joined": (None, _COUNT)}  # the last of which runs of before lack
_STAGE = {"width": _COUNT, "height": _COUNT, "iterations": range(2**53), "precision": PRECISIONS, "plan": (None, _PLAN)}
#: The parts that a record may lack, and what all parts are, for _is_of.
_DEFAULTS: dict[str, Any] = {"stages": [], "outcome": {}, "read_limit": files.READ_LIMIT, "picture": None}
_DEFAULTS |= dict.fromkeys(PATHS) | {"style_masks": []}
_RECORD: dict[str, Any] = {"content": _SOURCE, "weights": _SOURCE} | {name: [_SOURCE] for name in SEVERAL}
_RECORD |= dict.fromkeys(PATHS, (None, _SOURCE)) | {"picture": (None, {"suffix": str, "sha256": [str]})}
_RECORD |= {"settings": dict, "stages": [_STAGE], "outcome": dict, "read_limit": (int, float)}


def read(path: Path) -> dict[str, Any]:
    """Read run.json in a run's directory. Raises InputError if it is missing or damaged."""
    try:
        text = files.read_text(path / "run.json")
        with decoding():
            record = json.loads(text)
        record = _of_this_version(_DEFAULTS | record) if isinstance(record, dict) else None
        if record is None or not _is_of(record, _RECORD):
            raise DamagedError("not a record")
        if any((stage.get("plan") or _PLAN).keys() | {"joined"} != _PLAN.keys() for stage in record["stages"]):
            raise DamagedError("not a plan")
        if record["picture"] and record["picture"]["suffix"].lower() not in DEPTHS:
            raise DamagedError("not a picture beside the run")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path}: holds no run; begin one with CONTENT and STYLE") from error
    except OSError as error:
        raise InputError(f"{path / 'run.json'}: {error.strerror}; make it readable") from error
    except (DamagedError, UnicodeDecodeError) as error:
        raise InputError(f"{path / 'run.json'}: not a run's record; name another directory") from error
    return record


def _of_this_version(record: dict[str, Any]) -> dict[str, Any]:
    """The record of a run of the version before, which has a mark, as it would be now; its plans are forgotten."""
    if "mark" not in record or not _is_of(record, {"stages": [dict], "outcome": dict}):
        return record
    outcome = {"iteration_offset" if name == "before" else name: value for name, value in record["outcome"].items()}
    return record | {"stages": [stage | {"plan": None} for stage in record["stages"]], "outcome": outcome}


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a value is of a kind: a type, a value itself, a range of whole numbers, or one of a tuple of kinds.

    A mapping has these kinds at least, by name; a list has any number of one kind.
    """
    if isinstance(kind, tuple):
        return any(_is_of(value, one) for one in kind)
    if isinstance(kind, dict):
        return isinstance(value, dict) and all(_is_of(value.get(name), one) for name, one in kind.items())
    if isinstance(kind, list):
        return isinstance(value, list) and all(_is_of(item, kind[0]) for item in value)
    if isinstance(kind, range):
        return type(value) is int and value in kind
    return isinstance(value, kind) if isinstance(kind, type) else bool(value == kind)


def settings(record: dict[str, Any], path: Path) -> Settings:
    """The settings of a record. Raises InputError if they are not this version's."""
    try:
        return Settings(**record["settings"])
    except TypeError as error:  # a name that is no setting's
        raise InputError(f"{path / 'run.json'}: settings of another version; paint anew with --overwrite") from error
    except InputError as error:
        raise InputError(f"{path / 'run.json'}: {error}; or paint anew with --overwrite") from error


def texts(settings: Settings, network: str) -> dict[str, str]:
    """What a picture says of how it was painted, by keywords: no dates, and "FILE" for a picture that settings name."""
    values = asdict(settings) | dict.fromkeys(settings.paths, "FILE")
    return {"Software": SOFTWARE, "Network": network, "Settings": json.dumps(values)}


def differences(earlier: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """A line for each setting that changes the result, of a film too, and each source, unlike those of its begin."""
    lines = []
    for name in SOURCES:
        before, after = _sources(earlier, name), _sources(now, name)
        if [source["sha256"] for source in before] != [source["sha256"] for source in after]:
            lines.append(f"{name} {_paths(after)}: the run was begun with other bytes, of {_paths(before)}")
    defaults = json.loads(json.dumps(asdict(Settings())))  # an older version may lack some
    settings = defaults | earlier["settings"]
    for name, value in now["settings"].items():
        are_files = name in PATHS and earlier.get(name) and now.get(name)  # whose bytes are compared above
        if settings[name] != value and not are_files and name != "memory":  # there may be less than before
            lines.append(f"--{name.replace('_', '-')} {value}: the run was begun with {settings[name]}")
    film = earlier.get("film", {})
    changed = [name for name, value in now.get("film", {}).items() if film.get(name) != value]
    return lines + [f"{name}: the film was begun with {film.get(name)}" for name in changed]


def are_of(record: dict[str, Any], name: str, paths: Sequence[Path]) -> bool:
    """Whether files have the bytes of the record's sources of this name."""
    return [_digest(path) for path in paths] == [source["sha256"] for source in _sources(record, name)]


def _sources(record: dict[str, Any], name: str) -> list[dict[str, str]]:
    sources = record.get(name) or []
    return sources if isinstance(sources, list) else [sources]


def _paths(sources: list[dict[str, str]]) -> str:
    return " ".join(source["path"] for source in sources) or "none"


def source(path: Path) -> dict[str, str]:
    """A record's description of a file, or of a directory of frames. Raises OSError as open does."""
    return {"path": str(path.resolve()), "sha256": _digest(path)}


def _digest(path: Path) -> str:
    """The SHA-256 of a file, or of the names and hashes of a directory's pictures."""
    if not path.is_dir():
        return files.sha256(path)
    named = [f"{file.name} {files.sha256(file)}" for file in files.pictures_in(path)]
    return hashlib.sha256("\n".join(named).encode(errors="surrogateescape")).hexdigest()


def find(source: dict[str, str], directories: Iterable[Path]) -> Path:
    """Find a source at its path, or its bytes in or below these directories. Raises InputError if there is none."""
    path = Path(source["path"])
    others = (other for directory in directories for other in sorted(directory.rglob("*")) if other.is_file())
    for candidate in itertools.chain([path], others):
        with suppress(OSError):
            if files.non_file(candidate) != "a pipe or a device" and _digest(candidate) == source["sha256"]:
                return candidate
    gone = "has other bytes than when the run was begun" if path.exists() else "is gone"
    raise InputError(f"{path}: {gone}; put it back, or a copy of it into the run's directory")
