#!/usr/bin/env python3
"""Paint one photograph in one style by every recipe, or with single options, on one labelled sheet.

    python docs/contact_sheet.py photo.jpg painting.jpg docs/recipes.jpg
    python docs/contact_sheet.py photo.jpg painting.jpg docs/controls.jpg --controls --iterations 150

Each recipe runs at its own size for its own iterations, unless --size or --iterations says otherwise: that
takes a night. Recipes for the rescaled network take it from model/ (scripts/get_weights.py rescale) and are
left out without it. With --controls, what single options do to one painting is shown instead. A sheet that
broke off goes on where it was.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import matplotlib.pyplot as plt

import nst_graph
from nst_graph.recipes import RECIPES
from nst_graph.settings import equal

STUDIO = RECIPES["studio"].settings
#: What is painted, by the options that name it beside --recipe studio.
CONTROLS = {
    "no option": STUDIO,
    "--colours luminance": replace(STUDIO, colours="luminance"),
    "--colours covariance": replace(STUDIO, colours="covariance"),
    "--style-scale 0.5": replace(STUDIO, style_scale=0.5),
    "--style-layers conv1_1 conv2_1": replace(STUDIO, style_layers=equal(["conv1_1", "conv2_1"])),
    "--init noise": replace(STUDIO, init="noise"),
    "--init noise --alpha 0": replace(STUDIO, init="noise", alpha=0.0),
    "--beta 10000": replace(STUDIO, beta=1e4),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("content", type=Path)
    parser.add_argument("style", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--size", type=int)
    parser.add_argument("--iterations", type=int)
    parser.add_argument("--controls", action="store_true")
    given = parser.parse_args()
    wanted = CONTROLS if given.controls else {name: recipe.settings for name, recipe in RECIPES.items()}
    runs = Path(__file__).resolve().parent.parent / "output" / given.sheet.stem

    panels = []
    for name, settings in wanted.items():
        changed = {option: getattr(given, option) for option in ("size", "iterations") if getattr(given, option)}
        settings = replace(settings, **changed)
        final = runs / name / "final.png"
        if not final.exists():
            print(f"{name}: {settings.iterations} iterations", flush=True)
            begun = (final.parent / "state.npz").exists()
            try:
                nst_graph.paint(
                    given.content, given.style, settings, output=final.parent, resume=begun, overwrite=not begun
                )
            except nst_graph.InputError as error:
                print(f"{name} is left out: {error}")
                continue
        picture = iio.imread(final)
        steps = sum(settings.scale_iterations) + settings.iterations
        height, width = picture.shape[:2]
        panels.append((name if given.controls else f"{name}, {width} x {height}, {steps} steps", picture))

    columns = 4
    rows = -(-len(panels) // columns)
    height, width = panels[0][1].shape[:2]
    figure, axes = plt.subplots(rows, columns, figsize=(16, 16 * rows * (height + 40) / (columns * width)))
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, picture) in zip(axes.flat, panels, strict=False):
        axis.imshow(picture)
        axis.set_title(title, fontsize=11)
    figure.tight_layout(pad=0.4)
    figure.savefig(given.sheet, dpi=80, pil_kwargs={"quality": 85})


if __name__ == "__main__":
    main()
