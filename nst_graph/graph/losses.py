"""The losses, on tensors: the equations of Gatys, Ecker and Bethge (2015, arXiv 1508.06576) first.

Features are [1, height, width, filters]: the paper's F^l has N_l = filters rows and
M_l = height * width columns. CONTENT, STYLE and SMOOTHNESS name what settings can ask for. What these name
takes the same arguments, needed or not.
"""

import numpy as np

from nst_graph.evaluation import Floats
from nst_graph.graph.tensorflow import tf

#: Of a Wasserstein distance, the variance that is added in every direction, as a share of the painting's mean
#: square: float32 knows no less of a covariance.
LEAST_VARIANCE = 1e-5


def squared_difference(features: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """The sum of squared differences to the content's features P, which CONTENT counts."""
    return tf.reduce_sum(tf.square(tf.cast(features, target.dtype) - target))


def content(squares: tf.Tensor, count: float) -> tf.Tensor:
    """Equation 1: half the sum of squared differences."""
    return squares / 2


def content_squares(squares: tf.Tensor, count: float) -> tf.Tensor:
    """The sum of squared differences, twice equation 1."""
    return squares


def content_mean(squares: tf.Tensor, count: float) -> tf.Tensor:
    """The mean of squared differences over so many filters and positions."""
    return squares / count


def gram(features: tf.Tensor, mask: tf.Tensor | None = None, sums: bool = False) -> tf.Tensor:
    """Equation 3: inner products of the filters' responses over all positions, [N_l, N_l].

    A mask [M_l] in 0..1 says how much each position counts. With `sums` a filter that is one everywhere is
    counted as the last, [N_l + 1, N_l + 1]: its products are the others' sums, and the number of positions.
    """
    transposed = tf.reshape(features, [-1, features.shape[-1]])  # of the paper's F
    counted = transposed if mask is None else transposed * tf.cast(tf.sqrt(mask), transposed.dtype)[:, None]
    products = _inner_products(counted)
    if not sums:
        return products
    shares = tf.ones_like(transposed[:, 0], products.dtype) if mask is None else tf.cast(mask, products.dtype)
    totals = tf.reduce_sum(tf.cast(transposed, products.dtype) * shares[:, None], 0)[None]
    count = tf.reshape(tf.reduce_sum(shares), [1, 1])
    return tf.concat([tf.concat([products, totals], 0), tf.concat([tf.transpose(totals), count], 0)], 1)


def _inner_products(transposed: tf.Tensor) -> tf.Tensor:
    wide = tf.cast(transposed, tf.float32) if transposed.dtype == tf.bfloat16 else transposed
    with transposed.graph.gradient_override_map({"MatMul": "InnerProducts"}):
        return tf.matmul(wide, wide, transpose_a=True)


@tf.RegisterGradient("InnerProducts")  # type: ignore[untyped-decorator]
def _inner_products_gradient(op: tf.Operation, pull: tf.Tensor) -> tuple[tf.Tensor, None]:
    # The result is symmetric, so one product serves for the two that TensorFlow would make.
    wide = op.inputs[0]
    given = wide.op.inputs[0] if wide.op.type == "Cast" else wide
    return tf.cast(tf.matmul(given, tf.cast(pull + tf.transpose(pull), given.dtype)), wide.dtype), None


def style(gram: tf.Tensor, wanted: Floats, positions: float, pixels: int) -> tf.Tensor:
    """Equation 4: E_l from the Gram matrices G and A, `wanted`, over 4 N_l^2 M_l^2."""
    return tf.reduce_sum(tf.square(gram - wanted)) / (4.0 * len(wanted) ** 2 * positions**2)


def style_mean(gram: tf.Tensor, wanted: Floats, positions: float, pixels: int) -> tf.Tensor:
    """The mean of ((G - A) / M_l)^2."""
    return tf.reduce_mean(tf.square((gram - wanted) / positions))


def style_mean_over_size(gram: tf.Tensor, wanted: Floats, positions: float, pixels: int) -> tf.Tensor:
    """The mean of (G - A)^2, over N_l M_l."""
    return tf.reduce_mean(tf.square(gram - wanted)) / (len(wanted) * positions)


def style_over_pixels(gram: tf.Tensor, wanted: Floats, positions: float, pixels: int) -> tf.Tensor:
    """The sum of (G - A)^2 over 4 * 3^2 * pixels^2, pixels those of the picture, at every layer."""
    return tf.reduce_sum(tf.square(gram - wanted)) / (4.0 * 3**2 * float(pixels) ** 2)


def style_wasserstein(gram: tf.Tensor, wanted: Floats, positions: float, pixels: int) -> tf.Tensor:
    """The squared 2-Wasserstein distance of normal distributions, over N_l.

    They have the means m and covariances C of the features, and m', C' of the painting's:
    |m - m'|^2 + tr(C + C' - 2 (C'^(1/2) C C'^(1/2))^(1/2)). Matrices are those of gram(..., sums=True).
    """
    found = tf.cast(gram, tf.float64) / positions
    target = wanted.astype(np.float64) / positions
    filters = len(target) - 1
    mean, mean_wanted = found[:-1, -1], target[:-1, -1]
    least = LEAST_VARIANCE * float(np.trace(target[:-1, :-1])) / filters
    covariance = found[:-1, :-1] - mean[:, None] * mean + least * np.eye(filters)
    covariance_wanted = target[:-1, :-1] - np.outer(mean_wanted, mean_wanted) + least * np.eye(filters)
    values, vectors = np.linalg.eigh(covariance_wanted)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    common = _root_trace(root @ covariance @ root, least**2)
    traces = tf.linalg.trace(covariance) + np.trace(covariance_wanted) - 2 * common
    distance = (tf.reduce_sum(tf.square(mean - mean_wanted)) + traces) / filters
    return tf.cast(distance, gram.dtype)


def _root_trace(matrix: tf.Tensor, least: float) -> tf.Tensor:
    """The trace of a symmetric matrix's square root, by one decomposition for itself and its gradient.

    No eigenvalue is below `least` but by rounding.
    """
    fixed = tf.stop_gradient(matrix)
    values, vectors = tf.linalg.eigh((fixed + tf.transpose(fixed)) / 2)
    roots = tf.sqrt(tf.maximum(values, least))
    slope = tf.matmul(vectors / (2 * roots), vectors, transpose_b=True)
    return tf.reduce_sum(roots) + tf.reduce_sum(slope * (matrix - fixed))  # which adds nothing but its gradient


def smoothness_absolute(picture: tf.Tensor) -> tf.Tensor:
    """Total variation: the sum of absolute differences of neighbours, of [height, width, 3]."""
    return tf.reduce_sum(tf.abs(picture[1:] - picture[:-1])) + tf.reduce_sum(tf.abs(picture[:, 1:] - picture[:, :-1]))


def smoothness_squared(picture: tf.Tensor) -> tf.Tensor:
    """The sum of (p[y+1, x] - p[y, x])^2 and (p[y, x+1] - p[y, x])^2, of [height, width, 3].

    A quadratic, of curvature 16 at most: for L-BFGS. Absolute differences have a kink where neighbours are equal.
    """
    down, right = picture[1:] - picture[:-1], picture[:, 1:] - picture[:, :-1]
    return tf.reduce_sum(tf.square(down)) + tf.reduce_sum(tf.square(right))


def smoothness_power(picture: tf.Tensor) -> tf.Tensor:
    """The sum of (dx^2 + dy^2)^1.25 over a picture [height, width, 3] less its last row and column."""
    down = tf.square(picture[1:, :-1] - picture[:-1, :-1])
    right = tf.square(picture[:-1, 1:] - picture[:-1, :-1])
    return tf.reduce_sum(tf.pow(down + right, 1.25))


def smoothness_nine_point(picture: tf.Tensor) -> tf.Tensor:
    """(d_x + d_y) 2/3 + (d_1 + d_2) / 6 of mean squared differences: of neighbours right, below, and on both diagonals.

    Of [height, width, 3], which beyond its border repeats the outermost.
    """
    wide = tf.concat([picture[:1], picture, picture[-1:]], 0)
    wide = tf.concat([wide[:, :1], wide, wide[:, -1:]], 1)
    right, below = wide[1:-1, 2:] - wide[1:-1, 1:-1], wide[2:, 1:-1] - wide[1:-1, 1:-1]
    falling, rising = wide[1:, 1:] - wide[:-1, :-1], wide[1:, :-1] - wide[:-1, 1:]
    squares = [tf.reduce_mean(tf.square(difference)) for difference in (right, below, falling, rising)]
    return (squares[0] + squares[1]) * 2 / 3 + (squares[2] + squares[3]) / 6


def steadiness(picture: tf.Tensor, warped: tf.Tensor, trust: tf.Tensor) -> tf.Tensor:
    """The temporal loss: the mean of c (x - w)^2, of a frame x and the warped one before, w, [height, width, 3].

    The trust c is [height, width] in 0..1. Ruder, Dosovitskiy and Brox 2016 (arXiv 1604.08610), section 4.2.
    """
    return tf.reduce_mean(trust[..., None] * tf.square(picture - warped))


CONTENT = {"equation1": content, "squares": content_squares, "mean": content_mean}
STYLE = {
    "equation4": style,
    "mean": style_mean,
    "mean-over-size": style_mean_over_size,
    "over-pixels": style_over_pixels,
    "wasserstein": style_wasserstein,
}
#: The style losses whose Gram matrices have the features' sums too.
WITH_SUMS = {"wasserstein"}
SMOOTHNESS = {
    "absolute": smoothness_absolute,
    "squared": smoothness_squared,
    "power": smoothness_power,
    "nine-point": smoothness_nine_point,
}


def unit_gradient(features: tf.Tensor, strength: float) -> tf.Tensor:
    """The features themselves, whose gradient is scaled to an L1 norm of `strength`.

    What follows decides the gradient's direction only.
    """
    with features.graph.gradient_override_map({"IdentityN": "UnitGradient"}):
        same, _ = tf.identity_n([features, tf.constant(strength, features.dtype)])
    return same


@tf.RegisterGradient("UnitGradient")  # type: ignore[untyped-decorator]
def _unit_gradient(op: tf.Operation, gradient: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, None]:
    return gradient * (op.inputs[1] / (tf.reduce_sum(tf.abs(gradient)) + 1e-8)), None
