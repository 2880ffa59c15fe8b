"""A run's directory: run.json, and the files that it lists. All other files there are left alone."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import filelock

from nst_graph import files
from nst_graph.errors import InputError
from nst_graph.runs import records

#: The subdirectory of the events for TensorBoard.
TENSORBOARD = "tensorboard"


class Directory:
    """The files of a run, in a directory that may also have other files.

    run.json lists the run's files with their SHA-256. A file that is not listed, or has another
    hash, is neither overwritten nor removed. The list is written first: a file's new hash is added
    to its old one before the file is replaced, so that a kill between the two does no harm.
    """

    def __init__(self, path: Path, record: dict[str, Any] | None = None) -> None:
        """An existing run with this record, or a new one."""
        record = dict(record or {})
        self.path = path
        #: The suffix of this run's unfinished files and of its events for TensorBoard.
        self.mark: str = record.pop("mark", None) or secrets.token_hex(8)
        self._listed: dict[str, list[str]] = record.pop("files", {})
        self.record = record

    @classmethod
    def at(cls, path: Path) -> Directory:
        """The run in a directory, or a new one if there is no run.json. Raises InputError if that is not a run's."""
        if not os.path.lexists(path / "run.json"):
            return cls(path)
        record = records.read(path)
        if "files" not in record:
            raise InputError(f"{path}: a run of an older version, which kept no list of its files; move it away")
        return cls(path, record)

    @classmethod
    def to_paint_in(cls, path: Path, overwrite: bool, resume: bool) -> Directory:
        """The same for a painting. Raises InputError if there is a run to be kept, no directory, or as `check` does."""
        if path.exists() and not path.is_dir():
            raise InputError(f"--output {path}: not a directory; name another")
        directory = cls.at(path)
        if directory.record and not overwrite and not resume:
            raise InputError(f"--output {path}: holds a run; name another, add --overwrite, or --resume it alone")
        if not resume:
            directory.check()
        return directory

    def check(self) -> None:
        """Raise InputError if a file has a name that runs use but is not as this run wrote it."""
        # After a kill a file may have two hashes listed; it matches one of them.
        own = {name: [digest] for name, listed in self._listed.items() if (digest := self._hash(name)) in listed}
        for name in sorted(os.listdir(self.path)) if self.path.is_dir() else []:
            if records.NAMES.fullmatch(name) and name not in ("run.json", *own):
                what = "has changed since the run wrote it" if name in self._listed else "is not this program's"
                raise InputError(f"{self.path / name}: {what}; move it away, or name another directory")
        self._listed = own

    def check_apart(self, paths: Iterable[Path]) -> None:
        """Raise InputError if one of these is a file of the run, which is about to be removed."""
        own = [self.path / name for name in (*self._listed, "run.json")]
        for path in paths:
            if any(file.exists() and file.samefile(path) for file in own):
                raise InputError(f"{path}: a file of the run that --overwrite replaces; name a copy elsewhere")

    def describe(self, record: dict[str, Any]) -> None:
        """Write run.json. Raises OSError as open and write do."""
        self.record = record
        with files.atomic(self.path / "run.json", self.mark) as file:
            content = record | {"mark": self.mark, "files": self._listed}
            file.write(json.dumps(content, indent=2).encode() + b"\n")

    def write(self, name: str, fill: Callable[[BinaryIO], object]) -> None:
        """Write a file of the run by `fill`. Raises InputError if a file not the run's has that name, or OSError."""
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
        """Write bytes to a file of the run. Raises as `write` does."""
        self.write(name, lambda file: file.write(data))

    def remove(self, *names: str) -> None:
        """Remove files if they exist and are the run's, their entries in the list, and empty subdirectories."""
        for name in names:
            if self._owns(name):
                (self.path / name).unlink()
            self._listed.pop(name, None)
        for subdirectory in (TENSORBOARD, records.COPIES):
            with suppress(OSError):
                (self.path / subdirectory).rmdir()

    def clear(self) -> None:
        """Remove all files of the run except run.json, and begin a new one."""
        for events in self.path.glob(f"{TENSORBOARD}/*.{self.mark}"):
            events.unlink()
        self.remove(*self._listed)
        self.mark = secrets.token_hex(8)

    def tidy(self) -> None:
        """Remove the unfinished files of a killed run."""
        for directory in (self.path, self.path / records.COPIES):
            for unfinished in directory.glob(f".*.{self.mark}"):
                unfinished.unlink()

    def add_copies(self, sources: dict[str, Path]) -> None:
        """Copy the run's source pictures, by role, so that it can be resumed if they are moved or deleted."""
        for role, source in sources.items():
            name = f"{records.COPIES}/{role}-{self.mark}"
            if not self._owns(name):
                self.put(name, source.read_bytes())

    def remove_copies(self) -> None:
        """Remove the copies of the source pictures."""
        self.remove(*(name for name in self._listed if name.startswith(f"{records.COPIES}/")))

    def pictures(self) -> list[Path]:
        """The pictures saved while painting, in order, and the final one if it is different."""
        listed = (self.path / name for name in self._listed if name.startswith("iteration-"))
        saved, final = sorted(file for file in listed if file.exists()), self.path / "final.png"
        return saved if saved and files.sha256(saved[-1]) == files.sha256(final) else [*saved, final]

    def _hash(self, name: str) -> str:
        """The hash of a file; "" if it does not exist or is a link."""
        path = self.path / name
        return files.sha256(path) if path.is_file() and not path.is_symlink() else ""

    def _owns(self, name: str) -> bool:
        return self._hash(name) in self._listed.get(name, [])


def numbered(path: Path) -> Iterator[Path]:
    """PATH, PATH-2, PATH-3, ..."""
    return itertools.chain([path], (path.with_name(f"{path.name}-{number}") for number in itertools.count(2)))


@contextmanager
def claimed(path: Path) -> Iterator[Path]:
    """Make a directory if need be, and keep other processes from painting there.

    Nested claims of one thread are one. A directory that was made here and is still empty at the end is removed.
    Raises InputError if another process paints there, or the directory cannot be written.
    """
    with _locked(path, _make(path)):
        yield path


@contextmanager
def claimed_free(path: Path) -> Iterator[Path]:
    """Claim the first of PATH, PATH-2, PATH-3, ... that is not there, whoever else does so at the same time."""
    place = next(filter(_make, numbered(path)))
    with _locked(place, True):
        yield place


def _make(path: Path) -> bool:
    """Make a directory; whether it was not there. Raises InputError."""
    try:
        path.mkdir(parents=True)
        return True
    except FileExistsError:
        return False
    except OSError as error:
        raise _unwritable(path, error) from error


@contextmanager
def _locked(path: Path, made: bool) -> Iterator[None]:
    lock = filelock.FileLock(path.absolute() / ".lock", is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise InputError(f"--output {path}: another process paints there; name another directory") from error
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield
    finally:
        unused = not (path / "run.json").exists()
        with suppress(OSError):  # Windows removes no open file
            if unused:
                (path / ".lock").unlink()
        lock.release()
        with suppress(OSError):  # it is not empty
            if unused and made:
                path.rmdir()


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"--output {path}: {error.strerror}; name a directory that can be written")
