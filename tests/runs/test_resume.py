"""Runs that are killed, interrupted, or out of room, and go on."""

import json
import os
import random
import signal
import subprocess
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT, loss_rows, random_layers, run_here, run_script, save_mat, stop_at
from processes import run_python, start_script, wait_until

import nst_graph
from nst_graph import images, optimise
from nst_graph.errors import Pause
from nst_graph.model import vgg
from nst_graph.optimise import steps
from nst_graph.runs import records, state
from nst_graph.runs.run import Run
from nst_graph.settings import Settings

ITERATIONS, SAVE_EVERY = 600, 5


@pytest.fixture
def words(pair, network_file):
    return [*pair, "--weights", network_file]


def check_whole(directory):
    """Every file whole: pictures decode, tables and records parse, nothing temporary is left but by a kill."""
    json.loads((directory / "run.json").read_text())
    rows = loss_rows(directory) if (directory / "losses.csv").exists() else []
    assert [int(row["iteration"]) for row in rows] == list(range(len(rows)))
    for name in ("evaluations", "seconds"):
        values = [float(row[name]) for row in rows]
        assert values == sorted(values)
    if (directory / "state.npz").exists():
        found = state.read(directory / "state.npz")
        assert found.iteration <= int(rows[-1]["iteration"])
        assert float(rows[found.iteration]["total"]) == pytest.approx(found.total, rel=1e-8)
    for picture in directory.glob("*.png"):
        images.read(picture)
    return rows


@pytest.mark.parametrize(
    ("optimiser", "times"),
    [pytest.param(*case, marks=pytest.mark.thorough) for case in (("lbfgs", 21), ("adam", 4))],
)
def test_killed_many_times(words, tmp_path, optimiser, times):
    """SIGKILL at random moments of a real run, from its start-up on; it ends as one that was left alone."""
    # From the photograph: from noise a change of 1e-4 grey levels at the start moves this end by 4 %.
    common = [*words, *["--init", "content", "--content-layers", "conv2_1", "--style-layers", "conv1_1", "conv2_1"]]
    common += ["--iterations", ITERATIONS, "--save-every", SAVE_EVERY, "--optimiser", optimiser]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run_script("paint.py", *common, "--output", whole).returncode == 0
    expected = float(loss_rows(whole)[-1]["total"])

    draw, kills, reached = random.Random(1), 0, []
    while kills < times:
        first = not (killed / "run.json").exists()
        run = start_script("paint.py", *(*common, "--output", killed) if first else ("--resume", killed))
        began = time.monotonic()
        while not (killed / "run.json").exists() and run.poll() is None and time.monotonic() - began < 60:
            time.sleep(0.01)
        before = reached[-1] if reached else 0
        # Wait until there is something new now and then, so that it gets on; else kill at any moment.
        if kills % 2:
            while time.monotonic() - began < 60 and run.poll() is None:
                rows = loss_rows(killed) if (killed / "losses.csv").exists() else []
                if rows and int(rows[-1]["iteration"]) > before and (killed / "state.npz").exists():
                    break
                time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.3))
        if run.poll() is not None:
            break  # it was quicker
        run.kill()
        run.communicate()
        kills += 1
        rows = check_whole(killed)
        reached.append(int(rows[-1]["iteration"]) if rows else 0)
        if (killed / "state.npz").exists():
            kept = state.read(killed / "state.npz").iteration
            assert reached[-1] - kept <= SAVE_EVERY  # at most an interval is lost
    assert kills == times
    done = run_script("paint.py", "--resume", killed)
    assert done.returncode == 0, done.stderr
    rows = check_whole(killed)
    assert int(rows[-1]["iteration"]) == ITERATIONS
    assert float(rows[-1]["total"]) < 1.01 * expected
    assert not (killed / "state.npz").exists() and not list(killed.glob(".*.*"))
    saved = [f"iteration-{iteration:05}.png" for iteration in range(0, ITERATIONS + 1, SAVE_EVERY)]
    assert sorted(path.name for path in killed.glob("iteration-*.png")) == saved
    again = run_here("paint.py", "--resume", killed)
    assert again.returncode == 0 and "is finished" in again.stdout


@pytest.mark.parametrize(
    "numbers",
    [
        [signal.SIGTERM],
        pytest.param([signal.SIGUSR1], marks=pytest.mark.thorough),
        [signal.SIGINT, signal.SIGTERM],
    ],
)
def test_signals_lose_nothing(words, tmp_path, numbers):
    """Nor does a second one while the first one's state is saved."""
    words += ["--output", tmp_path / "run", "--iterations", 10000, "--save-every", 5000]
    run = start_script("paint.py", *words, stderr=subprocess.STDOUT)
    wait_until((tmp_path / "run" / "losses.csv").exists, run)
    time.sleep(1)
    run.send_signal(numbers[0])
    for number in numbers[1:]:
        while run.poll() is None and not list((tmp_path / "run").glob(".*.unfinished")):
            pass  # until a file is being written
        run.send_signal(number)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 130 and f"interrupted; --resume {tmp_path / 'run'} goes on" in output
    rows = check_whole(tmp_path / "run")
    kept = state.read(tmp_path / "run" / "state.npz")
    assert kept.iteration == int(rows[-1]["iteration"]) > 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["outcome"]["state"] == "interrupted"


