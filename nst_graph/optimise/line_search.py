"""The line search of L-BFGS-B: Moré and Thuente 1994, "Line search algorithms with guaranteed sufficient decrease"."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

#: Sufficient decrease, curvature, and the relative width of the interval at which it ends, as in L-BFGS-B.
FTOL, GTOL, XTOL = 1e-3, 0.9, 0.1
#: The longest step size without bounds, and the evaluations after which a search is given up.
LONGEST, EVALUATIONS = 1e10, 20


class LineSearchError(Exception):
    """No step size decreases the function enough."""


@dataclass(frozen=True)
class _Point:
    """A step size, and the function and its derivative there."""

    step: float
    f: float
    slope: float

    def less(self, gradient: float) -> _Point:
        """The point of the function f - step * gradient."""
        return _Point(self.step, self.f - self.step * gradient, self.slope - gradient)

    def cubic(self, other: _Point, beyond: float | None = None) -> float:
        """The minimiser of the cubic through both; `beyond`, if given, where it has none on the far side."""
        theta = 3 * (self.f - other.f) / (other.step - self.step) + self.slope + other.slope
        size = max(abs(theta), abs(self.slope), abs(other.slope))
        gamma = size * math.sqrt(max(0.0, (theta / size) ** 2 - (self.slope / size) * (other.slope / size)))
        if other.step < self.step:
            gamma = -gamma
        ratio = ((gamma - self.slope) + theta) / (((gamma - self.slope) + gamma) + other.slope)
        if beyond is not None and not (ratio < 0 and gamma != 0):
            return beyond
        return self.step + ratio * (other.step - self.step)

    def quadratic(self, other: _Point) -> float:
        """The minimiser of the quadratic through both, with the slope here."""
        length = other.step - self.step
        return self.step + self.slope / ((self.f - other.f) / length + self.slope) / 2 * length

    def secant(self, other: _Point) -> float:
        """The zero of the slope's secant through both."""
        return self.step + self.slope / (self.slope - other.slope) * (other.step - self.step)


def search(function: Callable[[float], tuple[float, float]], f0: float, slope0: float, longest: float) -> float:
    """A step size that satisfies the strong Wolfe conditions, or the longest, which is the last one evaluated.

    `function` gives value and derivative at a step size; `f0` and `slope0` are those at zero. 1 is tried first.
    Raises LineSearchError where there is none.
    """
    sufficient = FTOL * slope0
    best, other = _Point(0.0, f0, slope0), _Point(0.0, f0, slope0)
    bracketed, first_stage = False, True
    step, least, most = 1.0, 0.0, 5.0
    width, width_before = LONGEST, 2 * LONGEST
    for _ in range(EVALUATIONS):
        f, slope = function(step)
        here = _Point(step, f, slope)
        decreases = f <= f0 + step * sufficient
        if decreases and abs(slope) <= GTOL * -slope0:
            return step
        stuck = bracketed and (step <= least or step >= most or most - least <= XTOL * most)
        if stuck or (step == longest and decreases and slope <= sufficient):
            if f < f0:
                return step
            break
        first_stage = first_stage and not (decreases and slope >= 0)
        shift = sufficient if first_stage and best.f >= f > f0 + step * sufficient else 0.0
        step, moved, other, bracketed = _next(
            best.less(shift), other.less(shift), here.less(shift), bracketed, least, most
        )
        best, other = moved.less(-shift), other.less(-shift)
        if bracketed:
            if abs(other.step - best.step) >= 0.66 * width_before:
                step = best.step + 0.5 * (other.step - best.step)
            width_before, width = width, abs(other.step - best.step)
            least, most = min(best.step, other.step), max(best.step, other.step)
        else:
            least, most = step + 1.1 * (step - best.step), step + 4 * (step - best.step)
        step = min(max(step, 0.0), longest)
        if bracketed and (step <= least or step >= most or most - least <= XTOL * most):
            step = best.step
    raise LineSearchError("the line search found no descent")


def _next(
    best: _Point, other: _Point, here: _Point, bracketed: bool, least: float, most: float
) -> tuple[float, _Point, _Point, bool]:
    """The step size to try after `here`, and the new interval of uncertainty: dcstep of MINPACK-2."""
    opposite = (here.slope < 0) != (best.slope < 0)
    beyond = most if here.step > best.step else least
    if here.f > best.f:  # the minimum is bracketed: the cubic, or halfway to the quadratic if that is nearer
        cubic, quadratic = best.cubic(here), best.quadratic(here)
        nearer = abs(cubic - best.step) <= abs(quadratic - best.step)
        return cubic if nearer else cubic + (quadratic - cubic) / 2, best, here, True

    def distance(step: float) -> float:
        return abs(step - here.step)

    if opposite:  # bracketed too: the farther of secant and cubic
        return max(here.secant(best), here.cubic(best), key=distance), here, best, True
    if abs(here.slope) < abs(best.slope):  # the slope decreases: the minimum lies beyond
        secant, cubic = here.secant(best), here.cubic(best, beyond)
        if bracketed:
            step = min(secant, cubic, key=distance)
            limit = here.step + 0.66 * (other.step - here.step)
            step = min(limit, step) if here.step > best.step else max(limit, step)
        else:
            step = min(max(max(secant, cubic, key=distance), least), most)
        return step, here, other, bracketed
    return here.cubic(other) if bracketed else beyond, here, other, bracketed
