#!/usr/bin/env python3
"""Paint the Neckarfront in the style of The Starry Night, without guides and with: sky as sky, town as town.

    python docs/guides_figure.py Tuebingen_Neckarfront.jpg vangogh_starry_night.jpg docs/control-guides.jpg

draws the masks into output/control-guides/masks, where any painting may use them, paints twice, and lays photograph,
painting and the two results on a sheet, what is town in the first two darker. A painting that broke off goes on.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import nst_graph
from nst_graph.recipes import RECIPES

SETTINGS = replace(RECIPES["studio"].settings, size=512, iterations=60)
#: Where each sky ends, from left to right, in thousandths of width and height.
OUTLINES = {
    "": "0 560, 20 520, 60 480, 160 475, 225 482, 262 445, 325 432, 388 437, 440 402, 520 424, 540 437, 582 422, "
    "600 364, 623 364, 633 281, 645 245, 653 160, 669 240, 682 275, 683 322, 700 315, 707 302, 767 296, 835 281, "
    "917 267, 935 238, 1000 248",
    "starry-": "0 715, 67 743, 144 729, 147 640, 144 560, 150 460, 148 320, 167 407, 178 378, 183 270, 189 140, "
    "194 55, 203 168, 222 320, 239 420, 256 617, 267 590, 283 638, 294 595, 322 673, 370 730, 411 694, 450 686, "
    "478 700, 517 687, 558 665, 568 610, 572 660, 611 648, 644 631, 694 625, 722 638, 778 617, 867 596, 878 568, "
    "906 554, 917 530, 956 505, 1000 507",
}
WIDTH, HEIGHT = 2048, 1536


def draw_masks(directory: Path) -> dict[str, list[Path]]:
    """Draw sky.png and town.png, for the photograph, starry-sky.png and starry-town.png, for the painting.

    They are arguments of nst_graph.paint.
    """
    directory.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name, outline in OUTLINES.items():
        points = [tuple(map(int, pair.split())) for pair in outline.split(",")]
        corners = [(0, 0), *((x * WIDTH / 1000, y * HEIGHT / 1000) for x, y in points), (WIDTH, 0)]
        for part, ground, ink in (("sky", 0, 255), ("town", 255, 0)):
            mask = Image.new("L", (WIDTH, HEIGHT), ground)
            ImageDraw.Draw(mask).polygon(corners, fill=ink)
            paths[name + part] = directory / f"{name}{part}.png"
            mask.save(paths[name + part])
    return {"masks": [paths["sky"], paths["town"]], "style_masks": [paths["starry-sky"], paths["starry-town"]]}


def shaded(picture: Path, mask: Path, size: tuple[int, int]) -> Image.Image:
    """A picture, half as bright where the mask is black."""
    pixels, white = (np.asarray(Image.open(file).convert("RGB").resize(size)) for file in (picture, mask))
    return Image.fromarray((pixels * (0.5 + white / 510)).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("photograph", "painting", "sheet"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    runs = Path(__file__).resolve().parent.parent / "output" / args.sheet.stem
    guides = draw_masks(runs / "masks")
    results = []
    for name, several in (("unguided", {}), ("guided", guides)):
        final = runs / name / "final.png"
        if not final.exists():
            begun = (final.parent / "state.npz").exists()
            how = {"output": final.parent, "resume": begun, "overwrite": not begun, "say": print}
            nst_graph.paint(args.photograph, args.painting, SETTINGS, **several, **how)
        results.append(Image.open(final).convert("RGB"))
    size = results[0].size
    skies = (args.photograph, guides["masks"][0]), (args.painting, guides["style_masks"][0])
    panels = [*(shaded(picture, sky, size) for picture, sky in skies), *results]
    sheet = Image.new("RGB", (2 * size[0] + 8, 2 * size[1] + 8), "white")
    for index, panel in enumerate(panels):
        sheet.paste(panel, (index % 2 * (size[0] + 8), index // 2 * (size[1] + 8)))
    sheet.save(args.sheet, quality=78)


if __name__ == "__main__":
    main()
