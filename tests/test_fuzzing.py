"""Damaged files of every kind do no harm; a sample of what tests/fuzzing.py does."""

import json
import subprocess
import sys
from pathlib import Path

import fuzzing
import numpy as np
import pytest
from conftest import run_here

from nst_graph.errors import InputError
from nst_graph.runs.run import Run


def test_a_sample():
    """In a process of its own, whose memory is its own."""
    command = [sys.executable, fuzzing.__file__, "--files", "1000", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=600)
    assert done.returncode == 0, done.stdout[-5000:]
    assert "1000 files, 0 did harm" in done.stdout


def test_damage_is_damage(tmp_path):
    """Nearly every file is another one than the good one, and the same the next time."""
    every = fuzzing.kinds(tmp_path)
    changed = [fuzzing.damaged(kind, 1, number) != kind.good for number, kind in enumerate(every * 20)]
    assert np.mean(changed) > 0.9
    again = [fuzzing.damaged(kind, 1, number) for number, kind in enumerate(every)]
    assert again == [fuzzing.damaged(kind, 1, number) for number, kind in enumerate(every)]


def test_harm_is_seen(tmp_path):
    """The harness hears what a reader must not do."""
    with fuzzing.watched(tmp_path / "inside") as outside:
        (tmp_path / "outside.txt").write_text("x")
        subprocess.run(["true"], check=True)
    assert len(outside) >= 2 and "outside.txt" in outside[0]
    (tmp_path / "inside").mkdir()
    with fuzzing.watched(tmp_path / "inside") as outside:
        (tmp_path / "inside" / "a.txt").write_text("x")
    assert outside == []


@pytest.fixture
def run(tmp_path):
    """A run's directory, whole."""
    for kind in fuzzing.good_runs(tmp_path):
        name = "state.npz" if kind.file == "lbfgs.npz" else kind.file
        if name != "adam.npz":
            (tmp_path / "run" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "run" / name).write_bytes(kind.good)
    return tmp_path / "run"


def test_a_run_that_cannot_be_read_is_let_go(run):
    """The lock of a refused run was once kept by the process."""
    whole = (run / "run.json").read_bytes()
    (run / "run.json").write_text("{}")
    with pytest.raises(InputError, match="not a run's record"):
        Run(run, resume=True)
    (run / "run.json").write_bytes(whole)
    with Run(run, resume=True) as found:
        assert found.resume_from is not None


@pytest.mark.parametrize("header", [b"{'descr': '<f4", b"{'descr': '|O', ", b"__import__('os').abort()", b"(" * 100])
def test_headers_of_arrays_are_no_python(run, header):
    """NumPy reads them as Python's literals, and raises what that leads to."""
    data = (run / "state.npz").read_bytes()
    found = fuzzing.archived(data, lambda content: b"\x93NUMPY\x01\x00\x76\x00" + header.ljust(117) + b"\n")
    (run / "state.npz").write_bytes(found)
    done = run_here("paint.py", "--resume", run)
    assert done.returncode == 2 and "state.npz: not a whole state" in done.stderr and done.stderr.count("\n") == 1


def test_losses_that_are_none_are_begun_anew(run):
    (run / "losses.csv").write_text("iteration,evaluations,seconds,total\n0,1,0,<script>\n")
    with Run(run, resume=True) as found:
        assert found.rows == {}


def test_settings_of_a_kind_that_is_none(run):
    record = json.loads((run / "run.json").read_text())
    record["settings"]["size"] = "512"
    (run / "run.json").write_text(json.dumps(record))
    done = run_here("paint.py", "--resume", run)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "run.json: size: '512'; give a whole number" in done.stderr
    assert Path(run / "state.npz").exists()
