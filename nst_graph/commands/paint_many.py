"""The command line of scripts/paint_many.py: a list of paintings to jobs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from nst_graph.batch import jobs
from nst_graph.commands import paint as cli
from nst_graph.errors import InputError
from nst_graph.news import one_line, tell


def add_workers(parser: argparse.ArgumentParser) -> None:
    """The options that say where jobs are painted."""
    parser.add_argument("--scheduler", metavar="ADDRESS", help="a dask scheduler, such as tcp://host:8786")
    parser.add_argument("--workers", metavar="N", type=int, default=1, help="local processes, without it (default: 1)")


def check_workers(given: argparse.Namespace) -> None:
    """Raise InputError where they cannot be used."""
    if given.workers < 1:
        raise InputError(f"--workers {given.workers}: give a whole number of 1 or more")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run scripts/paint_many.py; returns its exit status, 2 if any painting failed."""
    return cli.guard("paint_many.py", lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    parser = cli.Parser(
        prog="paint_many.py",
        description="Paint each entry of a list; what is finished is skipped, what was begun is gone on with.",
        allow_abbrev=False,
    )
    parser.add_argument("list", metavar="LIST", type=Path, help="a .toml or .csv file; see README.md")
    add_workers(parser)
    given = parser.parse_args(arguments)
    check_workers(given)
    wanted = jobs.read_list(given.list, cli.job, cli.switches())
    return perform(wanted, "paint_many.py", given)


def perform(wanted: Sequence[jobs.Job], program: str, given: argparse.Namespace) -> int:
    """Paint jobs with a line of news for each; returns the exit status."""
    from nst_graph.batch import workers  # imports TensorFlow

    failures = workers.perform(wanted, tell, given.scheduler, given.workers)
    for failure in failures:
        print(f"{program}: error: {one_line(failure)}", file=sys.stderr)
    return 2 if failures else 0
