"""L-BFGS by SciPy: its L-BFGS-B, begun anew where it gives up, and resumed with its history."""

from collections.abc import Callable

import numpy as np
import scipy.optimize
from threadpoolctl import threadpool_limits

from nst_graph import signals
from nst_graph.evaluation import Floats
from nst_graph.optimise.history import PAIRS, History, Root, Vector, check_pairs
from nst_graph.optimise.steps import BOUNDS, Arrays, Function, HostIterate, Outcome, Step, first_step, restart

#: Iterations for which the history of an earlier attempt serves as a change of variables; then a new
#: one is taken. Without that, one of a run's first iterations may end up to 5 % higher after 600.
RENEWED_EVERY = 50


def lbfgs(
    objective: Function,
    start: Floats,
    iterations: int,
    observe: Callable[[Step], None],
    bounded: bool = False,
    pairs: int = PAIRS,
    memory: Arrays | None = None,
) -> Outcome:
    """Minimise by SciPy's L-BFGS-B, in float64; bounded keeps every pixel in 0..255.

    Rounding in float32 makes the line search give up early at times. It is then restarted from the best picture,
    without history, until that gains nothing. `memory` is an earlier step's history, to go on from; bounds, which
    fit no change of variables, begin without it. Raises InputError where it is another optimiser's,
    FloatingPointError where something is not finite and a restart gains nothing.
    """
    history = History(pairs)
    warm = False
    if memory:
        check_pairs(memory, start.size)
        warm = history.load(memory) > 0 and not bounded
    iterate = HostIterate(objective, observe)
    iterate.evaluate(np.clip(start, *BOUNDS) if bounded else start)
    iterate.report(0, history.arrays)
    history.append(iterate.picture, iterate.gradient)

    def attempt(warm: bool) -> str:
        # Threads of SciPy's BLAS would wait for those of TensorFlow, which spin.
        with threadpool_limits(1, "blas"):
            while warm and iterate.last.iteration + RENEWED_EVERY < iterations:
                end = iterate.last.iteration + RENEWED_EVERY
                reason = _attempt(iterate, history, history.root(), RENEWED_EVERY, bounded)
                if iterate.last.iteration < end:
                    return reason
            left = iterations - iterate.last.iteration
            return _attempt(iterate, history, history.root() if warm else None, left, bounded)

    return restart(iterate, iterations, attempt, warm)


def _attempt(iterate: HostIterate, history: History, root: Root | None, iterations: int, bounded: bool) -> str:
    """One call of SciPy, from the last step for at most so many iterations; returns why it stopped.

    SciPy's variables z stand for pictures x = z * scale, or x = base + root (z * scale).
    """
    begin = iterate.last.picture
    base: Vector = begin.ravel().astype(np.float64)
    if iterate.picture is not begin:  # the attempt before ended elsewhere
        iterate.evaluate(begin)

    def gradient(factor: float) -> Vector:
        found = np.multiply(iterate.gradient, factor, dtype=np.float64).ravel()
        return found if root is None else root.transposed_times(found)

    # L-BFGS-B's first step has length one: so scaled, about eight grey levels a pixel, or Newton's step.
    scale = first_step(base.size) if root is None else float(np.linalg.norm(gradient(1.0)))

    def function(z: Vector) -> tuple[float, Vector]:
        x = z * scale if root is None else base + root.times(z * scale)
        if not np.array_equal(x, iterate.picture.ravel()):  # as the start is, which was evaluated before
            iterate.evaluate(x.reshape(begin.shape))
        return iterate.total, gradient(scale)

    def accept(intermediate_result: scipy.optimize.OptimizeResult) -> None:  # where the last evaluation was
        with signals.deferred():  # or a state would have pairs of another picture
            history.append(iterate.picture, iterate.gradient)
            iterate.report(iterate.last.iteration + 1, history.arrays)

    result = scipy.optimize.minimize(
        function,
        base / scale if root is None else np.zeros_like(base),
        jac=True,
        method="L-BFGS-B",
        bounds=scipy.optimize.Bounds(BOUNDS[0] / scale, BOUNDS[1] / scale) if bounded else None,
        callback=accept,
        options={
            "maxiter": iterations,
            "maxcor": history.pairs,
            "maxfun": np.iinfo(np.int32).max,
            "ftol": 0,
            "gtol": 0,
        },
    )
    return str(result.message)
