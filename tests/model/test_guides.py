"""Guides: statistics of regions by the authors' formulas in NumPy, through the front door; their gradient; strips."""

import shlex
import shutil
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
import reference
import scipy.ndimage
from conftest import MEAN, SMALL, loss_rows, random_picture, run_here, stop_at
from test_strips import check

import nst_graph
from nst_graph import images
from nst_graph.commands import paint as cli
from nst_graph.errors import InputError, Pause
from nst_graph.model.guides import guide
from nst_graph.model.objective import Objective, Style
from nst_graph.model.strips import Cut
from nst_graph.runs import page, records
from nst_graph.settings import CHOICES, Settings

LAYERS = {"conv1_2": 0.5, "conv2_1": 0.3, "conv3_2": 0.2}
#: Weights of the two regions.
BLEND = (0.3, 0.7)


def soft(height, width, turned=1):
    """A region with a wavy soft border, in 0..1 as a file keeps it: above, or below and beyond it, where `turned`."""
    y, x = np.mgrid[0:height, 0:width]
    ramp = 0.5 + turned * (height / 2 + 5 * np.sin(x / 6) + 3 * turned - y) / 12
    return (np.round(65535 * np.clip(ramp, 0, 1)) / 65535).astype(np.float32)


def regions(height, width, kind):
    """Two of them, hard ones or soft ones that overlap."""
    several = [soft(height, width), soft(height, width, -1)]
    return [(one > 0.5) * np.float32(1) for one in several] if kind == "hard" else several


def probed(layers, inside):
    """Which positions of each layer see a region: where features differ between pictures of noise there, as theirs."""
    random, responses = np.random.default_rng(0), []
    for _ in range(10):
        noise = 100 * random.normal(size=(*inside.shape, 3)) * inside[..., None]
        responses.append(reference.features(layers, (0, 0, 0), noise, convolution=reference.convolve_fast))
    return {name: (np.ptp([one[name] for one in responses], 0) > 1e-6).any(-1) for name in LAYERS}


def guides_of(layers, mask, how, by):
    """The guides of the layers, by the authors' notebook; `average` by the reference's pooling."""
    mask = mask.astype(np.float64)
    if how == "average":
        found = {}
        for name in LAYERS:
            shares = mask[..., None]
            for _ in range(int(name[4]) - 1):
                shares = reference.pool(shares, "average")
            found[name] = shares[..., 0]
    elif how == "simple":
        sides = {name: [side >> int(name[4]) - 1 for side in mask.shape] for name in LAYERS}
        zooms = {name: np.divide(sides[name], mask.shape) for name in LAYERS}
        found = {name: scipy.ndimage.zoom(mask, zooms[name], mode="nearest") for name in LAYERS}
    else:
        seen = probed(layers, mask >= 0.5 if how == "all" else mask < 0.5)
        found = {name: (one if how == "all" else ~one).astype(np.float64) for name, one in seen.items()}
    if by:
        found = {name: widened(one >= 0.5, by) for name, one in found.items()}
    return {name: np.sqrt(one) if how == "average" else one for name, one in found.items()}


