"""Timelapses: the saved pictures of a run as a film."""

import importlib.util
import io
import math
from itertools import chain, repeat
from pathlib import Path

import imageio.v3 as iio
from PIL import Image

from nst_graph import images
from nst_graph.errors import InputError, decoding

#: Frames per second, and how often the last frame is repeated.
RATE, STILL = 8, 8


def check(kind: str) -> None:
    """Raise InputError if the package that writes this kind is missing."""
    if kind == "mp4" and importlib.util.find_spec("av") is None:
        raise InputError("--timelapse mp4: needs av; pip install 'nst_graph[mp4]', or take gif")


def film(directory: Path, kind: str) -> bytes:
    """A gif or mp4 of a run's saved pictures, resized to the size of the final one, which is shown longer.

    Raises DamagedError where it cannot be written.
    """
    saved, final = sorted(directory.glob("iteration-*.png")), directory / "final.png"
    if saved and saved[-1].read_bytes() == final.read_bytes():
        del saved[-1]
    height, width = images.read(final, math.inf).shape[:2]
    if kind == "mp4":  # its chroma subsampling needs even sides
        height, width = height - height % 2, width - width % 2
    read = (images.read(path, math.inf) for path in chain(saved, repeat(final, 1 + STILL)))
    shown = (images.to_bytes(images.resize(picture, height, width)) for picture in read)
    encoded = io.BytesIO()
    if kind == "gif":
        frames = map(Image.fromarray, shown)
        with decoding():
            next(frames).save(encoded, "GIF", save_all=True, append_images=frames, duration=1000 // RATE, loop=0)
        return encoded.getvalue()
    with decoding()(iio.imopen)(encoded, "w", extension=".mp4", plugin="pyav") as mp4:
        for picture in shown:
            decoding()(mp4.write)(picture, codec="libx264", fps=RATE, is_batch=False)
    return encoded.getvalue()
