"""Pictures as arrays, float32 RGB [height, width, 3] in 0..255: resized, mixed, recoloured, rounded."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nst_graph.evaluation import Floats

Picture = npt.NDArray[np.float32]
#: Grey [height, width] in 0..1.
Mask = npt.NDArray[np.float32]

#: The sides that a size may be of, and the filters of resizing, by name.
SIDES: dict[str, Callable[[Sequence[int]], float]] = {
    "longer": max,
    "shorter": min,
    "area": lambda of: np.prod(of) ** 0.5,
}
RESAMPLINGS = {name: Image.Resampling[name.upper()] for name in ("lanczos", "bicubic", "bilinear")}
#: The least variance of colours that are given another, of 255^2.
LEAST_VARIANCE = 1e-3
#: The pixels next to the border that a painting's frame takes, as the network pads with zeros (docs/pictures.md).
FRAME = 4
#: The noise of the start, about the mean RGB: from a source of random numbers, an amplitude, the mean, and
#: [height, width, 3]. Grey noise is uniform noise, the same in all channels: fine noise of colour, which the
#: network hardly sees, would stay (docs/pictures.md). Noise of the full range is U(0, 255) whatever its amplitude.
NOISES: dict[str, Callable[[np.random.RandomState, float, Floats, tuple[int, ...]], Floats]] = {
    "grey": lambda random, amplitude, mean, shape: random.uniform(-amplitude, amplitude, (*shape[:2], 1)),
    "uniform": lambda random, amplitude, mean, shape: random.uniform(-amplitude, amplitude, shape),
    "normal": lambda random, amplitude, mean, shape: random.normal(0, amplitude, shape),
    "full-range": lambda random, amplitude, mean, shape: random.uniform(0, 255, shape) - mean,
}


def resize(picture: Picture, height: int, width: int, method: str = "lanczos") -> Picture:
    """Resample with one of RESAMPLINGS, which widen as they shrink, clipped to 0..255.

    >>> resize(np.ones((4, 6, 3), np.float32), 2, 3).shape
    (2, 3, 3)
    """
    return np.clip(resample(picture, height, width, method), 0, 255)


def resample(picture: Picture, height: int, width: int, method: str = "lanczos") -> Picture:
    """Resample [height, width, any] with one of RESAMPLINGS; values may leave 0..255."""
    if picture.shape[:2] == (height, width):
        return picture
    resized = np.empty((height, width, picture.shape[2]), np.float32)
    for band in range(picture.shape[2]):
        image = Image.fromarray(np.ascontiguousarray(picture[..., band]))
        resized[..., band] = np.asarray(image.resize((width, height), RESAMPLINGS[method]))
    return resized


def opaque(picture: Picture, height: int, width: int, method: str = "lanczos") -> Picture:
    """Resize; beneath what is transparent come the colours around it, and white where there are none.

    A picture with alpha is [height, width, 4], its colours multiplied by their share of opacity.
    """
    resized = resample(picture, height, width, method)
    return np.clip(resized if resized.shape[2] == 3 else _filled(resized), 0, 255)


def _filled(layer: Picture) -> Picture:
    """A layer with alpha over the same at half the resolution, that over a quarter, and so on to one pixel's mean."""
    height, width = layer.shape[:2]
    share = layer[..., 3:] / np.float32(255)
    if height == width == 1:
        mean = np.clip(layer[..., :3] / np.maximum(share, 1e-6), 0, 255)
        return np.where(share > 0, mean, np.float32(255))
    beneath = _filled(resample(layer, (height + 1) // 2, (width + 1) // 2, "bilinear"))
    filled: Picture = layer[..., :3] + (1 - share) * resample(beneath, height, width, "bilinear")
    return filled


def unpremultiply(picture: Picture) -> Picture:
    """A picture with alpha, as it is written: its colours no longer multiplied; others as they are."""
    if picture.shape[2] == 3:
        return picture
    share = np.maximum(picture[..., 3:] / np.float32(255), np.float32(1e-6))
    return np.concatenate([picture[..., :3] / share, picture[..., 3:]], axis=-1)


def alpha(picture: Picture, height: int, width: int) -> Picture | None:
    """The alpha [height, width, 1] in 0..255 of a picture that has any, bilinear, which keeps edges free of ripples."""
    return resize(picture[..., 3:], height, width, "bilinear") if picture.shape[2] == 4 else None


def enlarge_change(picture: Picture, photograph: Picture, larger: Picture) -> Picture:
    """Enlarge a painting of `photograph` to the size of `larger`, the same photograph with more pixels.

    Only the change from photograph to painting is enlarged, so the photograph's detail stays sharp.
    """
    enlarged: Picture = larger + resample(unframed(picture - photograph), *larger.shape[:2])
    return enlarged


def unframed(values: Picture) -> Picture:
    """A painting, or a change, with what is within its FRAME mirrored there: enlarged, a frame would be a band."""
    height, width, _ = values.shape
    frame = min(FRAME, (min(height, width) - 1) // 2)
    inside = values[frame : height - frame, frame : width - frame]
    return np.pad(inside, ((frame, frame), (frame, frame), (0, 0)), "symmetric")


def fit(picture: Picture, size: int) -> Picture:
    """Shrink so that the longer side has `size` pixels; a smaller picture keeps its size.

    >>> fit(np.ones((40, 60, 3), np.float32), 30).shape
    (20, 30, 3)
    """
    return resize(picture, *fitted_size(picture.shape, size))


def fitted_size(
    shape: Sequence[int],
    size: int | None,
    side: str = "longer",
    squash: Sequence[int] | None = None,
    larger: bool = False,
) -> tuple[int, int]:
    """The height and width at which the longer, or shorter, side of a picture has `size` pixels.

    That is at most its own, unless `larger` is set. `squash` is another ratio, width and height, than its own.
    """
    own = SIDES[side](shape[:2])
    height, width = shape[:2] if squash is None else (squash[1], squash[0])
    length = own if size is None else size if larger else min(own, size)
    scale = length / SIDES[side]((height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def start(
    base: Picture, mean: Floats, noise_ratio: float, seed: int, noise: str = "grey", amplitude: float = 20.0
) -> Picture:
    """mean + noise_ratio * noise + (1 - noise_ratio) * (base - mean), with noise of one of NOISES.

    A seed and a size always give the same noise: NumPy guarantees the streams of RandomState.
    """
    mean = mean.astype(np.float64)
    drawn = NOISES[noise](np.random.RandomState(seed), amplitude, mean, base.shape)
    mixed = noise_ratio * drawn + (1 - noise_ratio) * (base - mean)
    return (mixed + mean).astype(np.float32)


def match_colours(style: Picture, content: Picture, how: str) -> Picture:
    """The style picture with the content's colours: each channel's "histogram", or mean and "covariance".

    For "luminance-first" it is grey, its mean the content's; for other values of that setting as it is.

    >>> grey, red = (np.full((2, 2, 3), colour, np.float32) for colour in ((9, 9, 9), (200, 0, 0)))
    >>> match_colours(grey, red, "covariance")[0, 0].tolist()
    [200.0, 0.0, 0.0]
    """
    if how == "histogram":
        from skimage.exposure import match_histograms

        return np.asarray(match_histograms(style, content, channel_axis=-1), np.float32)
    if how == "luminance-first":
        grey, mean = _luminance(style), _luminance(content).mean(dtype=np.float64)
        return np.asarray(np.clip(grey + (mean - grey.mean(dtype=np.float64)), 0, 255), np.float32)
    return match_moments(style, [content]) if how == "covariance" else style


def content_colours(content: Picture, styles: Sequence[Picture], shares: Sequence[float], how: str) -> Picture:
    """The content in the colours in which it is painted: for "match-photograph" with the styles' mean and covariance.

    For "luminance-first" it is grey; for other values of that setting as it is.

    >>> content_colours(np.full((1, 1, 3), (100, 0, 0), np.float32), [], [], "luminance-first").round().tolist()
    [[[30.0, 30.0, 30.0]]]
    """
    if how == "match-photograph" and styles:
        return match_moments(content, styles, shares)
    return _luminance(content) if how == "luminance-first" else content


def match_moments(picture: Picture, targets: Sequence[Picture], shares: Sequence[float] = (1.0,)) -> Picture:
    """The picture with the mean and covariance of the targets' pixels, clipped to 0..255; a target counts by its share.

    A linear map, C'^(1/2) C^(-1/2) of covariances C and C', with symmetric square roots: Gatys, Bethge, Hertzmann and
    Shechtman 2016, "Preserving Color in Neural Artistic Style Transfer" (arXiv 1606.05897).
    """
    pixels, *others = (one.reshape(-1, 3).astype(np.float64) for one in (picture, *targets))
    weights = np.concatenate([np.full(len(one), share / len(one)) for one, share in zip(others, shares, strict=True)])
    target = np.concatenate(others)
    inverse = np.linalg.inv(_root(np.cov(pixels.T), LEAST_VARIANCE))
    transform = _root(np.cov(target.T, aweights=weights)) @ inverse
    moved = (pixels - pixels.mean(axis=0)) @ transform.T + np.average(target, axis=0, weights=weights)
    return np.asarray(np.clip(moved, 0, 255).reshape(picture.shape), np.float32)


def _root(covariance: Floats, least: float = 0.0) -> Floats:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors @ np.diag(np.sqrt(np.maximum(values, least))) @ vectors.T)


def _luminance(picture: Picture) -> Picture:
    """The luminance by ITU-R BT.601, in each channel."""
    return np.repeat(picture @ np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=-1)


def keep_colours(painted: Picture, content: Picture) -> Picture:
    """The painting's luminance, changed where that is not an RGB colour, with the content's chrominance, in YUV.

    >>> red, grey = (np.full((1, 1, 3), colour, np.float32) for colour in ((200, 0, 0), (9, 9, 9)))
    >>> keep_colours(red, grey).round().tolist()
    [[[60.0, 60.0, 60.0]]]
    """
    from skimage import color

    luminance = color.rgb2yuv(np.clip(painted, 0, 255) / 255)[..., 0]
    chrominance = color.rgb2yuv(content / 255)
    chrominance[..., 0] = 0
    offsets = color.yuv2rgb(chrominance)  # RGB minus luminance
    luminance = np.clip(luminance, -offsets.min(axis=-1), 1 - offsets.max(axis=-1))
    return np.asarray((luminance[..., None] + offsets) * 255, np.float32)


def levels(picture: npt.NDArray[np.floating], depth: int) -> npt.NDArray[Any]:
    """Round to `depth` bits, 8 or 16, clipped to 0..255 before."""
    most = 2**depth - 1
    scaled = picture * (most / 255)
    np.clip(np.rint(scaled, out=scaled), 0, most, out=scaled)
    return np.asarray(scaled.astype(f"u{depth // 8}"))


def to_bytes(picture: Picture) -> npt.NDArray[np.uint8]:
    """Round to 8 bits, clipped to 0..255."""
    return np.asarray(levels(picture, 8), np.uint8)
