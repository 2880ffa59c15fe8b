"""Odd machines, names and outputs: a painting all the same, or one line that says what to do."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import command, run_here, run_script, stop_at
from processes import run_python

import nst_graph
from nst_graph import machine, places
from nst_graph.commands import paint as cli
from nst_graph.errors import Pause
from nst_graph.model import vgg
from nst_graph.settings import Settings

SETTINGS = ["--iterations", "4", "--save-every", "2"]
#: What a shell may have set that Python would otherwise make good.
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
ODD_NAME = "a 'b' \"c\"\n<script>\x1b[31m Ťüη 山水.png"


@pytest.fixture
def words(pair, network_file, tmp_path):
    return [*pair, "--weights", network_file, "--output", tmp_path / "run", *SETTINGS]


def painted(done, directory):
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    for name in ("iteration-00002.png", "iteration-00004.png", "final.png", "content.png"):
        assert iio.imread(directory / name).shape == (48, 64, 3)
    assert json.loads((directory / "run.json").read_text())["outcome"]["state"] == "finished"
    assert (directory / "index.html").exists() and not (directory / "state.npz").exists()


@pytest.mark.parametrize(
    "changes",
    [{"HOME": None}, {"HOME": "/proc/none"}, ASCII, {"TF_ENABLE_ONEDNN_OPTS": "0"}, {"TERM": "dumb", "COLUMNS": "1"}],
    ids=["no home", "a home that is not there", "LANG=C", "no oneDNN", "a narrow terminal"],
)
@pytest.mark.thorough
def test_environments(words, tmp_path, changes):
    kept = {name: value for name, value in (os.environ | changes).items() if value is not None}
    painted(run_script("paint.py", *words, env=kept), tmp_path / "run")
    said = json.loads((tmp_path / "run" / "run.json").read_text())["TF_ENABLE_ONEDNN_OPTS"]
    assert said == kept.get("TF_ENABLE_ONEDNN_OPTS", "1" if machine.has_avx2() else None)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="not on this system")
def test_an_empty_environment_and_one_core(words, tmp_path):
    """There TensorFlow, too, prints nothing."""
    core = {min(os.sched_getaffinity(0))}
    done = run_script("paint.py", *words, env={}, preexec_fn=lambda: os.sched_setaffinity(0, core))
    painted(done, tmp_path / "run")
    beginnings = (str(words[0]), "loading ", "VGG-16 paints", "iteration ", "4 iterations", "watch ", "painted ")
    assert all(line.startswith(beginnings) for line in done.stdout.splitlines()), done.stdout


def test_names_of_any_letters(words, tmp_path, pictures_dir):
    """In a locale of ASCII alone, as content, as style, and as the run's directory."""
    directory = tmp_path / ODD_NAME
    directory.mkdir()
    for name, role in (("photo.png", "content"), ("painting.png", "style")):
        shutil.copy(pictures_dir / name, directory / f"{role} {ODD_NAME}")
    output = directory / "run \udcff"  # a name that is no UTF-8
    files = [directory / f"{role} {ODD_NAME}" for role in ("content", "style")]
    done = run_script("paint.py", *files, *words[2:4], "--output", output, *SETTINGS, env=os.environ | ASCII)
    painted(done, output)
    assert "\x1b" not in done.stdout and "only 64 x 48 pixels" in done.stdout
    page = (output / "index.html").read_text()
    assert "\x1b" not in page and "\\u003cscript>\\u001b[31m" in page and "\\u5c71" in page
    again = run_script("paint.py", "--resume", output, env=os.environ | ASCII)
    assert again.returncode == 0 and "is finished" in again.stdout and again.stdout.count("\n") == 1
    missing = run_script("paint.py", directory / f"none {ODD_NAME}", files[1], env=os.environ | ASCII)
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1), missing.stderr
    assert "no such file" in missing.stderr


@pytest.mark.thorough
def test_long_paths(words, tmp_path, pictures_dir):
    """A path of 250 characters, a picture's name as long as the system allows, and the directory's name from two."""
    place = tmp_path
    while len(str(place)) < 240:
        place = place / ("d" * max(1, min(50, 247 - len(str(place)))))
    place.mkdir(parents=True)
    photo, painting = place / f"{'p' * 251}.png", place / f"{'q' * 251}.png"
    shutil.copy(pictures_dir / "photo.png", photo)
    shutil.copy(pictures_dir / "painting.png", painting)
    painted(run_script("paint.py", photo, painting, *words[2:4], "--output", place / "r", *SETTINGS), place / "r")
    output = cli.job([str(photo), str(painting)]).output
    assert output.parent == places.OUTPUT and len(output.name) <= 200 and "ppp-qqq" in output.name
    missing = run_script("paint.py", place / ("x" * 300), painting)
    assert missing.returncode == 2 and "File name too long" in missing.stderr and missing.stderr.count("\n") == 1


