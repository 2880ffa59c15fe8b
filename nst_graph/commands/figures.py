"""The command scripts/figures.py: the paper's figures, painted panel by panel and arranged."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nst_graph import files, places
from nst_graph.batch.jobs import Job
from nst_graph.commands import common, sheets
from nst_graph.commands.panels import FIGURES, SOURCES, Figure
from nst_graph.errors import InputError
from nst_graph.news import tell
from nst_graph.recipes import Settings
from nst_graph.runs import page


def main(arguments: Sequence[str] | None = None) -> int:
    """Run scripts/figures.py; returns its exit status."""
    return common.run(places.program("figures"), lambda: _main(arguments))


def _parser() -> argparse.ArgumentParser:
    defaults = Settings()
    parser = common.Parser(prog=places.program("figures"), description="Paint the paper's figures.", allow_abbrev=False)
    add = parser.add_argument
    about = "trace: losses of the authors' notebook beside ours; takes --size, the shorter side, and --convolutions"
    add("figure", choices=[*FIGURES, "trace"], help=about)
    add("--images", metavar="DIR", type=Path, required=True, help="pictures, named as docs/figures.md says")
    add("--output", metavar="DIR", type=Path, help="default: output/FIGURE-SIZE-ITERATIONS")
    add("--size", metavar="PIXELS", type=int, default=defaults.size, help="longer side (default: %(default)s)")
    add("--iterations", metavar="N", type=int, default=defaults.iterations, help="default: %(default)s")
    add("--save-every", metavar="N", type=int, default=defaults.save_every, help="default: %(default)s")
    add("--precision", default=defaults.precision, help="as in paint.py (default: %(default)s)")
    add("--convolutions", default=defaults.convolutions, help="as in paint.py (default: %(default)s)")
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
    if not given.images.is_dir():
        raise InputError(f"--images {given.images}: no such directory; docs/figures.md says what to put there")
    if given.figure == "trace":
        from nst_graph.commands import trace  # imports TensorFlow

        return trace.run(given.images, given.weights, given.size, given.convolutions, given.read_limit)
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError("figures need matplotlib; pip install 'nst_graph[figures]'")
    figure, sources = _figure(given)
    painting = f"-{given.painting.stem}" if given.painting is not None else ""
    directory = given.output or places.OUTPUT / f"{given.figure}{painting}-{given.size}-{given.iterations}"
    jobs = _jobs(figure, sources, directory, given)
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


def _figure(given: argparse.Namespace) -> tuple[Figure, dict[str, Path]]:
    """The requested figure, and the files of its pictures by name."""
    figure = FIGURES[given.figure]()
    sources = {name: given.images / source.file for name, source in SOURCES.items()}
    names = [panel.name for panel in figure.panels if panel.settings is not None]
    for name in given.panels or []:
        if name not in names:
            raise InputError(f"--panels {name}: not in {given.figure}; it has {', '.join(names)}")
    if given.painting is not None:
        styles = {panel.style for panel in figure.panels if panel.style}
        if len(styles) > 1:
            raise InputError("--painting: this figure has several; put them into --images")
        if not given.painting.exists():
            raise InputError(f"--painting {given.painting}: no such file; name a picture file")
        sources |= dict.fromkeys(styles, given.painting)
    return figure, sources


def _jobs(figure: Figure, sources: dict[str, Path], directory: Path, given: argparse.Namespace) -> list[Job]:
    """A job for each requested panel whose pictures exist."""
    names = ("size", "iterations", "save_every", "precision", "convolutions")
    common_settings = Settings(**{name: getattr(given, name) for name in names})
    jobs = []
    for panel in figure.panels:
        paths = [sources[name] for name in (panel.content, panel.style) if name]
        if panel.settings is None or (given.panels and panel.name not in given.panels):
            continue
        if all(path.exists() for path in paths):
            settings = replace(common_settings, **panel.settings)
            # A panel of the style alone takes its size from the style picture.
            styles = tuple(paths[-1:]) if panel.style else ()
            output = directory / panel.name
            jobs.append(Job(paths[0], styles, settings, output, weights=given.weights, read_limit=given.read_limit))
    return jobs
