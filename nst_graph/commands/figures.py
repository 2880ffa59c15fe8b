"""The command scripts/figures.py: the paper's figures, and others, painted panel by panel and arranged."""

import argparse
import importlib.util
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

from nst_graph import files, places, weights
from nst_graph.batch.jobs import Job
from nst_graph.commands import common, options, paint, sheets
from nst_graph.commands.panels import FIGURES, PHOTOGRAPH, SOURCES, Figure, Panel, label, matrix, sweep
from nst_graph.errors import InputError
from nst_graph.news import count, tell
from nst_graph.recipes import DEFAULT, RECIPES, fast
from nst_graph.runs import page
from nst_graph.runs.directory import numbered
from nst_graph.settings import Settings

#: The figures, and what is said of them.
ABOUT = {
    "fig1": "the paper's Figure 1: style and content from single layers and more",
    "fig2": "the paper's Figure 2: one photograph in five styles",
    "fig3": "the paper's Figure 3: one painting by style layers and ratios",
    "matrix": "every photograph of one directory in every style of another",
    "sweep": "your pictures by one or two options of several values, in columns and rows; commas within a list",
    "trace": "losses of the authors' notebook beside ours; --size is the shorter side at first",
}
#: The options that say how all panels are painted, but in a sweep, and the types of their values.
SHARED: dict[str, Callable[[str], int | str]] = {
    **dict.fromkeys(("size", "iterations", "save_every"), common.whole),
    **dict.fromkeys(("precision", "convolutions"), str),
}
#: The options that may have several values in a sweep.
SWEPT = {"recipe", *(field.name for field in fields(Settings))}
#: A figure, the files of its pictures by name, a job for each panel to be painted, and a name for its directory.
Laid = tuple[Figure, dict[str, Path], dict[str, Job], str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run scripts/figures.py; returns its exit status."""
    return common.run(places.program("figures"), lambda: _main(arguments))


def _parser() -> argparse.ArgumentParser:
    """A parser with one below it for each figure, which has the options of that figure alone."""
    parser = common.Parser(prog=places.program("figures"), description="Paint the paper's figures, and others.")
    below = parser.add_subparsers(dest="figure", metavar="FIGURE", required=True, help="FIGURE --help has options")
    for name, about in ABOUT.items():
        default = argparse.SUPPRESS if name == "sweep" else None
        one = below.add_parser(name, help=about, description=about, argument_default=default, allow_abbrev=False)
        add = one.add_argument
        if name == "sweep":
            options.add_options(one, several=True)
        elif name == "matrix":
            add("--contents", metavar="DIR", type=_directory, required=True, help="the photographs")
            add("--styles", metavar="DIR", type=_directory, required=True, help="the styles")
            add("--recipe", choices=RECIPES, metavar="NAME", help=f"default: {DEFAULT}")
        else:
            about = f"pictures by these names: {', '.join(source.file for source in SOURCES.values())}"
            add("--images", metavar="DIR", type=_directory, required=name in ("fig2", "trace"), help=about)
        if name in FIGURES:
            add(
                "--photograph",
                metavar="FILE",
                type=common.named,
                help="in the place of the figure's photograph",
            )
        if name in ("fig1", "fig3"):
            add(
                "--painting",
                metavar="FILE",
                type=common.named,
                help="in the place of the figure's only painting",
            )
        if name != "sweep":
            for option in ("size", "convolutions") if name == "trace" else SHARED:
                about = f"as in {places.program('paint')} (default: the recipe's, {getattr(Settings, option)})"
                add(f"--{option.replace('_', '-')}", type=SHARED[option], help=about)
            if name != "trace":
                add("--fast", action="store_true", help="coarse to fine, in fewer iterations")
            common.add_winograd(one)
            add("--weights", metavar="FILE", type=common.named, help="default: VGG-19, else VGG-16")
            common.add_read_limit(one)
        if name != "trace":
            about = "default: in output/, named after the figure, its size and iterations"
            add("--output", metavar="DIR", type=common.named, default=None, help=about)
            add("--panels", metavar="NAME", nargs="+", default=[], help="paint these alone, such as B or beta-1000")
            common.add_workers(one)
        one.set_defaults(read_limit=files.READ_LIMIT)
    return parser


def _directory(text: str) -> Path:
    """Parse a directory for argparse."""
    path = common.named(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{path}: no such directory; name one with pictures")
    return path


def _main(arguments: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["sweep"] and not {"-h", "--help"} & {*words} and "".join(words[1:2])[:1] in ("", "-"):
        raise InputError("CONTENT is missing: name CONTENT and STYLE right after sweep, before the options")
    parser = _parser()
    args = parser.parse_args(words)
    if args.figure == "trace":
        common.announce_loading()
        from nst_graph.commands import trace  # imports TensorFlow

        size = next(iter(trace.PUBLISHED)) if args.size is None else args.size
        convolutions = args.convolutions or Settings.convolutions
        return trace.run(args.images, args.weights, size, convolutions, args.read_limit)
    common.check_workers(args.workers)
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError("figures need matplotlib; pip install 'nst_graph[figures]'")
    figure, sources, jobs, name = _sweep(args) if args.figure == "sweep" else _figure(args)
    for panel in args.panels:
        if panel not in jobs:
            raise InputError(f"--panels {panel}: not in {args.figure}; it has {', '.join(jobs)}")
    directory = args.output or _free(places.OUTPUT / name, jobs)
    jobs_to_paint = [
        replace(job, output=directory / panel)
        for panel, job in jobs.items()
        if panel in (args.panels or jobs) and all(path.exists() for path in (job.content, *job.styles))
    ]
    for job in jobs_to_paint:
        job.finished()  # raises before anything is painted
    layouts = [directory / f"{args.figure}.{suffix}" for suffix in ("png", "pdf")]
    for path in layouts:
        sheets.check(path)
    tell(f"{directory}: {count(len(jobs_to_paint), 'painting')}")

    directory.mkdir(parents=True, exist_ok=True)
    page.write_gallery(directory)  # which is kept up while they are painted

    common.announce_loading()
    from nst_graph.batch import workers  # imports TensorFlow

    failures = workers.perform(jobs_to_paint, tell, args.scheduler, args.workers)
    for path in layouts:
        sheets.compose(figure, sources, directory, path, args.read_limit)
        tell(f"laid out {path}")
    page.write_gallery(directory)
    return common.report(parser.prog, failures)


def _free(path: Path, jobs: Mapping[str, Job]) -> Path:
    """The first of PATH, PATH-2, ... that holds no other panels, with a message unless it is PATH."""
    for place in numbered(path):
        with suppress(InputError):
            for panel, job in jobs.items():
                replace(job, output=place / panel).finished()
            break
    if place != path:
        tell(f"{paint.near(path)} holds other panels; these go into {paint.near(place)}")
    return place


def _pictures(directory: Path) -> list[Path]:
    """The picture files in a directory. Raises InputError if there is none, or two have one name."""
    paths = files.pictures(directory)
    for path in paths:
        if sum(other.stem == path.stem for other in paths) > 1:
            raise InputError(f"{path}: another picture there is called {path.stem} too; rename one")
    return paths


def _unlike(figure: Figure) -> list[Panel]:
    """The panels to be painted. Raises InputError if two of them have one name."""
    panels = [panel for panel in figure.panels if panel.settings is not None]
    for name, times in Counter(panel.name for panel in panels).items():
        if times > 1:
            raise InputError(f"two panels would be called {name}; rename a picture, or give a value once")
    return panels


def _paper(
    name: str, images: Path | None, photograph: Path | None, painting: Path | None
) -> tuple[Figure, dict[str, Path]]:
    """A figure of the paper's, and its pictures' files by their names, where there are others in their places."""
    figure = FIGURES[name]()
    if images is None and (photograph is None or painting is None):
        raise InputError(
            f"--images DIR is missing: name the directory of {name}'s pictures, or --photograph and --painting"
        )
    sources = {source: (images or Path()) / file.file for source, file in SOURCES.items()}
    for option, path in (("photograph", photograph), ("painting", painting)):
        if path is None:
            continue
        if not path.exists():
            raise InputError(f"--{option} {path}: no such file; name a picture file")
        sources |= {PHOTOGRAPH: path} if path is photograph else {one.style: path for one in figure.panels if one.style}
    return figure, sources


def _figure(args: argparse.Namespace) -> Laid:
    """A figure of the paper's, or a matrix."""
    own, recipe = [getattr(args, name, None) for name in ("photograph", "painting")], getattr(args, "recipe", None)
    if args.figure == "matrix":
        photographs, paintings = _pictures(args.contents), _pictures(args.styles)
        figure, sources = matrix(photographs, paintings), {str(path): path for path in photographs + paintings}
    else:
        figure, sources = _paper(args.figure, args.images, *own)
    values = {name: getattr(args, name) for name in SHARED if getattr(args, name) is not None}
    whole = RECIPES[recipe or DEFAULT].settings
    shared = fast(whole, **values) if args.fast else replace(whole, **values)
    jobs = {}
    for panel in _unlike(figure):
        paths = [sources[name] for name in (panel.content, panel.style) if name]
        settings = replace(shared, **panel.settings or {})
        # A panel of the style alone takes its size from the style picture.
        styles = tuple(paths[-1:]) if panel.style else ()
        jobs[panel.name] = Job(paths[0], styles, settings, Path(), weights=args.weights, read_limit=args.read_limit)
    parts = [args.figure, *(path and path.stem for path in own), recipe, args.fast and "fast"]
    parts += [shared.size or "whole", shared.iterations]
    return figure, sources, jobs, "-".join(str(part) for part in parts if part)


def _sweep(args: argparse.Namespace) -> Laid:
    """The user's pictures by options with several values, which are in the order in which they were given."""
    values = {name: value for name, value in vars(args).items() if name in SWEPT and isinstance(value, list)}
    lists = {name: value for name, value in values.items() if len(value) > 1}
    if len(lists) not in (1, 2):
        raise InputError(f"sweep: {len(lists)} options have several values; let one or two, such as --beta 1e3 1e4")
    shared = vars(args) | {name: value[0] for name, value in values.items()} | {"output": None}
    styles = [path for style in args.styles for path in files.pictures(style)]
    paths, shared = [args.content, *styles], shared | {"styles": styles}
    figure = sweep(paths, lists)
    jobs = {panel.name: paint.job_of(shared | (panel.settings or {})) for panel in _unlike(figure)}
    _check(jobs.values())
    values_of = {name: {getattr(job.settings, name) for job in jobs.values()} for name in ("size", "iterations")}
    told = {name: value for name, (value, *others) in values_of.items() if value and not others}
    told |= {name: shared[name] for name in shared if name in {*SWEPT, "fast"} - {*lists}}
    caption = f"{', '.join(path.stem for path in paths)}: {' '.join(label(*option) for option in told.items())}"
    first = next(iter(jobs.values()))
    parts = ["sweep", first.output.name, *lists, first.settings.size or "whole", first.settings.iterations]
    return replace(figure, caption=caption), {str(path): path for path in paths}, jobs, "-".join(map(str, parts))


def _check(jobs: Collection[Job]) -> None:
    """Raise InputError where a file that a job names is missing, or its network lacks one of the layers."""
    common.announce_loading()
    from nst_graph.scenes import Sources  # imports TensorFlow

    read = cache(weights.read)
    for job in jobs:
        sources = Sources.named(job.content, job.styles, job.masks, job.settings, job.weights, job.read_limit)
        for path in sources.by_role().values():
            if not path.exists():
                raise InputError(f"{path}: no such file; name CONTENT and STYLE before the options")
        read(sources.weights, job.read_limit).upto(job.settings.layers)
