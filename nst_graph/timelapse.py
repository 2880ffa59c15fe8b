"""A timelapse: the saved pictures of a run as a film."""

from __future__ import annotations

import importlib.util
import io
import math
from pathlib import Path

import imageio.v3 as iio

from nst_graph import files, pictures
from nst_graph.errors import InputError

#: Pictures a second, and how often the last is repeated.
RATE, STILL = 8, 8


def check(kind: str) -> None:
    """Raise InputError where this kind cannot be written here."""
    if kind == "mp4" and importlib.util.find_spec("imageio_ffmpeg") is None:
        raise InputError("--timelapse mp4: needs imageio-ffmpeg; pip install 'nst_graph[mp4]', or take gif")


def write(directory: Path, kind: str, shape: tuple[int, ...]) -> None:
    """Write timelapse.gif or .mp4 from the directory's iteration-*.png, all brought to `shape`.

    Without saved pictures there is no film. Raises OSError as open and write do.
    """
    height, width = shape
    if kind == "mp4":  # its colours come in blocks of two by two pixels
        height, width = height - height % 2, width - width % 2
    names = sorted(directory.glob("iteration-*.png"))
    if not names:
        return
    frames = [pictures.to_bytes(pictures.resize(pictures.read(name, math.inf), height, width)) for name in names]
    frames += frames[-1:] * STILL
    film = io.BytesIO()
    if kind == "gif":
        iio.imwrite(film, frames, extension=".gif", plugin="pillow", duration=1000 / RATE, loop=0)
    else:
        iio.imwrite(film, frames, extension=".mp4", plugin="FFMPEG", fps=RATE, macro_block_size=2)
    with files.atomic(directory / f"timelapse.{kind}") as file:
        file.write(film.getvalue())
