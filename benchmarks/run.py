#!/usr/bin/env python3
"""Measure this program side by side with others, in one process run, and print ratios.

    python benchmarks/run.py evaluations CONTENT STYLE     evaluations a second, in each type
    python benchmarks/run.py time CONTENT STYLE            time to the lowest loss of Adam's steps
    python benchmarks/run.py pictures CONTENT STYLE        ours and Adam's picture at equal time
    python benchmarks/run.py precision CONTENT STYLE       the loss in each precision, and with bounds
    python benchmarks/run.py corrections CONTENT STYLE     the loss with more and fewer corrections of L-BFGS
    python benchmarks/run.py memory CONTENT STYLE          peak memory and time a pixel, tiled and not
    python benchmarks/run.py costs CONTENT STYLE           start-up, weights, optimiser, odd sizes, threads
    python benchmarks/run.py processors CONTENT STYLE      evaluations with oneDNN and without, by instruction set
    python benchmarks/run.py painting CONTENT STYLE        an evaluation alone, and as part of a painting

Each writes a table and a plot into --docs (docs/). PyTorch is an extra: pip install '.[benchmarks,figures]'.
"""

import argparse
import contextlib
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import scipy.io

from nst_graph import images, weights
from nst_graph.model.objective import Objective, Style
from nst_graph.model.strips import Cut
from nst_graph.model.tensorflow import tf
from nst_graph.model.vgg import fastest_precision
from nst_graph.optimise import PAIRS, Vectors, minimise
from nst_graph.painting import paint
from nst_graph.recipes import fast
from nst_graph.settings import Settings

#: The side of the matrices that are multiplied.
SIDE = 2048


def load(given, size):
    """The network, and photograph and painting at a size."""
    photograph = images.fit(images.read(given.content), size)
    if max(photograph.shape[:2]) < size:
        scale = size / max(photograph.shape[:2])
        photograph = images.resize(photograph, *(round(side * scale) for side in photograph.shape[:2]))
    painting = images.resize(images.read(given.style), *photograph.shape[:2])
    network = weights.read(weights.find("VGG-19", print)).upto(Settings().layers)
    return network, photograph, painting


def matrix_product(dtype):
    """A callable that multiplies two square matrices."""
    with tf.Graph().as_default() as within:
        matrix = tf.Variable(tf.cast(tf.random.normal((SIDE, SIDE)), dtype))
        product = tf.matmul(matrix, matrix).op
        session = tf.Session(graph=within)
        session.run(tf.global_variables_initializer())
    return lambda: session.run(product)


def evaluations(given):
    """Evaluations of each kind in turn, so that a machine that slows down slows all of them."""
    from torch_painter import TorchObjective

    network, photograph, painting = load(given, given.size)
    settings, styles = Settings(convolutions="direct"), [Style(painting)]
    start = images.start(photograph, network.mean, 1.0, 0)
    ours = Objective(network, photograph, styles, settings)
    fewer = Objective(network, photograph, styles, replace(settings, convolutions="winograd"))
    narrow = Objective(network, photograph, styles, settings, compute=tf.bfloat16)
    theirs = TorchObjective(network, photograph, painting, settings)
    tensor = theirs.tensor(start).requires_grad_()

    def torch_side():
        tensor.grad = None
        theirs(tensor).backward()

    sides = {"float32, direct": lambda: ours(start), "float32, Winograd": lambda: fewer(start)}
    sides |= {"bfloat16": lambda: narrow(start), "PyTorch float32": torch_side}
    sides |= {f"matrix product {dtype.name}": matrix_product(dtype) for dtype in (tf.float32, tf.bfloat16)}
    seconds = {name: [] for name in sides}
    for turn in range(given.repeats + 1):
        for name, side in sides.items():
            began = time.monotonic()
            side()
            if turn:  # the first is a warm-up
                seconds[name].append(time.monotonic() - began)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    operations = 1.44e6 * photograph.shape[0] * photograph.shape[1]
    lines = [f"Medians of {given.repeats} at {photograph.shape[1]} x {photograph.shape[0]}:", ""]
    lines += ["| side | seconds | against our float32 | GFLOP/s |", "|---|---|---|---|"]
    for name, value in median.items():
        work = 2 * SIDE**3 if "product" in name else operations
        ratio = "" if "product" in name else f"{median['float32, direct'] / value:.2f}"
        lines.append(f"| {name} | {value:.3f} | {ratio} | {work / value / 1e9:.0f} |")
    return lines, None