def test_another_file_system(words, tmp_path):
    """Files are written where they will be, not moved there from another disk."""
    disk = "/dev/shm"
    if not os.access(disk, os.W_OK) or os.stat(disk).st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("no other file system at hand")
    output = tmp_path / "run"
    target = f"{disk}/nst_graph-{os.getpid()}"
    os.mkdir(target)
    try:
        output.symlink_to(target)
        painted(run_here("paint.py", *words), output)
    finally:
        shutil.rmtree(target)


def test_a_read_only_file_system(words, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        done = run_here("paint.py", *words[:4], "--output", disk / "run", *SETTINGS)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert "Read-only file system; name a directory that can be written" in done.stderr
    finally:
        subprocess.run(["umount", disk], check=True)


#: Several command lines in one process: the status of each.
EACH = """
import json, sys
from nst_graph.commands.paint import main
print([main(words) for words in json.loads(sys.argv[1])])
"""


def test_a_pipe_that_nobody_writes_to(words, tmp_path):
    """In the place of content, style, weights or a list: reading it would wait for ever."""
    os.mkfifo(tmp_path / "pipe.csv")
    lines = [[*map(str, words)] for _ in range(3)]
    for line, place in zip(lines, (0, 1, 3), strict=True):
        line[place] = str(tmp_path / "pipe.csv")
    done, listed = run_python(EACH, json.dumps(lines)), run_script("paint_many.py", tmp_path / "pipe.csv")
    assert done.stdout.splitlines()[-1] == "[2, 2, 2]" and listed.returncode == 2
    for told, count in ((done.stderr, 3), (listed.stderr, 1)):
        assert told.count("pipe.csv: a pipe or a device") == told.count("\n") == count


def without_privileges():
    """What goes before a command for a user whom permissions bind; root gives up what lets it pass them by."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root passes permissions by, and there is no setpriv")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def test_permissions(words, tmp_path, pictures_dir):
    photo, weights, closed = tmp_path / "photo.png", tmp_path / "weights.mat", tmp_path / "closed"
    shutil.copy(pictures_dir / "photo.png", photo)
    shutil.copy(words[3], weights)
    closed.mkdir()
    for path, mode in ((photo, 0o000), (weights, 0o000), (closed, 0o555)):
        path.chmod(mode)
    cases = {
        f"{photo}: Permission denied; name a file": [photo, *words[1:]],
        f"{weights}: Permission denied; name a file": [*words[:3], weights, *words[4:]],
        f"--output {closed / 'run'}: Permission denied; name a directory that can be written": [
            *words, "--output", closed / "run"
        ],
    }  # fmt: skip
    lines = json.dumps([[*map(str, line)] for line in cases.values()])
    command = [*without_privileges(), sys.executable, "-c", EACH, lines]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout.splitlines()[-1] == "[2, 2, 2]"
    for expected, told in zip(cases, done.stderr.splitlines(), strict=True):
        assert expected in told
    assert not (tmp_path / "run").exists()
    closed.chmod(0o755)


@pytest.mark.parametrize(
    "how",
    ["| head -n 1", *(pytest.param(how, marks=pytest.mark.thorough) for how in (">&-", ">&- 2>&- <&-", "> /dev/full"))],
)
def test_standard_streams(words, tmp_path, how):
    """Nobody reads, or nothing is there to write to: the painting is finished all the same."""
    line = f"{shlex.join(command('paint.py', *words))} {how}"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True)
    painted(done, tmp_path / "run")


def test_a_clock_that_jumps(words, tmp_path, monkeypatch):
    """Back a year, then ahead; the seconds of a run are those of a clock that only goes on."""
    now = time.time()
    jumps = iter([now, now - 3e7] * 1000)
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    settings = Settings(iterations=6, save_every=2)
    seen = []
    nst_graph.paint(
        *words[:2], settings, weights_file=words[3], output=tmp_path / "run", observers=[lambda step: seen.append(step)]
    )
    assert [step.seconds for step in seen] == sorted(step.seconds for step in seen) and seen[-1].seconds < 300
    assert (tmp_path / "run" / "final.png").exists()


@pytest.mark.parametrize(
    ("flags", "most", "avx2", "bfloat16"),
    [
        ("avx", "", False, False),
        ("avx2 fma", "", True, False),
        ("avx2 avx512f", "", True, False),
        ("avx2 avx512f avx512_bf16", "", True, True),
        ("avx2 avx512_bf16 amx_bf16", "AVX512_CORE_AMX", True, True),
        ("avx2 avx512_bf16", "AVX512_CORE", True, False),
        ("avx2 avx512_bf16", "avx2", True, False),
        ("avx2 avx512_bf16", "AVX", False, False),
        ("avx512_bf16x", "", False, False),
        (None, "", False, False),
    ],
)
def test_processors(monkeypatch, tmp_path, flags, most, avx2, bfloat16):
    """What the processor has and oneDNN may use decides."""
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", most)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(f"flags\t\t: {flags}\n")
    assert (machine.has_avx2(), machine.has_bfloat16()) == (avx2, bfloat16)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert not machine.has_bfloat16()


@pytest.mark.parametrize("given", [None, "0", pytest.param("1", marks=pytest.mark.thorough)])
def test_onednn_is_on_where_it_helps(given):
    """What the user says stands; else AVX2 turns it on, before TensorFlow is imported."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    if given is not None:
        environment["TF_ENABLE_ONEDNN_OPTS"] = given
    code = (
        "import os; from nst_graph import machine; from nst_graph.model import tensorflow\n"
        "from tensorflow.python.util import _pywrap_util_port\n"
        "print(os.environ.get('TF_ENABLE_ONEDNN_OPTS'), machine.has_avx2(), _pywrap_util_port.IsMklEnabled())"
    )
    done = run_python(code, env=environment)
    said, avx2, on = done.stdout.split()
    assert said == (given or ("1" if avx2 == "True" else "None"))
    assert on == str(said == "1") or (given is None and avx2 == "False")


@pytest.mark.parametrize(("gain", "fastest"), [(2.1, "bfloat16"), (1.0, "float32"), (0.57, "float32")])
def test_bfloat16_must_be_worth_it(monkeypatch, gain, fastest):
    """A Xeon with the dot product and without AMX takes longer in bfloat16."""
    monkeypatch.setattr(vgg, "has_bfloat16", lambda: True)
    monkeypatch.setattr(vgg, "bfloat16_gain", lambda convolutions: gain)
    assert vgg.fastest_precision("auto") == fastest
    monkeypatch.setattr(vgg, "has_bfloat16", lambda: False)
    assert vgg.fastest_precision("auto") == "float32"


@pytest.mark.parametrize("convolutions", ["auto", "direct"])
def test_the_gain_is_measured(convolutions):
    assert 0.001 < vgg.bfloat16_gain(convolutions) < 1000
    assert vgg.bfloat16_gain(convolutions) == vgg.bfloat16_gain(convolutions)


def test_without_avx512(words, tmp_path, pictures_dir, network_file):
    """oneDNN held to AVX2 paints the same picture but for rounding."""
    painted(run_script("paint.py", *words, env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}), tmp_path / "run")
    painted(run_here("paint.py", *words[:4], "--output", tmp_path / "other", *SETTINGS), tmp_path / "other")
    totals = [json.loads((tmp_path / name / "run.json").read_text())["outcome"]["total"] for name in ("run", "other")]
    assert totals[0] == pytest.approx(totals[1], rel=0.02)
    first, second = (iio.imread(tmp_path / name / "final.png").astype(float) for name in ("run", "other"))
    assert np.abs(first - second).mean() < 2


