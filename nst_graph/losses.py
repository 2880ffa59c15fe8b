"""The equations of Gatys, Ecker and Bethge (2015), arXiv 1508.06576, on tensors.

Features are [1, height, width, filters]: the paper's F^l has N_l = filters rows and
M_l = height * width columns.
"""

from __future__ import annotations

from nst_graph.tensorflow import tf


def content(features: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Equation 1: half the sum of squared differences to the content's features P."""
    return tf.reduce_sum(tf.square(features - target)) / 2


def gram(features: tf.Tensor) -> tf.Tensor:
    """Equation 3: inner products of the filters' responses over all positions, [N_l, N_l]."""
    rows = tf.reshape(features, [-1, features.shape[-1]])
    return tf.matmul(rows, rows, transpose_a=True)


def style(features: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Equation 4: E_l, squared differences to the painting's Gram matrix A, over 4 N_l^2 M_l^2."""
    _, height, width, filters = features.shape.as_list()
    return tf.reduce_sum(tf.square(gram(features) - target)) / (4 * filters**2 * (height * width) ** 2)
