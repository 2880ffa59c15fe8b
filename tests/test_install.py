"""The wheel, installed where there is no checkout, and tried from another directory."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest
from conftest import ROOT

from nst_graph.figures import sheets


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    directory = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    source = directory / "source"
    shutil.copytree(ROOT / "nst_graph", source / "nst_graph", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run([*build, "--wheel-dir", directory, source], check=True, capture_output=True)
    (found,) = directory.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The scripts of a new environment that has the wheel, and this one's other packages."""
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory, with_pip=False)
    scripts = sysconfig.get_path("scripts", "venv", {"base": str(directory), "platbase": str(directory)})
    (packages,) = directory.glob("**/site-packages")
    # A path file named by another one is not read: the checkout, which is installed by one, is not seen.
    (packages / "others.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    pip = [sys.executable, "-m", "pip", f"--python={directory}", "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, wheel], check=True, capture_output=True)
    return os.path.join(scripts, "")


def run(installed, name, *words, cwd, **environment):
    environment = os.environ | {"HOME": str(cwd)} | environment
    environment.pop("PYTHONPATH", None)
    command = [installed + name, *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.thorough
def test_the_wheel_holds_the_package_alone(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"nst_graph"}
    for name in (
        "py.typed",
        "runs/page.html",
        "runs/shared.html",
        "runs/gallery.html",
        "commands/example-painting.jpg",
    ):
        assert f"nst_graph/{name}" in names


@pytest.mark.thorough
def test_it_paints(installed, tmp_path, pair, network_file):
    done = run(installed, "nst-paint", *pair, "--weights", network_file, "--iterations", 2, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "output" / "photo-painting" / "final.png").exists()
    assert (tmp_path / "output" / "index.html").exists()
    module = ["-m", "nst_graph", *pair, "--weights", network_file, "--iterations", "2", "--output", tmp_path / "run"]
    assert run(installed, "python", *module, cwd=tmp_path).returncode == 0
    assert (tmp_path / "run" / "final.png").exists()


@pytest.mark.thorough
def test_weights_come_from_the_cache_or_where_it_is_told(installed, tmp_path, pictures_dir, network_file):
    pair = [pictures_dir / "photo.png", pictures_dir / "painting.png", "--iterations", 1]
    done = run(installed, "nst-paint", *pair, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("nst-paint: error: no VGG-19 in ")
    assert "run nst-get-weights vgg19, or name a file" in done.stderr
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "imagenet-vgg-verydeep-19-8bit.mat").symlink_to(network_file)
    done = run(installed, "nst-paint", *pair, cwd=tmp_path, NST_GRAPH_HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr


#: Paints as a user of whom the system knows no home directory, as in a container.
NOBODY = """
import os, sys
sys.modules["pwd"] = None
del os.environ["HOME"]
from nst_graph.commands.{} import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.thorough
def test_without_a_home_directory(installed, tmp_path, pictures_dir, network_file):
    def call(*words, command="paint", **environment):
        return run(installed, "python", "-c", NOBODY.format(command), *words, cwd=tmp_path, **environment)

    for option, expected in (("--version", "nst_graph "), ("--help", "usage: nst-paint"), ("--recipes", "gatys2015 ")):
        done = call(option)
        assert done.returncode == 0 and done.stdout.startswith(expected), done.stderr
    pair = [pictures_dir / "photo.png", pictures_dir / "painting.png", "--iterations", 1]
    for done in (call(*pair), call("vgg19", command="get_weights")):
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert "no directory is known for weights; set NST_GRAPH_HOME to one" in done.stderr
    done = call(*pair, "--weights", network_file)
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "imagenet-vgg-verydeep-19-8bit.mat").symlink_to(network_file)
    done = call(*pair, NST_GRAPH_HOME=str(tmp_path / "home"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.thorough
def test_in_a_directory_that_was_removed(installed, tmp_path, pictures_dir, network_file):
    pair = f"{pictures_dir / 'photo.png'} {pictures_dir / 'painting.png'} --weights {network_file} --iterations 1"
    for words, expected in (
        ("--version", ""),
        (f"{pair} --output {tmp_path / 'run'}", ""),
        (pair, "nst-paint: error: --output output/photo-painting: No such file or directory"),
    ):
        (tmp_path / "gone").mkdir()
        command = f"rmdir ../gone && exec {installed}nst-paint {words}"
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path / "gone", capture_output=True, text=True)
        assert done.stderr.startswith(expected) and done.stderr.count("\n") == bool(expected)
        assert done.returncode == (2 if expected else 0)


def test_the_dockerfile_copies_what_is_there():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    sources = [source for line in lines if line.startswith("COPY ") for source in line.split()[1:-1]]
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(sources) == sorted(kept) and "setup.py" in sources
    assert all((ROOT / source).exists() for source in sources)


def test_messages_are_true_where_it_is_installed():
    """They name commands by places.py, no file of the checkout, and extras that setup.py has."""
    setup = ast.parse((ROOT / "setup.py").read_text())
    extras = next(
        node.value for node in ast.walk(setup) if isinstance(node, ast.keyword) and node.arg == "extras_require"
    )
    known = {key.value for key in extras.keys}
    for path in (ROOT / "nst_graph").rglob("*.py"):
        text = path.read_text()
        assert set(re.findall(r"nst_graph\[([^\]]*)\]", text)) <= known, path
        tree = ast.parse(text)
        comments = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in comments:
                named = re.search(
                    r"(paint|paint_many|paint_video|studio|get_weights|figures)\.py|README|make paint", node.value
                )
                assert named is None or node.value == sheets.ORIGIN, f"{path}: {node.value}"


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["paint", "paint-many", "paint-video", "studio", "get-weights", "figures"])
def test_each_command_has_help(installed, tmp_path, name):
    done = run(installed, f"nst-{name}", "--help", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.startswith(f"usage: nst-{name} ")
