"""Optimisers: from an objective and a start to the steps of a painting, reported as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.optimize

from nst_graph.objective import Evaluation
from nst_graph.pictures import Picture

#: Pairs of steps and gradient differences that L-BFGS remembers.
CORRECTIONS = 20


@dataclass(frozen=True)
class Step:
    """The painting after so many iterations; iteration 0 is the start."""

    iteration: int
    evaluations: int
    seconds: float
    picture: npt.NDArray[np.floating]
    terms: Mapping[str, float]
    total: float


@dataclass(frozen=True)
class Outcome:
    """How an optimisation ended: its last step, the restarts it took, and why it stopped."""

    step: Step
    restarts: int
    reason: str


def lbfgs(
    objective: Callable[[npt.NDArray[np.floating]], Evaluation],
    start: Picture,
    iterations: int,
    observe: Callable[[Step], None],
) -> Outcome:
    """Minimise by SciPy's L-BFGS-B, in float64, from `start` [height, width, 3].

    `observe` is called with the start and after each iteration. Single-precision losses make the
    line search give up early at times; it is then restarted from the best picture, without its
    memory, until a restart gains nothing.
    """
    return _Lbfgs(objective, start, observe).run(iterations)


class _Lbfgs:
    def __init__(
        self,
        objective: Callable[[npt.NDArray[np.floating]], Evaluation],
        start: Picture,
        observe: Callable[[Step], None],
    ) -> None:
        self.objective, self.observe = objective, observe
        self.began = time.monotonic()
        self.evaluations = 0
        self.at = start.astype(np.float64)
        self.evaluation = self.evaluate(self.at)
        self.best = self.step(0)
        observe(self.best)

    def evaluate(self, picture: npt.NDArray[np.float64]) -> Evaluation:
        self.evaluations += 1
        evaluation = self.objective(picture)
        if not np.isfinite(evaluation.total):
            raise FloatingPointError(f"the loss is {evaluation.total} after {self.evaluations} evaluations")
        self.at, self.evaluation = picture, evaluation
        return evaluation

    def step(self, iteration: int) -> Step:
        seconds = time.monotonic() - self.began
        return Step(iteration, self.evaluations, seconds, self.at, self.evaluation.terms, self.evaluation.total)

    def function(self, x: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        # A run begins, and SciPy resumes after an iteration, where the last evaluation was.
        if not np.array_equal(x, self.at.ravel()):
            self.evaluate(x.reshape(self.at.shape).copy())
        return self.evaluation.total, self.evaluation.gradient.astype(np.float64).ravel()

    def accept(self, intermediate_result: scipy.optimize.OptimizeResult) -> None:
        self.function(intermediate_result.x)
        self.best = self.step(self.best.iteration + 1)
        self.observe(self.best)

    def run(self, iterations: int) -> Outcome:
        restarts = 0
        while self.best.iteration < iterations:
            before = self.best
            options: dict[str, Any] = {
                "maxiter": iterations - before.iteration,
                "maxcor": CORRECTIONS,
                "maxfun": np.iinfo(np.int32).max,
                "ftol": 0,
                "gtol": 0,
            }
            result = scipy.optimize.minimize(
                self.function,
                before.picture.ravel(),
                jac=True,
                method="L-BFGS-B",
                callback=self.accept,
                options=options,
            )
            if self.best.iteration >= iterations:
                break
            if not self.best.total < before.total:
                return Outcome(self.best, restarts, f"no further descent after {restarts} restarts: {result.message}")
            restarts += 1
        return Outcome(self.best, restarts, f"the limit of {iterations} iterations is reached")
