"""Files: written atomically, read as text, hashed."""

from __future__ import annotations

import codecs
import hashlib
import io
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: The default of --read-limit: the memory that reading a file may take, in GB.
READ_LIMIT = 1.0
#: Flags for opening a file: without following links, where this can be asked for, and in binary mode on Windows.
BINARY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
#: The largest text file, a record or a list, in bytes.
TEXT_LIMIT = 50_000_000


def non_file(path: Path) -> str | None:
    """What a path is if it exists and is not a file, such as a pipe, which may never end; else None."""
    if os.path.isdir(path):
        return "a directory"
    return "a pipe or a device" if os.path.exists(path) and not os.path.isfile(path) else None


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, or UTF-16 with a byte order mark, which is removed.

    Raises ValueError if it is not text or too long, OSError as open does.
    """
    kind = non_file(path)
    if kind or path.stat().st_size > TEXT_LIMIT:
        raise ValueError(kind or f"longer than {TEXT_LIMIT / 1e6:g} MB")
    data = path.read_bytes()
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if utf16 else "utf-8-sig")


@contextmanager
def atomic(path: Path, mark: str | None = None) -> Iterator[io.BufferedRandom]:
    """Open a binary file for writing and reading that replaces `path` only when it is complete.

    Until then its name begins with a dot and ends with `mark` or random characters. After an error
    `path` is unchanged. Raises OSError as open and write do.
    """
    if mark is None:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    else:
        name = str(path.with_name(f".{path.name}.{mark}"))
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC | BINARY, 0o600)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # The file was created with mode 0600; set the one that the user's umask allows.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        _replace(name, path)
    except BaseException:
        with suppress(FileNotFoundError):  # an interruption may come just after the replacement
            os.unlink(name)
        raise


def _replace(name: str, path: Path) -> None:
    """Rename a file over another, waiting a little if a viewer has that open, which Windows does not allow."""
    for wait in (0.1, 0.3, 1.0):
        try:
            return os.replace(name, path)
        except PermissionError:
            if os.name != "nt":
                raise
            time.sleep(wait)
    os.replace(name, path)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. Raises OSError as open does."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
