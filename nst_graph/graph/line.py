"""A Line: points x + t d, as variables of a graph, so that a line search need not move pictures to and fro."""

from collections.abc import Sequence

import numpy.typing as npt

from nst_graph.graph.tensorflow import tf, zeros


class Line:
    """In the current graph: x, d and the trial point [height, width, 3] as variables; the step size t is fed, or 0.

    `point` computes the trial point, stores it, and is it in float32. Were it not stored, TensorFlow might round
    x + t d otherwise where it is used than where x moves there.
    """

    def __init__(self, shape: Sequence[int], dtype: npt.DTypeLike) -> None:
        vectors = tf.as_dtype(dtype)
        self.x, self.direction, self.trial = (zeros(name, shape, vectors) for name in ("x", "d", "at"))
        self.step = tf.placeholder_with_default(tf.constant(0, vectors), (), name="t")
        self.point = tf.cast(self.trial.assign(self.x + self.step * self.direction).value(), tf.float32)
