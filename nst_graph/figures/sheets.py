"""Sheets: a figure painted, a run for each panel, and its panels arranged and labelled, as PNG and PDF."""

import math
import os
import textwrap
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL.PngImagePlugin import PngInfo

from nst_graph import files, images
from nst_graph.batch.jobs import Job
from nst_graph.errors import InputError
from nst_graph.figures.panels import SOURCES, Figure, Panel
from nst_graph.news import count, tell
from nst_graph.runs import page
from nst_graph.runs.directory import numbered

#: Wraps a text at spaces.
_fill = partial(textwrap.fill, break_on_hyphens=False)
#: Of a sheet of small pictures, whose labels would not be legible.
LEAST_DPI = 150
#: The program in a sheet's metadata; other files are not overwritten.
ORIGIN = "nst_graph's figures.py"


def free(path: Path, figure: Figure) -> Path:
    """The first of PATH, PATH-2, ... that holds no panels of other settings or pictures."""

    def is_free(place: Path) -> bool:
        try:
            for name, job in figure.jobs.items():
                replace(job, output=place / name).finished()
        except InputError:
            return False
        return True

    return next(filter(is_free, numbered(path)))


def paint(
    figure: Figure, sheet: Path, panels: Collection[str], read_limit: float, perform: Callable[[list[Job]], list[str]]
) -> list[str]:
    """Paint these panels, or all, by `perform`, beside a sheet, and lay them out; returns a line for each failure.

    `sheet` has no suffix yet. Panels whose pictures are missing are left out. Raises InputError, before anything is
    painted, if there is no panel of a name, or the directory holds something else.
    """
    directory, layouts = sheet.parent, [sheet.with_name(f"{sheet.name}.{kind}") for kind in ("png", "pdf")]
    for panel in panels:
        if panel not in figure.jobs:
            raise InputError(f"--panels {panel}: not in {sheet.name}; it has {', '.join(figure.jobs)}")
    jobs = [
        replace(job, output=directory / panel)
        for panel, job in figure.jobs.items()
        if panel in (panels or figure.jobs) and all(path.exists() for path in (job.content, *job.styles))
    ]
    for job in jobs:
        job.finished()  # raises before anything is painted
    for path in layouts:
        check(path)
    tell(f"{directory}: {count(len(jobs), 'painting')}")
    directory.mkdir(parents=True, exist_ok=True)
    page.write_gallery(directory)  # which is kept up while they are painted
    failures = perform(jobs)
    for path in layouts:
        compose(figure, directory, path, read_limit)
        tell(f"laid out {path}")
    page.write_gallery(directory)
    return failures


def check(path: Path) -> None:
    """Raise InputError if there is a file that this program did not write."""
    if not os.path.lexists(path):
        return
    with suppress(OSError):
        if path.is_file() and not path.is_symlink() and ORIGIN.encode() in path.read_bytes():
            return
    raise InputError(f"{path}: is not this program's; move it away, or name another --output")


def compose(figure: Figure, directory: Path, path: Path, read_limit: float) -> None:
    """Arrange the panels painted in a directory; a text replaces one that is not painted or lacks a picture.

    The suffix of `path` is the type of the file. Raises OSError as open and write do.
    """
    # Not pyplot, which has global state and may open windows.
    from matplotlib.figure import Figure as Sheet

    rows, columns = (1 + max(getattr(panel, side) for panel in figure.panels) for side in ("row", "column"))
    sheet = Sheet(figsize=(2.6 * columns + 0.3, 2.1 * rows + 0.5), layout="constrained")
    axes = sheet.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.set_frame_on(False)
    for row, label in enumerate(figure.rows):
        axes[row, 0].set_ylabel(_fill(label, 28))
    for panel in figure.panels:
        _show(axes[panel.row, panel.column], panel, figure.inset, directory, read_limit)
    sheet.suptitle(_fill(figure.caption, 34 * columns), fontsize=10)
    sheet.draw_without_rendering()  # which lays it out
    painted = [axes[panel.row, panel.column] for panel in figure.panels if isinstance(panel.source, Job)]
    widths = [(image.get_size()[1], axis.get_window_extent().width) for axis in painted for image in axis.images]
    # So many dots an inch that no painting is reduced.
    dpi = max([LEAST_DPI, *(sheet.dpi * pixels / width for pixels, width in widths)])
    kind = path.suffix[1:]
    text = PngInfo()
    text.add_text("Software", ORIGIN)
    text.add(b"sRGB", b"\0")
    named: dict[str, Any] = {"pil_kwargs": {"pnginfo": text}} if kind == "png" else {"metadata": {"Creator": ORIGIN}}
    with files.atomic(path) as file:
        sheet.savefig(file, format=kind, dpi=dpi, **named)


def _show(axis: Any, panel: Panel, inset: bool, directory: Path, limit: float) -> None:
    axis.set_title(_fill(panel.title, 38), fontsize=9)
    painted = isinstance(panel.source, Job)
    needed = (panel.source.content, *panel.source.styles) if isinstance(panel.source, Job) else (panel.source,)
    missing = [file for file in needed if not file.exists()]
    path = directory / panel.name / "final.png" if painted else needed[0]
    if missing or not path.exists():
        text = gap(missing[0]) if missing else "not painted yet"
        axis.text(0.5, 0.5, text, ha="center", va="center", fontsize=7, wrap=True, transform=axis.transAxes)
        axis.set_frame_on(True)
        axis.set_aspect(0.75)
        return
    # The program's own pictures are not too large.
    axis.imshow(_reduced(path, 1024, math.inf if painted else limit))
    if inset and painted:
        corner = axis.inset_axes((0.0, 0.0, 0.3, 0.3), anchor="SW")
        corner.imshow(_reduced(needed[-1], 200, limit))
        corner.set(xticks=[], yticks=[])


def _reduced(path: Path, size: int, limit: float) -> Any:
    return images.to_bytes(images.fit(images.read(path, limit), size))


def gap(path: Path) -> str:
    """The text in place of a panel whose picture is missing."""
    for source in SOURCES.values():
        if source.file == path.name:
            return f"{source.title}\n{source.maker}, {source.year}\nis missing: put it into\n--images as\n{source.file}"
    return f"{path} is missing"
