"""The History of L-BFGS: curvature pairs (s, y), and how a new attempt begins with them."""

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
        shapes |= {"order": (pairs,), "products": (2 * pairs, 2 * pairs)}
    check_shapes(shapes, memory)


class History:
    """The last pairs (s, y): a step, and the change of the gradient along it.

    SciPy's L-BFGS-B keeps such pairs but accepts none; kept here too, they outlive an attempt. They are
    computed on demand from the points on either side.
    """

    def __init__(self, pairs: int) -> None:
        self.pairs = pairs
        self._loaded: list[tuple[Single, Single]] = []
        self._points: deque[tuple[Floats, Floats]] = deque(maxlen=pairs + 1)

    def load(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> int:
        """Take what arrays() gave; returns the number of pairs that are good."""
        pairs = ([arrays[name].astype(np.float64) for name in names([number])] for number in by_age(arrays))
        good = _good((step, change) for step, change in pairs)
        self._loaded = good[-self.pairs :]
        return len(self._loaded)

    def append(self, point: Floats, gradient: Floats) -> None:
        """Add the end of an iteration, and the gradient there, of any shape. They are not copied."""
        self._points.append((point, gradient))
        if len(self._loaded) + len(self._points) - 1 > self.pairs:
            del self._loaded[:1]

    def arrays(self) -> dict[str, Single]:
        """`step-0`, `change-0`, ..., each float32 [numbers], oldest first; empty where there is no pair."""
        pairs = enumerate(self._all())
        return {name: vector for n, pair in pairs for name, vector in zip(names([n]), pair, strict=True)}

    def root(self) -> Root | None:
        """The root of the inverse Hessian that the pairs define; None where there is no pair."""
        pairs = self._all()
        return Root(pairs) if pairs else None

    def _all(self) -> list[tuple[Single, Single]]:
        return self._loaded + _good(
            (_difference(x0, x1), _difference(g0, g1)) for (x0, g0), (x1, g1) in pairwise(self._points)
        )


def _difference(before: Floats, after: Floats) -> Vector:
    return np.subtract(after, before, dtype=np.float64).ravel()


def _good(pairs: Iterable[tuple[Vector, Vector]]) -> list[tuple[Single, Single]]:
    """Those pairs of positive curvature that float32 can hold, in float32."""
    good = []
    for step, change in pairs:
        if not satisfies_curvature_condition(_dot(step, change), _dot(step, step), _dot(change, change)):
            continue
        with np.errstate(over="ignore"):
            pair = step.astype(np.float32), change.astype(np.float32)
            products = [float(one @ other) for one, other in (pair, pair[:1] * 2, pair[1:] * 2)]
        if all(0 < product < np.inf for product in products):
            good.append(pair)
    return good


class Root:
    """A matrix L with L L^T = H, H the inverse Hessian of BFGS after some pairs.

    In variables z with x = L z the Hessian is about one, so that L-BFGS begins where it was. L is
    a product of factors I + p q^T, one a pair (Brodlie, Gourlay and Greenstadt 1973): with
    p = s / s^T y and q = sqrt(s^T y / s^T B s) B s - y, where B is the inverse of H before it.
    """

    def __init__(self, pairs: list[tuple[Single, Single]]) -> None:
        # The largest of the pairs' scales: with the others, directions without a pair advance too slowly.
        self._scale = float(np.sqrt(max(_dot(step, change) / _dot(change, change) for step, change in pairs)))
        self._factors: list[tuple[Single, Single]] = []
        for pair in pairs:
            step, change = (vector.astype(np.float64) for vector in pair)
            inner = self._solve(step)
            curvature = step @ change
            q = np.sqrt(curvature / (inner @ inner)) * self._solve_transposed(inner) - change
            self._factors.append(((step / curvature).astype(np.float32), q.astype(np.float32)))

    def times(self, vector: Vector) -> Vector:
        """L times a vector."""
        result = vector * self._scale
        for p, q in self._factors:
            result += p * (q @ result)
        return result

    def transposed_times(self, vector: Vector) -> Vector:
        """L^T times a vector."""
        result = vector.copy()
        for p, q in reversed(self._factors):
            result += q * (p @ result)
        return result * self._scale

    def _solve(self, vector: Vector) -> Vector:
        result = vector.copy()
        for p, q in reversed(self._factors):
            result -= p * (q @ result / (1 + p @ q))
        return result / self._scale

    def _solve_transposed(self, vector: Vector) -> Vector:
        result = vector / self._scale
        for p, q in self._factors:
            result -= q * (p @ result / (1 + p @ q))
        return result


def _dot(one: Floats, other: Floats) -> float:
    return float(np.vdot(one.astype(np.float64), other.astype(np.float64)))
