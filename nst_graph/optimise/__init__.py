"""Optimisers: from an objective and a start to steps, which are reported to observers as they come."""

from collections.abc import Callable
from typing import cast

from nst_graph.evaluation import Floats
from nst_graph.optimise.descent import descend
from nst_graph.optimise.graph_lbfgs import GraphObjective, Vectors, graph_lbfgs
from nst_graph.optimise.history import PAIRS
from nst_graph.optimise.scipy_lbfgs import lbfgs
from nst_graph.optimise.steps import Arrays, Function, Outcome, Step, StoppedError
from nst_graph.settings import Settings

__all__ = ["PAIRS", "Outcome", "Step", "Vectors", "descend", "graph_lbfgs", "lbfgs", "minimise"]


def minimise(
    objective: Function,
    start: Floats,
    settings: Settings,
    observe: Callable[[Step], None],
    memory: Arrays | None = None,
    vectors: Vectors | None = None,
) -> Outcome:
    """Minimise from `start` [height, width, 3] by the optimiser that the settings name.

    L-BFGS is the graph's on `vectors`, of which the objective's picture is made, else SciPy's. `observe` gets the
    start and each iteration, and stops it by raising StopIteration; `memory` is that of an earlier step at `start`.
    Raises FloatingPointError where something is not finite.
    """
    try:
        return _minimise(objective, start, settings, observe, memory, vectors)
    except StoppedError as stop:
        return Outcome(stop.step, str(stop), stopped=True)


def _minimise(
    objective: Function,
    start: Floats,
    settings: Settings,
    observe: Callable[[Step], None],
    memory: Arrays | None,
    vectors: Vectors | None,
) -> Outcome:
    if settings.optimiser == "lbfgs" and vectors is not None:
        return graph_lbfgs(cast(GraphObjective, objective), vectors, start, settings.iterations, observe, memory)
    if settings.optimiser == "lbfgs":
        return lbfgs(objective, start, settings.iterations, observe, settings.bounded, settings.corrections)
    return descend(objective, start, settings, observe, memory)
