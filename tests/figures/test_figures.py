"""The paper's figures, sweeps and sheets, alone and through dask."""

import argparse
import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import reference
from conftest import MEAN, loss_rows, random_picture, run_here
from PIL import Image
from processes import start_script, wait_until

from nst_graph import images, places, weights
from nst_graph.batch import jobs
from nst_graph.commands import figures, options
from nst_graph.commands import paint as cli
from nst_graph.evaluation import Evaluation
from nst_graph.figures import notebook, panels, sheets
from nst_graph.model.objective import Objective, Style
from nst_graph.recipes import RECIPES
from nst_graph.runs import records
from nst_graph.settings import OPTIONS, STYLE_LAYERS, Settings


def test_fast_is_that_of_paint(folder):
    words = ["fig2", "--images", str(folder), "--size", "512"]
    fast = [*words, "--fast", "--iterations", "7"]
    slow, given = (vars(figures._parser().parse_args(more)) for more in (words, fast))
    figure, name = figures._figure(given)
    painted = cli.job(["photo.jpg", "painting.jpg", "--fast", "--iterations", "7", "--beta", "1000"]).settings
    assert figure.jobs["B"].settings == painted and painted.scales
    assert name != figures._figure(slow)[-1]


def test_the_panels_are_the_papers():
    def job(content, style, changes):
        return jobs.Job(content or style, (style,) if style else (), replace(Settings(), **changes), Path())

    files = {name: Path(name) for name in panels.SOURCES}
    one, two, three = (panels.FIGURES[name](files, job) for name in ("fig1", "fig2", "fig3"))
    sets = [STYLE_LAYERS[:n] for n in range(1, 6)]
    styles, contents = ([job for name, job in one.jobs.items() if name.startswith(kind)] for kind in ("style", "cont"))
    assert [tuple(job.settings.style_layers) for job in styles] == sets
    assert all(job.settings.alpha == 0 and job.styles == (Path("vangogh"),) for job in styles)
    assert [list(job.settings.content_layers) for job in contents] == [[layer] for layer in STYLE_LAYERS]
    assert all(job.settings.beta == 0 and job.content == Path("photograph") for job in contents)
    ratios = {name: 1 / job.settings.beta for name, job in two.jobs.items()}
    assert ratios == pytest.approx({"B": 1e-3, "C": 1e-3, "D": 1e-3, "E": 1e-4, "F": 1e-4})
    assert two.panels[0].source == Path("photograph") and two.inset
    assert [job.styles[0].name for job in two.jobs.values()] == ["turner", "vangogh", "munch", "picasso", "kandinsky"]
    assert len(three.panels) == len(three.jobs) == 20
    for panel in three.panels:
        settings = panel.source.settings
        assert tuple(settings.style_layers) == sets[panel.row]
        assert 1 / settings.beta == pytest.approx(10.0 ** (panel.column - 5))
        for weight in settings.style_layers.values():
            assert weight == pytest.approx(1 / (panel.row + 1))


def call(*words):
    return run_here("figures.py", *words)


@pytest.mark.parametrize(
    "name", ["fig1", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("fig2", "fig3"))]
)
def test_a_small_figure(folder, network_file, tmp_path, name):
    panels = {"fig1": ["style-a", "content-e"], "fig2": ["C"], "fig3": ["conv2_1-0.01"]}[name]
    words = [name, "--images", folder, "--weights", network_file, "--size", 40, "--iterations", 4]
    words += ["--save-every", 2, "--output", tmp_path, "--panels", *panels]
    if name == "fig3":
        words += ["--painting", folder / "the_scream.jpg"]
    done = call(*words)
    assert done.returncode == 0, done.stderr
    assert {file.parent.name for file in tmp_path.glob("*/final.png")} == set(panels)
    sheet = iio.imread(tmp_path / f"{name}.png")
    assert min(sheet.shape[:2]) > 300
    with Image.open(tmp_path / f"{name}.png") as image:
        assert image.info["srgb"] == 0
    assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    again = call(*words)
    assert again.returncode == 0 and again.stdout.count("is finished") == len(panels)


