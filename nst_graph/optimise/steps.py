"""Steps: where an optimiser is, and what it reports as it goes."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from nst_graph.errors import InputError
from nst_graph.evaluation import Evaluation, Floats
from nst_graph.news import count

#: The state of an optimiser, by name.
Arrays = Mapping[str, npt.NDArray[np.generic]]
#: An objective: a picture [height, width, 3] to its loss and gradient.
Function = Callable[[Floats], Evaluation]
#: What a bounded pixel may be.
BOUNDS = (0.0, 255.0)


class LazyArrays(Mapping[str, npt.NDArray[np.generic]]):
    """Arrays that are read when they are asked for, each by itself: all of them may be more than memory holds twice."""

    def __init__(self, reads: Mapping[str, Callable[[], npt.NDArray[np.generic]]]) -> None:
        self._reads = reads

    def __getitem__(self, name: str) -> npt.NDArray[np.generic]:
        return self._reads[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._reads)

    def __len__(self) -> int:
        return len(self._reads)


def check_shapes(shapes: Mapping[str, tuple[int, ...]], optimizer_state: Arrays) -> None:
    """Raise InputError where a saved state is not that of the optimiser."""
    if shapes != {name: array.shape for name, array in optimizer_state.items()}:
        raise InputError("state.npz: its memory is not that of this optimiser; paint anew with --overwrite")


@dataclass(frozen=True)
class Step:
    """The painting after so many iterations; iteration 0 is the start."""

    iteration: int
    evaluations: int
    seconds: float
    #: Reads the picture, from wherever it is; valid until the next step.
    read: Callable[[], Floats] = field(repr=False)
    terms: Mapping[str, float]
    total: float
    #: Restarts of L-BFGS so far.
    restarts: int
    #: Reads the optimiser's state, for `minimise` to go on from; valid until the next step.
    optimizer_state: Callable[[], Arrays] = field(repr=False)
    #: The stage it belongs to, and the iterations before at other sizes.
    stage: int = 0
    iteration_offset: int = 0
    #: The iterations of all stages.
    total_iterations: int = 0
    #: The share of all stages' work that is left, each iteration weighed by its pixels.
    left: float = 1.0

    @property
    def picture(self) -> Floats:
        """The picture [height, width, 3]."""
        return self.read()

    def kept(self) -> "Step":
        """The step with its picture in memory, valid for good, and without the optimiser's state. It can be pickled."""
        return replace(self, read=partial(np.asarray, self.picture), optimizer_state=dict)


Observer = Callable[[Step], None]


@dataclass(frozen=True)
class Outcome:
    """How an optimisation ended: its last step, why it stopped, and whether an observer stopped it."""

    step: Step
    reason: str
    stopped: bool = False


class StoppedError(Exception):
    """An observer raised StopIteration at a step, as SciPy's callbacks may; SciPy would take it for its own."""

    def __init__(self, step: Step) -> None:
        super().__init__("an observer stopped it")
        self.step = step


class StepRecorder:
    """The point that an optimiser is at: counts evaluations, and reports accepted steps.

    With an `objective` it has the picture evaluated last, and the gradient there, as arrays.
    """

    def __init__(self, observe: Observer, objective: Function | None = None) -> None:
        self._observe, self._objective = observe, objective
        self._began = time.monotonic()
        self._evaluations = 0
        self._terms: Mapping[str, float] = {}
        self.total = np.nan
        self.restarts = 0
        self.last: Step
        self.picture: Floats
        self.gradient: Floats

    def evaluate(self, picture: Floats) -> None:
        """Move to a picture, which is not copied. Raises FloatingPointError where something is not finite."""
        assert self._objective is not None
        evaluation = self._objective(picture)
        self.picture, self.gradient = picture, evaluation.gradient
        finite = {name: bool(np.isfinite(getattr(self, name)).all()) for name in ("picture", "gradient")}
        self.take(evaluation.terms, evaluation.total, **finite)

    def take(self, terms: Mapping[str, float], total: float, **finite: bool) -> None:
        """Take an evaluation. Raises FloatingPointError where its loss, or what is named, is not finite."""
        self._evaluations += 1
        self._terms, self.total = terms, total
        problems = [] if np.isfinite(total) else [f"loss is {total}"]
        problems += [f"{name} is not finite" for name, is_finite in finite.items() if not is_finite]
        if problems:
            raise FloatingPointError(f"the {problems[0]} after {count(self._evaluations, 'evaluation')}")

    def accept(self, iteration: int, read: Callable[[], Floats], optimizer_state: Callable[[], Arrays]) -> None:
        """Report the last evaluation as the end of an iteration. Raises StoppedError where an observer stops it."""
        seconds = time.monotonic() - self._began
        self.last = Step(
            iteration, self._evaluations, seconds, read, self._terms, self.total, self.restarts, optimizer_state
        )
        try:
            self._observe(self.last)
        except StopIteration as error:
            raise StoppedError(self.last) from error


def restart(recorder: StepRecorder, iterations: int, attempt: Callable[[bool], str], warm: bool) -> Outcome:
    """Attempt until so many iterations are made, or an attempt without pairs gains nothing.

    `attempt` goes on from the last step, with pairs if it is given True, and returns why it stopped; what is
    not finite ends it too. Raises FloatingPointError where one without pairs gains nothing.
    """
    while recorder.last.iteration < iterations:
        before = recorder.last
        try:
            reason = attempt(warm)
        except FloatingPointError as error:
            if recorder.last is before and not warm:
                raise
            reason = str(error)
        if recorder.last.iteration >= iterations:
            break
        if not warm and not recorder.last.total < before.total:
            return Outcome(recorder.last, f"no further descent after {count(recorder.restarts, 'restart')}: {reason}")
        warm = False
        recorder.restarts += 1
    return Outcome(recorder.last, "the limit of iterations is reached")


@dataclass
class OffsetObserver:
    """Passes the steps of one stage on to observers, counted on from the step that it began at.

    `start` is a step of this stage where it is resumed, of an earlier one, or None at first. `total_iterations` are the
    iterations of all stages, `left` the share of their work left after an iteration of this one.
    """

    observers: Sequence[Observer]
    stage: int
    start: Step | None
    same_size: bool = False
    total_iterations: int = 0
    left: Callable[[int], float] = lambda iteration: 1.0
    #: The stage's step that all read from: an earlier one is not valid any more, and holds what an objective does.
    latest: Step = field(init=False)

    def observe(self, step: Step) -> None:
        """Pass a step on, unless it only repeats the start."""
        if step.iteration > 0 or self.start is None:
            for observer in self.observers:
                observer(self.counted(step))

    def counted(self, step: Step) -> Step:
        """The step with the counts of all stages before added."""
        self.latest = step
        counts: dict[str, Any] = {"stage": self.stage, "total_iterations": self.total_iterations}
        if (start := self.start) is not None:
            for name in ("iteration", "evaluations", "seconds", "restarts"):
                counts[name] = getattr(step, name) + getattr(start, name)
            counts["iteration_offset"] = start.iteration_offset if self.same_size else start.iteration
        counts |= {"read": lambda: self.latest.read(), "optimizer_state": lambda: self.latest.optimizer_state()}
        return replace(step, left=self.left(step.iteration), **counts)
