"""Records: run.json, which describes what a run was begun with."""

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nst_graph import files
from nst_graph.errors import DamagedError, InputError, decoding
from nst_graph.settings import DEPTHS, PRECISIONS, STARTS, Settings
from nst_graph.version import __version__

#: The names of a run's files.
NAMES = re.compile(
    r"run\.json|losses\.csv|losses\.png|state\.npz|index\.html|content\.png|final\.png|timelapse\.(gif|mp4)"
    r"|film\.mp4|frame-[0-9]{5,}\.png|style-[0-9]+\.png|iteration-[0-9]{5,}\.png"
)
#: The subdirectory of an unfinished run's copies of its sources.
COPIES = ".sources"

#: The parts of a record that describe files by path and hash.
SOURCES = ("content", "styles", "masks", "init", "weights")


def read(path: Path) -> dict[str, Any]:
    """Read run.json in a run's directory. Raises InputError if it is missing or damaged."""
    try:
        text = files.read_text(path / "run.json")
        with decoding():
            record = json.loads(text)
        return checked(record)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path}: holds no run; begin one with CONTENT and STYLE") from error
    except OSError as error:
        raise InputError(f"{path / 'run.json'}: {error.strerror}; make it readable") from error
    except (DamagedError, UnicodeDecodeError) as error:
        raise InputError(f"{path / 'run.json'}: not a run's record; name another directory") from error


def checked(record: Any) -> dict[str, Any]:
    """Check the types of a record's parts, and return it. Raises DamagedError."""
    types = {"settings": dict, "content": dict, "weights": dict, "styles": list, "masks": list}
    if not isinstance(record, dict) or not all(isinstance(record.get(part), kind) for part, kind in types.items()):
        raise DamagedError("not a record")
    if not isinstance(record.get("outcome", {}), dict):
        raise DamagedError("not an outcome")
    if not isinstance(record.get("read_limit", 1.0), int | float):
        raise DamagedError("not a limit")
    if not isinstance(stages := record.get("stages", []), list) or not all(map(_is_stage, stages)):
        raise DamagedError("not stages")
    if not _is_picture(record.get("picture")):
        raise DamagedError("not a picture beside the run")
    if not re.fullmatch("[0-9a-f]{16}", str(record.get("mark", "0" * 16))) or not _are_files(record.get("files", {})):
        raise DamagedError("not a list of files")
    for source in (source for name in SOURCES for source in _sources(record, name)):
        if not all(isinstance(source.get(key), str) for key in ("path", "sha256")):
            raise DamagedError("not a source")
    return record


def _is_stage(stage: Any) -> bool:
    """Whether this describes a stage; an older version's has no plan, which else is what plans.Plan has."""
    plan = stage.get("plan") if isinstance(stage, dict) else None
    plan = {"tile": None, "pairs": 1, "vector_dtype": None} if plan is None else plan
    if not isinstance(stage, dict) or not isinstance(plan, dict) or plan.keys() != {"tile", "pairs", "vector_dtype"}:
        return False
    counts = [*(stage.get(name) for name in ("width", "height")), plan["pairs"], plan["tile"] or 1]
    good = all(type(number) is int and number > 0 for number in counts) and type(stage.get("iterations")) is int
    return good and stage.get("precision") in PRECISIONS and plan["vector_dtype"] in (None, "float32", "float64")


def _are_files(listed: Any) -> bool:
    """Whether this maps names of a run's files to lists of hashes."""
    return isinstance(listed, dict) and all(
        (NAMES.fullmatch(name) or re.fullmatch(rf"{re.escape(COPIES)}/[^/\0]+", name))
        and isinstance(hashes, list)
        and all(isinstance(digest, str) for digest in hashes)
        for name, hashes in listed.items()
    )


def _is_picture(picture: Any) -> bool:
    """Whether this is the suffix of a picture beside the run and its hashes, or None."""
    if picture is None:
        return True
    if not isinstance(picture, dict) or str(picture.get("suffix")).lower() not in DEPTHS:
        return False
    hashes = picture.get("sha256")
    return isinstance(hashes, list) and all(isinstance(digest, str) for digest in hashes)


def settings(record: dict[str, Any], path: Path) -> Settings:
    """The settings of a record. Raises InputError if they are not this version's."""
    try:
        return Settings(**record["settings"])
    except TypeError as error:  # a name that is no setting's
        raise InputError(f"{path / 'run.json'}: settings of another version; paint anew with --overwrite") from error
    except InputError as error:
        raise InputError(f"{path / 'run.json'}: {error}; or paint anew with --overwrite") from error


def software() -> str:
    """The program, with its version."""
    return f"nst_graph {__version__}"


def texts(settings: Settings, network: str) -> dict[str, str]:
    """What a picture says of how it was painted, by keywords: no dates, and "FILE" for a picture that was the start."""
    values = asdict(settings) | ({} if settings.init in STARTS else {"init": "FILE"})
    return {"Software": software(), "Network": network, "Settings": json.dumps(values)}


def differences(earlier: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """A line for each setting, and each source by its bytes, that differs from what a run was begun with."""
    lines = []
    for name in SOURCES:
        before, after = _sources(earlier, name), _sources(now, name)
        if [source["sha256"] for source in before] != [source["sha256"] for source in after]:
            lines.append(f"{name} {_paths(after)}: the run was begun with other bytes, of {_paths(before)}")
    before = json.loads(json.dumps(asdict(Settings()))) | earlier["settings"]  # an older version may lack some
    for name, value in now["settings"].items():
        are_files = name == "init" and earlier.get("init") and now.get("init")  # whose bytes are compared above
        if before[name] != value and not are_files:
            lines.append(f"--{name.replace('_', '-')} {value}: the run was begun with {before[name]}")
    return lines


def are_of(record: dict[str, Any], name: str, paths: Sequence[Path]) -> bool:
    """Whether files have the bytes of the record's sources of this name."""
    return [_digest(path) for path in paths] == [source["sha256"] for source in _sources(record, name)]


def _sources(record: dict[str, Any], name: str) -> list[dict[str, str]]:
    sources = record.get(name) or []
    sources = sources if isinstance(sources, list) else [sources]
    if not all(isinstance(source, dict) for source in sources):
        raise DamagedError("not a source")
    return sources


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
        if _has_hash(candidate, source["sha256"]):
            return candidate
    gone = "has other bytes than when the run was begun" if path.exists() else "is gone"
    raise InputError(f"{path}: {gone}; put it back, or a copy of it into the run's directory")


def _has_hash(path: Path, digest: str) -> bool:
    try:
        return path.exists() and files.non_file(path) != "a pipe or a device" and _digest(path) == digest
    except OSError:
        return False


def _paths(sources: list[dict[str, str]]) -> str:
    return " ".join(source["path"] for source in sources) or "none"
