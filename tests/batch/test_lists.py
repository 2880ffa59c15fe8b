"""Lists of paintings: read, painted alone, by processes and through dask."""

import contextlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import loss_rows, run_here
from processes import start_script, wait_until

from nst_graph import files, images
from nst_graph.batch import jobs
from nst_graph.commands import options, paint_many
from nst_graph.commands.common import file_path
from nst_graph.runs import records, state
from nst_graph.settings import Settings

needs_dask = pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="dask is an extra")


def write_list(directory, name, folder, network_file, iterations=6):
    path = directory / name
    content, style = folder / "Tuebingen_Neckarfront.jpg", folder / "the_scream.jpg"
    if name.endswith(".csv"):
        path.write_text(
            "content,styles,size,iterations,output,weights,style-layers,bounded\n"
            f"{content},{style},40,{iterations},a,{network_file},conv1_1 conv2_1=0.5,true\n"
            f"{content},{style};{folder / 'shipwreck.jpg'},40,{iterations},b,{network_file},,\n"
        )
    else:
        path.write_text(
            f'[[painting]]\ncontent = "{content}"\nstyles = ["{style}"]\nsize = 40\niterations = {iterations}\n'
            f'output = "a"\nweights = "{network_file}"\nstyle_layers = ["conv1_1", "conv2_1=0.5"]\nbounded = true\n'
            f'[[painting]]\ncontent = "{content}"\nstyles = ["{style}", "{folder / "shipwreck.jpg"}"]\n'
            f'size = 40\niterations = {iterations}\noutput = "b"\nweights = "{network_file}"\n'
        )
    return path


@pytest.mark.parametrize("name", ["list.csv", "list.toml"])
def test_lists(folder, network_file, tmp_path, name):
    one, two = paint_many.read_list(write_list(tmp_path, name, folder, network_file))
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
        ("list.csv", "content,style\na.jpg,b.jpg\n", "painting 1: style is not known; did you mean styles?"),
        ("list.toml", '[[painting]]\ncontents = "a.jpg"', "painting 1: contents is not known; did you mean content?"),
        ("list.csv", "content,styles\na.jpg,b.jpg;https://a.org/c.jpg\n", "c.jpg: an address, not a file; download it"),
        ("list.csv", "content,styles\n~nobody-at-all/a.jpg,b.jpg\n", "that home directory is not known"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text)
    list_is_refused(tmp_path / name, expected)


def list_is_refused(path, expected):
    done = run_here("paint_many.py", path)
    assert done.returncode == 2 and expected in done.stderr and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_lists_as_spreadsheets_write_them(tmp_path, encoding, separator):
    """Capitals, blank rows, names with spaces, and yes or no as each writes it."""
    rows = [
        ["Content", "Styles", "Masks", "Style Layers", "Bounded", "winograd", "Init", "Output"],
        [
            "my photo.jpg",
            '"a b.jpg; c.jpg"',
            '"m 1.png;m 2.png"',
            "conv1_1 conv2_1",
            "FALSE",
            "0",
            "my start.png",
            "one",
        ],
        [""] * 8,
        ["d.jpg", "e.jpg", "", "", "Yes", "1", "content", "two three"],
    ]
    text = "\r\n".join(separator.join(row) for row in rows) + "\r\n"
    (tmp_path / "list.CSV").write_bytes(text.encode(encoding))
    one, two = paint_many.read_list(tmp_path / "list.CSV")
    assert (one.content, one.output) == (tmp_path / "my photo.jpg", tmp_path / "one")
    assert one.styles == (tmp_path / "a b.jpg", tmp_path / "c.jpg")
    assert one.masks == (tmp_path / "m 1.png", tmp_path / "m 2.png")
    assert list(one.settings.style_layers) == ["conv1_1", "conv2_1"]
    assert (
        not one.settings.bounded
        and one.settings.convolutions == "auto"
        and one.settings.init == str(tmp_path / "my start.png")
    )
    assert two.settings.bounded and two.settings.convolutions == "winograd" and two.settings.init == "content"
    assert two.output == tmp_path / "two three"


