"""The diffs of CONTRIBUTING.md: each applies to the code as it is, and what it adds passes its tests."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

DIFFS = re.findall(r"```diff\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
ADDED = [re.findall(r"^\+def (test_\w+)", diff, re.MULTILINE) for diff in DIFFS]

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git applies them")


def apply(diff, directory, *options):
    # Of a repository above the directory git would take the paths to be that one's.
    env = os.environ | {"GIT_CEILING_DIRECTORIES": str(directory.parent)}
    done = subprocess.run(["git", "apply", *options], input=diff.encode(), cwd=directory, env=env, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_there_are_four():
    assert [names[0] for names in ADDED] == ["test_coral", "test_style_contrast", "test_npz", "test_adagrad"]


@pytest.mark.parametrize("diff", DIFFS, ids=[names[0] for names in ADDED])
def test_they_apply(diff):
    apply(diff, ROOT, "--check")


@pytest.mark.thorough
@pytest.mark.parametrize(("diff", "names"), list(zip(DIFFS, ADDED, strict=True)), ids=[names[0] for names in ADDED])
def test_they_pass(diff, names, tmp_path):
    """In a copy: the tests that they add, a killed run of a new optimiser, and the table of options."""
    for name in ("nst_graph", "tests", "docs", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "model"):
        (tmp_path / name).symlink_to(ROOT / name)
    apply(diff, tmp_path)
    files = re.findall(r"^\+\+\+ b/(tests/.*)", diff, re.MULTILINE)
    files = {"tests/commands/test_paint.py", "tests/test_going_on.py", *files}
    chosen = " or ".join([*names, "table_of_options", "no_kind_of_state", "adagrad"])
    command = [sys.executable, "-m", "pytest", "-v", "-n", "0", *sorted(files), "-k", chosen]
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0 and all(f"{name} PASSED" in done.stdout for name in names), done.stdout