def test_a_figure_of_other_settings_is_not_mixed(folder, network_file, tmp_path):
    words = ["fig2", "--images", folder, "--weights", network_file, "--size", 40, "--output", tmp_path, "--panels", "C"]
    assert call(*words, "--iterations", 1).returncode == 0
    changed = call(*words[:-1], "C", "D", "--iterations", 2)
    assert changed.returncode == 2 and "holds a run with other settings" in changed.stderr
    assert not (tmp_path / "D").exists()


def test_sweeps_of_other_settings_lie_beside_each_other(folder, network_file, tmp_path, monkeypatch, capsys):
    """Each goes on in its own directory when its command is given again."""
    monkeypatch.setattr(places, "OUTPUT", tmp_path)
    words = ["sweep", folder / "Tuebingen_Neckarfront.jpg", folder / "the_scream.jpg", "--beta", 10, 100]
    words += ["--size", 40, "--iterations", 1, "--weights", network_file]
    for more in ([], ["--noise", "uniform"], [], ["--noise", "uniform"]):
        assert figures.main(list(map(str, words + more))) == 0
    first, second = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert second == f"{first}-2"
    out = capsys.readouterr().out
    assert out.count(f"holds other panels; these go into {tmp_path / second}") == 2
    assert out.count("is finished") == 4
    photograph = tmp_path / "Tuebingen_Neckarfront.jpg"  # another picture of the same name
    photograph.write_bytes((folder / "the_scream.jpg").read_bytes())
    assert figures.main([*map(str, [words[0], photograph, *words[2:]])]) == 0
    out = capsys.readouterr().out
    assert f"holds other panels; these go into {tmp_path / first}-3" in out and "is finished" not in out


@pytest.mark.parametrize(
    ("words", "panel", "used"),
    [
        (["fig2", "--images", "IMAGES", "--photograph", "PHOTO"], "C", ("photo.png", "vangogh_starry_night.jpg")),
        (["fig1", "--photograph", "PHOTO", "--painting", "PAINTING"], "content-a", ("photo.png",)),
        (["fig1", "--photograph", "PHOTO", "--painting", "PAINTING"], "style-a", ("painting.png", "painting.png")),
        (["fig3", "--photograph", "PHOTO", "--painting", "PAINTING"], "conv1_1-0.01", ("photo.png", "painting.png")),
    ],
)
def test_a_figure_of_ones_own_pictures(folder, pictures_dir, words, panel, used):
    paths = {"IMAGES": folder, "PHOTO": pictures_dir / "photo.png", "PAINTING": pictures_dir / "painting.png"}
    figure, name = figures._figure(vars(figures._parser().parse_args([str(paths.get(word, word)) for word in words])))
    job = figure.jobs[panel]
    assert tuple(path.name for path in (job.content, *job.styles)) == used
    assert name.startswith(f"{words[0]}-photo-")


def test_settings_of_a_panel(folder, network_file, tmp_path):
    call("fig3", "--images", folder, "--weights", network_file, "--size", 40, "--iterations", 2, "--output", tmp_path,
         "--painting", folder / "the_scream.jpg", "--panels", "conv3_1-0.0001")  # fmt: skip
    record = records.read(tmp_path / "conv3_1-0.0001")
    assert record["settings"]["beta"] == pytest.approx(1e4) and record["settings"]["pooling"] == "average"
    assert list(record["settings"]["style_layers"]) == ["conv1_1", "conv2_1", "conv3_1"]
    assert record["styles"][0]["path"].endswith("the_scream.jpg")


