"""Stages: the images of a painting, read and brought to each size that is painted, and how that fits into memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from nst_graph import images, machine, places, weights
from nst_graph.errors import InputError
from nst_graph.images import Picture
from nst_graph.model import tensorflow, vgg
from nst_graph.model.guides import covers, guide
from nst_graph.model.objective import refuse_unit_gradients
from nst_graph.model.strips import Cut, features_at_once, filters, heights, reach
from nst_graph.model.targets import Style
from nst_graph.model.tensorflow import gpu_memory, has_gpu
from nst_graph.settings import Settings
from nst_graph.weights import Conv, Network

Say = Callable[[str], None]
#: What run.json says of a stage.
Record = dict[str, Any]

#: Share of the last scale's iterations that --precision auto leaves to float32.
FLOAT32_SHARE = 0.1
#: Share of the machine's memory that may be used.
SHARE = 0.8
#: How many of the first blocks may be joined, the fewest rows of a strip, and curvature pairs with which L-BFGS is
#: worth using; and the share of the time that each pair less costs (docs/benchmark-corrections.md).
JOINED, FEWEST_ROWS, FEWEST_PAIRS, PAIR_TIME = (1, 2), 16, 3, 0.02
#: Bytes of TensorFlow, the kernels and what stages before leave, of a number of the features that are there at once
#: (benchmarks/run.py memory), and of a pixel whatever the strips: pictures, gradient, the content's features.
BASE, PER_NUMBER, WHOLE_PER_PIXEL = 1.5e9, 4.5, 96
#: How much more a strip's features take, of which a part is its own.
IN_STRIPS = 1.5
#: Bytes a pixel and channel of SciPy's L-BFGS-B, in float64: its work space (5 numbers), bounds (2), integers
#: (2), copies of picture and gradient (9); and for each pair its own (2), History's points and pairs (2.5).
SCIPY, SCIPY_PAIR = 18 * 8, 4.5 * 8
#: Numbers a pixel and channel of the graph's: variables, what an operation holds; and a pair's, one more with bounds.
GRAPH, GRAPH_PAIR = 6, 2


@dataclass(frozen=True)
class InputFiles:
    """The files that a painting is made from; reading one may take `read_limit` GB of memory."""

    content: Path
    styles: tuple[Path, ...]
    masks: tuple[Path, ...]
    style_masks: tuple[Path, ...]
    #: Those that settings name, by setting.
    named_by: dict[str, Path]
    weights: Path
    read_limit: float

    @classmethod
    def named(
        cls,
        content: Path,
        styles: Sequence[Path],
        masks: Sequence[Path],
        style_masks: Sequence[Path],
        settings: Settings,
        weights_file: Path | str | None,
        read_limit: float,
        say: Say = lambda line: None,
    ) -> InputFiles:
        """Raises InputError if there are no weights."""
        path = weights.find(settings.network, say) if weights_file is None else places.path(weights_file)
        named_by = {name: Path(file) for name, file in settings.paths.items()}
        return cls(content, tuple(styles), tuple(masks), tuple(style_masks), named_by, path, read_limit)

    def by_role(self) -> dict[str, Path]:
        """The pictures, by names such as content, style-1 and mask-1."""
        several = {"style": self.styles, "mask": self.masks, "style-mask": self.style_masks}
        numbered = {f"{name}-{number}": path for name, paths in several.items() for number, path in enumerate(paths, 1)}
        return {"content": self.content} | self.named_by | numbered


@dataclass(frozen=True)
class InputImages:
    """The images as read from files, photograph and init with their alpha, if any; see images.opaque."""

    photograph: Picture
    styles: list[Picture]
    init: Picture | None
    files: InputFiles

    @classmethod
    def read(
        cls, files: InputFiles, settings: Settings, say: Say, warn: Say, photograph: Picture | None = None
    ) -> InputImages:
        """Read them, but a film's frame is the `photograph`. `warn` gets what is read otherwise. Raises InputError."""
        limit = files.read_limit
        photograph = images.read(files.content, limit, warn, ground=None) if photograph is None else photograph
        height, width = photograph.shape[:2]
        least = 0 if settings.enlarge or settings.size is None else settings.size
        if images.SIDES[settings.side]((height, width)) < least:
            has = f"{files.content} has only {width} x {height} pixels"
            say(f"{has}, --size is {least}: it keeps its size; see --enlarge")
        styles = [images.read(path, limit, warn, ground=255) for path in files.styles]
        init = images.read(files.named_by["init"], limit, warn, ground=None) if "init" in files.named_by else None
        return cls(photograph, styles, init, files)

    def style_sides(self, shape: Sequence[int], settings: Settings) -> list[tuple[float, float]]:
        """The height and width of each style, before rounding, beside a photograph of this shape."""

        def sides(height: int, width: int) -> tuple[float, float]:
            if settings.style_shape == "own":
                return images.fitted_size((height, width), settings.size, settings.side, larger=settings.enlarge)
            if settings.style_shape == "content":
                return shape[0], shape[1]
            share = math.sqrt(shape[0] * shape[1] / (height * width))
            return height * share, width * share

        shapes = [sides(*style.shape[:2]) for style in self.styles]
        scales = settings.style_scales(len(shapes))
        return [(height * scale, width * scale) for (height, width), scale in zip(shapes, scales, strict=True)]

    def stage(self, photograph: Picture, settings: Settings, plan: Plan) -> PreparedStage:
        """The stage at the photograph's size. Raises InputError for an unreadable mask, or where there is no start."""
        height, width = photograph.shape[:2]
        sides, limit = self.style_sides(photograph.shape, settings), self.files.read_limit
        styles = []
        for index, share in enumerate(settings.blend(len(self.styles))):
            rows, columns = (max(1, round(side)) for side in sides[index])
            picture = images.resize(self.styles[index], rows, columns, settings.resample)
            picture = images.match_colours(picture, photograph, settings.colours)
            masks = [
                images.read_mask(paths[index], of.shape[0], of.shape[1], limit) if paths else None
                for paths, of in ((self.files.masks, photograph), (self.files.style_masks, picture))
            ]
            styles.append(Style(picture, share, *masks))
        if settings.init == "style" and not styles:
            raise InputError("--init style: there is no style; name a STYLE or another start")
        init = None if self.init is None else images.opaque(self.init, height, width, settings.resample)
        return PreparedStage(photograph, styles, init, images.alpha(self.photograph, height, width), settings, plan)


