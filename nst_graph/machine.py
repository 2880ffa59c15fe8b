"""The machine: its memory, and whether it multiplies bfloat16 numbers fast."""

from __future__ import annotations

import ctypes
import gc
import os
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from nst_graph.graph.tensorflow import tf
from nst_graph.processor import has_bfloat16

#: Where control groups, version 2 and 1, state a limit.
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))

#: The matrices that are multiplied to see how fast bfloat16 is, and how often.
SIDE, TRIES = 1024, 5
#: What gain is worth it, over float32 and over Winograd's convolutions in float32.
GAIN, GAIN_OVER_WINOGRAD = 1.2, 1.9
#: Bytes of one evaluation in one piece: TensorFlow itself, and each pixel (benchmarks/run.py memory).
BASE, PER_PIXEL = 1.7e9, 2200
#: Bytes a pixel that are kept whole whatever the tiles: pictures, gradient, the content's features.
KEPT_PER_PIXEL = 110
#: Vectors of float64 a pixel channel that SciPy's L-BFGS-B keeps beside those of each correction:
#: its work space (5), the bounds (2), integers (2), and copies of picture and gradient (9).
LBFGS_VECTORS = 18
#: And for each correction: two, a point and pairs of Memory's (2.5), and half as much as two for Root.
CORRECTION_VECTORS = 5.5


def give_memory_back() -> None:
    """Collect graphs, which are circles, and large; and let the C library return to the system what is free."""
    gc.collect()
    with suppress(AttributeError, OSError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)


@cache
def bfloat16_gain() -> float:
    """How many times as fast as in float32 this machine multiplies matrices in bfloat16, measured once.

    The dot product alone says little: one Xeon that has it, without AMX, takes 1.7 times as long.
    """
    with tf.Graph().as_default() as within, tf.Session(graph=within) as session:
        products = []
        for dtype in (tf.float32, tf.bfloat16):
            matrix = tf.Variable(tf.ones((SIDE, SIDE), dtype))
            products.append(tf.matmul(matrix, matrix).op)
        session.run(tf.global_variables_initializer())
        times = [[_seconds(session, product) for product in products] for _ in range(TRIES)]
    # Of each the quickest: other work on the machine only slows.
    float32, bfloat16 = (min(column) for column in zip(*times, strict=True))
    gain: float = float32 / bfloat16
    return gain


def _seconds(session: tf.Session, operation: tf.Operation) -> float:
    began = time.perf_counter()
    session.run(operation)
    return time.perf_counter() - began


def likes_bfloat16(winograd: bool) -> bool:
    """Whether painting in bfloat16 is worth it here, where float32 is with Winograd's convolutions or without."""
    return has_bfloat16() and bfloat16_gain() > (GAIN_OVER_WINOGRAD if winograd else GAIN)


def memory() -> int:
    """Bytes of memory that this process may have: the machine's, or its control group's if less."""
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in LIMITS:
        try:
            have = min(have, int(file.read_text()))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return have


def lbfgs_bytes(pixels: int, corrections: int) -> float:
    """What L-BFGS keeps, in bytes, for a picture of so many pixels."""
    return 3 * pixels * 8 * (LBFGS_VECTORS + CORRECTION_VECTORS * corrections)
