"""--style-detail: each STYLE is painted with another painting's fine strokes first, and that is the style."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import reference
from conftest import MEAN, SMALL, loss_rows, run_here
from processes import start_script, wait_until

import nst_graph
from nst_graph import images, painting
from nst_graph.runs import records


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A tenth of the iterations; what is run in a process of its own has them all."""
    monkeypatch.setattr(painting, "DETAIL", replace(painting.DETAIL, iterations=50, save_every=10))


@pytest.fixture
def detail(pictures_dir):
    return str(pictures_dir / "other.png")


def fine_loss(layers, picture, fine):
    """Of the authors: at each of two layers 500 times the mean of the squared difference of Gram matrices over M."""
    total = 0
    for name in ("conv1_1", "conv2_1"):
        grams = []
        for one in (picture, fine):
            features = reference.features(layers, MEAN, one)[name]
            grams.append(reference.gram(features) / features[..., 0].size)
        total += 500 * np.mean((grams[0] - grams[1]) ** 2)
    return total


def matched(picture, target):
    """A linear map of colours with symmetric square roots, by a decomposition of its own."""
    pixels, wanted = picture.reshape(-1, 3), target.reshape(-1, 3)
    roots = []
    for colours in (pixels, wanted):
        vectors, values, _ = np.linalg.svd(np.cov(colours.T))
        roots.append(vectors @ np.diag(values**0.5) @ vectors.T)
    moved = (pixels - pixels.mean(0)) @ (roots[1] @ np.linalg.inv(roots[0])).T + wanted.mean(0)
    return np.clip(moved, 0, 255).reshape(picture.shape)


def test_by_the_authors_loss(paint, layers, pictures_dir, detail, tmp_path):
    """It begins with the STYLE at its size in the painting, and comes near the detail in the STYLE's colours."""
    lines = []
    settings = replace(SMALL, iterations=1, style_detail=detail)
    paint(settings=settings, output=tmp_path / "run", say=lines.append)
    coarse = images.resize(images.read(pictures_dir / "painting.png"), 48, 64)
    side = round((48 * 64) ** 0.5)  # the detail is square, and gets the STYLE's number of pixels
    coarse = np.float32(np.rint(coarse))
    fine = matched(images.resize(images.read(pictures_dir / "other.png"), side, side), coarse)
    told = [float(line.split("loss ")[1]) for line in lines if "detail: iteration" in line]
    assert len(told) == 6
    assert told[0] == pytest.approx(fine_loss(layers, coarse, fine), rel=2e-3)
    kept = images.read(tmp_path / "run" / "detail-1.png")
    assert fine_loss(layers, kept, fine) == pytest.approx(told[-1], rel=0.1)  # it is clipped to 0..255
    assert told[-1] < 0.05 * told[0]


@pytest.mark.parametrize(
    "more", [{}, {"scales": (32,), "scale_iterations": (3,)}, {"init": "style"}, {"match_histogram": True}]
)
def test_it_is_the_style(paint, detail, tmp_path, more):
    """As if detail-1.png were named as STYLE, at every scale, as a start, and for the levels of what is saved."""
    settings = replace(SMALL, iterations=3, **more)
    run = tmp_path / "run"
    found = paint(settings=replace(settings, style_detail=detail), output=run)
    expected = paint(run / "detail-1.png", settings=settings)
    np.testing.assert_allclose(found.picture, expected.picture, atol=1e-3)
    np.testing.assert_allclose(images.read(run / "final.png"), found.picture.clip(0, 255), atol=0.51)
    assert found.outcome.step.total != pytest.approx(paint(settings=settings).outcome.step.total, rel=0.01)
    np.testing.assert_allclose(images.read(run / "style-1.png"), images.read(run / "detail-1.png"), atol=0.51)


def test_without_a_run_and_with_two_styles(paint, pictures_dir, detail, tmp_path):
    settings = replace(SMALL, iterations=3, style_detail=detail, style_scale=(1.0, 0.5))
    styles = "painting.png", "photo.png"
    found = paint(*styles, settings=settings).picture
    np.testing.assert_allclose(found, paint(*styles, settings=settings, output=tmp_path / "run").picture, atol=0.1)
    shapes = [images.read(tmp_path / "run" / f"detail-{number}.png").shape for number in (1, 2)]
    assert shapes == [(48, 64, 3), (24, 32, 3)]


