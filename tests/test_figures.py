"""The paper's figures, and lists of paintings, alone and through dask."""

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import ROOT, random_picture, run_script

from nst_graph import cli, figures, jobs, records, state
from nst_graph.errors import InputError

needs_dask = pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="dask is an extra")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """All pictures but Picasso's and Kandinsky's, as here."""
    directory = tmp_path_factory.mktemp("images")
    for seed, key in enumerate(("photograph", "turner", "vangogh", "munch")):
        jpeg = random_picture(48, 64, seed).astype(np.uint8)
        iio.imwrite(directory / figures.SOURCES[key].file, jpeg)
    return directory


def test_the_panels_are_the_papers():
    one, two, three = (figures.FIGURES[name]() for name in ("fig1", "fig2", "fig3"))
    sets = [figures.STYLE_LAYERS[:n] for n in range(1, 6)]
    styles = [panel for panel in one.panels if panel.name.startswith("style-")]
    assert [tuple(panel.settings["style_layers"]) for panel in styles] == sets
    assert all(panel.settings["alpha"] == 0 for panel in styles)
    contents = [panel for panel in one.panels if panel.name.startswith("content-")]
    assert [list(panel.settings["content_layers"]) for panel in contents] == [[layer] for layer in figures.STYLE_LAYERS]
    assert all(panel.settings["beta"] == 0 for panel in contents)
    ratios = {panel.name: 1 / panel.settings["beta"] for panel in two.panels if panel.settings}
    assert ratios == pytest.approx({"B": 1e-3, "C": 1e-3, "D": 1e-3, "E": 1e-4, "F": 1e-4})
    assert [panel.style for panel in two.panels] == [None, "turner", "vangogh", "munch", "picasso", "kandinsky"]
    assert len(three.panels) == 20
    for panel in three.panels:
        assert tuple(panel.settings["style_layers"]) == sets[panel.row]
        assert 1 / panel.settings["beta"] == pytest.approx(10.0 ** (panel.column - 5))
        for weight in panel.settings["style_layers"].values():
            assert weight == pytest.approx(1 / (panel.row + 1))


def call(*words):
    done = run_script("figures.py", *words)
    return done


@pytest.mark.parametrize("name", ["fig1", "fig2", "fig3"])
def test_a_small_figure(images, network_file, tmp_path, name):
    panels = {"fig1": ["style-a", "content-e"], "fig2": ["C"], "fig3": ["conv2_1-0.01"]}[name]
    words = [name, "--images", images, "--weights", network_file, "--size", 40, "--iterations", 4]
    words += ["--save-every", 2, "--output", tmp_path, "--panels", *panels]
    if name == "fig3":
        words += ["--painting", images / "the_scream.jpg"]
    done = call(*words)
    assert done.returncode == 0, done.stderr
    assert {file.parent.name for file in tmp_path.glob("*/final.png")} == set(panels)
    sheet = iio.imread(tmp_path / f"{name}.png")
    assert min(sheet.shape[:2]) > 300
    assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    again = call(*words)
    assert again.returncode == 0 and again.stdout.count("is finished") == len(panels)


def test_a_figure_of_other_settings_is_not_mixed(images, network_file, tmp_path):
    words = ["fig2", "--images", images, "--weights", network_file, "--size", 40, "--output", tmp_path, "--panels", "C"]
    assert call(*words, "--iterations", 1).returncode == 0
    changed = call(*words, "--iterations", 2)
    assert changed.returncode == 2 and "holds a run with other settings" in changed.stderr


def test_settings_of_a_panel(images, network_file, tmp_path):
    call("fig3", "--images", images, "--weights", network_file, "--size", 40, "--iterations", 2, "--output", tmp_path,
         "--painting", images / "the_scream.jpg", "--panels", "conv3_1-0.0001")  # fmt: skip
    record = records.read(tmp_path / "conv3_1-0.0001")
    assert record["settings"]["beta"] == pytest.approx(1e4) and record["settings"]["pooling"] == "average"
    assert list(record["settings"]["style_layers"]) == ["conv1_1", "conv2_1", "conv3_1"]
    assert record["styles"][0]["path"].endswith("the_scream.jpg")