class ReachedError(Exception):
    """The goal is reached."""


def time_to_loss(given):
    """Adam first, whose lowest loss is the goal; then each optimiser until it is there."""
    network, photograph, painting = load(given, given.size)
    plain = Settings(size=given.size, beta=given.beta)
    adam = replace(plain, optimiser="adam", rate=10.0, iterations=given.steps)
    traces, goal = {}, None

    def ours(name, settings):
        began, trace = time.monotonic(), []

        def observe(step):
            if step.picture.shape == photograph.shape:  # coarser scales have other losses
                trace.append((time.monotonic() - began, step.total))
                if goal is not None and step.total <= goal:
                    raise ReachedError

        traces[name] = trace
        with contextlib.suppress(ReachedError):
            paint(given.content, given.style, settings, observers=[observe])
        print(f"{name}: {trace[-1][0]:.1f} s, loss {trace[-1][1]:.6g}", flush=True)

    ours("Adam, rate 10", adam)
    goal = min(loss for _, loss in traces["Adam, rate 10"])  # it wavers; at its end it may be above
    ours("ours, --fast", fast(plain, iterations=given.steps))
    if fastest_precision("auto") == "bfloat16":
        ours("ours, --precision bfloat16", replace(plain, precision="bfloat16"))
    ours("ours, the paper's settings", plain)
    ours("ours, --convolutions direct", replace(plain, convolutions="direct"))
    if not given.no_torch:
        import torch_painter

        began, trace = time.monotonic(), []

        def observe(now, loss):
            trace.append((now - began, loss))
            if loss <= goal:
                raise ReachedError

        traces["PyTorch L-BFGS"] = trace
        start = images.start(photograph, network.mean, 1.0, 0)
        objective = torch_painter.TorchObjective(network, photograph, painting, plain)
        with contextlib.suppress(ReachedError):
            torch_painter.lbfgs(objective, start, given.torch_steps, observe)
        print(f"PyTorch L-BFGS: {trace[-1][0]:.1f} s, loss {trace[-1][1]:.6g}", flush=True)
    whole, last = traces["Adam, rate 10"][-1]
    size = f"{photograph.shape[1]} x {photograph.shape[0]}"
    lines = [
        f"Time from white noise at {size}, alpha/beta = {1 / given.beta:g}, to a loss of {goal:.4g}, Adam's lowest in"
    ]
    lines += [f"{given.steps} steps, which took it {whole:.0f} s and ended at {last:.4g}:", ""]
    lines += [
        "| side | seconds | times as fast as all of Adam's steps | evaluations at this size |",
        "|---|---|---|---|",
    ]
    for name, trace in traces.items():
        reached = [seconds for seconds, loss in trace if loss <= goal]
        if reached:
            lines.append(f"| {name} | {reached[0]:.0f} | {whole / reached[0]:.1f} | {len(trace)} |")
        else:
            lines.append(
                f"| {name} | not in {trace[-1][0]:.0f} | | {len(trace)}, loss {min(t[1] for t in trace):.4g} |"
            )
    return lines, traces


def equal_time(given):
    """--fast to its end, then Adam for as long; side by side in a picture."""
    began = time.monotonic()
    ours = paint(given.content, given.style, fast(Settings(size=given.size, beta=given.beta)))
    limit = time.monotonic() - began
    began, latest = time.monotonic(), []

    def observe(step):
        latest[:] = [step]
        if time.monotonic() - began > limit:
            raise ReachedError

    adam = Settings(size=given.size, beta=given.beta, optimiser="adam", rate=10.0)
    with contextlib.suppress(ReachedError):
        paint(given.content, given.style, adam, observers=[observe])
    (step,) = latest
    sides = [images.to_bytes(picture) for picture in (ours.picture, step.picture)]
    iio.imwrite(given.docs / "equal-time.jpg", np.concatenate(sides, axis=1), quality=90)
    return [
        f"Left --fast, right Adam at rate 10, each after {limit:.0f} s:",
        "",
        f"loss {ours.outcome.step.total:.4g} and {step.total:.4g} (Adam's after {step.iteration} steps).",
    ], None