def test_a_matrix(folder, network_file, tmp_path):
    """Every photograph in every style, by a recipe; given again, nothing is painted twice."""
    for directory, names in (("photos", ("one.png", "two.jpg")), ("styles", ("a.jpg", "b.png", "not-a-picture.txt"))):
        (tmp_path / directory).mkdir()
        for seed, name in enumerate(names):
            if name.endswith("txt"):
                (tmp_path / directory / name).write_text("notes")
            else:
                iio.imwrite(tmp_path / directory / name, random_picture(40, 48, seed).astype(np.uint8))
    words = ["matrix", "--contents", tmp_path / "photos", "--styles", tmp_path / "styles", "--weights", network_file]
    words += ["--recipe", "avelar2019", "--size", 32, "--iterations", 1, "--output", tmp_path / "sheet"]
    done = call(*words)
    assert done.returncode == 0, done.stderr
    names = {file.parent.name for file in (tmp_path / "sheet").glob("*/final.png")}
    assert names == {"one-a", "one-b", "two-a", "two-b"}
    record = records.read(tmp_path / "sheet" / "two-b")["settings"]
    assert record["pooling"] == "max" and record["squash"] == [512, 512] and record["size"] == 32
    assert min(iio.imread(tmp_path / "sheet" / "matrix.png").shape[:2]) > 300
    assert call(*words).stdout.count("is finished") == 4
    iio.imwrite(tmp_path / "styles" / "a.png", random_picture(40, 48, 3).astype(np.uint8))
    assert "two panels would be called one-a; rename a picture" in call(*words).stderr


@pytest.fixture
def sweep(folder, network_file, tmp_path, monkeypatch, without, capsys):
    """A sweep of two pictures, without dask: its exit status, what it said and the figures it laid out."""
    without("distributed")
    laid, compose = [], sheets.compose
    monkeypatch.setattr(sheets, "compose", lambda figure, *rest: laid.append(figure) or compose(figure, *rest))
    pair = [str(folder / "Tuebingen_Neckarfront.jpg"), str(folder / "the_scream.jpg")]

    def call(*words):
        shared = ["--size", "32", "--iterations", "1", "--weights", str(network_file), "--output", str(tmp_path)]
        status = figures.main(["sweep", *pair, *words, *shared])
        told = capsys.readouterr()
        return status, told.out + told.err, laid

    return call


def test_panels_are_not_reduced(folder, tmp_path):
    """Each is as wide in the sheet as it was painted: a sheet of one more column is wider by so much at least."""
    widths = []
    for columns in (1, 2):
        job = jobs.Job(folder / "the_scream.jpg", (), Settings(), tmp_path)
        painted = [panels.Panel(str(column), "", 0, column, job) for column in range(columns)]
        for panel in painted:
            (tmp_path / panel.name).mkdir(exist_ok=True)
            iio.imwrite(tmp_path / panel.name / "final.png", np.zeros((300, 700, 3), np.uint8))
        sheets.compose(panels.Figure("", painted), tmp_path, tmp_path / "sheet.png", 1.0)
        sheet = iio.imread(tmp_path / "sheet.png")[..., :3].sum(-1)
        black = (sheet == 0).sum(axis=1).max()
        assert columns * 699 <= black <= columns * 703
        widths.append(sheet.shape[1])
    assert widths[1] - widths[0] >= 700


def test_a_sweep(sweep, tmp_path):
    """Two options by their values, the first in columns; what has one value holds for all; nothing is painted twice."""
    words = ["--style-scale", "1", "2", "--style-layers", "conv1_1", "conv1_1,conv2_1=0.25"]
    words += ["--beta", "1e4", "--bounded"]
    status, told, (figure, _) = sweep(*words)
    assert status == 0 and f"{tmp_path}: 4 paintings" in told
    second = "style-layers-conv1_1,conv2_1=0.25"
    names = {f"style-scale-{scale}_{layers}" for scale in "12" for layers in ("style-layers-conv1_1", second)}
    assert {file.parent.name for file in tmp_path.glob("*/final.png")} == names
    record = records.read(tmp_path / f"style-scale-2_{second}")["settings"]
    assert record["style_scale"] == 2 and record["style_layers"] == {"conv1_1": 0.5, "conv2_1": 0.25}
    assert record["beta"] == 1e4 and record["bounded"] and record["size"] == 32
    shown = [(panel.title, panel.row, panel.column) for panel in figure.panels if panel.title]
    assert shown == [
        *(("Tuebingen_Neckarfront", 0, 0), ("the_scream", 0, 1)),
        *(("--style-scale 1", 1, 0), ("--style-scale 2", 1, 1)),
    ]
    assert figure.rows == ["", "--style-layers conv1_1", "--style-layers conv1_1 conv2_1=0.25"]
    assert figure.caption.startswith("Tuebingen_Neckarfront, the_scream: --size 32 --iterations 1 ")
    assert "--beta 10000" in figure.caption and "--bounded" in figure.caption
    assert min(iio.imread(tmp_path / "sweep.png").shape[:2]) > 300
    assert sweep(*words)[1].count("is finished") == 4
    status, told, _ = sweep(*words, "--seed", "1")
    assert status == 2 and told.count("holds a run with other settings") == 1


