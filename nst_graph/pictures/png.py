"""PNG files: read for Pillow, and written with 8 or 16 bits a colour."""

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nst_graph.errors import decoding
from nst_graph.pictures import profiles, tiff
from nst_graph.pictures.pictures import levels

#: How a file begins, and the types of the chunks that are needed for its pixels.
MAGIC = b"\x89PNG\r\n\x1a\n"
CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf")


def reduced(data: bytes) -> tuple[io.BytesIO, bytes | None]:
    """A file with only the chunks that its pixels need, since Pillow refuses long texts and profiles; its profile."""
    chunks, profile = [data[:8]], None
    for name, chunk in _chunks(data):
        if name in CHUNKS:
            chunks.append(chunk)
        elif name == b"iCCP" and profile is None:
            profile = _profile(chunk[8:])
    return io.BytesIO(b"".join(chunks)), profile


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while len(data) >= at + 12:
        length = int.from_bytes(data[at : at + 4])
        yield data[at + 4 : at + 8], data[at : at + 12 + length]
        at += 12 + length


def _profile(body: bytes) -> bytes:
    """The unpacked profile; nothing if it is damaged."""
    try:
        return zlib.decompressobj().decompress(body[body.index(0) + 2 :], profiles.LIMIT + 1)
    except (ValueError, zlib.error):
        return b""


def deep(source: io.BytesIO, image: Image.Image, max_pixels: int) -> npt.NDArray[np.float32] | None:
    """The colours of a 16-bit file in 0..255, from the file and the loaded image; None if it is another.

    Pillow keeps the first of a number's two bytes. Told the other byte order, it keeps the second. Raises
    TooLargeError if this takes more memory than `max_pixels` of 8 bits.
    """
    with Image.open(source, formats=["PNG"]) as other:
        rawmode = other.tile[0].args
        if rawmode not in ("RGB;16B", "RGBA;16B"):
            return None
        if 2 * image.width * image.height > max_pixels:
            raise tiff.TooLargeError(f"{image.width} x {image.height} pixels of 16 bits")
        other.tile = [other.tile[0]._replace(args=f"{rawmode[:-1]}L")]
        with decoding():
            other.load()
        values = np.array(image, np.float32)
        values *= np.float32(256)
        values += np.asarray(other)
        values /= np.float32(257)
    return values


def encode(picture: npt.NDArray[np.floating], depth: int = 8, texts: Mapping[str, str] | None = None) -> bytes:
    """A picture [height, width, 3 or 4] in 0..255, clipped to that, alpha last, in sRGB with `depth` bits.

    The texts are in Latin-1.
    """
    height, width, channels = picture.shape
    rows: npt.NDArray[Any] = levels(picture, depth).astype(f">u{depth // 8}").reshape(height, -1).view(np.uint8)
    pixel = channels * depth // 8
    # Bytes less the mean of those to the left and above pack well.
    mean = np.zeros(rows.shape, np.uint16)
    mean[1:] += rows[:-1]
    mean[:, pixel:] += rows[:, :-pixel]
    filtered = np.insert(rows - (mean // 2).astype(np.uint8), 0, 3, axis=1)
    header = struct.pack(">IIBBBBB", width, height, depth, 6 if channels == 4 else 2, 0, 0, 0)
    chunks = [_chunk(b"IHDR", header), _chunk(b"sRGB", b"\0")]
    chunks += [_chunk(b"tEXt", f"{name}\0{text}".encode("latin-1")) for name, text in (texts or {}).items()]
    return b"".join([MAGIC, *chunks, _chunk(b"IDAT", zlib.compress(filtered.data)), _chunk(b"IEND", b"")])


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