def paint_until(iteration, words, output, **settings):
    """Paint in this process, and stop for now after so many iterations."""
    content, style, _, weights_file = words
    given = {"weights_file": weights_file, "output": output, "observers": [stop_at(iteration)]}
    with pytest.raises(Pause):
        nst_graph.paint(content, style, Settings(**settings), **given)


SCALES = {"iterations": 30, "scales": (24, 32), "scale_iterations": (10, 10)}


@pytest.mark.parametrize(
    ("settings", "stop"),
    [
        *((SCALES, stop) for stop in (3, 10, 15)),
        ({"iterations": 30, "precision": "auto"}, 15),
        ({"iterations": 30, "bounded": True}, 10),
    ],
)
def test_stages_go_on(words, tmp_path, monkeypatch, settings, stop):
    monkeypatch.setattr(vgg, "fastest_precision", lambda convolutions: "bfloat16")
    content, style, _, weights_file = words
    given = {"weights_file": weights_file}
    whole = nst_graph.paint(content, style, Settings(**settings), **given).outcome.step
    paint_until(stop, words, tmp_path, **settings)
    steps = []
    done = nst_graph.paint(
        content, style, Settings(**settings), **given, output=tmp_path, resume=True, observers=[steps.append]
    )
    assert [step.iteration for step in steps] == list(range(stop + 1, whole.iteration + 1))
    assert done.outcome.step.stage == whole.stage and done.outcome.step.iteration_offset == whole.iteration_offset
    assert done.outcome.step.total < 2 * whole.total  # so few iterations are far from the end
    check_whole(tmp_path)


@pytest.mark.parametrize(("stop", "left"), [(None, 13), (3, 13), (8, 13), (14, 11)])
def test_what_bfloat16_leaves_is_painted_in_float32(words, tmp_path, monkeypatch, stop, left):
    """bfloat16 gains nothing more after 7 of its 18 iterations; interrupted before, there or after, or not."""
    from nst_graph import painting

    def early(objective, start, settings, *rest):
        if settings.iterations > 13:
            settings = replace(settings, iterations=settings.iterations - 11)
        return optimise.minimise(objective, start, settings, *rest)

    monkeypatch.setattr(vgg, "fastest_precision", lambda convolutions: "bfloat16")
    monkeypatch.setattr(painting, "minimise", early)
    content, style, _, weights_file = words
    settings = {"iterations": 20, "precision": "auto", "scales": (24,), "scale_iterations": (5,)}
    if stop is not None:
        paint_until(stop, words, tmp_path, **settings)
    said = []
    done = nst_graph.paint(
        content, style, Settings(**settings), weights_file=weights_file, output=tmp_path, resume=stop is not None,
        say=said.append,
    )  # fmt: skip
    assert done.outcome.step.iteration == 25 and done.outcome.step.iteration_offset == 5
    height, width = done.picture.shape[:2]
    assert f"{left} iterations of the graph's L-BFGS at {width} x {height} in float32" in said
    check_whole(tmp_path)


def test_killed_when_all_was_painted(words, tmp_path):
    """The state holds the last iteration and the run is not finished yet: final.png comes from the state."""
    paint_until(6, words, tmp_path, iterations=6)
    (tmp_path / "final.png").unlink()
    left = [tmp_path / name for name in (".final.png.unfinished", ".sources/.style-1.unfinished")]
    for unfinished in left:
        unfinished.write_bytes(b"half of it")
    record = json.loads((tmp_path / "run.json").read_text())
    record["outcome"] = {"state": "painting"}
    (tmp_path / "run.json").write_text(json.dumps(record))
    content, style, _, weights_file = words
    settings = records.settings(record, tmp_path)
    nst_graph.paint(content, style, settings, weights_file=weights_file, output=tmp_path, resume=True)
    outcome = json.loads((tmp_path / "run.json").read_text())["outcome"]
    assert outcome["state"] == "finished" and outcome["iterations"] == 6
    assert not any(unfinished.exists() for unfinished in left)
    check_whole(tmp_path)


