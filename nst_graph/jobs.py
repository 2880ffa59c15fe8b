"""Jobs: paintings to be had, alone or in lists."""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst_graph import files, records
from nst_graph.errors import InputError
from nst_graph.recipes import Settings


@dataclass(frozen=True)
class Job:
    """One painting: its pictures, its settings, and the directory of its run."""

    content: Path
    styles: tuple[Path, ...]
    settings: Settings
    output: Path
    masks: tuple[Path, ...] = ()
    weights: Path | None = None
    #: Memory that reading a file may take, in GB.
    read_limit: float = files.READ_LIMIT

    def finished(self) -> bool:
        """Whether it is painted. Raises InputError where the directory holds another painting."""
        if not (self.output / "run.json").exists():
            return False
        record = records.read(self.output)
        if records.settings(record, self.output) != self.settings:
            raise InputError(f"{self.output}: holds a run with other settings; name another directory, or remove it")
        return bool(record.get("outcome", {}).get("state") == "finished")


def read_list(path: Path, job: Callable[[list[str]], Job]) -> list[Job]:
    """Read a list of jobs, .toml or .csv; `job` makes one of the words of a command line.

    A job names `content` and `styles` (several in a CSV file with ; between) and any option of
    scripts/paint.py without its dashes. Raises InputError, naming the entry, where one is wrong.
    """
    try:
        if path.suffix == ".csv":
            rows = list(csv.DictReader(io.StringIO(files.read_text(path), newline=""), restkey=""))
            entries = [{name: value for name, value in row.items() if value} for row in rows]
        elif path.suffix == ".toml":
            entries = tomllib.loads(files.read_text(path)).get("painting", [])
            if not isinstance(entries, list):
                raise ValueError("write [[painting]], in double brackets, above each")
        else:
            raise InputError(f"{path}: not a list of paintings; give a .toml or a .csv file")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; name a .toml or a .csv file") from error
    except RecursionError as error:
        raise InputError(f"{path}: nests too deep; mend the file") from error
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path}: {error}; mend the file") from error
    jobs: list[Job] = []
    for number, entry in enumerate(entries, 1):
        try:
            jobs.append(job(_words(entry, path.parent.absolute())))
        except InputError as error:
            raise InputError(f"{path}, painting {number}: {error}") from error
        if jobs[-1].output in [other.output for other in jobs[:-1]]:
            raise InputError(f"{path}, painting {number}: a second one for {jobs[-1].output}; give it another output")
    if not jobs:
        raise InputError(f"{path}: names no painting; see README.md")
    return jobs


def _words(entry: Any, base: Path) -> list[str]:
    if not isinstance(entry, dict) or "content" not in entry:
        raise InputError("content is missing; name a photograph")
    words = []
    for name, value in entry.items():
        if name in ("", "help", "recipes", "resume", "overwrite"):
            raise InputError(f"{name or 'a value without a name'} has no place in a list; take it out")
        values = value if isinstance(value, list) else str(value).split(";" if name == "styles" else None)
        if name in ("content", "styles"):
            values = [value] if name == "content" else values
            words += [str(base / str(item).strip()) for item in values]
        elif value is True or str(value).lower() == "true":
            words.append(f"--{name.replace('_', '-')}")
        elif value is not False:
            paths = name in ("weights", "masks", "output")
            texts = [str(value)] if isinstance(value, str) and paths and name != "masks" else list(map(str, values))
            words += [f"--{name.replace('_', '-')}", *(str(base / text) if paths else text for text in texts)]
    return words
