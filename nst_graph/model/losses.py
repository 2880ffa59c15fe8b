"""The losses, on tensors: the equations of Gatys, Ecker and Bethge (2015, arXiv 1508.06576) first.

Features are [1, height, width, filters]: the paper's F^l has N_l = filters rows and
M_l = height * width columns. CONTENT, STYLE and SMOOTHNESS name what settings can ask for. What these name
takes the same arguments, needed or not.

A style loss is a statistic, which is a sum over positions, and a distance of two statistics. So a picture's statistic
is the sum of its parts', and a painting's of another size is scaled by the numbers of positions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nst_graph.evaluation import Floats
from nst_graph.model.tensorflow import tf

#: The variance that is added in every direction of a Wasserstein distance, and the least of a filter's, as shares of
#: the mean square: float32 knows no less of a covariance.
LEAST_VARIANCE = 1e-5
#: Of a filter that never responds, in place of its variance: the root's gradient is finite there.
TINY = 1e-12


def squared_difference(features: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """The sum of (F - P)^2, P the content's features, which CONTENT counts."""
    return tf.reduce_sum(tf.square(tf.cast(features, target.dtype) - target))


def gram(features: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
    """Equation 3: G = F F^T, inner products of the filters' responses over all positions, [N_l, N_l].

    A mask [M_l] in 0..1 says how much each position counts.

    >>> with tf.Graph().as_default(), tf.Session() as session:  # two positions of two filters
    ...     session.run(gram(tf.constant([[[[1.0, 2.0], [3.0, 4.0]]]]))).tolist()
    [[10.0, 14.0], [14.0, 20.0]]
    """
    columns = _columns(features)
    if mask is not None:
        columns *= tf.sqrt(tf.cast(mask, columns.dtype)[:, None])
    wide = _wide(columns)
    with features.graph.gradient_override_map({"MatMul": "Gram"}):
        return tf.matmul(wide, wide, transpose_a=True)


@tf.RegisterGradient("Gram")  # type: ignore[untyped-decorator]
def _gram_gradient(op: tf.Operation, pull: tf.Tensor) -> tuple[tf.Tensor, None]:
    # G is symmetric, so one product serves for the two that TensorFlow would make.
    wide = op.inputs[0]
    narrow = wide.op.inputs[0] if wide.op.type == "Cast" else wide
    return tf.cast(tf.matmul(narrow, tf.cast(pull + tf.transpose(pull), narrow.dtype)), wide.dtype), None


def gram_and_sums(features: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
    """The Gram matrix of the filters and of one more that is one everywhere, [N_l + 1, N_l + 1].

    The last row and column have the filters' sums, and the number of positions.
    """
    products = gram(features, mask)
    columns = tf.cast(_columns(features), products.dtype)
    shares = tf.ones_like(columns[:, :1]) if mask is None else tf.cast(mask, columns.dtype)[:, None]
    sums, count = tf.reduce_sum(columns * shares, 0)[None], tf.reshape(tf.reduce_sum(shares), [1, 1])
    return tf.concat([tf.concat([products, sums], 0), tf.concat([tf.transpose(sums), count], 0)], 1)


def sums_and_squares(features: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
    """Each filter's sum of responses, and of their squares, over all positions, [2, N_l]."""
    columns = _wide(_columns(features))
    shares = 1 if mask is None else tf.cast(mask, columns.dtype)[:, None]
    return tf.stack([tf.reduce_sum(columns * shares, 0), tf.reduce_sum(tf.square(columns) * shares, 0)])


def guided_sums(features: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
    """Each filter's sum of responses times a guide, over all positions, [N_l]."""
    columns = _wide(_columns(features))
    weights = tf.ones_like(columns[:, 0]) if mask is None else tf.cast(mask, columns.dtype)
    return tf.linalg.matvec(columns, weights, transpose_a=True)


def _columns(features: tf.Tensor) -> tf.Tensor:
    """The paper's F, transposed: [M_l, N_l]."""
    return tf.reshape(features, [-1, features.shape[-1]])


def _wide(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(values, tf.float32) if values.dtype == tf.bfloat16 else values


def equation4(gram: tf.Tensor, target: Floats, positions: float, pixels: int) -> tf.Tensor:
    """Equation 4: E_l, the sum of (G - A)^2 over 4 N_l^2 M_l^2, A the painting's Gram matrix.

    >>> float(equation4(tf.constant([[3.0]]), np.float32([[1.0]]), positions=2, pixels=2))
    0.25
    """
    return tf.reduce_sum(tf.square(gram - target)) / (4.0 * len(target) ** 2 * positions**2)


def mean_of_squares(gram: tf.Tensor, target: Floats, positions: float, pixels: int) -> tf.Tensor:
    """The mean of ((G - A) / M_l)^2."""
    return tf.reduce_mean(tf.square((gram - target) / positions))


def mean_over_size(gram: tf.Tensor, target: Floats, positions: float, pixels: int) -> tf.Tensor:
    """The mean of (G - A)^2, over N_l M_l."""
    return tf.reduce_mean(tf.square(gram - target)) / (len(target) * positions)


def over_pixels(gram: tf.Tensor, target: Floats, positions: float, pixels: int) -> tf.Tensor:
    """The sum of (G - A)^2 over 4 * 3^2 * pixels^2, pixels those of the picture, at every layer."""
    return tf.reduce_sum(tf.square(gram - target)) / (4.0 * 3**2 * float(pixels) ** 2)


def moments(sums: tf.Tensor, target: Floats, positions: float, pixels: int) -> tf.Tensor:
    """The mean over filters of (mu - mu')^2 + (sigma - sigma')^2: means and standard deviations of responses.

    Statistics are those of sums_and_squares. Li, Wang, Liu and Hou 2017, "Demystifying Neural Style Transfer"
    (arXiv 1701.01036), equation 15, as they match the statistics of batch normalisation.
    """
    (mean, deviation), (mean_target, deviation_target) = (
        (mean, tf.sqrt(tf.maximum(squares - tf.square(mean), LEAST_VARIANCE * squares + TINY)))
        for mean, squares in map(tf.unstack, (sums / positions, tf.constant(target / positions, sums.dtype)))
    )
    return tf.reduce_mean(tf.square(mean - mean_target) + tf.square(deviation - deviation_target))


def wasserstein(gram: tf.Tensor, target: Floats, positions: float, pixels: int) -> tf.Tensor:
    """The squared 2-Wasserstein distance of normal distributions, over N_l.

    They have the means m and covariances C of the features, and m', C' of the painting's:
    |m - m'|^2 + tr(C + C' - 2 (C'^(1/2) C C'^(1/2))^(1/2)). Statistics are those of gram_and_sums.

    >>> gram, target = tf.constant([[18.0, 6.0], [6.0, 2.0]]), np.float32([[2.0, 2.0], [2.0, 2.0]])  # means 3 and 1
    >>> float(wasserstein(gram, target, positions=2, pixels=2))
    4.0
    """
    products, products_target = tf.cast(gram, tf.float64) / positions, target.astype(np.float64) / positions
    filters = len(target) - 1
    mean, mean_target = products[:-1, -1], products_target[:-1, -1]
    least = LEAST_VARIANCE * float(np.trace(products_target[:-1, :-1])) / filters
    covariance = products[:-1, :-1] - mean[:, None] * mean + least * np.eye(filters)
    covariance_target = products_target[:-1, :-1] - np.outer(mean_target, mean_target) + least * np.eye(filters)
    values, vectors = np.linalg.eigh(covariance_target)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    common = _root_trace(root @ covariance @ root, least**2)
    traces = tf.linalg.trace(covariance) + np.trace(covariance_target) - 2 * common
    distance = (tf.reduce_sum(tf.square(mean - mean_target)) + traces) / filters
    return tf.cast(distance, gram.dtype)


def _root_trace(matrix: tf.Tensor, least: float) -> tf.Tensor:
    """tr(M^(1/2)) of a symmetric M with eigenvalues from `least` on, by one decomposition for it and its gradient."""
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
    wide = tf.pad(picture, [[1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    right, below = wide[1:-1, 2:] - wide[1:-1, 1:-1], wide[2:, 1:-1] - wide[1:-1, 1:-1]
    falling, rising = wide[1:, 1:] - wide[:-1, :-1], wide[1:, :-1] - wide[:-1, 1:]
    squares = [tf.reduce_mean(tf.square(difference)) for difference in (right, below, falling, rising)]
    return (squares[0] + squares[1]) * 2 / 3 + (squares[2] + squares[3]) / 6


def temporal_loss(picture: tf.Tensor, warped: tf.Tensor, consistency: tf.Tensor) -> tf.Tensor:
    """The mean of c (x - w)^2, of a frame x and the warped one before, w, [height, width, 3].

    The flow's consistency c is [height, width] in 0..1. Ruder, Dosovitskiy and Brox 2016 (arXiv 1604.08610),
    section 4.2.
    """
    return tf.reduce_mean(consistency[..., None] * tf.square(picture - warped))


@dataclass(frozen=True)
class StyleLoss:
    """A statistic of features and a mask, a sum over positions, and its distance to a target of the same shape.

    The distance takes M_l too, or the sum of the mask, and the number of the picture's pixels.
    """

    statistic: Callable[[tf.Tensor, tf.Tensor | None], tf.Tensor]
    distance: Callable[[tf.Tensor, Floats, float, int], tf.Tensor]
    is_linear: bool = False  # in features, and so in their guide

    def mask(self, guide: Floats) -> tuple[Floats, float]:
        """What the statistic takes as the mask of a guide T [height, width], and of how many positions it then is.

        T^2 and its sum; of a linear one T over the root of its mean square, and M_l.
        """
        if self.is_linear:
            return (guide / np.sqrt(np.mean(np.square(guide)))).astype(np.float32), float(guide.size)
        mask = np.square(guide).astype(np.float32)
        return mask, float(mask.sum(dtype=np.float64))


#: From the sum of (F - P)^2, and the count N_l M_l of what was summed; equation 1 is half the sum.
CONTENT: dict[str, Callable[[tf.Tensor, int], tf.Tensor]] = {
    "equation1": lambda squares, count: squares / 2,
    "squares": lambda squares, count: squares,
    "mean": lambda squares, count: squares / count,
}
STYLE = {
    "equation4": StyleLoss(gram, equation4),
    "mean": StyleLoss(gram, mean_of_squares),
    "mean-over-size": StyleLoss(gram, mean_over_size),
    "over-pixels": StyleLoss(gram, over_pixels),
    "wasserstein": StyleLoss(gram_and_sums, wasserstein),
    "moments": StyleLoss(sums_and_squares, moments),
}
#: Of a region beside the Gram matrix of all: ((T F - T' F') / M_l)^2, its mean over filters.
GUIDED_SUMS = StyleLoss(guided_sums, mean_of_squares, is_linear=True)
SMOOTHNESS = {
    "absolute": smoothness_absolute,
    "squared": smoothness_squared,
    "power": smoothness_power,
    "nine-point": smoothness_nine_point,
}


def unit_gradient(features: tf.Tensor, strength: float) -> tf.Tensor:
    """The features themselves, whose gradient is scaled to an L1 norm of `strength`."""
    with features.graph.gradient_override_map({"IdentityN": "UnitGradient"}):
        same, _ = tf.identity_n([features, tf.constant(strength, features.dtype)])
    return same


@tf.RegisterGradient("UnitGradient")  # type: ignore[untyped-decorator]
def _unit_gradient(op: tf.Operation, gradient: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, None]:
    return gradient * (op.inputs[1] / (tf.reduce_sum(tf.abs(gradient)) + 1e-8)), None
