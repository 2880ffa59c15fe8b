"""What a run leaves for people's other habits: TensorBoard, films, plots."""

import importlib.util
import json
from dataclasses import asdict

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import FIRST_LAYERS, run_here, stop_at
from PIL import Image

import nst_graph
from nst_graph import images
from nst_graph.errors import InputError, Pause
from nst_graph.model.tensorflow import tf
from nst_graph.runs import timelapse
from nst_graph.settings import Settings


@pytest.fixture
def paint(pair, network_file, tmp_path):
    def call(**settings):
        steps = []
        nst_graph.paint(
            *pair,
            Settings(**{"iterations": 12, "save_every": 4} | FIRST_LAYERS | settings), weights_file=network_file,
            output=tmp_path / "run", observers=[steps.append],
        )  # fmt: skip
        return tmp_path / "run", steps

    return call


@pytest.fixture
def quick_curves():
    """Here the curves are drawn."""


def test_tensorboard(paint):
    run, steps = paint(tensorboard=True)
    (file,) = (run / "tensorboard").iterdir()
    scalars, shown = {}, {}
    for event in tf.train.summary_iterator(str(file)):
        for value in event.summary.value:
            if value.HasField("image"):
                shown[event.step] = iio.imread(value.image.encoded_image_string)
            else:
                scalars[value.tag, event.step] = value.simple_value
    for step in steps:
        assert scalars["loss/total", step.iteration] == pytest.approx(step.total, rel=1e-6)
        for name, value in step.terms.items():
            assert scalars[f"loss/{name}", step.iteration] == pytest.approx(value, rel=1e-6)
    assert sorted(shown) == [0, 4, 8, 12]
    np.testing.assert_array_equal(shown[8], iio.imread(run / "iteration-00008.png"))


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_timelapse(paint, kind):
    if kind == "mp4" and importlib.util.find_spec("av") is None:
        pytest.skip("PyAV is not installed")
    run, _ = paint(timelapse=kind, scales=(32,), scale_iterations=(8,))
    plugin = {"gif": "pillow", "mp4": "pyav"}[kind]
    frames = iio.imread(run / f"timelapse.{kind}", index=None, plugin=plugin)
    assert frames.shape[1:] == (48, 64, 3)  # the smaller scale's pictures too
    if kind == "mp4":  # a GIF's equal frames are one
        assert len(frames) == 6 + timelapse.STILL
    final = iio.imread(run / "final.png").astype(float)
    assert np.abs(frames[-1] - final).mean() < 25 < np.abs(frames[0] - final).mean() + 25


def test_mp4_without_its_codec(paint, without, tmp_path):
    without("av")
    with pytest.raises(InputError, match=r"timelapse: mp4; needs av"):
        paint(timelapse="mp4")
    assert not (tmp_path / "run").exists()


def test_losses_are_drawn(paint):
    run, _ = paint()
    drawn = iio.imread(run / "losses.png")
    assert drawn.shape[0] > 300 and len(np.unique(drawn.reshape(-1, drawn.shape[-1]), axis=0)) > 50


def texts(path):
    with Image.open(path) as image:
        return dict(image.text)


def test_a_picture_says_how_it_was_painted(pictures_dir, network_file, tmp_path):
    """Every setting, whatever the defaults will be, and no path; painted from that, it is the same to the byte."""
    settings = Settings(
        iterations=3, save_every=3, size=40, scales=(32,), scale_iterations=(2,), squash=(3, 2), style_blend=(1.0, 3.0),
        style_layers={"conv1_1": 0.5, "conv3_2": 0.25}, init=str(pictures_dir / "other.png"), noise_ratio=0.5,
    )  # fmt: skip
    sources = pictures_dir / "photo.png", [pictures_dir / "painting.png", pictures_dir / "other.png"]

    def paint(settings, name):
        nst_graph.paint(*sources, settings, weights_file=network_file, output=tmp_path / name)
        return tmp_path / name / "final.png"

    final = paint(settings, "first")
    said = texts(final)
    assert said["Software"] == f"nst_graph {nst_graph.__version__}" and said["Network"] == "VGG-16"
    assert json.loads(said["Settings"]) == json.loads(json.dumps(asdict(settings) | {"init": "FILE"}))
    assert str(tmp_path).encode() not in final.read_bytes() and b"other" not in final.read_bytes()
    for path in (tmp_path / "first").glob("iteration-*.png"):
        assert texts(path) == said
    values = json.loads(said["Settings"]) | {"init": settings.init}
    assert paint(Settings(**values), "second").read_bytes() == final.read_bytes()
    with Image.open(tmp_path / "first" / "content.png") as image:
        assert image.info["srgb"] == 0 and not image.text


def test_sixteen_bits(pair, network_file, tmp_path):
    """The pictures, and all that is made from them."""
    words = [*pair, "--weights", network_file, "--depth", 16]
    words += ["--iterations", 6, "--save-every", 3, "--timelapse", "gif", "--tensorboard", "--output", tmp_path / "run"]
    done = run_here("paint.py", *words)
    assert (done.returncode, done.stderr) == (0, "")
    settings = Settings(iterations=6, save_every=3, depth=16)
    options = {"weights_file": network_file, "output": tmp_path / "resumed"}
    with pytest.raises(Pause):
        nst_graph.paint(*pair, settings, observers=[stop_at(4)], **options)
    painted = nst_graph.paint(*pair, settings, resume=True, **options).picture
    for directory in ("run", "resumed"):
        final = tmp_path / directory / "final.png"
        assert final.read_bytes()[24:26] == b"\x10\x02" and texts(final)["Settings"]
        assert (iio.imread(final) == np.floor(images.read(final) * 257 / 256)).mean() > 0.999  # others have 8 bits
    levels = np.clip(np.rint(painted * 257), 0, 65535) / 257
    np.testing.assert_allclose(images.read(tmp_path / "resumed" / "final.png"), levels, atol=0.005)
    frames = iio.imread(tmp_path / "run" / "timelapse.gif", index=None, plugin="pillow")
    assert frames.shape[1:] == (48, 64, 3) and len(list((tmp_path / "run" / "tensorboard").iterdir())) == 1
    assert '"file": "final.png?' in (tmp_path / "run" / "index.html").read_text()
    words = [*pair, "--weights", network_file, "--init", tmp_path / "run" / "final.png", "--iterations", 0]
    assert run_here("paint.py", *words, "--depth", 16, "--output", tmp_path / "on").returncode == 0
    before, after = (images.read(tmp_path / name / "final.png") for name in ("run", "on"))
    np.testing.assert_allclose(after, before, atol=1e-2)
    wrong = run_here("paint.py", *words, "--depth", 12, "--output", tmp_path / "wrong")
    assert wrong.returncode == 2 and "--depth 12: give 8 or 16" in wrong.stderr


def test_overwriting_takes_all_of_it_away(pair, network_file, tmp_path):
    words = [*pair, "--weights", network_file, "--output", tmp_path / "run", "--save-every", 2]
    options = ["--iterations", 6, "--tensorboard", "--timelapse", "gif"]
    assert run_here("paint.py", *words, *options).returncode == 0
    assert run_here("paint.py", *words, "--iterations", 2, "--overwrite").returncode == 0
    left = {file.relative_to(tmp_path / "run").as_posix() for file in (tmp_path / "run").rglob("*") if file.is_file()}
    expected = {"run.json", "losses.csv", "losses.png", "index.html", "content.png", "style-1.png", "final.png"}
    assert left == expected | {"iteration-00000.png", "iteration-00002.png", ".lock"}
