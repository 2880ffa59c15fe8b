"""The processor: what it can compute with, known before TensorFlow is imported."""

from __future__ import annotations

import os
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
#: What ONEDNN_MAX_CPU_ISA calls instructions that are older than AVX2, and than bfloat16's dot product.
BEFORE_AVX2 = ("SSE41", "AVX")
BEFORE_BFLOAT16 = (*BEFORE_AVX2, "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")


def has_avx2() -> bool:
    """Whether oneDNN may use AVX2, with which it is faster than TensorFlow without it; False where that
    cannot be told."""
    return "avx2" in _flags() and _most() not in BEFORE_AVX2


def has_bfloat16() -> bool:
    """Whether oneDNN is on and may use bfloat16 dot products; False where that cannot be told."""
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        return False
    return bool(_flags() & {"avx512_bf16", "amx_bf16", "bf16"}) and _most() not in BEFORE_BFLOAT16


def _flags() -> set[str]:
    try:
        return set(CPUINFO.read_text().split())
    except OSError:
        return set()


def _most() -> str:
    """The newest instructions that oneDNN is told to use."""
    return os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
