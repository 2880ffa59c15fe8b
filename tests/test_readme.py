"""The README's commands, as printed, on small pictures; and the examples in docstrings."""

import doctest
import importlib
import re
import shlex

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import ROOT, random_picture, stop_at

import nst_graph
from nst_graph import images, places
from nst_graph.commands import figures, get_weights, paint_many
from nst_graph.commands import paint as cli
from nst_graph.errors import Pause
from nst_graph.figures import panels
from nst_graph.settings import Settings
from nst_graph.weights import sources

README = (ROOT / "README.md").read_text()
USAGE = "".join(
    [
        README,
        *((ROOT / "docs" / f"{page}.md").read_text() for page in ("usage", "install", "many", "python", "performance")),
    ]
)


def blocks(page):
    return [block.splitlines() for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL)]


BLOCKS = blocks(USAGE)
MAINS = {
    "python scripts/paint.py": cli.main,
    "python scripts/get_weights.py": get_weights.main,
    "python scripts/paint_many.py": paint_many.main,
    "python scripts/figures.py": figures.main,
}
#: Lines that set up, download, or run for minutes; tests of their own hold what they do.
ELSEWHERE = ("make ", "git clone ", "python3 -m venv ", "python scripts/get_weights.py vgg")
#: The pictures that the README's commands name.
PICTURES = (
    "photo.jpg",
    "painting.jpg",
    "monet.jpg",
    "munch.jpg",
    "sky.png",
    "ground.png",
    *("a.png", "b.png", "c.png", "d.png"),
)
#: The modules of public names, whose docstrings have examples.
EXAMPLES = ("nst_graph", *(f"nst_graph.{name}" for name in ("errors", "settings", "recipes", "painting")))
EXAMPLES += ("nst_graph.images.arrays", "nst_graph.model.losses", "nst_graph.model.guides")


