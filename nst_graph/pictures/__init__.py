"""Pictures: float32 RGB arrays [height, width, 3] in 0..255, read, resized, recoloured and written."""

from nst_graph.pictures.arrays import (
    SIDES,
    Mask,
    Picture,
    alpha,
    carry,
    enlarge,
    fit,
    fitted,
    keep_colours,
    match_colours,
    opaque,
    resize,
    start,
    to_bytes,
    unpremultiply,
)
from nst_graph.pictures.reading import read, read_mask
from nst_graph.pictures.writing import Files, ImageLike, listed, to_file, to_png

__all__ = [
    "SIDES",
    "Files",
    "ImageLike",
    "Mask",
    "Picture",
    "alpha",
    "carry",
    "enlarge",
    "fit",
    "fitted",
    "keep_colours",
    "listed",
    "match_colours",
    "opaque",
    "read",
    "read_mask",
    "resize",
    "start",
    "to_bytes",
    "to_file",
    "to_png",
    "unpremultiply",
]
