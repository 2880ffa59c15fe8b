#!/usr/bin/env python3
"""What L-BFGS itself costs, SciPy's and the graph's in turn, on a function that costs next to nothing.

    python benchmarks/lbfgs.py --sizes 512 1024

The function is a quadratic of as many variables as a 4:3 picture of that size has numbers. The time of its
evaluations is taken off. Beside setulb, SciPy's routine, is what this program and SciPy do around it. The table
goes into --docs (docs/).
"""

import argparse
import statistics
import sys
import time
import timeit
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
from scipy.optimize import _lbfgsb_py

from nst_graph.evaluation import Evaluation
from nst_graph.model.tensorflow import tf
from nst_graph.optimise import PAIRS, Vectors, graph_lbfgs, lbfgs


class Quadratic:
    """The sum of w x^2 / 2, on a line or fed, with w from 1 to 1000."""

    keeps_gradient = False

    def __init__(self, shape, vectors=np.float64):
        weights = 10 ** np.random.default_rng(0).uniform(0, 3, shape)
        with tf.Graph().as_default() as self.graph:
            self.vectors = Vectors(vectors, PAIRS)
            self.picture = self.vectors.point(shape)
            given = tf.get_variable("w", initializer=weights.astype(np.float32))
            self.gradient = given * self.picture
            self._total = tf.reduce_sum(self.gradient * self.picture) / 2
            self.session = tf.Session(graph=self.graph)
            self.session.run(tf.global_variables_initializer())
        self.seconds = 0.0

    def evaluate(self, fetches, feed):
        total, fetched = self.session.run((self._total, fetches), feed)
        return {"total": float(total)}, float(total), fetched

    def __call__(self, picture):
        began = time.perf_counter()
        terms, total, gradient = self.evaluate(self.gradient, {self.picture: picture.astype(np.float32, copy=False)})
        self.seconds += time.perf_counter() - began
        return Evaluation(terms, total, gradient)


class Timed:
    """A function whose calls are timed."""

    def __init__(self, call):
        self._call, self.seconds = call, 0.0

    def __call__(self, *words):
        began = time.perf_counter()
        try:
            return self._call(*words)
        finally:
            self.seconds += time.perf_counter() - began


def measure(size, iterations, repeats):
    """Milliseconds an evaluation: SciPy's, beside setulb, the graph's in float64 and float32; outside session calls."""
    shape = (size * 3 // 4, size, 3)
    start = np.random.default_rng(1).normal(0, 20, shape).astype(np.float32)
    rows = []
    for _ in range(repeats):
        objective, setulb = Quadratic(shape), Timed(_lbfgsb_py._lbfgsb.setulb)
        began = time.perf_counter()
        with mock.patch.object(_lbfgsb_py._lbfgsb, "setulb", setulb):
            end = lbfgs(objective, start, iterations, lambda step: None).step
        scipys = (time.perf_counter() - began - objective.seconds) / end.evaluations
        beside = scipys - setulb.seconds / end.evaluations
        double, outside = graphs(Quadratic(shape), start, iterations)
        single, _ = graphs(Quadratic(shape, np.float32), start, iterations)
        rows.append((scipys, beside, double, single, outside))
    return [1e3 * statistics.median(column) for column in zip(*rows, strict=True)]


def graphs(objective, start, iterations):
    """Seconds an evaluation of the graph's L-BFGS alone, and an iteration outside its session calls."""
    evaluate = partial(objective.evaluate, (), {objective.vectors.step: 0.0})
    alone = timeit.repeat(evaluate, number=1, repeat=20)
    run = Timed(objective.session.run)
    objective.session = SimpleNamespace(run=run)
    begun = []

    def observe(step):
        if step.iteration <= 1:  # the graph is built before
            begun[:] = time.perf_counter(), run.seconds, step.evaluations

    end = graph_lbfgs(objective, objective.vectors, start, iterations, observe).step
    seconds, inside = time.perf_counter() - begun[0], run.seconds - begun[1]
    each = seconds / (end.evaluations - begun[2]) - statistics.median(alone)
    return each, (seconds - inside) / (end.iteration - 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--docs", type=Path, default=Path(__file__).resolve().parent.parent / "docs")
    given = parser.parse_args()
    given.docs.mkdir(parents=True, exist_ok=True)  # now, not once all is measured
    lines = [
        f"`python benchmarks/lbfgs.py {' '.join(sys.argv[1:])}`".replace(" `", "`"),
        "",
        "Milliseconds an evaluation, medians; outside session calls, of an iteration, where two loops are within one.",
        "",
        "| pixels | SciPy's L-BFGS | beside setulb | the graph's | ratio | in float32 | ratio | outside calls |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for size in given.sizes:
        scipys, beside, *ours, outside = measure(size, given.iterations, given.repeats)
        double, single = (f"{each:.1f} | {each / scipys:.2f}" for each in ours)
        row = f"| {size} x {size * 3 // 4} | {scipys:.1f} | {beside:.1f} | {double} | {single} | {outside:.2f} |"
        lines.append(row)
        print(row, flush=True)
    (given.docs / "benchmark-lbfgs.md").write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
