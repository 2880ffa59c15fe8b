"""Colours: transferring those of the photograph to the painting, before or after painting."""

import numpy as np
from skimage import color, exposure

from nst_graph.pictures import Picture


def match(style: Picture, content: Picture, how: str) -> Picture:
    """The style picture with the content's colours, by "histogram" or "covariance".

    Histograms are matched channel by channel. For "covariance", a linear map gives the style's
    pixels the content's mean and covariance (Gatys, Bethge, Hertzmann and Shechtman 2016,
    "Preserving Color in Neural Artistic Style Transfer", with symmetric square roots).
    """
    if how == "histogram":
        return np.asarray(exposure.match_histograms(style, content, channel_axis=-1), np.float32)
    style_pixels, content_pixels = (picture.reshape(-1, 3).astype(np.float64) for picture in (style, content))
    transform = _root(np.cov(content_pixels.T)) @ np.linalg.inv(_root(np.cov(style_pixels.T) + 1e-3 * np.eye(3)))
    moved = (style_pixels - style_pixels.mean(axis=0)) @ transform.T + content_pixels.mean(axis=0)
    return np.asarray(np.clip(moved, 0, 255).reshape(style.shape), np.float32)


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors @ np.diag(np.sqrt(np.maximum(values, 0))) @ vectors.T)


def keep(painted: Picture, content: Picture) -> Picture:
    """The painting's luminance with the content's chrominance, in YUV.

    The luminance is changed where the combination is not an RGB colour.
    """
    luminance = color.rgb2yuv(np.clip(painted, 0, 255) / 255)[..., 0]
    chrominance = color.rgb2yuv(content / 255)
    chrominance[..., 0] = 0
    offsets = color.yuv2rgb(chrominance)  # RGB minus luminance
    luminance = np.clip(luminance, -offsets.min(axis=-1), 1 - offsets.max(axis=-1))
    return np.asarray((luminance[..., None] + offsets) * 255, np.float32)
