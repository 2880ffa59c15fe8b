"""Writing: a picture as the bytes of a file, and what is in memory as files, which are read as all others are."""

import io
import itertools
import json
import os
import struct
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import ExifTags, Image

from nst_graph import files, places
from nst_graph.errors import DamagedError, InputError, decoding
from nst_graph.images import profiles
from nst_graph.images.arrays import Picture, levels, to_bytes
from nst_graph.images.reading import BLACK, PNG, orientation

Texts = Mapping[str, str] | None
ImageLike = str | os.PathLike[str] | npt.NDArray[Any] | Image.Image

#: Pillow's modes that a TIFF keeps, and a PNG; images of others are converted to RGB.
TIFF_MODES = ("CMYK", "F")
KEPT_MODES = (*TIFF_MODES, "1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA")


def to_file(picture: Picture, suffix: str, depth: int = 8, texts: Texts = None, dpi: int | None = None) -> bytes:
    """A picture [height, width, 3 or 4] in 0..255, clipped to that, as sRGB, alpha last; a JPEG has white for it.

    A PNG has each of `texts`, in Latin-1; a JPEG has them as a comment and a TIFF as its description, in JSON.
    """
    suffix = suffix.lower()
    if suffix == ".png":
        return to_png(picture, depth, texts, dpi)
    file, text = io.BytesIO(), json.dumps(texts) if texts else None
    if suffix in (".tif", ".tiff"):
        extra = ["unassalpha"] if picture.shape[2] == 4 else None
        options: dict[str, Any] = {"photometric": "rgb", "extrasamples": extra, "metadata": None, "description": text}
        options |= {"compression": "zlib", "software": "nst_graph", "iccprofile": profiles.srgb()}
        options |= {"resolution": (dpi, dpi), "resolutionunit": "inch"} if dpi else {}
        tifffile.imwrite(file, levels(picture, depth), **options)
    else:
        if picture.shape[2] == 4:
            share = picture[..., 3:] / np.float32(255)
            picture = picture[..., :3] * share + 255 * (1 - share)
        image = Image.fromarray(to_bytes(picture))
        # All colours are kept.
        options = {"dpi": (dpi, dpi)} if dpi else {}
        image.save(file, "JPEG", icc_profile=profiles.srgb(), comment=text or "", quality=95, subsampling=0, **options)
    return file.getvalue()


def to_png(picture: npt.NDArray[np.floating], depth: int = 8, texts: Texts = None, dpi: int | None = None) -> bytes:
    """The same as a PNG with `depth` bits a colour, 8 or 16, which Pillow does not write in colour."""
    height, width, channels = picture.shape
    rows: npt.NDArray[Any] = levels(picture, depth).astype(f">u{depth // 8}").reshape(height, -1).view(np.uint8)
    pixel = channels * depth // 8
    # Bytes less the mean of those to the left and above pack well.
    mean = np.zeros(rows.shape, np.uint16)
    mean[1:] += rows[:-1]
    mean[:, pixel:] += rows[:, :-pixel]
    filtered = np.insert(rows - (mean // 2).astype(np.uint8), 0, 3, axis=1)
    header = struct.pack(">IIBBBBB", width, height, depth, 6 if channels == 4 else 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"sRGB", b"\0")]
    chunks += [(b"pHYs", struct.pack(">IIB", *[round(dpi / 0.0254)] * 2, 1))] if dpi else []  # dots a metre
    chunks += [(b"tEXt", f"{name}\0{text}".encode("latin-1")) for name, text in (texts or {}).items()]
    chunks += [(b"IDAT", zlib.compress(filtered.data)), (b"IEND", b"")]
    parts = [(len(body).to_bytes(4), name, body, zlib.crc32(name + body).to_bytes(4)) for name, body in chunks]
    return b"".join([PNG, *itertools.chain.from_iterable(parts)])


def as_list(image: ImageLike | Sequence[ImageLike], with_directories: bool = False) -> Sequence[ImageLike]:
    """One picture, or several, as a sequence; in the place of a directory all pictures in it, if that is set."""
    is_one = isinstance(image, str | os.PathLike | Image.Image) or hasattr(image, "__array__")
    several = cast(Sequence[ImageLike], [image] if is_one else image)
    if not with_directories:
        return several
    parts = [files.pictures(places.path(one)) if isinstance(one, str | os.PathLike) else [one] for one in several]
    return [picture for part in parts for picture in part]


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
        array = levels(image.picture, 16) if hasattr(image, "picture") else np.asarray(image)  # a Painting's
        path.write_bytes(_encoded(array, name, is_mask))
        return path

    def paths(self, several: Sequence[ImageLike], name: str, is_mask: bool = False) -> list[Path]:
        """The files of several images, called name-1, name-2 and so on."""
        return [self.path(image, f"{name}-{number}", is_mask) for number, image in enumerate(several, 1)]


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
    unusable = f"{name}: an image of the mode {image.mode}, which cannot be used; convert it to RGB"
    if image.mode == "LAB":  # of which Pillow keeps the numbers
        raise InputError(unusable)
    try:
        if image.mode not in KEPT_MODES:
            with decoding():
                image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        path = path.with_suffix(".tiff") if image.mode in TIFF_MODES else path
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
    is_float = np.issubdtype(dtype, np.floating)
    if not is_float and dtype not in (np.uint8, np.uint16) and not (is_mask and dtype == np.bool_):
        raise InputError(f"{name}: an array of {dtype}; give {kinds}")
    if is_float and not np.isfinite(array).all():
        raise InputError(f"{name}: an array with values that are no numbers; give finite ones")
    least, most = array.min(), array.max()
    if is_float and not (0 <= least <= most <= 1 if is_mask else _are_levels(array[..., :3], array[..., 3:])):
        remedy = "" if is_mask else ": multiply 0..1 by 255, undo what a network's input was put through"
        raise InputError(f"{name}: an array of floats from {least:g} to {most:g}; give {kinds}{remedy}")
    white = {"b": 1, "f": 1 if is_mask else 255}.get(dtype.kind) or np.iinfo(dtype).max
    values = array.astype(np.float32) * np.float32(255 / white)
    if white > 1 and is_mask and 0 < values[..., :3].max() <= BLACK:
        raise InputError(f"{name}: an array of {dtype} up to {most}; white is {white}: multiply, or give truth values")
    if array.shape[-1] == 1:
        values = np.repeat(values, 3, axis=-1)
    return to_png(values, 8 if dtype in (np.uint8, np.bool_) else 16)


def _are_levels(*parts: npt.NDArray[np.floating]) -> bool:
    """Whether colours, and alpha, are each in 0..255, as a painting's are, some of which lie outside.

    Others are those up to BLACK but all zeros, as 0..1, -1..1 or colours over their deviation; about zero, as
    colours less their mean, which end at 152 in Caffe's networks; and those of more bits.
    """
    for numbers in parts:
        if numbers.any():
            is_centred = numbers.max() <= 160 and np.mean(numbers < -16) > 0.05
            is_deep = np.mean(numbers > 300) > 0.25
            if numbers.max() <= BLACK or is_centred or is_deep:
                return False
    return True
