"""Timelapses: the saved pictures of a run as a film."""

import importlib.util
import io
import math
from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as iio

from nst_graph import pictures
from nst_graph.errors import InputError

#: Frames per second, and how often the last frame is repeated.
RATE, STILL = 8, 8


def check(kind: str) -> None:
    """Raise InputError if the package that writes this kind is missing."""
    if kind == "mp4" and importlib.util.find_spec("imageio_ffmpeg") is None:
        raise InputError("--timelapse mp4: needs imageio-ffmpeg; pip install 'nst_graph[mp4]', or take gif")


def film(paths: Sequence[Path], kind: str) -> bytes:
    """A gif or mp4 of one or more pictures, resized to the size of the last, which is shown longer."""
    frames = [pictures.read(path, math.inf) for path in paths]
    height, width = frames[-1].shape[:2]
    if kind == "mp4":  # its chroma subsampling needs even sides
        height, width = height - height % 2, width - width % 2
    shown = [pictures.to_bytes(pictures.resize(frame, height, width)) for frame in frames]
    shown += shown[-1:] * STILL
    encoded = io.BytesIO()
    if kind == "gif":
        iio.imwrite(encoded, shown, extension=".gif", plugin="pillow", duration=1000 / RATE, loop=0)
    else:
        iio.imwrite(encoded, shown, extension=".mp4", plugin="FFMPEG", fps=RATE, macro_block_size=2)
    return encoded.getvalue()
