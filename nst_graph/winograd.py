"""Convolutions with a quarter of the multiplications, by Winograd's minimal filtering.

F(4x4, 3x3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016): a tile
of 6 x 6 values and a kernel of 3 x 3 are each seen as polynomials and evaluated at the points
0, 1, -1, 2, -2 and infinity, both ways; there their product is one multiplication a point, 36 in
all, from which 4 x 4 results are interpolated. Directly these are 144 multiplications.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nst_graph.tensorflow import tf

#: Lavin and Gray's B^T, of the values; G, of the kernel; A^T, of the results.
VALUES = np.array(
    [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
     [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]]
)  # fmt: skip
KERNEL = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
RESULTS = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])
#: Sides of what a tile gives, and of what it is computed from.
STEP, SIDE = 4, 6
#: The fewest filters, in and out, and positions at which it is faster than tf.nn.conv2d.
FILTERS, POSITIONS = 128, 96


def pays(shape: tf.TensorShape, kernel: npt.NDArray[np.floating]) -> bool:
    """Whether values [1, height, width, in] are convolved faster so; of unknown sides, as of tiles, are many."""
    height, width = shape[1:3]
    return min(kernel.shape[2:]) >= FILTERS and (height is None or width is None or height * width >= POSITIONS)


def convolve(values: tf.Tensor, kernel: npt.NDArray[np.floating]) -> tf.Tensor:
    """tf.nn.conv2d(values, kernel, 1, "SAME"), and its gradient.

    `values` are [1, height, width, in], `kernel` is [3, 3, in, out]. Variables keep the kernel's
    points: initialise them before.
    """
    ahead = _points(kernel, values.dtype)
    back = _points(np.flip(kernel, (0, 1)).swapaxes(2, 3), values.dtype)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def convolved(values: tf.Tensor) -> tuple[tf.Tensor, Any]:
        return _convolve(values, ahead), lambda slope: _convolve(slope, back)

    return convolved(values)


def _points(kernel: npt.NDArray[np.floating], dtype: tf.DType) -> tf.Variable:
    """A kernel at its points [side * side, in, out], in a variable: a constant is copied several times."""
    shape, of = (SIDE**2, *kernel.shape[2:]), dtype.as_numpy_dtype

    def points() -> npt.NDArray[np.floating]:
        found: npt.NDArray[np.floating] = np.kron(KERNEL, KERNEL).astype(of) @ kernel.reshape(9, -1).astype(of)
        return found.reshape(shape)

    start = tf.numpy_function(points, [], dtype)
    start.set_shape(shape)
    return tf.Variable(start, trainable=False, use_resource=True)


def _convolve(values: tf.Tensor, points: tf.Variable) -> tf.Tensor:
    height, width = tf.unstack(tf.shape(values)[1:3])
    rows, columns = -(-height // STEP), -(-width // STEP)
    inner, outer = points.shape[1:]

    # Of all tiles the first value, of all the second ...; zeros beyond the border.
    flat = tf.pad(tf.reshape(values, [height * width, inner]), [[0, 1], [0, 0]])
    down, right = _offsets(rows), _offsets(columns)
    inside = ((down >= 0) & (down < height))[:, None, :, None] & ((right >= 0) & (right < width))[:, None]
    places = tf.where_v2(inside, down[:, None, :, None] * width + right[:, None], height * width)
    tiles = tf.gather(flat, tf.reshape(places, [SIDE**2, rows * columns]))

    seen = _at_points(VALUES, tf.reshape(tiles, [SIDE**2, rows * columns * inner]))
    products = tf.matmul(tf.reshape(seen, [SIDE**2, rows * columns, inner]), points)
    found = _at_points(RESULTS, tf.reshape(products, [SIDE**2, rows * columns * outer]))

    y, x = tf.range(height)[:, None], tf.range(width)
    places = ((y % STEP * STEP + x % STEP) * rows + y // STEP) * columns + x // STEP
    result = tf.gather(tf.reshape(found, [STEP**2 * rows * columns, outer]), places)[None]
    result.set_shape([*values.shape[:3], outer])
    return result


def _offsets(tiles: tf.Tensor) -> tf.Tensor:
    """Where each tile's values are [side, tiles], which begin one before its results."""
    return tf.range(SIDE)[:, None] - 1 + STEP * tf.range(tiles)


def _at_points(matrix: npt.NDArray[np.floating], tiles: tf.Tensor) -> tf.Tensor:
    """Multiply rows and columns of tiles [side * side, numbers] by a matrix."""
    return tf.matmul(tf.constant(np.kron(matrix, matrix).astype(tiles.dtype.as_numpy_dtype)), tiles)
