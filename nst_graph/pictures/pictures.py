"""Pictures: float32 RGB arrays [height, width, 3] in 0..255; read, resized, mixed, written."""

import io
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from nst_graph import files
from nst_graph.errors import InputError
from nst_graph.evaluation import Floats
from nst_graph.pictures import tiff

Picture = npt.NDArray[np.float32]
#: Grey [height, width] in 0..1.
Mask = npt.NDArray[np.float32]

#: The suffixes of picture files.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp")
#: The formats that are read, by Pillow's names.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP")
#: The peak memory of reading and shrinking, in bytes per pixel, and how many rows are converted at a time.
BYTES_PER_PIXEL, ROWS = 20, 64
#: How a PNG file begins, and the types of the chunks that are needed for its pixels.
PNG = b"\x89PNG\r\n\x1a\n"
PNG_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf")
#: The sides that a size may be of, and the filters of resizing, by name.
SIDES: dict[str, Callable[[Sequence[int]], int]] = {"longer": max, "shorter": min}
RESAMPLINGS = {name: Image.Resampling[name.upper()] for name in ("lanczos", "bicubic", "bilinear")}
#: The noise of the start, about the mean RGB: from a source of random numbers, an amplitude, the mean, and
#: [height, width, 3]. Grey noise is uniform noise, the same in all channels: fine noise of colour, which the
#: network hardly sees, would stay (docs/pictures.md). Noise of the full range is U(0, 255) whatever its amplitude.
NOISES: dict[str, Callable[[np.random.RandomState, float, Floats, tuple[int, ...]], Floats]] = {
    "grey": lambda random, amplitude, mean, shape: random.uniform(-amplitude, amplitude, (*shape[:2], 1)),
    "uniform": lambda random, amplitude, mean, shape: random.uniform(-amplitude, amplitude, shape),
    "normal": lambda random, amplitude, mean, shape: random.normal(0, amplitude, shape),
    "full-range": lambda random, amplitude, mean, shape: random.uniform(0, 255, shape) - mean,
}


def read(
    path: Path, limit: float = files.READ_LIMIT, say: Callable[[str], None] = lambda line: None, ground: float = 255
) -> Picture:
    """Read a picture file, or its first frame, as float32 RGB [height, width, 3] in 0..255.

    EXIF orientation is applied, transparent pixels are composited over the grey level `ground`, and
    values of more than 8 bits are scaled. Some formats, such as floating point, do not define the
    value of white; `say` gets a line with the value that is assumed. `limit` is the memory that
    reading may take, in GB. Raises InputError if the file is missing, damaged, of an unsupported
    kind, or, before its pixels are decoded, too large.
    """
    if kind := files.non_file(path):
        raise InputError(f"{path}: {kind}, not a picture; name a picture file")
    try:
        with warnings.catch_warnings(action="ignore"):
            return _rgb(_pixels(path, limit, say), ground)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; name a picture file") from error
    except InputError:
        raise
    except Exception as error:  # decoders may raise anything if bytes are damaged
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{path}: {error.strerror}; name a file that can be read") from error
        raise InputError(
            f"{path}: not a whole picture that can be read; save it as JPEG, PNG, WebP, TIFF or GIF"
        ) from error


