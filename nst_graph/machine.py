"""The machine: its memory, and its processor's instruction sets."""

import ctypes
import gc
import mmap
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import numpy.typing as npt
import psutil

#: The control groups of this process, where the file system of all of them is, and below that the directory and the
#: file of memory limits, of version 2 and 1. psutil does not read these.
GROUPS, MOUNT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
LIMITS = {"": ("", "memory.max"), "memory": ("memory", "memory.limit_in_bytes")}
#: The processor's instruction sets on Linux.
CPUINFO = Path("/proc/cpuinfo")
#: Values of ONEDNN_MAX_CPU_ISA that exclude AVX2, and the dot product of bfloat16.
BEFORE_AVX2 = ("SSE41", "AVX")
BEFORE_BFLOAT16 = (*BEFORE_AVX2, "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")


def memory() -> int:
    """The memory that this process may use, in bytes: the machine's, or the least limit of its control groups.

    Of a job under Slurm that is the job's, several directories deep; each group is held to the limits above it too.
    """
    limits = [int(psutil.virtual_memory().total)]
    groups = {("", "/"), ("memory", "/")}  # what a container sees as its own
    with suppress(OSError, ValueError):
        lines = [line.split(":", 2) for line in GROUPS.read_text().splitlines()]
        groups |= {(name, path) for _, names, path in lines for name in names.split(",") if name in LIMITS}
    for name, path in groups:
        below, file = LIMITS[name]
        group = PurePosixPath(path.lstrip("/"))
        for place in (group, *group.parents):
            with suppress(OSError, ValueError):  # no such file, or "max"
                limits.append(int((MOUNT / below / place / file).read_text()))
    return min(limits)


def release_memory() -> None:
    """Collect unused graphs, which are large and have reference cycles, and return free memory to the system."""
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):  # only glibc has malloc_trim
        ctypes.CDLL(None).malloc_trim(0)


def release_pages(values: npt.NDArray[Any]) -> None:
    """Return the memory of an array to the system, on Linux; the array has zeros then."""
    begin = -(-values.ctypes.data // mmap.PAGESIZE) * mmap.PAGESIZE
    length = (values.ctypes.data + values.nbytes - begin) // mmap.PAGESIZE * mmap.PAGESIZE  # no page is shared
    ctypes.CDLL(None).madvise(ctypes.c_void_p(begin), ctypes.c_size_t(length), mmap.MADV_DONTNEED)


def has_avx2() -> bool:
    """Whether oneDNN may use AVX2, with which it is faster than TensorFlow's own kernels; False if unknown."""
    return _may_use({"avx2"}, BEFORE_AVX2)


def has_bfloat16() -> bool:
    """Whether oneDNN is on and may use the dot product of bfloat16; False if unknown."""
    is_on = os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0"
    return is_on and _may_use({"avx512_bf16", "amx_bf16", "bf16"}, BEFORE_BFLOAT16)


def _may_use(instructions: set[str], older: Sequence[str]) -> bool:
    """Whether the processor has one of the instruction sets, and the user allows oneDNN more than the older ones."""
    try:
        has = set(CPUINFO.read_text().split())
    except OSError:
        return False
    return bool(has & instructions) and os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() not in older
