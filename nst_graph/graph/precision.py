"""Precision: the type that convolutions are computed in, where a narrower one than float32 is faster."""

import timeit
from collections.abc import Callable
from functools import cache, partial

from nst_graph.graph.tensorflow import has_bfloat16, tf

#: The side of the matrices that are multiplied, and how often.
SIDE, TRIES = 1024, 5
#: The least gain that pays, over float32 and over Winograd's convolutions in float32.
GAIN, GAIN_OVER_WINOGRAD = 1.2, 1.9


@cache
def gain() -> float:
    """How many times as fast matrices are multiplied in bfloat16 as in float32, measured once."""
    # The instruction alone says little: one Xeon that has it, without AMX, takes 1.7 times as long.
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        products: list[Callable[[], object]] = []
        for dtype in (tf.float32, tf.bfloat16):
            matrix = tf.Variable(tf.ones((SIDE, SIDE), dtype))
            products.append(partial(session.run, tf.matmul(matrix, matrix).op))
        session.run(tf.global_variables_initializer())
        times = [[timeit.timeit(product, number=1) for product in products] for _ in range(TRIES)]
    # The quickest of each: other work on the machine only slows.
    float32, bfloat16 = (min(column) for column in zip(*times, strict=True))
    return float(float32 / bfloat16)


def fastest(winograd: bool) -> str:
    """The type in which painting is fastest here; `winograd` says whether float32 has Winograd's convolutions."""
    pays = has_bfloat16() and gain() > (GAIN_OVER_WINOGRAD if winograd else GAIN)
    return "bfloat16" if pays else "float32"
