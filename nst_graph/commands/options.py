"""The options of scripts/paint.py, and the settings that they name."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, NoReturn, get_type_hints

from nst_graph import places
from nst_graph.commands.common import Parser, add_read_limit, add_winograd, add_workers, named, whole
from nst_graph.errors import InputError
from nst_graph.news import tell
from nst_graph.recipes import DEFAULT, RECIPES
from nst_graph.settings import (
    HOW,
    OPTIONS,
    SAVED,
    SPEED,
    STYLE,
    WHAT,
    Group,
    Option,
    Settings,
    layer_name,
    layer_weights,
)


def size(text: str) -> int | None:
    """Parse a size for argparse: a number of pixels, or "original", which is None."""
    return None if text == "original" else whole(text)


#: An option that is no setting: its name, the help, and what argparse is told.
Extra = tuple[str, str, dict[str, Any]]
NUMBER, FLAG = {"metavar": "NUMBER", "type": float}, {"action": "store_true"}
COUNT, SEVERAL = {"metavar": "N", "type": whole}, {"nargs": "+"}
WEIGHT = {"metavar": "WEIGHT", "type": float}
FILE, DIRECTORY = {"metavar": "FILE", "type": named}, {"metavar": "DIR", "type": named}
#: Those that begin a group of settings.
BEFORE: dict[Group, Extra] = {
    WHAT: ("weights", f"VGG .mat file (default: VGG-19, else VGG-16, of {places.program('get_weights')})", FILE),
    STYLE: (
        "masks",
        "a grey picture for each STYLE, white where it is to be",
        {"metavar": "MASK", "nargs": "+", "type": named},
    ),
    SPEED: ("fast", "coarse to fine, in fewer iterations and the fastest precision", FLAG),
}
PLACE: list[Extra] = [
    (
        "output",
        "the picture, as .png, .jpg or .tif, with its run in a directory of that name; or the directory alone "
        "(default: output/CONTENT-STYLE, then -2, -3 ...)",
        {"metavar": "PLACE", "type": named},
    ),
    ("overwrite", "replace a run, or a picture, that --output names", FLAG),
    ("resume", "go on with the run in DIR, from its last saved state", DIRECTORY),
    ("more", "with --resume: N iterations more of a finished run; or a higher --iterations", COUNT),
    ("like", "paint with the settings and the weights of the run in DIR", DIRECTORY),
]
LISTS: list[Extra] = [
    ("quiet", "print errors alone", FLAG),
    ("example", "paint the example, as without any argument", FLAG),
    ("recipes", "list the recipes, and end", FLAG),
    ("version", "print the version, and end", FLAG),
]
FILM_PLACE: Extra = ("output", "directory of the film (default: output/CLIP-STYLE, then -2, -3 ...)", DIRECTORY)
FILM_TOO = ("overwrite", "resume", "like", "quiet")
FILM: list[Extra] = [
    ("frames", "the frames to paint, counted from 0, as in 10:60; either end may be left out", {"metavar": "RANGE"}),
    ("every", "paint one frame of so many", COUNT),
    ("fps", "frames a second of the clip (default: its own, of a directory 25)", NUMBER),
    ("first_iterations", "limit of iterations of each shot's first frame; --iterations is that of the others", COUNT),
    ("steadiness", "weight of what differs from the frame before, where that can be followed (default: 0.3)", WEIGHT),
    ("back", "how far back the frames lie that one is held to, such as 1 2 4 (default: 1)", COUNT | SEVERAL),
    ("alone", "paint each frame by itself, as each shot's first", FLAG),
]
#: Short names.
SHORT = {"output": "-o", "quiet": "-q"}
#: What --help shows, in the order in which it is needed.
FIRST = (
    *("content", "styles", "output", "fast", "size", "beta", "iterations", "style_scale", "style_blend", "colours"),
    *("init", "recipe", "resume", "help_all"),
)
EXAMPLES = """
examples:
  {0} photo.jpg painting.jpg --fast
  {0} photo.jpg painting.jpg --size 800 -o result.jpg
  {0} --resume output/photo-painting
"""


class _Formatter(argparse.HelpFormatter):
    """Shows one long name of an option."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        names = [name for name in action.option_strings if not name.startswith("--")]
        names += [name for name in action.option_strings if name.startswith("--")][:1]
        values = "" if action.nargs == 0 else f" {self._format_args(action, '')}"
        return ", ".join(names) + values if names else super()._format_action_invocation(action)


