"""Saving: a picture as the bytes of a file, of the kind that the file's suffix says."""

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from nst_graph.pictures import png, profiles
from nst_graph.pictures.pictures import Picture, levels, to_bytes

#: Of JPEGs, which keep all colours.
QUALITY = {"quality": 95, "subsampling": 0}


def to_file(picture: Picture, suffix: str, depth: int = 8, texts: Mapping[str, str] | None = None) -> bytes:
    """A picture [height, width, 3 or 4] in 0..255, clipped to that, as sRGB, alpha last; a JPEG has white for it.

    A PNG has each of `texts`, in Latin-1; a JPEG has them as a comment and a TIFF as its description, in JSON.
    """
    suffix = suffix.lower()
    if suffix == ".png":
        return png.encode(picture, depth, texts)
    file, text = io.BytesIO(), json.dumps(texts) if texts else None
    if suffix in (".tif", ".tiff"):
        extra = ["unassalpha"] if picture.shape[2] == 4 else None
        told: dict[str, Any] = {"photometric": "rgb", "extrasamples": extra, "metadata": None}
        told |= {"description": text, "iccprofile": profiles.srgb()}
        tifffile.imwrite(file, levels(picture, depth), compression="zlib", software="nst_graph", **told)
    else:
        if picture.shape[2] == 4:
            share = picture[..., 3:] / np.float32(255)
            picture = picture[..., :3] * share + 255 * (1 - share)
        image = Image.fromarray(to_bytes(picture))
        image.save(file, "JPEG", icc_profile=profiles.srgb(), comment=text or "", **QUALITY)
    return file.getvalue()