def _pixels(path: Path, limit: float, say: Callable[[str], None]) -> npt.NDArray[np.generic]:
    """The upright pixels [height, width] or [height, width, 1 to 4], with alpha, if any, as the last channel."""
    with path.open("rb") as file:
        beginning = file.read(8)
    if beginning[:4] in tiff.MAGIC:
        with _limited(path, limit) as max_pixels:
            deep = tiff.read(path, max_pixels, say)
        if deep is not None:
            return _upright(*deep)
    source = _png(path, limit) if beginning == PNG else path
    Image.init()
    # Formats are listed because Pillow runs other programs for some, such as PostScript.
    with _limited(path, limit), Image.open(source, formats=FORMATS) as image:
        with _libtiff_quiet() if image.format == "TIFF" else nullcontext():
            image.load()
        if image.mode == "LAB":
            raise InputError(f"{path}: CIELab colours, which cannot be read; save it as RGB")
        orientation = _orientation(image)
        # Pillow converts all modes but 16-bit grey to 8 bits.
        if not image.mode.startswith("I"):
            return _upright(np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB")), orientation)
        grey: npt.NDArray[np.generic] = np.asarray(image)[..., None].astype(np.float32) / np.float32(257)
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            alpha = np.where(np.asarray(image) == transparent, np.float32(0), np.float32(255))
            grey = np.concatenate([grey, alpha[..., None]], axis=-1)
        return _upright(grey, orientation)


def _png(path: Path, limit: float) -> io.BytesIO:
    """A PNG file reduced to the chunks that its pixels need: Pillow refuses long texts and profiles."""
    if path.stat().st_size > limit * 1e9:
        raise _too_large(path, f"{path.stat().st_size / 1e6:.0f} MB", limit)
    data = path.read_bytes()
    chunks, at, names = [data[:8]], 8, set()
    while len(data) >= at + 12:
        length, name = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if name in PNG_CHUNKS:
            chunks.append(data[at : at + 12 + length])
            names.add(name)
        at += 12 + length
    if b"tRNS" in names and data[24:26] == b"\x10\x02":  # Pillow has only 8 bits of each colour to compare
        raise InputError(f"{path}: 16 bits a colour and a transparent one, which cannot be read; save it with alpha")
    return io.BytesIO(b"".join(chunks))


def _orientation(image: Image.Image) -> object:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged tag
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


def resize(picture: Picture, height: int, width: int, resample: str = "lanczos") -> Picture:
    """Resample with one of RESAMPLINGS, which widen as they shrink, clipped to 0..255."""
    return np.clip(enlarge(picture, height, width, resample), 0, 255)


def enlarge(picture: Picture, height: int, width: int, resample: str = "lanczos") -> Picture:
    """Resample with one of RESAMPLINGS; values may leave 0..255."""
    if picture.shape[:2] == (height, width):
        return picture
    resized = np.empty((height, width, 3), np.float32)
    for band in range(3):
        image = Image.fromarray(np.ascontiguousarray(picture[..., band]))
        resized[..., band] = np.asarray(image.resize((width, height), RESAMPLINGS[resample]))
    return resized


def carry(picture: Picture, photograph: Picture, larger: Picture) -> Picture:
    """Enlarge a painting of `photograph` to the size of `larger`, the same photograph with more pixels.

    Only the change from photograph to painting is enlarged, so the photograph's detail stays sharp.
    """
    enlarged: Picture = larger + enlarge(picture - photograph, *larger.shape[:2])
    return enlarged


def read_mask(path: Path, height: int, width: int, limit: float = files.READ_LIMIT) -> Mask:
    """Read a grey picture as a mask of this size, with transparent pixels as black.

    Raises InputError as read does, or if all of it is black.
    """
    mask: Mask = resize(read(path, limit, ground=0), height, width).mean(axis=-1, dtype=np.float32) / np.float32(255)
    if mask.max() == 0:
        raise InputError(f"{path}: the mask is black all over; paint white where its style is wanted")
    return mask


def fit(picture: Picture, size: int) -> Picture:
    """Shrink so that the longer side has `size` pixels; a smaller picture keeps its size."""
    return resize(picture, *fitted(picture.shape, size))


def fitted(
    shape: Sequence[int], size: int | None, side: str = "longer", squash: Sequence[int] | None = None
) -> tuple[int, int]:
    """The height and width at which the longer, or shorter, side of a picture has `size` pixels, at most its own.

    `squash` is the ratio, width and height, that it is given; without one it keeps its own.
    """
    own = SIDES[side](shape[:2])
    height, width = shape[:2] if squash is None else (squash[1], squash[0])
    scale = (own if size is None else min(own, size)) / SIDES[side]((height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def start(
    base: Picture, mean: Floats, noise_ratio: float, seed: int, noise: str = "grey", amplitude: float = 20.0
) -> Picture:
    """mean + noise_ratio * noise + (1 - noise_ratio) * (base - mean), with noise of one of NOISES.

    A ratio of 1 is white noise around the mean RGB, 0 is `base`. The same seed and size always give
    the same noise: NumPy guarantees the streams of RandomState.
    """
    mean = mean.astype(np.float64)
    drawn = NOISES[noise](np.random.RandomState(seed), amplitude, mean, base.shape)
    mixed = noise_ratio * drawn + (1 - noise_ratio) * (base - mean)
    return (mixed + mean).astype(np.float32)


def to_bytes(picture: Picture) -> npt.NDArray[np.uint8]:
    """Round to 8 bits, clipped to 0..255."""
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def to_png(picture: Picture) -> bytes:
    """An 8-bit PNG of a picture."""
    encoded = io.BytesIO()
    iio.imwrite(encoded, to_bytes(picture), extension=".png", plugin="pillow")
    return encoded.getvalue()