def test_missing_pictures_leave_gaps(images, network_file, tmp_path):
    done = call("fig2", "--images", images, "--weights", network_file, "--size", 40, "--iterations", 1,
                "--output", tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {file.parent.name for file in tmp_path.glob("*/final.png")} == {"B", "C", "D"}
    assert (tmp_path / "fig2.png").exists()
    assert "femme_nue_assise.jpg" in figures._gap("picasso")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fig2", "--images", "nowhere"], "--images nowhere: no such directory"),
        (["fig2", "--images", ".", "--panels", "G"], "--panels G: not in fig2; it has B, C, D, E, F"),
        (["fig2", "--images", ".", "--painting", "x.jpg"], "this figure has several"),
        (["fig3", "--images", ".", "--painting", "x.jpg"], "--painting x.jpg: no such file"),
        (["fig9", "--images", "."], "invalid choice"),
        (["fig1", "--images", ".", "--workers", "0"], "--workers 0"),
    ],
)
def test_bad_words(words, expected, capsys):
    assert figures.main(words) == 2
    err = capsys.readouterr().err
    assert expected in err and err.count("\n") == 1


def test_the_trace_prints_losses(images, network_file, capsys, monkeypatch):
    from nst_graph import trace

    monkeypatch.setattr(trace, "PUBLISHED", {2: 9.0, 4: 8.0})
    assert figures.main(["trace", "--images", str(images), "--weights", str(network_file), "--size", "40"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["evaluations", "published", "ours"]
    rows = [line.split() for line in lines[2:]]
    assert [row[:2] for row in rows] == [["2", "9"], ["4", "8"]]
    assert float(rows[1][2]) < float(rows[0][2])


def write_list(directory, name, images, network_file, iterations=6):
    path = directory / name
    content, style = images / "Tuebingen_Neckarfront.jpg", images / "the_scream.jpg"
    if name.endswith(".csv"):
        path.write_text(
            "content,styles,size,iterations,output,weights,style-layers,bounded\n"
            f"{content},{style},40,{iterations},a,{network_file},conv1_1 conv2_1=0.5,true\n"
            f"{content},{style};{images / 'shipwreck.jpg'},40,{iterations},b,{network_file},,\n"
        )
    else:
        path.write_text(
            f'[[painting]]\ncontent = "{content}"\nstyles = ["{style}"]\nsize = 40\niterations = {iterations}\n'
            f'output = "a"\nweights = "{network_file}"\nstyle_layers = ["conv1_1", "conv2_1=0.5"]\nbounded = true\n'
            f'[[painting]]\ncontent = "{content}"\nstyles = ["{style}", "{images / "shipwreck.jpg"}"]\n'
            f'size = 40\niterations = {iterations}\noutput = "b"\nweights = "{network_file}"\n'
        )
    return path


@pytest.mark.parametrize("name", ["list.csv", "list.toml"])
def test_lists(images, network_file, tmp_path, name):
    one, two = jobs.read_list(write_list(tmp_path, name, images, network_file), cli.job)
    assert one.output == tmp_path / "a" and two.output == tmp_path / "b"
    assert dict(one.settings.style_layers) == {"conv1_1": 0.5, "conv2_1": 0.5}
    assert one.settings.bounded and not two.settings.bounded
    assert [style.name for style in two.styles] == ["the_scream.jpg", "shipwreck.jpg"]
    assert one.settings.size == 40 and one.weights == network_file


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("list.txt", "", "not a list of paintings"),
        ("list.toml", "", "names no painting"),
        ("list.toml", "[[painting", "list.toml: "),
        ("list.toml", '[[painting]]\nstyles = ["a.jpg"]', "painting 1: content is missing"),
        (
            "list.toml",
            '[[painting]]\ncontent = "a.jpg"\nstyles = ["b.jpg"]\nsize = "big"',
            "painting 1: argument --size",
        ),
        ("list.toml", '[[painting]]\ncontent = "a.jpg"\nstyles = ["b.jpg"]\nhue = 3', "painting 1: "),
        ("list.csv", "content,styles\na.jpg,b.jpg\na.jpg,b.jpg\n", "painting 2: a second one for"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path, name, text, expected, capsys):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=expected.replace("[", r"\[")):
        jobs.read_list(tmp_path / name, cli.job)


def test_without_dask(images, network_file, tmp_path, monkeypatch, capsys):
    from nst_graph import paint_many

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "distributed" else find(name))
    path = write_list(tmp_path, "list.toml", images, network_file)
    assert paint_many.main([str(path)]) == 0
    assert (tmp_path / "a" / "final.png").exists() and (tmp_path / "b" / "final.png").exists()
    assert paint_many.main([str(path)]) == 0
    assert capsys.readouterr().out.count("is finished") == 2
    assert paint_many.main([str(path), "--workers", "2"]) == 2
    assert "pip install 'nst_graph[many]'" in capsys.readouterr().err


