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
        if path.suffix.lower() == ".csv":
            entries = _rows(files.read_text(path))
        else:
            entries = tomllib.loads(files.read_text(path)).get("painting", [])
            if not isinstance(entries, list):
                raise ValueError("write [[painting]], in double brackets, above each")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; name a .toml or a .csv file") from error
    except RecursionError as error:
        raise InputError(f"{path}: nests too deep; mend the file") from error
    except UnicodeDecodeError as error:
        raise InputError(f'{path}: not in UTF-8; save it so, from a spreadsheet as "CSV UTF-8"') from error
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path}: {error}; mend the file") from error
    jobs: list[Job] = []
    for number, entry in enumerate(entries, 1):
        try:
            jobs.append(job(_arguments(entry, path.parent.absolute(), switches)))
        except InputError as error:
            raise InputError(f"{path}, painting {number}: {error}") from error
        if jobs[-1].output in [other.output for other in jobs[:-1]]:
            raise InputError(f"{path}, painting {number}: a second one for {jobs[-1].output}; give it another output")
    if not jobs:
        raise InputError(f"{path}: names no painting; write content, styles and a row for each")
    return jobs


def _rows(text: str) -> list[dict[str, Any]]:
    """The rows of a CSV file as spreadsheets write it, without empty cells. Raises ValueError, csv.Error."""
    header, _, rest = text.partition("\n")
    if header.startswith("sep="):  # as Excel writes it
        return _rows(rest)
    separator = max(",;\t", key=header.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), restkey="", delimiter=separator, skipinitialspace=True)
    names = [_option(name) for name in rows.fieldnames or []]
    if doubled := [name for name in names if name and names.count(name) > 1]:
        raise ValueError(f"two columns are called {doubled[0]}")
    rows.fieldnames = names
    entries = [{name: value for name, value in row.items() if "".join(value or ()).strip()} for row in rows]
    if separator != ",":
        entries = [{name: _point(name, value, separator) for name, value in entry.items()} for entry in entries]
    return [entry for entry in entries if entry]


def _point(name: str, value: Any, separator: str) -> Any:
    """A cell with decimal points in the place of commas, but for those that may part thousands.

    Raises ValueError where a point may: between semicolons, which are there for decimal commas.
    """
    if name in PATHS or not isinstance(value, str):
        return value
    if separator == ";" and (parted := re.search(r"(?<![\d.,=])[1-9]\d{0,2}\.\d{3}(?![\d.,])", value)):
        plain = parted[0].replace(".", "")
        raise ValueError(
            f"{name} {parted[0]}: ambiguous, as its point may part thousands; write {plain}, or {parted[0]}0"
        )
    return NUMBER.sub(lambda match: match[0] if _may_part_thousands(match[0]) else match[0].replace(",", "."), value)


#: A number with any marks; and with blanks between thousands, alone and where blanks part several numbers too.
NUMBER = re.compile(r"\d[\d.,'\u2019]*\d")
BLANKS = "\u00a0\u2007\u2009\u202f"  # those that do not break a line, and thin ones
PARTED = re.compile(rf"(?<![\w.,])\d{{1,3}}(?:[ {BLANKS}]\d{{3}})+(?:[.,]\d+)?(?!\d)")
PARTED_OF_SEVERAL = re.compile(rf"(?<![\w.,])\d{{1,3}}(?:[{BLANKS}]\d{{3}}| 0\d\d)+(?:[.,]\d+)?(?!\d)")
#: The settings that have several numbers.
NUMBERS = {field.name for field in fields(Settings) if re.search("tuple|Mapping", str(field.type))}


def _may_part_thousands(number: str) -> bool:
    """Whether the marks in a number part thousands, or may: 100,000, but not 0,125."""
    marks = re.sub(r"\d", "", number)
    return len(marks) > 1 or marks in ("'", "\u2019") or re.fullmatch(r"[1-9]\d{0,2},\d{3}", number) is not None


def _refuse_thousands(option: str, text: str, several: bool) -> None:
    """Raise InputError if marks in a number, or in one of several, part thousands, or may."""
    parted = (PARTED_OF_SEVERAL if several else PARTED).search(text)
    marked = filter(_may_part_thousands, NUMBER.findall(text))
    if number := parted[0] if parted else next(marked, None):
        marks, groups = re.sub(r"\d", "", number), re.split(r"\D", number)
        fraction = f".{groups.pop()}" if marks[-1] in ".," and marks[-1] != marks[0] else ""
        plain = f"{''.join(groups)}{fraction}" + (f", or {' '.join(groups)} for several" if several else "")
        shown = re.sub(r"\s", " ", number)
        raise InputError(f"{option} {shown}: ambiguous, as its marks may part thousands; write {plain}")


def _option(name: str) -> str:
    return "_".join(re.findall(r"[^\s_-]+", name.lower()))


#: Options whose values are paths, or may be; those that may have several; and those that are not a painting's.
PATHS, SEVERAL = ("content", "styles", "weights", "masks", "output", "init", "like"), ("styles", "masks")
ALONE = ("help", "help_all", "recipes", "version", "example", "quiet", "resume", "more", "overwrite")
YES, NO = ("true", "yes", "y", "on", "1"), ("false", "no", "n", "off", "0")


def _arguments(entry: Any, base: Path, switches: Collection[str]) -> list[str]:
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
        text = str(value).strip()
        if name in switches:
            if text.lower() not in (*YES, *NO):
                raise InputError(f"{option} {text}: write yes or no")
            options += [option] if text.lower() in YES else []
            continue
        if isinstance(value, list):
            values = [str(item).strip() for item in value]
        elif name in SEVERAL:
            values = [part.strip() for part in text.split(";") if part.strip()]
        else:
            values = [text] if name in PATHS else text.replace(";", " ").split()
        if name not in PATHS:
            for word in values if isinstance(value, list) else [text]:
                _refuse_thousands(option, word, name in NUMBERS and not isinstance(value, list))
        if name in PATHS and not (name == "init" and text in STARTS):
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
