"""L-BFGS minimises, counts, restarts and gives up only when it must; Adam and gradient descent by their formulas."""

import itertools
import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
from conftest import FIRST_LAYERS, loss_rows, random_picture, run_here

import nst_graph
from nst_graph import optimise
from nst_graph.errors import InputError
from nst_graph.evaluation import Evaluation
from nst_graph.model.objective import Objective
from nst_graph.model.tensorflow import tf
from nst_graph.optimise import Vectors
from nst_graph.optimise.lbfgs import History, by_age
from nst_graph.runs import state
from nst_graph.settings import Settings

SHAPE = (4, 5, 3)
START = np.random.default_rng(0).normal(0, 5, SHAPE).astype(np.float32)
CURVATURE = np.geomspace(1, 1e3, START.size).reshape(SHAPE)


def quadratic(picture):
    return Evaluation({"content": 0.0}, float((CURVATURE * picture**2).sum() / 2), CURVATURE * picture)


def paint(objective, iterations=300):
    steps = []
    outcome = optimise.lbfgs(objective, START, iterations, steps.append)
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
    assert outcome.step.iteration == 20 and "limit of iterations" in outcome.reason
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
    assert 1 <= outcome.step.restarts <= len(attempts) - 1  # the last may have gained nothing
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


def unfinite_at(evaluations, where):
    """The quadratic, but that at those evaluations the loss or the gradient is not finite."""
    calls = []

    def objective(picture):
        calls.append(picture)
        evaluation = quadratic(picture)
        if len(calls) not in evaluations:
            return evaluation
        if where == "loss":
            return replace(evaluation, total=float("inf"))
        return replace(evaluation, gradient=np.full_like(evaluation.gradient, np.nan))

    return objective


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_lbfgs_steps_back_from_what_is_not_finite(where):
    outcome, steps = paint(unfinite_at({9, 30, 31 + 12}, where))
    assert outcome.step.restarts >= 3
    assert outcome.step.total < 1e-6 * steps[0].total
    assert all(np.isfinite(step.total) and np.isfinite(step.picture).all() for step in steps)


