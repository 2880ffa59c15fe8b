"""Figures as data: their panels, and the pictures they show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True)
class Panel:
    """A panel: one of the pictures or, if there are `settings`, a painting.

    Without `style` it is a reconstruction of the content, without `content` one of the style.
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
    """Panels in rows and columns; `inset` shows the style in a corner of each painting."""

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
    ratios = {"turner": 1e-3, "vangogh": 1e-3, "munch": 1e-3, "picasso": 1e-4, "kandinsky": 1e-4}
    for index, (letter, style, ratio) in enumerate(zip("BCDEF", ratios, ratios.values(), strict=True), 1):
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


FIGURES = {"fig1": _figure1, "fig2": _figure2, "fig3": _figure3}


def matrix(contents: Sequence[Path], styles: Sequence[Path]) -> Figure:
    """Every photograph in every style, beside the pictures themselves, which go by their paths."""
    panels = [Panel(style.stem, style.stem, 0, column, None, str(style)) for column, style in enumerate(styles, 1)]
    for row, content in enumerate(contents, 1):
        panels.append(Panel(content.stem, "", row, 0, str(content)))
        for column, style in enumerate(styles, 1):
            panels.append(Panel(f"{content.stem}-{style.stem}", "", row, column, str(content), str(style), {}))
    caption = f"{count(len(contents), 'photograph')} in {count(len(styles), 'style')}"
    return Figure(caption, panels, rows=["", *(content.stem for content in contents)])


def sweep(pictures: Sequence[Path], lists: Mapping[str, Sequence[Any]]) -> Figure:
    """A painting for each value of a setting, or for each pair of two settings' values, below the pictures.

    The first setting's values are the columns.
    """
    content, style = str(pictures[0]), str(pictures[1]) if len(pictures) > 1 else None
    panels = [Panel(path.stem, path.stem, 0, column, str(path)) for column, path in enumerate(pictures)]
    (across, columns), (down, rows) = [*lists.items(), ("", [None])][:2]
    for row, lower in enumerate(rows, 1):
        for column, value in enumerate(columns):
            settings = {across: value} | ({down: lower} if down else {})
            title = label(across, value) if row == 1 else ""
            # Of a file's path the name alone, so that this is a directory's.
            name = "_".join(f"{one.replace('_', '-')}-{Path(_text(settings[one])).name}" for one in settings)
            panels.append(Panel(name.replace(" ", ","), title, row, column, content, style, settings))
    return Figure("", panels, rows=["", *(label(down, value) for value in rows if down)])


def label(option: str, value: Any) -> str:
    """An option of paint.py with its value, as it is written."""
    return f"--{option.replace('_', '-')} {_text(value)}".rstrip()


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_text, value))
    if value is None:  # of --size
        return "original"
    return "" if value is True else str(value).removesuffix(".0")
