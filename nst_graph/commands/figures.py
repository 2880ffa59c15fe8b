"""The command scripts/figures.py: the paper's figures, and others, painted panel by panel and arranged."""

import argparse
import importlib.util
from functools import partial
from pathlib import Path
from typing import Any

from nst_graph import files, places
from nst_graph.batch.jobs import Job, prepare
from nst_graph.commands import common, options, paint
from nst_graph.commands.common import short_path
from nst_graph.errors import InputError, flag
from nst_graph.figures import sheets
from nst_graph.figures.panels import FIGURES, PHOTOGRAPH, SOURCES, Figure, matrix, sweep
from nst_graph.news import tell
from nst_graph.recipes import DEFAULT, NOTEBOOKS, RECIPES, TEXTURE
from nst_graph.settings import OPTIONS

#: The figures, and what is said of them.
ABOUT = {
    "fig1": "the paper's Figure 1: style and content from single layers and more",
    "fig2": "the paper's Figure 2: one photograph in five styles",
    "fig3": "the paper's Figure 3: one painting by style layers and ratios",
    "matrix": "every photograph of one directory in every style of another",
    "sweep": "your pictures by one or two options of several values, in columns and rows; commas within a list",
    "textures": "a texture by more and more layers, as in the authors' paper on textures; options as in sweep",
    "trace": "losses of one of the authors' notebooks beside ours; --size is that of its first stage",
}
#: The options that say how all panels are painted, but in a sweep.
SHARED = ("size", "iterations", "save_every", "precision", "convolutions")
#: The options that may have several values in a sweep; and the figures that are sweeps, with what they begin with.
SWEPT = {"recipe", *OPTIONS}
_LAYERS = [f"{layer}=1" for layer in RECIPES[TEXTURE].settings.style_layers]
_GROWING = [_LAYERS[:number] for number in range(1, len(_LAYERS) + 1)]
SWEEPS: dict[str, dict[str, Any]] = {"sweep": {}, "textures": {"recipe": [TEXTURE], "style_layers": _GROWING}}


def _parser() -> argparse.ArgumentParser:
    """A parser with one below it for each figure, which has the options of that figure alone."""
    parser = common.Parser(prog=places.program("figures"), description="Paint the paper's figures, and others.")
    below = parser.add_subparsers(dest="figure", metavar="FIGURE", required=True, help="FIGURE --help has options")
    for name, about in ABOUT.items():
        one = below.add_parser(name, help=about, description=about)
        if name in SWEEPS:
            options.add_settings(one, OPTIONS, several=True)
        else:
            _add_pictures(one, name)
            for option in ("size", "convolutions") if name == "trace" else SHARED:
                kind = common.whole_number if OPTIONS[option].kind.startswith("int") else str
                about = f"as in {places.program('paint')} (default: the recipe's, {OPTIONS[option].default})"
                one.add_argument(flag(option), type=kind, help=about)
            if name == "trace":
                _add_notebook(one)
            else:
                options.add(one, "fast", about="coarse to fine, in fewer iterations")
            options.add(one, "winograd")
            options.add(one, "weights", about="default: VGG-19, else VGG-16")
            options.add(one, "read_limit")
        if name != "trace":
            about = "default: in output/, named after the figure, its size and iterations"
            options.add(one, "output", about=about, metavar="DIR")
            about = "paint these alone, such as B or beta-1000"
            one.add_argument("--panels", metavar="NAME", nargs="+", default=[], help=about)
            options.add(one, "workers", "scheduler")
        one.set_defaults(read_limit=files.READ_LIMIT)
    return parser


def _add_notebook(parser: argparse.ArgumentParser) -> None:
    """Add the options of the trace of a notebook."""
    about = "whose trace: that of their PyTorch notebook, or of their Torch one of 2017, layer by layer"
    parser.add_argument("--notebook", choices=NOTEBOOKS, default=next(iter(NOTEBOOKS)), help=about)
    about = "pictures that the notebook shows after each stage, with axes, to compare ours with"
    parser.add_argument("--theirs", metavar="FILE", nargs="+", type=common.file_path, default=[], help=about)
    options.add(parser, "output", about="directory of what is painted (default: it is not kept)", metavar="DIR")


