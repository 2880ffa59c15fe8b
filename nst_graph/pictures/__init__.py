"""Pictures: float32 RGB arrays [height, width, 3] in 0..255, read, resized, recoloured and written."""

from nst_graph.pictures.pictures import (
    SIDES,
    SUFFIXES,
    Mask,
    Picture,
    carry,
    enlarge,
    fit,
    fitted,
    read,
    read_mask,
    resize,
    start,
    to_bytes,
    to_png,
)

__all__ = [
    "SIDES",
    "SUFFIXES",
    "Mask",
    "Picture",
    "carry",
    "enlarge",
    "fit",
    "fitted",
    "read",
    "read_mask",
    "resize",
    "start",
    "to_bytes",
    "to_png",
]
