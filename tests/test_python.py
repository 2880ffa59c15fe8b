"""From Python: what paint() takes, checks, warns of and returns, and what settings may be."""

import inspect
import itertools
import json
import re
import warnings
from dataclasses import asdict, fields, replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import FIRST_LAYERS, MEAN, ROOT, random_picture, run_here, stop_at
from PIL import Image, ImageCms
from processes import run_python

import nst_graph
from nst_graph import InputError, Settings, images, places
from nst_graph.commands import paint as command
from nst_graph.errors import Pause
from nst_graph.films import Film
from nst_graph.recipes import RECIPES, fast
from nst_graph.settings import CHOICES
from nst_graph.weights import sources

FEW = Settings(iterations=2, **FIRST_LAYERS)


@pytest.fixture
def paint(pictures_dir, network_file):
    """Painted from the two pictures of the fixtures unless others are given."""

    def call(content="photo.png", styles="painting.png", settings=FEW, **options):
        def place(given):
            return pictures_dir / given if isinstance(given, str) else given

        return nst_graph.paint(place(content), place(styles), settings, **{"weights_file": network_file} | options)

    return call


def test_the_face():
    """Small, all there, and at hand before TensorFlow is."""
    code = "import sys, nst_graph; print({'numpy', 'tensorflow', 'PIL'} & set(sys.modules), nst_graph.__version__)"
    done = run_python(code, cwd=ROOT)
    assert done.stdout == f"set() {nst_graph.__version__}\n"
    assert all(getattr(nst_graph, name) is not None and name in dir(nst_graph) for name in nst_graph.__all__)
    assert f"\nversion: {nst_graph.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_help_shows_what_each_setting_is():
    """An entry for each field, in their order, which names every choice."""
    about = inspect.getdoc(Settings).partition("Attributes:\n")[2]
    entries = re.findall(r"^    (\w+): (.+(?:\n        .+)*)", about, re.MULTILINE)
    assert [name for name, _ in entries] == [field.name for field in fields(Settings)]
    for name, text in entries:
        for choice in CHOICES.get(name, ()):
            assert re.search(rf"\b{re.escape(choice)}\b", " ".join(text.split())), f"{name}: {choice}"


ODD = ["x", "512", None, True, 1.5, [1], ["a"], (1, "2"), {}, {"conv4_2": "1"}, {1: 1.0}, object(), b"x", [[1], [2]]]
#: Which of these may be settings, by the annotated type.
RIGHT = {"int | None": [None], "float": [1.5], "float | None": [None], "bool": [True], "str": ["x", "512"]}
RIGHT |= {
    "str | None": [None],
    "float | tuple[float, ...]": [1.5, [1]],
    "tuple[int, ...] | None": [None, [1]],
    "tuple[int, ...]": [[1]],
    "tuple[float, ...] | None": [None, [1], 1.5],
}
RIGHT_FOR = {"memory": [1.5], "style_detail": ["x", "512"]}


@pytest.mark.parametrize("declared", [Settings, Film])
def test_a_value_of_another_type(declared):
    """It is an option as it should be, or one line that names the option."""
    for field, value in itertools.product(fields(declared), ODD):
        try:
            found = getattr(declared(**{field.name: value}), field.name)
        except InputError as error:
            assert value not in RIGHT_FOR.get(field.name, [])
            option = "scale_iterations" if field.name == "scales" and value == [1] else field.name
            assert str(error).startswith(f"{option}: ") and "\n" not in str(error), error
            assert error.command_line.startswith(f"--{option.replace('_', '-')} ") and isinstance(error, ValueError)
        else:
            assert value in RIGHT.get(field.type, []) + RIGHT_FOR.get(field.name, []), value
            assert found in (value, value[0], tuple(value)) if isinstance(value, list) else found in (value, (value,))


def test_numbers_of_numpys_and_lists_of_jsons():
    settings = Settings(size=np.int64(64), beta=np.float32(2), style_blend=[1, 3], init=Path("a.png"), squash=(3, 2))
    assert Settings(ratio_at=512, style_blend=2) == Settings(ratio_at=(512,), style_blend=(2.0,))  # one number for many
    assert settings == Settings(size=64, beta=2.0, style_blend=(1, 3), init="a.png", squash=(3, 2))
    assert Settings(**json.loads(json.dumps(asdict(settings)))) == settings


