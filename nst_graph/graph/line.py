"""A Line: points x + t d, as variables of a graph, so that L-BFGS need not move pictures to and fro."""

import math
from collections.abc import Sequence

import numpy.typing as npt

from nst_graph.graph.tensorflow import tf, zeros

#: Parts of a vector, at most, whose inner products are summed in its own type; their sums are added in float64. They
#: are as many as divide its numbers.
BLOCKS = 32


class Line:
    """In the current graph: x, d and the trial point [height, width, 3] as variables; the step size t is fed, or 0.

    `point` computes the trial point, stores it, and is it in float32. Were it not stored, TensorFlow might round
    x + t d otherwise where it is used than where x moves there. `steps` and `changes` [blocks * pairs, length] have
    room for curvature pairs (s, y), as matrices of the shape `flat`, [blocks, length].
    """

    def __init__(self, shape: Sequence[int], dtype: npt.DTypeLike, pairs: int) -> None:
        vectors, numbers = tf.as_dtype(dtype), math.prod(shape)
        blocks = max(count for count in range(1, BLOCKS + 1) if numbers % count == 0)
        self.pairs, self.flat = pairs, (blocks, numbers // blocks)
        # Resource variables that are written in parts would be copied at each reading. These copy what they begin with.
        rows = blocks * pairs, self.flat[1]
        self.steps, self.changes = (zeros(name, rows, vectors, use_resource=False) for name in ("s", "y"))
        self.x, self.direction, self.trial = (zeros(name, shape, vectors) for name in ("x", "d", "at"))
        self.step = tf.placeholder_with_default(tf.constant(0, vectors), (), name="t")
        self.point = tf.cast(self.trial.assign(self.x + self.step * self.direction).value(), tf.float32)
