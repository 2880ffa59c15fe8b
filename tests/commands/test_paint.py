"""scripts/paint.py as a user runs it: files, options, errors, interruption."""

import json
import os
import pty
import re
import signal
import subprocess
import termios
from importlib.metadata import version
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import reference
from conftest import MEAN, ROOT, loss_rows, random_picture, run_here, run_script, save_mat, stop_at
from PIL import Image
from processes import run_python, start_script, wait_until

import nst_graph
from nst_graph import images, painting
from nst_graph.commands import options, paint_many
from nst_graph.commands import paint as cli
from nst_graph.commands.common import load_tensorflow, whole_number
from nst_graph.errors import InputError
from nst_graph.model import tensorflow
from nst_graph.recipes import printed
from nst_graph.runs import state
from nst_graph.settings import CHOICES, Settings

PHOTO, PAINTING = "photo.png", "painting.png"


@pytest.fixture
def paint(tmp_path, pictures_dir, network_file, capsys):
    """Call the command line in this process: returns exit status, stdout, stderr."""

    def call(*words, defaults=True):
        words = [str(word) for word in words]
        if defaults:
            words += ["--weights", str(network_file), "--output", str(tmp_path / "run")]
            words += ["--iterations", "10", "--save-every", "5"]
        try:
            status = cli.main(words)
        except SystemExit as exit:
            status = exit.code
        return status, *capsys.readouterr()

    return call


def test_files(paint, tmp_path, pair):
    status, out, err = paint(*pair)
    run = tmp_path / "run"
    assert (status, err) == (0, "")
    assert "VGG-16 paints 64 x 48 pixels" in out and "only 64 x 48 pixels, --size is 512: it keeps its size" in out
    saved = ["iteration-00000.png", "iteration-00005.png", "iteration-00010.png"]
    names = [".lock", "content.png", "final.png", "index.html", *saved]
    names += ["losses.csv", "losses.png", "run.json", "style-1.png"]
    assert sorted(path.name for path in run.iterdir()) == names
    for name in ("final.png", *saved, "content.png"):
        assert iio.imread(run / name).shape == (48, 64, 3)
    assert (run / "final.png").read_bytes() == (run / "iteration-00010.png").read_bytes()
    start = images.start(np.zeros((48, 64, 3), np.float32), np.array(MEAN, np.float32), 1.0, 0)
    np.testing.assert_array_equal(iio.imread(run / "iteration-00000.png"), images.to_bytes(start))
    table = loss_rows(run)
    assert list(table[0]) == ["iteration", "evaluations", "seconds", "content", "style", "total"]
    assert [int(row["iteration"]) for row in table] == list(range(11))
    for row in table:
        assert float(row["total"]) == pytest.approx(float(row["content"]) + 1000 * float(row["style"]), rel=1e-6)
    assert float(table[-1]["total"]) < 0.5 * float(table[0]["total"])
    assert (run / "final.png").stat().st_mode & 0o777 == 0o666 & ~os_umask()


def os_umask():
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_run_json_is_enough_to_run_it_again(paint, tmp_path, pair):
    words = ["--seed", 5, "--style-layers", "conv1_1", "conv3_2=0.25"]
    paint(*pair, *words)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["settings"]["style_layers"] == {"conv1_1": 0.5, "conv3_2": 0.25}
    assert record["outcome"]["state"] == "finished" and record["outcome"]["iterations"] == 10
    assert len(record["weights"]["sha256"]) == 64 and record["versions"]["tensorflow"]
    again = nst_graph.paint(
        record["content"]["path"],
        [style["path"] for style in record["styles"]],
        Settings(**record["settings"]),
        weights_file=record["weights"]["path"],
    )
    first = iio.imread(tmp_path / "run" / "final.png")
    np.testing.assert_array_equal(images.to_bytes(again.picture), first)


