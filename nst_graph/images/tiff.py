"""TIFF files with more than 8 bits per channel, of which Pillow reads few, and some wrongly."""

import itertools
import logging
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, PREDICTOR, SAMPLEFORMAT

from nst_graph.errors import DamagedError, InputError, decoding

Floats = npt.NDArray[np.float32]

#: How a TIFF file begins: classic or BigTIFF, in either byte order.
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: What a camera's raw file has: colours of a sensor's picture, or a tag, DNGVersion; how many pages are looked at.
RAW_COLOURS, TAG_DNG, PAGES = (PHOTOMETRIC.CFA, PHOTOMETRIC.LINEAR_RAW), 50706, 64
GREY = (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK)
#: Names for colours that are not supported.
COLOURS: dict[int, str] = dict.fromkeys((PHOTOMETRIC.CIELAB, PHOTOMETRIC.ICCLAB, PHOTOMETRIC.ITULAB), "CIELab")
COLOURS |= {PHOTOMETRIC.SEPARATED: "CMYK", PHOTOMETRIC.PALETTE: "palette", PHOTOMETRIC.YCBCR: "YCbCr"}
#: The bits of the numbers that are read, by their kind.
BITS: dict[int, tuple[int, ...]] = {SAMPLEFORMAT.UINT: (16, 32, 64), SAMPLEFORMAT.INT: (8, 16, 32, 64)}
BITS[SAMPLEFORMAT.IEEEFP] = (16, 32, 64)
DEFLATED = (COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE)
TAG_ORIENTATION, TAG_PROFILE = 274, 34675
#: The brightest highlights, times white, of a floating-point picture whose median does not tell: five stops.
HIGHLIGHTS = 32


def read(path: Path, max_values: int, say: Callable[[str], None]) -> tuple[Floats, str, object, object] | None:
    """Read the first page: values [height, width, 1 to 4] in 0..255, alpha last; mode; profile; EXIF orientation.

    The mode is "L" or "RGB". None for up to 8 bits per channel, which Pillow reads. `say` gets a line if the value of
    white has to be assumed. Raises InputError that names an unsupported property, DamagedError, and for more
    than `max_values` values Pillow's DecompressionBombError.
    """
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    with decoding()(tifffile.TiffFile)(path) as file:
        for raw in itertools.islice(_pages(file), PAGES):
            if raw.photometric in RAW_COLOURS or TAG_DNG in raw.tags:
                raise raw_file(path)
        with decoding():
            page = file.pages.first
        colour, kind, bits = page.photometric, page.sampleformat, page.bitspersample
        if COLOURS.get(colour) == "CIELab":
            raise _unreadable(path, "CIELab colours")
        if kind in (SAMPLEFORMAT.UINT, SAMPLEFORMAT.VOID) and isinstance(bits, int) and bits <= 8:
            return None
        if colour not in (*GREY, PHOTOMETRIC.RGB):
            raise _unreadable(path, f"{COLOURS.get(colour, str(colour))} colours of more than 8 bits")
        if bits not in BITS.get(kind, ()):
            raise _unreadable(path, f"numbers of {bits} bits of the kind {getattr(kind, 'name', kind)}")
        if page.compression not in (COMPRESSION.NONE, *DEFLATED):
            raise _unreadable(path, f"the compression {getattr(page.compression, 'name', page.compression)}")
        sides = (page.imagewidth, *page.shape)
        if not all(isinstance(side, int) and side > 0 for side in sides) or page.axes not in ("YX", "YXS", "SYX"):
            raise DamagedError("sides that are not numbers")  # a tag may have several values
        if math.prod(page.shape) > max_values:
            raise Image.DecompressionBombError
        values = _scaled(path, _values(path, page), say)
        # SYX is one plane per channel.
        values = np.moveaxis(values, 0, -1) if page.axes == "SYX" else values.reshape(*page.shape[:2], -1)
        with decoding():
            orientation, profile = page.tags.valueof(TAG_ORIENTATION, 1), page.tags.valueof(TAG_PROFILE)
        return _channels(values, colour, page.extrasamples), "L" if colour in GREY else "RGB", profile, orientation


def raw_file(path: Path) -> InputError:
    """What is said of a camera's raw file, which is what a sensor saw, beside smaller pictures."""
    return InputError(f"{path}: a camera's raw file; develop it and save it as JPEG, PNG or TIFF")


def _unreadable(path: Path, what: str) -> InputError:
    return InputError(f"{path}: {what}, which cannot be read; save it as RGB with 8 or 16 bits, uncompressed")


def _pages(parent: tifffile.TiffFile | tifffile.TiffPage) -> Iterator[tifffile.TiffPage]:
    """A file's pages, or a page's sub-images, each followed by its own sub-images, up to what is damaged."""
    with suppress(DamagedError):
        with decoding():
            pages: Sequence[Any] = parent.pages or ()
        for index in itertools.count():
            with decoding():
                page = pages[index]  # beyond the last this is an IndexError
            yield page
            yield from _pages(page)


