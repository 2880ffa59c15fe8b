"""Optical flow between frames: what it carries from one to the next, and where it can be trusted.

A flow is float32 [height, width, 2], in pixels to the right and down. Where it can be trusted is decided as by
Ruder, Dosovitskiy and Brox 2016 (arXiv 1604.08610), section 4.2, who take it from Sundaram, Brox and Keutzer 2010.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from nst_graph.images import Mask, Picture, to_bytes
from nst_graph.model.objective import TemporalTarget

#: The smallest side, in pixels, of what OpenCV is given.
LEAST = 48
#: The standard deviation of the blend at the border of what can be trusted, in pixels.
BLEND = 2
Flow = npt.NDArray[np.float32]


def between(frame: Picture, other: Picture) -> Flow:
    """Where each point of a frame lies in the other: frame(p) is about other(p + flow(p)).

    Dense inverse search (Kroeger and others 2016) on grey pictures, by OpenCV, which takes none of a few pixels.
    """
    import cv2

    height, width = frame.shape[:2]
    times = -(-LEAST // min(height, width))
    greys: Any = [cv2.cvtColor(to_bytes(picture), cv2.COLOR_RGB2GRAY) for picture in (frame, other)]
    greys = [cv2.resize(grey, (width * times, height * times)) for grey in greys]
    method: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow: Flow = cv2.resize(method.calc(*greys, None), (width, height)) / np.float32(times)
    return flow


def warp(values: npt.NDArray[np.float32], flow: Flow) -> npt.NDArray[np.float32]:
    """Values [height, width, channels] at p + flow(p), by cubic convolution; beyond the border those at it."""
    import cv2

    at = _targets(flow)
    warped: npt.NDArray[np.float32] = cv2.remap(
        values, at[..., 0], at[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return warped


def consistency(forward: Flow, backward: Flow) -> Mask:
    """Where a frame's `backward` flow to the frame before can be trusted: 1, elsewhere 0, [height, width].

    With the forward flow w of the frame before, and the backward flow w', that is not

    - where something comes out from behind another: w at p + w'(p), w~, does not lead back,
      |w~ + w'|^2 > 0.01 (|w~|^2 + |w'|^2) + 0.5;
    - at motion boundaries: |grad u'|^2 + |grad v'|^2 > 0.01 |w'|^2 + 0.002;
    - where p + w'(p) lies beyond the border, of which nothing was seen before.
    """
    returned = warp(forward, backward)
    disoccluded = _square(returned + backward) > 0.01 * (_square(returned) + _square(backward)) + 0.5
    slopes = sum(np.square(slope).sum(-1) for slope in np.gradient(backward, axis=(0, 1)))
    boundary = slopes > 0.01 * _square(backward) + 0.002
    places = _targets(backward)
    last = np.array(backward.shape[1::-1]) - 1
    outside = ((places < 0) | (places > last)).any(-1)
    consistent: Mask = (~(disoccluded | boundary | outside)).astype(np.float32)
    return consistent


def temporal_target(frame: Picture, earlier: Sequence[tuple[Picture, Picture]], weight: float) -> TemporalTarget:
    """What the painting of `frame` is held to, from earlier frames with their paintings, and the weight of that.

    Each pixel is held to the first of them in which it can be trusted, as by the same paper's section 4.3, whose
    long-term trust of a frame is max(c - that of all nearer frames, 0). Where none can, the picture is the first's.
    """
    picture: Picture | None = None
    consistent: Mask = np.zeros(frame.shape[:2], np.float32)
    for other, painted in earlier:
        backward = between(frame, other)
        warped, here = warp(painted, backward), consistency(between(other, frame), backward)
        picture = warped if picture is None else np.where((here > consistent)[..., None], warped, picture)
        consistent = np.maximum(consistent, here)
    assert picture is not None
    return TemporalTarget(picture, consistent, weight)


def filled(target: TemporalTarget, picture: Picture) -> Picture:
    """The target's picture where it can be trusted, elsewhere another; they blend over a few pixels."""
    share = gaussian_filter(target.flow_consistency, BLEND)[..., None]
    both: Picture = target.picture * share + picture * (1 - share)
    return both


def _targets(flow: Flow) -> Flow:
    """Where the flow leads: p + flow(p) at each point p."""
    height, width = flow.shape[:2]
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32) + flow


def _square(flow: Flow) -> npt.NDArray[np.float32]:
    squares: npt.NDArray[np.float32] = np.square(flow).sum(-1)
    return squares