def widened(region, by):
    """A position is in where any neighbour is; where it is narrower, unless more than one is not."""
    padded = np.pad(region, abs(by), "symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * abs(by) + 1,) * 2)
    outside = (~windows).sum((2, 3))
    return (outside < windows[0, 0].size if by > 0 else region & (outside <= 1)).astype(np.float64)


def normalised(guide):
    return guide / np.sqrt(np.mean(guide**2))


def guided_gram(features, guide):
    return reference.gram(features * normalised(guide)[..., None]) / guide.size


def guided_mean(features, guide):
    return np.mean(features * normalised(guide)[..., None], (0, 1))


def start_loss(network_file, photo, style, settings, kind):
    """The style term of the start, painted through the front door."""
    masks = {"masks": regions(*photo.shape[:2], kind), "style_masks": regions(*style.shape[:2], kind)}
    return nst_graph.paint(photo, style, settings, weights_file=network_file, **masks).outcome.step.terms["style"]


@pytest.mark.parametrize(("kind", "sums"), [("hard", 0.0), ("soft", 0.0), ("soft", 1e3)])
@pytest.mark.parametrize(
    ("how", "by"),
    [("average", 0), ("simple", 0), ("inside", 0), ("all", 0), ("inside", 2), ("simple", -1), ("all", -2)],
)
def test_regions_of_one_painting(layers, network, network_file, how, by, kind, sums):
    """Each region's Gram matrix, or its means beside one Gram matrix of all; of pictures of odd, different shapes."""
    photo, style = random_picture(61, 83, 1).round(), random_picture(75, 57, 2).round()
    settings = Settings(
        iterations=0, size=None, style_shape="own", style_layers=LAYERS, style_loss="mean", style_blend=BLEND,
        guides=how, widen_guides=by, guided_sums=sums, convolutions="direct",
    )  # fmt: skip
    found = start_loss(network_file, photo, style, settings, kind)

    start = images.start(photo, network.mean, 1.0, 0)
    painted, wanted = (reference.features(layers, MEAN, p, convolution=reference.convolve_fast) for p in (start, style))
    several = zip(BLEND, regions(61, 83, kind), regions(75, 57, kind), strict=True)
    compare, factor = (guided_mean, sums) if sums else (guided_gram, 1)
    expected = 0
    for share, mask, style_mask in several:
        guides, style_guides = (guides_of(layers, one, how, by) for one in (mask, style_mask))
        for name, weight in LAYERS.items():
            difference = compare(painted[name], guides[name]) - compare(wanted[name], style_guides[name])
            expected += share * weight * factor * np.mean(difference**2)
    for name, weight in LAYERS.items() if sums else ():
        whole = [reference.gram(some[name]) / some[name][..., 0].size for some in (painted, wanted)]
        expected += weight * np.mean((whole[0] - whole[1]) ** 2)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", CHOICES["style_loss"])
def test_a_white_style_mask_changes_nothing(network_file, loss):
    """Masks without style masks are guides of the photograph alone; the numbers are the same to the last digit."""
    photo, style = random_picture(43, 52, 1), random_picture(43, 52, 2)
    settings = replace(SMALL, iterations=0, style_loss=loss, convolutions="direct")
    masks, white = soft(43, 52), np.ones((43, 52), np.float32)
    found = [
        nst_graph.paint(photo, style, settings, weights_file=network_file, masks=masks, style_masks=some).outcome.step
        for some in ((), white)
    ]
    assert found[0].total == found[1].total


@pytest.mark.parametrize("changes", [{"guides": "simple"}, {"guides": "inside", "guided_sums": 100.0}, {}])
def test_the_gradient_is_the_slope(network, changes):
    """By finite differences in float64, along random directions."""
    size, random = (37, 45), np.random.default_rng(3)
    settings = Settings(alpha=0.0, style_layers=LAYERS, **changes)
    several = zip(BLEND, regions(*size, "soft"), regions(41, 36, "soft"), strict=True)
    styles = [Style(random_picture(41, 36, 2), *region) for region in several]
    part, picture = network.upto(settings.layers), random_picture(*size, 1).astype(np.float64)
    with Objective(part, picture, styles, settings, np.float64) as objective:
        gradient = objective(picture).gradient
        for _ in range(3):
            step = 1e-5 * random.normal(size=picture.shape)
            slope = objective(picture + step).total - objective(picture - step).total
            assert slope == pytest.approx(2 * np.sum(gradient * step), rel=1e-5)


@pytest.mark.parametrize("cut", [Cut(1, 32), Cut(5, 32)])
@pytest.mark.parametrize("changes", [{"guides": "simple"}, {"guides": "all", "guided_sums": 10.0}])
def test_strips(network, cut, changes):
    """The painting's statistics are added up in strips too."""
    size, style = (150, 210), random_picture(170, 131, 3)
    pairs = zip(regions(*size, "soft"), regions(170, 131, "soft"), strict=True)
    check(network, size, cut, Settings(**changes), [Style(style, 0.5, *pair) for pair in pairs], rel=1e-11)


def test_masks_that_leave_nothing_to_compare(network, paint):
    dot = np.zeros((48, 64), np.float32)
    dot[20:23, 30:33] = 1
    inside = replace(SMALL, iterations=0, guides="inside", style_layers={"conv3_1": 1.0})
    assert not guide(network, dot, "conv3_1", inside).any() and guide(network, dot, "conv1_1", inside).sum() == 1
    for masks in ({"masks": dot}, {"masks": 1 - dot, "style_masks": dot}):
        with pytest.raises(InputError, match=rf"{[*masks][-1][:-1].replace('_', '-')}-1.*: at 64 x 48 it covers no"):
            paint(settings=inside, **masks)
    # At conv1_1 one position is enough.
    assert paint(settings=replace(inside, style_layers={"conv1_1": 1.0, "conv3_1": 1.0}), masks=dot).outcome.step.total
    with pytest.raises(InputError, match="masks: 2 for 1 style; give one for each style"):
        paint(masks=[dot, dot])
    with pytest.raises(InputError, match="style_masks: 3 for 2 styles; give one for each style"):
        paint("painting.png", "other.png", style_masks=[dot] * 3)


def test_commands(pictures_dir, network_file, tmp_path):
    """One painting with two regions: its run goes on, its page paints it again; a list takes it, too."""
    for name, size in (("", (48, 64)), ("their-", (40, 56))):
        for part, mask in zip(("sky", "town"), regions(*size, "soft"), strict=True):
            iio.imwrite(tmp_path / f"{name}{part}.png", np.uint8(255 * mask))
    pictures = [str(pictures_dir / name) for name in ("photo.png", "painting.png")]
    masks, style_masks = ([str(tmp_path / f"{name}{part}.png") for part in ("sky", "town")] for name in ("", "their-"))
    words = ["--masks", *masks, "--style-masks", *style_masks, "--weights", network_file, "--iterations", 6]
    words += ["--guides", "inside", "--widen-guides", 1, "--style-layers", "conv1_1", "conv2_1", "--save-every", 2]
    assert run_here("paint.py", *pictures, *words, "--output", tmp_path / "whole").returncode == 0
    record = records.read(tmp_path / "whole")
    named = {name: [source["path"] for source in record[name]] for name in ("styles", "masks", "style_masks")}
    assert named == {"styles": [pictures[1]] * 2, "masks": masks, "style_masks": style_masks}

    options = page.fewest_options(records.settings(record, tmp_path))
    again = cli.job(shlex.split(page.paint_command(record, options))[2:])
    given = {"weights_file": network_file, "masks": masks, "style_masks": style_masks, "output": tmp_path / "run"}
    with pytest.raises(Pause):
        nst_graph.paint(again.content, again.styles, again.settings, **given, observers=[stop_at(4)])
    for name in style_masks:
        (tmp_path / "gone").mkdir(exist_ok=True)
        shutil.move(name, tmp_path / "gone")
    assert run_here("paint.py", "--resume", tmp_path / "run").returncode == 0  # from the copies in it
    for name in style_masks:
        shutil.move(tmp_path / "gone" / name.rsplit("/", 1)[1], name)
    whole, run = (loss_rows(tmp_path / name)[-1] for name in ("whole", "run"))
    assert run["iteration"] == "6" and float(run["total"]) == pytest.approx(float(whole["total"]), rel=0.01)

    rows = "content,styles,masks,style_masks,guides,iterations,weights,output\n"
    rows += f"{pictures[0]},{pictures[1]},{';'.join(masks)},{';'.join(style_masks)},inside,2,{network_file},listed\n"
    (tmp_path / "list.csv").write_text(rows)
    assert run_here("paint_many.py", tmp_path / "list.csv").returncode == 0
    assert len(records.read(tmp_path / "listed")["style_masks"]) == 2
