"""The options of the commands, and the settings that they name."""

import argparse
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from nst_graph import files, films, places
from nst_graph.commands.common import Parser, file_path, flag, gigabytes, whole_number
from nst_graph.errors import InputError
from nst_graph.news import tell
from nst_graph.recipes import DEFAULT, RECIPES
from nst_graph.settings import GROUPS, OPTIONS, Option, layer_name, options_of


def size(text: str) -> int | None:
    """Parse a size for argparse: a number of pixels, or "original", which is None."""
    return None if text == "original" else whole_number(text)


NUMBER, FLAG, SEVERAL = {"metavar": "NUMBER", "type": float}, {"action": "store_true"}, {"nargs": "+"}
COUNT = {"metavar": "N", "type": whole_number}
FILE, DIRECTORY = {"metavar": "FILE", "type": file_path}, {"metavar": "DIR", "type": file_path}
#: Options that are no settings, by name: the help, and what argparse is told.
EXTRAS: dict[str, tuple[str, dict[str, Any]]] = {
    "weights": (f"VGG .mat file (default: VGG-19, else VGG-16, of {places.program('get_weights')})", FILE),
    "masks": (
        "a grey picture for each STYLE, white where it is to be",
        SEVERAL | {"metavar": "MASK", "type": file_path},
    ),
    "fast": ("coarse to fine, in fewer iterations and the fastest precision", FLAG),
    "winograd": (
        "the same as --convolutions winograd",
        {"action": "store_const", "dest": "convolutions", "const": "winograd"},
    ),
    "read_limit": (
        f"most memory to read a picture or weights in; larger ones are refused (default: {files.READ_LIMIT:g})",
        {"metavar": "GB", "type": gigabytes},
    ),
    "output": (
        "the picture, as .png, .jpg or .tif, with its run in a directory of that name; or the directory alone "
        "(default: output/CONTENT-STYLE, then -2, -3 ...)",
        {"metavar": "PLACE", "type": file_path},
    ),
    "overwrite": ("replace a run, or a picture, that --output names", FLAG),
    "resume": ("go on with the run in DIR, from its last saved state", DIRECTORY),
    "more": ("with --resume: N iterations more of a finished run; or a higher --iterations", COUNT),
    "like": ("paint with the settings and the weights of the run in DIR", DIRECTORY),
    "quiet": ("print errors alone", FLAG),
    "example": ("paint the example, as without any argument", FLAG),
    "recipes": ("list the recipes, and end", FLAG),
    "version": ("print the version, and end", FLAG),
    "workers": ("how many paintings are painted at a time (default: 1)", COUNT | {"default": 1}),
    "scheduler": (
        "paint on the cluster of this dask scheduler, such as tcp://host:8786",
        {"metavar": "ADDRESS", "default": None},
    ),
    "frames": ("the frames to paint, counted from 0, as in 10:60; either end may be left out", {"metavar": "RANGE"}),
    "every": ("paint one frame of so many", COUNT),
    "fps": ("frames a second of the clip (default: its own, of a directory 25)", NUMBER),
    "first_iterations": ("limit of iterations of each shot's first frame; --iterations is that of the others", COUNT),
}
#: Those of a clip.
CLIP = ("frames", "every", "fps", "first_iterations")
#: What stands before and after the settings in each of --help's groups of these.
BESIDE = (("weights", ""), ("masks", ""), ("", ""), ("fast", "winograd read_limit"), ("", ""))
#: Short names.
SHORT = {"output": ["-o"], "quiet": ["-q"]}
#: What to tell of an option that took a picture.
TOOK = "{} took {}; name the pictures before the options"
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
    add(add_settings(parser), "output", "overwrite", "resume", "more", "like")
    group = parser.add_argument_group("other options")
    add(group, "quiet", "example", "recipes", "version")
    group.add_argument("-h", "--help", nargs=0, action=_Help, help="show the options needed most, and end")
    group.add_argument("--help-all", nargs=0, action=_Help, help="show every option, and end")
    return parser


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
    saved = add_settings(parser, options=OPTIONS | options_of(films.Film))
    add(saved, "output", help="directory of the film (default: output/CLIP-STYLE, then -2, -3 ...)", metavar="DIR")
    add(saved, "overwrite", "resume", "like", "quiet")
    group = parser.add_argument_group(films.GROUP)
    add(group, *CLIP)
    _add_declared(group, options_of(films.Film))
    add(group, "workers", help="how many shots are painted at a time (default: 1)")
    add(group, "scheduler")
    return parser


def add(parser: argparse._ActionsContainer, *names: str, **changes: Any) -> None:
    """Add options of EXTRAS by their names, with changes of what argparse is told."""
    for name in names:
        about, keywords = EXTRAS[name]
        parser.add_argument(flag(name), *SHORT.get(name, ()), **{"help": about} | keywords | changes)


def add_settings(
    parser: argparse.ArgumentParser, several: bool = False, options: Mapping[str, Option] = OPTIONS
) -> argparse._ArgumentGroup:
    """Add CONTENT, STYLE and the options that say how to paint; returns the last group, of what is saved.

    With `several` --recipe and every setting take several values; commas part one that is a list.
    """
    add_argument = parser.add_argument
    add_argument("content", metavar="CONTENT", nargs="?", type=file_path, default=None, help="the photograph")
    about = "the painting, or several to blend, or a directory of them"
    add_argument("styles", metavar="STYLE", nargs="*", type=file_path, default=[], help=about)
    about = f"settings by name; {places.program('paint')} --recipes lists them"
    add_argument("--recipe", choices=RECIPES, metavar="NAME", nargs="+" if several else None, help=about)
    for title, (before, after) in zip(GROUPS, BESIDE, strict=True):
        group = parser.add_argument_group(title)
        add(group, *before.split())
        _add_declared(group, options, several)
        add(group, *after.split())
    return group


