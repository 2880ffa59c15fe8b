"""News: lines to a standard output that may be closed, on which no run depends."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def tell(*lines: str) -> None:
    """Print lines."""
    with suppress(OSError):
        print(*map(one_line, lines), sep="\n")
    flush()


def one_line(text: str) -> str:
    """A text without line breaks and control characters, which a file's name may hold."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def flush() -> None:
    """Print what waits; where nobody reads any more, as after `| head`, or a disk is full, go on in silence."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def open_streams() -> None:
    """Make all three streams usable: closed ones lead nowhere, and any name can be printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened would get its number
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, it stays open
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