def test_one_that_fails_leaves_the_others(images, network_file, tmp_path, monkeypatch, capsys):
    from nst_graph import paint_many

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "distributed" else find(name))
    path = write_list(tmp_path, "list.csv", images, network_file)
    path.write_text(path.read_text().replace("the_scream.jpg,40", "none.jpg,40", 1))
    assert paint_many.main([str(path)]) == 2
    err = capsys.readouterr().err
    assert "none.jpg: no such file" in err and err.count("\n") == 1
    assert (tmp_path / "b" / "final.png").exists()


def children(pid):
    """Process ids below pid."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listed.splitlines())}
    found = {pid}
    while True:
        more = {child for child, parent in parents.items() if parent in found} - found
        if not more:
            return found - {pid}
        found |= more


@needs_dask
def test_a_figure_by_two_workers_one_of_which_is_killed(images, network_file, tmp_path):
    """The figure is complete all the same, and no more than an interval is painted twice."""
    words = ["fig2", "--images", images, "--weights", network_file, "--size", 64, "--iterations", 150]
    words += ["--save-every", 10, "--output", tmp_path / "figure", "--workers", 2]
    command = [sys.executable, str(ROOT / "scripts" / "figures.py"), *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while len(list((tmp_path / "figure").glob("*/state.npz"))) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    busy = max(children(process.pid), key=_processor_seconds)
    os.kill(busy, signal.SIGKILL)
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    assert "dask dashboard: http" in out
    for name in "BCD":
        directory = tmp_path / "figure" / name
        assert records.read(directory)["outcome"]["state"] == "finished"
        assert records.read(directory)["content"]["path"] == str(images / "Tuebingen_Neckarfront.jpg")
        with (directory / "losses.csv").open(newline="") as file:
            iterations = [int(row["iteration"]) for row in csv.DictReader(file)]
        assert iterations == list(range(151))
        assert len(list(directory.glob("iteration-*.png"))) == 15
        assert not (directory / "state.npz").exists()
    assert (tmp_path / "figure" / "fig2.png").exists()


def _processor_seconds(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return -1
    return int(fields[11]) + int(fields[12])


@needs_dask
def test_what_a_cluster_leaves_can_be_gone_on_with_alone(images, network_file, tmp_path):
    """Interrupted between intervals; then --resume, without dask, in the same directory."""
    path = write_list(tmp_path, "list.toml", images, network_file, iterations=400)
    path.write_text(path.read_text().replace("size = 40", "size = 64\nsave_every = 10"))
    command = [sys.executable, str(ROOT / "scripts" / "paint_many.py"), str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while not (tmp_path / "a" / "state.npz").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=100)
    assert process.returncode == 130
    kept = state.read(tmp_path / "a" / "state.npz").step.iteration
    done = run_script("paint.py", "--resume", tmp_path / "a")
    assert done.returncode == 0, done.stderr
    assert f"goes on from iteration {kept}" in done.stdout
    assert json.loads((tmp_path / "a" / "run.json").read_text())["outcome"]["state"] == "finished"


@needs_dask
def test_no_scheduler_there(images, network_file, tmp_path):
    path = write_list(tmp_path, "list.toml", images, network_file)
    done = run_script("paint_many.py", path, "--scheduler", "tcp://127.0.0.1:9")
    assert done.returncode == 2 and "--scheduler tcp://127.0.0.1:9" in done.stderr