def _add_pictures(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the options of a figure's pictures."""
    add = parser.add_argument
    if name == "matrix":
        add("--contents", metavar="DIR", type=common.directory_path, required=True, help="the photographs")
        add("--styles", metavar="DIR", type=common.directory_path, required=True, help="the styles")
        add("--recipe", choices=RECIPES, metavar="NAME", help=f"default: {DEFAULT}")
        return
    about = f"pictures by these names: {', '.join(source.file for source in SOURCES.values())}"
    add("--images", metavar="DIR", type=common.directory_path, required=name in ("fig2", "trace"), help=about)
    if name in FIGURES:
        add("--photograph", metavar="FILE", type=common.file_path, help="in the place of the figure's photograph")
    if name in ("fig1", "fig3"):
        add("--painting", metavar="FILE", type=common.file_path, help="in the place of the figure's only painting")


@common.command("figures")
def main(words: list[str]) -> list[str]:
    if {*words[:1]} & {*SWEEPS} and not {"-h", "--help"} & {*words} and "".join(words[1:2])[:1] in ("", "-"):
        raise InputError(f"CONTENT is missing: name CONTENT and STYLE right after {words[0]}, before the options")
    args = vars(_parser().parse_args(words))
    kind, limit = args["figure"], args["read_limit"]
    if kind == "trace":
        common.load_tensorflow(args)
        from nst_graph.figures import notebook  # imports TensorFlow

        where = args["images"], args.get("weights"), options.settings(args), limit
        notebook.run(args["notebook"], *where, args["theirs"], args.get("output"))
        return []
    common.check_workers(args)
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError("figures need matplotlib; pip install 'nst_graph[figures]'")
    figure, name = _sweep(SWEEPS[kind] | args) if kind in SWEEPS else _figure(args)
    directory = args.get("output") or sheets.free(places.OUTPUT / name, figure)
    if "output" not in args and directory.name != name:
        tell(f"{short_path(places.OUTPUT / name)} holds other panels; these go into {short_path(directory)}")
    return sheets.paint(figure, directory / kind, args["panels"], limit, partial(common.perform, args=args))


def _name(figure: Figure, *parts: str) -> str:
    """The name of a figure's directory, of these parts, and of the first painting's size and iterations."""
    settings = next(iter(figure.jobs.values())).settings
    return "-".join(map(str, (*parts, settings.size or "whole", settings.iterations)))


def _figure(args: dict[str, Any]) -> tuple[Figure, str]:
    """A figure of the paper's, or a matrix, and the name of its directory."""

    def job(content: Path | None, style: Path | None, changes: dict[str, Any]) -> Job:
        # Of the style alone, the size is that of its picture.
        pictures = {"content": content or style, "styles": [style] if style else []}
        return paint.job_of(args | pictures | {"output": None} | changes)

    own = [args.get(name) for name in ("photograph", "painting")]
    if args["figure"] == "matrix":
        figure = matrix(files.pictures(args["contents"]), files.pictures(args["styles"]), job)
    else:
        figure = FIGURES[args["figure"]](_sources(args["figure"], args.get("images"), *own), job)
    parts = [args["figure"], *(path.stem for path in own if path), args.get("recipe"), "fast" in args and "fast"]
    return figure, _name(figure, *filter(None, parts))


def _sources(name: str, images: Path | None, photograph: Path | None, painting: Path | None) -> dict[str, Path]:
    """The files of a figure's pictures by their names, where there are others in their places."""
    if images is None and (photograph is None or painting is None):
        raise InputError(
            f"--images DIR is missing: name the directory of {name}'s pictures, or --photograph and --painting"
        )
    for option, path in (("photograph", photograph), ("painting", painting)):
        if path is not None and not path.exists():
            raise InputError(f"--{option} {path}: no such file; name a picture file")
    others = {name: photograph if name == PHOTOGRAPH else painting for name in SOURCES}
    return {name: others[name] or (images or Path()) / source.file for name, source in SOURCES.items()}


def _sweep(args: dict[str, Any]) -> tuple[Figure, str]:
    """The user's pictures by options with several values, which are in the order in which they were given."""
    values = {name: value for name, value in args.items() if name in SWEPT and isinstance(value, list)}
    lists = {name: value for name, value in values.items() if len(value) > 1}
    if len(lists) not in (1, 2):
        kind, several = args["figure"], f"{len(lists)} options have several values"
        raise InputError(f"{kind}: {several}; let one or two, such as --beta 1e3 1e4")
    styles = [path for style in args["styles"] for path in files.pictures(style)]
    shared = args | {name: value[0] for name, value in values.items()} | {"output": None, "styles": styles}
    constant = {name: value for name, value in shared.items() if name in {*SWEPT, "fast", "winograd"} - {*lists}}
    figure = sweep([args["content"], *styles], lists, constant, lambda changes: paint.job_of(shared | changes))
    for job in figure.jobs.values():
        prepare(job, lambda line: None)
    return figure, _name(figure, args["figure"], job.output.name, *lists)
