"""What users do by mistake, and find out later: each ends with one line, or with what was meant."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import FIRST_LAYERS, ROOT, random_picture, run_here, run_script, stop_at
from processes import run_python

import nst_graph
from nst_graph import files
from nst_graph.errors import Pause
from nst_graph.model.tensorflow import tf
from nst_graph.runs import run
from nst_graph.settings import Settings

FEW = ("--size", 32, "--iterations", 4, "--save-every", 2, "--content-layers", "conv1_1", "--style-layers", "conv1_1")
WORDS = ("photo.png", "painting.png", "--weights", "weights.mat", *FEW)


@pytest.fixture
def here(tmp_path, monkeypatch, network_file):
    """A directory with pictures, where the commands run."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("photo.png", "painting.png", "other.png")):
        iio.imwrite(name, random_picture(48, 64, seed).astype(np.uint8))
    (tmp_path / "weights.mat").symlink_to(network_file)
    return tmp_path


def paint(*words):
    return run_here("paint.py", *WORDS, *words)


def begun(output):
    """A run that stopped at its second iteration."""
    settings = Settings(size=32, iterations=4, save_every=2, **FIRST_LAYERS)
    given = {"weights_file": "weights.mat", "output": output, "observers": [stop_at(2)]}
    with pytest.raises(Pause):
        nst_graph.paint("photo.png", "painting.png", settings, **given)


def write_list(painting="painting.png"):
    row = f"photo.png,{painting},32,2,weights.mat,out"
    with open("list.csv", "w") as file:
        file.write(f"content,styles,size,iterations,weights,output\n{row}\n")


@pytest.mark.parametrize("replaced", ["photo.png", "painting.png", None])
def test_a_finished_painting_of_other_pictures(here, replaced):
    """A list whose pictures have changed does not pass off what was painted from the old ones."""
    write_list()
    assert run_here("paint_many.py", "list.csv").returncode == 0
    assert "out: is finished" in run_here("paint_many.py", "list.csv").stdout
    before = (here / "out" / "final.png").read_bytes()
    if replaced is None:
        write_list("other.png")
    else:
        iio.imwrite(replaced, random_picture(48, 64, 9).astype(np.uint8))
    again = run_here("paint_many.py", "list.csv")
    assert again.returncode == 2 and "is finished" not in again.stdout
    assert "holds a painting of other pictures" in again.stderr and again.stderr.count("\n") == 1
    assert (here / "out" / "final.png").read_bytes() == before


def test_a_list_says_how_far_it_is(here):
    write_list()
    with open("list.csv") as file:
        text = file.read().replace("iterations,", "iterations,save_every,").replace("32,2,", "32,4,2,")
    with open("list.csv", "w") as file:
        file.write(text)
    out = run_here("paint_many.py", "list.csv").stdout
    assert f"{here / 'out'}: iteration 2 of 4, loss" in out and f"{here / 'out'}: is painted" in out


@pytest.mark.parametrize(("below", "word"), [(".", "."), ("deeper", "..")])
def test_resumed_from_within(here, monkeypatch, below, word):
    """The run in the directory one is in, or in the one above, with its picture beside it."""
    begun("result.jpg")
    (here / "result" / below).mkdir(exist_ok=True)
    monkeypatch.chdir(here / "result" / below)
    before = (here / "result.jpg").read_bytes()
    assert run_here("paint.py", "--resume", word).returncode == 0
    assert (here / "result.jpg").read_bytes() != before
    assert not [path for path in here.rglob(".*") if path.suffix == ".jpg"]
    assert run_here("paint.py", "--resume", word, "--more", 2).returncode == 0


