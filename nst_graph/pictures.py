"""Pictures: float32 RGB arrays [height, width, 3] in 0..255; read, resized, mixed, written."""

from __future__ import annotations

import io
import logging
import math
import os
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, ImageOps

from nst_graph import files
from nst_graph.errors import InputError

Picture = npt.NDArray[np.float32]
#: Grey [height, width] in 0..1.
Mask = npt.NDArray[np.float32]

#: How the names of picture files end.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp")
#: What is opened, by Pillow's names.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP")
#: Most memory that reading and shrinking takes, for each pixel, and rows that are converted at once.
BYTES_PER_PIXEL, ROWS = 20, 64
#: Compressions of TIFF that are read where Pillow does not: none, and both kinds of deflate.
PLAIN, DEFLATED = 1, (8, 32946)
#: Half the width of the uniform noise a painting starts from, in grey levels.
NOISE = 20.0


def read(path: Path, limit: float = files.READ_LIMIT) -> Picture:
    """Read a picture file, the first of its frames, as float32 RGB [height, width, 3] in 0..255.

    EXIF rotation is applied, transparency laid over white, 16 bits brought to 0..255; `limit` is
    the memory that may take, in GB. Raises InputError where the file is missing, is no picture,
    or has too many pixels, which is known before they are unpacked.
    """
    if odd := files.oddity(path):
        raise InputError(f"{path}: {odd}, not a picture; name a picture file")
    try:
        with warnings.catch_warnings(action="ignore"):
            return _rgb(_pixels(path, limit))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; name a picture file") from error
    except InputError:
        raise
    except Exception as error:  # decoders raise whatever the broken bytes lead them to
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{path}: {error.strerror}; name a file that can be read") from error
        raise InputError(
            f"{path}: not a whole picture that can be read; save it as JPEG, PNG, WebP, TIFF or GIF"
        ) from error


def _pixels(path: Path, limit: float) -> npt.NDArray[np.generic]:
    Image.init()
    try:
        # Pillow knows formats that run programs, such as PostScript: only these are opened.
        with _limited(path, limit), Image.open(path, formats=FORMATS) as image:
            with _libtiff_quiet() if image.format == "TIFF" else nullcontext():
                image.load()
            turned = ImageOps.exif_transpose(image)
            # Pillow converts every 8-bit kind; deeper ones come as they are.
            if not turned.mode.startswith(("I", "F")):
                turned = turned.convert("RGBA" if turned.has_transparency_data else "RGB")
            return np.asarray(turned)
    except OSError:
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise
        return _deep_tiff(path, limit)


