"""Whether bfloat16 is worth using on this processor, measured on a matrix product."""

from __future__ import annotations

import time
from functools import cache

from nst_graph import machine
from nst_graph.graph.tensorflow import tf

#: The side of the matrices that are multiplied, and how often.
SIDE, TRIES = 1024, 5
#: The least gain that pays, over float32 and over Winograd's convolutions in float32.
GAIN, GAIN_OVER_WINOGRAD = 1.2, 1.9


@cache
def gain() -> float:
    """How many times as fast matrices are multiplied in bfloat16 as in float32, measured once.

    The instruction alone says little: one Xeon that has it, without AMX, takes 1.7 times as long.
    """
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        products = []
        for dtype in (tf.float32, tf.bfloat16):
            matrix = tf.Variable(tf.ones((SIDE, SIDE), dtype))
            products.append(tf.matmul(matrix, matrix).op)
        session.run(tf.global_variables_initializer())
        times = [[_seconds(session, product) for product in products] for _ in range(TRIES)]
    # The quickest of each: other work on the machine only slows.
    float32, bfloat16 = (min(column) for column in zip(*times, strict=True))
    return float(float32 / bfloat16)


def _seconds(session: tf.Session, operation: tf.Operation) -> float:
    began = time.perf_counter()
    session.run(operation)
    return time.perf_counter() - began


def pays(winograd: bool) -> bool:
    """Whether painting in bfloat16 is faster here than in float32, with Winograd's convolutions or without."""
    return machine.has_bfloat16() and gain() > (GAIN_OVER_WINOGRAD if winograd else GAIN)
