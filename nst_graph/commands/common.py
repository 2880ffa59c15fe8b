"""What the commands share: the parser, one-line errors, signals."""

import argparse
import difflib
import functools
import math
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from nst_graph import files, news, places, signals
from nst_graph.errors import InputError
from nst_graph.news import tell


class Parser(argparse.ArgumentParser):
    """An argument parser with one-line errors, which name what is near to a wrong name."""

    def error(self, message: str) -> NoReturn:
        if unknown := re.search("unrecognized arguments: (-[^ =]*)", message):
            others = [name.lstrip("-") for name in self._names() if name != unknown[1]]
            message += near(unknown[1].lstrip("-").replace("_", "-"), others, "--")
        if choice := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
            message += near(choice[1], re.findall(r"[\w-]+", choice[2]))
        word = re.search("invalid .* value: '(.*)'", message)
        if word and os.path.isfile(word[1]):  # an option of several values takes all that follows
            message += ", but a file; name the pictures before the options"
        # Of an option's names the first long one is enough.
        message = re.sub(r"^argument \S*?(--[\w-]+)(/-+[\w-]+)*:", r"argument \1:", message)
        raise InputError(f"{message}; see --help")

    def _names(self) -> list[str]:
        """The long options, of sub-commands too."""
        below = [action.choices.values() for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        own = [name for name in self._option_string_actions if name.startswith("--")]
        return own + [name for parsers in below for parser in parsers for name in parser._option_string_actions]


def near(word: str, names: Sequence[str], before: str = "") -> str:
    """What to add to an error about a wrong name: one that it begins, or the nearest one, if there is one."""
    meant = [name for name in names if word and name.startswith(word)] or difflib.get_close_matches(word, names, 1)
    return f"; did you mean {before}{meant[0]}?" if meant else ""


def announce_loading() -> None:
    """Say why nothing is said for some seconds: TensorFlow is imported next."""
    if "tensorflow" not in sys.modules:
        tell("loading TensorFlow takes some seconds")


def run(program: str, work: Callable[[], int], interrupted: str = "the same command goes on") -> int:
    """Do a command's work; returns its exit status: 2 after a user's error, 130 after Ctrl-C, SIGTERM or SIGHUP.

    `interrupted` is said after an interruption of which the work says nothing.
    """
    news.open_streams()
    os.environ.pop("MPLBACKEND", None)  # a notebook's, which may not be installed here; we need none
    for number in signals.ENDING:
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores SIGHUP
            signal.signal(number, signal.default_int_handler)  # raises KeyboardInterrupt
    sys.excepthook = functools.partial(_tell_defect, program)
    try:
        return work()
    except KeyboardInterrupt as error:
        news.flush()
        news.warn(f"{program}: interrupted; {str(error) or interrupted}")
        return 130
    except (InputError, FloatingPointError, OSError, MemoryError) as error:
        news.flush()
        news.trace(error)
        news.warn(f"{program}: error: {_remedied(error)}")
        return 2
    finally:
        news.flush()


def _remedied(error: Exception) -> str:
    """What to say of an error, with the remedy."""
    if isinstance(error, FloatingPointError):
        return f"{error}; take a smaller --rate, --alpha or --beta"
    if isinstance(error, OSError):
        return f"{error.filename or 'output'}: {error.strerror or error}; mend that and run again"
    if isinstance(error, MemoryError):
        return "memory ran out; take a smaller --size, tiles such as --tile 512, or a machine with more"
    return str(error)


def _tell_defect(program: str, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say in a line that an error is this program's own; the exit status is Python's, 1."""
    news.trace(error)
    remedy = f"run it again with NST_GRAPH_DEBUG=1 and report what it prints at {places.ISSUES}"
    news.warn(f"{program}: error: {kind.__name__}: {error}; a defect of nst_graph, not of what it was given: {remedy}")


def named(text: str) -> Path:
    """Parse a path for argparse. Raises ArgumentTypeError where places.path raises InputError."""
    try:
        return places.path(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def whole(text: str) -> int:
    """Parse a whole number for argparse: 64, or 64.0. Raises ValueError if it is none."""
    number = float(text)
    if not number.is_integer():
        raise ValueError
    return int(number)


whole.__name__ = "int"  # for argparse's error


def add_read_limit(parser: argparse._ActionsContainer) -> None:
    """Add the option that limits the memory for reading a file."""
    about = f"most memory to read a picture or weights in; larger ones are refused (default: {files.READ_LIMIT:g})"
    parser.add_argument("--read-limit", metavar="GB", type=gigabytes, help=about)


def gigabytes(text: str) -> float:
    """Parse a number of GB for argparse. Raises ValueError if it is not a number above 0."""
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError
    return value


gigabytes.__name__ = "number of GB above 0"  # for argparse's error


def add_winograd(parser: argparse._ActionsContainer) -> None:
    """Add the short name of --convolutions winograd."""
    about = "the same as --convolutions winograd"
    parser.add_argument("--winograd", action="store_const", dest="convolutions", const="winograd", help=about)


def add_workers(parser: argparse._ActionsContainer, what: str = "paintings") -> None:
    """Add the options that say where they are painted."""
    about = f"how many {what} are painted at a time (default: 1)"
    parser.add_argument("--workers", metavar="N", type=whole, default=1, help=about)
    about = "paint on the cluster of this dask scheduler, such as tcp://host:8786"
    parser.add_argument("--scheduler", metavar="ADDRESS", default=None, help=about)


def check_workers(workers: int) -> None:
    """Raise InputError if there would be no worker."""
    if workers < 1:
        raise InputError(f"--workers {workers}: give a whole number of 1 or more")


def report(program: str, failures: Sequence[str]) -> int:
    """Print a line for each failed painting; returns the exit status, 2 if there is one."""
    for failure in failures:
        news.warn(f"{program}: error: {failure}")
    return 2 if failures else 0