class _Help(argparse.Action):
    """Print the help, of the first options alone unless it is --help-all, and end."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        if self.dest == "help_all":
            tell(*parser.format_help().splitlines())
            parser.exit()
        actions = {action.dest: action for action in parser._actions}
        formatter = parser._get_formatter()
        formatter.add_usage(parser.usage, [], [])
        formatter.add_text(parser.description)
        formatter.start_section("pictures, and the options needed most")
        formatter.add_arguments(actions[name] for name in FIRST)
        formatter.end_section()
        tell(*(formatter.format_help() + EXAMPLES.format(parser.prog)).splitlines())
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """The parser; an option that is not given leaves no value, so that the recipe decides."""
    parser = Parser(
        prog=places.program("paint"),
        description="Paint a photograph in the style of a painting, as Gatys, Ecker and Bethge (2015) describe. "
        f"Without arguments, or with --example, paint an example. Defaults are those of the recipe {DEFAULT}.",
        usage="%(prog)s CONTENT STYLE [STYLE ...] [option ...]",
        formatter_class=_Formatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        add_help=False,
    )
    group = add_options(parser)
    _add(group, PLACE)
    group = parser.add_argument_group("other options")
    _add(group, LISTS)
    group.add_argument("-h", "--help", nargs=0, action=_Help, help="show the options needed most, and end")
    group.add_argument("--help-all", nargs=0, action=_Help, help="show every option, and end")
    return parser


def add_options(parser: argparse.ArgumentParser, several: bool = False) -> argparse._ArgumentGroup:
    """Add CONTENT, STYLE and the options that say how to paint; returns the last group, of what is saved.

    With `several` --recipe and every setting take several values; commas part one that is a list.
    """
    add = parser.add_argument
    add("content", metavar="CONTENT", nargs="?", type=named, default=None, help="the photograph")
    add(
        "styles",
        metavar="STYLE",
        nargs="*",
        type=named,
        default=[],
        help="the painting, or several to blend, or a directory of them",
    )
    about = f"settings by name; {places.program('paint')} --recipes lists them"
    add("--recipe", choices=RECIPES, metavar="NAME", nargs="+" if several else None, help=about)
    for titled in (WHAT, STYLE, HOW, SPEED, SAVED):
        group = parser.add_argument_group(titled.title)
        _add(group, [BEFORE[titled]] if titled in BEFORE else [])
        for name, option in OPTIONS.items():
            if option.title == titled.title:
                _add_setting(group, name, option, several)
        if titled is SPEED:
            add_winograd(group)
            add_read_limit(group)
    return group


def _add(group: argparse._ArgumentGroup, options: Sequence[Extra]) -> None:
    for name, about, keywords in options:
        group.add_argument(*_flags(name, (SHORT[name],) if name in SHORT else ()), help=about, **keywords)


def _add_setting(group: argparse._ArgumentGroup, name: str, option: Option, several: bool) -> None:
    """Add a setting's option, with its default; with `several` it takes several values, parted by blanks."""
    about, keywords = option.about, _keywords(name, option)
    if option.choices:
        about = f"{about}: {', '.join(option.choices)}"
    default = _shown(getattr(Settings(), name))
    if several and "nargs" in keywords:
        keywords["type"] = _parts(keywords.get("type", str))
        places = keywords["metavar"]
        keywords["metavar"] = f"{places},..." if isinstance(places, str) else ",".join(places)
    if several and "action" not in keywords:
        keywords["nargs"] = "+"
    group.add_argument(
        *_flags(name, option.names.split()), help=f"{about} (default: {default})" if default else about, **keywords
    )


def _flags(name: str, others: Sequence[str]) -> list[str]:
    return [f"--{name.replace('_', '-')}", *others]


def _keywords(name: str, option: Option) -> dict[str, Any]:
    """What argparse is told of a setting, by its type."""
    kind = str(get_type_hints(Settings)[name])
    if "Mapping" in kind:
        return {"metavar": "LAYER[=WEIGHT]", "nargs": "+"}
    if "bool" in kind:
        return dict(FLAG)
    number = size if name == "size" else whole if "int" in kind else float if "float" in kind else None
    keywords: dict[str, Any] = {"type": number} if number else {}
    keywords["metavar"] = option.metavar or ("NAME" if option.choices else "NUMBER" if number is float else "N")
    if "tuple" in kind:
        keywords["nargs"] = option.count or "+"
    if option.count:
        keywords["metavar"] = tuple(option.metavar.split())
    return keywords