@pytest.fixture
def directory(tmp_path, monkeypatch, network_file):
    """Where the commands run: pictures by their names, and a small network as the VGG-19 in model/."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(places, "OUTPUT", tmp_path / "output")
    monkeypatch.setattr(places, "MODEL", tmp_path / "model")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / sources.FILES["VGG-19"][-1]).symlink_to(network_file)
    for seed, name in enumerate(PICTURES):
        iio.imwrite(tmp_path / name, random_picture(64, 80, seed).astype(np.uint8))
    for name in ("photographs", "paintings"):
        (tmp_path / name).mkdir()
        iio.imwrite(tmp_path / name / "one.jpg", random_picture(64, 80).astype(np.uint8))
    (tmp_path / "pictures").mkdir()
    for source in panels.SOURCES.values():
        iio.imwrite(tmp_path / "pictures" / source.file, random_picture(64, 80).astype(np.uint8))
    (tmp_path / "paintings.csv").write_text(
        "content,styles,iterations,output\nphoto.jpg,monet.jpg;munch.jpg,2,a\nphoto.jpg,painting.jpg,2,b\n"
    )
    return tmp_path


def test_every_command_after_the_other(directory, capsys):
    """As a person would who works through the page in one directory; figures have tests of their own."""
    page = [[line for line in block if "figures.py" not in line] for block in blocks(README)]
    painted = check_commands(page, directory, capsys)
    assert (directory / "output" / "photo-painting-2" / "final.png").exists()
    assert {directory / "a", directory / "b", directory / "output" / "night"} < painted


@pytest.mark.thorough
def test_every_command_of_the_other_pages(directory, capsys):
    assert check_commands(BLOCKS, directory, capsys)


def check_commands(blocks, directory, capsys):
    """Call one command after the other; returns the runs that are there at the end."""
    painted = set()
    for line in (line for block in blocks for line in block if not line.startswith(ELSEWHERE)):
        command = next(command for command in MAINS if line.startswith(command))
        words = shlex.split(line.removeprefix(command), comments=True)
        few = ["--iterations", "2"] if command.endswith(("paint.py", "figures.py")) and "--resume" not in words else []
        assert MAINS[command]([*words, *few]) == 0, f"{line}: {capsys.readouterr().err}"
        runs = {run.parent for run in directory.glob("**/final.png")}
        if few:
            assert runs > painted, line
        painted = runs
    return painted


def test_resume(directory):
    (line,) = (line for block in BLOCKS for line in block if "--resume" in line)
    words = shlex.split(line, comments=True)[2:]
    with pytest.raises(Pause):
        nst_graph.paint("photo.jpg", "painting.jpg", Settings(iterations=5), output=words[-1], observers=[stop_at(3)])
    assert cli.main(words) == 0


def test_python(directory):
    """docs/python.md from top to bottom, in fewer iterations."""
    page = (ROOT / "docs" / "python.md").read_text()
    page = page.replace("size=256, iterations=200", "size=32, iterations=25").replace(
        "beta=2.0", "beta=2.0, iterations=2"
    )
    *blocks, again = re.findall(
        r"```python\n(.*?)```", page.replace('"studio", output', '"studio", iterations=2, output'), re.DOTALL
    )
    names = {}
    for block in blocks:
        exec(block, names)
    assert images.read(directory / "result.png").shape == (26, 32, 3)
    assert names["step"].iteration == 20 and names["painting"].losses["iteration"] == [0, 1, 2]
    assert (directory / "output" / "both" / "final.png").exists()
    words = ["photo.jpg", "painting.jpg", "--size", "32", "--iterations", "2", "--depth", "16"]
    assert cli.main([*words, "--output", "output/photo-painting"]) == 0
    exec(again, names)
    final = images.read(directory / "output" / "photo-painting" / "final.png")
    np.testing.assert_allclose(names["again"].picture.clip(0, 255), final, atol=0.01)


@pytest.mark.parametrize("module", EXAMPLES)
def test_docstrings(module, directory):
    results = doctest.testmod(importlib.import_module(module), extraglobs={"nst_graph": nst_graph})
    assert results.attempted and not results.failed


def test_each_public_name_has_an_example():
    without = {name for name in nst_graph.__all__ if ">>> " not in (getattr(nst_graph, name).__doc__ or "")}
    assert without == {"RECIPES", "__version__"} and "RECIPES" in nst_graph.Recipe.__doc__


def test_make_targets():
    makefile = (ROOT / "Makefile").read_text()
    for line in (line for block in BLOCKS for line in block):
        if line.startswith("make "):
            assert f"\n{line.split()[1]}:" in makefile


def test_links():
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page}: {link}"


def test_the_code_is_all_there():
    """Each package and module is named, and what is said to be in a file is there."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    package = ROOT / "nst_graph"
    for path in [*package.glob("[!_]*.py"), *package.glob("*/__init__.py")]:
        assert f"(../nst_graph/{path.relative_to(package).as_posix()})" in page, path
    for path in package.glob("*/[!_]*.py"):
        assert f"`{path.name}`" in page, path
    places = re.findall(r"`(\w+)`\s+in\s+\[[^]]+\]\(\.\./(\S+\.py)\)", page)
    assert len(places) > 12
    for name, file in places:
        assert re.search(rf"(def|class) {name}\b|^{name} =", (ROOT / file).read_text(), re.MULTILINE), (name, file)


def test_promises_name_tests_that_are_there():
    """Each row names a file and, after ::, tests of it."""
    promises = (ROOT / "docs" / "promises.md").read_text()
    rows = [
        line for line in promises.splitlines() if line.startswith("|") and "---" not in line and "held by" not in line
    ]
    assert len(rows) > 30
    for row in rows:
        place, names = None, []
        for file, name in re.findall(r"\(\.\./(tests/[\w/]*test_\w+\.py)\)|::(\w+)", row):
            place = (ROOT / file).read_text() if file else place
            names += [name] if name else []
            assert not name or f"def {name}(" in place, f"{name} is not in its file"
        assert names, row
