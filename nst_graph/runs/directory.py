"""A run's directory: which files are the run's, who may paint there, and the picture beside it, --output FILE."""

import hashlib
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import filelock

from nst_graph import files
from nst_graph.errors import InputError
from nst_graph.runs import records
from nst_graph.settings import DEPTHS

#: Kinds of pictures that are read, but not saved.
UNSAVED = (".webp", ".gif", ".bmp", ".avif", ".heic", ".heif")


def split_output(output: Path) -> tuple[Path, Path | None]:
    """A run's directory, and the picture beside it where `output` names one. Raises InputError for other kinds."""
    if output.name in ("", ".."):
        output = output.resolve()  # for a name
    suffix = output.suffix.lower()
    if output.is_dir() or suffix not in (*DEPTHS, *UNSAVED):
        return output, None
    if suffix in UNSAVED:
        known = ", ".join(DEPTHS)
        raise InputError(f"--output {output}: pictures are saved as {known}; name one of these, or a directory")
    return output.with_suffix(""), output


def check_depth(picture: Path | None, depth: int) -> None:
    """Raise InputError if a picture's kind of file has not so many bits."""
    if picture is not None and depth not in DEPTHS[picture.suffix.lower()]:
        raise InputError(f"--depth {depth}: {picture.name} would have 8 bits a colour; name a .png or a .tif")


class Directory:
    """The files of a run, in a directory that may also have other files.

    With a run.json of this program it is a run's, and so are the files there that have names of records.NAMES. All
    others are left alone. The picture beside it is the run's while it is as the run wrote it.
    """

    def __init__(self, path: Path, picture: Path | None = None) -> None:
        """`picture` is the one that a new run will write. Raises InputError if run.json is not a run's."""
        self.path = path
        self.record: dict[str, Any] = records.read(path) if os.path.lexists(path / "run.json") else {}
        written = self.record.get("picture")
        beside = path.with_name(path.name + written["suffix"]) if written else None
        self.picture = picture or beside
        #: The SHA-256 of the picture, two while it is replaced.
        self._hashes: list[str] = written["sha256"] if written and self.picture == beside else []

    def names(self) -> list[str]:
        """The names of the files here that are the run's, or would be, in order."""
        places = (self.path, self.path / records.COPIES, self.path / records.TENSORBOARD)
        entries = (entry for place in places if place.is_dir() for entry in place.iterdir())
        names = (entry.relative_to(self.path).as_posix() for entry in entries)
        return sorted(name for name in names if records.NAMES.fullmatch(name))

    def describe(self, record: dict[str, Any]) -> None:
        """Write run.json. Raises OSError, as all that write."""
        self.record = record
        if self.picture is not None:  # not where it is, as the run may be moved
            record = record | {"picture": {"suffix": self.picture.suffix, "sha256": self._hashes}}
        self.put("run.json", json.dumps(record, indent=2).encode() + b"\n")

    def put(self, name: str, data: bytes) -> None:
        """Write bytes to a file of the run, as `write` does."""
        self.write(name, lambda file: file.write(data))

    def write(self, name: str, fill: Callable[[BinaryIO], object]) -> None:
        """Write a file of the run by `fill`, whole or not at all."""
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        with files.atomic(path, records.UNFINISHED) as file:
            fill(file)

    def may_put_picture(self) -> bool:
        """Whether there is no picture beside the run, or it is as the run wrote it."""
        if self.picture is None or not os.path.lexists(self.picture):
            return True
        return self.picture.is_file() and not self.picture.is_symlink() and files.sha256(self.picture) in self._hashes

    def put_picture(self, data: bytes) -> None:
        """Write the picture beside the run, and its hash into run.json, before it: a kill between them does no harm."""
        assert self.picture is not None
        self._hashes = [*self._hashes, hashlib.sha256(data).hexdigest()]
        self.describe(self.record)
        with files.atomic(self.picture) as file:
            file.write(data)
        del self._hashes[:-1]

    def remove(self, pattern: str) -> None:
        """Remove the run's files whose names match, and the subdirectories that are then empty."""
        for name in self.names():
            if re.fullmatch(pattern, name):
                (self.path / name).unlink()
        for subdirectory in (records.TENSORBOARD, records.COPIES):
            with suppress(OSError):
                (self.path / subdirectory).rmdir()


def numbered(path: Path) -> Iterator[Path]:
    """PATH, PATH-2, PATH-3, ..."""
    return itertools.chain([path], (path.with_name(f"{path.name}-{number}") for number in itertools.count(2)))


@contextmanager
def claimed(
    path: Path, picture: Path | None = None, overwrite: bool = False, resume: bool = False, free: bool = False
) -> Iterator[Directory]:
    """Check a directory, make it if need be, and keep other processes from painting there.

    With `free` it is the first of PATH, PATH-2, PATH-3, ... that is not there, whoever else takes one at the same time.
    Nested claims of one thread are one. Directories that were made here and are still empty at the end are removed.
    Raises InputError if what is there is to be kept, another process paints there, or it cannot be written.
    """
    if free:
        path, made = next((place, made) for place in numbered(path) if (made := _make(place)))
    else:
        _checked(path, picture, overwrite, resume)  # before a file is made there
        made = _make(path)
    lock = filelock.FileLock(path.absolute() / ".lock", is_singleton=True)
    with writing(path):
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise InputError(f"--output {path}: another process paints there; name another directory") from error
    try:
        yield _checked(path, picture, overwrite, resume)  # as nobody changes it any more
    finally:
        unused = not (path / "run.json").exists()
        with suppress(OSError):  # Windows removes no open file
            if unused:
                (path / ".lock").unlink()
        lock.release()
        with suppress(OSError):  # it is not empty
            for place in made if unused else ():
                place.rmdir()


def _checked(path: Path, picture: Path | None, overwrite: bool, resume: bool) -> Directory:
    """A directory where a run may begin or, with `resume`, go on. Raises InputError if none may."""
    directory = Directory(path, picture)
    if path.exists() and not path.is_dir():
        raise InputError(f"--output {path}: not a directory; name another")
    if directory.record and not (overwrite or resume):
        raise InputError(f"--output {path}: holds a run; name another, add --overwrite, or --resume it alone")
    if not directory.record and (others := directory.names()):
        raise InputError(f"{path / others[0]}: is not this program's; move it away, or name another directory")
    if overwrite:
        directory.picture = picture  # not that of the run that is replaced
    elif not directory.may_put_picture():
        remedy = "name another, add --overwrite, or move it away"
        raise InputError(f"--output {directory.picture}: is there already; {remedy}")
    return directory


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise InputError in the place of OSError while a directory is prepared."""
    try:
        yield
    except OSError as error:
        raise InputError(f"--output {path}: {error.strerror}; name a directory that can be written") from error


def _make(path: Path) -> list[Path]:
    """Make a directory, and those above it; returns what was not there, from within. Raises InputError."""
    with writing(path), suppress(FileExistsError):
        missing = [place for place in (path, *path.parents) if not place.exists()]
        path.mkdir(parents=True)
        return missing
    return []
