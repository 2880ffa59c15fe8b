"""Runs side by side: directories of their own, or one line; and what they share."""

import json
import shutil
import time

import pytest
from conftest import hashes, run_here, run_script
from processes import start_script

from nst_graph import machine, painting, places, stages
from nst_graph.runs.directory import claimed
from nst_graph.settings import Settings


@pytest.fixture
def words(pictures_dir, network_file):
    pair = [pictures_dir / "photo.png", pictures_dir / "painting.png"]
    return [*map(str, pair), "--weights", str(network_file), "--iterations", "3"]


def test_begun_together_each_has_a_directory(words, tmp_path):
    """As by a loop of a shell: none is told where to paint."""
    name = f"photo-{time.time_ns()}"
    photograph = shutil.copy(words[0], tmp_path / f"{name}.png")
    try:
        runs = [start_script("paint.py", photograph, *words[1:]) for _ in range(3)]
        for run in runs:
            _, error = run.communicate(timeout=120)
            assert run.returncode == 0, error
        made = sorted(places.OUTPUT.glob(f"{name}-painting*"))
        assert [path.name for path in made] == [f"{name}-painting{number}" for number in ("", "-2", "-3")]
        for path in made:
            assert json.loads((path / "run.json").read_text())["outcome"]["state"] == "finished"
    finally:
        for path in places.OUTPUT.glob(f"{name}-painting*"):
            shutil.rmtree(path)


def test_the_second_of_one_directory_writes_nothing(words, tmp_path):
    """It is refused while the first has only claimed the place, and once that has painted there."""
    with claimed(tmp_path / "run"):
        second = run_script("paint.py", *words, "--output", tmp_path / "run")
        assert second.returncode == 2 and "another process paints there" in second.stderr
        assert {*hashes(tmp_path)} == {"run/.lock"}
    assert not (tmp_path / "run").exists()  # which nobody used
    assert run_here("paint.py", *words, "--output", tmp_path / "run").returncode == 0
    before = hashes(tmp_path)
    done = run_here("paint.py", *words, "--output", tmp_path / "run")
    assert done.returncode == 2 and "holds a run" in done.stderr
    assert hashes(tmp_path) == before


def test_what_is_refused_leaves_no_directory(words, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    done = run_here("paint.py", tmp_path / "broken.png", *words[1:], "--output", tmp_path / "run")
    assert done.returncode == 2 and "broken.png" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["broken.png"]


def test_memory_is_shared_among_workers(words, tmp_path, monkeypatch):
    """Each of two is planned for half of it."""
    memory = []
    plan = stages.plan
    monkeypatch.setattr(stages, "plan", lambda *given: memory.append(given[4]) or plan(*given))
    for side_by_side in (1, 2):
        painting.paint(*words[:2], Settings(iterations=0), weights_file=words[3], side_by_side=side_by_side)
    assert memory[0] == 2 * memory[1] == machine.memory()
