#!/usr/bin/env python3
"""Paint nst_graph/commands/example-painting.jpg, the example's style: a storm at sunset in long brush strokes.

    python docs/example_painting.py nst_graph/commands/example-painting.jpg

The picture is the project's own, so that the example needs no one's leave. Strokes run along a
field of directions, from broad to fine, each of bristles that differ a little in lightness.
"""

import sys

import imageio.v3 as iio
import numpy as np
from PIL import Image, ImageDraw

WIDTH, HEIGHT, SCALE = 720, 540, 2
VORTICES = [(0.30, 0.30, 1.0, 0.16), (0.58, 0.22, -1.0, 0.12), (0.80, 0.42, 1.0, 0.10), (0.08, 0.12, -1.0, 0.10)]
SUN = (0.79, 0.40)
HORIZON = 0.66


def direction(x, y):
    """The angle of a stroke at x, y in 0..1."""
    dx, dy = np.ones_like(x), 0.25 * np.sin(9 * x + 2 * y) + 0.1 * np.sin(23 * y)
    for cx, cy, turn, reach in VORTICES:
        rx, ry = x - cx, (y - cy) * HEIGHT / WIDTH
        pull = 5 * np.exp(-(rx**2 + ry**2) / reach**2)
        distance = np.hypot(rx, ry) + 1e-3
        dx, dy = dx + pull * turn * -ry / distance, dy + pull * turn * rx / distance
    water = y > HORIZON
    dy = np.where(water, 0.18 * np.sin(30 * x + 40 * y), dy)
    dx = np.where(water, 1.0, dx)
    hill = (y > ridge(x)) & ~water
    return np.where(hill, 1.1 + 1.2 * np.sin(7 * x), np.arctan2(dy, dx))


def ridge(x):
    """The height of the hills' edge."""
    return HORIZON - 0.10 - 0.07 * np.sin(5 * x + 0.6) - 0.03 * np.sin(17 * x)


def colour(x, y, rng):
    """RGB of a stroke at x, y: the motif, with the liberty of a palette."""
    distance = np.hypot(x - SUN[0], (y - SUN[1]) * HEIGHT / WIDTH)
    swirl = np.sin(6 * direction(x, y) + 26 * y) * 0.5 + 0.5
    if y > HORIZON:
        glint = np.exp(-((x - SUN[0]) ** 2) / 0.012) * (0.6 + 0.4 * np.sin(90 * y))
        palette = [(14, 52, 84), (22, 96, 118), (60, 150, 150), (238, 120, 48), (250, 200, 96)]
        place = (0.45 * rng.random() + 0.25 * swirl) if rng.random() > glint else 0.75 + 0.25 * rng.random()
    elif y > ridge(x):
        palette = [(18, 20, 48), (40, 28, 70), (92, 36, 66), (24, 74, 66), (150, 60, 50)]
        place = rng.random() ** 1.6
    else:
        palette = [
            (252, 240, 190),
            (253, 196, 72),
            (240, 104, 44),
            (186, 48, 62),
            (70, 44, 116),
            (26, 60, 130),
            (30, 110, 150),
        ]
        rings = 0.05 * np.sin(95 * distance)
        place = np.clip(1.75 * distance**0.75 + rings + 0.32 * (swirl - 0.5) + 0.10 * rng.standard_normal(), 0, 1)
    position = np.clip(place, 0, 1) * (len(palette) - 1)
    low = min(int(position), len(palette) - 2)
    mixed = np.array(palette[low]) + (position - low) * (np.array(palette[low + 1]) - np.array(palette[low]))
    return mixed + 12 * rng.standard_normal(3)


def main(path):
    rng = np.random.RandomState(1)
    canvas = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), (30, 40, 80))
    draw = ImageDraw.Draw(canvas)
    for count, length, width in ((2500, 90, 16), (6000, 60, 9), (9000, 38, 5), (5000, 24, 3)):
        for _ in range(count):
            at = rng.random(2)
            ink = colour(*at, rng)
            line = []
            for _ in range(12):
                line.append(at * (WIDTH, HEIGHT))
                angle = direction(*at)
                at = at + length / 12 * np.array([np.cos(angle) / WIDTH, np.sin(angle) / HEIGHT])
            line = np.array(line)
            along = np.gradient(line, axis=0)
            across = np.stack([-along[:, 1], along[:, 0]], 1) / np.maximum(np.linalg.norm(along, axis=1), 1e-6)[:, None]
            taper = np.sin(np.linspace(0.25, np.pi - 0.15, 12))[:, None]
            for bristle in np.linspace(-0.5, 0.5, max(3, width)):
                shade = 16 * rng.standard_normal() - 26 * bristle
                points = (line + across * taper * bristle * width) * SCALE
                draw.line([tuple(p) for p in points], tuple(np.clip(ink + shade, 0, 255).astype(int)), 3)
    painted = canvas.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    iio.imwrite(path, np.asarray(painted), quality=88)


if __name__ == "__main__":
    main(sys.argv[1])