def test_first_row_is_the_equations(paint, tmp_path, pictures_dir, layers):
    """Other pictures, layers, weights and starts than the defaults, against the reference."""
    options = ["--size", "40", "--alpha", "3", "--beta", "7", "--pooling", "max", "--init", "style"]
    options += ["--noise-ratio", "0.25"]
    options += ["--seed", "11", "--content-layers", "conv3_2", "conv2_1=2", "--style-layers", "conv1_2=0.1", "conv4_3"]
    options += ["--style-blend", "1", "3"]
    photo, painting, other = (pictures_dir / name for name in ("photo.png", "painting.png", "other.png"))
    status, _, _ = paint(photo, painting, other, *options)
    assert status == 0
    content = images.resize(images.read(photo), 30, 40)
    styles = [images.resize(images.read(path), 30, 40) for path in (painting, other)]
    noise = np.random.RandomState(11).uniform(-20, 20, (*content.shape[:2], 1))
    start = 0.25 * noise + 0.75 * (styles[0] - MEAN) + MEAN
    content_term, style_term = reference.terms(
        layers, MEAN, start, content, styles, {"conv3_2": 0.5, "conv2_1": 2}, {"conv1_2": 0.1, "conv4_3": 0.5},
        [0.25, 0.75], pooling="max",
    )  # fmt: skip
    first = loss_rows(tmp_path / "run")[0]
    assert float(first["content"]) == pytest.approx(content_term, rel=1e-5)
    assert float(first["style"]) == pytest.approx(style_term, rel=1e-5)
    assert float(first["total"]) == pytest.approx(3 * content_term + 7 * style_term, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "base", "noise_ratio"),
    [
        ([], "photo.png", 1.0),
        (["--noise-ratio", "0.6"], "photo.png", 0.6),
        (["--init", "content"], "photo.png", 0.0),
        (["--init", "style"], "painting.png", 0.0),
        (["--init", "other.png", "--noise-ratio", "0.5"], "other.png", 0.5),
    ],
)
def test_starts(paint, pictures_dir, network_file, tmp_path, monkeypatch, options, base, noise_ratio):
    monkeypatch.chdir(pictures_dir)
    words = [PHOTO, PAINTING, "--weights", network_file, "--output", tmp_path / "run", "--iterations", 0]
    assert paint(*words, *options, defaults=False)[0] == 0
    picture = images.resize(images.read(pictures_dir / base), 48, 64)
    start = images.start(picture, np.array(MEAN, np.float32), noise_ratio, 0)
    np.testing.assert_array_equal(iio.imread(tmp_path / "run" / "final.png"), images.to_bytes(start))


def test_an_old_run_is_kept_without_overwrite(paint, tmp_path, pair):
    assert paint(*pair)[0] == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    status, _, err = paint(*pair, "--seed", 1)
    assert status == 2 and "--overwrite" in err and err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    status, _, _ = paint(*pair, "--seed", 1, "--save-every", "7", "--overwrite")
    assert status == 0
    assert (tmp_path / "run" / "final.png").read_bytes() != before["final.png"]


def test_twice_the_same(paint, tmp_path, pair):
    paint(*pair)
    first = (tmp_path / "run" / "final.png").read_bytes()
    paint(*pair, "--overwrite")
    assert (tmp_path / "run" / "final.png").read_bytes() == first


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["none.jpg", PAINTING], "none.jpg: no such file"),
        ([PHOTO, "none.jpg"], "none.jpg: no such file"),
        ([".", PAINTING], "a directory, not a picture"),
        ([PHOTO], "STYLE is missing: name a photograph and at least one painting"),
        ([PHOTO, "--style-layers", "conv1_1", PAINTING], "--style-layers took painting.png; name the pictures"),
        ([PHOTO, PAINTING, "--print", "A3"], "--print A3: give A0 to A6, 30x40cm"),
        ([PHOTO, PAINTING, "--print", "A7@300"], "--print A7@300: give A0 to A6"),
        (["--masks", PHOTO], "CONTENT is missing: --masks took photo.png; name the pictures before the options"),
        (["--style-layers", "conv1_1", PHOTO, PAINTING], "CONTENT is missing: --style-layers took photo.png"),
        (["--fast"], "CONTENT is missing: name a photograph"),
        ([PHOTO, "--style-blend", "1", PAINTING], "'painting.png', but a file; name the pictures before the options"),
        ([PHOTO, PAINTING, "--style-layers", "conv1_1", "other.png"], "--style-layers took other.png"),
        ([PHOTO, PAINTING, "--example"], "--example: has pictures of its own; leave CONTENT out"),
        (["text.jpg", PAINTING], "text.jpg: not a whole picture"),
        ([PHOTO, PAINTING, "--init", "none.png"], "none.png: no such file"),
        ([PHOTO, PAINTING, "--content-layers", "conv9_1"], "conv9_1: not in this network; it has conv1_1"),
        ([PHOTO, PAINTING, "--style-layers", "conv1_1=x"], "--style-layers conv1_1=x: 'x' is not a number"),
        ([PHOTO, PAINTING, "--style-layers", "conv1_1", "conv1_1=2"], "named twice"),
        ([PHOTO, PAINTING, "--style-layers", "conv1_1=-1"], "--style-layers conv1_1=-1.0"),
        ([PHOTO, PAINTING, "--style-layers", "conv1_1=nan"], "--style-layers conv1_1=nan"),
        ([PHOTO, PAINTING, "--style-blend", "1", "2"], "--style-blend 1.0 2.0: give 1"),
        ([PHOTO, PAINTING, "--style-blend", "-1"], "--style-blend -1.0"),
        ([PHOTO, PAINTING, "--size", "0"], "--size 0"),
        ([PHOTO, PAINTING, "--size", "-5"], "--size -5"),
        ([PHOTO, PAINTING, "--size", "big"], "--size: invalid size value: 'big'"),
        ([PHOTO, PAINTING, "--size", "15"], "15 x 11 pixels are too few"),
        ([PHOTO, PAINTING, "--alpha", "-1"], "--alpha -1.0"),
        ([PHOTO, PAINTING, "--beta", "inf"], "--beta inf"),
        ([PHOTO, PAINTING, "--alpha", "0", "--beta", "0"], "nothing would be painted"),
        ([PHOTO, PAINTING, "--noise-ratio", "1.5"], "--noise-ratio 1.5"),
        ([PHOTO, PAINTING, "--seed", "-1"], "--seed -1"),
        ([PHOTO, PAINTING, "--pooling", "sum"], "--pooling sum: give one of average, max"),
        ([PHOTO, PAINTING, "--hue"], "unrecognized arguments: --hue; see"),
        ([PHOTO, PAINTING, "--iteration", "5"], "unrecognized arguments: --iteration 5; did you mean --iterations?"),
        ([PHOTO, PAINTING, "--iter", "5"], "unrecognized arguments: --iter 5; did you mean --iterations?"),
        ([PHOTO, PAINTING, "--style_scale=2"], "--style_scale=2; did you mean --style-scale?"),
        ([PHOTO, PAINTING, "-output", "a.png"], "unrecognized arguments: -output; did you mean --output?"),
        (["-content_image", PHOTO], "-content_image: pictures stand without an option"),
        (["--content", PHOTO, "--styles", PAINTING], "--content: pictures stand without an option"),
        ([PHOTO, PAINTING, "--recipe", "gattys2015"], "did you mean gatys2015?"),
    ],
)
def test_bad_input(paint, tmp_path, pictures_dir, monkeypatch, words, expected):
    monkeypatch.chdir(pictures_dir)
    (pictures_dir / "text.jpg").write_text("<html>not found</html>")
    status, _, err = paint(*words)
    assert status == 2 and expected in err
    assert err.count("\n") == 1 and err.startswith("paint.py: error: ")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "last", [["--iterations", "-1"], ["--save-every", "0"], ["--weights", "none.mat"], ["--output", "photo.png"]]
)
def test_bad_input_in_what_the_fixture_sets(paint, pictures_dir, network_file, tmp_path, monkeypatch, last):
    monkeypatch.chdir(pictures_dir)
    words = [PHOTO, PAINTING, "--weights", network_file, "--output", tmp_path / "run", *last]
    status, _, err = paint(*words, defaults=False)
    assert status == 2 and err.count("\n") == 1 and last[1] in err
    assert not (tmp_path / "run").exists()


