"""Pictures: float32 RGB arrays [height, width, 3] in 0..255; read, resized, mixed, written."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from nst_graph import files
from nst_graph.errors import InputError
from nst_graph.pictures import tiff

Picture = npt.NDArray[np.float32]
#: Grey [height, width] in 0..1.
Mask = npt.NDArray[np.float32]

#: How the names of picture files end.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp")
#: What is opened, by Pillow's names.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP")
#: Most memory that reading and shrinking takes, for each pixel, and rows that are converted at once.
BYTES_PER_PIXEL, ROWS = 20, 64
#: How a PNG file begins, and its chunks that make the picture.
PNG = b"\x89PNG\r\n\x1a\n"
PNG_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf")
#: Half the width of the uniform noise a painting starts from, in grey levels.
NOISE = 20.0


def read(
    path: Path, limit: float = files.READ_LIMIT, say: Callable[[str], None] = lambda line: None, ground: float = 255
) -> Picture:
    """Read a picture file, the first of its frames, as float32 RGB [height, width, 3] in 0..255.

    EXIF rotation is applied, transparency laid over grey of level `ground`, which is white, deeper
    values brought to 0..255; `limit` is the memory that may take, in GB. Where no file says what
    number is white, as with floating-point values, `say` is told what it is taken to be. Raises
    InputError where the file is missing, is no picture, has a property that keeps it from being
    read, or has too many pixels, which is known before they are unpacked.
    """
    if odd := files.oddity(path):
        raise InputError(f"{path}: {odd}, not a picture; name a picture file")
    try:
        with warnings.catch_warnings(action="ignore"):
            return _rgb(_pixels(path, limit, say), ground)
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


def _pixels(path: Path, limit: float, say: Callable[[str], None]) -> npt.NDArray[np.generic]:
    """Values [height, width] or [height, width, 1 to 4], turned as EXIF has it; alpha, where it is, last."""
    with path.open("rb") as file:
        beginning = file.read(8)
    if beginning[:4] in tiff.MAGIC:
        try:
            deep = tiff.read(path, int(min(limit * 1e9 / BYTES_PER_PIXEL, 2**62)), say)
        except tiff.TooLargeError as error:
            raise _too_large(path, str(error), limit) from error
        if deep is not None:
            return _turned(*deep)
    source = _png(path, limit) if beginning == PNG else path
    Image.init()
    # Pillow knows formats that run programs, such as PostScript: only these are opened.
    with _limited(path, limit), Image.open(source, formats=FORMATS) as image:
        with _libtiff_quiet() if image.format == "TIFF" else nullcontext():
            image.load()
        if image.mode == "LAB":
            raise InputError(f"{path}: CIELab colours, which cannot be read; save it as RGB")
        orientation = _orientation(image)
        # Pillow converts every 8-bit kind; 16-bit grey comes as it is.
        if not image.mode.startswith("I"):
            return _turned(np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB")), orientation)
        grey: npt.NDArray[np.generic] = np.asarray(image)[..., None].astype(np.float32) / np.float32(257)
        clear = image.info.get("transparency")
        if isinstance(clear, int):
            opaque = np.where(np.asarray(image) == clear, np.float32(0), np.float32(255))
            grey = np.concatenate([grey, opaque[..., None]], axis=-1)
        return _turned(grey, orientation)


def _png(path: Path, limit: float) -> io.BytesIO:
    """A PNG file without what is beside its pixels: Pillow refuses long text and profiles."""
    if path.stat().st_size > limit * 1e9:
        raise _too_large(path, f"{path.stat().st_size / 1e6:.0f} MB", limit)
    data = path.read_bytes()
    kept, at, names = [data[:8]], 8, set()
    while len(data) >= at + 12:
        length, name = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if name in PNG_CHUNKS:
            kept.append(data[at : at + 12 + length])
            names.add(name)
        at += 12 + length
    if b"tRNS" in names and data[24:26] == b"\x10\x02":  # Pillow has read colours by then, and has 8 bits of them
        raise InputError(f"{path}: 16 bits a colour and a transparent one, which cannot be read; save it with alpha")
    return io.BytesIO(b"".join(kept))


def _orientation(image: Image.Image) -> object:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a tag that is none
        return 1


def _turned(pixels: npt.NDArray[np.generic], orientation: object) -> npt.NDArray[np.generic]:
    """Pixels as EXIF's orientation, 1 to 8, has them stand."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


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


def _too_large(path: Path, what: str, limit: float) -> InputError:
    remedy = f"take a smaller picture, or raise --read-limit, which is {limit:g} GB"
    return InputError(f"{path}: {what}, which take more memory to read than may be; {remedy}")


def _rgb(pixels: npt.NDArray[np.generic], ground: float) -> Picture:
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or not 1 <= pixels.shape[-1] <= 4 or pixels.size == 0:
        raise ValueError(f"an array of {pixels.shape}")
    height, width, channels = pixels.shape
    picture = np.empty((height, width, 3), np.float32)
    for first in range(0, height, ROWS):
        rows = slice(first, first + ROWS)
        values: Picture = pixels[rows].astype(np.float32)
        if channels in (2, 4):
            alpha: Picture = values[..., -1:] / np.float32(255)
            values = values[..., :-1] * alpha + np.float32(ground) * (np.float32(1) - alpha)
        picture[rows] = values
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
    """Read a grey picture as a mask of that size; what is transparent is not wanted.

    Raises InputError as read does, or if all is black.
    """
    mask: Mask = resize(read(path, limit, ground=0), height, width).mean(axis=-1, dtype=np.float32) / np.float32(255)
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
