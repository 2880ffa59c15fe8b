"""L-BFGS's Memory: steps and what they did to the gradient, and how a new attempt begins with them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
#: Half the room of a Vector, and as good for what is kept by the dozen.
Short = npt.NDArray[np.float32]


class Memory:
    """The last so many pairs (s, y): a step, and the change of the gradient along it.

    SciPy's L-BFGS-B keeps such pairs but takes none; kept here too, they outlive an attempt.
    """

    def __init__(self, corrections: int) -> None:
        self._pairs: deque[tuple[Short, Short]] = deque(maxlen=corrections)

    def load(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Remember what arrays() gave."""
        for step, change in zip(arrays["steps"], arrays["changes"], strict=True):
            self.add(step.astype(np.float64), change.astype(np.float64))

    def add(self, step: Vector, change: Vector) -> None:
        """Remember a pair in place of the oldest. Pairs without positive curvature say nothing."""
        if not step @ change > 1e-10 * np.linalg.norm(step) * np.linalg.norm(change):
            return
        with np.errstate(over="ignore"):
            pair = step.astype(np.float32), change.astype(np.float32)
            products = [float(one @ other) for one, other in (pair, pair[:1] * 2, pair[1:] * 2)]
        # What float32 cannot hold says nothing either.
        if all(0 < product < np.inf for product in products):
            self._pairs.append(pair)

    def arrays(self) -> dict[str, Short]:
        """steps and changes, each float32 [pairs, numbers], oldest first; nothing where there is none."""
        if not self._pairs:
            return {}
        steps, changes = zip(*self._pairs, strict=True)
        return {"steps": np.stack(steps), "changes": np.stack(changes)}

    def root(self) -> Root | None:
        """The root of the inverse Hessian that the pairs make; None where there is none."""
        return Root(list(self._pairs)) if self._pairs else None


class Root:
    """A matrix L with L L^T = H, H the inverse Hessian of BFGS after some pairs.

    In variables z with x = L z the Hessian is about one, so that L-BFGS begins where it was. L is
    a product of factors I + p q^T, one a pair (Brodlie, Gourlay and Greenstadt 1973): with
    p = s / s^T y and q = sqrt(s^T y / s^T B s) B s - y, where B is the inverse of H before it.
    """

    def __init__(self, pairs: list[tuple[Short, Short]]) -> None:
        # Of the pairs' scales the largest: directions without a pair are gone too slowly by the others.
        self._scale = float(np.sqrt(max(_along(step, change) / _along(change, change) for step, change in pairs)))
        self._factors: list[tuple[Short, Short]] = []
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


def _along(one: Short, other: Short) -> float:
    return float(np.vdot(one.astype(np.float64), other.astype(np.float64)))
