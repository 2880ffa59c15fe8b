"""L-BFGS: its curvature pairs (s, y), and SciPy's, after which a run goes on by the graph's."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import scipy.optimize
from threadpoolctl import threadpool_limits

from nst_graph import signals
from nst_graph.evaluation import Floats
from nst_graph.optimise.steps import BOUNDS, Arrays, Function, Observer, Outcome, StepRecorder, check_shapes, restart

Vector = npt.NDArray[np.float64]
#: Curvature pairs that are kept. With more an iteration gains a little and takes longer: SciPy
#: passes over all of them several times.
PAIRS = 10
#: The least cosine of the angle between s and y: a pair of less curvature is dropped.
LEAST_CURVATURE = 1e-10


def satisfies_curvature_condition(curvature: float, step: float, change: float) -> bool:
    """Whether a pair tells of positive curvature, by s^T y, s^T s and y^T y; else it is dropped."""
    return curvature > LEAST_CURVATURE * float(np.sqrt(step * change))


def first_step(variables: int) -> float:
    """The length of L-BFGS's first step: about eight grey levels for each variable."""
    return float(8 * 2.0 ** round(np.log2(variables) / 2))


def names(numbers: Iterable[int]) -> list[str]:
    """What saved pairs of these numbers are called, all steps first."""
    numbers = list(numbers)
    return [f"{kind}-{number}" for kind in ("step", "change") for number in numbers]


def by_age(optimizer_state: Arrays) -> list[int]:
    """The numbers of saved pairs, the oldest first."""
    if "order" in optimizer_state:  # of the L-BFGS in the graph
        return [int(number) for number in optimizer_state["order"].ravel()]
    return list(range(sum(name.startswith("step-") for name in optimizer_state)))


def check_pairs(optimizer_state: Arrays, size: int) -> None:
    """Raise InputError where a saved state is not that of L-BFGS for so many variables."""
    pairs = len(by_age(optimizer_state))
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(names(range(pairs)), (size,))
    check_shapes(shapes | ({"order": (pairs,)} if "order" in optimizer_state else {}), optimizer_state)


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

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """`step-0`, `change-0`, ..., each float32 [numbers], oldest first; empty where there is no pair.

        Those of positive curvature that float32, half the memory of a Vector and as good in practice, can hold.
        """
        arrays: dict[str, npt.NDArray[np.float32]] = {}
        for (x0, g0), (x1, g1) in pairwise(self._points):
            s, y = (np.subtract(b, a, dtype=np.float64).ravel() for a, b in ((x0, x1), (g0, g1)))
            if not satisfies_curvature_condition(float(s @ y), float(s @ s), float(y @ y)):
                continue
            with np.errstate(over="ignore"):
                single_s, single_y = s.astype(np.float32), y.astype(np.float32)
                products = single_s @ single_y, single_s @ single_s, single_y @ single_y
            if all(0 < product < np.inf for product in products):
                arrays |= dict(zip(names([len(arrays) // 2]), (single_s, single_y), strict=True))
        return arrays


def lbfgs(
    objective: Function, start: Floats, iterations: int, observe: Observer, bounded: bool = False, pairs: int = PAIRS
) -> Outcome:
    """Minimise by SciPy's L-BFGS-B, in float64; bounded keeps every pixel in 0..255.

    Rounding in float32 makes the line search give up early at times. It is then restarted from the best picture,
    without pairs, until that gains nothing. Raises FloatingPointError as `restart` does.
    """
    history, recorder = History(pairs), StepRecorder(observe, objective)
    # L-BFGS-B's first step has length one: its variables are the picture over the scale.
    scale = first_step(start.size)
    bounds = scipy.optimize.Bounds(BOUNDS[0] / scale, BOUNDS[1] / scale) if bounded else None
    options = {"maxcor": pairs, "maxfun": np.iinfo(np.int32).max, "ftol": 0, "gtol": 0}

    def accept(iteration: int) -> None:
        picture = recorder.picture
        with signals.deferred():  # or a state would have pairs of another picture
            history.append(picture, recorder.gradient)
            recorder.accept(iteration, lambda: picture, history.arrays)

    def attempt(warm: bool) -> str:
        """One call of SciPy, from the last step."""
        begin = recorder.last.picture
        if recorder.picture is not begin:  # the attempt before ended elsewhere
            recorder.evaluate(begin)

        def function(z: Vector) -> tuple[float, Vector]:
            x = z * scale
            if not np.array_equal(x, recorder.picture.ravel()):  # as the start is, which was evaluated before
                recorder.evaluate(x.reshape(begin.shape))
            return recorder.total, np.multiply(recorder.gradient, scale, dtype=np.float64).ravel()

        left = iterations - recorder.last.iteration
        with threadpool_limits(1, "blas"):  # its threads would wait for those of TensorFlow, which spin
            result = scipy.optimize.minimize(
                function,
                begin.ravel().astype(np.float64) / scale,
                jac=True,
                method="L-BFGS-B",
                bounds=bounds,
                callback=lambda intermediate_result: accept(recorder.last.iteration + 1),
                options=options | {"maxiter": left},
            )
        return str(result.message)

    recorder.evaluate(np.clip(start, *BOUNDS) if bounded else start)
    accept(0)
    return restart(recorder, iterations, attempt, warm=False)
