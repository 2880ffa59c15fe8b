"""Guides: where a region is at a layer, of which a mask [height, width] in 0..1 says the pixels.

Features are multiplied by them: G = (T F)(T F)^T. Gatys, Ecker, Bethge, Hertzmann and Shechtman 2017, "Controlling
Perceptual Factors in Neural Style Transfer" (arXiv 1611.07865), section 4; the ways are those of their notebook.
"""

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from nst_graph.images import Mask
from nst_graph.settings import Settings
from nst_graph.weights import Conv, Network, Pool

Guide = npt.NDArray[np.float64]
Region = npt.NDArray[np.bool_]
#: The positions of a layer of which a mask covers enough; and from which value on one is in a region of hard borders.
LEAST_POSITIONS = THRESHOLD = 0.5


def guide(network: Network, mask: Mask, layer: str, settings: Settings) -> Guide:
    """The guide of a layer, [height, width] there, by `guides` and `widen_guides` of the settings.

    "average": the root of the mask's mean over what poolings bring together, so that half grey counts half.
    "simple": the mask resampled by cubic splines. "all": 1 where any pixel of the receptive field is in the region, and
    "inside": where no other is.

    >>> network = Network((Conv("conv1_1", np.zeros((3, 3, 3, 1)), np.zeros(1)),), np.zeros(3), "current")
    >>> guide(network, np.float32([[1, 0, 0, 0]]), "conv1_1", Settings(guides="all")).tolist()
    [[1.0, 1.0, 0.0, 0.0]]
    """
    if settings.guides == "average":
        shares: Guide = network.shrink(mask, layer).astype(np.float64)
    elif settings.guides == "simple":
        zooms = np.divide(network.shrink(mask, layer).shape, mask.shape)
        shares = scipy.ndimage.zoom(mask.astype(np.float64), zooms, mode="nearest")
    else:
        region = mask >= THRESHOLD
        seen = _seen(network, region, layer) if settings.guides == "all" else ~_seen(network, ~region, layer)
        shares = seen.astype(np.float64)
    if settings.widen_guides:
        shares = _widened(shares >= THRESHOLD, settings.widen_guides).astype(np.float64)
    return np.sqrt(shares) if settings.guides == "average" else shares


def covers(guide: Guide) -> bool:
    """Whether a guide has enough of a layer to compare statistics."""
    return bool(np.square(guide).astype(np.float32).sum(dtype=np.float64) >= LEAST_POSITIONS)


def _seen(network: Network, region: Region, name: str) -> Region:
    """The positions of a layer in whose receptive field a pixel of the region is."""
    for layer in network.layers:
        if isinstance(layer, Conv):
            region = np.asarray(scipy.ndimage.binary_dilation(region, np.ones((3, 3))))
        elif isinstance(layer, Pool):
            region = network.taken_together(region).max(axis=(1, 3))
        if layer.name == name:
            break
    return region


def _widened(region: Region, by: int) -> Region:
    """A region wider by so many positions each way; or narrower, less those that lack two neighbours, as theirs."""
    side = 2 * abs(by) + 1
    neighbours = np.rint(side**2 * scipy.ndimage.uniform_filter(region.astype(np.float64), side))
    return np.asarray(neighbours >= 1 if by > 0 else region & (neighbours >= side**2 - 1))
