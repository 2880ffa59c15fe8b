"""Steps: where an optimiser is, and what it reports as it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nst_graph.evaluation import Evaluation, Floats

#: The state of an optimiser, by name.
Arrays = Mapping[str, npt.NDArray[np.generic]]
#: An objective: a picture [height, width, 3] to its loss and gradient.
Function = Callable[[Floats], Evaluation]
#: What a bounded pixel may be.
BOUNDS = (0.0, 255.0)


@dataclass(frozen=True)
class Step:
    """The painting after so many iterations; iteration 0 is the start."""

    iteration: int
    evaluations: int
    seconds: float
    picture: Floats
    terms: Mapping[str, float]
    total: float
    #: Restarts of L-BFGS so far.
    restarts: int
    #: The optimiser's state, for `minimise` to go on from; valid until the next step.
    memory: Callable[[], Arrays]
    #: The stage it belongs to, and the iterations before at other sizes.
    stage: int = 0
    before: int = 0


@dataclass(frozen=True)
class Outcome:
    """How an optimisation ended: its last step, and why it stopped."""

    step: Step
    reason: str


class Iterate:
    """The point that an optimiser is at: evaluates the objective there, counts, and reports accepted steps."""

    def __init__(self, objective: Function, observe: Callable[[Step], None]) -> None:
        self._objective, self._observe = objective, observe
        self._began = time.monotonic()
        self._evaluations = 0
        self.restarts = 0
        self.picture: Floats
        self.evaluation: Evaluation
        self.last: Step

    def evaluate(self, picture: Floats) -> None:
        """Move to a picture, which is not copied.

        Raises FloatingPointError where it, its loss or its gradient is not finite.
        """
        self._evaluations += 1
        self.picture, self.evaluation = picture, self._objective(picture)
        if not np.isfinite(self.evaluation.total):
            raise FloatingPointError(f"the loss is {self.evaluation.total} after {self._evaluations} evaluations")
        for name, values in (("picture", picture), ("gradient", self.evaluation.gradient)):
            if not np.isfinite(values).all():
                raise FloatingPointError(f"the {name} is not finite after {self._evaluations} evaluations")

    def accept(self, iteration: int, memory: Callable[[], Arrays]) -> None:
        """Report the last evaluation as the end of an iteration, with the optimiser's state."""
        self.last = Step(
            iteration,
            self._evaluations,
            time.monotonic() - self._began,
            self.picture,
            self.evaluation.terms,
            self.evaluation.total,
            self.restarts,
            memory,
        )
        self._observe(self.last)


class Relay:
    """Passes the steps of one stage on to observers, counted on from the step that it began at."""

    def __init__(self, observers: Iterable[Callable[[Step], None]], stage: int, start: Step | None) -> None:
        """`start` is a step of this stage where it is resumed, of an earlier one, or None at first."""
        self._observers, self._stage, self._start = list(observers), stage, start

    def observe(self, step: Step) -> None:
        """Pass a step on, unless it only repeats the start."""
        if step.iteration > 0 or self._start is None:
            for observer in self._observers:
                observer(self.counted(step))

    def counted(self, step: Step) -> Step:
        """The step with the counts of all stages before added."""
        if self._start is None:
            return replace(step, stage=self._stage)
        same_size = step.picture.shape == self._start.picture.shape
        return replace(
            step,
            stage=self._stage,
            before=self._start.before if same_size else self._start.iteration,
            iteration=step.iteration + self._start.iteration,
            evaluations=step.evaluations + self._start.evaluations,
            seconds=step.seconds + self._start.seconds,
            restarts=step.restarts + self._start.restarts,
        )
