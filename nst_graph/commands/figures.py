"""The paper's figures: what their panels show, and how they are laid out; scripts/figures.py."""

from __future__ import annotations

import argparse
import importlib.util
import io
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nst_graph import files, pictures
from nst_graph.batch.jobs import Job
from nst_graph.commands import paint as cli
from nst_graph.commands.paint_many import add_workers, check_workers, perform
from nst_graph.errors import InputError
from nst_graph.news import tell
from nst_graph.recipes import STYLE_LAYERS, Settings, equal
from nst_graph.runs import page, records


@dataclass(frozen=True)
class Source:
    """A picture the paper shows, and the name its file is looked for under."""

    file: str
    title: str
    maker: str
    year: str


PHOTOGRAPH = "photograph"
SOURCES = {
    PHOTOGRAPH: Source("Tuebingen_Neckarfront.jpg", "Neckarfront in Tübingen", "Andreas Praefcke, photograph", ""),
    "turner": Source("shipwreck.jpg", "The Shipwreck of the Minotaur", "J.M.W. Turner", "about 1810"),
    "vangogh": Source("vangogh_starry_night.jpg", "The Starry Night", "Vincent van Gogh", "1889"),
    "munch": Source("the_scream.jpg", "The Scream", "Edvard Munch", "1893"),
    "picasso": Source("femme_nue_assise.jpg", "Femme nue assise", "Pablo Picasso", "1910"),
    "kandinsky": Source("composition_vii.jpg", "Composition VII", "Wassily Kandinsky", "1913"),
}
#: Style layers of Figures 1 and 3: the first, the first two, ... all five.
SETS = [STYLE_LAYERS[: count + 1] for count in range(len(STYLE_LAYERS))]


@dataclass(frozen=True)
class Panel:
    """A place in a figure: a picture as it is, or a painting by `settings` where there are some.

    `style` may be None, for a reconstruction of the content; so may `content`, for one of the style.
    """

    name: str
    title: str
    row: int
    column: int
    content: str | None
    style: str | None = None
    settings: dict[str, Any] | None = None


@dataclass(frozen=True)
class Figure:
    """Panels in rows and columns; `inset` shows each painting's style in its corner."""

    caption: str
    panels: list[Panel]
    inset: bool = False
    rows: list[str] = field(default_factory=list)


def _figure1() -> Figure:
    panels = [Panel("painting", "painting", 0, 0, None, "vangogh"), Panel("photograph", "photograph", 1, 0, PHOTOGRAPH)]
    for column, (letter, layers) in enumerate(zip("abcde", SETS, strict=True), 1):
        title = f"{letter}: " + (layers[0] if len(layers) == 1 else f"{layers[0]} to {layers[-1]}")
        style = {"alpha": 0.0, "style_layers": equal(layers)}
        panels.append(Panel(f"style-{letter}", title, 0, column, None, "vangogh", style))
        content = {"beta": 0.0, "content_layers": {layers[-1]: 1.0}}
        panels.append(Panel(f"content-{letter}", f"{letter}: {layers[-1]}", 1, column, PHOTOGRAPH, None, content))
    return Figure("Figure 1: style reconstructions (top) and content reconstructions (bottom)", panels)