def precision(given):
    """The loss at the end, in each precision, and with bounds, from the same start, and the gradient there."""
    lines = ["| settings | loss | against float32 | pixels outside 0..255 | seconds |", "|---|---|---|---|---|"]
    whole = None
    for name, changes in (
        ("--convolutions direct", {"convolutions": "direct"}),
        ("--convolutions winograd", {"convolutions": "winograd"}),
        ("--precision auto", {"precision": "auto"}),
        ("--precision bfloat16", {"precision": "bfloat16"}),
        ("--bounded", {"bounded": True}),
    ):
        began = time.monotonic()
        settings = Settings(size=given.size, iterations=given.steps, **changes)
        outcome = paint(given.content, given.style, settings).outcome
        seconds, picture, loss = time.monotonic() - began, outcome.step.picture, outcome.step.total
        whole = whole or loss
        outside = np.mean((picture < -0.5) | (picture > 255.5))
        lines.append(f"| {name} | {loss:.5g} | {loss / whole - 1:+.2%} | {outside:.2%} | {seconds:.0f} |")
        print(lines[-1], flush=True)
    return [f"After {given.steps} iterations at {given.size} pixels:", "", *lines, "", *gradients(given)], None


def gradients(given):
    """How far each precision's gradients are from those in float64, at white noise and at the photograph."""
    network, photograph, painting = load(given, given.size)
    styles, settings = [Style(painting)], Settings(convolutions="direct")

    def at_both(settings, *types):
        objective = Objective(network, photograph, styles, settings, *types)
        noise = images.start(photograph, network.mean, 1.0, 0)
        # Where it is, the photograph has no content term.
        return [objective(picture).gradient for picture in (noise, photograph.astype(np.float32) + 1)]

    exact = at_both(settings, np.float64)
    lines = ["| gradient | from float64's at white noise | at the photograph |", "|---|---|---|"]
    for name, found in (
        ("--convolutions direct", at_both(settings)),
        ("--convolutions winograd", at_both(replace(settings, convolutions="winograd"))),
        ("--precision bfloat16", at_both(settings, np.float32, tf.bfloat16)),
    ):
        errors = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(found, exact, strict=True)]
        lines.append(f"| {name} | " + " | ".join(f"{error:.1e}" for error in errors) + " |")
        print(lines[-1], flush=True)
    return lines


def painting(given):
    """The time of an evaluation alone, and in a painting, with all that L-BFGS does between."""
    lines = ["| pixels | convolutions | alone, ms | with L-BFGS | ms | times |", "|---|---|---|---|---|---|"]
    for size in given.sizes:
        network, photograph, painted = load(given, size)
        start = images.start(photograph, network.mean, 1.0, 0)
        for name, convolutions, compute in (
            ("direct", "direct", None),
            ("Winograd's", "winograd", None),
            ("bfloat16", "direct", tf.bfloat16),
        ):
            settings = Settings(beta=given.beta, iterations=given.iterations, convolutions=convolutions)
            for whose in ("the graph's", "SciPy's")[: 1 if given.no_scipy else 2]:
                vectors = Vectors(np.float64, PAIRS) if whose == "the graph's" else None
                sides = network, photograph, [Style(painted)], settings
                objective = Objective(*sides, compute=compute, source=vectors and vectors.point)
                if vectors:
                    vectors.load(objective, start, None)
                feed = {vectors.step: 0.0} if vectors else {objective.picture: start}
                alone = median_seconds(lambda it=objective, feed=feed: it.evaluate(it.gradient.op, feed), given.repeats)
                marks = []

                def observe(step, marks=marks):
                    marks.append((time.perf_counter(), step.evaluations))

                minimise(objective, start, settings, observe, vectors=vectors)
                (began, first), (ended, last) = marks[min(5, len(marks) - 2)], marks[-1]
                each = (ended - began) / (last - first)
                sides = f"{photograph.shape[1]} x {photograph.shape[0]} | {name} | {1e3 * alone:.2f} | {whose}"
                lines.append(f"| {sides} | {1e3 * each:.2f} | {each / alone:.2f} |")
                print(lines[-1], flush=True)
                objective.close()
    return lines, None


