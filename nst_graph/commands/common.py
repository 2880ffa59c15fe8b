"""What the commands share: the parser, one-line errors, signals, and what may end a run."""

import argparse
import functools
import math
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from nst_graph import news, places, signals
from nst_graph.batch.jobs import Job
from nst_graph.errors import InputError, OptionError, near
from nst_graph.news import tell

#: What a command does with its words; returns a line for each failure.
Work = Callable[[list[str]], Sequence[str]]


class Parser(argparse.ArgumentParser):
    """An argument parser with one-line errors, which name what is near to a wrong name.

    An option that is not given leaves no value, so that the recipe decides.
    """

    def __init__(self, **keywords: Any) -> None:
        super().__init__(argument_default=argparse.SUPPRESS, allow_abbrev=False, **keywords)

    def error(self, message: str) -> NoReturn:
        if unknown := re.search("unrecognized arguments: (-[^ =]*)", message):
            below = [action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction)]
            parsers = [self, *(parser for choices in below for parser in choices.values())]
            names = [name for parser in parsers for name in parser._option_string_actions if name[:2] == "--"]
            others = [name.lstrip("-") for name in names if name != unknown[1]]
            message += near(unknown[1].lstrip("-").replace("_", "-"), others, "--")
        if choice := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
            message += near(choice[1], re.findall(r"[\w-]+", choice[2]))
        word = re.search("invalid .* value: '(.*)'", message)
        if word and os.path.isfile(word[1]):  # an option of several values takes all that follows
            message += ", but a file; name the pictures before the options"
        elif word and re.search("invalid (float|int|size) ", message):
            message += "; write numbers in digits, such as 512, 0.5 or 1e6"
        # Of an option's names the first long one is enough.
        message = re.sub(r"^argument \S*?(--[\w-]+)(/-+[\w-]+)*:", r"argument \1:", message)
        raise InputError(f"{message}; see --help")


def load_tensorflow(args: dict[str, Any]) -> None:
    """Import TensorFlow, which takes seconds, to compute on --device. Raises InputError where that is not there."""
    device = re.fullmatch(r"cpu|gpu(?::(\d{1,3}))?", args.get("device", "gpu"), re.ASCII)
    if device is None:
        raise OptionError("device", args["device"], "give cpu, gpu, or gpu:1 for the second GPU")
    if device[1] or device[0] == "cpu":  # -1 is none; of the GPUs that a scheduler such as Slurm leaves us
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(1000)))
        os.environ["CUDA_VISIBLE_DEVICES"] = dict(enumerate(visible.split(","))).get(int(device[1] or -1), "-1")
    if "tensorflow" not in sys.modules:
        tell("loading TensorFlow takes some seconds")
    from nst_graph.model import tensorflow

    if "device" in args and device[0] != "cpu" and not tensorflow.has_gpu():
        remedy = "see what nvidia-smi says, and install it with pip install 'nst_graph[cuda]'"
        raise InputError(f"--device {args['device']}: TensorFlow has no such GPU; {remedy}")


def command(name: str, interrupted: str = "the same command goes on") -> Callable[[Work], Callable[..., int]]:
    """Make work on the words of a command line, which returns a line for each failure, a command of this name.

    The command returns its exit status: 2 after failures or a user's error, 130 after Ctrl-C, SIGTERM or SIGHUP.
    `interrupted` is said after an interruption of which the work says nothing.
    """
    program = places.program(name)

    def decorate(work: Work) -> Callable[..., int]:
        def main(words: Sequence[str] | None = None) -> int:
            news.open_streams()
            os.environ.pop("MPLBACKEND", None)  # a notebook's, which may not be installed here; we need none
            for number in signals.ENDING:
                if signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores SIGHUP
                    signal.signal(number, signal.default_int_handler)  # raises KeyboardInterrupt
            sys.excepthook = functools.partial(_tell_defect, program)
            status, lines = 2, []
            try:
                lines = [f"error: {line}" for line in work(list(sys.argv[1:] if words is None else words))]
            except KeyboardInterrupt as error:
                status, lines = 130, [f"interrupted; {error.args[0] if error.args else interrupted}"]
            except (InputError, FloatingPointError, OSError, MemoryError) as error:
                news.trace(error)
                lines = [f"error: {_remedied(error)}"]
            finally:
                news.flush()
            for line in lines:
                news.warn(f"{program}: {line}")
            return status if lines else 0

        return main

    return decorate


