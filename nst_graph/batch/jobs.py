"""Jobs: paintings to be made, alone or in lists."""

import csv
import difflib
import io
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from nst_graph import files, places
from nst_graph.errors import InputError
from nst_graph.runs import records
from nst_graph.settings import STARTS, Settings

#: What to do about a directory that has something else.
ANOTHER = "name another directory, or remove it"


@dataclass(frozen=True)
class Job:
    """A painting to be made: its pictures, its settings, and the directory of its run."""

    content: Path
    styles: tuple[Path, ...]
    settings: Settings
    output: Path
    masks: tuple[Path, ...] = ()
    weights: Path | None = None
    #: Memory that reading a file may take, in GB.
    read_limit: float = files.READ_LIMIT
    #: A copy of the result beside `output`.
    picture: Path | None = None

    @property
    def init(self) -> tuple[Path, ...]:
        """The picture that it begins from, if there is one."""
        return () if self.settings.init in STARTS else (Path(self.settings.init),)

    def missing(self) -> list[Path]:
        """The pictures that are not there. Raises OSError if one cannot be looked for."""
        return [path for path in (self.content, *self.styles, *self.masks, *self.init) if not path.exists()]

    def finished(self) -> bool:
        """Whether it is finished. Raises InputError if the directory has a run of other settings or pictures."""
        if not (self.output / "run.json").exists():
            return False
        record = records.read(self.output)
        if records.settings(record, self.output) != self.settings:
            raise InputError(f"{self.output}: holds a run with other settings; {ANOTHER}")
        if record.get("outcome", {}).get("state") != "finished":
            return False
        paths_of = {"content": (self.content,), "styles": self.styles, "masks": self.masks, "init": self.init}
        for name, paths in paths_of.items():
            if all(path.exists() for path in paths) and not records.are_of(record, name, paths):
                shown = " ".join(map(str, paths))
                raise InputError(f"{self.output}: holds a painting of other pictures than {shown}; {ANOTHER}")
        return True


def settings_of(record: dict[str, Any], directory: Path, args: Mapping[str, Any]) -> Settings:
    """A run's settings; unless `init` is given, a picture it began from is where it is now. Raises InputError."""
    settings = records.settings(record, directory)
    if record.get("init") and "init" not in args:
        settings = replace(settings, init=str(records.find(record["init"], [directory])))
    return settings


def weights_of(record: dict[str, Any], directory: Path, args: Mapping[str, Any]) -> Path:
    """The weights given, or a run's where they are now. Raises InputError if they are gone."""
    return args.get("weights") or records.find(record["weights"], filter(None, (directory, places.MODEL)))


def resumed(record: dict[str, Any], directory: Path, args: Mapping[str, Any]) -> Job:
    """The job of a run to go on with, in part as given by names of options. Raises InputError if a file is gone."""
    content, *styles = (records.find(source, [directory]) for source in (record["content"], *record["styles"]))
    masks = args.get("masks") or [records.find(source, [directory]) for source in record["masks"]]
    limit = args.get("read_limit") or record.get("read_limit", files.READ_LIMIT)
    settings, weights = settings_of(record, directory, args), weights_of(record, directory, args)
    return Job(content, tuple(styles), settings, directory, tuple(masks), weights, limit)


def read_list(path: Path, job: Callable[[list[str]], Job], switches: Collection[str]) -> list[Job]:
    """Read a list of jobs, .toml or .csv; `job` parses the arguments of a command line.

    An entry has `content`, `styles` and any options of scripts/paint.py without dashes; `switches` are those
    that take yes or no. CSV may be in UTF-8 or UTF-16, separated by commas, semicolons or tabs, and several
    values in one cell by semicolons; where commas separate nothing, decimals may have them. Raises InputError that
    names the wrong entry.
    """
    if path.suffix.lower() not in (".csv", ".toml"):
        raise InputError(f"{path}: not a list of paintings; give a .toml or a .csv file")
    try:
        text = files.read_text(path)
        if path.suffix.lower() == ".csv":
            entries, separator = _rows(text)
        else:
            entries, separator = tomllib.loads(text).get("painting", []), ","
        if not isinstance(entries, list):
            raise ValueError("write [[painting]], in double brackets, above each")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; name a .toml or a .csv file") from error
    except UnicodeDecodeError as error:
        raise InputError(f'{path}: not in UTF-8; save it so, from a spreadsheet as "CSV UTF-8"') from error
    except (ValueError, csv.Error, RecursionError) as error:
        raise InputError(f"{path}: {error}; mend the file") from error
    jobs: dict[Path, Job] = {}
    for number, entry in enumerate(entries, 1):
        try:
            one = job(_arguments(entry, path.parent.absolute(), switches, separator))
            if one.output in jobs:
                raise InputError(f"a second one for {one.output}; give it another output")
        except InputError as error:
            raise InputError(f"{path}, painting {number}: {error}") from error
        jobs[one.output] = one
    if not jobs:
        raise InputError(f"{path}: names no painting; write content, styles and a row for each")
    return list(jobs.values())