def test_the_command_line_and_python_check_the_same(paint, pictures_dir, network_file, tmp_path):
    """What one refuses, the other refuses, an option by the name that it has there; what one paints, the other does."""
    photo = pictures_dir / "photo.png"
    masked = ["--masks", photo, photo]
    for styles, settings, options, words in (
        ((), Settings(), {}, []),
        ((), Settings(content_layers={"conv9_9": 1.0}, beta=0), {}, ["--beta", 0, "--content-layers", "conv9_9"]),
        ((), Settings(beta=0, init="style"), {}, ["--beta", 0, "--init", "style"]),
        (("painting.png",), Settings(style_blend=(1.0, 2.0)), {}, ["--style-blend", 1, 2]),
        (("painting.png",), Settings(), {"masks": [photo, photo]}, masked),
        (("none.png",), Settings(), {}, []),
    ):
        paths = [pictures_dir / name for name in styles]
        with pytest.raises(InputError) as refused:
            paint(styles=paths, settings=settings, output=tmp_path / "run", **options)
        done = run_here("paint.py", photo, *paths, *words, "--weights", network_file, "--output", tmp_path / "run")
        told = getattr(refused.value, "command_line", refused.value)
        assert done.stderr == f"paint.py: error: {told}\n"
        assert not (tmp_path / "run").exists()
    texture = replace(FEW, alpha=0.0)
    alone, named = paint(styles=(), settings=texture), paint(styles="photo.png", settings=texture)
    np.testing.assert_array_equal(alone.picture, named.picture)
    with pytest.raises(InputError, match="resume: there is no directory"):
        paint(resume=True)


def test_arrays_and_images_are_as_good_as_files(paint, pictures_dir):
    """Whatever holds the same numbers is painted the same."""
    wanted = paint().picture
    photo, painting = (iio.imread(pictures_dir / f"{name}.png") for name in ("photo", "painting"))
    for convert in (
        lambda array: array,
        lambda array: array.astype(np.uint16) * 257,
        lambda array: array.astype(np.float64),
        lambda array: np.asfortranarray(array.astype(np.float32)),
        Image.fromarray,
        lambda array: Image.fromarray(array).convert("RGBA"),
        lambda array: np.insert(array, 3, 255, axis=2),
    ):
        np.testing.assert_array_equal(paint(convert(photo), [convert(painting)]).picture, wanted)
    np.testing.assert_array_equal(paint(photo, painting).picture, wanted)
    grey = photo[..., 0]
    wanted = paint(np.repeat(grey[..., None], 3, axis=2)).picture
    for given in (grey, grey[..., None], Image.fromarray(grey)):
        np.testing.assert_array_equal(paint(given).picture, wanted)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "F", "I;16"])
def test_images_of_every_mode(tmp_path, mode):
    """As Pillow shows them."""
    image = Image.fromarray(random_picture(20, 30).astype(np.uint8)).convert("L" if mode in ("I;16", "F") else "RGB")
    image = image.convert(mode)
    with images.Files() as given:
        found = images.read(given.path(image, "content"), profiled=False)
    if mode == "I;16":
        shown = np.repeat(np.asarray(image, np.float32)[..., None] / 257, 3, axis=-1)
    else:
        shown = np.asarray(image.convert("RGB"), np.float32)
    np.testing.assert_allclose(found, shown, atol=1)


def test_an_image_keeps_its_rotation_and_its_profile(tmp_path):
    """Read from a file by us or by Pillow, it is the same picture."""
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "a.jpg"
    Image.fromarray(random_picture(20, 30).astype(np.uint8)).save(path, exif=exif, icc_profile=profile)
    with Image.open(path) as image, images.Files() as given:
        found = images.read(given.path(image, "content"))
    assert found.shape == (30, 20, 3)
    np.testing.assert_array_equal(found, images.read(path))