def median_seconds(work, repeats):
    """The median of some calls' seconds, after two that are not counted."""
    seconds = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[2:])


def corrections(given):
    """The loss after so many iterations of L-BFGS with more or fewer corrections, from the same start."""
    network, photograph, painting = load(given, given.size)
    settings = Settings(iterations=given.steps, beta=given.beta)
    objective = Objective(network, photograph, [Style(painting)], settings)
    start = images.start(photograph, network.mean, 1.0, 0)
    marks = [given.steps * tenths // 10 for tenths in (1, 2, 3, 5, 10)]
    lines = ["| corrections | " + " | ".join(map(str, marks)) + " |", "|---|" + "---|" * len(marks)]
    for count in (5, 10, 20):
        losses, wanted = {}, replace(settings, corrections=count)
        minimise(objective, start, wanted, lambda step, seen=losses: seen.update({step.iteration: step.total}))
        lines.append(f"| {count} | " + " | ".join(f"{losses[mark]:.4g}" for mark in marks) + " |")
        print(lines[-1], flush=True)
    size = f"{photograph.shape[1]} x {photograph.shape[0]}"
    return [f"Loss after iterations at {size}, alpha/beta = {1 / given.beta:g}:", "", *lines], None


def alone(given, *options, before=(), **environment):
    """What `one` measures, in a process of its own, whose command some words may come before."""
    command = [*before, sys.executable, __file__, "one", given.content, given.style, *options]
    environment = os.environ | environment
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def memory(given):
    """Peak memory and time of each size, in one piece and with more and more blocks in strips, by Winograd's."""
    lines = [
        "| pixels | blocks in strips | peak, GB | seconds an evaluation | over one piece | microseconds a pixel |",
        "|---|---|---|---|---|---|",
    ]
    curves, whole = {}, None
    for size in given.sizes:
        for blocks in (0, 1, 2, 3, 5) if size <= given.untiled else (3, 5):
            options = "--size", size, "--tile", given.tile if blocks else 0, "--repeats", given.repeats, "--winograd"
            found = alone(given, *options, "--blocks", blocks)
            whole = found["seconds"] if not blocks else whole if size <= given.untiled else None
            micro = found["seconds"] / found["pixels"] * 1e6
            name = f"{blocks} of 5" if blocks else "none"
            curves.setdefault(name, []).append((size, micro))
            lines.append(
                f"| {found['width']} x {found['height']} | {name} | {found['peak'] / 1e9:.2f} | {found['seconds']:.2f} "
                f"| {found['seconds'] / whole if whole else float('nan'):.2f} | {micro:.2f} |".replace("nan", "")
            )
            print(lines[-1], flush=True)
    plot(curves, given.docs / "benchmark-memory.png", xlabel="longer side, pixels", ylabel="microseconds a pixel")
    return lines, None


def processors(given):
    """The time of an evaluation, with oneDNN and without, limited to each instruction set."""
    lines = ["| instructions | TensorFlow | seconds an evaluation |", "|---|---|---|"]
    for most, oneof in itertools.product(
        ("SSE41", "AVX", "AVX2", "DEFAULT"), ("0", "1", "1 --winograd", "1 --bfloat16")
    ):
        flag, *option = oneof.split()
        options = "--size", given.size, "--repeats", given.repeats, "--tile", 0, *option
        found = alone(given, *options, ONEDNN_MAX_CPU_ISA=most, TF_ENABLE_ONEDNN_OPTS=flag)
        how = ", ".join(["with oneDNN" if flag == "1" else "without oneDNN", *option])
        lines.append(f"| {'all it has' if most == 'DEFAULT' else most} | {how} | {found['seconds']:.2f} |")
        print(lines[-1], flush=True)
    return [f"At {found['width']} x {found['height']}:", "", *lines], None


def costs(given):
    """What a run costs beside its convolutions, and what sizes and threads do to them."""
    lines = ["| what | measured |", "|---|---|"]

    def add(what, measured):
        lines.append(f"| {what} | {measured} |")
        print(lines[-1], flush=True)

    add("start-up, TensorFlow and all", f"{seconds_of('import nst_graph.painting'):.1f} s")
    add(
        "`paint.py --help`",
        f"{seconds_of('from nst_graph.commands import options; options.parser().format_help()'):.1f} s",
    )
    path = weights.find("VGG-19", print)
    with tempfile.TemporaryDirectory() as directory:
        whole = Path(directory) / "whole.mat"
        write_whole(path, whole)
        for file in (path, whole):
            code = (
                "import sys, time; from pathlib import Path; from nst_graph import weights\n"
                # getrusage's peak begins with the parent's.
                "peak = lambda: int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
                "before, began = peak(), time.monotonic()\n"
                "weights.read(Path(sys.argv[1]))\n"
                "print(time.monotonic() - began, peak() - before)"
            )
            done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=True)
            took, grown = map(float, done.stdout.split())
            megabytes = file.stat().st_size / 1e6
            add(f"reading weights, {megabytes:.0f} MB", f"{took:.2f} s, {grown * 1024 / 1e6:.0f} MB of memory")

    network, photograph, painting = load(given, given.size)
    plain, styles = Settings(iterations=given.iterations, convolutions="direct"), [Style(painting)]
    start = images.start(photograph, network.mean, 1.0, 0)
    size = f"{photograph.shape[1]} x {photograph.shape[0]}"
    for settings in (plain, replace(plain, corrections=20), replace(plain, convolutions="winograd")):
        objective, within = Objective(network, photograph, styles, settings), []
        objective(start)

        def timed(picture, objective=objective, within=within):
            began = time.monotonic()
            evaluation = objective(picture)
            within.append(time.monotonic() - began)
            return evaluation

        began = time.monotonic()
        step = minimise(timed, start, settings, lambda step: None).step
        took = time.monotonic() - began
        share = 1 - sum(within) / took
        what = f"optimiser's share of {step.iteration} iterations of L-BFGS, {settings.corrections} corrections, {size}"
        what += f", --convolutions {settings.convolutions}"
        add(what, f"{share:.1%}, {(took - sum(within)) / step.evaluations * 1e3:.0f} ms an evaluation")
        objective.close()

    for cores in (1, len(os.sched_getaffinity(0))):
        for size in (given.size, given.size - 1):
            found = alone(given, "--tile", 0, "--size", size, before=("taskset", "-c", f"0-{cores - 1}"))
            what = f"an evaluation, {found['width']} x {found['height']}, {cores} cores"
            add(what, f"{found['seconds']:.2f} s, {found['seconds'] / found['pixels'] * 1e6:.2f} microseconds a pixel")
    return lines, None


