"""The paper in NumPy, float64, from its equations alone: nothing here comes from nst_graph.

A network is a list of ("conv", name, kernel [3, 3, in, out], bias), ("relu", name) and
("pool", name); features are [height, width, filters], after the rectifier, or the pooling.
"""

import numpy as np
import scipy.linalg
from scipy.signal import correlate


def convolve(picture, kernel, bias):
    padded = np.pad(picture, ((1, 1), (1, 1), (0, 0)))
    filters = [correlate(padded, kernel[..., out], mode="valid", method="direct")[..., 0] for out in range(bias.size)]
    return np.stack(filters, axis=-1) + bias


def convolve_fast(picture, kernel, bias):
    """The same by nine matrix products, for layers with hundreds of filters."""
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((1, 1), (1, 1), (0, 0)))
    result = np.zeros((height, width, bias.size)) + bias
    for y in range(3):
        for x in range(3):
            result += padded[y : y + height, x : x + width] @ kernel[y, x]
    return result


def pool(features, kind, rounding="down"):
    """Of an odd side the last position is left out, or, rounding up, pooled with what there is of its window."""
    if rounding == "up":
        odd = [(0, side % 2) for side in features.shape[:2]]
        features = np.pad(features, (*odd, (0, 0)), constant_values=np.nan)
    height, width = (side // 2 * 2 for side in features.shape[:2])
    corners = [features[y:height:2, x:width:2] for y in (0, 1) for x in (0, 1)]
    if kind == "l2":
        return 0.78 * np.sqrt(4 * np.nanmean(np.square(corners), axis=0))
    return np.nanmean(corners, axis=0) if kind == "average" else np.nanmax(corners, axis=0)


def features(network, mean, picture, pooling="average", convolution=convolve, rounding="down"):
    tensor, named = picture.astype(np.float64) - np.asarray(mean, dtype=np.float64), {}
    for kind, name, *weights in network:
        if kind == "conv":
            tensor = convolution(tensor, *(weight.astype(np.float64) for weight in weights))
        elif kind == "relu":
            named[name] = tensor = np.maximum(tensor, 0)
        else:
            named[name] = tensor = pool(tensor, pooling, rounding)
    return named


def content_loss(painted, wanted):
    """Equation 1."""
    return 0.5 * np.sum((painted - wanted) ** 2)


def gram(painted):
    """Equation 3."""
    rows = painted.reshape(-1, painted.shape[-1]).T  # F^l, N_l x M_l
    return np.einsum("ik,jk->ij", rows, rows)


def style_loss(painted, wanted):
    """Equation 4 for one layer of a painting of the same size."""
    positions, filters = painted.shape[0] * painted.shape[1], painted.shape[2]
    return np.sum((gram(painted) - gram(wanted)) ** 2) / (4 * filters**2 * positions**2)


def terms(network, mean, picture, content, styles, content_layers, style_layers, blend, **how):
    """Equations 1 and 5, unweighted by alpha and beta; several styles add up by their blend."""
    painted = features(network, mean, picture, **how)
    wanted = features(network, mean, content, **how)
    content_term = sum(weight * content_loss(painted[name], wanted[name]) for name, weight in content_layers.items())
    style_term = 0.0
    for share, style in zip(blend, styles, strict=True):
        wanted = features(network, mean, style, **how)
        for name, weight in style_layers.items():
            style_term += share * weight * style_loss(painted[name], wanted[name])
    return content_term, style_term


def wasserstein(painted, wanted, share):
    """The distance from SciPy's matrix roots; `share` [positions] says how much each of the painted counts."""
    share = share / share.sum()
    means = share @ painted, wanted.mean(0)
    spreads = [(rows - mean) * np.sqrt(share)[:, None] for rows, mean in [(painted, means[0])]]
    spreads.append((wanted - means[1]) / np.sqrt(len(wanted)))
    guard = 1e-5 * np.mean(wanted**2) * np.eye(wanted.shape[1])
    one, other = (spread.T @ spread + guard for spread in spreads)
    root = scipy.linalg.sqrtm(other)
    traces = np.trace(one + other - 2 * scipy.linalg.sqrtm(root @ one @ root)).real
    return (np.sum((means[0] - means[1]) ** 2) + traces) / len(guard)
