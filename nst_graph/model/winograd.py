"""Convolutions with fewer multiplications, by Winograd's minimal transform.

F(m x m, 3 x 3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016): a
tile of values with sides of m + 2 and a kernel of 3 x 3 are taken as polynomials in two variables and
evaluated at m + 2 points of each, one of them infinity; their product is one multiplication a point,
from which m x m results are interpolated. A result takes 9 multiplications directly, 2.25 with
m = 4 and 1.78 with m = 6. On a processor all this is done strip by strip, so that what lies between stays
in its cache.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nst_graph.model.tensorflow import has_gpu, tf

Matrix = npt.NDArray[np.float64]


class Matrices(NamedTuple):
    """The paper's B^T of values, G of the kernel and A^T of results."""

    values: Matrix
    kernel: Matrix
    results: Matrix


def _matrices(points: Matrix) -> Matrices:
    """By m + 1 finite points, and infinity."""
    m, others = len(points) - 1, [np.delete(points, row) for row in range(len(points))]
    # B^T: coefficients of the product of all x - p but the row's own.
    values = np.array([*(np.append(np.poly(rest)[::-1], 0) for rest in others), np.poly(points)[::-1]])
    # G: the kernel's polynomial at a point, over the product of the differences to the others.
    differences = np.array([np.prod(point - rest) for point, rest in zip(points, others, strict=True)])
    kernel = np.array([*(np.vander(points, 3, increasing=True) / differences[:, None]), (0, 0, 1)])
    # A^T: powers of the points.
    results = np.column_stack([np.vander(points, m, increasing=True).T, np.arange(m) == m - 1])
    return Matrices(values, kernel, results)


class WinogradTransform:
    """F(m x m, 3 x 3) by m + 1 points, of which 0 is the first: `step` is m, and `side` of a tile of values m + 2.

    The gradient convolves with the kernel turned by 180 degrees. At 1 / p that is the kernel at p over p^2: so by the
    reciprocal points, 0 and infinity changing places, the gradient takes the kernel at the points that it has anyway.
    """

    def __init__(self, *points: float) -> None:
        self.step, self.side = len(points) - 1, len(points) + 1
        self.ahead = _matrices(np.array(points))
        values, kernel, results = _matrices(np.array([0, *(1 / point for point in points[1:])]))
        order = [self.side - 1, *range(1, self.side - 1), 0]
        turned = kernel[order, ::-1]
        shares = (turned * self.ahead.kernel).sum(1) / np.square(self.ahead.kernel).sum(1)
        self.back = Matrices(values[order], turned, results[:, order] * shares)


SMALL = WinogradTransform(0, 1, -1, 2, -0.5)
LARGE = WinogradTransform(0, 1, -1, 2, -2, 0.5, -0.5)
#: The fewest pairs of filters, in and out, with which they are faster than tf.nn.conv2d, on a processor and a GPU.
PAIRS, PAIRS_ON_GPU = 64 * 64, 128 * 128
#: The fewest positions with which they are, and those at which LARGE, with its larger kernels, is faster than SMALL.
POSITIONS, MANY_POSITIONS = 96, 2048
#: Numbers of a strip's tiles at their points, which should stay in a processor's cache; and the fewest tiles of
#: a strip, for which the kernel is read once.
STRIP, LEAST_TILES = 1_500_000, 96


def fastest(height: int | None, width: int | None, kernel: npt.NDArray[np.floating]) -> WinogradTransform | None:
    """What convolves values [1, height, width, in] fastest, if anything; of unknown sides are many positions."""
    positions = MANY_POSITIONS if height is None or width is None else height * width
    pairs = PAIRS_ON_GPU if has_gpu() else PAIRS
    if kernel.shape[2] * kernel.shape[3] < pairs or positions < POSITIONS:
        return None
    return LARGE if positions >= MANY_POSITIONS else SMALL


class Tiling(NamedTuple):
    """How values [1, height, width, any] are cut into strips of whole tiles, and results put together.

    `strips` [strips, 4] are the rows where each begins and ends, with its surroundings, and how many of zeros it lacks
    above and below; `right` how many columns all lack. `values` [side * side, tiles] are indices of each tile's values
    within a strip; `results` [rows, width] are those among its step * step * tiles results.
    """

    by: WinogradTransform
    strips: tf.Tensor
    right: tf.Tensor
    values: tf.Tensor
    results: tf.Tensor