def test_what_excel_adds(folder, network_file, tmp_path):
    """A line that names the separator, decimal commas; and what it writes unless it is told UTF-8."""
    (tmp_path / "a,1.jpg").write_bytes((folder / "the_scream.jpg").read_bytes())
    (tmp_path / "weights.mat").symlink_to(network_file)
    text = "sep=;\r\nContent;Styles;Beta;Style layers;Size;Iterations;Bounded;Weights;Output\r\n"
    text += "a,1.jpg;a,1.jpg;0,5;conv1_1=0,25 conv2_1=1;32,0;1;TRUE;weights.mat;run\r\n"
    (tmp_path / "list.csv").write_text(text)
    done = run_here("paint_many.py", tmp_path / "list.csv")
    assert done.returncode == 0, done.stderr
    record = records.read(tmp_path / "run")
    found = record["settings"]
    assert (found["beta"], found["size"], found["iterations"], found["bounded"]) == (0.5, 32, 1, True)
    assert found["style_layers"] == {"conv1_1": 0.25, "conv2_1": 1}
    assert record["content"]["path"] == record["styles"][0]["path"] == str(tmp_path / "a,1.jpg")
    (tmp_path / "list.csv").write_bytes("content;styles\nTübingen.jpg;b.jpg\n".encode("cp1252"))
    list_is_refused(tmp_path / "list.csv", "not in UTF-8; save it so, from a spreadsheet")


@pytest.mark.parametrize(
    ("cell", "plain"),
    [
        ("100,000", "100000"),
        ("1,234.5", "1234.5"),
        ("1.234,5", "1234.5"),
        ("1.234.567", "1234567"),
        ("1,00,000", "100000"),
        ("1'000", "1000"),
        ("1\u2019000", "1000"),
        *((f"1{blank}000{blank}000", "1000000") for blank in " \u00a0\u2009\u202f"),
    ],
)
def test_thousands_are_not_guessed(tmp_path, cell, plain):
    """In a cell of one number or of several, whatever the separator."""
    for separator in ";\t,":
        for column, several in (("beta", ""), ("scales", " for several")):
            quoted = f'"{cell}"' if separator == "," else cell
            rows = [["content", "styles", column], ["a.jpg", "b.jpg", quoted]]
            (tmp_path / "list.csv").write_text("\n".join(map(separator.join, rows)), encoding="utf-8")
            err, shown = run_here("paint_many.py", tmp_path / "list.csv").stderr, re.sub(r"\s", " ", cell)
            assert f"list.csv, painting 1: --{column} {shown}: ambiguous" in err
            assert f"write {plain}" in err and err.endswith(f"{several}\n") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        ("beta", "0,5", 0.5),
        ("beta", "1,25", 1.25),
        ("beta", "0,125", 0.125),
        ("beta", "1,5e3", 1500),
        ("beta", "0.125", 0.125),
        ("size", "64,0", 64),
        ("style_blend", "0,5 1,25", (0.5, 1.25)),
        ("pixel_scale", "100 200 255", (100, 200, 255)),
    ],
)
def test_decimals_and_several_numbers(tmp_path, column, cell, value):
    for separator in ";\t":
        rows = [["content", "styles", column], ["a.jpg", '"b.jpg;c.jpg"', cell]]
        (tmp_path / "list.csv").write_text("\n".join(map(separator.join, rows)))
        (job,) = paint_many.read_list(tmp_path / "list.csv")
        assert getattr(job.settings, column) == value


def test_a_point_between_semicolons_may_part_thousands(tmp_path):
    """Such lists have decimal commas; parted by tabs or commas 1.000 is 1."""
    for separator, refused in ((";", True), ("\t", False), (",", False)):
        rows = [["content", "styles", "beta"], ["none.jpg", "b.jpg", "1.000"]]
        (tmp_path / "list.csv").write_text("\n".join(map(separator.join, rows)))
        error = run_here("paint_many.py", tmp_path / "list.csv").stderr
        assert ("beta 1.000: ambiguous" in error) == refused and "Traceback" not in error and error.count("\n") == 1


def test_blanks_after_separators(tmp_path):
    (tmp_path / "list.csv").write_text('content, styles, size\nphoto.jpg, "a;b.jpg", 64.0\n')
    missing = " ".join(str(tmp_path / name) for name in ("photo.jpg", "a", "b.jpg"))
    list_is_refused(tmp_path / "list.csv", f"{missing}: no such file")