def _shown(default: Any) -> str:
    """A default as it is typed; nothing for what is off."""
    values = (
        default if isinstance(default, tuple | Mapping) else () if default is None or default is False else (default,)
    )
    return " ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


def _parts(kind: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """A type for argparse: what is between commas, each of this type."""

    def parts(word: str) -> list[Any]:
        return [kind(part) for part in word.split(",")]

    parts.__name__ = f"{kind.__name__},..."  # for argparse's error
    return parts


def film_parser() -> argparse.ArgumentParser:
    """The parser of scripts/paint_video.py; an option that is not given leaves no value."""
    parser = Parser(
        prog=places.program("paint_video"),
        description="Paint a film in the style of a painting, steady from frame to frame, as Ruder, Dosovitskiy and "
        f"Brox (2016) do. Frames are painted as {places.program('paint')} paints pictures, with its options.",
        usage="%(prog)s CLIP STYLE [STYLE ...] [option ...]",
        formatter_class=_Formatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    group = add_options(parser)
    _add(group, [FILM_PLACE, *(option for option in (*PLACE, *LISTS) if option[0] in FILM_TOO)])
    group = parser.add_argument_group("the film")
    _add(group, FILM)
    add_workers(group, "shots")
    return parser


def parse(words: Sequence[str] | None, parser: Callable[[], argparse.ArgumentParser] = parser) -> dict[str, Any]:
    """The options; what follows -- is CONTENT and STYLE, even with a dash in front. Raises InputError."""
    words = list(sys.argv[1:] if words is None else words)
    end = words.index("--") if "--" in words else len(words)
    for word in words[:end]:
        if re.fullmatch(r"--?(content|styles?)([-_]image)?(=.*)?", word):
            raise InputError(f"{word}: pictures stand without an option, as in photo.jpg painting.jpg --size 512")
        if re.match(r"-[a-z]\w\w", word):  # -output_image is not -o with utput_image
            parser().error(f"unrecognized arguments: {word}")
    args = vars(parser().parse_intermixed_args(words[:end]))
    plain = map(places.path, words[end + 1 :])
    named = [*([] if args["content"] is None else [args["content"]]), *args["styles"], *plain]
    return args | {"content": named[0] if named else None, "styles": named[1:]}


def swallowed(args: dict[str, Any]) -> str:
    """What to tell where a picture is missing: it stands before the options, some of which take all that follows."""
    lists = {action.dest: action.option_strings[0] for action in parser()._actions if action.nargs == "+"}
    for name, option in lists.items():
        for word in map(str, args.get(name) or ()):
            if os.path.isfile(word):
                return _took(option, word)
    return "name a photograph and at least one painting, before the options"


def _took(option: str, word: str) -> str:
    return f"{option} took {word}; name the pictures before the options"


def switches() -> list[str]:
    """The options that take no value, by all their names."""
    names = [name for action in parser()._actions if action.nargs == 0 for name in action.option_strings]
    return [name.lstrip("-").replace("-", "_") for name in names]


def settings(args: dict[str, Any]) -> dict[str, Any]:
    """The settings among the options. Raises InputError where layers are not named as they should be."""
    values = {field.name: args[field.name] for field in fields(Settings) if field.name in args}
    for name, value in values.items():
        if name.endswith("_layers"):
            values[name] = layers(f"--{name.replace('_', '-')}", value)
    return values


def layers(option: str, words: Sequence[str]) -> dict[str, float]:
    """Read words such as conv1_1 or conv2_1=0.5. Raises InputError naming the option."""
    named: dict[str, float | None] = {}
    for word in words:
        if os.path.isfile(word):
            raise InputError(_took(option, word))
        name, equals, weight = word.partition("=")
        name = layer_name(name)
        if name in named:
            raise InputError(f"{option} {word}: {name} is named twice; name it once")
        try:
            named[name] = float(weight) if equals else None
        except ValueError:
            raise InputError(f"{option} {word}: {weight!r} is not a number; write {name}=0.5, say") from None
    return layer_weights(named)