#: A picture in 0..1, and torchvision's mean and deviation of such.
UNIT = np.linspace(0, 1, 8 * 8 * 3).reshape(8, 8, 3)
IMAGENET = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.zeros((3, 8, 8)), "content: an array of the shape .3, 8, 8.; give .height"),
        (np.zeros((2, 8, 8, 3)), "content: an array of the shape"),
        (np.zeros((0, 8, 3)), "content: an array of the shape"),
        (np.full((8, 8, 3), np.nan), "content: an array with values that are no numbers"),
        (np.random.default_rng(0).random((8, 8, 3)), "content: an array of floats from 0.* to 0.9.*; give"),
        (UNIT * 2 - 1, "content: an array of floats from -1 to 1; give uint8, uint16, or floats in 0..255: multiply"),
        ((UNIT - IMAGENET[0]) / IMAGENET[1], "content: an array of floats from -2.1.* to 2.6.*; .*multiply"),
        (UNIT * 255 - MEAN, "content: an array of floats from -12.* to 1[45].*; .*undo what a network's input"),
        (UNIT * 1.02, "content: an array of floats from 0 to 1.02; .*multiply 0..1 by 255"),
        (np.insert(UNIT * 255, 3, 1, axis=2), "content: an array of floats from 0 to 255; give"),  # alpha in 0..1
        (UNIT * 65535, "content: an array of floats from 0 to 65535; give uint8, uint16"),
        (np.zeros((8, 8, 3), np.int64), "content: an array of int64; give uint8, uint16, or floats in 0..255"),
        (np.zeros((8, 8, 3), bool), "content: an array of bool; give"),
        (np.array(["a"]), "content: an array of the shape"),
        (None, "content: NoneType; give a path, an array or an image"),
        (["photo.png"], "content: list; give a path"),
        (Image.new("LAB", (8, 8)), "content: an image of the mode LAB"),
    ],
)
def test_what_is_no_picture(paint, given, words):
    with pytest.raises(InputError, match=words):
        paint(given)


def test_an_image_that_is_cut_short(paint, pictures_dir, tmp_path):
    (tmp_path / "short.png").write_bytes((pictures_dir / "photo.png").read_bytes()[:2000])
    with Image.open(tmp_path / "short.png") as image, pytest.raises(InputError, match="content: an image that cannot"):
        paint(image)


def test_masks_and_a_start_in_memory(paint, pictures_dir, tmp_path):
    mask = np.zeros((48, 64), bool)
    mask[:, :40] = True
    iio.imwrite(tmp_path / "mask.png", mask * np.uint8(255))
    wanted = paint(masks=[tmp_path / "mask.png"], settings=replace(FEW, init=str(pictures_dir / "other.png")))
    other = Image.open(pictures_dir / "other.png")
    for given in (mask, mask * 1.0, mask * np.uint8(255), mask[..., None]):
        found = paint(masks=[given], init=other)
        np.testing.assert_array_equal(found.picture, wanted.picture)
    np.testing.assert_array_equal(paint(masks=mask, init=other).picture, wanted.picture)
    assert found.settings == replace(FEW, init="FILE")
    for given, words in (
        (mask * 255.0, "floats from 0 to 255; give truth values, uint8, uint16, or floats in 0..1"),
        (mask * 2.0 - 1, "floats from -1 to 1; give"),
        (mask * np.uint8(1), "uint8 up to 1; white is 255: multiply, or give truth values"),
        (mask * np.uint16(255), "uint16 up to 255; white is 65535"),
    ):
        with pytest.raises(InputError, match=f"mask-1: an array of {words}"):
            paint(masks=[given])


def test_a_painting_is_a_picture(paint):
    """With its numbers outside of 0..255, which become 0 and 255, it is a start, a photograph and a style."""
    black = np.zeros((48, 64, 3))
    for settings in (replace(FEW, iterations=20), replace(FEW, iterations=0), replace(FEW, optimiser="adam")):
        painting = paint(styles=black, settings=settings)
        found = paint(painting.picture, painting.picture, replace(FEW, iterations=0), init=painting.picture)
        np.testing.assert_allclose(found.picture, np.clip(painting.picture, 0, 255), atol=0.01)


