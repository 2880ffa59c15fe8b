"""Gradient descent and Adam, in NumPy, on the picture divided by `pixel_scale`, as networks take normalised pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np

from nst_graph.evaluation import Floats
from nst_graph.optimise.steps import BOUNDS, Arrays, Function, Observer, Outcome, StepRecorder, check_shapes
from nst_graph.settings import Settings

#: What the next step needs, by name.
State = Mapping[str, Floats]
#: Of the rate, below which it is not halved any more.
LEAST_SHARE = 1e-6


def descend(
    objective: Function, start: Floats, settings: Settings, observe: Observer, optimizer_state: Arrays | None = None
) -> Outcome:
    """Take the steps of adam or gradient-descent; `bounded` clips to 0..255 after each.

    With `average` it is a running mean of the steps that is reported, which decays by that and has no bias (Kingma
    and Ba 2015, section 7.2). `optimizer_state` is an earlier step's, to go on from. Raises InputError where it is
    another optimiser's, FloatingPointError where something is not finite.
    """
    advance, state = _methods(np.zeros(start.shape, np.float32))[settings.optimiser]
    if settings.average:
        state = {**state, "last": start, "sum": np.zeros_like(start), "weight": np.array(0.0)}
    if optimizer_state:
        check_shapes({name: array.shape for name, array in state.items()}, optimizer_state)
        state = cast(State, dict(optimizer_state))
    recorder = StepRecorder(observe, objective)
    recorder.evaluate(state.get("last", start))
    if not optimizer_state:
        most: State = {"most": np.array(recorder.total)} if "most" in state else {}
        state = _averaged({**state, **most}, recorder.picture, settings.average)
    _report(recorder, 0, state)
    for iteration in range(1, settings.iterations + 1):
        with np.errstate(over="ignore"):  # what is not finite is told
            state = {**state, **advance(recorder, settings, state)}
        if not all(np.isfinite(array).all() for array in state.values()):
            raise FloatingPointError(f"the optimiser's mean gradients are not finite at iteration {iteration}")
        state = _averaged(state, recorder.picture, settings.average)
        _report(recorder, iteration, state)
    return Outcome(recorder.last, "the limit of iterations is reached")


def _methods(zeros: Floats) -> dict[str, tuple[Callable[[StepRecorder, Settings, State], State], State]]:
    """The step of each optimiser and its state before the first, of `zeros` in the shape of the picture."""
    return {
        "adam": (_adam, {"t": np.array(0.0), "m": zeros, "v": zeros}),
        "gradient-descent": (_descent, {"share": np.array(1.0), "most": np.array(np.inf)}),
    }


def _adam(recorder: StepRecorder, settings: Settings, state: State) -> State:
    """A step of Adam: Kingma and Ba 2015 (arXiv 1412.6980), algorithm 1, with the order of operations of section 2.

    The state has t, m and v. So epsilon is added to sqrt(v) before that is corrected, as in TensorFlow.
    """
    t, beta1, beta2 = float(state["t"]) + 1, np.float32(settings.beta1), np.float32(settings.beta2)
    scale = np.asarray(settings.pixel_scale, np.float32)
    g = recorder.gradient * scale
    m = beta1 * state["m"] + (1 - beta1) * g
    v = beta2 * state["v"] + (1 - beta2) * np.square(g)
    rate = settings.rate * np.sqrt(1 - settings.beta2**t) / (1 - settings.beta1**t)
    step = np.float32(rate) * scale * m / (np.sqrt(v) + np.float32(settings.epsilon))
    recorder.evaluate(_bounded(recorder.picture - step, settings))
    return {"t": np.array(t), "m": m, "v": v}


def _descent(recorder: StepRecorder, settings: Settings, state: State) -> State:
    """A step against the gradient; one to more than the loss at the start is taken anew, at half the rate.

    The state has the share of the rate that is left, and that loss.
    """
    share, most = float(state["share"]), float(state["most"])
    scale = np.asarray(settings.pixel_scale, np.float32)
    picture, step = recorder.picture, np.float32(settings.rate) * scale * (recorder.gradient * scale)
    while True:
        try:
            recorder.evaluate(_bounded(picture - np.float32(share) * step, settings))
            if recorder.total <= most or share < LEAST_SHARE:
                return {"share": np.array(share)}
        except FloatingPointError:
            if share < LEAST_SHARE:
                raise
        share /= 2
        recorder.restarts += 1


def _bounded(picture: Floats, settings: Settings) -> Floats:
    return np.clip(picture, *BOUNDS) if settings.bounded else picture


def _averaged(state: State, picture: Floats, decay: float) -> State:
    """The state with one more picture in the running mean, if one is kept."""
    if "sum" not in state:
        return state
    total = np.float32(decay) * state["sum"] + np.float32(1 - decay) * picture
    return {**state, "last": picture, "sum": total, "weight": np.array(decay * float(state["weight"]) + 1 - decay)}


def _report(recorder: StepRecorder, iteration: int, state: State) -> None:
    picture: Floats = state["sum"] / np.float32(state["weight"]) if "sum" in state else recorder.picture
    recorder.accept(iteration, lambda: picture, lambda: state)
