"""L-BFGS by SciPy: its L-BFGS-B, begun anew where it gives up. A run goes on by the graph's, which takes pairs."""

from collections.abc import Callable

import numpy as np
import scipy.optimize
from threadpoolctl import threadpool_limits

from nst_graph import signals
from nst_graph.evaluation import Floats
from nst_graph.optimise.history import PAIRS, History, Vector
from nst_graph.optimise.steps import BOUNDS, Function, HostStepRecorder, Outcome, Step, first_step, restart


def lbfgs(
    objective: Function,
    start: Floats,
    iterations: int,
    observe: Callable[[Step], None],
    bounded: bool = False,
    pairs: int = PAIRS,
) -> Outcome:
    """Minimise by SciPy's L-BFGS-B, in float64; bounded keeps every pixel in 0..255.

    Rounding in float32 makes the line search give up early at times. It is then restarted from the best picture,
    without pairs, until that gains nothing. Raises FloatingPointError where something is not finite and a restart
    gains nothing.
    """
    history = History(pairs)
    recorder = HostStepRecorder(objective, observe)
    recorder.evaluate(np.clip(start, *BOUNDS) if bounded else start)
    recorder.report(0, history.arrays)
    history.append(recorder.picture, recorder.gradient)
    # L-BFGS-B's first step has length one: so scaled, about eight grey levels a pixel.
    scale = first_step(start.size)

    def attempt(warm: bool) -> str:
        """One call of SciPy, from the last step; its variables are the picture over the scale."""
        begin = recorder.last.picture
        if recorder.picture is not begin:  # the attempt before ended elsewhere
            recorder.evaluate(begin)

        def function(z: Vector) -> tuple[float, Vector]:
            x = z * scale
            if not np.array_equal(x, recorder.picture.ravel()):  # as the start is, which was evaluated before
                recorder.evaluate(x.reshape(begin.shape))
            return recorder.total, np.multiply(recorder.gradient, scale, dtype=np.float64).ravel()

        def accept(intermediate_result: scipy.optimize.OptimizeResult) -> None:  # where the last evaluation was
            with signals.deferred():  # or a state would have pairs of another picture
                history.append(recorder.picture, recorder.gradient)
                recorder.report(recorder.last.iteration + 1, history.arrays)

        bounds = scipy.optimize.Bounds(BOUNDS[0] / scale, BOUNDS[1] / scale) if bounded else None
        left = iterations - recorder.last.iteration
        return _lbfgsb(function, begin.ravel().astype(np.float64) / scale, accept, left, pairs, bounds)

    return restart(recorder, iterations, attempt, warm=False)


def _lbfgsb(
    function: Callable[[Vector], tuple[float, Vector]],
    start: Vector,
    accept: Callable[..., None],
    iterations: int,
    pairs: int,
    bounds: scipy.optimize.Bounds | None,
) -> str:
    """One call of SciPy, for at most so many iterations; returns why it stopped."""
    options = {"maxiter": iterations, "maxcor": pairs, "maxfun": np.iinfo(np.int32).max, "ftol": 0, "gtol": 0}
    # Threads of SciPy's BLAS would wait for those of TensorFlow, which spin.
    with threadpool_limits(1, "blas"):
        result = scipy.optimize.minimize(
            function, start, jac=True, method="L-BFGS-B", bounds=bounds, callback=accept, options=options
        )
    return str(result.message)
