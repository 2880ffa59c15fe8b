"""Runs that are killed with kill -9 and resumed: every optimiser's state goes through the file, by the command."""

import json
import os
import shutil
import signal

import numpy as np
import pytest
from conftest import loss_rows, run_here
from processes import run_python

from nst_graph.model import vgg
from nst_graph.settings import LBFGS, OPTIMISERS, PRECISIONS

#: Where a run is killed; its last state is then that of iteration 20.
KILLED_AT, SAVE_EVERY = 27, 10
#: The command, on a machine of which this test decides whether bfloat16 is fast and which vectors fit; it kills itself.
COMMAND = """
import importlib, os, sys
from nst_graph import stages
from nst_graph.films.film_run import FilmRun
from nst_graph.model import tensorflow, vgg
from nst_graph.runs.run import Run
command, at, fastest, vectors, *words = sys.argv[1:]
vgg.fastest_precision = lambda convolutions: fastest
plan = stages._lbfgs_plans
stages._lbfgs_plans = lambda settings: [one for one in plan(settings) if vectors in ("", str(one.vector_dtype))]
def and_die(record, reached):
    def recorded(self, step):
        record(self, step)
        if reached(step) == int(at):
            os.kill(os.getpid(), 9)
    return recorded
Run.observe = and_die(Run.observe, lambda step: step.iteration)
FilmRun.add = and_die(FilmRun.add, lambda frame: frame.number)
sys.exit(importlib.import_module("nst_graph.commands." + command).main(words))
"""
PAIRS = {"step": "f4", "change": "f4"}
GRAPHS = {"step": "f8", "change": "f8", "order": "u2"}
ADAMS = {"t": "f8", "m": "f4", "v": "f4"}
MEANS = {"last": "f4", "sum": "f4", "weight": "f8"}
#: Options, the kinds of numbers that the optimiser's state has by the beginnings of their names, and what decides.
CASES = {
    "scipy": ("--lbfgs scipy", PAIRS),
    "graph-float32-tiled": ("--lbfgs graph --tile 32 --corrections 5", GRAPHS | PAIRS),
    "adam-scales": ("--optimiser adam --rate 2 --scales 32 --scale-iterations 12", ADAMS),
    "descent": ("--optimiser gradient-descent --rate 1e-2", {"share": "f8", "most": "f8"}),  # which is too large
    "graph-auto": ("--lbfgs graph --precision auto", GRAPHS),
    "graph": ("--lbfgs graph", GRAPHS),
    "scipy-tiled-scales": ("--lbfgs scipy --tile 32 --scales 32 --scale-iterations 12", PAIRS),
    "graph-scales": ("--lbfgs graph --scales 32 --scale-iterations 12", GRAPHS),
    "graph-bfloat16-tiled": ("--lbfgs graph --tile 32 --precision bfloat16", GRAPHS),
    "tf32": ("--precision tf32", PAIRS),  # float32, but on a GPU
    "bounded": ("--bounded", PAIRS),
    "bounded-graph": ("--bounded --lbfgs graph", GRAPHS),
    "scipy-auto": ("--precision auto", PAIRS),
    "adam-average-tiled": ("--optimiser adam --rate 2 --average 0.9 --tile 32", ADAMS | MEANS),
    "descent-bfloat16-scales": (
        "--optimiser gradient-descent --rate 1e-6 --precision bfloat16 --scales 32 --scale-iterations 12",
        {"share": "f8", "most": "f8"},
    ),
    "fast-auto": ("--fast --scales 32 --scale-iterations 12", PAIRS),
    "studio-auto": ("--recipe studio --lbfgs graph --scales 32 --scale-iterations 12", GRAPHS),
    "adam-recipe": ("--recipe style-transfer-pytorch --scales 32 --scale-iterations 12", ADAMS | MEANS),
}
#: Those of make test: one of each state; the others are slower to tell apart.
QUICK = 5


