"""Pictures: float32 RGB arrays [height, width, 3] in 0..255, read, resized, recoloured and written."""

from nst_graph.pictures.pictures import (
    SUFFIXES,
    Mask,
    Picture,
    carry,
    enlarge,
    fit,
    read,
    read_mask,
    resize,
    start,
    to_bytes,
    to_png,
)

__all__ = [
    "SUFFIXES",
    "Mask",
    "Picture",
    "carry",
    "enlarge",
    "fit",
    "read",
    "read_mask",
    "resize",
    "start",
    "to_bytes",
    "to_png",
]