def test_output_that_cannot_be_written(paint, pair, network_file):
    words = [*pair, "--weights", network_file, "--output", "/proc/none/run"]
    status, _, err = paint(*words, defaults=False)
    assert status == 2 and "/proc/none/run" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--optimiser", "gradient-descent", "--rate", "1e30"],
        ["--optimiser", "adam", "--rate", "1e30"],
        ["--alpha", "1e30", "--content-layers", "conv4_2=1e30"],
    ],
    ids=["gradient descent", "Adam", "L-BFGS"],
)
def test_a_loss_that_grows_without_bound(paint, pair, tmp_path, options):
    """Nothing that is not finite is saved: picture, state and losses are the last good ones."""
    status, _, err = paint(*pair, *options)
    assert status == 2 and "take a smaller --rate" in err and err.count("\n") == 1
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["outcome"]["state"].startswith(("failed: the loss is", "failed: the gradient is not finite"))
    if "--alpha" in options:  # the start is not finite
        assert not (tmp_path / "run" / "final.png").exists() and not (tmp_path / "run" / "state.npz").exists()
        return
    assert f"{tmp_path / 'run' / 'final.png'} is the last good picture" in err
    kept = state.read(tmp_path / "run" / "state.npz")
    assert np.isfinite(kept.picture).all() and np.isfinite(kept.total)
    assert all(np.isfinite(float(value)) for row in loss_rows(tmp_path / "run") for value in row.values())
    assert int(loss_rows(tmp_path / "run")[-1]["iteration"]) == kept.iteration
    np.testing.assert_array_equal(iio.imread(tmp_path / "run" / "final.png"), images.to_bytes(kept.picture))


def test_memory_that_runs_out(paint, pair, tmp_path, monkeypatch):
    from nst_graph import painting

    def exhausted(*_):
        raise painting.tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(painting, "minimise", exhausted)
    status, _, err = paint(*pair)
    assert status == 2 and "memory ran out; take a smaller --size" in err and err.count("\n") == 1


