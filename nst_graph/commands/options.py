"""The options of the commands, and the settings that they name."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from nst_graph import files, films, places
from nst_graph.commands.common import Parser, file_path, gigabytes, whole_number
from nst_graph.errors import InputError, flag
from nst_graph.news import tell
from nst_graph.recipes import DEFAULT, RECIPES
from nst_graph.settings import CHOICES, GROUPS, OPTIONS, Option, layer_name, options_of


def size(text: str) -> int | None:
    """Parse a size for argparse: a number of pixels, or "original", which is None."""
    return None if text == "original" else whole_number(text)


def _declare(about: str, kind: str, metavar: str = "", default: Any = None, names: str = "") -> Option:
    return Option("", default, about, None, metavar, names, kind)


#: Options that are no settings, by name.
EXTRAS = {
    "weights": _declare(
        f"VGG .mat file (default: VGG-19, else VGG-16, of {places.program('get_weights')})", "Path", "FILE"
    ),
    "masks": _declare("a grey picture for each STYLE, white where it is to be", "tuple[Path, ...]", "MASK"),
    "style_masks": _declare("for each STYLE, or each part of one: white where it is from", "tuple[Path, ...]", "MASK"),
    "fast": _declare("coarse to fine, in fewer iterations and the fastest precision", "bool"),
    "winograd": _declare("the same as --convolutions winograd", "bool"),
    "read_limit": _declare(
        "most memory to read a picture or weights in; larger ones are refused", "GB", "GB", files.READ_LIMIT
    ),
    "output": _declare(
        "the picture, as .png, .jpg or .tif, with its run in a directory of that name; or the directory alone "
        "(default: output/CONTENT-STYLE, then -2, -3 ...)",
        "Path",
        "PLACE",
        names="-o",
    ),
    "overwrite": _declare("replace a run, or a picture, that --output names", "bool"),
    "resume": _declare("continue the run in DIR from its last saved state", "Path", "DIR"),
    "more": _declare("with --resume: N iterations more of a finished run; or a higher --iterations", "int"),
    "like": _declare("paint with the settings and the weights of the run in DIR", "Path", "DIR"),
    "print": _declare("a print on A3@300, say, or 30x40cm@240: size, scales and dots an inch", "str", "PAPER@DPI"),
    "device": _declare("cpu, gpu, or gpu:1 for the second GPU (default: a GPU, if there is one)", "str", "DEVICE"),
    "quiet": _declare("print only errors", "bool", names="-q"),
    "example": _declare("paint the example: a photograph and a painting that come with the program", "bool"),
    "recipes": _declare("list the recipes, and end", "bool"),
    "version": _declare("print the version, and end", "bool"),
    "workers": _declare("how many paintings are painted at a time", "int", default=1),
    "scheduler": _declare("paint on the cluster of this dask scheduler, such as tcp://host:8786", "str", "ADDRESS"),
    "frames": _declare("the frames to paint, counted from 0, as in 10:60; either end may be left out", "str", "RANGE"),
    "every": _declare("paint one frame of so many", "int"),
    "fps": _declare("frames a second of the clip (default: its own, of a directory 25)", "float"),
    "first_iterations": _declare(
        "limit of iterations of each shot's first frame; --iterations is that of the others", "int"
    ),
}
#: Those of a clip.
CLIP = ("frames", "every", "fps", "first_iterations")
#: What stands before and after the settings in each of --help's groups of these.
BESIDE = (("weights", ""), ("masks style_masks", ""), ("", ""), ("fast device", "winograd read_limit"), ("", ""))
#: What to tell of an option that took a picture.
TOOK = "{} took {}; name the pictures before the options"
SHELLS = ("bash", "zsh", "tcsh")
#: What --help shows, in the order in which it is needed.
FIRST = (
    *("content", "styles", "recipe", "output", "size", "beta", "iterations", "style_scale", "style_blend", "colours"),
    *("init", "fast", "device", "print", "resume", "example", "help_all"),
)
EXAMPLES = """
examples:
  {0} photo.jpg painting.jpg --recipe studio
  {0} photo.jpg painting.jpg --recipe studio -o a.jpg
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


class _Completion(argparse.Action):
    """Print what makes a shell complete the options, their choices and names of files, and end."""

    def __call__(self, busy: argparse.ArgumentParser, _: object, shell: Any, *__: object) -> NoReturn:
        import shtab

        fresh = parser()  # the busy one hides its positional arguments meanwhile
        for action in fresh._actions:
            action.choices = CHOICES.get(action.dest, action.choices)
            if action.type is file_path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        sys.stdout.write(shtab.complete(fresh, shell))
        busy.exit()


