"""Formats: picture files of every kind, read as Pictures in sRGB, and as Masks."""

import io
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from nst_graph import files
from nst_graph.errors import DamagedError, InputError, decoding
from nst_graph.pictures import png, profiles, tiff
from nst_graph.pictures.pictures import Mask, Picture, resize
from nst_graph.pictures.profiles import Profile

#: The formats that are read, by Pillow's names, and the brands of files for which pillow-heif adds one.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF")
#: How cameras' raw files begin that are no TIFFs, of Olympus, Panasonic, Fujifilm, Sigma, Minolta and Canon (CRW, CR2).
RAWS: tuple[bytes, ...] = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM")
RAWS += (b"II\x1a\0\0\0HEAPCCDR", b"II*\0\x10\0\0\0CR")
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
#: The peak memory of reading and shrinking, in bytes per pixel, and how many rows are converted at a time.
BYTES_PER_PIXEL, ROWS = 20, 64
#: A mask whose brightest value is no larger has numbers that are no levels of grey, such as 0 and 1.
BLACK = 8


def read(
    path: Path,
    limit: float = files.READ_LIMIT,
    say: Callable[[str], None] = lambda line: None,
    ground: float | None = 255,
    profiled: bool = True,
) -> Picture:
    """Read a picture file, or its first frame, as float32 RGB [height, width, 3] in 0..255.

    With a `ground` of None, one that is not opaque is [height, width, 4], its colours multiplied by alpha / 255.

    EXIF orientation is applied, colours are converted to sRGB if the file has a profile and
    `profiled` is set, transparent pixels are composited over the grey level `ground`, and values of
    more than 8 bits are scaled. `say` gets a line if a profile cannot be used, if all is
    transparent, and with the value of white that is assumed where a format, such as floating point, does not define it.
    `limit` is the memory that reading may take, in GB. Raises InputError if the file is missing,
    damaged, of an unsupported kind, or, before its pixels are decoded, too large.
    """
    if kind := files.non_file(path):
        raise InputError(f"{path}: {kind}, not a picture; name a picture file")
    try:
        with warnings.catch_warnings(action="ignore"):
            pixels = _pixels(path, limit, say, profiled)
            if pixels.shape[-1] in (2, 4) and not pixels[..., -1].any():
                say(f"{path}: transparent all over; it is taken as white")
            return _rgb(pixels, ground)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; name a picture file") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; name a file that can be read") from error
    except tiff.RawError as error:
        raise InputError(f"{path}: a camera's raw file; develop it and save it as JPEG, PNG or TIFF") from error
    except DamagedError as error:
        raise InputError(
            f"{path}: not a whole picture that can be read; save it as JPEG, PNG, WebP, TIFF or GIF"
        ) from error


def _pixels(path: Path, limit: float, say: Callable[[str], None], profiled: bool) -> npt.NDArray[np.generic]:
    """The upright pixels [height, width, 1 to 4], with alpha, if any, as the last channel."""

    def profile(icc: object, mode: str) -> Profile | None:
        line = f"{path}: its colour profile is damaged, or for other colours; it is read as if it had none"
        return profiles.find(icc, mode, lambda: say(line)) if profiled and icc is not None else None

    with decoding(), path.open("rb") as file:
        beginning = file.read(64)
    if beginning.startswith(RAWS) or beginning[4:12] == b"ftypcrx ":  # Canon's CR3
        raise tiff.RawError
    if beginning[:4] in tiff.MAGIC:
        with _limited(path, limit) as max_pixels:
            deep_tiff = tiff.read(path, max_pixels, say)
        if deep_tiff is not None:
            values, rotation, icc = deep_tiff
            conversion = profile(icc, "L" if values.shape[-1] < 3 else "RGB")
            return _upright(conversion.deep(values) if conversion else values, rotation)
    source, icc = _png(path, limit) if beginning.startswith(png.MAGIC) else (path, None)
    Image.init()
    # Formats are listed because Pillow runs other programs for some, such as PostScript.
    formats = _formats(path, beginning)
    with (
        _limited(path, limit) as max_pixels,
        decoding(Image.DecompressionBombError)(Image.open)(source, formats=formats) as image,
    ):
        with _libtiff_quiet() if image.format == "TIFF" else nullcontext(), decoding(Image.DecompressionBombError):
            image.load()
        if image.mode == "LAB":
            raise InputError(f"{path}: CIELab colours, which cannot be read; save it as RGB")
        turned = orientation(image)
        deep = _deep(image, source, max_pixels)
        mode = "L" if image.mode in ("1", "L", "LA", "I", "I;16") else "CMYK" if image.mode == "CMYK" else "RGB"
        conversion = profile(image.info.get("icc_profile") if icc is None else icc, mode)
        if deep is not None:
            return _upright(conversion.deep(deep) if conversion else deep, turned)
        target = "RGBA" if image.has_transparency_data else "RGB"
        if conversion:
            return _upright(np.asarray(conversion.image(image, target)), turned)
        with decoding():
            flat = image.convert(target)
        return _upright(np.asarray(flat), turned)