def test_killed_in_it_and_after_it(pair, network_file, detail, tmp_path):
    """Killed in it, it is painted again, from the run's own copies; once detail-1.png is there, it is not."""
    run, copy = tmp_path / "run", tmp_path / "fine.png"
    shutil.copy(detail, copy)
    words = [*pair, "--weights", network_file, "--style-detail", copy, "--save-every", 5]
    process = start_script("paint.py", *words, "--iterations", 2000, "--output", run)
    lines = iter(process.stdout.readline, "")
    assert any("detail: iteration 50 of 500" in line for line in lines)
    process.kill()
    process.communicate()
    assert (run / "run.json").exists() and not (run / "detail-1.png").exists()
    copy.unlink()
    process = start_script("paint.py", "--resume", run)
    lines = iter(process.stdout.readline, "")
    assert any("detail: iteration 0 of 500" in line for line in lines)
    wait_until((run / "state.npz").exists, process)
    process.kill()
    process.communicate()
    before = os.stat(run / "detail-1.png").st_mtime_ns
    rows = loss_rows(run)
    process = start_script("paint.py", "--resume", run)
    lines = [process.stdout.readline() for _ in range(20)]
    process.kill()
    process.communicate()
    assert any("goes on from iteration" in line for line in lines) and not any("detail:" in line for line in lines)
    assert os.stat(run / "detail-1.png").st_mtime_ns == before
    assert loss_rows(run)[: len(rows) - 5] == rows[: len(rows) - 5]


def test_like_and_lists(pair, pictures_dir, network_file, detail, tmp_path):
    """A list names it relative to itself; --like takes it over with the settings."""
    for name in ("photo.png", "painting.png", "other.png"):
        shutil.copy(pictures_dir / name, tmp_path)
    listed = tmp_path / "list.csv"
    text = f"photo.png,painting.png,other.png,3,{network_file},run"
    listed.write_text(f"content,styles,style detail,iterations,weights,output\n{text}\n", encoding="utf-8")
    done = run_here("paint_many.py", listed)
    assert done.returncode == 0 and "detail: iteration 50 of 50" in done.stdout, done.stderr
    done = run_here("paint.py", pair[1], pair[0], "--like", tmp_path / "run", "--output", tmp_path / "like")
    assert done.returncode == 0, done.stderr
    names = [records.read(tmp_path / name)["style_detail"]["path"] for name in ("run", "like")]
    assert names == [str(tmp_path / "other.png")] * 2
    assert (tmp_path / "like" / "detail-1.png").exists()
    text = (tmp_path / "run" / "final.png").read_bytes()
    assert b'"style_detail": "FILE"' in text and str(tmp_path).encode() not in text
    done = run_here("paint.py", "--resume", tmp_path / "run", "--more", 2)
    assert done.returncode == 0 and "detail:" not in done.stdout, done.stderr


def test_what_cannot_be_used(pair, network_file, tmp_path):
    """One line, and nothing is left."""
    (tmp_path / "broken.png").write_bytes(b"no picture")
    output = ["--weights", network_file, "--output", tmp_path / "run"]
    for name, expected in (("gone.png", "no such file"), ("broken.png", "not a whole picture")):
        done = run_here("paint.py", *pair, "--style-detail", tmp_path / name, *output)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
        assert name in done.stderr and expected in done.stderr
        assert not (tmp_path / "run").exists()
    with pytest.raises(nst_graph.InputError, match=r"^style_detail: 3; give a name or a path$"):
        nst_graph.Settings(style_detail=3)


def test_films_have_none(pair, network_file, tmp_path):
    pytest.importorskip("av", reason="PyAV is an extra")
    (tmp_path / "frames").mkdir()
    shutil.copy(pair[0], tmp_path / "frames" / "1.png")
    output = ["--weights", network_file, "--output", tmp_path / "film"]
    done = run_here("paint_video.py", tmp_path / "frames", pair[1], "--style-detail", pair[0], *output)
    assert done.returncode == 2 and "--style-detail" in done.stderr and "detail-1.png" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "film").exists()