@contextmanager
def _limited(path: Path, limit: float) -> Iterator[None]:
    """Our limit in the place of Pillow's, which its decoders ask before they take memory."""
    most = int(min(limit * 1e9 / BYTES_PER_PIXEL, 2**62))
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max(1, most // 2)  # it raises at twice that
    try:
        yield
    except Image.DecompressionBombError as error:
        raise _too_large(path, f"more than {most / 1e6:g} million pixels", limit) from error
    finally:
        Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _libtiff_quiet() -> Iterator[None]:
    """libtiff prints what it meets to the standard error itself; one line of ours says enough."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _deep_tiff(path: Path, limit: float) -> npt.NDArray[np.generic]:
    """The first page of a TIFF with 16 bits a colour, which Pillow cannot read."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        sides = (page.imagewidth, *page.shape)
        if not all(isinstance(side, int) and side > 0 for side in sides):  # a tag may hold several numbers
            raise ValueError("sides that are no numbers")
        if math.prod(sides[1:]) * BYTES_PER_PIXEL / 1e9 > limit:
            raise _too_large(path, " x ".join(map(str, sides[1:])) + " numbers", limit)
        if page.compression not in (PLAIN, *DEFLATED):
            raise InputError(f"{path}: a compression that cannot be read; save it without")
        if page.compression in DEFLATED:  # a strip may unpack to a thousand times its length
            room = int(limit * 1e9)
            for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
                file.filehandle.seek(offset)
                room -= len(zlib.decompressobj().decompress(file.filehandle.read(size), room + 1))
                if room < 0:
                    raise ValueError("it unpacks to more than its pixels")
        return np.asarray(page.asarray())


def _too_large(path: Path, what: str, limit: float) -> InputError:
    remedy = f"take a smaller picture, or raise --read-limit, which is {limit:g} GB"
    return InputError(f"{path}: {what}, which take more memory to read than may be; {remedy}")


def _rgb(pixels: npt.NDArray[np.generic]) -> Picture:
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or not 1 <= pixels.shape[-1] <= 4 or pixels.size == 0:
        raise ValueError(f"an array of {pixels.shape}")
    height, width, channels = pixels.shape
    if pixels.dtype == np.bool_ or np.issubdtype(pixels.dtype, np.floating):
        scale = 255.0
    elif pixels.dtype == np.uint16 or pixels.dtype == np.int32:  # Pillow's "I" holds 16-bit grey
        scale = 1 / 257
    else:
        scale = 1.0
    picture = np.empty((height, width, 3), np.float32)
    for first in range(0, height, ROWS):
        rows = slice(first, first + ROWS)
        values = pixels[rows].astype(np.float32) * np.float32(scale)
        if channels in (2, 4):
            alpha = values[..., -1:] / 255
            values = values[..., :-1] * alpha + 255 * (1 - alpha)
        picture[rows] = values
    if not np.isfinite(picture).all():
        raise ValueError("values that are no numbers")
    return picture


def resize(picture: Picture, height: int, width: int) -> Picture:
    """Resample to height x width by Lanczos' filter, kept within 0..255."""
    clipped: Picture = np.clip(enlarge(picture, height, width), 0, 255)
    return clipped


def enlarge(picture: Picture, height: int, width: int) -> Picture:
    """Resample to height x width by Lanczos' filter, values outside 0..255 and all."""
    if picture.shape[:2] == (height, width):
        return picture
    resized = np.empty((height, width, 3), np.float32)
    for band in range(3):
        image = Image.fromarray(np.ascontiguousarray(picture[..., band]))
        resized[..., band] = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    return resized


def carry(picture: Picture, photograph: Picture, larger: Picture) -> Picture:
    """Bring a painting of `photograph` to the size of `larger`, the same photograph in more pixels.

    Enlarged is what painting changed; the larger photograph brings detail of its own.
    """
    height, width = larger.shape[:2]
    changed: Picture = larger + enlarge(picture - photograph, height, width)
    return changed


def read_mask(path: Path, height: int, width: int, limit: float = files.READ_LIMIT) -> Mask:
    """Read a grey picture as a mask of that size. Raises InputError as read does, or if all is black."""
    mask: Mask = resize(read(path, limit), height, width).mean(axis=-1, dtype=np.float32) / np.float32(255)
    if mask.max() == 0:
        raise InputError(f"{path}: the mask is black all over; paint white where its style is wanted")
    return mask


def fit(picture: Picture, size: int) -> Picture:
    """Shrink so that the longer side has `size` pixels; a smaller picture stays as it is."""
    height, width = picture.shape[:2]
    scale = size / max(height, width)
    if scale >= 1:
        return picture
    return resize(picture, max(1, round(height * scale)), max(1, round(width * scale)))


def start(base: Picture, mean: npt.NDArray[np.float32], noise_ratio: float, seed: int) -> Picture:
    """noise_ratio * U(-20, 20) + (1 - noise_ratio) * base, where both are about the mean RGB.

    A ratio of 1 is white noise around the mean, 0 the base itself. The same seed and size give
    the same noise everywhere and for good: NumPy keeps RandomState's streams as they are.
    """
    noise = np.random.RandomState(seed).uniform(-NOISE, NOISE, base.shape)
    mixed = noise_ratio * noise + (1 - noise_ratio) * (base - mean.astype(np.float64))
    return (mixed + mean).astype(np.float32)


def to_bytes(picture: Picture) -> npt.NDArray[np.uint8]:
    """Round to 8 bits, values outside 0..255 cut off."""
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def to_png(picture: Picture) -> bytes:
    """An 8-bit PNG of a picture."""
    encoded = io.BytesIO()
    iio.imwrite(encoded, to_bytes(picture), extension=".png", plugin="pillow")
    return encoded.getvalue()
