"""L-BFGS in the graph: its vectors are variables beside the objective, and only scalars come to the host.

Liu and Nocedal 1989, with the line search and the first step of L-BFGS-B. A direction is a combination of the
curvature pairs and the gradient; its coefficients follow from their inner products alone (Chen, Wang and Zhou
2014, "Large-scale L-BFGS using MapReduce"), so that an iteration passes over the pairs only twice. With bounds, the
variables that the gradient holds at theirs take no part, and the direction is projected (Bertsekas 1982, "Projected
Newton methods"; Morales and Nocedal 2011).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from nst_graph import signals
from nst_graph.evaluation import Floats
from nst_graph.model.objective import Objective
from nst_graph.model.tensorflow import load, tf, zeros
from nst_graph.optimise.lbfgs import Vector, by_age, check_pairs, first_step, names, satisfies_curvature_condition
from nst_graph.optimise.line_search import LONGEST, LineSearchError, search
from nst_graph.optimise.steps import BOUNDS, Arrays, LazyArrays, Observer, Outcome, StepRecorder, restart

#: Parts of a vector, at most, whose inner products are summed in its own type; their sums are added in float64. They
#: are as many as divide its numbers.
BLOCKS = 32


def graph_lbfgs(
    objective: Objective,
    vectors: Vectors,
    start: Floats,
    iterations: int,
    observe: Observer,
    optimizer_state: Arrays | None = None,
) -> Outcome:
    """Minimise by L-BFGS on `vectors`, of which the objective's picture is one.

    In float64 the first 20 steps are SciPy's to 1e-3 with VGG-19; in float32, which takes half the memory, they part
    after ten: what rectifiers make of a rounding grows. It is restarted as SciPy's is. `optimizer_state` is an
    earlier step's at `start`. Raises InputError where it is another optimiser's, FloatingPointError as `restart` does.
    """
    vectors.load(objective, np.clip(start, *BOUNDS) if vectors.bounded else start, optimizer_state)
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
        while recorder.last.iteration < iterations:
            initial, length = vectors.compute_direction()
            if not initial < 0:  # or it is NaN
                return "the direction does not descend"
            try:
                step = search(evaluate, recorder.last.total, initial, 1.0 if vectors.bounded else LONGEST)
            except LineSearchError as error:
                return str(error)
            with signals.deferred():  # or a state would have pairs of another picture
                vectors.accept(step * (slope - initial), (step * length) ** 2, change)
                recorder.accept(recorder.last.iteration + 1, vectors.picture, vectors.optimizer_state)
        return "the limit of iterations is reached"

    evaluate(0.0)
    vectors.accept()
    try:
        recorder.accept(0, vectors.picture, vectors.optimizer_state)
        return restart(recorder, iterations, attempt, warm=bool(vectors.order))
    finally:
        vectors.keep_picture()


class Vectors:
    """Point x, direction d, gradient g and so many curvature pairs (s, y), as variables of an objective's graph.

    `point` makes the objective's picture, `load` begins a run. A vector is a matrix [blocks, length] here, and the
    steps s of all pairs are one variable [blocks * pairs, length], of a row for each pair's slot; so are the changes y.
    Where numbers are kept of both, those of steps come first.
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
        self._flat, self._rows = (blocks, numbers // blocks), (blocks, self._pairs, numbers // blocks)
        # Resource variables that are written in parts would be copied at each reading.
        rows = blocks * self._pairs, numbers // blocks
        self._steps, self._changes = (zeros(name, rows, self._dtype, use_resource=False) for name in ("s", "y"))
        self._x, self._direction, self._trial = (zeros(name, shape, self._dtype) for name in ("x", "d", "at"))
        self.step = tf.placeholder_with_default(tf.constant(0, self._dtype), (), name="t")
        trial = self._clip(self._x + self.step * self._direction)
        return tf.cast(self._trial.assign(trial).value(), tf.float32)

    def _clip(self, point: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(point, *BOUNDS) if self.bounded else point

    def load(self, objective: Objective, start: Floats, optimizer_state: Arrays | None) -> None:
        """Begin at a picture, with an earlier step's state if there is any. Raises InputError."""
        if self._session is None:
            self._session = objective.session
            with objective.graph.as_default(), tf.variable_scope(None, "lbfgs") as scope:
                self._build(objective)
                self._session.run(tf.variables_initializer(tf.global_variables(f"{scope.name}/")))
        load(self._session, self._x, start)
        self.order, self._last = [], None
        if not optimizer_state:
            return
        check_pairs(optimizer_state, start.size)
        saved = by_age(optimizer_state)
        kept = saved[-self._pairs :]  # there may be less memory than before
        self.order = kept if kept == saved else list(range(len(kept)))
        for kind, put in self._put.items():
            for slot, number in zip(self.order, kept, strict=True):
                vector = optimizer_state[f"{kind}-{number}"].reshape(self._flat)
                self._session.run(put, {self._slot: slot, self._row_values: vector})

    def _build(self, objective: Objective) -> None:
        """The operations on these vectors and the objective's gradient, each a call of its own."""
        flat, dtype = self._flat, self._dtype
        here = zeros("here", flat)
        keep, latest = self._latest(objective)
        x, direction, trial = (
            tf.reshape(variable.read_value(), flat) for variable in (self._x, self._direction, self._trial)
        )
        g = tf.cast(here.read_value(), dtype)

        # An evaluation: the slope along d, and the squared change of the gradient.
        with tf.control_dependencies([keep]):
            new = tf.cast(latest(), dtype)
        y = new - g
        self.measured = _dot(new, direction), _dot(y, y)

        # An accepted step: x and the gradient move, and its pair takes a slot.
        self._slot, self._row_values = tf.placeholder(tf.int32, ()), tf.placeholder(dtype, flat)
        places = tf.range(flat[0]) * self._pairs + self._slot
        s, y = trial - x, tf.cast(latest(), dtype) - g
        self._store = [tf.scatter_update(self._steps, places, s).op, tf.scatter_update(self._changes, places, y).op]
        with tf.control_dependencies([s, y]):
            self._move = [self._x.assign(self._trial.read_value()).op, here.assign(latest()).op]

        # A row by itself, to load and to save.
        kinds = {"step": self._steps, "change": self._changes}
        self._put = {kind: tf.scatter_update(rows, places, self._row_values).op for kind, rows in kinds.items()}
        self._row = {kind: tf.gather(rows, places) for kind, rows in kinds.items()}

        # A new direction; the host finds its coefficients within the same call.
        steps, changes = (tf.reshape(rows, self._rows) for rows in (self._steps, self._changes))
        if self.bounded:
            held = ((x <= BOUNDS[0]) & (g > 0)) | ((x >= BOUNDS[1]) & (g < 0))
            free = tf.cast(~held, dtype)
            g, changes = free * g, free[:, None] * changes
        products = tf.concat([_products(rows, changes, g) for rows in (steps, changes, g[:, None])], 0)
        coefficients, descent = tf.numpy_function(self._two_loops, [products], (tf.float64, tf.float64))
        of_steps, of_changes = tf.split(tf.ensure_shape(tf.cast(coefficients, dtype), 2 * self._pairs), 2)
        parts = [tf.matmul(of[None, None], rows) for of, rows in ((of_steps, steps), (of_changes, changes))]
        d = parts[0][:, 0] + parts[1][:, 0] - tf.cast(descent, dtype) * g
        if self.bounded:
            d = self._clip(x + free * d) - x
        with tf.control_dependencies([self._direction.assign(tf.reshape(d, self._x.shape)).op]):
            self._turn = _dot(g, d), _dot(d, d)

    def _latest(self, objective: Objective) -> tuple[tf.Operation, Callable[[], tf.Tensor]]:
        """What keeps the gradient of an evaluation, and what reads it then."""
        if objective.keeps_gradient:
            return tf.no_op(), lambda: tf.reshape(objective.gradient, self._flat)
        latest = zeros("latest", self._flat)
        return latest.assign(tf.reshape(objective.gradient, self._flat)).op, latest.read_value

    def compute_direction(self) -> tuple[float, float]:
        """Set d = -H g, by the inverse Hessian H that the pairs define; returns the slope along it, and its length."""
        slope, square = self._session.run(self._turn)
        return float(slope), float(np.sqrt(square))

    def accept(self, curvature: float = 0.0, step: float = 0.0, change: float = 0.0) -> None:
        """Move x to the point evaluated last.

        By s^T y, s^T s and y^T y a pair that satisfies the curvature condition replaces the oldest.
        """
        if satisfies_curvature_condition(curvature, step, change):
            slot = self.order.pop(0) if len(self.order) == self._pairs else len(self.order)
            self.order.append(slot)
            self._session.run((self._move, self._store), {self._slot: slot})
        else:
            self._session.run(self._move)

    def _two_loops(self, products: Vector) -> tuple[Vector, float]:
        """Nocedal and Wright, algorithm 7.4, on coefficients: of steps and changes, and minus that of the gradient.

        `products` are those of all steps, all changes and the gradient with all changes and the gradient. Without
        pairs the direction has the length of the first step.
        """
        m = self._pairs
        with_steps, with_changes, square = products[:m], products[m:-1], products[-1, -1]
        curvature = with_steps.diagonal()
        order = [slot for slot in self.order if curvature[slot] > 0]
        of_steps, of_changes, alpha = np.zeros(m), np.zeros(m), np.zeros(m)
        if not order:
            return np.zeros(2 * m), self._first_step / (math.sqrt(square) or 1.0)
        for slot in reversed(order):
            alpha[slot] = (with_steps[slot] @ np.append(of_changes, -1)) / curvature[slot]
            of_changes[slot] -= alpha[slot]
        gamma = curvature[order[-1]] / with_changes[order[-1], order[-1]]
        of_changes *= gamma
        for slot in order:
            along = with_changes[slot] @ np.append(of_changes, -gamma) + with_steps[:, slot] @ of_steps
            of_steps[slot] = alpha[slot] - along / curvature[slot]
        return np.concatenate([of_steps, of_changes]), gamma

    def picture(self) -> Floats:
        """The point x [height, width, 3]."""
        if self._last is not None:
            return self._last
        x: Floats = self._session.run(self._x)
        return x

    def keep_picture(self) -> None:
        """Take the point off the graph, so that it outlives that."""
        self._last = self.picture()

    def optimizer_state(self) -> Arrays:
        """The pairs, by their slots, and the order of these; empty where there is none."""
        if not self.order:
            return {}

        def read(kind: str, slot: int) -> Floats:
            vector: Floats = self._session.run(self._row[kind], {self._slot: slot})
            return vector.ravel()

        slots, order = sorted(self.order), np.array(self.order, np.uint16)
        reads = [partial(read, kind, slot) for kind in self._row for slot in slots]
        return LazyArrays(dict(zip(names(slots), reads, strict=True)) | {"order": lambda: order})


def _dot(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """The inner product: of blocks in their own type, summed in float64."""
    return tf.reduce_sum(tf.cast(tf.reduce_sum(one * other, axis=1), tf.float64))


def _products(rows: tf.Tensor, others: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    """The inner products of all rows with all others and a vector, summed likewise."""
    parts = [tf.matmul(rows, others, transpose_b=True), tf.linalg.matvec(rows, vector)[:, :, None]]
    return tf.reduce_sum(tf.cast(tf.concat(parts, 2), tf.float64), axis=0)
