"""Figures as data: their panels, and what these show."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nst_graph.batch.jobs import Job
from nst_graph.errors import InputError, flag
from nst_graph.news import count
from nst_graph.settings import STYLE_LAYERS, equal


@dataclass(frozen=True)
class Source:
    """A picture in the paper's figures, and the name of its file."""

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
#: Style layers of figures 1 and 3: the first, the first two, ... all five.
SETS = [STYLE_LAYERS[: count + 1] for count in range(len(STYLE_LAYERS))]


#: The job that paints a content, in a style, with changes of the settings that all panels share.
MakeJob = Callable[[Path | None, Path | None, dict[str, Any]], Job]


@dataclass(frozen=True)
class Panel:
    """A panel: a picture, by its file, or a painting, by its job."""

    name: str
    title: str
    row: int
    column: int
    source: Path | Job


@dataclass(frozen=True)
class Figure:
    """Panels in rows and columns; `inset` shows the style in a corner of each painting.

    Raises InputError if two paintings have one name.
    """

    caption: str
    panels: list[Panel]
    inset: bool = False
    rows: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, times in Counter(panel.name for panel in self.panels if isinstance(panel.source, Job)).items():
            if times > 1:
                raise InputError(f"two panels would be called {name}; rename a picture, or give a value once")

    @property
    def jobs(self) -> dict[str, Job]:
        """The paintings, by the names of their panels."""
        return {panel.name: panel.source for panel in self.panels if isinstance(panel.source, Job)}


def _figure1(files: Mapping[str, Path], job: MakeJob) -> Figure:
    photograph, painting = files[PHOTOGRAPH], files["vangogh"]
    panels = [Panel("painting", "painting", 0, 0, painting), Panel("photograph", "photograph", 1, 0, photograph)]
    for column, (letter, layers) in enumerate(zip("abcde", SETS, strict=True), 1):
        title = f"{letter}: " + (layers[0] if len(layers) == 1 else f"{layers[0]} to {layers[-1]}")
        style = job(None, painting, {"alpha": 0.0, "style_layers": equal(layers)})
        panels.append(Panel(f"style-{letter}", title, 0, column, style))
        content = job(photograph, None, {"beta": 0.0, "content_layers": {layers[-1]: 1.0}})
        panels.append(Panel(f"content-{letter}", f"{letter}: {layers[-1]}", 1, column, content))
    return Figure("Figure 1: style reconstructions (top) and content reconstructions (bottom)", panels)


def _figure2(files: Mapping[str, Path], job: MakeJob) -> Figure:
    panels = [Panel("A", "A", 0, 0, files[PHOTOGRAPH])]
    ratios = {"turner": 1e-3, "vangogh": 1e-3, "munch": 1e-3, "picasso": 1e-4, "kandinsky": 1e-4}
    for index, (letter, (style, ratio)) in enumerate(zip("BCDEF", ratios.items(), strict=True), 1):
        painted = job(files[PHOTOGRAPH], files[style], {"beta": 1 / ratio})
        panels.append(Panel(letter, letter, index // 2, index % 2, painted))
    return Figure("Figure 2: one photograph in five styles", panels, inset=True)


def _figure3(files: Mapping[str, Path], job: MakeJob) -> Figure:
    panels = []
    for row, layers in enumerate(SETS):
        for column, ratio in enumerate((1e-5, 1e-4, 1e-3, 1e-2)):
            changes = {"beta": 1 / ratio, "style_layers": equal(layers)}
            title = f"alpha/beta = {ratio:g}" if row == 0 else ""
            painted = job(files[PHOTOGRAPH], files["kandinsky"], changes)
            panels.append(Panel(f"{layers[-1]}-{ratio:g}", title, row, column, painted))
    caption = "Figure 3: more style layers from top to bottom, more content from left to right"
    return Figure(caption, panels, rows=[layers[-1] for layers in SETS])


#: The paper's figures, from the files of the pictures by their names in SOURCES.
FIGURES = {"fig1": _figure1, "fig2": _figure2, "fig3": _figure3}


def matrix(contents: Sequence[Path], styles: Sequence[Path], job: MakeJob) -> Figure:
    """Every photograph in every style, beside the pictures themselves."""
    panels = [Panel(style.stem, style.stem, 0, column, style) for column, style in enumerate(styles, 1)]
    for row, content in enumerate(contents, 1):
        panels.append(Panel(content.stem, "", row, 0, content))
        for column, style in enumerate(styles, 1):
            panels.append(Panel(f"{content.stem}-{style.stem}", "", row, column, job(content, style, {})))
    caption = f"{count(len(contents), 'photograph')} in {count(len(styles), 'style')}"
    return Figure(caption, panels, rows=["", *(content.stem for content in contents)])


def sweep(
    pictures: Sequence[Path],
    lists: Mapping[str, Sequence[Any]],
    shared: dict[str, Any],
    job: Callable[[dict[str, Any]], Job],
) -> Figure:
    """A painting for each value of a setting, or for each pair of two settings' values, below the pictures.

    The first setting's values are the columns. The caption has the options that all share.
    """
    panels = [Panel(path.stem, path.stem, 0, column, path) for column, path in enumerate(pictures)]
    (across, columns), (down, rows) = [*lists.items(), ("", [None])][:2]
    for row, lower in enumerate(rows, 1):
        for column, value in enumerate(columns):
            changes = {across: value} | ({down: lower} if down else {})
            title = label(across, value) if row == 1 else ""
            # Of a file's path the name alone, so that this is a directory's.
            name = "_".join(f"{one.replace('_', '-')}-{Path(_text(changes[one])).name}" for one in changes)
            panels.append(Panel(name.replace(" ", ","), title, row, column, job(changes)))
    jobs = [panel.source for panel in panels if isinstance(panel.source, Job)]
    values = {name: {getattr(job.settings, name) for job in jobs} for name in ("size", "iterations")}
    options = {name: value for name, (value, *others) in values.items() if value and not others} | shared
    caption = f"{', '.join(path.stem for path in pictures)}: {' '.join(label(*option) for option in options.items())}"
    return Figure(caption, panels, rows=["", *(label(down, value) for value in rows if down)])


def label(option: str, value: Any) -> str:
    """An option of paint.py with its value, as it is written."""
    return f"{flag(option)} {_text(value)}".rstrip()


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_text, value))
    if value is None:  # of --size
        return "original"
    return "" if value is True else str(value).removesuffix(".0")