@dataclass(frozen=True)
class PreparedStage:
    """What is painted at one size: its images, its settings, and how it fits into memory."""

    photograph: Picture
    styles: list[Style]
    #: A picture of one's own to start from.
    init: Picture | None
    #: The photograph's, [height, width, 1] in 0..255, unless it is opaque.
    alpha: Picture | None
    settings: Settings
    plan: Plan

    @property
    def shape(self) -> tuple[int, ...]:
        """[height, width, 3] of the painting."""
        return self.photograph.shape

    @cached_property
    def content(self) -> Picture:
        """The photograph, in the colours in which it is painted."""
        pictures, shares = [style.picture for style in self.styles], [style.share for style in self.styles]
        return images.content_colours(self.photograph, pictures, shares, self.settings.colours)

    def with_styles(self, pictures: Sequence[Picture]) -> PreparedStage:
        """The same with other pictures in the places of its styles', brought to their sizes."""
        styles = []
        for style, picture in zip(self.styles, pictures, strict=True):
            height, width = style.picture.shape[:2]
            styles.append(replace(style, picture=images.resize(picture, height, width, self.settings.resample)))
        return replace(self, styles=styles)

    def start(self, network: Network) -> Picture:
        """What is painted from, where this is the first stage."""
        base = self.content if self.init is None else self.init
        if self.settings.init == "style":
            height, width = self.shape[:2]
            base = images.resize(self.styles[0].picture, height, width, self.settings.resample)
        noise = self.settings.start_noise, self.settings.seed, self.settings.noise, self.settings.noise_amplitude
        return images.start(base, network.mean, *noise)

    def finish(self, picture: Picture) -> Picture:
        """The final form of a painted picture: with the photograph's alpha, and with colours as the settings say."""
        if self.settings.match_histogram and self.styles:
            pixels = np.concatenate([style.picture.reshape(-1, 1, 3) for style in self.styles])
            picture = images.match_colours(np.clip(picture, 0, 255), pixels, "histogram")
        if self.settings.colours in ("luminance", "luminance-first"):
            picture = images.keep_colours(picture, images.resize(self.photograph, *picture.shape[:2]))
        return self.with_alpha(picture)

    def with_alpha(self, picture: Picture) -> Picture:
        """A picture of any size, with the photograph's alpha as a fourth channel unless that is opaque."""
        if self.alpha is None:
            return picture
        height, width = picture.shape[:2]
        return np.concatenate([picture, images.resize(self.alpha, height, width, "bilinear")], axis=-1)

    def record(self) -> Record:
        """What run.json says of it, and what was decided for it when the run began."""
        height, width = self.shape[:2]
        stage = {"width": width, "height": height, "iterations": self.settings.iterations}
        return stage | {"precision": self.settings.precision, "plan": asdict(self.plan)}