def test_a_run_of_arrays_is_gone_on_with(paint, pictures_dir, network_file, tmp_path):
    """By Python with the same arrays, or by the command line from the copies in its directory."""
    arrays = [random_picture(48, 64, 1).astype(np.uint8), random_picture(40, 56, 2)]
    settings = Settings(iterations=6, save_every=2, optimiser="adam", **FIRST_LAYERS)
    wanted = paint(*arrays, settings, output=tmp_path / "whole")
    for name in ("python", "command"):
        with pytest.raises(Pause):
            paint(*arrays, settings, output=tmp_path / name, observers=[stop_at(4)])
    with pytest.raises(InputError, match="content.* was begun with other bytes"):
        paint(arrays[0][::-1], arrays[1], settings, output=tmp_path / "python", resume=True)
    found = paint(*arrays, settings, output=tmp_path / "python", resume=True)
    assert run_here("paint.py", "--resume", tmp_path / "command").returncode == 0
    for name in ("python", "command"):
        final = images.read(tmp_path / name / "final.png")
        np.testing.assert_allclose(final, images.read(tmp_path / "whole" / "final.png"), atol=1)
    assert found.outcome.step.iteration == wanted.outcome.step.iteration == 6


def test_warnings(paint, pictures_dir, network_file, tmp_path, monkeypatch):
    """What is not as it was wanted is a warning, once; nothing else is, and nothing where lines are asked for."""
    monkeypatch.setattr(places, "MODEL", tmp_path)
    (tmp_path / sources.FILES["VGG-16"][0]).symlink_to(network_file)
    with pytest.warns(UserWarning, match="VGG-16.*VGG-19") as seen:
        painting = paint(weights_file=None, settings=FEW)
    assert len(seen) == 1 and painting.network == "VGG-16"
    lines = []
    with warnings.catch_warnings(action="error"):
        paint(weights_file=None, settings=replace(FEW, network="VGG-16"))
        paint(weights_file=None, say=lines.append)
    assert any("VGG-16" in line and "VGG-19" in line for line in lines)


def test_what_a_painting_knows(paint, pictures_dir, network_file, tmp_path):
    """The same as a run's directory, and its saved picture is that run's, to the byte."""
    settings = replace(FEW, size=40, scales=(32,), scale_iterations=(2,), depth=16)
    painting = paint(settings=settings, output=tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert painting.network == record["weights"]["network"] == "VGG-16"
    assert painting.settings == settings
    assert painting.seconds == pytest.approx(record["outcome"]["seconds"], abs=0.001) and painting.seconds > 0
    painting.save(tmp_path / "a.PNG")
    assert (tmp_path / "a.PNG").read_bytes() == (tmp_path / "run" / "final.png").read_bytes()
    saved = images.read(tmp_path / "a.PNG")
    for name, nearness in (("a.tif", 1e-4), ("a.tiff", 1e-4), ("a.jpg", 25), ("a.JPEG", 25)):
        painting.save(tmp_path / name)
        np.testing.assert_allclose(images.read(tmp_path / name), saved, atol=nearness)
    for name in ("a", "a.gif"):
        with pytest.raises(InputError, match="saved as .png, .jpg"):
            painting.save(tmp_path / name)
        assert not (tmp_path / name).exists()


def test_recipes_and_fast_are_the_command_lines(pictures_dir, network_file, tmp_path):
    """--recipe and --fast, with options that win over both, are what the public names make."""
    pair = str(pictures_dir / "photo.png"), str(pictures_dir / "painting.png")
    for name, recipe in nst_graph.RECIPES.items():
        assert command.job([*pair, "--recipe", name]).settings == recipe.settings == RECIPES[name].settings
        words = ["--recipe", name, "--fast", "--size", "700", "--iterations", "9"]
        assert command.job([*pair, *words]).settings == nst_graph.fast(recipe.settings, size=700, iterations=9)
        assert command.job([*pair, "--recipe", name, "--fast"]).settings == fast(recipe.settings)
    with pytest.raises(InputError, match="size: 'large'; "):
        fast(Settings(), size="large")