def _add_declared(group: argparse._ArgumentGroup, options: Mapping[str, Option], several: bool = False) -> None:
    """Add the options that are declared for a group of this title."""
    for name, option in options.items():
        if option.group == group.title:
            about = f"{option.about}: {', '.join(option.choices)}" if option.choices else option.about
            default = default_text(option.default)
            about += f" (default: {default})" if default else ""
            keywords = _keywords(name, option)
            if several and "action" not in keywords:
                keywords = _of_several(keywords)
            group.add_argument(flag(name), *option.names.split(), help=about, **keywords)


def default_text(value: Any) -> str:
    """A default as it is typed; nothing for what is off."""
    values = value if isinstance(value, tuple | Mapping) else () if value is None or value is False else (value,)
    return " ".join(f"{each:g}" if isinstance(each, float) else str(each) for each in values)


def _keywords(name: str, option: Option) -> dict[str, Any]:
    """What argparse is told of a setting, by its type."""
    if "Mapping" in option.kind:
        return {"metavar": "LAYER[=WEIGHT]", "nargs": "+"}
    if option.kind == "bool":
        return dict(FLAG)
    kind = (
        size if name == "size" else whole_number if "int" in option.kind else float if "float" in option.kind else None
    )
    metavar = option.metavar or ("NAME" if option.choices else "NUMBER" if kind is float else "N")
    keywords: dict[str, Any] = {"type": kind} if kind else {}
    if "tuple" in option.kind:
        keywords["nargs"] = option.count or "+"
    return keywords | {"metavar": tuple(metavar.split()) if option.count else metavar}


def _of_several(keywords: dict[str, Any]) -> dict[str, Any]:
    """The same for an option of several values, parted by blanks; one that is a list is parted by commas."""
    if "nargs" not in keywords:
        return keywords | {"nargs": "+"}
    kind, metavar = keywords.get("type", str), keywords["metavar"]

    def parts(word: str) -> list[Any]:
        return [kind(part) for part in word.split(",")]

    parts.__name__ = f"{kind.__name__},..."  # for argparse's error
    metavar = f"{metavar},..." if isinstance(metavar, str) else ",".join(metavar)
    return {"type": parts, "nargs": "+", "metavar": metavar}


def parse(words: Sequence[str], parser: Callable[[], argparse.ArgumentParser] = parser) -> dict[str, Any]:
    """The options; what follows -- is CONTENT and STYLE, even with a dash in front. Raises InputError."""
    words = list(words)
    end = words.index("--") if "--" in words else len(words)
    for word in words[:end]:
        if re.fullmatch(r"--?(content|styles?)([-_]image)?(=.*)?", word):
            raise InputError(f"{word}: pictures stand without an option, as in photo.jpg painting.jpg --size 512")
        if re.match(r"-[a-z]\w\w", word):  # -output is not -o with utput
            parser().error(f"unrecognized arguments: {word}")
    args = vars(parser().parse_intermixed_args(words[:end]))
    pictures = [*([] if args["content"] is None else [args["content"]]), *args["styles"]]
    pictures += map(places.path, words[end + 1 :])
    return args | {"content": pictures[0] if pictures else None, "styles": pictures[1:]}


def missing_remedy(args: dict[str, Any]) -> str:
    """What to tell where a picture is missing: it stands before the options, some of which take all that follows."""
    for action in parser()._actions:
        for word in map(str, args.get(action.dest) or ()) if action.nargs == "+" else ():
            if os.path.isfile(word):
                return TOOK.format(action.option_strings[0], word)
    return "name a photograph and at least one painting, before the options"


def switches() -> list[str]:
    """The options that take no value, by all their names."""
    names = [name for action in parser()._actions if action.nargs == 0 for name in action.option_strings]
    return [name.lstrip("-").replace("-", "_") for name in names]


def settings(args: dict[str, Any]) -> dict[str, Any]:
    """The settings among the options. Raises InputError where layers are not named as they should be."""
    values = {name: args[name] for name in OPTIONS if name in args}
    named = {name: words for name, words in values.items() if name.endswith("_layers") and isinstance(words, list)}
    return values | {name: layers(flag(name), words) for name, words in named.items()}


def layers(option: str, words: Sequence[str]) -> dict[str, float]:
    """Read words such as conv1_1 or conv2_1=0.5; of n layers, one without a weight gets 1/n. Raises InputError."""
    weights: dict[str, float | None] = {}
    for word in words:
        if os.path.isfile(word):
            raise InputError(TOOK.format(option, word))
        name, equals, weight = word.partition("=")
        name = layer_name(name)
        if name in weights:
            raise InputError(f"{option} {word}: {name} is named twice; name it once")
        try:
            weights[name] = float(weight) if equals else None
        except ValueError:
            raise InputError(f"{option} {word}: {weight!r} is not a number; write {name}=0.5, say") from None
    return {name: 1 / len(weights) if weight is None else weight for name, weight in weights.items()}