def _remedied(error: Exception) -> str:
    if isinstance(error, FloatingPointError):
        return f"{error}; take a smaller --rate, --alpha or --beta"
    if isinstance(error, OSError):
        return f"{error.filename or 'output'}: {error.strerror or error}; mend that and run again"
    if isinstance(error, MemoryError):
        return "memory ran out; take a smaller --size, strips such as --tile 64, or a machine with more"
    return error.command_line if isinstance(error, InputError) else str(error)


def _tell_defect(program: str, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say in a line that an error is this program's own; the exit status is Python's, 1."""
    news.trace(error)
    remedy = f"run it again with NST_GRAPH_DEBUG=1 and report what it prints at {places.ISSUES}"
    news.warn(f"{program}: error: {kind.__name__}: {error}; a defect of nst_graph, not of what it was given: {remedy}")


@contextmanager
def silence(on: bool) -> Iterator[None]:
    """Print nothing but errors."""
    with open(os.devnull, "w") as nothing, redirect_stdout(nothing) if on else nullcontext():
        yield


def refuse_options(directory: Path, kind: str, options: Collection[str]) -> None:
    """Raise InputError if there are options for what a run that goes on has of its own."""
    if options:
        named = " ".join(sorted(options))
        raise InputError(f"--resume {directory}: goes on with the {kind}'s own settings; leave {named} out")


@contextmanager
def run_context(output: Path, every: int, args: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a run is painted with: who hears of it, and whether it replaces another or goes on.

    Progress is shown every so many iterations. Where something ends the run, it says how to go on, once there is a run.
    """
    load_tensorflow(args)
    from nst_graph.runs.observers import Progress

    record = output / "run.json"
    earlier = record.stat().st_mtime_ns if record.exists() and "resume" not in args else None

    def has_begun() -> bool:
        return record.exists() and record.stat().st_mtime_ns != earlier

    progress = Progress(every, f"watch {short_path(output / 'index.html')}")
    observers = [] if "quiet" in args else [progress.observe]
    try:
        yield {"say": progress.say, "observers": observers, **{mode: mode in args for mode in ("overwrite", "resume")}}
    except OSError as error:
        if not has_begun():
            raise
        remedy = f"mend that, then go on with --resume {shlex.quote(str(output))}"
        raise InputError(f"{error.filename or output}: {error.strerror or error}; {remedy}") from error
    except FloatingPointError as error:
        final = output / "final.png"
        raise FloatingPointError(f"{error}; {final} is the last good picture" if final.exists() else error) from error
    except KeyboardInterrupt as error:
        if not has_begun():
            raise
        raise KeyboardInterrupt(f"--resume {shlex.quote(short_path(output))} goes on") from error
    finally:
        progress.close()


def short_path(path: Path) -> str:
    """A path relative to the current directory, if it is below that, and does not begin with ~ then."""
    here = places.here()
    name = str(path.relative_to(here) if path.is_relative_to(here) else path)
    return str(path) if name.startswith("~") else name


def file_path(text: str) -> Path:
    """Parse a path for argparse. Raises ArgumentTypeError where places.path raises InputError."""
    try:
        return places.path(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def directory_path(text: str) -> Path:
    """Parse the path of a directory that is there, for argparse."""
    path = file_path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{path}: no such directory; name one with pictures")
    return path


def whole_number(text: str) -> int:
    """Parse a whole number for argparse: 64, or 64.0. Raises ValueError if it is none."""
    number = float(text)
    if not number.is_integer():
        raise ValueError
    return int(number)


def gigabytes(text: str) -> float:
    """Parse a number of GB for argparse. Raises ValueError if it is not a number above 0."""
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError
    return value


# For argparse's errors.
whole_number.__name__, gigabytes.__name__ = "int", "number of GB above 0"


def check_workers(args: dict[str, Any]) -> int:
    """How many paint at a time. Raises InputError if none would."""
    workers: int = args.get("workers", 1)
    if workers < 1:
        raise InputError(f"--workers {workers}: give a whole number of 1 or more")
    return workers


def perform(jobs: Sequence[Job], args: dict[str, Any]) -> list[str]:
    """Paint jobs, here or on a cluster; returns a line for each failure."""
    side_by_side = check_workers(args)
    load_tensorflow(args)
    from nst_graph.batch import workers

    return workers.perform(jobs, tell, args.get("scheduler"), side_by_side)
