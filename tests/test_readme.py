"""The README's commands, as printed, on small pictures."""

import re
import shlex

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import ROOT, random_picture

from nst_graph import cli, get_weights, painting

README = (ROOT / "README.md").read_text()
LINES = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
COMMANDS = {
    script: [line for line in LINES if line.startswith(f"python scripts/{script}")]
    for script in ("paint.py", "get_weights.py")
}
#: The pictures that the README's commands name.
PICTURES = ("photo.jpg", "painting.jpg", "monet.jpg", "munch.jpg", "sky.png", "ground.png")


@pytest.fixture
def directory(tmp_path, monkeypatch, network_file):
    """Where the commands run: pictures by their names, and a small network as the VGG-16 in model/."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    monkeypatch.setattr(painting, "MODEL", tmp_path)
    (tmp_path / painting.WEIGHTS["VGG-16"]).symlink_to(network_file)
    for seed, name in enumerate(PICTURES):
        iio.imwrite(tmp_path / name, random_picture(64, 80, seed).astype(np.uint8))
    return tmp_path


@pytest.mark.parametrize("line", COMMANDS["paint.py"])
def test_paint(line, directory):
    words = shlex.split(line, comments=True)[2:]
    assert cli.main([*words, "--iterations", "2"]) == 0
    (final,) = directory.glob("output/*/final.png")
    assert iio.imread(final).shape == (64, 80, 3)


@pytest.mark.parametrize("line", [line for line in COMMANDS["get_weights.py"] if "--check" in line])
def test_check(line, monkeypatch, vgg16_file):
    monkeypatch.chdir(ROOT)
    assert get_weights.main(shlex.split(line, comments=True)[2:]) == 0


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
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link