def test_unit_gradients_with_tiles_are_refused_before_anything_is_written(paint, pair, tmp_path):
    status, _, err = paint(*pair, "--unit-gradients", "--tile", 16)
    assert status == 2 and "--unit-gradients" in err and not (tmp_path / "run").exists()


def test_nan_in_weights(paint, pair, tmp_path, layers):
    kind, name, kernel, bias = layers[0]
    path = save_mat(tmp_path / "nan.mat", [(kind, name, kernel, bias * np.nan), *layers[1:]], "current")
    words = [*pair, "--weights", path, "--output", tmp_path / "run"]
    status, _, err = paint(*words, defaults=False)
    assert status == 2 and "nan.mat" in err and "not finite" in err and err.count("\n") == 1


@pytest.mark.parametrize("words", [["--example"], ["--example", "--beta", "5"]])
def test_the_example_is_painted_where_it_is_asked_for(words):
    job = cli.job(words)
    assert (job.content.name, job.styles) == ("china.jpg", (cli.EXAMPLE_STYLE,))
    assert (job.settings.iterations, job.settings.beta) == (100, 5 if len(words) > 1 else 1e5)


@pytest.mark.parametrize("parser", [options.parser, options.film_parser])
def test_whole_numbers(parser):
    """Each option that takes one takes 64.0 too, as a spreadsheet may write it, and not 64.5."""
    made = parser()
    actions = [action for action in made._actions if action.type in (whole_number, options.size)]
    assert len(actions) > 10 and not [action for action in made._actions if action.type is int]
    for action in actions:
        times = action.nargs if isinstance(action.nargs, int) else 1
        option = max(action.option_strings, key=len)
        given = [options.parse([PHOTO, option, *[word] * times], lambda: made) for word in ("64", "64.0")]
        assert given[0] == given[1] and f"{given[0][action.dest]}" == f"{given[1][action.dest]}"
        for word in ("64.5", "inf", "nan"):
            with pytest.raises(InputError) as raised:
                options.parse([PHOTO, option, *[word] * times], lambda: made)
            assert re.search(f"{option}: invalid (int|size) value: '{word}'", raised.value.command_line)


def test_whole_numbers_from_python():
    for number in (64.0, np.float32(64), np.int64(64)):
        assert repr(Settings(size=number, squash=(number, 32))) == repr(Settings(size=64, squash=(64, 32)))
    for number in (64.5, np.inf, np.nan):
        with pytest.raises(InputError, match="size: .*; give a whole number"):
            Settings(size=number)


def test_help_imports_nothing_slow():
    done = run_script("paint.py", "--help-all")
    assert done.returncode == 0 and "--noise-ratio" in done.stdout
    code = "import sys, nst_graph.commands.paint as it; it.options.parser().format_help(); print(*sys.modules)"
    modules = run_python(code).stdout.split()
    assert "nst_graph.commands.paint" in modules
    assert not {"tensorflow", "scipy", "numpy", "imageio"} & set(modules)


def test_the_table_of_options_on_the_page():
    """It is what the settings declare."""
    table = run_script(Path("..", "docs", "options_table.py")).stdout
    assert len(table.splitlines()) > len(CHOICES) and table in (ROOT / "docs" / "usage.md").read_text()


