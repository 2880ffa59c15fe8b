"""Saving: a picture as the bytes of a file, of the kind that the file's suffix says."""

import io
from collections.abc import Mapping

import numpy as np
import tifffile
from PIL import Image

from nst_graph.pictures import png
from nst_graph.pictures.pictures import Picture, to_bytes

#: Of JPEGs, which keep all colours.
QUALITY = {"quality": 95, "subsampling": 0}


def to_file(picture: Picture, suffix: str, depth: int = 8, texts: Mapping[str, str] | None = None) -> bytes:
    """A picture [height, width, 3] in 0..255, clipped to that, as sRGB; a PNG has `texts` too."""
    suffix = suffix.lower()
    if suffix == ".png":
        return png.encode(picture, depth, texts)
    file = io.BytesIO()
    if suffix in (".tif", ".tiff"):
        most = 2**depth - 1
        levels = np.clip(np.rint(picture * (most / 255)), 0, most).astype(f"u{depth // 8}")
        tifffile.imwrite(file, levels, photometric="rgb", compression="zlib", software="nst_graph", metadata=None)
    else:
        Image.fromarray(to_bytes(picture)).save(file, "JPEG", **QUALITY)
    return file.getvalue()
