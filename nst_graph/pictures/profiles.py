"""Profiles: from the colours of a file's ICC profile to sRGB."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from nst_graph.errors import DamagedError, decoding

Floats = npt.NDArray[np.floating]

#: Pillow's modes for the colours that profiles of pictures are for.
MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
#: The largest profile that is used, in bytes; those of printing presses have two million.
LIMIT = 2**24
#: Levels of each channel at which a conversion is tried, and how many rows are converted at a time.
LEVELS, ROWS = np.arange(0, 256, 15, dtype=np.uint8), 64
#: What parametric curves leave out at the end of g, a, b, c, d, e, f, by their kind:
#: Y = (aX + b)^g + e where X >= d, else cX + f.
PARAMETERS: dict[bytes, tuple[int, ...]] = {b"\0\0": (1, 0, 0, 0, 0, 0), b"\0\3": (0, 0), b"\0\4": ()}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
#: When a profile was made, in its header; of a profile that is written it is the same each time.
MADE, ALWAYS = slice(24, 36), struct.pack(">6H", 2000, 1, 1, 0, 0, 0)


def find(icc: object, mode: str, ignored: Callable[[], None]) -> Profile | None:
    """The conversion of pictures with this profile, in Pillow's mode "RGB", "L" or "CMYK".

    None if they stay as they are, because the profile is sRGB's, or, after a call of `ignored`, because
    it is damaged or for other colours.
    """
    try:
        profile: Profile | None = Profile(icc)
    except DamagedError:
        profile = None
    if profile is None or profile.mode not in (("RGB", "L") if mode == "L" else (mode,)):
        ignored()
        return None
    return None if profile.is_srgb else profile


def srgb() -> bytes:
    """sRGB's own, to be written into a file."""
    data = bytearray(SRGB.tobytes())
    data[MADE] = ALWAYS
    return bytes(data)


class Profile:
    """A conversion to sRGB by relative colorimetry, with black as the profile has it, as Chromium converts."""

    def __init__(self, icc: object) -> None:
        """Raises DamagedError if the profile cannot be used."""
        if not isinstance(icc, bytes) or len(icc) > LIMIT or icc[16:20] not in MODES:
            raise DamagedError(f"no profile of a picture, or of more than {LIMIT} bytes")
        self.mode = MODES[icc[16:20]]
        with decoding():
            self._source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        self._transform = self._to_srgb(self.mode, "RGB")
        self._convert: Callable[[Floats], Floats] = self._rounded
        #: Whether it changes no colour by more than rounding does, and so is left out, as Chromium decides it.
        self.is_srgb = False
        if self.mode == "CMYK":
            return
        tried = np.stack(np.meshgrid(*[LEVELS] * len(self.mode)), axis=-1).reshape(1, -1, len(self.mode)).astype(float)
        rounded = self._rounded(tried)
        self.is_srgb = bool(np.abs(rounded - tried).max() <= 1)
        try:
            exact = _exact(icc)
        except DamagedError:  # where tables define the colours
            return
        if np.abs(exact(tried) - rounded).max() < 2:
            self._convert = exact

    def _to_srgb(self, before: str, after: str) -> ImageCms.ImageCmsTransform:
        # Simplified, a conversion of greys is up to ten levels off in the darks.
        flags = ImageCms.Flags.NOOPTIMIZE if before == "L" else ImageCms.Flags.NONE
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        with decoding():
            return ImageCms.ImageCmsTransform(self._source, SRGB, before, after, intent, flags=flags)

    def image(self, image: Image.Image, mode: str) -> Image.Image:
        """Convert an image of 8 bits to one of `mode`, "RGB" or "RGBA"."""
        if self.mode == "CMYK":
            return self._transform.apply(image)
        with decoding():
            image = image.convert(mode)
        if self.mode == "RGB":
            return self._to_srgb(mode, mode).apply(image, image)
        greys = self._rounded(np.arange(256.0).reshape(1, -1, 1))[0, :, 0].tolist()
        return image.point([*greys * 3, *range(256)][: 256 * len(mode)])

    def deep(self, values: Floats) -> Floats:
        """Convert values [height, width, 1 to 4] in 0..255, alpha last; with 8 bits if tables define the colours."""
        height, width, channels = values.shape
        before, after = 1 if channels < 3 else 3, 1 if self.mode == "L" else 3
        converted = np.empty((height, width, channels - before + after), np.float32)
        for first in range(0, height, ROWS):
            rows = slice(first, first + ROWS)
            colours = np.broadcast_to(values[rows, :, :before], (*values[rows].shape[:2], after))
            converted[rows, :, :after] = self._convert(colours)[..., :after]
            converted[rows, :, after:] = values[rows, :, before:]
        return converted

    def _rounded(self, values: Floats) -> Floats:
        """ImageCms's conversion, which has 8 bits."""
        levels = np.rint(values).astype(np.uint8)
        image = Image.fromarray(levels[..., 0] if self.mode == "L" else levels)
        return np.asarray(self._transform.apply(image), np.float32)