def test_a_sweep_of_recipes(sweep, tmp_path):
    """Whose sizes differ where none is given."""
    status, _, (figure, _) = sweep("--recipe", "gatys2015", "avelar2019", "--fast")
    assert status == 0 and figure.rows == [""] and "--fast" in figure.caption
    assert records.read(tmp_path / "recipe-avelar2019")["settings"]["pooling"] == "max"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--style-layers", "conv1_1", "conv9_9"], "layer conv9_9: not in this network"),
        (["--init", "noise", "none.png"], "none.png: no such file"),
        (["--style-blend", "1", "1,2"], "--style-blend 1.0 2.0: give 1, one for each style"),
        (["--seed", "1", "2", "--masks", "a.png", "b.png"], "--masks 2 for 1 style: give one for each style"),
        (["--seed", "1", "2", "--panels", "seed-3"], "--panels seed-3: not in sweep; it has seed-1, seed-2"),
    ],
)
def test_a_wrong_value_in_a_sweep_is_told_before_anything_is_painted(sweep, tmp_path, words, expected):
    status, told, _ = sweep(*words)
    assert status == 2 and expected in told and told.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("scales", "64 128"),
        ("squash", "4 3"),
        ("ratio-at", "640 480"),
        ("pixel-scale", "1 2.5 3"),
        ("style-blend", "1 3"),
        ("content-layers", "conv1_1 conv2_1=0.5"),
        ("noise-ratio", "0.5"),
        ("recipe", "devos"),
    ],
)
def test_a_value_of_a_sweep_is_paints(option, words):
    """Commas in the place of spaces."""
    swept = argparse.ArgumentParser()
    options.add_settings(swept, OPTIONS, several=True)
    value = getattr(swept.parse_args(["a.jpg", f"--{option}", words.replace(" ", ",")]), option.replace("-", "_"))
    assert value == [options.parse(["a.jpg", f"--{option}", *words.split()])[option.replace("-", "_")]]


