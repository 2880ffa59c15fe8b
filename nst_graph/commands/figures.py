"""The command scripts/figures.py: the paper's figures, and others, painted panel by panel and arranged."""

import argparse
import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nst_graph import files, pictures, places
from nst_graph.batch.jobs import Job
from nst_graph.commands import common, sheets
from nst_graph.commands.panels import FIGURES, SOURCES, Figure, matrix
from nst_graph.errors import InputError
from nst_graph.news import tell
from nst_graph.recipes import DEFAULT, RECIPES, Settings
from nst_graph.runs import page


def main(arguments: Sequence[str] | None = None) -> int:
    """Run scripts/figures.py; returns its exit status."""
    return common.run(places.program("figures"), lambda: _main(arguments))


def _parser() -> argparse.ArgumentParser:
    defaults = Settings()
    parser = common.Parser(prog=places.program("figures"), description="Paint the paper's figures.", allow_abbrev=False)
    add = parser.add_argument
    about = (
        "matrix: every photograph in every style; trace: losses of the authors' notebook beside ours, "
        "which takes --size, the shorter side, and --convolutions"
    )
    add("figure", choices=[*FIGURES, "matrix", "trace"], help=about)
    add("--images", metavar="DIR", type=Path, help="pictures, named as docs/figures.md says; not for matrix")
    add("--contents", metavar="DIR", type=Path, help="the photographs of matrix")
    add("--styles", metavar="DIR", type=Path, help="the styles of matrix")
    add("--recipe", choices=RECIPES, metavar="NAME", help=f"for matrix (default: {DEFAULT})")
    add("--output", metavar="DIR", type=Path, help="default: output/FIGURE-SIZE-ITERATIONS")
    add("--size", metavar="PIXELS", type=int, help=f"longer side (default: the recipe's, {defaults.size})")
    add("--iterations", metavar="N", type=int, help=f"default: the recipe's, {defaults.iterations}")
    add("--save-every", metavar="N", type=int, help=f"default: the recipe's, {defaults.save_every}")
    add("--precision", help=f"as in paint.py (default: {defaults.precision})")
    add("--convolutions", help=f"as in paint.py (default: {defaults.convolutions})")
    common.add_winograd(parser)
    add("--panels", metavar="NAME", nargs="+", help="paint these alone, such as B or conv3_1-0.001")
    add("--painting", metavar="FILE", type=Path, help="another painting in the place of the figure's only one")
    add("--weights", metavar="FILE", type=Path, help="default: VGG-19, else VGG-16, in model/")
    common.add_read_limit(parser)
    parser.set_defaults(read_limit=files.READ_LIMIT)
    common.add_workers(parser)
    return parser


def _main(arguments: Sequence[str] | None) -> int:
    parser = _parser()
    given = parser.parse_args(arguments)
    common.check_workers(given)
    _check_directories(given)
    settings = _settings(given)
    if given.figure == "trace":
        from nst_graph.commands import trace  # imports TensorFlow

        assert settings.size is not None  # the default recipe has one
        return trace.run(given.images, given.weights, settings.size, settings.convolutions, given.read_limit)
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError("figures need matplotlib; pip install 'nst_graph[figures]'")
    figure, sources = _figure(given)
    painting = f"-{given.painting.stem}" if given.painting is not None else ""
    recipe = f"-{given.recipe}" if given.recipe else ""
    name = f"{given.figure}{painting}{recipe}-{settings.size or 'whole'}-{settings.iterations}"
    directory = given.output or places.OUTPUT / name
    jobs = _jobs(figure, sources, directory, settings, given)
    layouts = [directory / f"{given.figure}.{suffix}" for suffix in ("png", "pdf")]
    for path in layouts:
        sheets.check(path)

    from nst_graph.batch import workers  # imports TensorFlow

    failures = workers.perform(jobs, tell, given.scheduler, given.workers)
    directory.mkdir(parents=True, exist_ok=True)
    for path in layouts:
        sheets.compose(figure, sources, directory, path, given.read_limit)
        tell(f"laid out {path}")
    page.write_gallery(directory)
    return common.report(parser.prog, failures)


def _check_directories(given: argparse.Namespace) -> None:
    """Raise InputError unless the directories that a figure takes are given, and no others."""
    wanted = ("contents", "styles") if given.figure == "matrix" else ("images",)
    for name in ("images", "contents", "styles"):
        path = getattr(given, name)
        if (path is None) is (name in wanted):
            remedy = f"name {' and '.join(f'--{one} DIR' for one in wanted)}"
            raise InputError(f"--{name}: {'wanted by' if path is None else 'not for'} {given.figure}; {remedy}")
        if path is not None and not path.is_dir():
            raise InputError(f"--{name} {path}: no such directory; docs/figures.md says what to put there")
    if given.recipe and given.figure != "matrix":
        raise InputError(f"--recipe {given.recipe}: for matrix alone; the paper's figures are {DEFAULT}'s")


def _settings(given: argparse.Namespace) -> Settings:
    """The settings of every panel but for its own: the recipe's, and what is given. Raises InputError."""
    names = ("size", "iterations", "save_every", "precision", "convolutions")
    values = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    return replace(RECIPES[given.recipe or DEFAULT].settings, **values)


def _pictures(directory: Path) -> list[Path]:
    """The picture files in a directory. Raises InputError if there is none, or two have one name."""
    found = sorted(path for path in directory.iterdir() if path.suffix.lower() in pictures.SUFFIXES)
    if not found:
        raise InputError(f"{directory}: holds no picture; put some there")
    for path in found:
        if sum(other.stem == path.stem for other in found) > 1:
            raise InputError(f"{path}: another picture there is called {path.stem} too; rename one")
    return found


def _figure(given: argparse.Namespace) -> tuple[Figure, dict[str, Path]]:
    """The requested figure, and the files of its pictures by name."""
    if given.figure == "matrix":
        photographs, paintings = _pictures(given.contents), _pictures(given.styles)
        figure, sources = matrix(photographs, paintings), {str(path): path for path in photographs + paintings}
    else:
        figure = FIGURES[given.figure]()
        sources = {name: given.images / source.file for name, source in SOURCES.items()}
    names = [panel.name for panel in figure.panels if panel.settings is not None]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"--contents, --styles: two panels would be called {name}; rename a picture")
    for name in given.panels or []:
        if name not in names:
            raise InputError(f"--panels {name}: not in {given.figure}; it has {', '.join(names)}")
    if given.painting is not None:
        styles = {panel.style for panel in figure.panels if panel.style}
        if len(styles) > 1 or given.figure == "matrix":
            raise InputError(f"--painting: {given.figure} has several; put them into its directory")
        if not given.painting.exists():
            raise InputError(f"--painting {given.painting}: no such file; name a picture file")
        sources |= dict.fromkeys(styles, given.painting)
    return figure, sources


def _jobs(
    figure: Figure, sources: dict[str, Path], directory: Path, shared: Settings, given: argparse.Namespace
) -> list[Job]:
    """A job for each requested panel whose pictures exist."""
    jobs = []
    for panel in figure.panels:
        paths = [sources[name] for name in (panel.content, panel.style) if name]
        if panel.settings is None or (given.panels and panel.name not in given.panels):
            continue
        if all(path.exists() for path in paths):
            settings = replace(shared, **panel.settings)
            # A panel of the style alone takes its size from the style picture.
            styles = tuple(paths[-1:]) if panel.style else ()
            output = directory / panel.name
            jobs.append(Job(paths[0], styles, settings, output, weights=given.weights, read_limit=given.read_limit))
    return jobs