def test_what_changed_is_named(words, tmp_path, pair, network_file):
    paint_until(7, words, tmp_path / "run", iterations=20, save_every=5)

    def refused(*options):
        done = run_here("paint.py", "--resume", tmp_path / "run", *options)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        return done.stderr

    assert "--alpha 5.0: the run was begun with 1.0" in refused("--alpha", 5)
    assert "--iterations 30: the run was begun with 20" in refused("--iterations", 30)
    copy = save_mat(tmp_path / "other.mat", random_layers(1), "current")
    assert f"weights {copy}: the run was begun with other bytes, of {network_file}" in refused("--weights", copy)
    assert "leave CONTENT out" in refused(*pair)
    assert "leave --overwrite out" in refused("--overwrite")
    assert state.read(tmp_path / "run" / "state.npz").iteration == 7  # nothing is lost by asking
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    del record["settings"]["convolutions"]  # as if begun by a version that had no such setting
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    message = refused("--beta", 7)
    assert "--beta 7.0: the run was begun with 1000.0" in message and "convolutions" not in message


def test_what_is_no_run(tmp_path, words):
    def refused(directory):
        done = run_here("paint.py", "--resume", directory)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        return done.stderr

    assert "holds no run" in refused(tmp_path / "nowhere")
    (tmp_path / "run.json").write_text("[]")
    assert "not a run's record" in refused(tmp_path)
    paint_until(3, words, tmp_path / "run", iterations=20)
    (tmp_path / "run" / "state.npz").write_bytes(b"PK\3\4 cut short")
    assert "state.npz: not a whole state" in refused(tmp_path / "run")


class Harm:
    """What a pickle may do."""

    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_a_state_holds_no_objects(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paint_until(3, words, tmp_path / "run", iterations=6)
    with np.load(tmp_path / "run" / "state.npz") as saved:
        arrays = dict(saved)
    np.savez(tmp_path / "run" / "state.npz", **arrays | {"picture": np.array([Harm()], dtype=object)})
    done = run_here("paint.py", "--resume", tmp_path / "run")
    assert done.returncode == 2 and "state.npz: not a whole state" in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "harm").exists()


def test_a_state_is_moved_array_by_array(tmp_path):
    """Written and read, curvature pairs take the memory of a few vectors, not of all."""
    size, count = 300_000, 20
    reads = {f"step-{number}": lambda: np.ones(size, np.float32) for number in range(count)}
    memory = steps.LazyArrays(reads)
    step = steps.Step(7, 9, 1.5, lambda: np.ones((3, 4, 3)), {"content": 2.0}, 3.0, 1, lambda: memory)
    tracemalloc.start()
    with (tmp_path / "state.npz").open("wb") as file:
        state.write(step, file)
    found = state.read(tmp_path / "state.npz")
    assert {name: float(array.sum()) for name, array in found.optimizer_state().items()} == dict.fromkeys(reads, size)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 5 * 4 * size


def test_two_runs_on_one_directory(words, tmp_path):
    run = start_script("paint.py", *words, "--output", tmp_path / "run", "--iterations", 100000)
    wait_until((tmp_path / "run" / "losses.csv").exists, run)
    for options in (["--resume", tmp_path / "run"], [*words, "--output", tmp_path / "run", "--overwrite"]):
        done = run_here("paint.py", *options)
        assert done.returncode == 2 and "another process paints there" in done.stderr
    run.kill()  # a dead run holds nothing
    run.communicate()
    assert Run(tmp_path / "run", overwrite=True)


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.argv = sys.argv[2:]
sys.path.insert(0, {root!r})
from nst_graph.commands.paint import main
sys.exit(main())
"""


@pytest.mark.thorough
def test_no_room(words, tmp_path):
    """The state outgrows the largest file allowed, as on a full disk; with room it goes on."""
    first = run_here("paint.py", *words, "--output", tmp_path / "try", "--iterations", 4, "--save-every", 2)
    assert first.returncode == 0
    paint_until(4, words, tmp_path / "probe", iterations=60, save_every=2)
    size = (tmp_path / "probe" / "state.npz").stat().st_size  # grows with L-BFGS's memory until it is full
    words += ["--output", tmp_path / "run", "--iterations", 60, "--save-every", 2]
    done = run_python(LIMITED.format(root=str(ROOT)), size + 1000, "paint.py", *words)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and f"go on with --resume {tmp_path / 'run'}" in done.stderr
    assert "File too large" in done.stderr
    assert state.read(tmp_path / "run" / "state.npz").iteration == 4
    check_whole(tmp_path / "run")
    assert run_here("paint.py", "--resume", tmp_path / "run").returncode == 0
    assert int(check_whole(tmp_path / "run")[-1]["iteration"]) == 60


@pytest.mark.thorough
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_a_full_disk(words, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted: {mounted.stderr}")
    try:
        done = run_script("paint.py", *words, "--output", disk / "run", "--iterations", 200, "--save-every", 1)
        assert done.returncode == 2 and "No space left on device" in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1 and f"--resume {disk / 'run'}" in done.stderr
        kept = state.read(disk / "run" / "state.npz").iteration
        check_whole(disk / "run")
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        assert run_script("paint.py", "--resume", disk / "run").returncode == 0
        assert int(check_whole(disk / "run")[-1]["iteration"]) == 200 > kept > 0
    finally:
        subprocess.run(["umount", disk], check=True)
