"""TIFF files with more than 8 bits a colour, which Pillow reads in part or wrongly."""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, PREDICTOR, SAMPLEFORMAT

from nst_graph.errors import InputError

Floats = npt.NDArray[np.float32]

#: How a TIFF file begins, of either byte order, classic and BigTIFF.
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
DEFLATED = (COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE)
GREY = (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK)
#: How long numbers of each kind may be.
BITS: dict[int, tuple[int, ...]] = {SAMPLEFORMAT.UINT: (16, 32, 64), SAMPLEFORMAT.INT: (8, 16, 32, 64)}
BITS[SAMPLEFORMAT.IEEEFP] = (16, 32, 64)
#: What colours are called that cannot be read.
COLOURS: dict[int, str] = {PHOTOMETRIC.CIELAB: "CIELab", PHOTOMETRIC.ICCLAB: "CIELab", PHOTOMETRIC.ITULAB: "CIELab"}
COLOURS |= {PHOTOMETRIC.SEPARATED: "CMYK", PHOTOMETRIC.PALETTE: "palette", PHOTOMETRIC.YCBCR: "YCbCr"}
TAG_ORIENTATION = 274


def read(path: Path, most: int, say: Callable[[str], None]) -> tuple[Floats, int] | None:
    """The first page's values [height, width, 1 to 4] in 0..255, alpha last, and its EXIF orientation.

    None where it has 8 bits a colour, or fewer, which Pillow reads. `most` is the number of values
    that memory allows. What a range is guessed to be is said. Raises InputError where a property of the
    file, which is named, keeps it from being read, and whatever a broken file leads to.
    """
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        colour = page.photometric
        if COLOURS.get(colour) == "CIELab":
            raise _unreadable(path, "CIELab colours")
        kind, bits = page.sampleformat, page.bitspersample
        if kind in (SAMPLEFORMAT.UINT, SAMPLEFORMAT.VOID) and isinstance(bits, int) and bits <= 8:
            return None
        if colour not in (*GREY, PHOTOMETRIC.RGB):
            raise _unreadable(path, f"{COLOURS.get(colour, str(colour))} colours of more than 8 bits")
        if bits not in BITS.get(kind, ()):
            raise _unreadable(path, f"numbers of {bits} bits of the kind {getattr(kind, 'name', kind)}")
        if page.compression not in (COMPRESSION.NONE, *DEFLATED):
            raise _unreadable(path, f"the compression {getattr(page.compression, 'name', page.compression)}")
        sides = (page.imagewidth, *page.shape)
        if not all(isinstance(side, int) and side > 0 for side in sides):  # a tag may hold several numbers
            raise ValueError("sides that are no numbers")
        if math.prod(sides[1:]) > most:
            raise TooLargeError(" x ".join(map(str, sides[1:])) + " numbers")
        values = _values(path, page)
        if page.axes == "YX":
            values = values[..., None]
        elif page.axes == "SYX":  # one colour after the other
            values = np.moveaxis(values, 0, -1)
        elif page.axes != "YXS":
            raise ValueError(f"axes {page.axes}")
        orientation = page.tags[TAG_ORIENTATION].value if TAG_ORIENTATION in page.tags else 1
        scaled = _scaled(path, values, say)
        return _channels(scaled, colour, page.extrasamples), orientation


class TooLargeError(Exception):
    """So many numbers take more memory than is allowed."""


def _unreadable(path: Path, what: str) -> InputError:
    return InputError(f"{path}: {what}, which cannot be read; save it as RGB with 8 or 16 bits, uncompressed")


