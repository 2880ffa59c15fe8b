"""A run's directory: run.json, and the files of the run, which it lists. Whatever else lies there is left alone."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import filelock

from nst_graph import files
from nst_graph.errors import InputError
from nst_graph.runs import records

#: Where events for TensorBoard lie.
TENSORBOARD = "tensorboard"


class Directory:
    """The files of one run, in a directory that may hold other people's files too.

    run.json lists each by its name, with the SHA-256 of its bytes. What is not listed, or has other
    bytes, is not the run's, and is neither written over nor removed. The list is always ahead: a
    file's new hash is in it before the file has its name, beside the hash of what was there.
    """

    def __init__(self, path: Path, record: dict[str, Any] | None = None) -> None:
        """A run that is there, by its record, or one to be begun."""
        record = dict(record or {})
        self.path = path
        #: What the names of this run's unfinished files, and of those for TensorBoard, end with.
        self.mark: str = record.pop("mark", None) or secrets.token_hex(8)
        self._listed: dict[str, list[str]] = record.pop("files", {})
        self.record = record

    @classmethod
    def at(cls, path: Path) -> Directory:
        """The run in a directory, or one to be begun where there is no run.json.

        Raises InputError where run.json is not a run's.
        """
        if not os.path.lexists(path / "run.json"):
            return cls(path)
        record = records.read(path)
        if "files" not in record:
            raise InputError(f"{path}: a run of an older version, which kept no list of its files; move it away")
        return cls(path, record)

    def check(self) -> None:
        """Raise InputError where a file bears a name that runs use, and is not as this run left it."""
        # What a kill left of two hashes is one.
        own = {name: [digest] for name, listed in self._listed.items() if (digest := self._hash(name)) in listed}
        for name in sorted(os.listdir(self.path)) if self.path.is_dir() else []:
            if records.NAMES.fullmatch(name) and name not in ("run.json", *own):
                what = "has changed since the run wrote it" if name in self._listed else "is not this program's"
                raise InputError(f"{self.path / name}: {what}; move it away, or name another directory")
        self._listed = own

    def check_apart(self, paths: Iterable[Path]) -> None:
        """Raise InputError where one of these is a file of the run, which is to be removed."""
        own = [self.path / name for name in (*self._listed, "run.json")]
        for path in paths:
            if any(file.exists() and file.samefile(path) for file in own):
                raise InputError(
                    f"{path}: a file of the run that --overwrite replaces; copy it elsewhere, and name that"
                )

    def describe(self, record: dict[str, Any]) -> None:
        """Write run.json. Raises OSError as open and write do."""
        self.record = record
        with files.atomic(self.path / "run.json", self.mark) as file:
            whole = self.record | {"mark": self.mark, "files": self._listed}
            file.write(json.dumps(whole, indent=2).encode() + b"\n")

    def write(self, name: str, fill: Callable[[BinaryIO], object]) -> None:
        """Write a file of the run, by a function that fills it.

        Raises InputError where another of that name came meanwhile, OSError as open and write do.
        """
        path = self.path / name
        if name not in self._listed and os.path.lexists(path):
            raise InputError(f"{path}: is not this program's; move it away")
        path.parent.mkdir(exist_ok=True)
        with files.atomic(path, self.mark) as file:
            fill(file)
            file.flush()
            file.seek(0)
            self._listed.setdefault(name, []).append(hashlib.file_digest(file, "sha256").hexdigest())
            self.describe(self.record)
        self._listed[name] = self._listed[name][-1:]

    def put(self, name: str, data: bytes) -> None:
        """Write a file of the run as `write` does, from bytes."""
        self.write(name, lambda file: file.write(data))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there and the run's, and take it off the list."""
        if self._owns(name):
            (self.path / name).unlink()
        self._listed.pop(name, None)

    def clear(self) -> None:
        """Remove all files of the run but run.json, and begin another."""
        for name in list(self._listed):
            self.remove(name)
        self.tidy()
        for events in self.path.glob(f"{TENSORBOARD}/*.{self.mark}"):
            events.unlink()
        self._remove_if_empty(TENSORBOARD)
        self.mark = secrets.token_hex(8)

    def tidy(self) -> None:
        """Remove what was being written when the run was killed."""
        for place in (self.path, self.path / records.COPIES):
            for torn in place.glob(f".*.{self.mark}"):
                torn.unlink()

    def add_copies(self, sources: dict[str, Path]) -> None:
        """Copy the files that the run is painted from, by role, so that it goes on wherever they go."""
        for role, source in sources.items():
            name = f"{records.COPIES}/{role}-{self.mark}"
            if not self._owns(name):
                self.put(name, source.read_bytes())

    def remove_copies(self) -> None:
        """Remove those copies."""
        for name in [name for name in self._listed if name.startswith(f"{records.COPIES}/")]:
            self.remove(name)
        self._remove_if_empty(records.COPIES)

    def pictures(self) -> list[Path]:
        """The pictures that were saved while painting, in order, and the last, where it is another."""
        found = (self.path / name for name in self._listed if name.startswith("iteration-"))
        saved, final = sorted(file for file in found if file.exists()), self.path / "final.png"
        return saved if saved and files.sha256(saved[-1]) == files.sha256(final) else [*saved, final]

    def _remove_if_empty(self, name: str) -> None:
        with suppress(OSError):
            (self.path / name).rmdir()

    def _hash(self, name: str) -> str:
        """The hash of a file; nothing where there is none, or a link."""
        path = self.path / name
        return files.sha256(path) if path.is_file() and not path.is_symlink() else ""

    def _owns(self, name: str) -> bool:
        return self._hash(name) in self._listed.get(name, [])


def lock(path: Path) -> filelock.BaseFileLock:
    """Make a directory and keep every other run out of it until the lock is released, or the process ends.

    Raises InputError where another run holds it, OSError where it cannot be made.
    """
    path.mkdir(parents=True, exist_ok=True)
    held = filelock.FileLock(path / ".lock")
    try:
        held.acquire(timeout=0)
    except filelock.Timeout as error:
        raise InputError(f"--output {path}: another process paints there; name another directory") from error
    return held
