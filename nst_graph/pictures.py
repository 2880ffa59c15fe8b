"""Pictures: float32 RGB arrays [height, width, 3] in 0..255; read, resized, mixed, written."""

from __future__ import annotations

import io
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
from PIL import Image

from nst_graph import files
from nst_graph.errors import InputError

Picture = npt.NDArray[np.float32]
#: Grey [height, width] in 0..1.
Mask = npt.NDArray[np.float32]

#: How the names of picture files end.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp")
#: Half the width of the uniform noise a painting starts from, in grey levels.
NOISE = 20.0


def read(path: Path) -> Picture:
    """Read a picture file, the first of its frames, as float32 RGB [height, width, 3] in 0..255.

    EXIF rotation is applied, transparency laid over white, 16 bits brought to 0..255. Raises
    InputError where the file is missing or is no picture.
    """
    if path.is_dir():
        raise InputError(f"{path}: a directory, not a picture; name a picture file")
    if not path.exists():
        raise InputError(f"{path}: no such file; name a picture file")
    try:
        pixels = _pixels(path)
    except PermissionError as error:
        raise InputError(f"{path}: {error.strerror}; make it readable") from error
    except Exception as error:  # decoders raise whatever the broken bytes lead them to
        raise InputError(
            f"{path}: not a whole picture that can be read; save it as JPEG, PNG, WebP, TIFF or GIF"
        ) from error
    return _rgb(pixels)


def _pixels(path: Path) -> npt.NDArray[np.generic]:
    try:
        stored = str(iio.immeta(path, index=0, plugin="pillow", exclude_applied=False)["mode"])
        # Pillow converts every 8-bit kind; deeper ones come as they are.
        mode = None if stored.startswith(("I", "F")) else "RGBA"
        pixels = iio.imread(path, index=0, plugin="pillow", mode=mode, rotate=True)
    except OSError:
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise
        pixels = iio.imread(path, index=0, plugin="tifffile")  # 16-bit colour, which Pillow lacks
    return np.asarray(pixels)


def _rgb(pixels: npt.NDArray[np.generic]) -> Picture:
    values: Picture = pixels.astype(np.float32)
    if pixels.dtype == np.bool_:
        values *= 255
    elif pixels.dtype == np.uint16 or pixels.dtype == np.int32:  # Pillow's "I" holds 16-bit grey
        values /= 257
    elif np.issubdtype(pixels.dtype, np.floating):
        values *= 255
    if values.ndim == 2:
        values = values[..., None]
    colour, alpha = values, None
    if values.shape[-1] in (2, 4):
        colour, alpha = values[..., :-1], values[..., -1:] / 255
    if alpha is not None:
        colour = (colour * alpha + 255 * (1 - alpha)).astype(np.float32)
    return np.ascontiguousarray(np.broadcast_to(colour, (*colour.shape[:2], 3)), dtype=np.float32)


def resize(picture: Picture, height: int, width: int) -> Picture:
    """Resample to height x width by Lanczos' filter, kept within 0..255."""
    clipped: Picture = np.clip(enlarge(picture, height, width), 0, 255)
    return clipped


def enlarge(picture: Picture, height: int, width: int) -> Picture:
    """Resample to height x width by Lanczos' filter, values outside 0..255 and all."""
    if picture.shape[:2] == (height, width):
        return picture
    bands = [Image.fromarray(np.ascontiguousarray(picture[..., band])) for band in range(3)]
    resized = [np.asarray(band.resize((width, height), Image.Resampling.LANCZOS)) for band in bands]
    return np.stack(resized, axis=-1).astype(np.float32)


def carry(picture: Picture, photograph: Picture, larger: Picture) -> Picture:
    """Bring a painting of `photograph` to the size of `larger`, the same photograph in more pixels.

    Enlarged is what painting changed; the larger photograph brings detail of its own.
    """
    height, width = larger.shape[:2]
    changed: Picture = larger + enlarge(picture - photograph, height, width)
    return changed


def read_mask(path: Path, height: int, width: int) -> Mask:
    """Read a grey picture as a mask of that size. Raises InputError as read does, or if all is black."""
    mask: Mask = resize(read(path), height, width).mean(axis=-1) / 255
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


def write(picture: Picture, path: Path) -> None:
    """Write an 8-bit PNG, atomically. Raises OSError as open and write do."""
    encoded = io.BytesIO()
    iio.imwrite(encoded, to_bytes(picture), extension=".png", plugin="pillow")
    with files.atomic(path) as file:
        file.write(encoded.getvalue())
