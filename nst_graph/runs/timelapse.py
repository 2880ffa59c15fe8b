"""Timelapses: the saved pictures of a run as a film."""

import importlib.util
import io
import math
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from PIL import Image

from nst_graph import pictures
from nst_graph.errors import InputError

#: Pictures a second, and how many times as long the last one is shown.
RATE, STILL = 8, 9


def check(kind: str) -> None:
    """Raise InputError if the package that writes this kind is missing."""
    if kind == "mp4" and importlib.util.find_spec("av") is None:
        raise InputError("--timelapse mp4: needs av; pip install 'nst_graph[mp4]', or take gif")


def film(paths: Sequence[Path], kind: str) -> bytes:
    """A gif or mp4 of one or more pictures, resized to the size of the last, which is shown longer."""
    height, width = pictures.read(paths[-1], math.inf).shape[:2]
    shown = (pictures.resize(pictures.read(path, math.inf), height, width) for path in paths)
    if kind == "mp4":
        from nst_graph.films import media  # needs av

        times = [Fraction(number, RATE) for number in (*range(len(paths)), len(paths) - 1 + STILL)]
        with tempfile.TemporaryDirectory() as directory:
            media.encode(shown, times, Path(directory, "timelapse.mp4"))
            return Path(directory, "timelapse.mp4").read_bytes()
    encoded = io.BytesIO()
    images = (Image.fromarray(pictures.to_bytes(picture)) for picture in shown)
    spans = [1000 // RATE] * (len(paths) - 1) + [1000 // RATE * STILL]
    next(images).save(encoded, "GIF", save_all=True, append_images=images, duration=spans, loop=0)
    return encoded.getvalue()