def parser() -> Parser:
    """The parser of scripts/paint.py."""
    about = "Paint a photograph in the style of a painting, as Gatys, Ecker and Bethge (2015) describe. "
    about += f"Begin with --recipe studio; without it the settings are those of the paper, the recipe {DEFAULT}."
    parser, saved = _parser("paint", "CONTENT", about, OPTIONS, add_help=False)
    add(saved, "output", "print", "overwrite", "resume", "more", "like")
    group = parser.add_argument_group("other options")
    add(group, "quiet", "example", "recipes", "version")
    group.add_argument("--print-completion", choices=SHELLS, action=_Completion, help="print a shell's completion")
    group.add_argument("-h", "--help", nargs=0, action=_Help, help="show the options needed most, and end")
    group.add_argument("--help-all", nargs=0, action=_Help, help="show every option, and end")
    return parser


def film_parser() -> Parser:
    """The parser of scripts/paint_video.py."""
    about = "Paint a film in the style of a painting, steady from frame to frame, as Ruder, Dosovitskiy and "
    about += f"Brox (2016) do. Frames are painted as {places.program('paint')} paints pictures, with its options."
    film = options_of(films.Film)
    parser, saved = _parser("paint_video", "CLIP", about, OPTIONS | film, add_help=True)
    add(saved, "output", about="directory of the film (default: output/CLIP-STYLE, then -2, -3 ...)", metavar="DIR")
    add(saved, "overwrite", "resume", "like", "quiet")
    group = parser.add_argument_group(films.GROUP)
    add(group, *CLIP)
    _add_declared(group, film)
    add(group, "workers", about="how many shots are painted at a time")
    add(group, "scheduler")
    return parser


def _parser(
    name: str, content: str, about: str, options: Mapping[str, Option], add_help: bool
) -> tuple[Parser, argparse._ArgumentGroup]:
    """A parser of pictures and options, and the group of what is saved."""
    parser = Parser(
        prog=places.program(name),
        description=about,
        usage=f"%(prog)s {content} STYLE [STYLE ...] [option ...]",
        formatter_class=_Formatter,
        add_help=add_help,
    )
    return parser, add_settings(parser, options)


def add(parser: argparse._ActionsContainer, *names: str, **changes: Any) -> None:
    """Add options of EXTRAS by their names, which are declared with these changes."""
    for name in names:
        _add(parser, name, replace(EXTRAS[name], **changes))


def add_settings(
    parser: argparse.ArgumentParser, options: Mapping[str, Option], several: bool = False
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
            _add(group, name, option, several)


def _add(parser: argparse._ActionsContainer, name: str, option: Option, several: bool = False) -> None:
    about = option.help + (f" (default: {option.shown_default})" if option.shown_default else "")
    parser.add_argument(flag(name), *option.names.split(), help=about, **_keywords(name, option, several))


def _keywords(name: str, option: Option, several: bool) -> dict[str, Any]:
    """What argparse is told of an option, by its type; of several values, commas part one that is a list."""
    if option.kind == "bool":
        return {"action": "store_true"}
    kinds: dict[str, Callable[[str], Any]] = {"Mapping": str, "Path": file_path, "GB": gigabytes}
    kinds |= {"int": size if name == "size" else whole_number, "float": float}
    convert = next((kinds[kind] for kind in kinds if kind in option.kind), str)
    metavar = option.metavar or ("NAME" if option.choices else "NUMBER" if convert is float else "N")
    is_list = "Mapping" in option.kind or "tuple" in option.kind

    def convert_list(word: str) -> list[Any]:
        return [convert(part) for part in word.split(",")]

    convert_list.__name__ = f"{convert.__name__},..."  # for argparse's error
    if is_list and several:
        metavar = metavar.replace(" ", ",") if option.count else f"{metavar},..."
        return {"type": convert_list, "nargs": "+", "metavar": metavar}
    nargs = "+" if several else (option.count or "+") if is_list else None
    return {"type": convert, "nargs": nargs, "metavar": tuple(metavar.split()) if option.count else metavar}


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


def settings(args: dict[str, Any]) -> dict[str, Any]:
    """The settings among the options. Raises InputError where layers are not named as they should be."""
    values = {name: args[name] for name in OPTIONS if name in args}
    values |= {"convolutions": "winograd"} if "winograd" in args else {}
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
