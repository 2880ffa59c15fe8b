"""The History of L-BFGS: curvature pairs (s, y), as they are kept and saved."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from nst_graph.errors import InputError
from nst_graph.evaluation import Floats

Vector = npt.NDArray[np.float64]
#: What curvature pairs are kept as: half the memory of a Vector, and as good in practice.
Single = npt.NDArray[np.float32]
#: Curvature pairs that are kept. With more an iteration gains a little and takes longer: SciPy
#: passes over all of them several times.
PAIRS = 10
#: The least cosine of the angle between s and y: a pair of less curvature is dropped.
LEAST_CURVATURE = 1e-10


def satisfies_curvature_condition(curvature: float, step: float, change: float) -> bool:
    """Whether a pair tells of positive curvature, by s^T y, s^T s and y^T y; else it is dropped."""
    return curvature > LEAST_CURVATURE * float(np.sqrt(step * change))


def names(numbers: Iterable[int]) -> list[str]:
    """What saved pairs of these numbers are called, all steps first."""
    numbers = list(numbers)
    return [f"{kind}-{number}" for kind in ("step", "change") for number in numbers]


def by_age(arrays: Mapping[str, npt.NDArray[np.generic]]) -> list[int]:
    """The numbers of saved pairs, the oldest first."""
    order = arrays.get("order")
    if order is None:
        return list(range(sum(name.startswith("step-") for name in arrays)))
    return [int(number) for number in order.ravel()]


def check_shapes(shapes: Mapping[str, tuple[int, ...]], memory: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Raise InputError where a saved state is not that of the optimiser."""
    if shapes != {name: array.shape for name, array in memory.items()}:
        raise InputError("state.npz: its memory is not that of this optimiser; paint anew with --overwrite")


def check_pairs(memory: Mapping[str, npt.NDArray[np.generic]], size: int) -> None:
    """Raise InputError where a saved state is not that of L-BFGS for so many variables."""
    pairs = len(by_age(memory))
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(names(range(pairs)), (size,))
    if "order" in memory:  # of the L-BFGS in the graph
        shapes["order"] = (pairs,)
    check_shapes(shapes, memory)


class History:
    """The last pairs (s, y): a step, and the change of the gradient along it.

    SciPy's L-BFGS-B keeps such pairs but tells none; kept here too, a run can go on with them. They are
    computed on demand from the points on either side.
    """

    def __init__(self, pairs: int) -> None:
        self._points: deque[tuple[Floats, Floats]] = deque(maxlen=pairs + 1)

    def append(self, point: Floats, gradient: Floats) -> None:
        """Add the end of an iteration, and the gradient there, of any shape. They are not copied."""
        self._points.append((point, gradient))

    def arrays(self) -> dict[str, Single]:
        """`step-0`, `change-0`, ..., each float32 [numbers], oldest first; empty where there is no pair.

        Those of positive curvature that float32 can hold.
        """
        arrays: dict[str, Single] = {}
        for (x0, g0), (x1, g1) in pairwise(self._points):
            step, change = _difference(x0, x1), _difference(g0, g1)
            if not satisfies_curvature_condition(_dot(step, change), _dot(step, step), _dot(change, change)):
                continue
            with np.errstate(over="ignore"):
                s, y = step.astype(np.float32), change.astype(np.float32)
                products = float(s @ y), float(s @ s), float(y @ y)
            if all(0 < product < np.inf for product in products):
                arrays |= dict(zip(names([len(arrays) // 2]), (s, y), strict=True))
        return arrays


def _difference(before: Floats, after: Floats) -> Vector:
    return np.subtract(after, before, dtype=np.float64).ravel()


def _dot(one: Floats, other: Floats) -> float:
    return float(np.vdot(one.astype(np.float64), other.astype(np.float64)))
