"""Files: written atomically, read as text, hashed."""

import codecs
import hashlib
import io
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nst_graph.errors import DamagedError, InputError

#: The default of --read-limit: the memory that reading a file may take, in GB.
READ_LIMIT = 1.0
#: The suffixes of picture files.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".avif", ".heic", ".heif")
#: The largest text file, a record or a list, in bytes.
TEXT_LIMIT = 50_000_000


def non_file(path: Path) -> str | None:
    """What a path is if it exists and is not a file, such as a pipe, which may never end; else None."""
    if os.path.isdir(path):
        return "a directory"
    return "a pipe or a device" if os.path.exists(path) and not os.path.isfile(path) else None


def pictures(path: Path) -> list[Path]:
    """A path, or the picture files in a directory, by name. Raises InputError if it holds none, or OSError."""
    if not os.path.isdir(path):  # also where a name is too long
        return [path]
    if inside := pictures_in(path):
        return inside
    raise InputError(f"{path}: holds no picture; put some there")


def pictures_in(directory: Path) -> list[Path]:
    """The picture files in a directory, by name, but hidden ones. Raises OSError."""
    shown = (file for file in directory.iterdir() if file.suffix.lower() in SUFFIXES and file.name[0] != ".")
    return sorted(file for file in shown if file.is_file())


def read_text(path: Path) -> str:
    """Read text in UTF-8, or UTF-16 by its byte order mark.

    Raises UnicodeDecodeError if it is neither, DamagedError if it is too long, or OSError.
    """
    kind = non_file(path)
    if kind or path.stat().st_size > TEXT_LIMIT:
        raise DamagedError(kind or f"longer than {TEXT_LIMIT / 1e6:g} MB")
    data = path.read_bytes()
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if utf16 else "utf-8-sig")


@contextmanager
def atomic(path: Path, mark: str | None = None) -> Iterator[io.BufferedRandom]:
    """Open a binary file for writing and reading that replaces `path` only when it is complete.

    Until then its name begins with a dot and part of its own, and ends with `mark` or random characters. After an
    error `path` is unchanged. Raises OSError as open and write do.
    """
    no_link = getattr(os, "O_NOFOLLOW", 0)  # which Windows lacks
    # A name as long as the system allows could not be longer.
    unfinished = path.with_name(f".{path.name[:40]}.{mark or secrets.token_hex(8)}")
    try:
        with open(unfinished, "w+b", opener=lambda name, flags: os.open(name, flags | no_link, 0o666)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)  # an interruption may come just after the replacement
        raise


def _replace(unfinished: Path, path: Path) -> None:
    """Rename a file over another, waiting a little if a viewer has that open, which Windows does not allow."""
    for wait in (0.1, 0.3, 1.0, None):
        try:
            unfinished.replace(path)
            return
        except PermissionError:
            if os.name != "nt" or wait is None:
                raise
            time.sleep(wait)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. Raises OSError as open does."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