def seconds_of(code):
    """Median seconds of three Python processes."""
    times = []
    for _ in range(3):
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append(time.monotonic() - began)
    return statistics.median(times)


def write_whole(path, target):
    """The network with fully connected layers of VGG's sizes, zeros, as large as the published files."""
    network, cells = weights.read(path), []
    for layer in network.layers:
        if isinstance(layer, weights.Conv):
            pair = np.empty((1, 2), object)
            pair[0, :] = layer.kernel, layer.bias[:, None]
            cells.append({"name": layer.name, "type": "conv", "weights": pair})
        else:
            cells.append({"name": "", "type": "relu" if isinstance(layer, weights.Relu) else "pool"})
    for name, shape in (("fc6", (7, 7, 512, 4096)), ("fc7", (1, 1, 4096, 4096)), ("fc8", (1, 1, 4096, 1000))):
        pair = np.empty((1, 2), object)
        pair[0, :] = np.zeros(shape, np.float32), np.zeros((shape[-1], 1), np.float32)
        cells.append({"name": name, "type": "conv", "weights": pair})
    variable = np.empty((1, len(cells)), object)
    variable[0, :] = cells
    scipy.io.savemat(target, {"layers": variable})


def one(given):
    """Measure one objective, and print what is found as JSON."""
    network, photograph, painting = load(given, given.size)
    start = images.start(photograph, network.mean, 1.0, 0)
    convolutions = "winograd" if given.winograd else "direct"
    settings, styles = Settings(size=given.size, convolutions=convolutions), [Style(painting)]
    compute = tf.bfloat16 if given.bfloat16 else None
    cut = Cut(given.blocks, given.tile) if given.tile else None
    objective = Objective(network, photograph, styles, settings, compute=compute, cut=cut)
    seconds = []
    for _ in range(given.repeats):
        began = time.monotonic()
        objective(start)
        seconds.append(time.monotonic() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    height, width = photograph.shape[:2]
    found = {"peak": peak, "seconds": statistics.median(seconds), "pixels": height * width}
    print(json.dumps(found | {"height": height, "width": width}))


def plot(traces, path, xlabel="seconds", ylabel="loss, equation 7"):
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 4.5))
    for name, trace in traces.items():
        axis.plot(*zip(*trace, strict=True), label=name)
    axis.set(xscale="log", xlabel=xlabel, ylabel=ylabel)
    if "loss" in ylabel:
        axis.set_yscale("log")
        axis.set_ylim(top=2 * max(trace[0][1] for trace in traces.values()))  # some leap far above their start
    else:
        axis.set_ylim(bottom=0)
    axis.legend()
    axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=100)


