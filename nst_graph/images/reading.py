"""Reading: picture files of every kind as Pictures in sRGB, and as Masks."""

import io
import os
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from nst_graph import files
from nst_graph.errors import DamagedError, InputError, decoding
from nst_graph.images import profiles, tiff
from nst_graph.images.arrays import Mask, Picture, resize

#: Stored values [height, width, 1 to 4], alpha last, floats in 0..255 or bytes; Pillow's mode of their colours,
#: "L", "RGB" or "CMYK", one letter a channel; the profile; and the EXIF orientation.
Stored = tuple[npt.NDArray[np.generic], str, object, object]

#: The formats that are read, by Pillow's names, and the brands of files for which pillow-heif adds one.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF")
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
#: How cameras' raw files begin that are no TIFFs, of Olympus, Panasonic, Fujifilm, Sigma, Minolta and Canon (CRW, CR2).
RAWS: tuple[bytes, ...] = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM")
RAWS += (b"II\x1a\0\0\0HEAPCCDR", b"II*\0\x10\0\0\0CR")
#: How a PNG begins, and the types of the chunks that its pixels need.
PNG, CHUNKS = b"\x89PNG\r\n\x1a\n", (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf")
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
    """Read a picture file, or its first frame, upright, as float32 RGB [height, width, 3] in 0..255.

    Colours are converted to sRGB if the file has a profile and `profiled` is set. Transparent pixels are composited
    over the grey level `ground`; if that is None, a picture that is not opaque is [height, width, 4], its colours
    multiplied by alpha / 255. `say` gets a line if a profile cannot be used, if all is transparent, and with the value
    of white that is assumed where a format, such as floating point, does not define it. `limit` is the memory that
    reading may take, in GB. Raises InputError if the file is missing, damaged, of an unsupported kind, or too large.
    """
    if kind := files.non_file(path):
        raise InputError(f"{path}: {kind}, not a picture; name a picture file")
    try:
        with warnings.catch_warnings(action="ignore"), _limited(path, limit) as max_pixels:
            values, mode, icc, orientation = _stored(path, max_pixels, say)
        if values.size == 0:
            raise DamagedError("no pixels")
        convert = None
        if profiled and icc is not None:
            try:
                convert = profiles.to_srgb(icc, mode)
            except DamagedError:
                say(f"{path}: its colour profile is damaged, or for other colours; it is read as if it had none")
        if values.shape[-1] > len(mode) and not values[..., -1].any():
            say(f"{path}: transparent all over; it is taken as white")
        return _rgb(_upright(values, orientation), mode, convert or _unprofiled, ground)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; name a picture file") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; name a file that can be read") from error
    except DamagedError as error:
        remedy = "save it as JPEG, PNG, WebP, TIFF or GIF"
        raise InputError(f"{path}: not a whole picture that can be read; {remedy}") from error


