"""Images: float32 RGB arrays [height, width, 3] in 0..255, read, resized, recoloured and written."""

from nst_graph.images.arrays import (
    SIDES,
    Mask,
    Picture,
    alpha,
    content_colours,
    enlarge_change,
    fit,
    fitted_size,
    keep_colours,
    match_colours,
    opaque,
    resample,
    resize,
    start,
    to_bytes,
    unframed,
    unpremultiply,
)
from nst_graph.images.reading import read, read_mask
from nst_graph.images.writing import Files, ImageLike, as_list, to_file, to_png
