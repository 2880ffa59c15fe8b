"""Convolutions with fewer multiplications, by Winograd's minimal filtering.

F(m x m, 3 x 3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016): a
tile of values with sides of m + 2 and a kernel of 3 x 3 are taken as polynomials in two variables and
evaluated at m + 2 points of each, one of them infinity; their product is one multiplication a point,
from which m x m results are interpolated. A result takes 9 multiplications directly, 2.25 with
m = 4 and 1.78 with m = 6.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nst_graph.graph.tensorflow import tf

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Filtering:
    """F(m x m, 3 x 3) by its finite points, of which there are m + 1."""

    points: tuple[float, ...]

    @property
    def step(self) -> int:
        """The side m of what a tile gives."""
        return len(self.points) - 1

    @property
    def side(self) -> int:
        """The side m + 2 of what a tile is computed from."""
        return len(self.points) + 1

    @property
    def values(self) -> Matrix:
        """Lavin and Gray's B^T, of the values: coefficients of the product of all x - p but the row's own."""
        rest = [np.poly(np.delete(self.points, row))[::-1] for row in range(self.side - 1)]
        return np.array([*(np.append(row, 0) for row in rest), np.poly(self.points)[::-1]])

    @property
    def kernel(self) -> Matrix:
        """Their G, of the kernel: its polynomial at a point, over the product of the differences to the others."""
        others = [np.prod(point - np.delete(self.points, row)) for row, point in enumerate(self.points)]
        return np.array([*(np.vander(self.points, 3, increasing=True) / np.array(others)[:, None]), (0, 0, 1)])

    @property
    def results(self) -> Matrix:
        """Their A^T, of the results: powers of the points."""
        powers = np.vander(self.points, self.step, increasing=True).T
        return np.column_stack([powers, np.arange(self.step) == self.step - 1])


SMALL = Filtering((0, 1, -1, 2, -2))
LARGE = Filtering((0, 1, -1, 2, -2, 0.5, -0.5))
#: The fewest pairs of filters, in and out, and positions at which they are faster than tf.nn.conv2d, and
#: the fewest positions at which LARGE, with its larger kernels, is faster than SMALL.
PAIRS, POSITIONS, MANY_POSITIONS = 128 * 128, 96, 2048


def fastest(shape: tf.TensorShape, kernel: npt.NDArray[np.floating]) -> Filtering | None:
    """What convolves values [1, height, width, in] fastest, if anything; of unknown sides, as of tiles, are many."""
    height, width = shape[1:3]
    positions = MANY_POSITIONS if height is None or width is None else height * width
    if kernel.shape[2] * kernel.shape[3] < PAIRS or positions < POSITIONS:
        return None
    return LARGE if positions >= MANY_POSITIONS else SMALL


@dataclass(frozen=True)
class Tiling:
    """How values [1, height, width, any] are cut into tiles, and results put together.

    `values` [side * side, tiles] are indices of each tile's values among height * width, which stands
    for the zeros beyond the border; `results` [height, width] are those among step * step * tiles results.
    """

    by: Filtering
    values: tf.Tensor
    results: tf.Tensor


def tiling(values: tf.Tensor, by: Filtering) -> Tiling:
    """The tiling of values [1, height, width, any], and of others of their size."""
    height, width = tf.unstack(tf.shape(values)[1:3])
    rows, columns = -(-height // by.step), -(-width // by.step)
    down, right = (tf.range(by.side)[:, None] - 1 + by.step * tf.range(tiles) for tiles in (rows, columns))
    inside = ((down >= 0) & (down < height))[:, None, :, None] & ((right >= 0) & (right < width))[:, None]
    places = tf.where_v2(inside, down[:, None, :, None] * width + right[:, None], height * width)
    y, x = tf.range(height)[:, None], tf.range(width)
    results = ((y % by.step * by.step + x % by.step) * rows + y // by.step) * columns + x // by.step
    return Tiling(by, tf.reshape(places, [by.side**2, rows * columns]), results)


def convolve(values: tf.Tensor, kernel: npt.NDArray[np.floating], cut: Tiling) -> tf.Tensor:
    """tf.nn.conv2d(values, kernel, 1, "SAME"), and its gradient.

    `values` are [1, height, width, in], `kernel` is [3, 3, in, out]. Variables keep the kernel's
    points: initialise them before.
    """
    ahead = _points(kernel, cut.by, values.dtype)
    back = _points(np.flip(kernel, (0, 1)).swapaxes(2, 3), cut.by, values.dtype)
    found = _convolve(tf.stop_gradient(values), ahead, cut)
    # tf.custom_gradient would do the same, and keep the graph for as long as the process lives.
    with values.graph.gradient_override_map({"IdentityN": "Winograd"}):
        result, *_ = tf.identity_n([found, values, back, cut.values, cut.results])
    return result


@tf.RegisterGradient("Winograd")  # type: ignore[untyped-decorator]
def _gradient(op: tf.Operation, slope: tf.Tensor, *_: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
    _, _, back, values, results = op.inputs
    by = next(by for by in (SMALL, LARGE) if by.side**2 == back.shape[0])
    return None, _convolve(slope, back, Tiling(by, values, results)), None, None, None


def _points(kernel: npt.NDArray[np.floating], by: Filtering, dtype: tf.DType) -> tf.Variable:
    """A kernel at its points [side * side, in, out], in a variable: a constant is copied several times."""
    inner, outer = kernel.shape[2:]
    rows = tf.numpy_function(lambda: kernel.reshape(9, -1).astype(dtype.as_numpy_dtype), [], dtype)
    rows.set_shape([9, inner * outer])
    found = tf.reshape(_at_points(by.kernel, rows), [by.side**2, inner, outer])
    return tf.Variable(found, trainable=False, use_resource=True)


def _convolve(values: tf.Tensor, points: tf.Tensor, cut: Tiling) -> tf.Tensor:
    many, (inner, outer) = cut.by.side**2, points.shape[1:]
    flat = tf.pad(tf.reshape(values, [-1, inner]), [[0, 1], [0, 0]])
    tiles = tf.gather(flat, cut.values)  # of all tiles the first value, of all the second ...
    values_at_points = _at_points(cut.by.values, tf.reshape(tiles, [many, -1]))
    products = tf.matmul(tf.reshape(values_at_points, [many, -1, inner]), points)
    found = _at_points(cut.by.results, tf.reshape(products, [many, -1]))
    result = tf.gather(tf.reshape(found, [-1, outer]), cut.results)[None]
    result.set_shape([*values.shape[:3], outer])
    return result


def _at_points(matrix: Matrix, tiles: tf.Tensor) -> tf.Tensor:
    """Multiply rows and columns of tiles [side * side, numbers] by a matrix."""
    return tf.matmul(tf.constant(np.kron(matrix, matrix), tiles.dtype), tiles)
