#!/usr/bin/env python3
"""Draw the masks of docs/control-guides.jpg: the skies of the Neckarfront and of The Starry Night, and what is not sky.

    python docs/sky_masks.py masks

writes sky.png and town.png, for the photograph, starry-sky.png and starry-town.png, for the painting, into masks/. They
are outlines, from left to right in thousandths of width and height, and fit the pictures at any size.
"""

import sys
from pathlib import Path

from PIL import Image, ImageDraw

#: Where each sky ends.
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


def main(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, outline in OUTLINES.items():
        points = [tuple(map(int, pair.split())) for pair in outline.split(",")]
        corners = [(0, 0), *((x * WIDTH / 1000, y * HEIGHT / 1000) for x, y in points), (WIDTH, 0)]
        for part, ground, ink in (("sky", 0, 255), ("town", 255, 0)):
            mask = Image.new("L", (WIDTH, HEIGHT), ground)
            ImageDraw.Draw(mask).polygon(corners, fill=ink)
            mask.save(directory / f"{name}{part}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