def _values(path: Path, page: tifffile.TiffPage) -> npt.NDArray[Any]:
    """The stored values of a page in its own shape."""
    width = np.dtype(page.dtype).itemsize
    data = _unpacked(page, math.prod(page.shape) * width) if page.compression in DEFLATED else b""
    if page.predictor != PREDICTOR.FLOATINGPOINT:
        with decoding():
            return np.asarray(page.asarray())
    if page.is_tiled:
        raise _unreadable(path, "a floating-point predictor in tiles")
    # Adobe's Technical Note 3, which tifffile lacks: each row has the first bytes of all values, then the second ones,
    # and so on, all stored as differences.
    samples = page.shape[-1] if page.axes == "YXS" else 1
    with decoding():
        rows = np.frombuffer(data, np.uint8, math.prod(page.shape) * width)
    rows = rows.reshape(-1, page.imagewidth * width, samples)
    planes = rows.cumsum(axis=1, dtype=np.uint8).reshape(len(rows), width, -1).swapaxes(1, 2)
    return np.ascontiguousarray(planes).view(f">f{width}").reshape(page.shape)


def _unpacked(page: tifffile.TiffPage, size: int) -> bytes:
    """The unpacked strips or tiles, checked to be no larger than the page, since they may expand a thousandfold."""
    strips, remaining = [], 2 * size + 2**20  # tiles may reach beyond the border
    for offset, length in zip(page.dataoffsets, page.databytecounts, strict=False):
        with decoding():
            page.parent.filehandle.seek(offset)
            packed = page.parent.filehandle.read(length)
        with decoding():
            strips.append(zlib.decompressobj().decompress(packed, remaining + 1))
        remaining -= len(strips[-1])
        if remaining < 0:
            raise DamagedError("it unpacks to more than its pixels")
    return b"".join(strips)


def _scaled(path: Path, values: npt.NDArray[Any], say: Callable[[str], None]) -> Floats:
    """Scale values to 0..255; what is signed or floating point may leave that."""
    bits = 8 * values.dtype.itemsize
    white: float
    if values.dtype.kind == "f":
        white = _white(path, values, say)
    elif values.dtype.kind == "u":
        white = 2**bits - 1
    elif values.min() < 0:
        raise _unreadable(path, "signed numbers below zero")
    else:
        say(f"{path}: signed numbers of {bits} bits, taken as 0 for black to {2 ** (bits - 1) - 1} for white")
        # As programs have it that shift 8-bit values; other scales differ by less than a level.
        white = 255 * 2.0 ** (bits - 9)
    return values.astype(np.float32) * np.float32(255 / white)


def _white(path: Path, values: npt.NDArray[Any], say: Callable[[str], None]) -> int:
    """Guess the value of white in floating-point data, which TIFF does not define.

    1 if no value is larger. Where there are fractions, it is 1 too if the largest value is at most HIGHLIGHTS,
    or the median at most 1: larger values are highlights, and cut. But values that end at 255 or at 65535 were
    cut there before, however dark the rest. Else it is 255, or 65535 if there are larger values than that. So
    a dark picture in 0..255 must have a value above HIGHLIGHTS; one that has none would be nearly black.
    """
    least, most = float(values.min()), float(values.max())
    if not math.isfinite(least) or not math.isfinite(most):
        raise _unreadable(path, "values that are no numbers")
    if least < -0.1 * max(most, 1):
        raise _unreadable(path, f"values below zero, down to {least:g}")
    fractions = bool((values != np.rint(values)).any())
    highlights = fractions and round(most) not in (255, 65535)
    if most <= 1.001 or (highlights and (most <= HIGHLIGHTS or float(np.median(values)) <= 1)):
        white = 1
    elif most <= 65535.5:
        white = 255 if most <= 255.5 else 65535
    else:
        raise _unreadable(path, f"values up to {most:g}")
    note = "; values above 1 are cut" if white == 1 and most > 1.001 else ""
    say(f"{path}: floating-point values from {least:g} to {most:g}, taken as 0 for black to {white} for white{note}")
    return white


def _channels(values: Floats, colour: int, extras: Sequence[int]) -> Floats:
    """Grey or RGB in 0..255, followed by straight alpha if there is any; other channels are dropped."""
    count = 1 if colour in GREY else 3
    values = np.clip(values, 0, 255)
    picture = 255 - values[..., :count] if colour == PHOTOMETRIC.MINISWHITE else values[..., :count]
    for channel, extra in zip(range(count, values.shape[-1]), extras, strict=False):
        if extra in (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA):
            alpha = values[..., channel : channel + 1]
            if extra == EXTRASAMPLE.ASSOCALPHA:
                picture = np.clip(picture * 255 / np.maximum(alpha, 1e-3), 0, 255)
            return np.concatenate([picture, alpha], axis=-1, dtype=np.float32)
    return picture
