"""Scenes: the source pictures of a painting, read from files and resized for each stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nst_graph import files, pictures, places, weights
from nst_graph.errors import InputError
from nst_graph.graph.objective import LEAST_POSITIONS, Style
from nst_graph.pictures import Picture
from nst_graph.settings import STARTS, Settings
from nst_graph.weights import Network

Say = Callable[[str], None]


@dataclass(frozen=True)
class Sources:
    """The source files of a painting; `read_limit` is the memory that reading one may take, in GB."""

    content: Path
    styles: tuple[Path, ...]
    masks: tuple[Path, ...]
    init: Path | None
    weights: Path
    read_limit: float

    @classmethod
    def named(
        cls,
        content: Path | str,
        styles: Path | str | Sequence[Path | str],
        masks: Sequence[Path | str],
        settings: Settings,
        weights_file: Path | str | None,
        read_limit: float = files.READ_LIMIT,
        say: Say = lambda line: None,
    ) -> Sources:
        """Raises InputError if there are no weights."""
        paths = tuple(Path(style) for style in ([styles] if isinstance(styles, str | Path) else styles))
        weights_path = places.path(weights_file) if weights_file is not None else weights.find(settings.network, say)
        init = None if settings.init in STARTS else Path(settings.init)
        return cls(Path(content), paths, tuple(map(Path, masks)), init, weights_path, read_limit)

    def by_role(self) -> dict[str, Path]:
        """The pictures, by names such as content, style-1 and mask-1."""
        return (
            {"content": self.content}
            | ({} if self.init is None else {"init": self.init})
            | {f"style-{number}": path for number, path in enumerate(self.styles, 1)}
            | {f"mask-{number}": path for number, path in enumerate(self.masks, 1)}
        )


@dataclass(frozen=True)
class Scene:
    """The pictures of one stage: photograph, styles, and the picture that is mixed with noise for the start."""

    photograph: Picture
    styles: list[Style]
    base: Picture
    #: The photograph's, [height, width, 1] in 0..255, unless it is opaque.
    alpha: Picture | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """[height, width, 3] of the painting."""
        return self.photograph.shape

    def of(self, photograph: Picture) -> Scene:
        """The same with another photograph of the same size, for the next frame of a film."""
        return replace(self, photograph=photograph, base=photograph if self.base is self.photograph else self.base)

    def finish(self, picture: Picture, settings: Settings) -> Picture:
        """The final form of a painted picture: with the photograph's alpha, and its colours if the settings say so."""
        if settings.colours == "luminance":
            picture = pictures.keep_colours(picture, pictures.resize(self.photograph, *picture.shape[:2]))
        return self.cut(picture)

    def cut(self, picture: Picture) -> Picture:
        """A picture of any size with the photograph's alpha as a fourth channel, unless that is opaque."""
        if self.alpha is None:
            return picture
        height, width = picture.shape[:2]
        return np.concatenate([picture, pictures.resize(self.alpha, height, width, "bilinear")], axis=-1)


@dataclass(frozen=True)
class Originals:
    """The pictures as read from files, photograph and init with their alpha, if any; see pictures.opaque."""

    photograph: Picture
    styles: list[Picture]
    init: Picture | None
    sources: Sources

    def style_sides(self, shape: Sequence[int], settings: Settings) -> list[tuple[float, float]]:
        """The height and width of each style, before rounding, at a stage whose photograph has this shape."""
        scales = settings.style_scales(len(self.styles))
        shapes = [_brought(style.shape, shape, settings) for style in self.styles]
        return [(height * scale, width * scale) for (height, width), scale in zip(shapes, scales, strict=True)]

    def scene(self, photograph: Picture, settings: Settings) -> Scene:
        """The pictures for a stage. Raises InputError if a mask cannot be read, or there is no style to start from."""
        height, width = photograph.shape[:2]
        sides = self.style_sides(photograph.shape, settings)
        shares = settings.blend(len(self.styles))
        styles = []
        for index, (original, share) in enumerate(zip(self.styles, shares, strict=True)):
            rows, columns = (max(1, round(side)) for side in sides[index])
            picture = pictures.resize(original, rows, columns, settings.resample)
            if settings.colours in ("histogram", "covariance"):
                picture = pictures.match_colours(picture, photograph, settings.colours)
            masks, limit = self.sources.masks, self.sources.read_limit
            mask = pictures.read_mask(masks[index], height, width, limit) if masks else None
            styles.append(Style(picture, share, mask))
        if self.init is not None:
            base = pictures.opaque(self.init, height, width, settings.resample)
        elif settings.init != "style":
            base = photograph
        elif styles:
            base = pictures.resize(styles[0].picture, height, width, settings.resample)
        else:
            raise InputError("--init style: there is no style; name a STYLE or another start")
        return Scene(photograph, styles, base, pictures.alpha(self.photograph, height, width))


def _brought(style: Sequence[int], photograph: Sequence[int], settings: Settings) -> tuple[float, float]:
    """The height and width that a style of a shape is brought to beside a photograph of another."""
    height, width = style[:2]
    if settings.style_shape == "own":
        return pictures.fitted(style, settings.size, settings.side, larger=settings.enlarge)
    if settings.style_shape == "content":
        return photograph[0], photograph[1]
    share = math.sqrt(photograph[0] * photograph[1] / (height * width))
    return height * share, width * share


def read(sources: Sources, settings: Settings, say: Say, warn: Say, photograph: Picture | None = None) -> Originals:
    """Read the pictures; `warn` gets what could not be read as it is meant. Raises InputError if one cannot be.

    A frame of a film is given as `photograph`.
    """

    def picture(path: Path, ground: float | None = None) -> Picture:
        return pictures.read(path, sources.read_limit, warn, ground)

    photograph = picture(sources.content) if photograph is None else photograph
    height, width = photograph.shape[:2]
    least = 0 if settings.enlarge or settings.size is None else settings.size
    if pictures.SIDES[settings.side]((height, width)) < least:
        say(
            f"{sources.content} has only {width} x {height} pixels, --size is {least}: it keeps its size; see --enlarge"
        )
    styles = [picture(path, ground=255) for path in sources.styles]
    return Originals(photograph, styles, None if sources.init is None else picture(sources.init), sources)


def check(scene: Scene, sources: Sources, network: Network, settings: Settings) -> None:
    """Raise InputError if a picture is too small for the layers in use."""
    larger = "picture or --size" if settings.style_shape == "own" else "--size"
    larger = larger if np.min(settings.style_scale) >= 1 else "--style-scale or --size"
    checked = [(sources.content, scene.photograph, "picture or --size")]
    checked += [(path, style.picture, larger) for path, style in zip(sources.styles, scene.styles, strict=True)]
    need = network.smallest_side(settings.layers)
    for path, picture, remedy in checked:
        height, width = picture.shape[:2]
        if min(height, width) < need:
            raise InputError(
                f"{path}: {width} x {height} pixels are too few for the deepest layer, which needs {need} each way; "
                f"take a larger {remedy}, or layers that are less deep"
            )


def uncovered(scene: Scene, masks: Iterable[Path], network: Network, settings: Settings) -> Path | None:
    """The first mask, if any, that covers no position of any style layer."""
    for path, style in zip(masks, scene.styles, strict=False):
        assert style.mask is not None  # there is a mask for each style
        most = max(float(network.shrink(style.mask, layer).sum()) for layer in settings.style_layers)
        if most < LEAST_POSITIONS:
            return path
    return None