def test_settings_of_matplotlib_are_left_aside(here):
    """No backend, LaTeX or font that is not there, nor what is no setting, ends a painting or changes its curves."""
    Path("matplotlibrc").write_text("text.usetex: True\nfont.family: nowhere\nno setting at all\n")
    environment = os.environ | {"MATPLOTLIBRC": ".", "MPLBACKEND": "no-such-backend"}
    done = run_script("paint.py", *WORDS, "--output", "run", env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert iio.imread("run/losses.png").shape[:2] == (450, 800)


def test_a_notebooks_backend_from_python(here):
    """There the environment is the user's: the painting is finished, without its curves."""
    code = """
import nst_graph
settings = nst_graph.Settings(size=32, iterations=2)
nst_graph.paint("photo.png", "painting.png", settings, weights_file="weights.mat", output="run")
"""
    done = run_python(code, env=os.environ | {"MPLBACKEND": "no-such-backend"})
    assert done.returncode == 0, done.stderr
    assert (here / "run" / "final.png").exists() and not (here / "run" / "losses.png").exists()


def test_without_the_environment(here):
    """By a Python that has not what the program needs."""
    for script in sorted((ROOT / "scripts").glob("[!s]*.py")):
        command, environment = [sys.executable, "-S", script, "--help"], {"PATH": os.environ["PATH"]}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and done.stdout == ""
        assert "make paint" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("script", ["paint", "paint_many", "paint_video", "studio", "get_weights", "figures"])
def test_a_safe_path(here, script):
    """With python -P, or PYTHONSAFEPATH, a script's directory is not on the path of modules."""
    done = subprocess.run([sys.executable, "-P", ROOT / "scripts" / f"{script}.py", "--help"], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"") and done.stdout.startswith(b"usage: ")


def test_the_home_directory(here, monkeypatch):
    """~ wherever a path is named, in commands, lists and Python; ./~ is a file called so."""
    home = here / "home"
    home.mkdir()
    for path in [path for path in here.iterdir() if path.is_file()]:
        path.rename(home / path.name)
    monkeypatch.setenv("HOME", str(home))
    words = ["~/photo.png", "~/painting.png", "--masks", "~/other.png", "--init", "~/other.png"]
    done = run_here("paint.py", *words, "--weights", "~/weights.mat", "--output=~/run", *FEW)
    assert (done.returncode, done.stderr) == (0, "") and (home / "run" / "final.png").exists()
    names = "content,styles,masks,init,weights,output,size,iterations,save_every,content_layers,style_layers"
    row = "~/photo.png,~/painting.png,~/other.png,~/other.png,~/weights.mat,~/run,32,4,2,conv1_1,conv1_1"
    (here / "list.csv").write_text(f"{names}\n{row}\n")
    assert f"{home / 'run'}: is finished" in run_here("paint_many.py", "list.csv").stdout
    settings = Settings(size=32, iterations=4, save_every=2, init="~/other.png")
    named = {"masks": "~/other.png", "weights_file": "~/weights.mat"}
    painted = nst_graph.paint("~/photo.png", ["~/painting.png"], settings, output="~/python.png", **named)
    painted.save("~/saved.png")
    assert (home / "saved.png").exists() and (home / "python.png").exists()
    done = run_here("paint.py", *words[:2], "--weights", "~/weights.mat", "--output", "./~", *FEW)
    assert done.returncode == 0 and {path.name for path in here.iterdir()} == {"home", "list.csv", "~"}
    assert f"painted {here / '~' / 'final.png'}: " in done.stdout  # as it can be named again
    code = "from nst_graph import places; print(places.MODEL)"
    done = run_python(code, env=os.environ | {"NST_GRAPH_HOME": "~/weights"})
    assert done.stdout == f"{home / 'weights'}\n"


@pytest.mark.parametrize("address", ["https://example.org/a.jpg", "HTTP://example.org/a%20b.png?size=2"])
def test_an_address_in_the_place_of_a_picture(here, address):
    expected = f"{address}: an address, not a file; download it first"
    for words in ([address, "painting.png"], ["photo.png", address], ["photo.png", "painting.png", "--init", address]):
        done = run_here("paint.py", *words)
        assert done.returncode == 2 and expected in done.stderr and done.stderr.count("\n") == 1
    for pair in ((address, "painting.png"), ("photo.png", ["painting.png", address])):
        with pytest.raises(nst_graph.InputError, match=re.escape(expected)):
            nst_graph.paint(*pair)


def test_interrupted_while_it_finishes(here, monkeypatch):
    """Once run.json says that the run is finished, Ctrl-C does not make it unfinished."""
    draw = run.losses.draw

    def interrupted(losses, say):
        signal.raise_signal(signal.SIGINT)
        return draw(losses, say)

    monkeypatch.setattr(run.losses, "draw", interrupted)
    assert paint("--output", "run").returncode == 0
    assert "run: is finished" in run_here("paint.py", "--resume", "run").stdout
    assert not (here / "run" / "state.npz").exists() and (here / "run" / "losses.png").exists()


@pytest.mark.parametrize("strips", [(), ("--tile", 16)])
def test_interrupted_amid_the_gradient(here, monkeypatch, strips):
    """TensorFlow handles errors there, and an interruption among them would come out as another error."""
    gradients, ended = tf.gradients, []

    def interrupted(*arguments, **named):
        signal.raise_signal(signal.SIGINT)
        ended.append(gradients(*arguments, **named))
        return ended[-1]

    monkeypatch.setattr(tf, "gradients", interrupted)
    done = paint("--output", "run", *strips)
    assert done.returncode == 130 and "interrupted" in done.stderr and len(ended) == 1
    assert json.loads((here / "run" / "run.json").read_text())["outcome"]["state"] == "interrupted"


@pytest.mark.parametrize("number", [0, 1001, 10**12])
def test_too_many_corrections(here, number):
    began = time.monotonic()
    done = paint("--corrections", number)
    assert done.returncode == 2 and f"--corrections {number}: give a whole number" in done.stderr
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("words", [["photo.png", ""], ["", "painting.png"], ["photo.png", "painting.png", "-o", ""]])
def test_an_empty_name(here, words):
    """As of a variable that is not set: not the current directory."""
    done = run_here("paint.py", *words)
    assert done.returncode == 2 and "a name is empty; name a file or a directory" in done.stderr
    assert not (here / "run.json").exists()


def test_another_size_at_a_resume(here):
    begun("run")
    done = run_here("paint.py", "--resume", "run", "--size", 24)
    assert done.returncode == 2 and "with the size and the scales that it was begun with" in done.stderr


def test_a_name_as_long_as_the_system_allows(here):
    name = f"{'m' * 247}.jpg"  # 251 bytes, with the run's directory beside
    assert paint("--output", name).returncode == 0 and (here / name).exists()
    name = "ü" * 125 + ".jpg"
    with files.atomic(here / name) as file:
        file.write(b"whole")
    assert (here / name).read_bytes() == b"whole"


@pytest.mark.parametrize(
    "outcome", [{}, {"iterations": "4", "iteration_offset": 0}, {"iterations": 4, "iteration_offset": None}]
)
def test_more_of_a_run_whose_record_lacks_counts(here, outcome):
    assert paint("--output", "run").returncode == 0
    path = here / "run" / "run.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"outcome": {"state": "finished"} | outcome}))
    done = run_here("paint.py", "--resume", "run", "--more", 2)
    assert done.returncode == 2 and "a run of an older version" in done.stderr and done.stderr.count("\n") == 1


def test_help_into_a_closed_pipe():
    for option in ("--help", "--help-all"):
        command = f"{sys.executable} {ROOT / 'scripts' / 'paint.py'} {option} > /dev/full; echo $?"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("0\n", "")


def test_an_error_that_nobody_can_read(here):
    command = f"{sys.executable} {ROOT / 'scripts' / 'paint.py'} none.jpg painting.png 2> /dev/full; echo $?"
    assert subprocess.run(["bash", "-c", command], capture_output=True, text=True).stdout == "2\n"


def test_a_directory_named_like_a_picture(here):
    """Among the styles of a directory it is no style."""
    (here / "styles" / "more.jpg").mkdir(parents=True)
    (here / "painting.png").rename(here / "styles" / "painting.png")
    done = run_here("paint.py", "photo.png", "styles", "--weights", "weights.mat", *FEW, "--output", "run")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("debug", ["0", pytest.param("1", marks=pytest.mark.thorough)])
def test_a_defect_of_ours_is_told_as_one(here, debug, monkeypatch):
    """Not as the user's mistake: in one line with where to report it, status 1; the traceback is for who asks."""
    monkeypatch.setenv("NST_GRAPH_DEBUG", debug)
    broken = "import sys; from nst_graph.images import reading; reading._rgb = None\n"
    done = run_python(broken + "from nst_graph.commands.paint import main; sys.exit(main())", *WORDS, "--output", "run")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert "a defect of nst_graph" in lines[-1] and "TypeError" in lines[-1] and "/issues" in lines[-1]
    assert len(lines) == 1 if debug == "0" else "Traceback" in lines[0]
    assert not Path("run").exists()
    done = run_here("paint.py", "photo.png", "nothing.png", "--output", "run")
    assert done.returncode == 2 and ("Traceback" in done.stderr) == (debug == "1")