def test_missing_pictures_leave_gaps(folder, network_file, tmp_path):
    done = call("fig2", "--images", folder, "--weights", network_file, "--size", 40, "--iterations", 1,
                "--output", tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {file.parent.name for file in tmp_path.glob("*/final.png")} == {"B", "C", "D"}
    assert (tmp_path / "fig2.png").exists()
    assert "Pablo Picasso, 1910\nis missing: put it into" in sheets.gap(folder / "femme_nue_assise.jpg")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fig2", "--images", "nowhere"], "--images: nowhere: no such directory"),
        (["fig2", "--images", ".", "--panels", "G"], "--panels G: not in fig2; it has B, C, D, E, F"),
        (["fig2", "--images", ".", "--painting", "x.jpg"], "unrecognized arguments: --painting x.jpg"),
        (["fig2"], "required: --images"),
        (["fig2", "--images", ".", "--styles", "."], "unrecognized arguments: --styles ."),
        (["matrix", "--contents", "."], "required: --styles"),
        (["trace", "--images", ".", "--iterations", "1"], "unrecognized arguments: --iterations 1"),
        (["matrix", "--contents", "docs/nothing", "--styles", "."], "--contents: docs/nothing: no such directory"),
        (["fig3", "--images", ".", "--painting", "x.jpg"], "--painting x.jpg: no such file"),
        (["fig2", "--images", ".", "--photograph", "x.jpg"], "--photograph x.jpg: no such file"),
        (["fig3", "--painting", "x.jpg"], "--images DIR is missing: name the directory of fig3's pictures"),
        (["fig2"], "required: --images"),
        (["fig9", "--images", "."], "invalid choice"),
        (["fig1", "--images", ".", "--workers", "0"], "--workers 0"),
        ([], "required: FIGURE"),
        (["sweep"], "CONTENT is missing"),
        (
            ["sweep", "--beta", "1", "2", "a.jpg", "b.jpg"],
            "CONTENT is missing: name CONTENT and STYLE right after sweep",
        ),
        (["sweep", "a.jpg", "--beta", "1", "2"], "STYLE is missing"),
        (["sweep", "a.jpg", "b.jpg", "--beta", "1"], "sweep: 0 options have several values"),
        (["sweep", "a.jpg", "b.jpg", "--beta", "1", "2", "--seed", "1", "2", "--size", "1", "2"], "sweep: 3 options"),
        (["sweep", "a.jpg", "b.jpg", "--beta", "1", "x"], "'x'; write numbers in digits, such as 512"),
        (["sweep", "a.jpg", "b.jpg", "--scales", "8,x", "8"], "--scales: invalid int,... value: '8,x'"),
        (["sweep", "a.jpg", "b.jpg", "--beta", "1", "1.0"], "two panels would be called beta-1;"),
        (["sweep", "a.jpg", "b.jpg", "--pooling", "max", "mean"], "--pooling mean: give one of average, max"),
        (["sweep", "a.jpg", "b.jpg", "--beta", "1", "2", "--overwrite"], "unrecognized arguments: --overwrite"),
    ],
)
def test_bad_words(words, expected, capsys):
    assert figures.main(words) == 2
    err = capsys.readouterr().err
    assert expected in err and err.count("\n") == 1


