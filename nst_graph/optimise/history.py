"""L-BFGS's Memory: steps and what they did to the gradient, and how a new attempt begins with them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating]
#: Half the room of a Vector, and as good for what is kept by the dozen.
Short = npt.NDArray[np.float32]


class Memory:
    """The last so many pairs (s, y): a step, and the change of the gradient along it.

    SciPy's L-BFGS-B keeps such pairs but takes none; kept here too, they outlive an attempt. They
    are made when they are asked for, of the points they lie between.
    """

    def __init__(self, corrections: int) -> None:
        self._corrections = corrections
        self._loaded: list[tuple[Short, Short]] = []
        self._points: deque[tuple[Floats, Floats]] = deque(maxlen=corrections + 1)

    def load(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Remember what arrays() gave."""
        pairs = zip(arrays["steps"], arrays["changes"], strict=True)
        good = _good((step.astype(np.float64), change.astype(np.float64)) for step, change in pairs)
        self._loaded = good[-self._corrections :]

    def move(self, point: Floats, gradient: Floats) -> None:
        """Remember where an iteration ended, and the gradient there, of any shape. They are kept, not copied."""
        self._points.append((point, gradient))
        if len(self._loaded) + len(self._points) - 1 > self._corrections:
            del self._loaded[:1]

    def arrays(self) -> dict[str, Short]:
        """steps and changes, each float32 [pairs, numbers], oldest first; nothing where there is none."""
        pairs = self._pairs()
        if not pairs:
            return {}
        steps, changes = zip(*pairs, strict=True)
        return {"steps": np.stack(steps), "changes": np.stack(changes)}

    def root(self) -> Root | None:
        """The root of the inverse Hessian that the pairs make; None where there is none."""
        pairs = self._pairs()
        return Root(pairs) if pairs else None

    def _pairs(self) -> list[tuple[Short, Short]]:
        ways = pairwise(self._points)
        return self._loaded + _good(
            (_way(*points), _way(*slopes)) for points, slopes in (zip(*way, strict=True) for way in ways)
        )


def _way(here: Floats, there: Floats) -> Vector:
    return np.subtract(there, here, dtype=np.float64).ravel()


def _good(pairs: Iterable[tuple[Vector, Vector]]) -> list[tuple[Short, Short]]:
    """In float32 those that say something: of positive curvature, and such that float32 can hold them."""
    good = []
    for step, change in pairs:
        if not step @ change > 1e-10 * np.linalg.norm(step) * np.linalg.norm(change):
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
