"""The README's commands, as printed, on small pictures."""

import re
import shlex

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import ROOT, random_picture

import nst_graph
from nst_graph import cli, figures, get_weights, paint_many, painting, records
from nst_graph.errors import Pause
from nst_graph.recipes import Settings

README = (ROOT / "README.md").read_text()
LINES = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
COMMANDS = {
    script: [line for line in LINES if line.startswith(f"python scripts/{script}")]
    for script in ("paint.py", "get_weights.py", "paint_many.py", "figures.py")
}
#: The pictures that the README's commands name.
PICTURES = ("photo.jpg", "painting.jpg", "monet.jpg", "munch.jpg", "sky.png", "ground.png")


@pytest.fixture
def directory(tmp_path, monkeypatch, network_file):
    """Where the commands run: pictures by their names, and a small network as the VGG-16 in model/."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(records, "OUTPUT", tmp_path / "output")
    monkeypatch.setattr(painting, "MODEL", tmp_path)
    (tmp_path / painting.WEIGHTS["VGG-16"]).symlink_to(network_file)
    for seed, name in enumerate(PICTURES):
        iio.imwrite(tmp_path / name, random_picture(64, 80, seed).astype(np.uint8))
    return tmp_path


def words(line):
    return shlex.split(line, comments=True)[2:]


@pytest.mark.parametrize("line", [line for line in COMMANDS["paint.py"] if "--resume" not in line])
def test_paint(line, directory):
    assert cli.main([*words(line), "--iterations", "2"]) == 0
    (final,) = directory.glob("output/*/final.png")
    assert iio.imread(final).shape == (64, 80, 3)
    assert final.parent.name in (directory / "output" / "index.html").read_text()


@pytest.mark.parametrize("line", [line for line in COMMANDS["paint.py"] if "--resume" in line])
def test_resume(line, directory):
    def pause(step):
        if step.iteration == 3:
            raise Pause

    with pytest.raises(Pause):
        nst_graph.paint(
            "photo.jpg", "painting.jpg", Settings(iterations=5), output=directory / words(line)[-1], observers=[pause]
        )
    assert cli.main(words(line)) == 0


@pytest.mark.parametrize("line", COMMANDS["paint_many.py"])
def test_paint_many(line, directory):
    (directory / "paintings.csv").write_text(
        "content,styles,iterations,output\nphoto.jpg,monet.jpg;munch.jpg,2,a\nphoto.jpg,painting.jpg,2,b\n"
    )
    assert paint_many.main(words(line)) == 0
    assert len(list(directory.glob("[ab]/final.png"))) == 2


@pytest.mark.parametrize("line", COMMANDS["figures.py"])
def test_figures(line, directory):
    (directory / "pictures").mkdir()
    for source in figures.SOURCES.values():
        iio.imwrite(directory / "pictures" / source.file, random_picture(64, 80).astype(np.uint8))
    assert figures.main([*words(line), "--iterations", "2"]) == 0
    assert len(list(directory.glob("output/*/*/final.png"))) == 5


@pytest.mark.parametrize("line", [line for line in COMMANDS["get_weights.py"] if "--check" in line])
def test_check(line, monkeypatch, vgg16_file):
    monkeypatch.chdir(ROOT)
    assert get_weights.main(words(line)) == 0


def test_python(directory):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {}
    exec(code.replace("size=256, iterations=200", "size=32, iterations=2"), names)
    assert names["painting"].picture.shape == (26, 32, 3)


def test_make_targets():
    makefile = (ROOT / "Makefile").read_text()
    for line in LINES:
        if line.startswith("make "):
            assert f"\n{line.split()[1]}:" in makefile


def test_links():
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page}: {link}"


def test_the_code_is_all_there():
    for module in (ROOT / "nst_graph").glob("[!_]*.py"):
        assert f"(nst_graph/{module.name})" in README, module.name


def test_promises_name_tests_that_are_there():
    """Each row names a file and, after ::, tests of it."""
    promises = (ROOT / "docs" / "promises.md").read_text()
    rows = [
        line for line in promises.splitlines() if line.startswith("|") and "---" not in line and "held by" not in line
    ]
    assert len(rows) > 30
    for row in rows:
        place, names = None, []
        for file, name in re.findall(r"\(\.\./(tests/test_\w+\.py)\)|::(\w+)", row):
            place = (ROOT / file).read_text() if file else place
            names += [name] if name else []
            assert not name or f"def {name}(" in place, f"{name} is not in its file"
        assert names, row
