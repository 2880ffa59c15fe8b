"""Files that are whole or absent, and their hashes."""

from __future__ import annotations

import codecs
import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Most memory that reading one file may take, in GB, unless --read-limit says otherwise.
READ_LIMIT = 1.0
#: Most bytes of a record or a list, which are text.
TEXT_LIMIT = 50_000_000


def oddity(path: Path) -> str | None:
    """What is there in a file's place; None where that is a file or nothing. Reading a pipe may never end."""
    if os.path.isdir(path):
        return "a directory"
    return "a pipe or a device" if os.path.exists(path) and not os.path.isfile(path) else None


def read_text(path: Path) -> str:
    """Read a file of text in UTF-8, or in UTF-16 where it says so; a byte order mark is left out.

    Raises ValueError where it is none or too long, OSError as open does.
    """
    odd = oddity(path)
    if odd or path.stat().st_size > TEXT_LIMIT:
        raise ValueError(odd or f"longer than {TEXT_LIMIT / 1e6:g} MB")
    data = path.read_bytes()
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if utf16 else "utf-8-sig")


@contextmanager
def atomic(path: Path, mark: str | None = None) -> Iterator[io.BufferedRandom]:
    """Open a binary file, to write and to read, that takes the name `path` only once it is written whole.

    Until then its name begins with a dot and ends with `mark`, or else at random. After an error
    there is no new file, and an older one of that name is untouched. Raises OSError as open and
    write do.
    """
    if mark is None:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    else:
        name = str(path.with_name(f".{path.name}.{mark}"))
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp gives 0600; a picture is for everyone the user's umask lets in.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        with suppress(FileNotFoundError):  # an interruption may come just after the renaming
            os.unlink(name)
        raise


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal. Raises OSError as open does."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