def _figure2() -> Figure:
    panels = [Panel("A", "A", 0, 0, PHOTOGRAPH)]
    styles = (
        ("B", "turner", 1e-3),
        ("C", "vangogh", 1e-3),
        ("D", "munch", 1e-3),
        ("E", "picasso", 1e-4),
        ("F", "kandinsky", 1e-4),
    )
    for index, (letter, style, ratio) in enumerate(styles, 1):
        panels.append(Panel(letter, letter, index // 2, index % 2, PHOTOGRAPH, style, {"beta": 1 / ratio}))
    return Figure("Figure 2: one photograph in five styles", panels, inset=True)


def _figure3() -> Figure:
    panels = []
    for row, layers in enumerate(SETS):
        for column, ratio in enumerate((1e-5, 1e-4, 1e-3, 1e-2)):
            settings = {"beta": 1 / ratio, "style_layers": equal(layers)}
            title = f"alpha/beta = {ratio:g}" if row == 0 else ""
            name = f"{layers[-1]}-{ratio:g}"
            panels.append(Panel(name, title, row, column, PHOTOGRAPH, "kandinsky", settings))
    caption = "Figure 3: more style layers from top to bottom, more content from left to right"
    return Figure(caption, panels, rows=[layers[-1] for layers in SETS])


#: What a sheet says of its origin, where the file type has it: only such files are written over.
ORIGIN = "nst_graph's figures.py"
FIGURES = {"fig1": _figure1, "fig2": _figure2, "fig3": _figure3}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run scripts/figures.py; returns its exit status."""
    return cli.guard("figures.py", lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    defaults = Settings()
    parser = cli.Parser(prog="figures.py", description="Paint the paper's figures.", allow_abbrev=False)
    parser.add_argument(
        "figure",
        choices=[*FIGURES, "trace"],
        help="trace: losses of the authors' notebook beside ours; takes --size, the shorter side, and --winograd",
    )
    parser.add_argument(
        "--images", metavar="DIR", type=Path, required=True, help="pictures, named as docs/figures.md says"
    )
    parser.add_argument("--output", metavar="DIR", type=Path, help="default: output/FIGURE-SIZE-ITERATIONS")
    parser.add_argument(
        "--size", metavar="PIXELS", type=int, default=defaults.size, help="longer side (default: %(default)s)"
    )
    parser.add_argument("--iterations", metavar="N", type=int, default=defaults.iterations, help="default: %(default)s")
    parser.add_argument("--save-every", metavar="N", type=int, default=defaults.save_every, help="default: %(default)s")
    parser.add_argument("--precision", default=defaults.precision, help="as in paint.py (default: %(default)s)")
    parser.add_argument("--winograd", action="store_true", help="as in paint.py")
    parser.add_argument("--panels", metavar="NAME", nargs="+", help="paint these alone, such as B or conv3_1-0.001")
    parser.add_argument(
        "--painting", metavar="FILE", type=Path, help="another painting in the place of the figure's only one"
    )
    parser.add_argument("--weights", metavar="FILE", type=Path, help="default: VGG-19, else VGG-16, in model/")
    cli.add_read_limit(parser)
    parser.set_defaults(read_limit=files.READ_LIMIT)
    add_workers(parser)
    given = parser.parse_args(arguments)
    check_workers(given)
    if not given.images.is_dir():
        raise InputError(f"--images {given.images}: no such directory; docs/figures.md says what to put there")
    if given.figure == "trace":
        from nst_graph.commands import trace

        return trace.run(given.images, given.weights, given.size, given.winograd, given.read_limit)
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError("figures need matplotlib; pip install 'nst_graph[figures]'")
    figure = FIGURES[given.figure]()
    name = given.figure
    if given.painting is not None:
        figure = _with_painting(figure)
        name += f"-{given.painting.stem}"
        if not given.painting.exists():
            raise InputError(f"--painting {given.painting}: no such file; name a picture file")
    directory = given.output or records.OUTPUT / f"{name}-{given.size}-{given.iterations}"
    names = [panel.name for panel in figure.panels if panel.settings is not None]
    for name in given.panels or []:
        if name not in names:
            raise InputError(f"--panels {name}: not in {given.figure}; it has {', '.join(names)}")
    common = Settings(
        size=given.size,
        iterations=given.iterations,
        save_every=given.save_every,
        precision=given.precision,
        winograd=given.winograd,
    )
    wanted = []
    for panel in figure.panels:
        paths = [_path(key, given) for key in (panel.content, panel.style) if key]
        chosen = panel.settings is not None and (not given.panels or panel.name in given.panels)
        if chosen and all(path.exists() for path in paths):
            settings = replace(common, **(panel.settings or {}))
            # A style alone is the content too: its texture is painted at its own size.
            styles = tuple(paths[-1:]) if panel.style else ()
            wanted.append(
                Job(
                    paths[0],
                    styles,
                    settings,
                    directory / panel.name,
                    weights=given.weights,
                    read_limit=given.read_limit,
                )
            )
    sheets = [directory / f"{given.figure}.{suffix}" for suffix in ("png", "pdf")]
    for sheet in sheets:
        if os.path.lexists(sheet) and not _is_sheet(sheet):
            raise InputError(f"{sheet}: is not this program's; move it away, or name another --output")
    status = perform(wanted, "figures.py", given)
    directory.mkdir(parents=True, exist_ok=True)
    for sheet in sheets:
        compose(figure, directory, given, sheet)
        tell(f"laid out {sheet}")
    page.write_gallery(directory)
    return status


def _is_sheet(path: Path) -> bool:
    with suppress(OSError):
        return path.is_file() and not path.is_symlink() and ORIGIN.encode() in path.read_bytes()
    return False


def _path(key: str, given: argparse.Namespace) -> Path:
    if key == "painting":
        painting: Path = given.painting
        return painting
    images: Path = given.images
    return images / SOURCES[key].file


def _with_painting(figure: Figure) -> Figure:
    styles = {panel.style for panel in figure.panels if panel.style}
    if len(styles) > 1:
        raise InputError("--painting: this figure has several; put them into --images")
    return replace(
        figure, panels=[replace(panel, style="painting" if panel.style else None) for panel in figure.panels]
    )


def compose(figure: Figure, directory: Path, given: argparse.Namespace, path: Path) -> None:
    """Lay out what is painted in a directory; a panel that is not, or lacks a picture, is a labelled gap.

    The type is that of the file's suffix. Raises OSError as open and write do.
    """
    from matplotlib.figure import Figure as Sheet

    rows, columns = (1 + max(getattr(panel, side) for panel in figure.panels) for side in ("row", "column"))
    sheet = Sheet(figsize=(2.6 * columns + 0.3, 2.1 * rows + 0.5), layout="constrained")
    axes = sheet.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.set_frame_on(False)
    for row, label in enumerate(figure.rows):
        axes[row, 0].set_ylabel(label)
    for panel in figure.panels:
        axis = axes[panel.row, panel.column]
        axis.set_title(panel.title, fontsize=9)
        paths = {key: _path(key, given) for key in (panel.content, panel.style) if key}
        missing = [key for key, file in paths.items() if not file.exists()]
        shown = directory / panel.name / "final.png" if panel.settings is not None else next(iter(paths.values()))
        if missing or not shown.exists():
            text = _gap(missing[0]) if missing else "not painted yet"
            axis.text(0.5, 0.5, text, ha="center", va="center", fontsize=7, wrap=True, transform=axis.transAxes)
            axis.set_frame_on(True)
            axis.set_aspect(0.75)
            continue
        # Of its own pictures' size the program is sure.
        axis.imshow(_shown(shown, 1024, math.inf if panel.settings is not None else given.read_limit))
        if figure.inset and panel.style:
            corner = axis.inset_axes((0.0, 0.0, 0.3, 0.3), anchor="SW")
            corner.imshow(_shown(paths[panel.style], 200, given.read_limit))
            corner.set(xticks=[], yticks=[])
    sheet.suptitle(figure.caption, fontsize=10)
    drawn = io.BytesIO()
    kind = path.suffix[1:]
    sheet.savefig(drawn, format=kind, dpi=150, metadata={"Software" if kind == "png" else "Creator": ORIGIN})
    with files.atomic(path) as file:
        file.write(drawn.getvalue())


def _shown(path: Path, size: int, limit: float) -> npt.NDArray[np.uint8]:
    return pictures.to_bytes(pictures.fit(pictures.read(path, limit), size))


def _gap(key: str) -> str:
    source = SOURCES[key]
    return f"{source.title}\n{source.maker}, {source.year}\nis missing: put it into\n--images as\n{source.file}"