def prepare_stages(
    input_images: InputImages,
    network: Network,
    settings: Settings,
    say: Say,
    earlier: Sequence[Record],
    side_by_side: int,
) -> list[PreparedStage]:
    """The stages that can be painted, so many paintings side by side. Raises InputError if the last cannot.

    What was decided for the `earlier` ones of a run that goes on is kept.
    """
    memory = (gpu_memory() or machine.memory()) / side_by_side
    plans_before = {(stage["height"], stage["width"]): Plan(**stage["plan"]) for stage in earlier if stage.get("plan")}
    fastest = _fastest(settings, [stage["precision"] for stage in earlier], say)
    planned = []  # all of them before any image is made
    for shape, here in _sizes(settings, input_images.photograph, network, fastest, say):
        style = max((height * width for height, width in input_images.style_sides(shape, here)), default=0.0)
        planned.append((shape, here, plan(network, shape, style, here, memory, plans_before.get(shape))))
    whole = images.opaque(input_images.photograph, *planned[-1][0], settings.resample)
    stages = []
    for (height, width), here, its_plan in planned:
        stage = input_images.stage(images.resize(whole, height, width, settings.resample), here, its_plan)
        uncovered = _uncovered(stage, input_images.files, network)
        if uncovered is None:
            stages.append(stage)
        elif stage.shape != whole.shape:
            say(f"scale {here.size} is left out: {uncovered} covers no position of a style layer there")
        else:
            remedy = "draw more of it white, or take a larger --size or a shallower layer"
            raise InputError(f"{uncovered}: at {width} x {height} it covers no position of a style layer; {remedy}")
    _check_sides(stages[0], input_images.files, network)
    return stages


def _fastest(settings: Settings, earlier: Sequence[str], say: Say) -> str:
    """The precision that "auto" stands for, where that of the `earlier` stages does not say, or "tf32"."""
    if settings.precision == "tf32" and not has_gpu():
        say("--precision tf32: only a GPU has it; painted in float32")
    if settings.precision == "tf32":
        return "tf32" if has_gpu() else "float32"
    if settings.precision == "float32" or earlier:
        return "bfloat16" if "bfloat16" in earlier else "float32"
    fastest = vgg.fastest_precision(settings.convolutions)
    if settings.precision == "auto" and tensorflow.has_bfloat16():
        say(f"bfloat16 is {vgg.bfloat16_gain(settings.convolutions):.1f} times as fast as float32 here")
    elif settings.precision == "bfloat16" and fastest == "float32":
        say("--precision bfloat16: not faster than float32 on this machine; it paints all the same")
    return fastest


def schedule(settings: Settings, fastest: str) -> list[Settings]:
    """The settings of each stage; `fastest` is the precision that "auto", but at the end, or "tf32" stands for."""
    precision = fastest if settings.precision in ("auto", "tf32") else settings.precision
    last = replace(settings, scales=(), scale_iterations=(), precision=precision)
    scales = zip(settings.scales, settings.scale_iterations, strict=True)
    stages = [replace(last, size=size, iterations=n) for size, n in scales if size < (settings.size or math.inf)]
    if settings.precision == "auto" and precision != "float32":
        stages.append(replace(last, iterations=round(settings.iterations * (1 - FLOAT32_SHARE))))
        last = replace(last, iterations=settings.iterations - stages[-1].iterations, precision="float32")
    return [*stages, last]


def balanced(settings: Settings, shape: tuple[int, int]) -> Settings:
    """The settings with the beta that keeps the balance at `ratio_at` in a picture of this height and width."""
    if settings.ratio_at is None:
        return settings
    sides = shape if len(settings.ratio_at) == 2 else [images.SIDES[settings.side](shape)]
    factor = (math.prod(sides) / math.prod(settings.ratio_at)) ** (2 / len(sides))
    return replace(settings, beta=settings.beta * factor, ratio_at=None)