def _exact(icc: bytes) -> Callable[[Floats], Floats]:
    """The conversion in floating point of a profile with tone curves, and for RGB a matrix (ICC.1:2022, annex F.3)."""
    tags = _tags(icc)
    if b"kTRC" in tags:
        curve = _curve(tags[b"kTRC"])
        return lambda values: _encoded(np.repeat(curve(values / 255), 3, axis=-1))
    curves = [_curve(tags.get(name, b"")) for name in (b"rTRC", b"gTRC", b"bTRC")]
    matrix = np.linalg.solve(_matrix(_tags(SRGB.tobytes())), _matrix(tags)).astype(np.float32)

    def convert(values: Floats) -> Floats:
        linear = [curve(values[..., channel] / 255) for channel, curve in enumerate(curves)]
        return _encoded(np.stack(linear, axis=-1) @ matrix.T)

    return convert


def _encoded(linear: Floats) -> Floats:
    """sRGB's levels 0..255 of linear colours (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    levels = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (255 * levels).astype(np.float32)


def _tags(icc: bytes) -> dict[bytes, bytes]:
    with decoding():
        entries = struct.iter_unpack(">4sII", icc[132 : 132 + 12 * int.from_bytes(icc[128:132])])
    return {name: icc[start : start + size] for name, start, size in entries}


def _matrix(tags: dict[bytes, bytes]) -> npt.NDArray[np.float64]:
    """From linear RGB to the XYZ of the profile connection space."""
    columns = [_numbers(tags.get(name, b""), ">i4", 3, 8) / 65536 for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    return np.stack(columns, axis=1)


def _numbers(tag: bytes, kind: str, count: int, start: int) -> npt.NDArray[Any]:
    with decoding():
        return np.frombuffer(tag, kind, count, start)


def _curve(tag: bytes) -> Callable[[Floats], Floats]:
    """A tone curve from 0..1 to 0..1. Raises DamagedError, also for kinds that no program writes."""
    if tag[:4] == b"curv":
        table = _numbers(tag, ">u2", int.from_bytes(tag[8:12]), 12)
        if len(table) > 1:
            return lambda values: np.interp(values, np.linspace(0, 1, len(table)), table / 65535).astype(np.float32)
        gamma = float(table[0]) / 256 if len(table) else 1.0
        return lambda values: values**gamma
    if tag[8:10] not in PARAMETERS:
        raise DamagedError(f"a curve of the kind {tag[8:10]!r}")
    rest = PARAMETERS[tag[8:10]]
    g, a, b, c, d, e, f = np.append(_numbers(tag, ">i4", 7 - len(rest), 12) / 65536, rest).tolist()
    return lambda values: np.where(values >= d, np.maximum(a * values + b, 0) ** g + e, c * values + f)
