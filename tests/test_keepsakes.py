"""What a run leaves for people's other habits: TensorBoard, films, plots."""

import importlib.util

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import run_here

import nst_graph
from nst_graph.errors import InputError
from nst_graph.graph.tensorflow import tf
from nst_graph.recipes import Settings
from nst_graph.runs import timelapse


@pytest.fixture
def paint(pictures_dir, network_file, tmp_path):
    def call(**settings):
        steps = []
        nst_graph.paint(
            pictures_dir / "photo.png", pictures_dir / "painting.png",
            Settings(**{"iterations": 12, "save_every": 4} | settings), weights_file=network_file,
            output=tmp_path / "run", observers=[steps.append],
        )  # fmt: skip
        return tmp_path / "run", steps

    return call


def test_tensorboard(paint):
    run, steps = paint(tensorboard=True)
    (file,) = (run / "tensorboard").iterdir()
    scalars, images = {}, {}
    for event in tf.train.summary_iterator(str(file)):
        for value in event.summary.value:
            if value.HasField("image"):
                images[event.step] = iio.imread(value.image.encoded_image_string)
            else:
                scalars[value.tag, event.step] = value.simple_value
    for step in steps:
        assert scalars["loss/total", step.iteration] == pytest.approx(step.total, rel=1e-6)
        for name, value in step.terms.items():
            assert scalars[f"loss/{name}", step.iteration] == pytest.approx(value, rel=1e-6)
    assert sorted(images) == [0, 4, 8, 12]
    np.testing.assert_array_equal(images[8], iio.imread(run / "iteration-00008.png"))


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_timelapse(paint, kind):
    if kind == "mp4" and importlib.util.find_spec("imageio_ffmpeg") is None:
        pytest.skip("imageio-ffmpeg is not installed")
    run, _ = paint(timelapse=kind, scales=(32,), scale_iterations=(8,))
    plugin = {"gif": "pillow", "mp4": "FFMPEG"}[kind]
    frames = iio.imread(run / f"timelapse.{kind}", index=None, plugin=plugin)
    assert frames.shape[1:] == (48, 64, 3)  # the smaller scale's pictures too
    if kind == "mp4":  # a GIF's equal frames are one
        assert len(frames) == 6 + timelapse.STILL
    final = iio.imread(run / "final.png").astype(float)
    assert np.abs(frames[-1] - final).mean() < 25 < np.abs(frames[0] - final).mean() + 25


def test_mp4_without_its_codec(paint, monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "imageio_ffmpeg" else find(name))
    with pytest.raises(InputError, match=r"--timelapse mp4: needs imageio-ffmpeg"):
        paint(timelapse="mp4")
    assert not (tmp_path / "run").exists()


def test_losses_are_drawn(paint):
    run, _ = paint()
    drawn = iio.imread(run / "losses.png")
    assert drawn.shape[0] > 300 and len(np.unique(drawn.reshape(-1, drawn.shape[-1]), axis=0)) > 50


def test_overwriting_takes_all_of_it_away(pictures_dir, network_file, tmp_path):
    words = [pictures_dir / "photo.png", pictures_dir / "painting.png", "--weights", network_file]
    words += ["--output", tmp_path / "run", "--save-every", 2]
    options = ["--iterations", 6, "--tensorboard", "--timelapse", "gif"]
    assert run_here("paint.py", *words, *options).returncode == 0
    assert run_here("paint.py", *words, "--iterations", 2, "--overwrite").returncode == 0
    left = {file.relative_to(tmp_path / "run").as_posix() for file in (tmp_path / "run").rglob("*") if file.is_file()}
    expected = {"run.json", "losses.csv", "losses.png", "index.html", "content.png", "style-1.png", "final.png"}
    assert left == expected | {"iteration-00000.png", "iteration-00002.png", ".lock"}