def _sizes(
    settings: Settings, photograph: Picture, network: Network, fastest: str, say: Say
) -> list[tuple[tuple[int, int], Settings]]:
    """The height, width and settings of each stage, without scales that are too large or too small."""
    need = network.smallest_side(settings.layers)
    last = images.fitted_size(photograph.shape, settings.size, settings.side, settings.squash, settings.enlarge)
    for size in settings.scales:
        if settings.size is not None and size >= settings.size:
            say(f"scale {size} is left out: it is not below --size {settings.size}")
    sizes = []
    for stage in schedule(settings, fastest):
        shape = images.fitted_size(last, stage.size, settings.side, settings.squash)
        if stage.size == settings.size or (shape != last and min(shape) >= need):
            sizes.append((shape, balanced(stage, shape)))
        elif shape == last:
            say(f"scale {stage.size} is left out: it is not below the picture's size")
        else:
            say(f"scale {stage.size} is left out: a side would have fewer than the {need} pixels that the layers need")
    return sizes


def _uncovered(stage: PreparedStage, files: InputFiles, network: Network) -> Path | None:
    """A mask that leaves its style without a target, as it covers no position of a style layer."""
    settings = stage.settings
    for index, style in enumerate(stage.styles):
        covered = [
            {layer for layer in settings.style_layers if mask is None or covers(guide(network, mask, layer, settings))}
            for mask in (style.mask, style.style_mask)
        ]
        if not set.intersection(*covered):
            return (files.style_masks if covered[0] and files.style_masks else files.masks)[index]
    return None


def _check_sides(stage: PreparedStage, files: InputFiles, network: Network) -> None:
    """Raise InputError if a picture is too small for the layers in use."""
    settings, need = stage.settings, network.smallest_side(stage.settings.layers)
    larger = "picture or --size" if settings.style_shape == "own" else "--size"
    larger = larger if np.min(settings.style_scale) >= 1 else "--style-scale or --size"
    checked = [(files.content, stage.photograph, "picture or --size")]
    checked += [(path, style.picture, larger) for path, style in zip(files.styles, stage.styles, strict=True)]
    for path, picture, remedy in checked:
        height, width = picture.shape[:2]
        if min(height, width) < need:
            raise InputError(
                f"{path}: {width} x {height} pixels are too few for the deepest layer, which needs {need} each way; "
                f"take a larger {remedy}, or layers that are less deep"
            )


@dataclass(frozen=True)
class Plan:
    """L-BFGS's curvature pairs, the type of the graph's vectors, and the Cut, of no block where all is in one piece."""

    pairs: int
    vector_dtype: str | None = None
    blocks: int = 0
    rows: int = 0
    joined: int = 1

    @property
    def cut(self) -> Cut | None:
        """How the network is evaluated in strips; None where it is not."""
        return Cut(self.blocks, self.rows, self.joined) if self.blocks else None