@pytest.mark.parametrize("lbfgs", ["scipy", "graph"])
def test_a_run_steps_back_from_what_is_not_finite(pair, network_file, tmp_path, monkeypatch, lbfgs):
    """A loss that is infinite at times costs restarts; in the run's files there is nothing of it."""
    evaluate, calls = Objective.evaluate, []

    def fickle(self, fetches, feed):
        terms, total, fetched = evaluate(self, fetches, feed)
        calls.append(total)
        return terms, total if len(calls) not in (9, 21) else float("inf"), fetched

    monkeypatch.setattr(Objective, "evaluate", fickle)
    words = [*pair, "--weights", network_file, "--lbfgs", lbfgs]
    done = run_here("paint.py", *words, "--iterations", 30, "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    totals = [float(row["total"]) for row in loss_rows(tmp_path)]
    assert len(totals) == 31 and totals == sorted(totals, reverse=True) and np.isfinite(totals).all()
    assert json.loads((tmp_path / "run.json").read_text())["outcome"]["restarts"] >= 1


@pytest.mark.parametrize("optimiser", ["lbfgs", "adam", "gradient-descent"])
@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_the_last_step_is_finite_where_none_follows(optimiser, where):
    steps, settings = [], Settings(optimiser=optimiser, rate=1e-4, iterations=50)
    with pytest.raises(FloatingPointError, match="inf|not finite"):
        optimise.minimise(unfinite_at(range(9, 1000), where), START, settings, steps.append)
    assert 3 < len(steps) <= 8
    for step in steps:
        assert np.isfinite(step.total) and np.isfinite(step.picture).all()
        assert all(np.isfinite(array).all() for array in step.optimizer_state().values())


def test_gradient_descent_that_diverges_halves_its_rate():
    """No step ends above the start; one that is gone on with takes the same steps; a small rate is not touched."""
    settings = Settings(optimiser="gradient-descent", rate=10.0, iterations=40)
    steps, rest = [], []
    optimise.minimise(quadratic, START, settings, steps.append)
    assert max(step.total for step in steps) == steps[0].total
    assert steps[-1].restarts > 3 and steps[-1].total < 0.1 * steps[0].total
    optimise.minimise(quadratic, steps[10].picture, settings, rest.append, optimizer_state=steps[10].optimizer_state())
    assert [step.total for step in rest[:31]] == [step.total for step in steps[10:]]
    small = replace(settings, rate=1e-4)
    optimise.minimise(quadratic, START, small, rest.append)
    picture = START
    for _ in range(40):
        picture = picture - np.float32(1e-4) * quadratic(picture).gradient
    np.testing.assert_allclose(rest[-1].picture, picture, rtol=1e-5)
    assert rest[-1].restarts == 0


def test_adams_memory_is_that_of_its_step():
    """Not that of the step after it, which an interruption may fall into."""
    settings, seen = Settings(optimiser="adam", rate=1e-4, iterations=3), []
    optimise.minimise(quadratic, START, settings, seen.append)
    gradients = [quadratic(step.picture).gradient for step in seen]
    np.testing.assert_allclose(seen[1].optimizer_state()["m"], 0.1 * gradients[0], rtol=1e-5)
    np.testing.assert_allclose(
        seen[2].optimizer_state()["m"], 0.09 * gradients[0] + 0.1 * gradients[1], rtol=1e-5, atol=1e-6
    )


def test_mean_squares_that_overflow_end_adam():
    """Their roots are infinite: the picture stands still, but they must not be saved."""
    steps = []
    with pytest.raises(FloatingPointError, match="mean gradients"):
        optimise.minimise(
            lambda picture: Evaluation({}, 1.0, np.full(SHAPE, 1e25, np.float32)),
            START,
            Settings(optimiser="adam", iterations=5),
            steps.append,
        )
    assert len(steps) == 1


@pytest.mark.parametrize("optimiser", ["gradient-descent", "adam"])
@pytest.mark.parametrize("memory", [{"step-0": np.ones(3)}, {"other": np.ones(4)}, {"m": np.ones(SHAPE)}])
def test_a_memory_of_another_kind_is_refused(optimiser, memory):
    with pytest.raises(InputError, match="memory is not that of this optimiser"):
        optimise.minimise(quadratic, START, Settings(optimiser=optimiser), lambda step: None, optimizer_state=memory)


def test_a_memory_keeps_the_latest_pairs():
    kept = History(3)

    def firsts():
        return [array[0] for name, array in kept.arrays().items() if name.startswith("step-")]

    seen = []
    for point in (0.0, 10.0, 30.0, 60.0, 100.0):
        kept.append(np.full(2, point), np.full(2, point))
        seen.append(firsts())
    assert seen == [[], [10], [10, 20], [10, 20, 30], [20, 30, 40]]


def test_a_memory_of_no_curvature_is_empty():
    kept = History(3)
    for point, gradient in ((0, 0), (1, 0), (2, -1)):
        kept.append(np.full(4, point), np.full(4, gradient))
    assert kept.arrays() == {}


def test_adam_takes_tensorflows_steps():
    """Thirty of tf.compat.v1.train's, on pixels that are divided as for a network of normalised ones."""
    scale, weights = np.array([58.0, 57.0, 56.0], np.float32), CURVATURE.astype(np.float32)
    settings = Settings(
        optimiser="adam", rate=0.02, beta1=0.99, epsilon=0.1, iterations=30, pixel_scale=tuple(scale.tolist())
    )
    ours = optimise.minimise(lambda x: Evaluation({}, 1.0, weights * x), START, settings, lambda step: None).step
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tf.get_variable("x", initializer=START / scale)
        loss = tf.reduce_sum(weights * tf.square(variable * scale)) / 2
        step = tf.train.AdamOptimizer(0.02, 0.99, 0.999, 0.1).minimize(loss)
        session.run(tf.global_variables_initializer())
        for _ in range(30):
            session.run(step)
        np.testing.assert_allclose(ours.picture, session.run(variable) * scale, rtol=1e-4, atol=1e-4)


def test_adams_second_decay():
    settings, seen = Settings(optimiser="adam", beta2=0.9, rate=1e-4, iterations=2), []
    optimise.minimise(quadratic, START, settings, seen.append)
    np.testing.assert_allclose(seen[1].optimizer_state()["v"], 0.1 * quadratic(START).gradient ** 2, rtol=1e-5)


def test_the_average_is_that_of_all_steps_so_far():
    settings, plain, shown = Settings(optimiser="adam", rate=1.0, iterations=6), [], []
    optimise.minimise(quadratic, START, settings, plain.append)
    optimise.minimise(quadratic, START, replace(settings, average=0.7), shown.append)
    shares = 0.7 ** np.arange(7.0)[::-1]
    expected = np.average([step.picture for step in plain], axis=0, weights=shares)
    np.testing.assert_allclose(shown[-1].picture, expected, rtol=1e-5, atol=1e-5)
    assert shown[-1].total == plain[-1].total


@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize("optimiser", ["adam", "gradient-descent"])
def test_descent_goes_on_as_if_it_had_not_stopped(optimiser, average):
    settings = Settings(optimiser=optimiser, rate=1e-4, average=average, iterations=10)
    whole = optimise.minimise(quadratic, START, settings, lambda step: None).step
    half = replace(settings, iterations=5)
    first = optimise.minimise(quadratic, START, half, lambda step: None).step
    second = optimise.minimise(
        quadratic, first.picture, half, lambda step: None, optimizer_state=first.optimizer_state()
    ).step
    np.testing.assert_array_equal(second.picture, whole.picture)


@pytest.mark.parametrize(
    ("settings", "last"),
    [
        ({"lbfgs": "scipy"}, 0),
        ({"lbfgs": "scipy"}, 7),
        ({"lbfgs": "graph"}, 0),
        ({"lbfgs": "graph", "scales": (32,), "scale_iterations": (20,)}, 7),
        ({"optimiser": "adam"}, 7),
        ({"optimiser": "gradient-descent", "rate": 1e-6}, 0),
    ],
)
def test_an_observer_stops_it(pair, network_file, tmp_path, settings, last):
    """As in SciPy by StopIteration: the painting so far comes back, as the observer saw it, and its run is finished."""
    seen = []

    def stop(step):
        seen.append(step.picture.copy())
        if step.iteration == last:
            raise StopIteration

    how = {"weights_file": network_file, "output": tmp_path, "observers": [stop]}
    painting = nst_graph.paint(*pair, Settings(iterations=30, **FIRST_LAYERS, **settings), **how)
    assert len(seen) == last + 1 and painting.outcome.step.iteration == last
    np.testing.assert_array_equal(painting.picture, seen[-1].astype(np.float32))
    outcome = json.loads((tmp_path / "run.json").read_text())["outcome"]
    assert outcome["state"] == "finished" and outcome["reason"] == "an observer stopped it"
    assert outcome["restarts"] == 0


@pytest.mark.parametrize("lbfgs", ["scipy", "graph"])
def test_an_interruption_amid_a_step_leaves_a_whole_state(pair, network_file, tmp_path, monkeypatch, lbfgs):
    """Ctrl-C comes between the two changes that make a step; the state has picture and pairs of the same step."""
    module, name = {"scipy": (History, "append"), "graph": (Vectors, "accept")}[lbfgs]
    change, calls = getattr(module, name), []

    def interrupted(self, *arguments):
        result = change(self, *arguments)
        calls.append(0)
        if len(calls) == 6:
            signal.raise_signal(signal.SIGINT)
        return result

    settings = Settings(iterations=30, lbfgs=lbfgs, init="content", **FIRST_LAYERS)
    steps = []
    monkeypatch.setattr(module, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        nst_graph.paint(
            *pair, settings, weights_file=network_file, output=tmp_path,
            observers=[lambda step: steps.append(step.picture.astype(float).ravel())],
        )  # fmt: skip
    monkeypatch.setattr(module, name, change)
    step = state.read(tmp_path / "state.npz")
    assert step.iteration == len(steps) - 1
    np.testing.assert_allclose(step.picture.ravel(), steps[-1], atol=1e-3)
    memory = step.optimizer_state()
    newest = by_age(memory)[-1]
    np.testing.assert_allclose(memory[f"step-{newest}"], steps[-1] - steps[-2], atol=1e-3)
    assert nst_graph.paint(*pair, settings, weights_file=network_file, output=tmp_path, resume=True)


@pytest.mark.parametrize("settings", [{"lbfgs": "scipy"}, {"lbfgs": "graph"}, {"optimiser": "adam"}])
def test_an_interruption_amid_an_evaluation_is_heard_after_it(
    pictures_dir, network_file, tmp_path, monkeypatch, settings
):
    """In it TensorFlow swallows one in a hundred: its FlattenDictItems calls Tensor.__hash__, and clears errors."""
    run, evaluate, evaluating, ended = tf.Session.run, Objective.evaluate, [], []

    def interrupted(self, *arguments):
        if evaluating:
            signal.raise_signal(signal.SIGTERM)
        result = run(self, *arguments)
        ended.extend(evaluating)
        return result

    def noted(self, *arguments):
        evaluating.append("evaluation")
        return evaluate(self, *arguments)

    monkeypatch.setattr(tf.Session, "run", interrupted)
    monkeypatch.setattr(Objective, "evaluate", noted)
    words = [pictures_dir / "photo.png", pictures_dir / "painting.png", "--weights", network_file]
    words += [word for name, value in settings.items() for word in (f"--{name}", value)]
    assert run_here("paint.py", *words, "--output", tmp_path / "run").returncode == 130
    assert ended[0] == "evaluation"


@pytest.mark.parametrize("optimiser", ["lbfgs", "adam", "gradient-descent"])
def test_bounded_pixels_stay_in_range(optimiser):
    target = np.linspace(-100, 400, 60).reshape(4, 5, 3)

    def pull(picture):
        difference = picture - target
        return Evaluation({}, float((difference**2).sum() / 2), difference)

    start = np.full(target.shape, 128, np.float32)
    seen = []
    settings = Settings(optimiser=optimiser, rate=0.5 if optimiser != "adam" else 5, iterations=200, bounded=True)
    outcome = optimise.minimise(pull, start, settings, lambda step: seen.append(step.picture))
    assert all(picture.min() >= 0 and picture.max() <= 255 for picture in seen)
    np.testing.assert_allclose(outcome.step.picture, np.clip(target, 0, 255), atol=1)


def test_adam_by_its_formula():
    """Kingma and Ba 2015, algorithm 1 as TensorFlow 1 has it: epsilon inside the corrected rate."""
    start = random_picture(3, 4, 1)

    def objective(picture):
        gradient = np.sin(picture / 30).astype(np.float32)
        return Evaluation({}, float(-30 * np.cos(picture / 30).sum()), gradient)

    seen = []
    settings = Settings(optimiser="adam", rate=2.0, beta1=0.8, epsilon=0.01, iterations=15)
    optimise.minimise(objective, start, settings, lambda step: seen.append(step.picture))
    x, mean, square = start.astype(np.float64), 0.0, 0.0
    for t in range(1, 16):
        gradient = np.sin(x / 30)
        mean, square = 0.8 * mean + 0.2 * gradient, 0.999 * square + 0.001 * gradient**2
        x = x - 2.0 * np.sqrt(1 - 0.999**t) / (1 - 0.8**t) * mean / (np.sqrt(square) + 0.01)
        np.testing.assert_allclose(seen[t], x, atol=1e-3)


def test_gradient_descent_by_its_formula():
    start = random_picture(3, 4, 1)
    seen = []
    settings = Settings(optimiser="gradient-descent", rate=0.25, iterations=10)
    optimise.minimise(lambda p: Evaluation({}, float((p**2).sum() / 2), p), start, settings, seen.append)
    assert [step.evaluations for step in seen] == list(range(1, 12))
    np.testing.assert_allclose(seen[-1].picture, start * 0.75**10, rtol=1e-5)


@pytest.mark.parametrize("optimiser", ["adam", "gradient-descent"])
def test_scaled_pixels_are_the_optimisers_variables(optimiser):
    """As if a program took steps in pixels that it divided itself."""
    start, scale = random_picture(3, 4, 1), np.float32([58.395, 57.12, 255])
    same = {"optimiser": optimiser, "rate": 0.01, "epsilon": 0.1, "iterations": 15}

    def objective(picture):
        return Evaluation({}, float(-30 * np.cos(picture / 30).sum()), np.sin(picture / 30).astype(np.float32))

    def divided(variables):
        found = objective(variables * scale)
        return Evaluation({}, found.total, found.gradient * scale)

    scaled = optimise.minimise(objective, start, Settings(pixel_scale=tuple(map(float, scale)), **same), lambda _: None)
    plain = optimise.minimise(divided, start / scale, Settings(**same), lambda _: None)
    np.testing.assert_allclose(scaled.step.picture, plain.step.picture * scale, rtol=1e-4)
    assert np.abs(scaled.step.picture - start).max() > 1
