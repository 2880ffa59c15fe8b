"""A run touches nothing in its directory but the files that have names of a run's, and goes on wherever it lies."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import FIRST_LAYERS, ROOT, hashes, loss_rows, random_layers, random_picture, run_here, save_mat, stop_at
from processes import run_python, start_script, wait_until

import nst_graph
from nst_graph import images, painting, places
from nst_graph.commands import paint_many
from nst_graph.errors import InputError, Pause
from nst_graph.runs import page
from nst_graph.settings import Settings

SETTINGS = Settings(iterations=4, save_every=2, **FIRST_LAYERS)


@pytest.fixture
def paint(pictures_dir, network_file):
    def call(output, settings=SETTINGS, content="photo.png", stop=None, **given):
        given = {"weights_file": network_file, "observers": [stop_at(stop)]} | given
        return nst_graph.paint(pictures_dir / content, pictures_dir / "painting.png", settings, output=output, **given)

    return call


def refused(words, *expected):
    done = run_here("paint.py", *words)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    for word in expected:
        assert word in done.stderr


def test_a_directory_of_ones_own_pictures(tmp_path, pictures_dir, network_file):
    """What was once deleted: pictures of the names that runs use, where no run is."""
    for name in ("photo.png", "painting.png"):
        shutil.copy(pictures_dir / name, tmp_path / name.replace("painting", "style-1"))
    for name in ("style-monet.png", "content.png", "index.html", "iteration-00100.png", ".final.png.12345678"):
        (tmp_path / name).write_bytes(name.encode())
    before = hashes(tmp_path)
    words = [tmp_path / "photo.png", tmp_path / "style-1.png", "--weights", network_file, "--output", tmp_path]
    for more in ([], ["--overwrite"]):
        refused([*words, *more], "is not this program's; move it away, or name another directory")
        assert hashes(tmp_path) == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "my-project"}', "not JSON"])
def test_somebody_elses_run_json(tmp_path, pair, network_file, text):
    (tmp_path / "run.json").write_text(text)
    words = [*pair, "--weights", network_file]
    refused([*words, "--output", tmp_path, "--overwrite"], "not a run's record; name another directory")
    assert hashes(tmp_path) == {"run.json": hashlib.sha256(text.encode()).hexdigest()}


def test_a_picture_outside_the_directory(tmp_path, paint):
    """A record of what no run can have written is no record."""
    paint(tmp_path / "run")
    (tmp_path / "mine.png").write_bytes(b"mine")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    for suffix in ("/../mine.png", ".txt", "../mine.png"):
        picture = {"suffix": suffix, "sha256": [hashlib.sha256(b"mine").hexdigest()]}
        (tmp_path / "run" / "run.json").write_text(json.dumps(record | {"picture": picture}))
        with pytest.raises(InputError, match="not a run's record"):
            paint(tmp_path / "run", overwrite=True)
    assert (tmp_path / "mine.png").read_bytes() == b"mine"


def test_what_is_not_the_runs_stays(tmp_path, paint):
    """In a run's directory the names decide: what has none of a run's is left alone."""
    paint(tmp_path / "run", replace(SETTINGS, iterations=2, save_every=1, tensorboard=True))
    mine = ["notes.txt", "final.psd", "retouched-final.png", "iteration-2.png", ".sources/photo.png"]
    mine += ["tensorboard/events.out.tfevents.mine", "style-.png"]
    for name in mine:
        (tmp_path / "run" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "run" / name).write_bytes(b"of mine")
    (tmp_path / "run" / "final.png").write_bytes(b"retouched")
    paint(tmp_path / "run", Settings(iterations=1), overwrite=True)
    assert all((tmp_path / "run" / name).read_bytes() == b"of mine" for name in mine)
    assert [path.name for path in (tmp_path / "run").glob("iteration-0*")] == ["iteration-00000.png"]
    assert [path.name for path in (tmp_path / "run" / "tensorboard").iterdir()] == ["events.out.tfevents.mine"]
    assert iio.imread(tmp_path / "run" / "final.png").shape == (48, 64, 3)


@pytest.mark.parametrize("state", ["painting", "interrupted", "finished"])
def test_runs_of_the_version_before(tmp_path, paint, pictures_dir, state):
    """They listed their files. Finished ones are shown, painted like and gone on with; others are painted on from."""
    run = tmp_path / "run"
    page.write_gallery(tmp_path)
    paint(run)
    record = json.loads((run / "run.json").read_text())
    listed = {name: [digest] for name, digest in hashes(run).items()}
    offset = record["outcome"].pop("iteration_offset")
    outcome = record["outcome"] | {"state": state, "before": offset}
    record["stages"][0]["plan"] = {"tile": None, "pairs": 10, "vector_dtype": None}
    record |= {"mark": "0123456789abcdef", "files": listed, "outcome": outcome}
    (run / "run.json").write_text(json.dumps(record))
    if state != "finished":
        (run / "state.npz").write_bytes(b"of another kind")
        if state == "painting":
            (run / "final.png").unlink()
        before = hashes(run)
        last = run / ("iteration-00004.png" if state == "painting" else "final.png")
        refused(["--resume", run], "of an older version, which cannot go on; paint on from", f"--init {last}")
        assert hashes(run) == before
    else:
        assert "is finished" in run_here("paint.py", "--resume", run).stdout
        assert run_here("paint.py", "--resume", run, "--more", 1).returncode == 0
    pair = [pictures_dir / "painting.png", pictures_dir / "photo.png"]
    assert run_here("paint.py", *pair, "--like", run, "--output", tmp_path / "like").returncode == 0
    assert '"name": "run"' in (tmp_path / "index.html").read_text()
    paint(run, Settings(iterations=1), overwrite=True)
    assert not {"mark", "files"} & json.loads((run / "run.json").read_text()).keys()


def test_a_start_in_the_run_that_is_replaced(tmp_path, paint):
    paint(tmp_path / "run")
    before = hashes(tmp_path / "run")
    with pytest.raises(InputError, match=r"final\.png: a file of the run that overwrite replaces; name a copy"):
        paint(tmp_path / "run", Settings(iterations=2, init=str(tmp_path / "run" / "final.png")), overwrite=True)
    assert hashes(tmp_path / "run") == before


def test_a_gallery_that_is_somebody_elses(tmp_path, paint, monkeypatch):
    monkeypatch.setattr(places, "OUTPUT", tmp_path)
    (tmp_path / "index.html").write_text("<h1>mine</h1>")
    paint(tmp_path / "one")
    assert (tmp_path / "index.html").read_text() == "<h1>mine</h1>"
    (tmp_path / "index.html").unlink()
    for name in ("two", "three"):
        paint(tmp_path / name)
        assert f'"{name}"' in (tmp_path / "index.html").read_text()


def test_a_run_goes_on_wherever_it_and_its_pictures_went(tmp_path, pictures_dir, network_file, monkeypatch):
    """Relative names, another working directory, a renamed run, pictures that are gone: its copies serve."""
    for name in ("photo.png", "painting.png", "other.png"):
        shutil.copy(pictures_dir / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "away").mkdir()
    settings = replace(SETTINGS, iterations=6, init="other.png")
    given = {"weights_file": network_file, "output": "run", "observers": [stop_at(3)]}
    with pytest.raises(Pause):
        nst_graph.paint("photo.png", "painting.png", settings, **given)
    assert (tmp_path / "run" / ".sources").is_dir()
    shutil.copytree(tmp_path / "run", tmp_path / "renamed")
    monkeypatch.chdir(tmp_path / "away")
    done = run_here("paint.py", "--resume", "../renamed")
    assert done.returncode == 0, done.stderr
    for name in ("photo.png", "painting.png", "other.png"):
        (tmp_path / name).unlink()
    done = run_here("paint.py", "--resume", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "run" / ".sources").exists()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["content"]["path"] == str(tmp_path / "photo.png")


def test_without_a_copy_it_says_how(tmp_path, pictures_dir, network_file):
    photo = tmp_path / "photo.bmp"  # whose bytes are not those of the run's content.png

    def begin(output):
        iio.imwrite(photo, random_picture(48, 64, 1).astype(np.uint8))
        given = {"weights_file": network_file, "output": output, "observers": [stop_at(0)]}
        with pytest.raises(Pause):
            nst_graph.paint(photo, pictures_dir / "painting.png", SETTINGS, **given)
        shutil.rmtree(output / ".sources")

    begin(tmp_path / "one")
    photo.rename(tmp_path / "one" / "found by its bytes")
    assert run_here("paint.py", "--resume", tmp_path / "one").returncode == 0
    begin(tmp_path / "two")
    photo.unlink()
    refused(["--resume", tmp_path / "two"], "is gone; put it back, or a copy of it into the run's directory")


def test_options_to_a_finished_run(tmp_path, paint):
    paint(tmp_path / "run")
    refused(["--resume", tmp_path / "run", "--seed", 9], "is finished, and --seed can change nothing", "--init")
    refused(["--resume", tmp_path / "run", "--iterations", 4], "--iterations 4: 4 are painted already; give more")
    refused(["--resume", tmp_path / "run", "--more", 0], "--more 0: give a whole number above 0")
    refused(["--resume", tmp_path / "run", "--more", 1, "--iterations", 9], "--more 1: give ", "and no --iterations")
    assert run_here("paint.py", "--resume", tmp_path / "run").returncode == 0


def losses(path):
    return [(int(row["iteration"]), float(row["total"])) for row in loss_rows(path)]


@pytest.mark.parametrize(
    ("words", "settings", "optimiser"),
    [
        (["--more", 3], {}, "SciPy's L-BFGS"),
        (["--iterations", 7], {"scales": (8, 48), "scale_iterations": (9, 5)}, "SciPy's L-BFGS"),
        (["--more", 3], {"lbfgs": "graph"}, "the graph's L-BFGS"),
        (["--more", 3], {"optimiser": "adam"}, "Adam"),
        (["--more", 3], {"optimiser": "gradient-descent", "rate": 1e-6}, "gradient descent"),
    ],
)
def test_more_of_a_finished_run(tmp_path, paint, words, settings, optimiser):
    """It goes on from final.png, and counts on; a scale that was left out does not count."""
    picture, run = tmp_path / "run.png", tmp_path / "run"
    paint(picture, Settings(iterations=4, save_every=2, **settings))
    at = 9 if "scales" in settings else 4
    first, final = losses(run), (run / "final.png").read_bytes()
    done = run_here("paint.py", "--resume", run, *words)
    assert done.returncode == 0, done.stderr
    assert f"goes on from iteration {at}\n" in done.stdout and f"3 iterations of {optimiser}" in done.stdout
    assert f"{picture}: {at + 3} iterations" in done.stdout
    after = losses(run)
    assert after[: at + 1] == first and [iteration for iteration, _ in after] == [*range(at + 4)]
    assert after[-1][1] < first[-1][1]
    assert final != (run / "final.png").read_bytes() == picture.read_bytes()
    record = json.loads((run / "run.json").read_text())
    assert record["settings"]["iterations"] == 7 and record["outcome"]["state"] == "finished"
    assert not (run / "state.npz").exists() and not (run / ".sources").exists()


def test_more_that_is_interrupted(tmp_path, paint, monkeypatch):
    """It goes on as any other; before its first step it is where the run was finished."""
    paint(tmp_path / "run")

    def stop(*_):
        raise Pause

    for at_once in (True, False):
        with monkeypatch.context() as patch, pytest.raises(Pause):
            if at_once:
                patch.setattr(painting, "minimise", stop)
            paint(tmp_path / "run", replace(SETTINGS, iterations=7), resume=True, stop=5)
        refused(["--resume", tmp_path / "run", "--more", 1], "--more 1: ", "is not finished; --resume alone goes on")
    assert run_here("paint.py", "--resume", tmp_path / "run").returncode == 0
    assert [iteration for iteration, _ in losses(tmp_path / "run")] == [*range(8)]


def test_like_another_run(tmp_path, paint, pictures_dir, network_file):
    """Its settings, weights and start, with other pictures; an option wins, and it may be a line of a list."""
    settings = replace(SETTINGS, iterations=3, pooling="max", init=str(pictures_dir / "other.png"))
    paint(tmp_path / "one", settings)
    pair = [pictures_dir / "painting.png", pictures_dir / "photo.png"]
    words = [*pair, "--like", tmp_path / "one", "--seed", 3, "--output", tmp_path / "two"]
    done = run_here("paint.py", *words)
    assert done.returncode == 0, done.stderr
    one, two = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("one", "two"))
    assert two["settings"] == one["settings"] | {"seed": 3}
    assert two["weights"] == one["weights"] and two["content"]["path"] == str(pair[0])
    (tmp_path / "list.csv").write_text(f"content,styles,like,output\n{pair[0]},{pair[1]},one,three\n")
    (job,) = paint_many.read_list(tmp_path / "list.csv")
    assert job.settings == settings and job.weights == network_file
    refused([*pair, "--like", tmp_path / "none"], "none: holds no run")
    refused([*pair, "--like", tmp_path / "one", "--recipe", "devos"], "leave --recipe out")
    refused(["--like", tmp_path / "one"], "CONTENT is missing")


@pytest.mark.parametrize("ignored", [False, True])
def test_a_closed_terminal(tmp_path, pair, network_file, ignored):
    """SIGHUP saves the state; under nohup, which ignores it, the run paints on."""
    words = [*pair, "--weights", network_file, "--output", tmp_path / "run", "--iterations", 4000, "--save-every", 2000]
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        process = start_script("paint.py", *words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_until((tmp_path / "run" / "losses.csv").exists, process)
    process.send_signal(signal.SIGHUP)
    time.sleep(1)
    if ignored:
        assert process.poll() is None
        process.kill()
    process.wait(timeout=60)
    state = json.loads((tmp_path / "run" / "run.json").read_text())["outcome"]["state"]
    assert (state, (tmp_path / "run" / "state.npz").exists()) == (
        ("painting", False) if ignored else ("interrupted", True)
    )


def test_a_film_without_saved_pictures(tmp_path, paint):
    paint(tmp_path / "run", Settings(iterations=2, timelapse="gif"))
    assert (tmp_path / "run" / "timelapse.gif").stat().st_size > 100


def test_a_region_that_pooling_leaves_out(tmp_path, paint, pictures_dir):
    """43 rows are 21 after a pooling: the last is seen by the first layers alone."""
    (tmp_path / "odd.png").write_bytes(images.to_png(random_picture(43, 64)))
    rows = np.zeros((43, 64, 3), np.float32)
    rows[42:] = 255
    (tmp_path / "edge.png").write_bytes(images.to_png(rows))
    (tmp_path / "rest.png").write_bytes(images.to_png(255 - rows))
    masks = [tmp_path / "edge.png", tmp_path / "rest.png"]

    def masked(**settings):
        given = {"weights_file": tmp_path / "small.mat", "masks": masks, "say": said.append}
        styles = [pictures_dir / "painting.png", pictures_dir / "other.png"]
        return nst_graph.paint(tmp_path / "odd.png", styles, Settings(iterations=4, **settings), **given)

    save_mat(tmp_path / "small.mat", random_layers(), "current")
    said = []
    for settings in ({}, {"tile": 32}, {"scales": (32,), "scale_iterations": (2,)}):
        assert np.isfinite(masked(**settings).outcome.step.total)
    with pytest.raises(InputError, match=r"edge\.png: at 64 x 43 it covers no position of a style layer"):
        masked(style_layers={"conv2_1": 1.0})


MEMORY = """
import sys
sys.path.insert(0, {root!r})
import nst_graph
for turn in range({turns}):
    nst_graph.paint({photo!r}, {painting!r}, nst_graph.Settings(iterations=2), weights_file={weights!r})
    print(int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="Linux tells a process's memory there")
@pytest.mark.thorough
def test_twenty_paintings_in_one_process(pictures_dir, network_file):
    photo, painting = str(pictures_dir / "photo.png"), str(pictures_dir / "painting.png")
    given = {"root": str(ROOT), "turns": 20, "photo": photo, "painting": painting, "weights": str(network_file)}
    done = run_python(MEMORY.format(**given))
    used = list(map(float, done.stdout.split()))
    assert len(used) == 20 and used[-1] - used[1] < 20, (used, done.stderr)
