"""Optimisers: from an objective and a start to steps, which are reported to observers as they come."""

from typing import cast

from nst_graph.evaluation import Floats
from nst_graph.model.objective import Objective
from nst_graph.optimise.descent import descend
from nst_graph.optimise.graph_lbfgs import Vectors, graph_lbfgs
from nst_graph.optimise.lbfgs import PAIRS, lbfgs
from nst_graph.optimise.steps import Arrays, Function, Observer, Outcome, Step, StoppedError
from nst_graph.settings import Settings


def minimise(
    objective: Function,
    start: Floats,
    settings: Settings,
    observe: Observer,
    optimizer_state: Arrays | None = None,
    vectors: Vectors | None = None,
) -> Outcome:
    """Minimise from `start` [height, width, 3] by the optimiser that the settings name.

    L-BFGS is the graph's on `vectors`, of which the objective's picture is made, else SciPy's. `observe` gets the
    start and each iteration, and stops it by raising StopIteration; `optimizer_state` is an earlier step's at `start`.
    Raises FloatingPointError where something is not finite.
    """
    try:
        if settings.optimiser != "lbfgs":
            return descend(objective, start, settings, observe, optimizer_state)
        if vectors is not None:
            return graph_lbfgs(
                cast(Objective, objective), vectors, start, settings.iterations, observe, optimizer_state
            )
        return lbfgs(objective, start, settings.iterations, observe, settings.bounded, settings.corrections)
    except StoppedError as stop:
        return Outcome(stop.step, str(stop), stopped=True)
