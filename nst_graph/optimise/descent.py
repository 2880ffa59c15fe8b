"""Gradient descent and Adam: the rules of tf.compat.v1.train, which take steps of a given size."""

import contextlib
from collections.abc import Callable

import numpy as np

from nst_graph.evaluation import Floats
from nst_graph.graph.tensorflow import load, tf, zeros
from nst_graph.optimise.history import check_shapes
from nst_graph.optimise.steps import BOUNDS, Arrays, Function, HostIterate, Outcome, Step

#: Of the rate, below which it is not halved any more.
LEAST_SHARE = 1e-6


def descend(
    objective: Function,
    start: Floats,
    iterations: int,
    observe: Callable[[Step], None],
    rule: tf.train.Optimizer,
    scale: Floats,
    bounded: bool = False,
    average: float = 0.0,
    memory: Arrays | None = None,
    guarded: bool = False,
) -> Outcome:
    """Take so many steps of a tf.compat.v1.train optimiser; bounded clips to 0..255 after each.

    Its variable is the picture divided by `scale` [3], as for networks that take normalised pixels. With `average`
    it is a running mean of the steps that is reported, which decays by that and has no bias (Kingma and Ba 2015,
    section 7.2). `memory` holds the optimiser's moments at an earlier step, to go on from. If `guarded`, as a rule
    without moments can be, a step to more than the loss at the start is taken anew, and all from there on, at half
    the rate. Raises InputError where the memory is another's, FloatingPointError where something is not finite.
    """
    mean, guard, shape = _Mean(average), _Guard(guarded), start.shape
    start = mean.begin(memory or {}, start)
    with contextlib.closing(_Steps(rule, start, scale, bounded)) as steps:
        if memory:
            check_shapes(steps.shapes() | mean.shapes(shape) | guard.shapes(), memory)
            for part in (steps, mean, guard):
                part.load(memory)
        iterate = HostIterate(objective, observe)
        iterate.evaluate(start)
        guard.begin(iterate.total)
        mean.report(iterate, 0, {**steps.moments(), **guard.memory()}, counted=bool(memory))
        for iteration in range(1, iterations + 1):
            before, gradient = iterate.picture, iterate.gradient
            at, moments = steps.take(guard.share * gradient)
            while not guard.passes(iterate, at):
                steps.go_to(before)
                at, moments = steps.take(guard.share * gradient)
            if not all(np.isfinite(array).all() for array in moments.values()):
                raise FloatingPointError(f"the optimiser's mean gradients are not finite at iteration {iteration}")
            mean.report(iterate, iteration, {**moments, **guard.memory()})
    return Outcome(iterate.last, "the limit of iterations is reached")


class _Steps:
    """Steps of a rule, whose variable is the picture divided by `scale` [3]."""

    def __init__(self, rule: tf.train.Optimizer, start: Floats, scale: Floats, bounded: bool) -> None:
        self._scale = scale
        with tf.Graph().as_default() as graph:
            self._variable = variable = zeros("picture", start.shape)
            self._gradient = tf.placeholder(tf.float32, start.shape)
            step = rule.apply_gradients([(self._gradient * scale, variable)])
            with tf.control_dependencies([step]):
                low, high = (bound / scale for bound in BOUNDS)
                bounds = variable.assign(tf.clip_by_value(variable, low, high)) if bounded else tf.no_op()
            self._moments = {moment.op.name: moment for moment in tf.global_variables() if moment is not variable}
            with tf.control_dependencies([bounds]):
                found = {name: moment.read_value() for name, moment in self._moments.items()}
                self._moved = variable.read_value() * scale, found
            self._session = tf.Session(graph=graph)
            self._session.run(tf.global_variables_initializer())
        self.go_to(start)

    def close(self) -> None:
        """Give the memory back."""
        self._session.close()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """What a step's memory has of the rule's moments."""
        return {name: tuple(moment.shape) for name, moment in self._moments.items()}

    def load(self, memory: Arrays) -> None:
        """Go on with the moments in a step's memory."""
        for name, moment in self._moments.items():
            load(self._session, moment, memory[name])

    def moments(self) -> Arrays:
        """The rule's moments."""
        found: Arrays = self._session.run(self._moments)
        return found

    def go_to(self, picture: Floats) -> None:
        """Take the next step from a picture."""
        load(self._session, self._variable, picture / self._scale)

    def take(self, gradient: Floats) -> tuple[Floats, Arrays]:
        """Take a step; returns the picture and the moments after it."""
        found: tuple[Floats, Arrays] = self._session.run(self._moved, {self._gradient: gradient})
        return found


class _Guard:
    """Halves the rate where steps lead to more than the loss at the start; one that is not `on` lets all pass."""

    def __init__(self, on: bool) -> None:
        self._on, self._most = on, np.inf
        #: Of the rate.
        self.share = 1.0

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """What a step's memory has of the guard."""
        return {"share": (), "most": ()} if self._on else {}

    def load(self, memory: Arrays) -> None:
        """Go on with the guard in a step's memory."""
        if self._on:
            self.share, self._most = float(memory["share"]), float(memory["most"])

    def begin(self, total: float) -> None:
        """Take the loss at the start, unless it is that of an earlier step's memory."""
        if self._on and np.isinf(self._most):
            self._most = total

    def memory(self) -> Arrays:
        """The share of the rate, and the loss at the start."""
        return {"share": np.array(self.share), "most": np.array(self._most)} if self._on else {}

    def passes(self, iterate: HostIterate, picture: Floats) -> bool:
        """Evaluate at a picture; if it does not pass, halve the rate. Raises FloatingPointError as evaluations do."""
        try:
            iterate.evaluate(picture)
            if iterate.total <= self._most:
                return True
        except FloatingPointError:
            if not self._on or self.share < LEAST_SHARE:
                raise
        if self.share < LEAST_SHARE:
            return True
        self.share /= 2
        iterate.restarts += 1
        return False


class _Mean:
    """A running mean of pictures, which is what is reported; with a decay of 0 the last one itself."""

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._sum: Floats = np.zeros((), np.float32)
        self._weight = 0.0

    def shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """What a step's memory has of the mean, by the picture's shape."""
        return {"last": shape, "sum": shape, "weight": ()} if self._decay else {}

    def begin(self, memory: Arrays, start: Floats) -> Floats:
        """The last picture before an earlier mean, which goes on."""
        return memory.get("last", start).astype(np.float32) if self._decay else start

    def load(self, memory: Arrays) -> None:
        """Go on with the mean in a step's memory."""
        if self._decay:
            self._sum, self._weight = memory["sum"].astype(np.float32), float(memory["weight"])

    def report(self, iterate: HostIterate, iteration: int, moments: Arrays, counted: bool = False) -> None:
        """Report the mean with one more picture, unless that is counted already."""
        last = shown = iterate.picture
        if self._decay:
            if not counted:
                self._sum = self._decay * self._sum + (1 - self._decay) * last
                self._weight = self._decay * self._weight + 1 - self._decay
            shown = self._sum / self._weight
            moments = {**moments, "last": last, "sum": self._sum, "weight": np.array(self._weight)}
        iterate.accept(iteration, lambda: shown, lambda: moments)
