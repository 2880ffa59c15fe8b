"""The command scripts/paint_many.py: make all paintings in a list, as people or spreadsheets write it."""

import argparse
import csv
import difflib
import io
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nst_graph import files, places
from nst_graph.batch.jobs import Job
from nst_graph.commands import common, options, paint
from nst_graph.errors import InputError, flag
from nst_graph.settings import PATHS

#: Options that are not a painting's, and the answers to those that take none.
ALONE = {"help", "help_all", "print_completion", "recipes", "version", "example", "quiet", "device"}
ALONE |= {"resume", "more", "overwrite"}
YES, NO = ("true", "yes", "y", "on", "1"), ("false", "no", "n", "off", "0")
#: Blanks that part thousands: those that do not break a line, and thin ones.
BLANKS = "\u00a0\u2007\u2009\u202f"
#: A number with any marks. A common blank parts thousands too; between several numbers only where 0 follows.
NUMBER, NUMBER_OF_SEVERAL = (
    re.compile(rf"(?<![\w.,])\d(?:[\d.,'\u2019]|[{BLANKS}](?=\d{{3}})| (?={first}\d\d))*\d") for first in (r"\d", "0")
)


@common.command("paint_many")
def main(words: list[str]) -> list[str]:
    about = "Paint each entry of a list; finished ones are skipped, unfinished ones go on."
    parser = common.Parser(prog=places.program("paint_many"), description=about)
    about = "a .toml or .csv file: content, styles and any options of each"
    parser.add_argument("list", metavar="LIST", type=common.file_path, help=about)
    options.add(parser, "workers", "scheduler", "device")
    args = vars(parser.parse_args(words))
    return common.perform(read_list(args["list"]), args)


def read_list(path: Path) -> list[Job]:
    """Read a list of jobs, .toml or .csv, whose paths are relative to it.

    An entry has `content`, `styles` and any options of scripts/paint.py without dashes. CSV may be in UTF-8 or UTF-16,
    separated by commas, semicolons or tabs, and several values in one cell by semicolons; where commas separate
    nothing, decimals may have them. Raises InputError that names the wrong entry.
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
    except UnicodeDecodeError as error:
        raise InputError(f'{path}: not in UTF-8; save it so, from a spreadsheet as "CSV UTF-8"') from error
    except (ValueError, csv.Error, RecursionError) as error:
        raise InputError(f"{path}: {error}; mend the file") from error
    actions = {_option(name): one for one in options.parser()._actions for name in one.option_strings or [one.dest]}
    jobs: dict[Path, Job] = {}
    for number, entry in enumerate(entries, 1):
        try:
            one = paint.job(_arguments(entry, path.parent.absolute(), actions, separator))
            if one.output in jobs:
                raise InputError(f"a second one for {one.output}; give it another output")
        except InputError as error:
            raise InputError(f"{path}, painting {number}: {error.command_line}") from error
        jobs[one.output] = one
    if not jobs:
        raise InputError(f"{path}: names no painting; write content, styles and a row for each")
    return list(jobs.values())


def _arguments(entry: Any, base: Path, actions: Mapping[str, argparse.Action], separator: str) -> list[str]:
    """The command line of an entry, by the parser's actions."""
    pictures: dict[str, list[str]] = {"content": [], "styles": []}
    words = []
    for key, value in entry.items() if isinstance(entry, dict) else ():
        name = _option(key)
        for meant in difflib.get_close_matches(name.removesuffix("_image"), pictures, 1, 0.8):
            if name != meant:
                raise InputError(f"{key} is not known; did you mean {meant}?")
        if name in ("", *ALONE):
            raise InputError(f"{name or 'a value without a name'} has no place in a list; take it out")
        action, option = actions.get(name), flag(name)
        nargs = action.nargs if action else None
        values = [str(item).strip() for item in (value if isinstance(value, list) else [value])]
        several = nargs not in (None, "?") and not isinstance(value, list)
        if nargs == 0:
            if str(value).strip().lower() not in (*YES, *NO):
                raise InputError(f"{option} {value}: write yes or no")
            words += [option] if str(value).strip().lower() in YES else []
            continue
        if (action and action.type is common.file_path) or (name in PATHS and not {*values} & {*PATHS[name]}):
            values = [part.strip() for part in values[0].split(";") if part.strip()] if several else values
            values = [str(places.path(item, base)) for item in values]
        elif name not in PATHS:
            values = [_plain(option, text, several, separator) for text in values]
            values = values if isinstance(value, list) else values[0].replace(";", " ").split()
        if name in pictures:
            pictures[name] += values
        elif len(values) == 1 and values[0].startswith("-"):
            words.append(f"{option}={values[0]}")
        else:
            words += [option, *values]
    if not pictures["content"]:
        raise InputError("content is missing; name a photograph")
    return [*pictures["content"], *pictures["styles"], *words]


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
