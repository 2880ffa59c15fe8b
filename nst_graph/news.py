"""News: messages on the standard streams, which may be closed without harm to a run."""

import os
import sys
import traceback
from contextlib import suppress
from typing import TextIO


def tell(*lines: str) -> None:
    """Print lines."""
    _print(sys.stdout, *lines)


def warn(line: str) -> None:
    """Print a line on standard error."""
    _print(sys.stderr, line)


def _print(stream: TextIO, *lines: str) -> None:
    with suppress(OSError):
        print(*map(_one_line, lines), sep="\n", file=stream)
    flush(stream)


def trace(error: BaseException) -> None:
    """Print the traceback of an error on standard error, if NST_GRAPH_DEBUG asks for it."""
    if os.environ.get("NST_GRAPH_DEBUG", "0") != "0":
        with suppress(OSError):
            traceback.print_exception(error)


def count(number: int, noun: str) -> str:
    """A number of things: "1 iteration", "2 iterations"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """About how long: "50 seconds", "9 minutes", "4 hours"."""
    unit, size = next((each for each in (("hour", 3600), ("minute", 60)) if seconds >= 3 * each[1]), ("second", 1))
    return count(max(1, round(seconds / size)), unit)


def _one_line(text: str) -> str:
    """Escape line breaks and control characters, which the name of a file may contain."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def flush(stream: TextIO | None = None) -> None:
    """Flush a stream, by default standard output; if that fails, as after `| head`, discard it from now on."""
    stream = stream or sys.stdout
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def open_streams() -> None:
    """Make the standard streams usable: closed ones become /dev/null, and any name can be printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # otherwise the next opened file would get this number
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, it stays open
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
