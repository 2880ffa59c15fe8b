"""Optimisers: from an objective and a start to the steps of a painting, reported as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.optimize
from threadpoolctl import threadpool_limits

from nst_graph.errors import InputError
from nst_graph.graph.objective import Evaluation
from nst_graph.graph.tensorflow import tf
from nst_graph.optimise.history import Memory, Root, Vector
from nst_graph.recipes import Settings

#: What an optimiser remembers, by name.
Arrays = Mapping[str, npt.NDArray[np.generic]]
#: What a bounded pixel may be.
BOUNDS = (0.0, 255.0)
#: Pairs of steps and gradient differences that L-BFGS remembers. With more an iteration gains a
#: little and takes longer: SciPy goes through all of them several times.
CORRECTIONS = 10
#: Iterations for which a memory that is gone on with serves; then it is taken anew. As a change of
#: variables it stays what it was, and one of a run's first iterations may end up to 5 % higher after 600.
FRESH = 50


@dataclass(frozen=True)
class Step:
    """The painting after so many iterations; iteration 0 is the start."""

    iteration: int
    evaluations: int
    seconds: float
    picture: npt.NDArray[np.floating]
    terms: Mapping[str, float]
    total: float
    #: Restarts of L-BFGS so far.
    restarts: int
    #: What the optimiser remembers, by name, for `minimise` to go on from; good until the next step.
    memory: Callable[[], Arrays]
    #: The stage it belongs to, and the iterations before at other sizes.
    stage: int = 0
    before: int = 0


@dataclass(frozen=True)
class Outcome:
    """How an optimisation ended: its last step, and why it stopped."""

    step: Step
    reason: str


def minimise(
    objective: Callable[[npt.NDArray[np.floating]], Evaluation],
    start: npt.NDArray[np.floating],
    settings: Settings,
    observe: Callable[[Step], None],
    corrections: int = CORRECTIONS,
    memory: Arrays | None = None,
) -> Outcome:
    """Minimise from `start` [height, width, 3] by the optimiser that the settings name.

    `observe` is called with the start and after each iteration. `memory` is that of an earlier
    step at `start`, which is then gone on from.
    """
    if settings.optimiser == "lbfgs":
        return lbfgs(objective, start, settings.iterations, observe, settings.bounded, corrections, memory)
    if settings.optimiser == "adam":
        rule = tf.train.AdamOptimizer(settings.rate, beta1=settings.beta1, epsilon=settings.epsilon)
    else:
        rule = tf.train.GradientDescentOptimizer(settings.rate)
    return descend(objective, start, settings.iterations, observe, rule, settings.bounded, memory)


def descend(
    objective: Callable[[npt.NDArray[np.floating]], Evaluation],
    start: npt.NDArray[np.floating],
    iterations: int,
    observe: Callable[[Step], None],
    rule: tf.train.Optimizer,
    bounded: bool = False,
    memory: Arrays | None = None,
) -> Outcome:
    """Take so many steps of a tf.compat.v1.train optimiser; bounded clips to 0..255 after each."""
    with tf.Graph().as_default() as within, tf.Session(graph=within) as session:
        picture = tf.get_variable("picture", initializer=start)
        gradient = tf.placeholder(tf.float32, start.shape)
        step = rule.apply_gradients([(gradient, picture)])
        with tf.control_dependencies([step]):
            bounds = picture.assign(tf.clip_by_value(picture, *BOUNDS)) if bounded else tf.no_op()
        moments = {variable.op.name: variable for variable in tf.global_variables() if variable is not picture}
        with tf.control_dependencies([bounds]):
            moved = picture.read_value(), {name: variable.read_value() for name, variable in moments.items()}
        session.run(tf.global_variables_initializer())
        if memory:
            _check_memory({name: tuple(variable.shape) for name, variable in moments.items()}, memory)
            for name, variable in moments.items():
                variable.load(memory[name], session)
        walk = _Walk(objective, observe)
        walk.evaluate(start)
        walk.accept(0, session.run(moments))
        for iteration in range(1, iterations + 1):
            at, remembered = session.run(moved, {gradient: walk.evaluation.gradient})
            walk.evaluate(at)
            if not all(np.isfinite(array).all() for array in remembered.values()):
                raise FloatingPointError(f"the optimiser's mean gradients are not finite at iteration {iteration}")
            walk.accept(iteration, remembered)
    return Outcome(walk.last, "the limit of iterations is reached")


def _check_memory(shapes: Mapping[str, tuple[int, ...]], memory: Arrays) -> None:
    if shapes != {name: array.shape for name, array in memory.items()}:
        raise InputError("state.npz: its memory is not that of this optimiser; paint anew with --overwrite")


def lbfgs(
    objective: Callable[[npt.NDArray[np.floating]], Evaluation],
    start: npt.NDArray[np.floating],
    iterations: int,
    observe: Callable[[Step], None],
    bounded: bool = False,
    corrections: int = CORRECTIONS,
    memory: Arrays | None = None,
) -> Outcome:
    """Minimise by SciPy's L-BFGS-B, in float64; bounded keeps every pixel in 0..255.

    Single-precision losses make the line search give up early at times; it is then restarted
    from the best picture, without its memory, until a restart gains nothing. So it is where a
    step leads to a loss or gradient that is not finite, but where that gains nothing,
    FloatingPointError is raised. `memory` is an earlier step's, to go on from; bounds, which fit
    no change of variables, begin without.
    """
    kept = Memory(corrections)
    if memory:
        pairs = len(memory.get("steps", ()))
        _check_memory(dict.fromkeys(("steps", "changes"), (pairs, start.size)), memory)
        kept.load(memory)
    root = None if bounded else kept.root()
    walk = _Walk(objective, observe)
    walk.evaluate(np.clip(start, *BOUNDS) if bounded else start)
    walk.accept(0, kept.arrays)
    kept.move(walk.at, walk.evaluation.gradient)
    # L-BFGS-B's first step has length one: in these units, about a grey level for every pixel.
    unit = 2.0 ** round(np.log2(start.size) / 2)

    def slope(scale: float = 1.0) -> Vector:
        return np.multiply(walk.evaluation.gradient, scale, dtype=np.float64).ravel()

    def attempt(root: Root | None) -> scipy.optimize.OptimizeResult:
        base = walk.last.picture.ravel().astype(np.float64)
        # With a memory that first step is Newton's.
        scale = unit if root is None else float(np.linalg.norm(root.transposed_times(slope())))

        def go_to(z: Vector) -> None:
            x = z * scale if root is None else base + root.times(z * scale)
            picture = x.reshape(start.shape)
            # An attempt begins, and SciPy goes on after an iteration, where the last evaluation was.
            if not np.array_equal(picture, walk.at):
                walk.evaluate(picture)

        def function(z: Vector) -> tuple[float, Vector]:
            go_to(z)
            return walk.evaluation.total, slope(scale) if root is None else root.transposed_times(slope(scale))

        def accept(intermediate_result: scipy.optimize.OptimizeResult) -> None:
            go_to(intermediate_result.x)
            kept.move(walk.at, walk.evaluation.gradient)
            walk.accept(walk.last.iteration + 1, kept.arrays)

        return scipy.optimize.minimize(
            function,
            base / scale if root is None else np.zeros_like(base),
            jac=True,
            method="L-BFGS-B",
            bounds=scipy.optimize.Bounds(BOUNDS[0] / unit, BOUNDS[1] / unit) if bounded else None,
            callback=accept,
            options={
                "maxiter": min(iterations - walk.last.iteration, iterations if root is None else FRESH),
                "maxcor": corrections,
                "maxfun": np.iinfo(np.int32).max,
                "ftol": 0,
                "gtol": 0,
            },
        )

    while walk.last.iteration < iterations:
        before = walk.last
        try:
            # Threads of SciPy's BLAS would wait on those of TensorFlow, which spin.
            with threadpool_limits(1, "blas"):
                reason = attempt(root).message
        except FloatingPointError as error:
            if walk.last is before and root is None:
                raise
            reason = str(error)
        if walk.last.iteration >= iterations:
            break
        if root is not None and walk.last.iteration == before.iteration + FRESH:
            root = kept.root()
            continue
        if root is None and not walk.last.total < before.total:
            return Outcome(walk.last, f"no further descent after {walk.restarts} restarts: {reason}")
        root = None
        walk.restarts += 1
    return Outcome(walk.last, "the limit of iterations is reached")


class _Walk:
    """Where an optimiser is: it evaluates the objective, counts, and reports accepted steps."""

    def __init__(
        self,
        objective: Callable[[npt.NDArray[np.floating]], Evaluation],
        observe: Callable[[Step], None],
    ) -> None:
        self._objective, self._observe = objective, observe
        self._began = time.monotonic()
        self._evaluations = 0
        self.restarts = 0
        self.at: npt.NDArray[np.floating]
        self.evaluation: Evaluation
        self.last: Step

    def evaluate(self, picture: npt.NDArray[np.floating]) -> None:
        """Go to a picture, which is kept, not copied.

        Raises FloatingPointError where it, its loss or its gradient is not finite.
        """
        self._evaluations += 1
        self.at, self.evaluation = picture, self._objective(picture)
        if not np.isfinite(self.evaluation.total):
            raise FloatingPointError(f"the loss is {self.evaluation.total} after {self._evaluations} evaluations")
        for name, values in (("picture", picture), ("gradient", self.evaluation.gradient)):
            if not np.isfinite(values).all():
                raise FloatingPointError(f"the {name} is not finite after {self._evaluations} evaluations")

    def accept(self, iteration: int, memory: Arrays | Callable[[], Arrays]) -> None:
        """Report where the last evaluation was as the end of an iteration."""
        self.last = Step(
            iteration,
            self._evaluations,
            time.monotonic() - self._began,
            self.at,
            self.evaluation.terms,
            self.evaluation.total,
            self.restarts,
            memory if callable(memory) else lambda: memory,
        )
        self._observe(self.last)


class Relay:
    """Passes a stage's steps on to observers, counted on from the step it began at."""

    def __init__(self, observers: Iterable[Callable[[Step], None]], stage: int, start: Step | None) -> None:
        """`start` is of this stage where it is gone on with, of an earlier one, or None at first."""
        self._observers, self._stage, self._start = list(observers), stage, start

    def observe(self, step: Step) -> None:
        """Pass a step on, unless it is only the one begun at over again."""
        if step.iteration > 0 or self._start is None:
            for observer in self._observers:
                observer(self.counted(step))

    def counted(self, step: Step) -> Step:
        """A step of this stage with all that came before counted in."""
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
