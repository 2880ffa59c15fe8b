"""The picture beside a run: --output FILE, whose run's directory has its name without the suffix."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nst_graph import files
from nst_graph.errors import InputError
from nst_graph.runs.directory import Directory
from nst_graph.settings import DEPTHS

#: Kinds of pictures that are read, but not saved.
UNSAVED = (".webp", ".gif", ".bmp", ".avif", ".heic", ".heif")


def split(output: Path) -> tuple[Path, Path | None]:
    """A run's directory, and the picture beside it where `output` is its name. Raises InputError for other kinds."""
    if output.name in ("", ".."):
        output = output.resolve()  # for a name
    suffix = output.suffix.lower()
    if output.is_dir() or suffix not in (*DEPTHS, *UNSAVED):
        return output, None
    if suffix in UNSAVED:
        known = ", ".join(DEPTHS)
        raise InputError(f"--output {output}: pictures are saved as {known}; name one of these, or a directory")
    return output.with_suffix(""), output


@dataclass(frozen=True)
class OutputImage:
    """The picture, and the SHA-256 of what the run wrote there, two where it was killed meanwhile."""

    path: Path
    hashes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, directory: Directory, picture: Path | None = None) -> OutputImage | None:
        """The picture of a run, or of one that replaces it if there is a `picture`; None if there is none."""
        known: dict[str, Any] = directory.record.get("picture") or {}
        path = directory.path.with_name(directory.path.name + known["suffix"]) if known else None
        if picture is None:
            return cls(path, known["sha256"]) if path else None
        return cls(picture, known["sha256"] if path == picture else [])

    @property
    def record(self) -> dict[str, Any]:
        """What run.json says of it: the run may be moved, so not where it is."""
        return {"suffix": self.path.suffix, "sha256": self.hashes}

    def check(self, overwrite: bool) -> None:
        """Raise InputError if there is a file that the run did not write, unless it may be overwritten."""
        own = self.path.is_file() and not self.path.is_symlink() and files.sha256(self.path) in self.hashes
        if os.path.lexists(self.path) and not own and not overwrite:
            raise InputError(f"--output {self.path}: is there already; name another, add --overwrite, or move it away")

    def check_apart(self, paths: Iterable[Path]) -> None:
        """Raise InputError if it is one of these, from which is painted."""
        if self.path.exists() and any(self.path.samefile(path) for path in paths):
            raise InputError(f"--output {self.path}: is what is painted from; name another")

    def check_depth(self, depth: int) -> None:
        """Raise InputError if its kind of file has not so many bits."""
        if depth not in DEPTHS[self.path.suffix.lower()]:
            raise InputError(f"--depth {depth}: {self.path.name} would have 8 bits a colour; name a .png or a .tif")

    def write(self, data: bytes, directory: Directory) -> None:
        """Write it whole, its hash into run.json first. Raises OSError as open and write do."""
        self.hashes.append(hashlib.sha256(data).hexdigest())
        directory.describe(directory.record | {"picture": self.record})
        with files.atomic(self.path) as file:
            file.write(data)
        del self.hashes[:-1]
