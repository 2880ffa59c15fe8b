"""PNGs as Pillow does not write them."""

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def encode(width, height, bits, kind, compressed, *more):
    """A PNG of rows that are compressed already, with more chunks before them."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    return SIGNATURE + header + b"".join(more) + chunk(b"IDAT", compressed) + chunk(b"IEND", b"")


def insert(data, name, body):
    """A PNG with one more chunk, after its header."""
    return data[:33] + chunk(name, body) + data[33:]