@pytest.mark.parametrize("workers", [1, 2])
def test_missing_files_are_told_before_any_is_painted(folder, network_file, tmp_path, workers):
    """One line for each painting; one that is finished is skipped, though its picture is gone."""
    (tmp_path / "own.jpg").write_bytes((folder / "the_scream.jpg").read_bytes())
    rows = ["content,styles,masks,init,weights,size,iterations,output"]
    rows += [f"{folder / 'the_scream.jpg'},own.jpg,,,{network_file},32,1,a"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    assert run_here("paint_many.py", tmp_path / "list.csv").returncode == 0
    (tmp_path / "own.jpg").unlink()
    photo, style = folder / "the_scream.jpg", folder / "shipwreck.jpg"
    rows += [f"{photo},{style},,,{network_file},32,1,b", f"no.jpg,none.jpg,,,{network_file},32,1,c"]
    rows += [f"{photo},{style},no-mask.png,no-start.png,no.mat,32,1,d"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    done = run_here("paint_many.py", tmp_path / "list.csv", "--workers", workers)
    assert done.returncode == 2 and f"{tmp_path / 'a'}: is finished" in done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 2 and all("no such file" in line for line in lines)
    for line, names in zip(lines, (("no.jpg", "none.jpg"), ("no-mask.png", "no-start.png", "no.mat")), strict=True):
        assert all(str(tmp_path / name) in line for name in names)
    assert not any((tmp_path / name).exists() for name in "bcd")


@pytest.mark.parametrize("dask", [False, pytest.param(True, marks=needs_dask)])
def test_pictures_as_output_in_a_list(tmp_path, folder, network_file, dask, monkeypatch):
    if not dask:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    content, style = folder / "Tuebingen_Neckarfront.jpg", folder / "the_scream.jpg"
    row = f"{content},{style},40,2,1,{network_file}"
    (tmp_path / "list.csv").write_text(
        f"content,styles,size,iterations,save_every,weights,output\n{row},a.png\n{row},b.tif\n{row},c\n"
    )
    assert paint_many.main([str(tmp_path / "list.csv")]) == 0
    for name, run in (("a.png", "a"), ("b.tif", "b")):
        final = images.read(tmp_path / run / "final.png")
        np.testing.assert_array_equal(images.read(tmp_path / name), final)
        assert records.read(tmp_path / run)["picture"]["sha256"] == [files.sha256(tmp_path / name)]
    assert {path.name for path in tmp_path.iterdir()} == {"list.csv", "a.png", "a", "b.tif", "b", "c"}
    assert paint_many.main([str(tmp_path / "list.csv")]) == 0  # all are finished


def test_scales_that_are_left_out_are_not_counted(tmp_path, folder, network_file):
    row = f"{folder / 'Tuebingen_Neckarfront.jpg'},{folder / 'the_scream.jpg'},40,64,5,2,1,{network_file},a"
    names = "content,styles,size,scales,scale_iterations,iterations,save_every,weights,output"
    (tmp_path / "list.csv").write_text(f"{names}\n{row}\n")
    done = run_here("paint_many.py", tmp_path / "list.csv")
    assert done.returncode == 0 and "iteration 2 of 2, loss" in done.stdout, done.stderr


@pytest.mark.parametrize("name", ["list.csv", "list.toml"])
def test_every_path_is_relative_to_the_list(tmp_path, name, monkeypatch):
    """Whatever option takes one, from wherever the list is read."""
    actions = [
        action
        for action in options.parser()._actions
        if action.type is file_path and action.dest not in paint_many.ALONE
    ]
    values = {action.dest: f"my {action.dest}.png" for action in actions} | {"init": "my start.png"}
    assert {"content", "styles", "masks", "weights", "output"} < set(values)
    (tmp_path / "lists").mkdir()
    if name.endswith(".csv"):
        text = "\n".join(",".join(row) for row in (values.keys(), values.values()))
    else:
        text = "[[painting]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
    (tmp_path / "lists" / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    seen = []

    def job(words):
        seen.append(options.parse(words))
        return jobs.Job(Path(), (), Settings(), Path())

    monkeypatch.setattr(paint_many.paint, "job", job)
    paint_many.read_list(Path("lists") / name)
    for option, value in values.items():
        found = seen[0][option]
        assert [Path(one) for one in (found if isinstance(found, list) else [found])] == [tmp_path / "lists" / value]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("content,styles,bounded\na.jpg,b.jpg,perhaps\n", "painting 1: --bounded perhaps: write yes or no"),
        ("content,styles,content\na.jpg,b.jpg,c.jpg\n", "two columns are called content"),
        ('content,styles,beta\na.jpg,b.jpg,"0,5"\n', "painting 1: argument --beta"),
        ("content,styles,quiet\na.jpg,b.jpg,yes\n", "quiet has no place in a list"),
    ],
)
def test_cells_that_cannot_be_used(tmp_path, text, expected):
    (tmp_path / "list.csv").write_text(text)
    list_is_refused(tmp_path / "list.csv", expected)


def test_without_dask(folder, network_file, tmp_path, without, capsys):
    without("distributed")
    path = write_list(tmp_path, "list.toml", folder, network_file)
    assert paint_many.main([str(path)]) == 0
    assert (tmp_path / "a" / "final.png").exists() and (tmp_path / "b" / "final.png").exists()
    assert paint_many.main([str(path)]) == 0
    assert capsys.readouterr().out.count("is finished") == 2
    assert paint_many.main([str(path), "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "pip install 'nst_graph[many]'" in capsys.readouterr().err


def test_two_at_a_time(folder, network_file, tmp_path):
    """Without dask and without an open port, from a picture of one's own; one that fails leaves the other."""
    path = write_list(tmp_path, "list.toml", folder, network_file)
    init = f'init = "{folder / "the_scream.jpg"}"\ncontent'
    (tmp_path / "none.jpg").write_text("no picture")
    bad = f'\n[[painting]]\ncontent = "none.jpg"\nstyles = "none.jpg"\nweights = "{network_file}"\n'
    path.write_text(path.read_text().replace("content", init) + bad)
    process = start_script("paint_many.py", path, "--workers", 2)
    together = 0
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            family = [process, *psutil.Process(process.pid).children(recursive=True)]
            assert not any(psutil.Process(one.pid).net_connections() for one in family)
            painting = [
                one for one in psutil.Process(process.pid).children() if "spawn_main" in " ".join(one.cmdline())
            ]
            together = max(together, len(painting))
        time.sleep(0.1)
    out, err = process.communicate()
    assert process.returncode == 2 and err.count("\n") == 1 and "none.jpg" in err, err
    assert together == 2 and "distributed" not in out
    for name in "ab":
        record = records.read(tmp_path / name)
        assert record["outcome"]["state"] == "finished" and record["init"]["path"] == str(folder / "the_scream.jpg")
    assert run_here("paint_many.py", path, "--workers", 2).stdout.count("is finished") == 2


def long_list(tmp_path, folder, network_file, iterations):
    """Two paintings that take a while: one by SciPy's L-BFGS, within bounds, the other by the graph's."""
    path = write_list(tmp_path, "list.toml", folder, network_file, iterations=iterations)
    text = path.read_text().replace("size = 40", "size = 64\nsave_every = 10")
    path.write_text(f'{text}lbfgs = "graph"\n')
    return path


def begin_two(folder, network_file, tmp_path, iterations):
    """Two paintings at a time that have saved their states: the process, and those that paint."""
    path = long_list(tmp_path, folder, network_file, iterations)
    process = start_script("paint_many.py", path, "--workers", 2, process_group=0)
    wait_until(lambda: all((tmp_path / name / "state.npz").exists() for name in "ab"), process)
    both = psutil.Process(process.pid).children()
    return process, sorted(both, key=lambda one: sum(one.cpu_times()[:2]))[-2:]


@pytest.mark.thorough
@pytest.mark.parametrize("one", [0, 1])
def test_of_two_at_a_time_one_is_killed(folder, network_file, tmp_path, one):
    process, both = begin_two(folder, network_file, tmp_path, 150)
    both[one].kill()
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert "ended with status -9, another one goes on" in out and "goes on from iteration" in out
    for name in "ab":
        assert [int(row["iteration"]) for row in loss_rows(tmp_path / name)] == list(range(151))


TASKS = """
import functools, os, signal
from nst_graph.batch import tasks
from nst_graph.errors import InputError

def work(kind, number, send):
    if kind == "fails":
        raise InputError("no good")
    if kind == "dies" or (kind == "dies once" and number == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    send("blocked", [signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])])

class Task:
    def __init__(self, name):
        self.name, self.results = name, []
    def work(self):
        return functools.partial(work, self.name, len(self.results))
    def receive(self, results):
        self.results += results

if __name__ == "__main__":
    four = [Task(name) for name in ("goes well", "dies", "dies once", "fails")]
    four[2].results = [False]
    print(tasks.by_processes(four, 2, lambda line: four[2].results.clear() if "dies once: its" in line else None))
    print([task.results for task in four])
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="not on Windows")
def test_what_processes_do(tmp_path):
    """One that dies is followed by another, five times; those that fail leave the rest. None of them gets Ctrl-C."""
    (tmp_path / "four.py").write_text(TASKS)
    done = subprocess.run([sys.executable, tmp_path / "four.py"], capture_output=True, text=True, cwd=tmp_path)
    failures = ["dies: given up after 5 processes ended with status -9", "fails: no good"]
    assert done.stdout == f"{failures}\n[[True], [], [True], []]\n", done.stderr


def test_ctrl_c_while_two_are_painted(folder, network_file, tmp_path):
    """A terminal sends it to the whole group; each saves its state, and the same command goes on."""
    process, _ = begin_two(folder, network_file, tmp_path, 5000)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 130 and err.count("\n") == 1 and "the same command goes on" in err, err
    for name in "ab":
        assert records.read(tmp_path / name)["outcome"]["state"] == "interrupted"
        assert (
            state.read(tmp_path / name / "state.npz").iteration
            == records.read(tmp_path / name)["outcome"]["iterations"]
        )


@pytest.mark.thorough
def test_nobody_paints_on_when_the_command_is_killed(folder, network_file, tmp_path):
    process, both = begin_two(folder, network_file, tmp_path, 5000)
    process.kill()
    _, alive = psutil.wait_procs(both, timeout=30)
    assert not alive
    assert {records.read(tmp_path / name)["outcome"]["state"] for name in "ab"} == {"interrupted"}
    process.communicate()


def test_one_that_fails_leaves_the_others(folder, network_file, tmp_path, without, capsys):
    without("distributed")
    path = write_list(tmp_path, "list.csv", folder, network_file)
    (tmp_path / "none.jpg").write_text("no picture")
    path.write_text(path.read_text().replace(f"{folder / 'the_scream.jpg'},40", "none.jpg,40", 1))
    assert paint_many.main([str(path)]) == 2
    err = capsys.readouterr().err
    assert "none.jpg: not a whole picture" in err and err.count("\n") == 1
    assert (tmp_path / "b" / "final.png").exists()


@pytest.mark.thorough
def test_what_a_cluster_leaves_can_be_gone_on_with_alone(folder, network_file, tmp_path, cluster):
    """Interrupted between intervals; then --resume, without dask, in the same directory."""
    path = long_list(tmp_path, folder, network_file, 400)
    process = start_script("paint_many.py", path, "--scheduler", cluster.scheduler_address)
    wait_until(lambda: all((tmp_path / name / "state.npz").exists() for name in "ab"), process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=100)
    assert process.returncode == 130
    for name in "ab":
        kept = state.read(tmp_path / name / "state.npz").iteration
        done = run_here("paint.py", "--resume", tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert f"goes on from iteration {kept}" in done.stdout
        assert records.read(tmp_path / name)["outcome"]["state"] == "finished"


def test_no_scheduler_there(folder, network_file, tmp_path, impatient):
    path = write_list(tmp_path, "list.toml", folder, network_file)
    done = run_here("paint_many.py", path, "--scheduler", "tcp://127.0.0.1:9")
    assert done.returncode == 2 and "--scheduler tcp://127.0.0.1:9" in done.stderr
