"""L-BFGS: it minimises, counts, restarts, and gives up only when it must."""

import itertools

import numpy as np
import pytest
import scipy.optimize

from nst_graph import optimisers
from nst_graph.objective import Evaluation

SHAPE = (4, 5, 3)
START = np.random.default_rng(0).normal(0, 5, SHAPE).astype(np.float32)
CURVATURE = np.geomspace(1, 1e3, START.size).reshape(SHAPE)


def quadratic(picture):
    return Evaluation({"content": 0.0}, float((CURVATURE * picture**2).sum() / 2), CURVATURE * picture)


def paint(objective, iterations=300):
    steps = []
    outcome = optimisers.lbfgs(objective, START, iterations, steps.append)
    assert outcome.step is steps[-1]
    assert [step.iteration for step in steps] == list(range(len(steps)))
    return outcome, steps


def test_it_minimises():
    outcome, steps = paint(quadratic)
    assert outcome.step.total < 1e-12 * steps[0].total
    np.testing.assert_allclose(outcome.step.picture, 0, atol=1e-5)
    totals = [step.total for step in steps]
    assert totals == sorted(totals, reverse=True)


def test_each_evaluation_is_counted_once():
    seen = []

    def counted(picture):
        seen.append(picture.copy())
        return quadratic(picture)

    outcome, steps = paint(counted, 20)
    assert outcome.step.evaluations == len(seen)
    assert all((a != b).any() for a, b in itertools.pairwise(seen))  # nothing is evaluated twice in a row
    assert outcome.step.iteration == 20 and "limit of 20" in outcome.reason
    np.testing.assert_array_equal(steps[0].picture, START)
    for step in steps:
        assert step.total == quadratic(step.picture).total  # what is reported belongs to the picture


def test_no_iterations():
    outcome, steps = paint(quadratic, 0)
    assert len(steps) == 1 and outcome.step.evaluations == 1


def test_a_line_search_that_gives_up_is_restarted(monkeypatch):
    """In SciPy's first attempt the gradient points uphill from the 15th evaluation on."""
    minimize, attempts, calls = scipy.optimize.minimize, [], []

    def counting(*arguments, **options):
        attempts.append(minimize(*arguments, **options))
        return attempts[-1]

    def fickle(picture):
        calls.append(picture)
        evaluation = quadratic(picture)
        sign = -1 if not attempts and len(calls) > 15 else 1
        return Evaluation(evaluation.terms, evaluation.total, sign * evaluation.gradient)

    monkeypatch.setattr(scipy.optimize, "minimize", counting)
    outcome, steps = paint(fickle)
    assert "ABNORMAL" in attempts[0].message and attempts[0].nit < 20
    assert outcome.restarts == len(attempts) - 1 >= 1
    assert outcome.step.total < 1e-6 * steps[0].total


def test_it_says_when_a_restart_gains_nothing():
    def rough(picture):  # as coarse as single precision near the end
        evaluation = quadratic(picture)
        return Evaluation(evaluation.terms, round(evaluation.total, -2), evaluation.gradient)

    outcome, _ = paint(rough)
    assert outcome.step.iteration < 300
    assert "no further descent" in outcome.reason


def test_a_loss_that_is_no_number_is_told():
    with pytest.raises(FloatingPointError, match="nan"):
        paint(lambda picture: Evaluation({}, float("nan"), picture))
