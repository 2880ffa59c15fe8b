"""The options of scripts/paint.py, and the settings that they name."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, NoReturn

from nst_graph import places
from nst_graph.commands.common import Parser, add_read_limit, add_winograd, add_workers, named, whole
from nst_graph.errors import InputError
from nst_graph.news import tell
from nst_graph.recipes import DEFAULT, RECIPES
from nst_graph.settings import CHOICES, Settings, layer_name, layer_weights


def size(text: str) -> int | None:
    """Parse a size for argparse: a number of pixels, or "original", which is None."""
    return None if text == "original" else whole(text)


Option = tuple[str, str, dict[str, Any]]
NUMBER, FLAG = {"metavar": "NUMBER", "type": float}, {"action": "store_true"}
PIXELS, COUNT = {"metavar": "PIXELS", "type": whole}, {"metavar": "N", "type": whole}
SIZE = {"metavar": "PIXELS", "type": size}
WEIGHT, SEVERAL = {"metavar": "WEIGHT", "type": float}, {"nargs": "+"}
RATIO, SHAPE = {"metavar": "RATIO", "type": float}, {"metavar": ("WIDTH", "HEIGHT"), "nargs": 2, "type": whole}
CHANNELS = {"metavar": ("RED", "GREEN", "BLUE"), "nargs": 3, "type": float}
FILE, DIRECTORY = {"metavar": "FILE", "type": named}, {"metavar": "DIR", "type": named}
MASKS = {"metavar": "MASK", "nargs": "+", "type": named}
#: Options in groups: the name, the help, and what argparse is told. A setting's default is added to
#: the help, unless it is None.
WHAT: list[Option] = [
    ("weights", f"VGG .mat file (default: VGG-19, else VGG-16, of {places.program('get_weights')})", FILE),
    ("size", "a side of the result, in pixels, or original; a smaller photograph keeps its own", SIZE),
    ("enlarge", "enlarge a smaller photograph to --size", FLAG),
    ("side", "which side --size is", {}),
    ("squash", "squash the photograph to this ratio of width and height", SHAPE),
    ("resample", "filter by which pictures are resized", {}),
    ("alpha", "weight of the content, equation 7; 0: texture of the STYLE alone", NUMBER),
    ("beta", "weight of the style, equation 7; 0: reconstruction of the CONTENT alone", NUMBER),
    ("ratio_at", "size, or width and height, whose balance all sizes get: beta follows the pixels", PIXELS | SEVERAL),
    ("content_layers", "layers of the content; of n layers, one without a weight gets 1/n", SEVERAL),
    ("style_layers", "layers of the style; of n layers, one without a weight gets 1/n", SEVERAL),
    ("pooling", "how poolings pool", {}),
    ("padding", "what the first convolution sees beyond the border", {}),
    ("content_loss", "how features are compared", {}),
    ("style_loss", "how Gram matrices are compared", {}),
    ("smoothness", "weight of the smoothness term", WEIGHT),
    ("smoothness_loss", "how roughness is measured", {}),
    ("unit_gradients", "scale each layer's gradient to an L1 norm of its weight", FLAG),
]
STYLES: list[Option] = [
    ("masks", "a grey picture for each STYLE, white where it is wanted", MASKS),
    ("style_blend", "weight of each STYLE (default: equal)", WEIGHT | SEVERAL),
    ("style_shape", "whose shape a STYLE gets; its own: --size as the photograph's, or by its area", {}),
    ("style_scale", "size of all STYLEs, or of each, relative to that", {"metavar": "FACTOR", "type": float} | SEVERAL),
    ("colours", "luminance paints the lightness alone, histogram and covariance match the STYLE's colours first", {}),
]
HOW: list[Option] = [
    ("init", "the start: noise, content, style or a picture FILE", {"metavar": "START"}),
    ("noise_ratio", "start from RATIO * noise + (1 - RATIO) * picture, by default 1 or 0", RATIO),
    ("noise", "distribution of the noise", {}),
    ("noise_amplitude", "largest value of grey or uniform noise, deviation of normal noise, in grey levels", NUMBER),
    ("seed", "seed of the noise", COUNT),
    ("optimiser", "the optimiser", {}),
    ("lbfgs", "whose L-BFGS; auto is the graph's on a GPU, and where SciPy's takes too much memory", {}),
    ("corrections", "curvature pairs that L-BFGS keeps", COUNT),
    ("iterations", "limit of iterations", COUNT),
    ("pixel_scale", "what adam and gradient-descent divide the channels by, before --rate and --epsilon", CHANNELS),
    ("rate", "learning rate of adam and gradient-descent", NUMBER),
    ("beta1", "adam's decay of the mean gradient", NUMBER),
    ("beta2", "adam's decay of the mean squared gradient", NUMBER),
    ("epsilon", "adam's guard against division by zero", NUMBER),
    ("average", "show the running mean of adam's or gradient-descent's steps, by this decay", NUMBER),
    ("bounded", "keep every pixel in 0..255 while painting", FLAG),
]
SPEED: list[Option] = [
    ("fast", "coarse to fine, in fewer iterations and the fastest precision", FLAG),
    ("precision", "type of the convolutions; auto is bfloat16 where that is fast, float32 at the end", {}),
    ("convolutions", "how float32 is convolved; winograd has fewer multiplications, to five digits the same", {}),
    ("scales", "longer sides to paint at first", PIXELS | SEVERAL),
    ("scale_iterations", "iterations at each of --scales", COUNT | SEVERAL),
    ("tile", "side of tiles, for large pictures (default: as memory demands)", PIXELS),
]
RECORD: list[Option] = [
    ("save_every", "iterations between pictures", COUNT),
    ("depth", "bits a colour of the saved pictures: 8, or 16 for printing", {"metavar": "BITS", "type": whole}),
    ("tensorboard", "write losses and pictures for TensorBoard too", FLAG),
    ("timelapse", "a film of the saved pictures at the end", {"metavar": "KIND"}),
]
PLACE: list[Option] = [
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
LISTS: list[Option] = [
    ("quiet", "print errors alone", FLAG),
    ("example", "paint the example, as without any argument", FLAG),
    ("recipes", "list the recipes, and end", FLAG),
    ("version", "print the version, and end", FLAG),
]
FILM_PLACE: Option = ("output", "directory of the film (default: output/CLIP-STYLE, then -2, -3 ...)", DIRECTORY)
FILM_TOO = ("overwrite", "resume", "like", "quiet")
FILM: list[Option] = [
    ("frames", "the frames to paint, counted from 0, as in 10:60; either end may be left out", {"metavar": "RANGE"}),
    ("every", "paint one frame of so many", COUNT),
    ("fps", "frames a second of the clip (default: its own, of a directory 25)", NUMBER),
    ("first_iterations", "limit of iterations of each shot's first frame; --iterations is that of the others", COUNT),
    ("steadiness", "weight of what differs from the frame before, where that can be followed (default: 0.3)", WEIGHT),
    ("back", "how far back the frames lie that one is held to, such as 1 2 4 (default: 1)", COUNT | SEVERAL),
    ("alone", "paint each frame by itself, as each shot's first", FLAG),
]
#: What other programs call the same options.
HABITS = {
    "output": ["-o"],
    "quiet": ["-q"],
    "alpha": ["--content-weight"],
    "beta": ["--style-weight"],
    "smoothness": ["--tv-weight"],
    "optimiser": ["--optimizer"],
    "rate": ["--learning-rate"],
    "colours": ["--colors", "--color", "--colour"],
}
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
    _add(parser.add_argument_group("what is painted"), WHAT, several)
    _add(parser.add_argument_group("the styles"), STYLES, several)
    _add(parser.add_argument_group("how it is painted"), HOW, several)
    group = parser.add_argument_group("how fast, and how large")
    _add(group, SPEED, several)
    add_winograd(group)
    add_read_limit(group)
    group = parser.add_argument_group("what is saved")
    _add(group, RECORD, several)
    return group


def _add(group: argparse._ArgumentGroup, options: Sequence[Option], several: bool = False) -> None:
    names = {field.name for field in fields(Settings)}
    for name, about, keywords in options:
        default: Any = getattr(Settings(), name, None)
        told = dict(keywords)
        if name.endswith("_layers"):
            default, told["metavar"] = " ".join(default), "LAYER[=WEIGHT]"
        if name in CHOICES:
            about = f"{about}: {', '.join(CHOICES[name])}"
            told.setdefault("metavar", "NAME")
        if isinstance(default, float):
            default = f"{default:g}"
        if name == "pixel_scale":
            default = " ".join(f"{number:g}" for number in default)
        shown = about if default is None or default is False or default == () else f"{about} (default: {default})"
        if several and name in names and "nargs" in told:
            told["type"] = _parts(told.get("type", str))
            places = told["metavar"]
            told["metavar"] = f"{places},..." if isinstance(places, str) else ",".join(places)
        if several and name in names and "action" not in told:
            told["nargs"] = "+"
        group.add_argument(f"--{name.replace('_', '-')}", *HABITS.get(name, ()), help=shown, **told)


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