def test_pipes_in_the_places_of_a_runs_files(tmp_path, pictures_dir, network_file):
    """Neither losses.csv of an unfinished run nor a gallery is waited for."""
    pair, run = (pictures_dir / "photo.png", pictures_dir / "painting.png"), tmp_path / "run"
    os.mkfifo(tmp_path / "index.html")
    with pytest.raises(Pause):
        nst_graph.paint(*pair, Settings(iterations=4), weights_file=network_file, output=run, observers=[stop_at(2)])
    (run / "losses.csv").unlink()
    os.mkfifo(run / "losses.csv")
    done = run_here("paint.py", "--resume", run)
    assert (done.returncode, done.stderr) == (0, "") and (run / "losses.csv").is_file()


#: What one system has and another has not; other packages' modules differ by system, and are there already.
ELSEWHERE = """
import asyncio, contextlib, os, psutil, signal, sys
for module in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[module] = None
for where, names in ((os, ("sysconf", "O_NOFOLLOW")), (signal, ("SIGHUP",))):
    for name in names:
        delattr(where, name)
from nst_graph.commands.paint import main
with contextlib.suppress(SystemExit):
    main(["--help-all"])
sys.exit(main(sys.argv[1:]))
"""


def test_without_what_windows_lacks(words, tmp_path):
    done = run_python(ELSEWHERE, *words)
    assert done.returncode == 0, done.stderr
    assert "--noise-ratio" in done.stdout and (tmp_path / "run" / "final.png").exists()