BENCHMARKS = {
    "evaluations": evaluations,
    "time": time_to_loss,
    "pictures": equal_time,
    "precision": precision,
    "corrections": corrections,
    "memory": memory,
    "costs": costs,
    "processors": processors,
    "painting": painting,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*BENCHMARKS, "one"])
    parser.add_argument("content", type=Path)
    parser.add_argument("style", type=Path)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--beta", type=float, default=1000.0)
    parser.add_argument("--steps", type=int, default=1000, help="of Adam")
    parser.add_argument("--torch-steps", type=int, default=400, help="most steps of PyTorch's L-BFGS")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=40, help="of L-BFGS, in costs")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048, 4096])
    parser.add_argument("--untiled", type=int, default=2048, help="largest size that is tried in one piece")
    parser.add_argument("--tile", type=int, default=64, help="rows of strips; 0 for one piece")
    parser.add_argument("--blocks", type=int, default=5, help="how many blocks are in strips")
    parser.add_argument("--winograd", action="store_true", help="in one")
    parser.add_argument("--bfloat16", action="store_true", help="in one")
    parser.add_argument("--no-scipy", action="store_true", help="leave SciPy's L-BFGS out, in painting")
    parser.add_argument("--no-torch", action="store_true", help="leave PyTorch out")
    parser.add_argument("--docs", type=Path, default=Path(__file__).resolve().parent.parent / "docs")
    given = parser.parse_args()
    given.docs.mkdir(parents=True, exist_ok=True)  # now, not once all is measured
    if given.what == "one":
        one(given)
        return
    lines, traces = BENCHMARKS[given.what](given)
    print("\n".join(lines))
    name = f"benchmark-{given.what}" + (f"-{given.size}-{given.beta:g}" if given.what == "time" else "")
    words = given.what, given.content.name, given.style.name, *sys.argv[4:]
    command = " ".join(["python benchmarks/run.py", *words])
    (given.docs / f"{name}.md").write_text("\n".join([f"`{command}`", "", *lines, ""]))
    if traces:
        plot(traces, given.docs / f"{name}.png")


if __name__ == "__main__":
    main()