def _values(path: Path, page: tifffile.TiffPage) -> npt.NDArray[np.generic]:
    """The numbers of a page in its own shape."""
    number = np.dtype(page.dtype)
    size = math.prod(page.shape) * number.itemsize
    strips = list(_strips(page, size)) if page.compression in DEFLATED or page.predictor != PREDICTOR.NONE else []
    if page.predictor != PREDICTOR.FLOATINGPOINT:
        return np.asarray(page.asarray())
    if page.is_tiled:
        raise _unreadable(path, "a floating-point predictor in tiles")
    # Adobe's Technical Note 3: of each row the first bytes of all numbers, then the second ...; then differences.
    samples = page.shape[-1] if page.axes == "YXS" else 1
    rows = np.frombuffer(b"".join(strips), np.uint8)[:size].reshape(-1, page.imagewidth, number.itemsize * samples)
    summed = rows.reshape(len(rows), -1, samples).cumsum(axis=1, dtype=np.uint8)
    planes = summed.reshape(len(rows), number.itemsize, -1).swapaxes(1, 2)
    return np.ascontiguousarray(planes).view(number.newbyteorder(">")).reshape(page.shape)


def _strips(page: tifffile.TiffPage, size: int) -> Iterator[bytes]:
    """Strips or tiles, unpacked to no more than the page has: one may unpack to a thousand times its length."""
    room = 2 * size + 2**20  # tiles reach beyond the border
    for offset, length in zip(page.dataoffsets, page.databytecounts, strict=True):
        page.parent.filehandle.seek(offset)
        data = page.parent.filehandle.read(length)
        if page.compression in DEFLATED:
            data = zlib.decompressobj().decompress(data, room + 1)
        room -= len(data)
        if room < 0:
            raise ValueError("it unpacks to more than its pixels")
        yield data


def _scaled(path: Path, values: npt.NDArray[Any], say: Callable[[str], None]) -> Floats:
    """Numbers brought to 0..255."""
    if np.issubdtype(values.dtype, np.floating):
        scaled: Floats = values.astype(np.float32) * np.float32(255 / _white(path, values, say))
        return scaled
    bits = 8 * values.dtype.itemsize
    if np.issubdtype(values.dtype, np.unsignedinteger):
        scaled = values.astype(np.float32) * np.float32(255 / (2**bits - 1))
        return scaled
    if values.min() < 0:
        raise _unreadable(path, "signed numbers below zero")
    say(f"{path}: signed numbers of {bits} bits, taken as 0 for black to {2 ** (bits - 1) - 1} for white")
    # A level is 2^(bits - 9): as programs shift 8 bits up, and within one level of any other way.
    scaled = np.minimum(values.astype(np.float32) * np.float32(2.0 ** (9 - bits)), 255, dtype=np.float32)
    return scaled


def _white(path: Path, values: npt.NDArray[Any], say: Callable[[str], None]) -> float:
    """What number is white in floating-point values, which no file says.

    1 where no value is above, or where half of them are not above and some are no whole numbers: a
    picture with highlights brighter than white. Else 255, or 65535 where there are values above that.
    """
    least, most = float(values.min()), float(values.max())
    if not math.isfinite(least) or not math.isfinite(most):
        raise _unreadable(path, "values that are no numbers")
    if least < -0.1 * max(most, 1):
        raise _unreadable(path, f"values below zero, down to {least:g}")
    whole = bool((values == np.rint(values)).all())
    if most <= 1.001 or (not whole and float(np.median(values)) <= 1):
        white = 1
    elif most <= 65535.5:
        white = 255 if most <= 255.5 else 65535
    else:
        raise _unreadable(path, f"values up to {most:g}")
    say(f"{path}: floating-point values from {least:g} to {most:g}, taken as 0 for black to {white} for white")
    return white


def _channels(values: Floats, colour: int, extras: tuple[int, ...]) -> Floats:
    """Grey or RGB, and alpha, not multiplied in, if there is one; other bands are left out."""
    count = 1 if colour in GREY else 3
    picture = np.clip(values[..., :count], 0, 255)
    if colour == PHOTOMETRIC.MINISWHITE:
        picture = 255 - picture
    for band, extra in enumerate(extras, count):
        if extra in (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA):
            alpha = np.clip(values[..., band : band + 1], 0, 255)
            if extra == EXTRASAMPLE.ASSOCALPHA:
                picture = np.clip(picture * 255 / np.maximum(alpha, 1e-3), 0, 255)
            return np.concatenate([picture, alpha], axis=-1, dtype=np.float32)
    return picture