def plan(
    network: Network, shape: tuple[int, int], style: float, settings: Settings, memory: float, earlier: Plan | None
) -> Plan:
    """Plan for this height and width, styles of so many pixels and a machine of so many bytes.

    An `earlier` plan is kept. Of what fits it is what takes the least time. Raises InputError where nothing does, or
    for unit gradients in strips.
    """
    budget = SHARE * memory if settings.memory is None else 1e9 * settings.memory
    height, width = shape
    largest = max(height * width, style)
    bytes_of = partial(bytes_needed, network=network, shape=shape, style=style, settings=settings)

    def highest(kind: Plan, blocks: int, joined: int) -> Plan:
        """The plan with the highest strips that fit."""
        one = replace(kind, blocks=blocks, joined=joined)
        left = budget - _bytes(one, network, height * width, largest, settings)
        rows = int(left / PER_NUMBER / _row(Cut(blocks, 0, joined), network, shape, largest))
        return replace(one, rows=max(FEWEST_ROWS, min(height, rows // 2 * 2)))

    if earlier is not None and bytes_of(earlier) <= budget:
        return earlier
    kinds, depth = _lbfgs_plans(settings), len(network.blocks)
    cuts = [(blocks, joined) for blocks in range(1, depth + 1) for joined in JOINED if joined <= blocks]
    if settings.tile is not None:
        joined = [joined for blocks, joined in cuts if blocks == depth]
        plans = [replace(kind, blocks=depth, rows=settings.tile, joined=one) for kind in kinds for one in joined]
    else:
        cut = [[highest(kind, *numbers) for numbers in cuts] for kind in kinds]
        plans = [one for kind, strips in zip(kinds, cut, strict=True) for one in (kind, *strips)]
    fitting = [one for one in plans if bytes_of(one) <= budget]
    if fitting:
        best = min(fitting, key=lambda one: _time(one, network, settings))
        if best.blocks:
            refuse_unit_gradients(settings)
        return best
    raise InputError(
        f"--size {max(shape)}: painting {width} x {height} pixels takes {min(map(bytes_of, plans)) / 1e9:.4g} GB "
        f"and {budget / 1e9:.1f} GB can be had; {_lighter(settings)}take a smaller --size"
    )


def _lighter(settings: Settings) -> str:
    """What else would take less memory."""
    lighter = "add --optimiser adam, or " if settings.optimiser == "lbfgs" else ""
    lighter += "leave --tile away, or " if settings.tile is not None else ""
    lighter += "give more --memory, or " if settings.memory is not None else ""
    return lighter + ("take a smaller --style-scale, or " if np.max(settings.style_scale) > 1 else "")


def bytes_needed(plan: Plan, network: Network, shape: tuple[int, ...], style: float, settings: Settings) -> float:
    """The memory that painting at this height and width takes by a plan, with styles of so many pixels."""
    pixels, largest = math.prod(shape), max(math.prod(shape), style)
    strip = plan.rows * _row(plan.cut, network, shape, largest) if plan.cut else 0
    numbers = max(strip, _features(network, plan.blocks) * largest)
    return _bytes(plan, network, pixels, largest, settings) + PER_NUMBER * numbers


def _row(cut: Cut, network: Network, shape: tuple[int, ...], largest: float) -> float:
    """The features of a row of strips, of the largest picture, of so many pixels, in this shape."""
    return IN_STRIPS * shape[1] * math.sqrt(largest / math.prod(shape)) * sum(features_at_once(cut.parts(network)[0]))


def _lbfgs_plans(settings: Settings) -> list[Plan]:
    """What L-BFGS may be: SciPy's or the graph's, that in float32, then with fewer pairs."""
    most = settings.corrections
    if settings.optimiser != "lbfgs":
        return [Plan(most)]
    scipys: list[str | None] = [None]
    # In TF32 inner products of float32 would be rounded too.
    graphs: list[str | None] = ["float64"] if settings.precision == "tf32" else ["float64", "float32"]
    dtypes = {"scipy": scipys, "graph": graphs, "auto": graphs if has_gpu() else [*scipys, *graphs]}[settings.lbfgs]
    fewer = range(most - 1, FEWEST_PAIRS - 1, -1)
    return [Plan(most, dtype) for dtype in dtypes] + [Plan(pairs, dtypes[-1]) for pairs in fewer]


def _time(plan: Plan, network: Network, settings: Settings) -> float:
    """The time of a painting by a plan, in that of one in one piece and with all pairs."""
    work = {layer.name: layer.kernel.size / 4 ** network.poolings(layer.name) for layer in network.convolutions}
    # Forward once more, and halos each time; what is in one piece is gone through twice.
    parts = plan.cut.parts(network) if plan.cut else []
    again = [
        work[layer.name] * (0.5 + 1.5 * 2 * reach(layers) / max(reach(layers), rows))
        for layers, rows in zip(parts, heights(parts, plan.rows), strict=True)
        for layer in layers
        if isinstance(layer, Conv)
    ]
    return float((1 + sum(again) / sum(work.values())) * (1 + PAIR_TIME * (settings.corrections - plan.pairs)))


def _features(network: Network, first: int) -> float:
    """The features that are there at once, for each pixel, of the blocks from one on in one piece."""
    numbers = [features_at_once(layers) for layers in network.blocks]
    kept = sum(numbers[block][0] / 4**block for block in range(first, len(numbers)))
    return kept + numbers[first][1] / 4**first if first < len(numbers) else 0.0


def _bytes(plan: Plan, network: Network, pixels: int, largest: float, settings: Settings) -> float:
    """The memory that painting takes by a plan beside features; `largest` are the pixels of the largest picture."""
    parts = plan.cut.parts(network) if plan.cut else []
    kept = [(filters(layers), layers[-1]) for layers in parts if layers[-1] is not network.layers[-1]]
    pooled: float = sum(number / 4 ** network.poolings(layer.name) for number, layer in kept)
    total = BASE + (WHOLE_PER_PIXEL + 4 * pooled) * largest
    if settings.optimiser != "lbfgs":
        return total
    if plan.vector_dtype is None:
        return total + 3 * pixels * (SCIPY + SCIPY_PAIR * plan.pairs)
    vectors = GRAPH + (GRAPH_PAIR + settings.bounded) * plan.pairs
    return total + 3 * pixels * vectors * np.dtype(plan.vector_dtype).itemsize
