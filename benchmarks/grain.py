#!/usr/bin/env python3
"""Borders and grain of pictures, in a line each.

    python benchmarks/grain.py output/photo-painting/final.png

Borders: the mean absolute difference of a picture's outermost row or column to the next, of that to the one
after it, and so on, all four sides together, over that of neighbours everywhere but the ten outermost.
Grain: the root mean square of a picture less its mean over 3 x 3 pixels, in grey levels; and its colour part,
which is what differs from the mean of the channels.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter

from nst_graph import images

LINES, INSIDE = 4, 10


def borders(picture):
    """The steps of the outermost lines to the next, over those inside [LINES]."""
    inner = picture[INSIDE:-INSIDE, INSIDE:-INSIDE]
    inside = np.concatenate([np.abs(np.diff(inner, axis=axis)).ravel() for axis in (0, 1)]).mean()
    sides = [turned[: LINES + 1] for turned in (np.rot90(picture, turn) for turn in range(4))]
    steps = [np.abs(np.diff(side, axis=0)).reshape(LINES, -1) for side in sides]
    return np.concatenate(steps, axis=1).mean(axis=1) / inside


def grain(picture):
    """All of it, and its colour part."""
    fine = picture - uniform_filter(picture, (3, 3, 0))
    return [float(np.sqrt(np.mean(part**2))) for part in (fine, fine - fine.mean(axis=-1, keepdims=True))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+", type=Path)
    print("| picture | steps at the border, from outside | grain | of colour |\n|---|---|---|---|")
    for path in parser.parse_args().pictures:
        picture = images.read(path).astype(np.float64)
        steps = " ".join(f"{step:.2f}" for step in borders(picture))
        print("| {} | {} | {:.1f} | {:.1f} |".format(path, steps, *grain(picture)))


if __name__ == "__main__":
    main()