def _png(path: Path, limit: float) -> tuple[io.BytesIO, bytes | None]:
    """A PNG file without what its pixels do not need, and its profile."""
    if path.stat().st_size > limit * 1e9:
        raise _too_large(path, f"{path.stat().st_size / 1e6:.0f} MB", limit)
    return png.reduced(path.read_bytes())


def _formats(path: Path, beginning: bytes) -> tuple[str, ...]:
    """The formats that a file may have; pillow-heif adds its own to Pillow when it is needed."""
    if beginning[4:8] != b"ftyp" or beginning[8:12] not in HEIC or b"avif" in beginning:
        return FORMATS
    try:
        import pillow_heif
    except ImportError as error:
        raise InputError(f"{path}: HEIC pictures need pillow-heif; pip install 'nst_graph[heic]'") from error
    pillow_heif.register_heif_opener()
    return ("HEIF",)


def _deep(image: Image.Image, source: Path | io.BytesIO, max_pixels: int) -> Picture | None:
    """The values of a PNG, or a grey TIFF, of 16 bits in 0..255, with alpha, if any; None for 8 bits."""
    values: Picture | None
    if image.mode.startswith("I"):
        values = np.asarray(image)[..., None].astype(np.float32) / np.float32(257)
    else:
        values = png.deep(source, image, max_pixels) if isinstance(source, io.BytesIO) else None
    transparent = image.info.get("transparency")
    if values is not None and values.shape[-1] < 4 and isinstance(transparent, int | tuple):
        is_there = (values != np.asarray(transparent, np.float32) / np.float32(257)).any(axis=-1, keepdims=True)
        values = np.concatenate([values, np.float32(255) * is_there], axis=-1)
    return values


def orientation(image: Image.Image) -> object:
    """The EXIF orientation of an image; 1 if the tag is damaged."""
    try:
        with decoding():
            return image.getexif().get(ExifTags.Base.Orientation, 1)
    except DamagedError:
        return 1


def _upright(pixels: npt.NDArray[np.generic], orientation: object) -> npt.NDArray[np.generic]:
    """Apply an EXIF orientation, 1 to 8."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


@contextmanager
def _limited(path: Path, limit: float) -> Iterator[int]:
    """Set the largest number of pixels, also Pillow's, whose decoders check it before they allocate memory."""
    max_pixels = int(min(limit * 1e9 / BYTES_PER_PIXEL, 2**62))
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max(1, max_pixels // 2)  # it raises at twice that
    try:
        yield max_pixels
    except tiff.TooLargeError as error:
        raise _too_large(path, str(error), limit) from error
    except Image.DecompressionBombError as error:
        raise _too_large(path, f"more than {max_pixels / 1e6:g} million pixels", limit) from error
    finally:
        Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _libtiff_quiet() -> Iterator[None]:
    """Silence libtiff, which prints its own messages to standard error."""
    try:
        stderr = os.dup(2)
    except OSError:  # there is none
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)


def _too_large(path: Path, what: str, limit: float) -> InputError:
    remedy = f"take a smaller picture, or raise --read-limit, which is {limit:g} GB"
    return InputError(f"{path}: {what}, which take more memory to read than may be; {remedy}")


def _rgb(pixels: npt.NDArray[np.generic], ground: float | None) -> Picture:
    if pixels.size == 0:
        raise DamagedError("no pixels")
    height, width, channels = pixels.shape
    layered = ground is None and channels in (2, 4) and bool((pixels[..., -1] != 255).any())
    picture = np.empty((height, width, 4 if layered else 3), np.float32)
    for first in range(0, height, ROWS):
        rows = slice(first, first + ROWS)
        values: Picture = pixels[rows].astype(np.float32)
        if channels in (2, 4):
            alpha: Picture = values[..., -1:] / np.float32(255)
            values = values[..., :-1] * alpha + np.float32(ground or 0) * (np.float32(1) - alpha)
            if layered:
                picture[rows, :, 3:] = np.float32(255) * alpha
        picture[rows, :, :3] = values
    return picture


def read_mask(path: Path, height: int, width: int, limit: float = files.READ_LIMIT) -> Mask:
    """Read a grey picture as a mask of this size, its numbers as they are, with transparent pixels as black.

    Raises InputError as read does, or if nothing in it is brighter than BLACK.
    """
    picture, remedy = read(path, limit, ground=None, profiled=False), "paint white where its style is wanted"
    if picture.shape[2] == 4 and not picture[..., 3].any():
        raise InputError(f"{path}: the mask is transparent all over; {remedy}")
    if (brightest := picture[..., :3].max()) == 0:
        raise InputError(f"{path}: the mask is black all over; {remedy}")
    if brightest <= BLACK:
        raise InputError(
            f"{path}: the mask is all but black: its brightest value is {brightest:.2g}, and white is 255;"
            f" multiply its values (0 and 1 by 255, or in 16 bits by 65535), or {remedy}"
        )
    mask: Mask = resize(picture[..., :3], height, width).mean(axis=-1, dtype=np.float32) / np.float32(255)
    return mask