@pytest.mark.parametrize("columns", ["60", "200"])
def test_the_short_help_is_short(paint, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    status, told, _ = paint("--help", defaults=False)
    shown = re.findall(r"^  (?:-\w, )?(--[\w-]+)", told, re.MULTILINE)
    assert status == 0 and 10 <= len(shown) <= 15 and shown[-1] == "--help-all"
    assert paint(defaults=False) == (0, told, "")
    assert told.count("\n  paint.py ") == 3 and max(map(len, told.splitlines())) <= int(columns)
    _, every, _ = paint("--help-all", defaults=False)
    assert (
        set(shown) < set(re.findall(r"--[\w-]+", every))
        and "()" not in every
        and "seed of the noise (default: 0)" in every
    )


@pytest.mark.parametrize(
    ("habit", "words"),
    [
        ("--optimizer adam --learning-rate 2", "--optimiser adam --rate 2"),
        ("--color luminance", "--colours luminance"),
        ("--colors luminance", "--colours luminance"),
        ("--content-weight 2 --style-weight 3", "--alpha 2 --beta 3"),
        ("--tv-weight 0.1", "--smoothness 0.1"),
        ("--pooling avg --optimizer l-bfgs", "--pooling average --optimiser lbfgs"),
        ("--style-layers relu1_1 relu2_1=0.5", "--style-layers conv1_1 conv2_1=0.5"),
        ("--content-layers block4_conv2", "--content-layers conv4_2"),
        ("-o here", "--output here"),
    ],
)
def test_other_programs_names(tmp_path, habit, words):
    """On the command line, and in a list."""
    pair = [tmp_path / PHOTO, tmp_path / PAINTING]
    job = cli.job([*map(str, pair), *words.split()])
    assert cli.job([*map(str, pair), *habit.split()]) == job
    if not habit.startswith("-o"):
        named = dict(pair.partition(" ")[::2] for pair in habit.removeprefix("--").split(" --"))
        rows = [["content", "styles", *named], [PHOTO, PAINTING, *named.values()]]
        (tmp_path / "list.csv").write_text("\n".join(",".join(row) for row in rows))
        assert paint_many.read_list(tmp_path / "list.csv") == [job]


def test_a_layer_by_two_names(paint):
    status, _, err = paint(PHOTO, PAINTING, "--style-layers", "conv1_1", "relu1_1")
    assert status == 2 and "named twice" in err


def test_quiet_and_version(paint, pair, tmp_path):
    words = *pair, "--quiet"
    assert paint(*words) == (0, "", "")
    assert (tmp_path / "run" / "final.png").exists()
    status, told, err = paint(*words)  # a run is there
    assert (status, told) == (2, "") and "--overwrite" in err
    assert paint("--version", defaults=False) == (0, f"nst_graph {version('nst_graph')}\n", "")


BEFORE = """
import sys, nst_graph.commands.paint as it
for line in {lines!r}:
    assert it.main([*line, "--output", {output!r}]) == 2, line
    assert "tensorflow" not in sys.modules, line
"""


def test_what_is_wrong_is_told_before_tensorflow_is_loaded(pictures_dir, network_file, tmp_path):
    pair = [str(pictures_dir / PHOTO), str(pictures_dir / PAINTING), "--weights", str(network_file)]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    lines = [
        ["none.jpg", *pair],
        [*pair, "--size", "0"],
        [*pair, "--init", "none.png"],
        [*pair, "--masks", *pair[:2]],
        [*pair, "--masks", "none.png"],
        [*pair, "--style-blend", "1", "2"],
        [*pair, "--style-layers", "conv9_1"],
        [*pair, "--content-layers", "conv3_4"],
        [*pair[:2], "--weights", "none.mat"],
        pair,
    ]
    code = BEFORE.format(lines=lines, output=str(tmp_path / "run"))
    done = run_python(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == len(lines) and "run.json: not a run's record" in done.stderr


def test_an_interruption_before_anything_is_painted(paint, pair, tmp_path, monkeypatch):
    """There is nothing to resume: no directory, or the run that was to be replaced."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(painting.weights, "read", interrupted)
        assert paint(*pair)[::2] == (130, "paint.py: interrupted; nothing was painted yet\n")
        assert not (tmp_path / "run").exists()
    with monkeypatch.context() as patch:
        patch.setattr(painting, "minimise", interrupted)
        assert paint(*pair)[::2] == (130, f"paint.py: interrupted; --resume {tmp_path / 'run'} goes on\n")
    with monkeypatch.context() as patch:
        patch.setattr(painting.weights, "read", interrupted)
        assert paint(*pair, "--overwrite")[2] == "paint.py: interrupted; nothing was painted yet\n"
        status, _, err = paint("--resume", tmp_path / "run", defaults=False)
        assert (status, err) == (130, f"paint.py: interrupted; --resume {tmp_path / 'run'} goes on\n")


def test_interrupted_while_tensorflow_loads(tmp_path):
    """Of what TensorFlow had to say nothing is shown, and of directories that were made none is left."""
    code = """
import os, signal, sys, threading
import nst_graph.commands.paint as it
class Finder:
    def find_spec(self, name, *_):
        if name == "tensorflow.python":
            os.write(2, b"noise")
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
sys.exit(it.main(["--example", "--output", sys.argv[1]]))
"""
    done = run_python(code, tmp_path / "above" / "run")
    assert (done.returncode, done.stderr) == (130, "paint.py: interrupted; nothing was painted yet\n")
    assert not any(tmp_path.iterdir())


def test_news_of_one_thing(paint, pair, network_file, tmp_path):
    words = [*pair, "--weights", network_file, "--iterations", 1]
    _, told, _ = paint(*words, "--output", tmp_path / "run", defaults=False)
    assert "1 iteration of SciPy's L-BFGS" in told and "1 iterations" not in told
    assert f"watch {tmp_path / 'run' / 'index.html'}\n" in told
    assert told.splitlines()[-1].startswith(f"painted {tmp_path / 'run' / 'final.png'}: 1 iteration in 00:0")


def test_scales_that_are_left_out_are_not_waited_for(paint, pair):
    words = ["--scales", 8, 48, "--scale-iterations", 7, 3]  # and 10 at the last
    _, told, _ = paint(*pair, *words)
    assert "scale 8 is left out" in told and "iteration 13 of 13: " in told and "of 20" not in told


@pytest.mark.parametrize(
    ("name", "depth"),
    [("my result.png", 8), ("a.png", 16), ("a.JPEG", 8), ("a.jpg", 16), ("a.tif", 16), ("a.tiff", 8)],
)
def test_a_picture_as_output(tmp_path, pair, network_file, name, depth, capsys):
    """It is the result, in the kind that its name says, and its run lies beside it."""
    words = [*pair, "--weights", network_file, "--iterations", "2"]
    words = [str(word) for word in (*words, "-o", tmp_path / name, "--depth", depth)]
    status = cli.main(words)
    told = capsys.readouterr()
    if depth == 16 and name.lower().endswith(("jpg", "jpeg")):
        assert status == 2 and told.err.count("\n") == 1 and "--depth 16" in told.err and not list(tmp_path.iterdir())
        return
    assert status == 0 and f"painted {tmp_path / name}: 2 iterations" in told.out
    run = (tmp_path / name).with_suffix("")
    assert {path.name for path in tmp_path.iterdir()} == {name, run.name} and (run / "index.html").exists()
    with Image.open(tmp_path / name) as image:
        assert image.format == {"p": "PNG", "j": "JPEG", "t": "TIFF"}[(tmp_path / name).suffix[1].lower()]
    result, final = images.read(tmp_path / name), images.read(run / "final.png")
    assert np.abs(result - final).mean() < 5 and (image.format == "JPEG" or np.abs(result - final).max() < 1e-4)
    assert depth == 8 or len(np.unique(result)) > 256


def test_a_picture_as_output_is_kept(paint, tmp_path, pictures_dir, pair, network_file, monkeypatch):
    """It is replaced only where the run wrote it, or with --overwrite; never a picture that is painted from."""
    words = [*pair, "--weights", network_file, "--iterations", 1]
    mine = tmp_path / "a.png"
    mine.write_bytes(b"mine")
    status, _, err = paint(*words, "--output", mine, defaults=False)
    assert status == 2 and "a.png: is there already" in err and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"] and mine.read_bytes() == b"mine"
    assert paint(*words, "--output", mine, "--overwrite", defaults=False)[0] == 0
    assert mine.read_bytes() == (tmp_path / "a" / "final.png").read_bytes()
    assert "holds a run" in paint(*words, "--output", mine, defaults=False)[2]
    assert paint(*words, "--output", mine, "--seed", 1, "--overwrite", defaults=False)[0] == 0
    assert mine.read_bytes() == (tmp_path / "a" / "final.png").read_bytes()
    photo = tmp_path / "photo.png"
    photo.write_bytes((pictures_dir / PHOTO).read_bytes())
    _, _, err = paint(photo, *words[1:], "--output", photo, "--overwrite", defaults=False)
    assert "is what is painted from" in err and photo.read_bytes() == (pictures_dir / PHOTO).read_bytes()
    _, _, err = paint(*words, "--output", tmp_path / "b.webp", defaults=False)
    assert "pictures are saved as .png, .jpg" in err and not (tmp_path / "b.webp").exists()
    (tmp_path / "old.png").mkdir()
    assert paint(*words, "--output", tmp_path / "old.png", defaults=False)[0] == 0
    assert (tmp_path / "old.png" / "final.png").exists()


def test_a_picture_as_output_of_an_interrupted_run(paint, tmp_path, pictures_dir, network_file):
    """It is there after Ctrl-C, and replaced by what is resumed, wherever the run was moved; unless it was changed."""
    picture, pair = tmp_path / "a.jpg", [pictures_dir / PHOTO, pictures_dir / PAINTING]

    def begin(output):
        how = {"weights_file": network_file, "output": output, "observers": [stop_at(2, KeyboardInterrupt)]}
        with pytest.raises(KeyboardInterrupt):
            nst_graph.paint(*pair, Settings(iterations=4), **how)

    begin(picture)
    first = picture.read_bytes()
    assert paint("--resume", tmp_path / "a", defaults=False)[0] == 0
    assert picture.read_bytes() != first and iio.imread(picture).shape == (48, 64, 3)
    begin(tmp_path / "b.jpg")
    (tmp_path / "b.jpg").rename(tmp_path / "c.jpg")
    (tmp_path / "b").rename(tmp_path / "c")
    assert paint("--resume", tmp_path / "c.jpg", defaults=False)[0] == 0
    assert (tmp_path / "c.jpg").read_bytes() == picture.read_bytes() and not (tmp_path / "b.jpg").exists()
    begin(tmp_path / "d.jpg")
    (tmp_path / "d.jpg").write_bytes(b"retouched")
    status, _, err = paint("--resume", tmp_path / "d", defaults=False)
    assert status == 2 and "d.jpg: is there already" in err and (tmp_path / "d.jpg").read_bytes() == b"retouched"


def test_interrupt(tmp_path, network_file):
    iio.imwrite(tmp_path / "large.png", random_picture(200, 300).astype(np.uint8))
    run = tmp_path / "run"
    words = [tmp_path / "large.png"] * 2 + ["--weights", network_file, "--output", run, "--iterations", 100000]
    process = start_script("paint.py", *words)
    wait_until(lambda: (run / "losses.csv").exists() and len(loss_rows(run)) >= 5, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err and err.count("\n") == 1
    record = json.loads((run / "run.json").read_text())["outcome"]
    assert record["state"] == "interrupted"
    assert iio.imread(run / "final.png").shape == (200, 300, 3)
    assert int(loss_rows(run)[-1]["iteration"]) == record["iterations"] >= 4
    assert sorted(path.name for path in run.iterdir() if path.name.startswith(".")) == [".lock", ".sources"]


# Some terminals say that they have no columns.
@pytest.mark.parametrize("columns", [60, *(pytest.param(other, marks=pytest.mark.thorough) for other in (200, 0))])
def test_a_bar_on_a_terminal(pair, network_file, tmp_path, columns):
    words = [*pair, "--weights", network_file, "--iterations", 30]
    master, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    process = start_script("paint.py", *words, "--output", tmp_path / "run", stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(master, 4096):
            shown += chunk
    except OSError:  # the terminal's other end is closed
        pass
    os.close(master)
    assert process.wait() == 0
    assert b"loss" in shown and b"30/30" in shown and b"iteration 10 of" not in shown
    lines = shown.decode().replace("\x1b[A", "").splitlines()
    widths = {len(part) for line in lines for part in line.split("\r") if "%|" in part}
    assert (columns or 80) - 1 <= max(widths) <= (columns or 80)


def test_names_that_begin_with_a_dash(tmp_path, pictures_dir, network_file, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (PHOTO, PAINTING):
        (tmp_path / f"-{name}").write_bytes((pictures_dir / name).read_bytes())
    words = ["--weights", network_file, "--iterations", 1, "--output", "run", "--", f"-{PHOTO}", f"-{PAINTING}"]
    done = run_here("paint.py", *words)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "final.png").exists()


def test_a_style_that_is_scaled_away(paint, pair):
    status, _, err = paint(*pair, "--style-scale", "0.1")
    assert status == 2 and "take a larger --style-scale or --size" in err


@pytest.mark.thorough
def test_real_vgg19(vgg19_file, tmp_path):
    """128 pixels of structure, the paper's settings: the loss falls at least tenfold in 50 iterations."""
    iio.imwrite(tmp_path / "photo.png", random_picture(96, 128, 1).astype(np.uint8))
    painting = nst_graph.paint(
        tmp_path / "photo.png", cli.EXAMPLE_STYLE, Settings(size=128, iterations=50),
        weights_file=vgg19_file, output=tmp_path / "run",
    )  # fmt: skip
    table = loss_rows(tmp_path / "run")
    assert painting.outcome.step.iteration == 50
    assert float(table[-1]["total"]) < 0.1 * float(table[0]["total"])


def test_texture_and_reconstruction(pictures_dir, network_file, tmp_path):
    common = ["--weights", network_file, "--iterations", 20]
    for name, words in (("painting.png", ["--alpha", 0]), ("photo.png", ["--beta", 0])):
        done = run_here("paint.py", pictures_dir / name, *words, *common, "--output", tmp_path / name[:-4])
        assert done.returncode == 0, done.stderr
    header, *texture = (tmp_path / "painting" / "losses.csv").read_text().splitlines()
    assert header.endswith("content,style,total")
    assert {row.split(",")[3] for row in texture} == {"0"}
    assert float(texture[-1].split(",")[4]) < 0.5 * float(texture[0].split(",")[4])
    _, *reconstruction = (tmp_path / "photo" / "losses.csv").read_text().splitlines()
    assert {row.split(",")[4] for row in reconstruction} == {"0"}
    assert float(reconstruction[-1].split(",")[3]) < 0.5 * float(reconstruction[0].split(",")[3])


def test_recipes_option():
    done = run_script("paint.py", "--recipes")
    assert done.returncode == 0 and done.stderr == ""
    *recipes, blank, advice = done.stdout.splitlines()
    assert [line.split()[0] for line in recipes] == list(nst_graph.recipes.RECIPES)
    assert not blank and "Begin with --recipe studio" in advice


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion(shell):
    """A shell's completion names options, and choices of those that have some."""
    done = run_script("paint.py", "--print-completion", shell)
    assert done.returncode == 0 and done.stderr == ""
    assert "style-scale" in done.stdout and "luminance" in done.stdout and "studio" in done.stdout
    if shell == "bash":
        typed = "COMP_WORDS=(paint.py a.jpg b.jpg --colours ''); COMP_CWORD=4; _shtab_paint_py; echo ${COMPREPLY[*]}"
        completed = subprocess.run(["bash", "-c", f"{done.stdout}\n{typed}"], capture_output=True, text=True)
        assert completed.stdout.split() == list(CHOICES["colours"]) and not completed.stderr


@pytest.mark.parametrize(
    ("visible", "device", "expected"),
    [
        (None, "cpu", "-1"), ("0,1", "cpu", "-1"), (None, "gpu:1", "1"),
        ("2,5", "gpu:1", "5"), ("2", "gpu:1", "-1"), ("2,5", "gpu", "2,5"),
    ],
)  # fmt: skip
def test_devices(monkeypatch, capsys, visible, device, expected):
    """What CUDA may see; a GPU that is not there is an error."""
    monkeypatch.setattr(tensorflow, "has_gpu", lambda: os.environ["CUDA_VISIBLE_DEVICES"] != "-1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible or "")
    if expected == "-1" and device != "cpu":
        with pytest.raises(InputError) as raised:
            load_tensorflow({"device": device})
        assert "--device gpu:1: TensorFlow has no such GPU" in raised.value.command_line
    else:
        load_tensorflow({"device": device})
    assert os.environ["CUDA_VISIBLE_DEVICES"] == expected


def test_on_the_cpu(paint, pair):
    assert paint(*pair, "--device", "cpu")[0] == 0
    status, _, err = paint(*pair, "--device", "tpu", "--overwrite")
    assert status == 2 and "--device tpu: give cpu, gpu, or gpu:1" in err


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_print(tmp_path, pair, network_file, suffix):
    """As large as fits the paper, which stands as the photograph does, with its dots an inch in each file."""
    words = [*pair, "--weights", network_file, "--iterations", 1, "--print", "10x8cm@25"]
    assert cli.main([*map(str, words), "--output", str(tmp_path / f"print{suffix}")]) == 0
    settings = json.loads((tmp_path / "print" / "run.json").read_text())["settings"]
    assert (settings["size"], settings["enlarge"], settings["dpi"]) == (98, True, 25)
    for path in (tmp_path / f"print{suffix}", tmp_path / "print" / "final.png"):
        image = Image.open(path)
        assert image.size == (98, 74)  # 100 x 75 mm at 25 dots an inch
        assert [float(dots) for dots in image.info["dpi"]] == pytest.approx([25, 25], abs=0.01)


@pytest.mark.parametrize(
    ("paper", "ratio", "size"),
    [
        ("A3@300", 4 / 3, 4677),  # 297 mm high
        ("A3@300", 3 / 4, 4677),
        ("a4@300", 3.0, 3507),  # 297 mm wide
        ("A0@72", 2.0, 3370),
        ("30x40cm@240", 1.0, 2834),
        ("8x10in@300", 5 / 4, 3000),
    ],
)
def test_the_size_of_a_print(paper, ratio, size):
    assert printed(Settings(), paper, ratio).size == size


def test_what_is_painted_before_a_print():
    large, small = printed(Settings(), "A3@300", 1.5), printed(Settings(), "A6@72", 1.5)
    assert (large.scales, large.scale_iterations, large.iterations) == ((512, 1024, 2048), (200, 60, 30), 20)
    assert (small.scales, small.iterations) == ((), 1000)


def test_a_print_has_its_own_scales_and_options_win(pair):
    words = [*map(str, pair), "--recipe", "studio", "--print", "A3@300"]
    settings = cli.job([*words, "--fast", "--depth", "16"]).settings
    assert (settings.scales, settings.iterations, settings.precision) == ((512, 1024, 2048), 20, "auto")
    assert (settings.beta, settings.ratio_at, settings.depth) == (1e5, (512,), 16)
    settings = cli.job([*words, "--size", "800", "--iterations", "5"]).settings
    assert (settings.size, settings.iterations, settings.dpi) == (800, 5, 300)


def test_what_it_will_take(paint, pair, tmp_path):
    """Before the sixth iteration a line says so; a run that goes on says what is left."""
    _, told, _ = paint(*pair)
    line = r"64 x 48 pixels, 10 iterations: about \d+ seconds? and \d\.\d GB of memory\n"
    assert len(re.findall(line, told)) == 1
    _, told, _ = paint("--resume", tmp_path / "run", "--more", 8, defaults=False)
    assert len(re.findall(line.replace("10 it", "18 it"), told)) == 1


def test_options_win_over_the_recipe(pair, network_file, tmp_path):
    words = [*pair, "--recipe", "devos", "--size", 33]
    done = run_here("paint.py", *words, "--weights", network_file, "--iterations", 1, "--output", tmp_path / "run")
    assert done.returncode == 0
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    assert (settings["squash"], settings["size"], settings["iterations"]) == ([640, 480], 33, 1)
