"""L-BFGS: SciPy's L-BFGS-B, begun anew where it gives up, and resumed with its history."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.optimize
from threadpoolctl import threadpool_limits

from nst_graph.evaluation import Floats
from nst_graph.optimise.history import PAIRS, History, Root, Vector, check_shapes
from nst_graph.optimise.steps import BOUNDS, Arrays, Function, Iterate, Outcome, Step

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

    Rounding in float32 makes the line search give up early at times. It is then restarted from the
    best picture, without history, until a restart gains nothing. So it is where a step leads to a
    loss or gradient that is not finite, but where the restart gains nothing, FloatingPointError is
    raised. `memory` is an earlier step's history, to go on from; bounds, which fit no change of
    variables, begin without it.
    """
    history = History(pairs)
    if memory:
        given = len(memory.get("steps", ()))
        check_shapes(dict.fromkeys(("steps", "changes"), (given, start.size)), memory)
        history.load(memory)
    root = None if bounded else history.root()
    iterate = Iterate(objective, observe)
    iterate.evaluate(np.clip(start, *BOUNDS) if bounded else start)
    iterate.accept(0, history.arrays)
    history.append(iterate.picture, iterate.evaluation.gradient)
    while iterate.last.iteration < iterations:
        before = iterate.last
        left = iterations - before.iteration
        try:
            # Threads of SciPy's BLAS would wait for those of TensorFlow, which spin.
            with threadpool_limits(1, "blas"):
                reason = _attempt(iterate, history, root, left if root is None else min(left, RENEWED_EVERY), bounded)
        except FloatingPointError as error:
            if iterate.last is before and root is None:
                raise
            reason = str(error)
        if iterate.last.iteration >= iterations:
            break
        if root is not None and iterate.last.iteration == before.iteration + RENEWED_EVERY:
            root = history.root()
            continue
        if root is None and not iterate.last.total < before.total:
            return Outcome(iterate.last, f"no further descent after {iterate.restarts} restarts: {reason}")
        root = None
        iterate.restarts += 1
    return Outcome(iterate.last, "the limit of iterations is reached")


def _attempt(iterate: Iterate, history: History, root: Root | None, iterations: int, bounded: bool) -> str:
    """One call of SciPy, from the last step for at most so many iterations; returns why it stopped.

    SciPy's variables z stand for pictures x = z * scale, or x = base + root (z * scale).
    """
    base: Vector = iterate.last.picture.ravel().astype(np.float64)

    def gradient(factor: float) -> Vector:
        found = np.multiply(iterate.evaluation.gradient, factor, dtype=np.float64).ravel()
        return found if root is None else root.transposed_times(found)

    # L-BFGS-B's first step has length one: so scaled, about a grey level a pixel, or Newton's step.
    scale = 2.0 ** round(np.log2(base.size) / 2) if root is None else float(np.linalg.norm(gradient(1.0)))

    def move(z: Vector) -> None:
        x = z * scale if root is None else base + root.times(z * scale)
        picture = x.reshape(iterate.picture.shape)
        # An attempt begins, and SciPy goes on after an iteration, where the last evaluation was.
        if not np.array_equal(picture, iterate.picture):
            iterate.evaluate(picture)

    def function(z: Vector) -> tuple[float, Vector]:
        move(z)
        return iterate.evaluation.total, gradient(scale)

    def accept(intermediate_result: scipy.optimize.OptimizeResult) -> None:
        move(intermediate_result.x)
        history.append(iterate.picture, iterate.evaluation.gradient)
        iterate.accept(iterate.last.iteration + 1, history.arrays)

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