@contextmanager
def _limited(path: Path, limit: float) -> Iterator[int]:
    """Set the largest number of pixels, also Pillow's, whose decoders check it before they allocate memory."""
    max_pixels = int(min(limit * 1e9 / BYTES_PER_PIXEL, 2**62))
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max(1, max_pixels // 2)  # it raises at twice that
    try:
        yield max_pixels
    except Image.DecompressionBombError as error:
        what = (
            f"more than {max_pixels / 1e6:g} million pixels, or fewer with more than 8 bits, or a file of {limit:g} GB"
        )
        remedy = f"take a smaller picture, or raise --read-limit, which is {limit:g} GB"
        raise InputError(f"{path}: {what}, which take more memory to read than may be; {remedy}") from error
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _stored(path: Path, max_pixels: int, say: Callable[[str], None]) -> Stored:
    with decoding(), path.open("rb") as file:
        beginning = file.read(64)
    if beginning.startswith(RAWS) or beginning[4:12] == b"ftypcrx ":  # Canon's CR3
        raise tiff.raw_file(path)
    if beginning[:4] in tiff.MAGIC and (deep := tiff.read(path, max_pixels, say)):
        return deep
    source, png_profile = _reduced(path, max_pixels) if beginning.startswith(PNG) else (path, None)
    Image.init()
    # Formats are named because Pillow runs other programs for some, such as PostScript.
    formats = _formats(path, beginning)
    with decoding(Image.DecompressionBombError)(Image.open)(source, formats=formats) as image:
        with _libtiff_quiet() if image.format == "TIFF" else nullcontext(), decoding(Image.DecompressionBombError):
            image.load()
        if image.mode == "LAB":
            raise InputError(f"{path}: CIELab colours, which cannot be read; save it as RGB")
        grey = image.mode in ("1", "L", "LA", "I", "I;16")
        mode = "L" if grey else "CMYK" if image.mode == "CMYK" else "RGB"
        values: npt.NDArray[np.generic] | None = _deep(image, source, max_pixels)
        if values is None:
            with decoding():
                values = np.asarray(image.convert(f"{mode}A" if image.has_transparency_data else mode))
        if values.ndim == 2:
            values = values[..., None]
        icc = image.info.get("icc_profile") if png_profile is None else png_profile
        return values, mode, icc, orientation(image)


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


def _reduced(path: Path, max_pixels: int) -> tuple[io.BytesIO, bytes | None]:
    """A PNG with only the chunks that its pixels need, since Pillow refuses long texts and profiles; its profile.

    The profile is unpacked, and empty if it is damaged.
    """
    if path.stat().st_size > max_pixels * BYTES_PER_PIXEL:
        raise Image.DecompressionBombError
    data, at, profile = path.read_bytes(), len(PNG), None
    kept = [PNG]
    while len(data) >= at + 12:
        name, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4])
        if name in CHUNKS:
            kept.append(data[at:end])
        elif name == b"iCCP" and profile is None:
            packed = data[at + 8 : end].partition(b"\0")[2][1:]
            try:
                profile = zlib.decompressobj().decompress(packed, profiles.LIMIT + 1)
            except zlib.error:
                profile = b""
        at = end
    return io.BytesIO(b"".join(kept)), profile


def _deep(image: Image.Image, source: Path | io.BytesIO, max_pixels: int) -> Picture | None:
    """The values of a PNG of 16 bits in 0..255, with alpha, if any; None for 8 bits.

    Pillow keeps the first of a colour's two bytes. Told the other byte order, it keeps the second.
    """
    if image.mode.startswith("I"):
        numbers: Picture = np.asarray(image)[..., None].astype(np.float32)
    elif isinstance(source, io.BytesIO):
        with Image.open(source, formats=["PNG"]) as other:
            rawmode = other.tile[0].args
            if rawmode not in ("RGB;16B", "RGBA;16B"):
                return None
            if 2 * image.width * image.height > max_pixels:
                raise Image.DecompressionBombError
            other.tile = [other.tile[0]._replace(args=f"{rawmode[:-1]}L")]
            with decoding():
                other.load()
            numbers = np.array(image, np.float32)
            numbers *= 256
            numbers += np.asarray(other)
    else:
        return None
    transparent = image.info.get("transparency")
    if numbers.shape[-1] < 4 and isinstance(transparent, int | tuple):
        is_there = (numbers != np.asarray(transparent, np.float32)).any(axis=-1, keepdims=True)
        numbers = np.concatenate([numbers, np.float32(65535) * is_there], axis=-1)
    numbers /= 257
    return numbers


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


def _rgb(values: npt.NDArray[np.generic], mode: str, convert: profiles.Conversion, ground: float | None) -> Picture:
    """Upright stored values as sRGB over a ground, or, if that is None, with alpha where any is not opaque."""
    height, width, channels = values.shape
    colours = len(mode)
    has_alpha = channels > colours
    layered = ground is None and has_alpha and bool((values[..., -1] != 255).any())
    picture = np.empty((height, width, 4 if layered else 3), np.float32)
    for first in range(0, height, ROWS):
        rows = slice(first, first + ROWS)
        rgb = convert(values[rows, :, :colours]).astype(np.float32)
        if has_alpha:
            share: Picture = values[rows, :, -1:].astype(np.float32) / np.float32(255)
            rgb = rgb * share + np.float32(ground or 0) * (np.float32(1) - share)
            if layered:
                picture[rows, :, 3:] = np.float32(255) * share
        picture[rows, :, :3] = rgb
    return picture


def _unprofiled(colours: npt.NDArray[np.generic]) -> npt.NDArray[Any]:
    """Colours that have no profile: inks as Pillow has them, others as they are."""
    if colours.shape[-1] < 4:
        return colours
    return np.asarray(Image.frombytes("CMYK", colours.shape[1::-1], colours.tobytes()).convert("RGB"))


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