def tiling(values: tf.Tensor, by: WinogradTransform, filters: int) -> Tiling:
    """The tiling of values [1, height, width, any], and of others of their size and at most so many filters."""
    height, width = values.shape[1:3] if values.shape[1:3].is_fully_defined() else tf.unstack(tf.shape(values)[1:3])
    rows, columns = -(-height // by.step), -(-width // by.step)
    if not has_gpu():  # which is fastest with few and large operations
        enough = -(-max(LEAST_TILES, STRIP // (by.side**2 * filters)) // columns)
        rows = -(-rows // -(-rows // enough))
    down, right = (tf.range(by.side)[:, None] + by.step * tf.range(tiles) for tiles in (rows, columns))
    places = down[:, None, :, None] * (columns * by.step + 2) + right[:, None]
    y, x = tf.range(rows * by.step)[:, None], tf.range(width)
    results = ((y % by.step * by.step + x % by.step) * rows + y // by.step) * columns + x // by.step
    first = tf.range(0, height, rows * by.step) - 1
    if has_gpu():
        first.set_shape([1])
    last = first + rows * by.step + 2
    start, end = tf.maximum(first, 0), tf.minimum(last, height)
    strips = tf.stack([start, end, start - first, last - end], 1)
    return Tiling(by, strips, columns * by.step + 1 - width, tf.reshape(places, [by.side**2, rows * columns]), results)


def convolve(values: tf.Tensor, kernel: npt.NDArray[np.floating], cut: Tiling) -> tf.Tensor:
    """tf.nn.conv2d(values, kernel, 1, "SAME"), and its gradient.

    `values` are [1, height, width, in], `kernel` is [3, 3, in, out]. Variables keep the kernel's
    points: initialise them before.
    """
    points = _points(kernel, cut.by, values.dtype)
    outputs = _convolve(tf.stop_gradient(values), points, cut, is_gradient=False)
    # tf.custom_gradient would do the same, and keep the graph for as long as the process lives.
    with values.graph.gradient_override_map({"IdentityN": "Winograd"}):
        result, *_ = tf.identity_n([outputs, values, points, *cut[1:]])
    return result


@tf.RegisterGradient("Winograd")  # type: ignore[untyped-decorator]
def _gradient(op: tf.Operation, slope: tf.Tensor, *_: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
    _, _, points, *cut = op.inputs
    by = next(by for by in (SMALL, LARGE) if by.side**2 == points.shape[0])
    return None, _convolve(slope, points, Tiling(by, *cut), is_gradient=True), *[None] * (1 + len(cut))


def _points(kernel: npt.NDArray[np.floating], by: WinogradTransform, dtype: tf.DType) -> tf.Variable:
    """A kernel at its points [side * side, in, out], in a variable: a constant is copied several times."""
    inner, outer = kernel.shape[2:]
    rows = tf.numpy_function(lambda: kernel.reshape(9, -1).astype(dtype.as_numpy_dtype), [], dtype)
    rows.set_shape([9, inner * outer])
    points = tf.reshape(_at_points(by.ahead.kernel, rows), [by.side**2, inner, outer])
    return tf.Variable(points, trainable=False, use_resource=True)


def _convolve(values: tf.Tensor, points: tf.Tensor, cut: Tiling, is_gradient: bool) -> tf.Tensor:
    by, matrices = cut.by, cut.by.back if is_gradient else cut.by.ahead
    inner, outer = points.shape[:0:-1] if is_gradient else points.shape[1:]
    height, width = tf.unstack(tf.shape(values)[1:3])
    picture = tf.reshape(values, [height, width, inner])  # of which rows need no copy

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def convolved(strip: tf.Tensor) -> tf.Tensor:
        start, end, above, below = tf.unstack(strip)
        padded = tf.pad(picture[start:end], [[above, below], [1, cut.right], [0, 0]])
        tiles = tf.gather(tf.reshape(padded, [-1, inner]), cut.values)  # of all the first value, of all the second ...
        at_points = tf.reshape(_at_points(matrices.values, tiles), [by.side**2, -1, inner])
        products = tf.matmul(at_points, points, transpose_b=is_gradient)
        return tf.gather(tf.reshape(_at_points(matrices.results, products), [-1, outer]), cut.results)

    if cut.strips.shape[0] == 1:
        outputs = convolved(cut.strips[0])
    else:
        outputs = tf.map_fn(convolved, cut.strips, fn_output_signature=values.dtype, parallel_iterations=1)
    result = tf.reshape(outputs, [-1, width, outer])[:height][None]
    result.set_shape([*values.shape[:3], outer])
    return result


def _at_points(matrix: Matrix, tiles: tf.Tensor) -> tf.Tensor:
    """Multiply rows and columns of tiles [side * side, ...], of any shape, by a matrix."""
    points, side = matrix.shape
    if has_gpu():  # two products, with a quarter of the multiplications, would be two operations
        both = tf.constant(np.kron(matrix, matrix), tiles.dtype)
        return tf.matmul(both, tf.reshape(tiles, [side**2, -1]))
    one = tf.constant(matrix, tiles.dtype)
    rows = tf.matmul(one, tf.reshape(tiles, [side, -1]))
    return tf.matmul(one, tf.reshape(rows, [points, side, -1]))