def test_the_trace_prints_losses(folder, network_file, capsys, monkeypatch):
    """Both stages, the second from what the first painted; what the notebook calls "2" is its first evaluation."""
    monkeypatch.setattr(notebook, "published", lambda name: {512: {2: [9.0], 4: [8.0]}, 800: {2: [7.0]}})
    monkeypatch.setitem(notebook.NOTEBOOK_OF, "pytorch", (*notebook.NOTEBOOK_OF["pytorch"][:3], 2))
    photograph, painting = (notebook.fit(images.read(folder / name), 32) for name in notebook.FILES)
    settings = RECIPES["gatys2016"].settings
    network = weights.read(network_file).upto(settings.layers)
    first_loss = Objective(network, photograph, [Style(painting)], settings)(photograph).total
    assert figures.main(["trace", "--images", str(folder), "--weights", str(network_file), "--size", "32"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == lines[5] == ["iteration", "published", "ours", "difference"]
    assert [row[:2] for row in (*lines[2:4], lines[6])] == [["2", "9"], ["4", "8"], ["2", "7"]]
    assert float(lines[2][2]) == pytest.approx(first_loss, rel=1e-5)
    for row in (*lines[2:4], lines[6]):
        assert float(row[3].rstrip("%")) == pytest.approx(100 * (float(row[2]) / float(row[1]) - 1), rel=1e-2)
    first, second = (line[line.index("pixels;") - 3 : line.index("pixels;")] for line in (lines[0], lines[4]))
    assert [min(int(size[0]), int(size[2])) for size in (first, second)] == [32, 50]


def test_the_trace_of_the_torch_notebook(folder, network_file, layers, tmp_path, capsys, monkeypatch):
    """Layer by layer, as the reference has them of pictures by area; and its picture beside one shown with axes."""
    table = {512: {1: [1.0] * 7, 3: [2.0] * 7}, 1024: {2: [3.0] * 7}}
    monkeypatch.setattr(notebook, "published", lambda name: table)
    shown = random_picture(30, 40, 5)
    iio.imwrite(tmp_path / "theirs.png", with_axes(shown))
    words = ["trace", "--notebook", "torch", "--images", folder, "--weights", network_file, "--size", 30]
    words += ["--theirs", tmp_path / "theirs.png", "--output", tmp_path / "ours"]
    assert figures.main(list(map(str, words))) == 0
    lines = capsys.readouterr().out.splitlines()
    photograph, painting = (notebook.fit_area(images.read(folder / name), 30) for name in notebook.FILES)
    painted, style = (reference.features(layers, MEAN, each, "max", rounding="up") for each in (photograph, painting))
    means = {
        name: np.mean(
            np.square(np.subtract(*(reference.gram(of[name]) / of[name][..., 0].size for of in (painted, style))))
        )
        for name in STYLE_LAYERS
    }
    rows = [line.split() for line in lines if line.split()[0] == "1" and line.split()[-1] in STYLE_LAYERS]
    filters = dict(zip(STYLE_LAYERS, (64, 128, 256, 512, 512), strict=True))
    assert [row[-1] for row in rows] == list(STYLE_LAYERS)
    for row in rows:
        assert float(row[2]) == pytest.approx(1e3 / filters[row[-1]] ** 2 * means[row[-1]], rel=1e-4)
    assert [len([line for line in lines if line.split()[0] == number]) for number in "123"] == [9, 7, 7]
    assert {path.name for path in (tmp_path / "ours").iterdir()} == {"torch-512.png", "torch-1024.png"}
    ours = images.resize(images.read(tmp_path / "ours" / "torch-512.png"), 30, 40)
    (line,) = (line for line in lines if line.startswith("theirs.png"))
    correlation, difference = (float(word) for word in re.findall(r"-?\d+\.\d+", line))
    assert correlation == pytest.approx(np.corrcoef(ours.ravel(), shown.ravel())[0, 1], abs=2e-2)
    assert difference == pytest.approx(np.abs(ours - shown).mean(), abs=1)


def with_axes(picture):
    """A figure as matplotlib shows a picture of so many pixels: a black frame around it, ticks and labels beside."""
    height, width = picture.shape[:2]
    figure = np.full((height + 30, width + 45, 3), 255, np.uint8)
    figure[4 : height + 6, 29 : width + 31] = 0
    figure[5 : height + 5, 30 : width + 30] = picture
    figure[10, 20:29], figure[height + 6 : height + 12, 40] = 0, 90
    return figure


def test_what_the_notebooks_printed():
    """Both stages; layers add up to the total."""
    pytorch, torch = (notebook.published(name) for name in ("pytorch", "torch"))
    assert list(pytorch) == [512, 800] and list(torch) == [512, 1024]
    assert [list(stage) for stage in torch.values()] == [list(range(50, 501, 50)), list(range(50, 201, 50))]
    assert pytorch[512][100].tolist() == [707860.75] and pytorch[800][200].tolist() == [272176.6]
    for losses in (*torch[512].values(), *torch[1024].values()):
        assert losses[:-1].sum() == pytest.approx(losses[-1], rel=1e-6)
    assert torch[512][500][-1] == 350770.1 and torch[1024][200][1] == 3432.2


def test_sizes_by_area():
    """Those of the notebook; a constant stays one, and what has fewer pixels stays as it is."""
    shapes = [notebook.fit_area(np.full((*size, 3), 9, np.float32), 512).shape for size in ((768, 1024), (768, 970))]
    assert shapes == [(444, 592, 3), (456, 576, 3)]
    small = np.full((300, 400, 3), 9, np.float32)
    assert notebook.fit_area(small, 512) is small
    np.testing.assert_allclose(notebook.fit_area(small, 100), 9)
    enlarged = notebook.enlarge_jpeg(small - 20, 31, 41)
    assert enlarged.shape == (31, 41, 3) and not enlarged.any()  # in 8 bits


def test_textures(folder, network_file, tmp_path, monkeypatch):
    """Five of them, by one layer more each, with the settings of the recipe."""
    monkeypatch.setattr(places, "OUTPUT", tmp_path)
    source = folder / "the_scream.jpg"
    args = vars(figures._parser().parse_args(["textures", str(source), "--weights", str(network_file), "--size", "32"]))
    figure, name = figures._sweep(figures.SWEEPS["textures"] | args)
    assert name.startswith("textures-the_scream-") and figure.panels[0].source == source
    recipe = RECIPES["gatys2015-texture"].settings
    names = ["conv1_1", "pool1", "pool2", "pool3", "pool4"]
    for number, job in enumerate(figure.jobs.values(), 1):
        assert job.settings == replace(recipe, size=32, style_layers=dict.fromkeys(names[:number], 1.0))
        assert job.styles == (source,)
    assert len(figure.jobs) == 5


def test_the_notebooks_lbfgs_on_a_quadratic():
    """It finds the least, and its first step has an L1 norm of 1, as PyTorch's has."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    hessian = basis @ np.diag(np.linspace(1, 3, 12)) @ basis.T
    start = rng.normal(size=(2, 2, 3)).astype(np.float32)
    seen, losses = [], []

    def objective(picture):
        seen.append(picture)
        slope = hessian @ picture.ravel()
        return Evaluation({}, float(picture.ravel() @ slope / 2), slope.reshape(picture.shape))

    end = notebook.lbfgs(objective, start, 60, lambda evaluation, result: losses.append(result.total))
    assert len(losses) == 60 and np.abs(end).max() < 1e-4 and losses[-1] < 1e-8 * losses[0]
    assert np.abs(seen[1] - start).sum() == pytest.approx(1, rel=1e-5)


def test_the_notebooks_resizing():
    """Worked by hand: 6 pixels to 4 lie at -0.5, 1, 2.5 and 4; the first keeps to the border; rounded down."""
    row = np.array([10, 20, 40, 80, 160, 255], np.float32)
    picture = np.repeat(np.tile(row, (6, 1))[..., None], 3, axis=2)
    assert notebook.resize(picture, 6, 4)[3, :, 0].tolist() == [10, 20, 60, 160]
    assert notebook.resize(np.swapaxes(picture, 0, 1), 4, 6)[:, 3, 0].tolist() == [10, 20, 60, 160]
    assert notebook.resize(picture, 6, 9)[0, :, 0].tolist()[1:4] == [11, 18, 30]
    shapes = [notebook.fit(np.zeros(size, np.float32), 512).shape[:2] for size in ((768, 1024, 3), (768, 970, 3))]
    assert shapes == [(512, 682), (512, 646)]


@pytest.mark.thorough
def test_a_figure_by_two_workers_one_of_which_is_killed(folder, network_file, tmp_path, cluster):
    """The figure is complete all the same, by either L-BFGS, and no more than an interval is painted twice."""
    words = ["sweep", folder / "Tuebingen_Neckarfront.jpg", folder / "the_scream.jpg", "--lbfgs", "scipy", "graph"]
    words += ["--weights", network_file, "--size", 64, "--iterations", 150, "--save-every", 10]
    words += ["--output", tmp_path / "figure", "--scheduler", cluster.scheduler_address]
    process = start_script("figures.py", *words)
    wait_until(lambda: len(list((tmp_path / "figure").glob("*/state.npz"))) == 2, process)
    busy = max((worker.process.pid for worker in cluster.workers.values()), key=_processor_seconds)
    os.kill(busy, signal.SIGKILL)
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    assert "dask dashboard: http" in out
    for name in ("lbfgs-scipy", "lbfgs-graph"):
        directory = tmp_path / "figure" / name
        assert records.read(directory)["outcome"]["state"] == "finished"
        assert records.read(directory)["content"]["path"] == str(folder / "Tuebingen_Neckarfront.jpg")
        assert [int(row["iteration"]) for row in loss_rows(directory)] == list(range(151))
        assert len(list(directory.glob("iteration-*.png"))) == 16
        assert not (directory / "state.npz").exists()
    assert (tmp_path / "figure" / "sweep.png").exists()


def _processor_seconds(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return -1
    return int(fields[11]) + int(fields[12])
