"""The machine: its memory, and whether it multiplies bfloat16 numbers fast."""

from __future__ import annotations

import os
from pathlib import Path

#: Where control groups, version 2 and 1, state a limit.
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
CPUINFO = Path("/proc/cpuinfo")

#: Bytes of one evaluation in one piece: TensorFlow itself, and each pixel (benchmarks/run.py memory).
BASE, PER_PIXEL = 1.7e9, 2200
#: Bytes a pixel that are kept whole whatever the tiles: pictures, gradient, the content's features.
KEPT_PER_PIXEL = 110
#: Vectors of float64 a pixel channel that SciPy's L-BFGS-B keeps beside those of each correction:
#: its work space (5), the bounds (2), integers (2), and copies of picture and gradient (9).
LBFGS_VECTORS = 18
#: And for each correction: two, and as much in float32 for Memory and for Root.
CORRECTION_VECTORS = 4


def has_bfloat16() -> bool:
    """Whether the processor has bfloat16 dot products, and TensorFlow uses them; False where that cannot be told."""
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":  # oneDNN alone does
        return False
    try:
        words = set(CPUINFO.read_text().split())
    except OSError:
        return False
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


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