def _rows(text: str) -> tuple[list[dict[str, Any]], str]:
    """The rows of a CSV file as spreadsheets write it, without empty cells; and what separates cells.

    Raises ValueError, csv.Error.
    """
    header, _, rest = text.partition("\n")
    if header.startswith("sep="):  # as Excel writes it
        return _rows(rest)
    separator = max(",;\t", key=header.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), restkey="", delimiter=separator, skipinitialspace=True)
    names = rows.fieldnames = [_option(name) for name in rows.fieldnames or []]
    if doubled := [name for name in names if name and names.count(name) > 1]:
        raise ValueError(f"two columns are called {doubled[0]}")
    entries = [{name: value for name, value in row.items() if "".join(value or ()).strip()} for row in rows]
    return [entry for entry in entries if entry], separator


def _option(name: str) -> str:
    return "_".join(re.findall(r"[^\s_-]+", name.lower()))


#: The settings that have several numbers.
NUMBERS = {field.name for field in fields(Settings) if re.search("tuple|Mapping", str(field.type))}
#: Blanks that part thousands: those that do not break a line, and thin ones.
BLANKS = "\u00a0\u2007\u2009\u202f"
#: A number with any marks. A common blank parts thousands too; between several numbers only where 0 follows.
NUMBER, NUMBER_OF_SEVERAL = (
    re.compile(rf"(?<![\w.,])\d(?:[\d.,'\u2019]|[{BLANKS}](?=\d{{3}})| (?={first}\d\d))*\d") for first in (r"\d", "0")
)


def _plain(option: str, text: str, several: bool, separator: str) -> str:
    """Text with decimal points in the place of commas, but where commas separate cells.

    Raises InputError if marks in a number part thousands, or may: in 100,000, but not in 0,125. A point may between
    semicolons, which are there for decimal commas.
    """

    def plain(match: re.Match[str]) -> str:
        number = match[0]
        marks, groups = re.sub(r"\d", "", number), re.split(r"\D", number)
        lone = "[.,]" if separator == ";" else ","
        if len(marks) < 2 and marks in ("", ".", ",") and not re.fullmatch(rf"[1-9]\d{{0,2}}{lone}\d{{3}}", number):
            return number if separator == "," else number.replace(",", ".")
        fraction = f".{groups.pop()}" if marks[-1] in ".," and marks[-1] != marks[0] else ""
        remedy = f"{''.join(groups)}{fraction}"
        remedy += f", or {number}0" if marks == "." else f", or {' '.join(groups)} for several" if several else ""
        shown = re.sub(r"\s", " ", number)
        raise InputError(f"{option} {shown}: ambiguous, as its marks may part thousands; write {remedy}")

    return (NUMBER_OF_SEVERAL if several else NUMBER).sub(plain, text)


#: Options whose values are paths, or may be; those that may have several; and those that are not a painting's.
PATHS, SEVERAL = ("content", "styles", "weights", "masks", "output", "init", "like"), ("styles", "masks")
ALONE = ("help", "help_all", "recipes", "version", "example", "quiet", "resume", "more", "overwrite")
YES, NO = ("true", "yes", "y", "on", "1"), ("false", "no", "n", "off", "0")


def _arguments(entry: Any, base: Path, switches: Collection[str], separator: str) -> list[str]:
    """The command line of an entry, whose paths are relative to `base`."""
    pictures: dict[str, list[str]] = {"content": [], "styles": []}
    options = []
    for key, value in entry.items() if isinstance(entry, dict) else ():
        name = _option(key)
        for meant in difflib.get_close_matches(name.removesuffix("_image"), pictures, 1, 0.8):
            if name != meant:
                raise InputError(f"{key} is not known; did you mean {meant}?")
        if name in ("", *ALONE):
            raise InputError(f"{name or 'a value without a name'} has no place in a list; take it out")
        option = f"--{name.replace('_', '-')}"
        if name in switches:
            if str(value).strip().lower() not in (*YES, *NO):
                raise InputError(f"{option} {value}: write yes or no")
            options += [option] if str(value).strip().lower() in YES else []
            continue
        values = [str(item).strip() for item in (value if isinstance(value, list) else [value])]
        if name not in PATHS:
            several = name in NUMBERS and not isinstance(value, list)
            values = [_plain(option, text, several, separator) for text in values]
            values = values if isinstance(value, list) else values[0].replace(";", " ").split()
        elif name != "init" or values not in [[start] for start in STARTS]:
            if name in SEVERAL and not isinstance(value, list):
                values = [part.strip() for part in values[0].split(";") if part.strip()]
            values = [str(places.path(item, base)) for item in values]
        if name in pictures:
            pictures[name] += values
        elif len(values) == 1 and values[0].startswith("-"):
            options.append(f"{option}={values[0]}")
        else:
            options += [option, *values]
    if not pictures["content"]:
        raise InputError("content is missing; name a photograph")
    return [*pictures["content"], *pictures["styles"], *options]
