"""ICC profiles: from the colours of a file to sRGB, by Pillow's ImageCms.

ImageCms has 8 bits. More bits are converted here where curves and a matrix define the colours.
"""

import io
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from nst_graph.errors import DamagedError, decoding

Floats = npt.NDArray[np.floating]
Conversion = Callable[[npt.NDArray[Any]], Floats]

#: Pillow's modes for the colours that profiles of pictures are for.
MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
#: The largest profile that is used, in bytes; those of printing presses have two million.
LIMIT = 2**24
#: Levels of each channel at which a conversion is tried.
LEVELS = np.arange(0, 256, 15, dtype=np.uint8)
#: What parametric curves leave out at the end of g, a, b, c, d, e, f, by their kind:
#: Y = (aX + b)^g + e where X >= d, else cX + f.
PARAMETERS: dict[bytes, tuple[int, ...]] = {b"\0\0": (1, 0, 0, 0, 0, 0), b"\0\3": (0, 0), b"\0\4": ()}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def srgb() -> bytes:
    """sRGB's own, to be written into a file, with the same date in its header each time."""
    data = SRGB.tobytes()
    return data[:24] + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + data[36:]


def to_srgb(icc: object, mode: str) -> Conversion | None:
    """How colours [height, width, channels] of Pillow's mode "L", "RGB" or "CMYK", in 0..255, become sRGB.

    Relative colorimetry, with black as the profile has it, as Chromium converts; None, as there too, if that changes
    no colour by more than rounding. Raises DamagedError if the profile is damaged, too large or for other colours.
    """
    if not isinstance(icc, bytes) or len(icc) > LIMIT:
        raise DamagedError(f"no profile, or one of more than {LIMIT} bytes")
    own = MODES.get(icc[16:20], "")
    if own != mode and (own, mode) != ("RGB", "L"):
        raise DamagedError("a profile for other colours")
    rounded = _by_imagecms(icc, own)
    if own == "CMYK":
        return rounded
    tried = np.stack(np.meshgrid(*[LEVELS] * len(own)), axis=-1).reshape(1, -1, len(own))
    if np.abs(rounded(tried) - tried).max() <= 1:
        return None
    exact = rounded  # where tables define the colours
    with suppress(DamagedError):
        by_curves = _by_curves(icc)
        if np.abs(by_curves(tried) - rounded(tried)).max() < 2:
            exact = by_curves

    def convert(colours: npt.NDArray[Any]) -> Floats:
        if colours.shape[-1] < len(own):
            colours = np.repeat(colours, 3, axis=-1)  # greys, as RGB
        return rounded(colours) if colours.dtype == np.uint8 else exact(colours)

    return convert


def _by_imagecms(icc: bytes, own: str) -> Conversion:
    # Simplified, a conversion of greys is up to ten levels off in the darks; else it is slow.
    flags = ImageCms.Flags.NOOPTIMIZE if own == "L" else ImageCms.Flags.NONE
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    with decoding():
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    with decoding():
        transform = ImageCms.ImageCmsTransform(source, SRGB, own, "RGB", intent, flags=flags)

    def convert(colours: npt.NDArray[Any]) -> Floats:
        image = Image.frombytes(own, colours.shape[1::-1], np.rint(colours).astype(np.uint8).tobytes())
        return np.asarray(transform.apply(image), np.float32)

    if own == "L":
        table = convert(np.arange(256).reshape(1, 256, 1))[0]
        return lambda greys: table[np.rint(greys[..., 0]).astype(np.uint8)]
    return convert


def _by_curves(icc: bytes) -> Conversion:
    """The conversion by tone curves, and for RGB a matrix (ICC.1:2022, annex F.3); sRGB's own is IEC 61966-2-1."""
    tags = _tags(icc)
    names = [b"kTRC"] if b"kTRC" in tags else [b"rTRC", b"gTRC", b"bTRC"]
    curves = [_curve(tags.get(name, b"")) for name in names]
    matrix = np.ones((3, 1))
    if len(curves) == 3:
        matrix = np.linalg.solve(_matrix(_tags(SRGB.tobytes())), _matrix(tags)).astype(np.float32)

    def convert(colours: npt.NDArray[Any]) -> Floats:
        linear = np.stack([curve(colours[..., band] / 255) for band, curve in enumerate(curves)], axis=-1)
        linear = np.clip(linear @ matrix.T, 0, 1)
        encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        return (255 * encoded).astype(np.float32)

    return convert


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


def _curve(tag: bytes) -> Conversion:
    """A tone curve from 0..1 to 0..1. Raises DamagedError, also for kinds that no program writes."""
    if tag[:4] == b"curv":
        table = _numbers(tag, ">u2", int.from_bytes(tag[8:12]), 12)
        if len(table) > 1:
            return lambda values: np.interp(values, np.linspace(0, 1, len(table)), table / 65535)
        gamma = float(table[0]) / 256 if len(table) else 1.0
        return lambda values: values**gamma
    if tag[8:10] not in PARAMETERS:
        raise DamagedError(f"a curve of the kind {tag[8:10]!r}")
    rest = PARAMETERS[tag[8:10]]
    g, a, b, c, d, e, f = np.append(_numbers(tag, ">i4", 7 - len(rest), 12) / 65536, rest).tolist()
    return lambda values: np.where(values >= d, np.maximum(a * values + b, 0) ** g + e, c * values + f)