#: On one thread the last digit of a sum is the same in each run; bfloat16 would magnify it.
ONE_THREAD = {name: "1" for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")}
NEVER = -1


def kill(*words, **environment):
    """Run COMMAND until it kills itself."""
    assert run_python(COMMAND, *words, env=os.environ | environment).returncode == -signal.SIGKILL


def test_no_kind_of_state_is_left_out():
    """A new optimiser, L-BFGS or precision has to be killed here too."""
    options = [f"{words} " for words, _ in CASES.values()]
    for option, choices in (("optimiser", OPTIMISERS[1:]), ("lbfgs", LBFGS[1:]), ("precision", PRECISIONS[1:])):
        for choice in choices:
            assert any(f"--{option} {choice} " in words for words in options), (option, choice)
    assert (OPTIMISERS[0], LBFGS[0], PRECISIONS[0]) == ("lbfgs", "auto", "float32")  # the defaults


@pytest.mark.parametrize(
    "case", [pytest.param(name, marks=[pytest.mark.thorough] * (n >= QUICK)) for n, name in enumerate(CASES)]
)
def test_killed_and_resumed(case, pictures_dir, network_file, tmp_path, monkeypatch):
    """The resumed run has every iteration once, keeps what was decided at its begin, and ends as one left alone."""
    options, kinds = CASES[case]
    words = [str(pictures_dir / "photo.png"), str(pictures_dir / "painting.png"), "--weights", str(network_file)]
    words += f"--iterations 100 --save-every {SAVE_EVERY} --init content".split()
    words += f"--content-layers conv2_1 --style-layers conv1_1 conv2_1 {options}".split()
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    fastest = "bfloat16" if "auto" in case else "float32"
    threads = ONE_THREAD if "auto" in case or "bfloat16" in case else {}

    def paint(fast, *words):
        """Paint where this type is the fastest."""
        if threads:
            return run_python(COMMAND, "paint", NEVER, fast, "", *words, env=os.environ | threads)
        monkeypatch.setattr(vgg, "fastest_precision", lambda convolutions: fast)
        return run_here("paint.py", *words)

    kill("paint", KILLED_AT, fastest, "float32" if "float32" in case else "", *words, "--output", killed, **threads)
    with np.load(killed / "state.npz") as saved:
        arrays = {name.removeprefix("memory/"): saved[name] for name in saved if name.startswith("memory/")}
    assert json.loads((killed / "run.json").read_text())["outcome"]["state"] == "painting"
    found = {name.split("-")[0].split("/")[0].split("_")[0]: array.dtype.str[1:] for name, array in arrays.items()}
    assert found == kinds
    assert case != "descent" or arrays["share"] < 1  # its rate was halved, and stays so

    decided = json.loads((killed / "run.json").read_text())["stages"]
    other = "float32" if fastest == "bfloat16" else "bfloat16"
    done = paint(other, "--resume", str(killed))  # now a timing would say another
    assert done.returncode == 0, done.stderr
    assert "goes on from iteration 20" in done.stdout
    assert paint(fastest, *words, "--output", str(whole)).returncode == 0
    record = json.loads((killed / "run.json").read_text())
    assert record["stages"] == decided
    assert record["outcome"]["state"] == "finished"
    assert not os.path.exists(killed / "state.npz")
    rows, alone = map(loss_rows, (killed, whole))
    assert [row["iteration"] for row in rows] == [row["iteration"] for row in alone]
    tolerance = 0.02 if kinds.keys() >= PAIRS.keys() else 1e-3
    assert float(rows[-1]["total"]) == pytest.approx(float(alone[-1]["total"]), rel=tolerance)


def test_a_film_keeps_what_was_decided(pictures_dir, network_file, tmp_path, monkeypatch):
    frames, film = tmp_path / "frames", tmp_path / "film"
    frames.mkdir()
    for number in range(3):
        shutil.copy(pictures_dir / "photo.png", frames / f"{number}.png")
    words = [frames, pictures_dir / "painting.png", "--weights", network_file, "--output", film]
    words += ["--precision", "auto", "--lbfgs", "graph", "--iterations", "4"]
    words += ["--first-iterations", "4", "--init", "content"]
    kill("paint_video", 2, "bfloat16", "float32", *words)
    decided = json.loads((film / "run.json").read_text())["stages"]
    assert decided[0]["precision"] == "bfloat16" and decided[0]["plan"]["vector_dtype"] == "float32"
    monkeypatch.setattr(vgg, "fastest_precision", lambda convolutions: "float32")
    done = run_here("paint_video.py", "--resume", film)
    assert done.returncode == 0, done.stderr
    record = json.loads((film / "run.json").read_text())
    assert record["stages"] == decided and record["outcome"]["state"] == "finished"
    assert len(list(film.glob("frame-*.png"))) == 3 and (film / "film.mp4").exists()
