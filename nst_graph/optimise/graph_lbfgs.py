"""L-BFGS in the graph: its vectors are variables beside the objective, and only scalars come to the host.

Liu and Nocedal 1989, with the line search and the first step of L-BFGS-B. A direction is a combination of the
curvature pairs and the gradient; its coefficients follow from their inner products alone (Chen, Wang and Zhou
2014, "Large-scale L-BFGS using MapReduce"), so that an iteration passes over the pairs only twice. With bounds, the
variables that the gradient holds at theirs take no part, and the direction is projected (Bertsekas 1982, "Projected
Newton methods"; Morales and Nocedal 2011).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nst_graph import signals
from nst_graph.evaluation import Floats
from nst_graph.graph.tensorflow import load, tf, zeros
from nst_graph.optimise.history import Vector, by_age, check_pairs, names, satisfies_curvature_condition
from nst_graph.optimise.line_search import LONGEST, LineSearchError, search
from nst_graph.optimise.steps import BOUNDS, Arrays, LazyArrays, Outcome, Step, StepRecorder, first_step, restart

#: The slope along a new direction, and its square.
NewDirection = tuple[tf.Tensor, tf.Tensor]
#: Parts of a vector, at most, whose inner products are summed in its own type; their sums are added in float64. They
#: are as many as divide its numbers.
BLOCKS = 32


class GraphObjective(Protocol):
    """An objective in a graph, whose picture is a tensor made by `Vectors.point`."""

    graph: tf.Graph
    session: tf.Session
    gradient: tf.Tensor

    def evaluate(self, fetches: Any, feed: Mapping[tf.Tensor, Any]) -> tuple[dict[str, float], float, Any]:
        """Evaluate with what is fed; returns the terms, the total, and what is fetched of the gradient."""


def graph_lbfgs(
    objective: GraphObjective,
    vectors: Vectors,
    start: Floats,
    iterations: int,
    observe: Callable[[Step], None],
    memory: Arrays | None = None,
) -> Outcome:
    """Minimise by L-BFGS on `vectors`, of which the objective's picture is one.

    In float64 the first 20 steps are SciPy's to 1e-3 with VGG-19; in float32, which takes half the memory, they part
    after ten: what rectifiers make of a rounding grows. It is restarted as SciPy's is. `memory` is that of an earlier
    step at `start`. Raises InputError where it is another optimiser's, FloatingPointError as `restart` does.
    """
    vectors.connect(objective)
    vectors.load(np.clip(start, *BOUNDS) if vectors.bounded else start, memory)
    recorder = StepRecorder(observe)
    slope = change = 0.0

    def evaluate(step: float) -> tuple[float, float]:
        nonlocal slope, change
        terms, total, (slope, change) = objective.evaluate(vectors.measured, {vectors.step: step})
        recorder.take(terms, total, gradient=bool(np.isfinite(change)))
        return total, slope

    def attempt(warm: bool) -> str:
        if not warm:
            vectors.order.clear()  # all pairs are dropped
        initial, length = vectors.compute_direction()
        while recorder.last.iteration < iterations:
            if not initial < 0:  # or it is NaN
                return "the direction does not descend"
            try:
                step = search(evaluate, recorder.last.total, initial, 1.0 if vectors.bounded else LONGEST)
            except LineSearchError as error:
                return str(error)
            with signals.deferred():  # or a state would have pairs of another picture
                initial, length = vectors.accept(step * (slope - initial), (step * length) ** 2, change)
                recorder.accept(recorder.last.iteration + 1, vectors.picture, vectors.memory)
        return "the limit of iterations is reached"

    evaluate(0.0)
    vectors.begin()
    try:
        recorder.accept(0, vectors.picture, vectors.memory)
        return restart(recorder, iterations, attempt, warm=bool(vectors.order))
    finally:
        vectors.keep_picture()


class Vectors:
    """Point x, direction d, gradient g and so many curvature pairs (s, y), as variables of an objective's graph.

    A vector is a matrix [blocks, length] here, and the steps s of all pairs are one variable [blocks * pairs, length],
    of a row for each pair's slot; so are the changes y. Where numbers are kept of both, those of steps come first.
    """

    def __init__(self, dtype: npt.DTypeLike, pairs: int, bounded: bool = False) -> None:
        self._dtype, self._pairs, self.bounded = tf.as_dtype(dtype), pairs, bounded
        self._session: tf.Session = None
        #: The slots in use, the oldest pair first.
        self.order: list[int] = []
        self._last: Floats | None = None

    def point(self, shape: Sequence[int]) -> tf.Tensor:
        """The trial point x + t d [height, width, 3], float32, in the current graph; the step size t is fed, or 0.

        It is stored: else TensorFlow might round it otherwise where it is used than where x moves there.
        """
        numbers = math.prod(shape)
        self._first_step = first_step(numbers)
        blocks = max(count for count in range(1, BLOCKS + 1) if numbers % count == 0)
        self._flat = blocks, numbers // blocks
        self._rows = blocks, self._pairs, self._flat[1]
        # Resource variables that are written in parts would be copied at each reading.
        rows = blocks * self._pairs, self._flat[1]
        self._steps, self._changes = (zeros(name, rows, self._dtype, use_resource=False) for name in ("s", "y"))
        self._x, self._direction, self._trial = (zeros(name, shape, self._dtype) for name in ("x", "d", "at"))
        self.step = tf.placeholder_with_default(tf.constant(0, self._dtype), (), name="t")
        trial = self._clip(self._x + self.step * self._direction)
        return tf.cast(self._trial.assign(trial).value(), tf.float32)

    def _clip(self, point: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(point, *BOUNDS) if self.bounded else point

    def connect(self, objective: GraphObjective) -> None:
        """Build the operations on these vectors and the objective's gradient, once."""
        if self._session is not None:
            return
        self._session = objective.session
        with objective.graph.as_default(), tf.variable_scope(None, "lbfgs") as scope:
            self._build(objective.gradient)
            self._session.run(tf.variables_initializer(tf.global_variables(f"{scope.name}/")))

    def _build(self, gradient: tf.Tensor) -> None:
        flat, dtype = self._flat, self._dtype
        latest, here = zeros("latest", flat), zeros("here", flat)
        direction = tf.reshape(self._direction.read_value(), flat)

        def read(gradient: tf.Variable) -> tf.Tensor:
            return tf.cast(gradient.read_value(), dtype)

        # An evaluation: the slope along d, and the squared change of the gradient.
        with tf.control_dependencies([latest.assign(tf.reshape(gradient, flat)).op]):
            new = read(latest)
            change = new - read(here)
            self.measured = _dot(new, direction), _dot(change, change)

        # A row by itself, to load and to save.
        self._slot, self._row_values = tf.placeholder(tf.int32, ()), tf.placeholder(dtype, flat)
        places = tf.range(flat[0]) * self._pairs + self._slot
        kinds = {"step": self._steps, "change": self._changes}
        self._put = {kind: tf.scatter_update(rows, places, self._row_values).op for kind, rows in kinds.items()}
        self._row = {kind: tf.gather(rows, places) for kind, rows in kinds.items()}

        # An accepted step: x and the gradient move, and a pair takes a slot; then the inner products.
        new, s = read(latest), tf.reshape(self._trial - self._x, flat)
        y = new - read(here)
        with tf.control_dependencies([s, y]):
            moved = [self._x.assign(self._trial.read_value()).op, here.assign(latest.read_value()).op]
            stored = [tf.scatter_update(self._steps, places, s).op, tf.scatter_update(self._changes, places, y).op]
        self._moved = moved
        self._turn_here = self._turn(read(here), [])
        self._turn_there = self._turn(new, moved)
        self._store_and_turn = self._turn(new, moved + stored)

    def _turn(self, gradient: tf.Tensor, after: list[tf.Operation]) -> NewDirection:
        """Set a direction after what moves x; the host finds its coefficients within the same call."""
        dtype = self._dtype
        with tf.control_dependencies(after):
            steps, changes = (tf.reshape(tf.identity(rows), self._rows) for rows in (self._steps, self._changes))
            x = tf.reshape(self._x.read_value(), self._flat)
            if self.bounded:
                held = ((x <= BOUNDS[0]) & (gradient > 0)) | ((x >= BOUNDS[1]) & (gradient < 0))
                free = tf.cast(~held, dtype)
                gradient, changes = free * gradient, free[:, None] * changes
            rows = steps, changes, gradient[:, None]
            products = tf.concat([_products(some, changes, gradient) for some in rows], 0)
        coefficients, descent = tf.numpy_function(self._two_loops, [products], (tf.float64, tf.float64))
        of_steps, of_changes = tf.split(tf.ensure_shape(tf.cast(coefficients, dtype), 2 * self._pairs), 2)
        pairs = _combination(steps, of_steps) + _combination(changes, of_changes)
        direction = pairs - tf.cast(descent, dtype) * gradient
        if self.bounded:
            direction = self._clip(x + free * direction) - x
        with tf.control_dependencies([self._direction.assign(tf.reshape(direction, self._x.shape)).op]):
            return _dot(gradient, direction), _dot(direction, direction)

    def load(self, start: Floats, memory: Arrays | None) -> None:
        """Begin at a picture, with an earlier step's memory if there is any. Raises InputError."""
        load(self._session, self._x, start)
        self.order, self._last = [], None
        if not memory:
            return
        check_pairs(memory, start.size)
        saved = by_age(memory)
        kept = saved[-self._pairs :]  # there may be less memory than before
        self.order = kept if kept == saved else list(range(len(kept)))
        for kind, put in self._put.items():
            for slot, number in zip(self.order, kept, strict=True):
                vector = memory[f"{kind}-{number}"].reshape(self._flat)
                self._session.run(put, {self._slot: slot, self._row_values: vector})

    def begin(self) -> None:
        """Take the point evaluated last for x."""
        self._session.run(self._moved)

    def compute_direction(self) -> tuple[float, float]:
        """Set d = -H g, by the inverse Hessian H that the pairs define; returns the slope along it, and its length."""
        return _slope_and_length(self._session.run(self._turn_here))

    def accept(self, curvature: float, step: float, change: float) -> tuple[float, float]:
        """Move x to the point evaluated last, and set d as `compute_direction` does.

        By s^T y, s^T s and y^T y a pair that satisfies the curvature condition replaces the oldest.
        """
        if not satisfies_curvature_condition(curvature, step, change):
            return _slope_and_length(self._session.run(self._turn_there))
        slot = self.order.pop(0) if len(self.order) == self._pairs else len(self.order)
        self.order.append(slot)
        return _slope_and_length(self._session.run(self._store_and_turn, {self._slot: slot}))

    def _two_loops(self, products: Vector) -> tuple[Vector, float]:
        """Nocedal and Wright, algorithm 7.4, on coefficients: of steps and changes, and minus that of the gradient.

        `products` are those of all steps, all changes and the gradient with all changes and the gradient. Without
        pairs the direction has the length of the first step.
        """
        m = self._pairs
        with_steps, with_changes, square = products[:m], products[m:-1], products[-1, -1]
        curvature = with_steps.diagonal()
        order = [slot for slot in self.order if curvature[slot] > 0]
        of_steps, of_changes, shares = np.zeros(m), np.zeros(m), np.zeros(m)
        if not order:
            return np.zeros(2 * m), self._first_step / np.sqrt(square)
        for slot in reversed(order):
            shares[slot] = (with_steps[slot] @ np.append(of_changes, -1)) / curvature[slot]
            of_changes[slot] -= shares[slot]
        descent = curvature[order[-1]] / with_changes[order[-1], order[-1]]
        of_changes *= descent
        for slot in order:
            along = with_changes[slot] @ np.append(of_changes, -descent) + with_steps[:, slot] @ of_steps
            of_steps[slot] = shares[slot] - along / curvature[slot]
        return np.concatenate([of_steps, of_changes]), descent

    def picture(self) -> Floats:
        """The point x [height, width, 3]."""
        if self._last is not None:
            return self._last
        x: Floats = self._session.run(self._x)
        return x

    def keep_picture(self) -> None:
        """Take the point off the graph, so that it outlives that."""
        self._last = self.picture()

    def memory(self) -> Arrays:
        """The pairs, by their slots, and the order of these; empty where there is none."""
        if not self.order:
            return {}
        slots = sorted(self.order)
        order = np.array(self.order, np.uint16)
        places = [(kind, slot) for kind in self._row for slot in slots]
        reads = {name: partial(self._read, *place) for name, place in zip(names(slots), places, strict=True)}
        return LazyArrays(reads | {"order": lambda: order})

    def _read(self, kind: str, slot: int) -> Floats:
        vector: Floats = self._session.run(self._row[kind], {self._slot: slot})
        return vector.ravel()


def _slope_and_length(direction: tuple[np.float64, np.float64]) -> tuple[float, float]:
    slope, square = direction
    return float(slope), float(np.sqrt(square))


def _dot(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """The inner product: of blocks in their own type, summed in float64."""
    return tf.reduce_sum(tf.cast(tf.reduce_sum(one * other, axis=1), tf.float64))


def _products(rows: tf.Tensor, others: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    """The inner products of all rows with all others, and with a vector, summed likewise."""
    parts = [tf.matmul(rows, others, transpose_b=True), tf.linalg.matvec(rows, vector)[:, :, None]]
    return tf.reduce_sum(tf.cast(tf.concat(parts, 2), tf.float64), axis=0)


def _combination(rows: tf.Tensor, coefficients: tf.Tensor) -> tf.Tensor:
    """The sum of the rows, each times its coefficient."""
    return tf.matmul(coefficients[None, None], rows)[:, 0]
