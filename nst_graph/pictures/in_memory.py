"""Pictures in memory: arrays and Pillow's images become files, which are read as all others are."""

import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from nst_graph import files, places
from nst_graph.errors import DamagedError, InputError, decoding
from nst_graph.pictures import png
from nst_graph.pictures.formats import BLACK, orientation

ImageLike = str | os.PathLike[str] | npt.NDArray[Any] | Image.Image


def listed(image: ImageLike | Sequence[ImageLike], with_directories: bool = False) -> Sequence[ImageLike]:
    """One picture, or several, as a sequence; in the place of a directory all pictures in it, if that is set."""
    several = [image] if isinstance(image, str | os.PathLike | np.ndarray | Image.Image) else image
    if not with_directories:
        return several
    parts = [files.pictures(places.path(one)) if isinstance(one, str | os.PathLike) else [one] for one in several]
    return [picture for part in parts for picture in part]


#: What Pillow writes as PNG, and as TIFF; others are converted to RGB.
PNG, TIFF = ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA"), ("CMYK", "F")


class Files(ExitStack):
    """A context manager in which pictures in memory have files."""

    _directory: Path | None = None

    def path(self, image: ImageLike, name: str, is_mask: bool = False) -> Path:
        """The path itself, or that of a file with the array or the image. Raises InputError if it is none.

        An array is [height, width] or [height, width, 1, 3 or 4], alpha last: uint8, uint16, or floating point in
        0..255, of which a file keeps 16 bits. A mask's may be of truth values, or floating point in 0..1.
        """
        if isinstance(image, str | os.PathLike):
            return places.path(image)
        if not isinstance(image, Image.Image) and not hasattr(image, "__array__"):
            raise InputError(f"{name}: {type(image).__name__}; give a path, an array or an image of Pillow's")
        if self._directory is None:
            self._directory = Path(self.enter_context(tempfile.TemporaryDirectory(prefix="nst_graph-")))
        path = self._directory / f"{name}.png"
        if isinstance(image, Image.Image):
            return _write(image, path, name)
        path.write_bytes(_encoded(np.asarray(image), name, is_mask))
        return path


def _write(image: Image.Image, path: Path, name: str) -> Path:
    """Write an image with its profile and orientation; returns the path, whose suffix may be another."""
    try:
        with decoding():
            image.load()
    except DamagedError as error:
        raise InputError(f"{name}: an image that cannot be read whole ({error}); load it first") from error
    exif = Image.Exif()
    if (turned := orientation(image)) in range(2, 9):
        exif[ExifTags.Base.Orientation] = turned
    mode = "RGBA" if image.has_transparency_data else "RGB"
    unusable = f"{name}: an image of the mode {image.mode}, which cannot be used; convert it to RGB"
    if image.mode == "LAB":  # of which Pillow keeps the numbers
        raise InputError(unusable)
    try:
        with decoding():
            image = image if image.mode in (*PNG, *TIFF) else image.convert(mode)
        path = path.with_suffix(".tiff") if image.mode in TIFF else path
        with decoding():
            image.save(path, exif=exif)
    except DamagedError as error:
        raise InputError(unusable) from error
    return path


def _encoded(array: npt.NDArray[Any], name: str, is_mask: bool) -> bytes:
    """An array as a PNG file. Raises InputError, saying what to give."""
    kinds = "truth values, uint8, uint16, or floats in 0..1" if is_mask else "uint8, uint16, or floats in 0..255"
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4) or array.size == 0:
        shapes = "[height, width] or [height, width, 1, 3 or 4]"
        raise InputError(f"{name}: an array of the shape {array.shape}; give {shapes}")
    dtype = array.dtype
    if dtype == np.uint8 or (dtype == np.bool_ and is_mask):
        values = array.astype(np.float32) * np.float32(255 if dtype == np.bool_ else 1)
    elif dtype == np.uint16:
        values = array.astype(np.float32) / np.float32(257)
    elif np.issubdtype(dtype, np.floating):
        if not np.isfinite(array).all():
            raise InputError(f"{name}: an array with values that are no numbers; give finite ones")
        least, most = float(array.min()), float(array.max())
        if not (0 <= least <= most <= 1 if is_mask else all(map(_are_levels, (array[..., :3], array[..., 3:])))):
            remedy = "" if is_mask else ": multiply 0..1 by 255, undo what a network's input was put through"
            raise InputError(f"{name}: an array of floats from {least:g} to {most:g}; give {kinds}{remedy}")
        values = array.astype(np.float32) * np.float32(255 if is_mask else 1)
    else:
        raise InputError(f"{name}: an array of {dtype}; give {kinds}")
    if is_mask and dtype in (np.uint8, np.uint16) and 0 < values[..., :3].max() <= BLACK:
        white = np.iinfo(dtype).max
        raise InputError(
            f"{name}: an array of {dtype} up to {array.max()}; white is {white}: multiply, or give truth values"
        )
    if array.shape[-1] == 1:
        values = np.repeat(values, 3, axis=-1)
    return png.encode(values, 8 if dtype in (np.uint8, np.bool_) else 16)


def _are_levels(numbers: npt.NDArray[np.floating]) -> bool:
    """Whether numbers are in 0..255, as a painting's are, some of which lie outside.

    Others are those up to BLACK but all zeros, as 0..1, -1..1 or colours over their deviation; about zero, as
    colours less their mean, which end at 152 in Caffe's networks; and those of more bits.
    """
    if not numbers.any():
        return True
    is_centred = numbers.max() <= 160 and np.mean(numbers < -16) > 0.05
    is_deep = np.mean(numbers > 300) > 0.25
    return bool(numbers.max() > BLACK) and not is_centred and not is_deep
