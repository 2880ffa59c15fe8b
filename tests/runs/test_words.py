"""The command that a page shows: parsed again, it is the same job."""

import json
import shlex
import shutil
from dataclasses import asdict, replace

import pytest
from conftest import run_here

from nst_graph import places
from nst_graph.commands import paint
from nst_graph.recipes import RECIPES, fast
from nst_graph.runs import page
from nst_graph.settings import Settings

CHANGES = [
    {},
    {"beta": 1e5, "size": 300},
    {"size": None, "enlarge": True, "style_shape": "area", "style_scale": (0.5, 1.0)},
    {"beta": 0.1 + 0.2, "rate": 1e-7, "epsilon": 1e-30, "smoothness": 12345678.9},
    {"style_layers": {"conv1_1": 0.5, "conv4_1": 0.5}, "content_layers": {"conv4_2": 2.0, "conv5_1": 1 / 3}},
    {"style_blend": (1.0, 3.0), "ratio_at": (640, 480), "squash": (4, 3), "pixel_scale": (255.0, 1.0, 0.5)},
    {"bounded": True, "unit_gradients": True, "tensorboard": True, "timelapse": "gif", "tile": 512, "noise_ratio": 0.0},
    {"scales": (64, 128), "scale_iterations": (9, 8), "precision": "auto", "init": "content", "depth": 16},
]


def recorded(tmp_path, settings, styles=("a.jpg", "b <i>'\"ü.jpg")):
    source = lambda name: {"path": str(tmp_path / name), "sha256": ""}  # noqa: E731
    init = settings.init if settings.init not in ("noise", "content", "style") else None
    record = {
        "content": source("-photo & co.jpg"),
        "styles": [source(name) for name in styles],
        "masks": [source("sky mask.png"), source("--ground.png")],
        "style_masks": [source("a/sky mask.png"), source("--ground.png")],
        "init": init and source(init),
        "weights": source("vgg.mat"),
        "settings": asdict(settings),
        "read_limit": 2.5,
    }
    return json.loads(json.dumps(record))


def parsed(command):
    """The job of a command line, less its program, which is there as README writes it."""
    program = "python scripts/paint.py "
    assert command.startswith(program)
    return paint.job(shlex.split(command.removeprefix(program)))


@pytest.mark.parametrize("changed", CHANGES)
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_command_paints_the_same(tmp_path, recipe, changed):
    settings = RECIPES[recipe].settings
    settings = replace(settings, **{"size": settings.size or 700} | changed)
    record = recorded(tmp_path, settings)
    job = parsed(page.paint_command(record, page.fewest_options(settings)))
    assert job.settings == settings and job.read_limit == 2.5
    sources = [job.content, *job.styles, *job.masks, *job.style_masks, job.weights]
    assert [str(path) for path in sources] == [
        source["path"]
        for name in ("content", "styles", "masks", "style_masks", "weights")
        for source in (record[name] if isinstance(record[name], list) else [record[name]])
    ]


def test_the_shortest_way_to_say_it():
    for name, recipe in RECIPES.items():
        expected = [] if name == "gatys2015" else [["--recipe", name]]
        assert page.fewest_options(recipe.settings) == expected
    quick = fast(Settings(), beta=1e5)
    assert page.fewest_options(quick) == [["--fast"], ["--beta", "100000"]]


def test_the_command_of_a_runs_page(tmp_path, pictures_dir, network_file):
    """Read from index.html, it paints the same picture, of odd names, from a file, within a mask."""
    for name, of in (("-photo & co.png", "photo"), ("b <i>'\"ü.png", "painting"), ("start it.png", "other")):
        shutil.copy(pictures_dir / f"{of}.png", tmp_path / name)
    given = [tmp_path / "-photo & co.png", tmp_path / "b <i>'\"ü.png", "--init", tmp_path / "start it.png"]
    given += [
        "--masks",
        tmp_path / "-photo & co.png",
        "--style-masks",
        tmp_path / "start it.png",
        "--weights",
        network_file,
        "--beta",
        0.1 + 0.2,
    ]
    assert run_here("paint.py", *given, "--iterations", 2, "--output", tmp_path / "one").returncode == 0
    text = (tmp_path / "one" / "index.html").read_text()
    command = json.loads(text.split('application/json">')[1].split("</script>")[0])["again"]
    again = shlex.split(command.removeprefix("python scripts/paint.py "))
    assert run_here("paint.py", *again, "--output", tmp_path / "two").returncode == 0
    one, two = ((tmp_path / run / "final.png").read_bytes() for run in ("one", "two"))
    assert one == two


def test_weights_that_are_found_anyhow_are_not_named(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "MODEL", tmp_path)
    record = recorded(tmp_path, Settings())
    record["weights"]["path"] = str(tmp_path.resolve() / "imagenet-vgg-verydeep-19-8bit.mat")
    assert "--weights" not in page.paint_command(record, [])
    record["weights"]["path"] = str(tmp_path.resolve() / "imagenet-vgg-verydeep-16.mat")
    assert "--weights" in page.paint_command(record, [])
