"""Pictures: float32 RGB arrays [height, width, 3] in 0..255, read, resized, recoloured and written."""

from nst_graph.pictures.formats import read, read_mask
from nst_graph.pictures.in_memory import Files, ImageLike, listed
from nst_graph.pictures.pictures import (
    SIDES,
    Mask,
    Picture,
    alpha,
    carry,
    enlarge,
    fit,
    fitted,
    opaque,
    resize,
    start,
    to_bytes,
    unpremultiply,
)
from nst_graph.pictures.png import encode as to_png
from nst_graph.pictures.saving import to_file

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
    "listed",
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
