"""Gradient descent and Adam: the rules of tf.compat.v1.train, which take steps of a given size."""

from collections.abc import Callable

import numpy as np

from nst_graph.evaluation import Floats
from nst_graph.graph.tensorflow import tf
from nst_graph.optimise.history import check_shapes
from nst_graph.optimise.steps import BOUNDS, Arrays, Function, HostIterate, Outcome, Step


def descend(
    objective: Function,
    start: Floats,
    iterations: int,
    observe: Callable[[Step], None],
    rule: tf.train.Optimizer,
    scale: Floats,
    bounded: bool = False,
    memory: Arrays | None = None,
) -> Outcome:
    """Take so many steps of a tf.compat.v1.train optimiser; bounded clips to 0..255 after each.

    Its variable is the picture divided by `scale` [3], as for networks that take normalised pixels.
    `memory` holds the optimiser's moments at an earlier step, to go on from. Raises InputError
    where they are another's, FloatingPointError where something is not finite.
    """
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        variable = tf.get_variable("picture", initializer=start / scale)
        gradient = tf.placeholder(tf.float32, start.shape)
        step = rule.apply_gradients([(gradient * scale, variable)])
        with tf.control_dependencies([step]):
            low, high = (bound / scale for bound in BOUNDS)
            bounds = variable.assign(tf.clip_by_value(variable, low, high)) if bounded else tf.no_op()
        moments = {moment.op.name: moment for moment in tf.global_variables() if moment is not variable}
        with tf.control_dependencies([bounds]):
            moved = variable.read_value() * scale, {name: moment.read_value() for name, moment in moments.items()}
        session.run(tf.global_variables_initializer())
        if memory:
            check_shapes({name: tuple(moment.shape) for name, moment in moments.items()}, memory)
            for name, moment in moments.items():
                moment.load(memory[name], session)
        iterate = HostIterate(objective, observe)
        iterate.evaluate(start)
        first = session.run(moments)
        iterate.report(0, lambda: first)
        for iteration in range(1, iterations + 1):
            at, found = session.run(moved, {gradient: iterate.gradient})
            iterate.evaluate(at)
            if not all(np.isfinite(array).all() for array in found.values()):
                raise FloatingPointError(f"the optimiser's mean gradients are not finite at iteration {iteration}")
            iterate.report(iteration, lambda found=found: found)  # type: ignore[misc]
    return Outcome(iterate.last, "the limit of iterations is reached")
