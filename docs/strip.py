#!/usr/bin/env python3
"""Lay pictures out in rows of one height, with a title above each, as one JPEG for the documents.

python docs/strip.py docs/control-scale.jpg --height 300 --columns 3 "the STYLE=the_scream.jpg" ...
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sheet", type=Path)
    parser.add_argument("pictures", nargs="+", metavar="TITLE=FILE")
    parser.add_argument("--height", type=int, default=300, help="of each picture, in pixels")
    parser.add_argument("--columns", type=int, default=3)
    args = parser.parse_args()
    titles, images = [], []
    for word in args.pictures:
        title, _, path = word.rpartition("=")
        image = Image.open(path).convert("RGB")
        titles.append(title)
        images.append(image.resize((round(image.width * args.height / image.height), args.height), Image.LANCZOS))
    rows = [slice(first, first + args.columns) for first in range(0, len(images), args.columns)]
    width = max(sum(image.width + 8 for image in images[row]) for row in rows)
    figure = plt.figure(figsize=(width / 100, len(rows) * (args.height + 26) / 100), dpi=100)
    for place, row in enumerate(rows, 1):
        left = 4
        for title, image in zip(titles[row], images[row], strict=True):
            bottom = (len(rows) - place) * (args.height + 26)
            figure.figimage(image, left, bottom)
            figure.text(left / width, (bottom + args.height + 7) / figure.bbox.height, title, fontsize=9)
            left += image.width + 8
    figure.savefig(args.sheet, pil_kwargs={"quality": 88})


if __name__ == "__main__":
    main()
