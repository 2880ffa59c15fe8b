"""Sizes, shapes and transparency: of the photograph, of the result, and of the styles."""

from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import FIRST_LAYERS, random_picture, run_here, stop_at
from PIL import Image

import nst_graph
from nst_graph import InputError, Settings, images
from nst_graph.commands import paint as cli
from nst_graph.errors import Pause
from nst_graph.stages import InputFiles, InputImages

FEW = Settings(iterations=2, size=None, **FIRST_LAYERS)
FILES = InputFiles(*[None] * 7)


@pytest.fixture
def paint(pictures_dir, network_file):
    def call(content, styles="painting.png", settings=FEW, **options):
        named = [pictures_dir / style if isinstance(style, str) else style for style in images.as_list(styles)]
        return nst_graph.paint(content, named, settings, weights_file=network_file, **options)

    return call


def shape(*words):
    """Height and width of a painting of 48 x 64 pixels with these options."""
    settings = cli.job(["photo.png", "painting.png", *words]).settings
    return images.fitted_size((48, 64), settings.size, settings.side, settings.squash, settings.enlarge)


def test_sizes():
    assert shape() == shape("--size", "original") == shape("--size", "1000") == (48, 64)
    assert shape("--size", "100", "--enlarge") == (75, 100)
    assert shape("--size", "96", "--side", "shorter", "--enlarge") == (96, 128)
    assert shape("--size", "128", "--squash", "2", "1", "--enlarge") == (64, 128)
    assert shape("--size", "32", "--enlarge") == shape("--size", "32") == (24, 32)
    assert shape("--size", "original", "--enlarge") == (48, 64)
    fast = cli.job(["photo.png", "painting.png", "--fast", "--size", "original"]).settings
    assert fast.size is None and fast.scales == ()


def test_a_photograph_is_enlarged(pictures_dir, pair, network_file, tmp_path):
    """At each scale below the size, too; without --enlarge the news say what would."""
    words = [*pair, "--weights", network_file]
    words += ["--size", 128, "--iterations", 1, "--scales", 32, 96, "--scale-iterations", 1, 1, "--init", "content"]
    done = run_here("paint.py", *words, "--enlarge", "--output", tmp_path / "large")
    assert [f"at {size} in" in done.stdout for size in ("32 x 24", "96 x 72", "128 x 96")] == [True] * 3
    wanted = images.resize(images.read(pictures_dir / "photo.png"), 96, 128)
    found = images.read(tmp_path / "large" / "content.png")
    np.testing.assert_allclose(found, wanted, atol=0.51)
    assert images.read(tmp_path / "large" / "final.png").shape == (96, 128, 3)
    done = run_here("paint.py", *words, "--output", tmp_path / "small")
    assert "it keeps its size; see --enlarge" in done.stdout
    assert images.read(tmp_path / "small" / "final.png").shape == (48, 64, 3)


def disc(height, width, garbage=(255, 0, 255)):
    """RGBA uint8: a disc with a soft edge, and beneath what is transparent, garbage."""
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - height / 2, columns - width / 2)
    alpha = np.clip((0.45 * height - distance) * 60, 0, 255)
    colours = np.where(alpha[..., None] > 0, random_picture(height, width, 1), garbage)
    return np.dstack([colours, alpha]).astype(np.uint8)


@pytest.mark.parametrize("size", [(48, 64), (40, 53), (20, 31), (60, 80)])
def test_beneath_what_is_transparent(tmp_path, size):
    """The colours around it: what is opaque stays as it is, garbage is never seen, and one colour is one colour."""
    original = disc(48, 64)
    found, other = (
        images.opaque(images.read(save(tmp_path, disc(48, 64, garbage)), ground=None), *size)
        for garbage in ((255, 0, 255), (0, 255, 0))
    )
    np.testing.assert_array_equal(found, other)
    assert found.shape == (*size, 3) and found.min() >= 0 and found.max() <= 255
    if size == (48, 64):
        solid = original[..., 3] == 255
        np.testing.assert_allclose(found[solid], original[solid][:, :3], atol=1e-3)
    original[..., :3] = np.where(original[..., 3:] > 0, (200, 50, 30), (255, 0, 255))
    plain = images.opaque(images.read(save(tmp_path, original), ground=None), *size)
    np.testing.assert_allclose(plain, np.broadcast_to((200, 50, 30), plain.shape), atol=0.02)
    seen = original[..., 3] > 0
    written = images.unpremultiply(images.read(save(tmp_path, original), ground=None))
    np.testing.assert_allclose(written[seen], original[seen], atol=0.01)
    nothing = np.zeros((48, 64, 4), np.uint8)
    assert (images.opaque(images.read(save(tmp_path, nothing), ground=None), *size) == 255).all()


def test_nothing_but_transparency(paint, tmp_path):
    """A photograph, a style and a start that are transparent all over are white, and a line says so."""
    nothing = save(tmp_path, np.zeros((48, 64, 4), np.uint8), "none.png")
    said = []
    paint(nothing, nothing, replace(FEW, init=str(nothing)), say=said.append)
    assert said.count(f"{nothing}: transparent all over; it is taken as white") == 3
    paint(save(tmp_path, disc(48, 64)), say=said.append)
    assert len([line for line in said if "transparent" in line]) == 3


def save(directory, array, name="a.png", **options):
    Image.fromarray(array).save(directory / name, **options)
    return directory / name


@pytest.mark.parametrize("kind", ["RGBA", "LA", "16", "P", "GIF", "tRNS", "WebP", "TIFF"])
def test_the_result_has_the_photographs_alpha(paint, tmp_path, kind):
    """In every picture of the run and in what is returned, whichever way the file says it."""
    array = disc(48, 64)
    hard = array[..., 3] > 127
    image, path = Image.fromarray(array), tmp_path / "a.png"
    if kind == "LA":
        image = image.convert("LA")
    elif kind in ("P", "GIF"):
        image = Image.fromarray(array[..., :3]).quantize(256)
        image.putdata(np.where(hard, np.maximum(np.asarray(image), 1), 0).ravel().tolist())
        path = tmp_path / ("a.gif" if kind == "GIF" else "a.png")
    elif kind == "tRNS":
        image = Image.fromarray(np.where(hard[..., None], array[..., :3] // 2, 255).astype(np.uint8))
    elif kind in ("WebP", "TIFF"):
        path = tmp_path / f"a.{kind.lower()}"
    if kind == "16":
        path.write_bytes(images.to_png(array.astype(np.float32), 16))
    else:
        options = {"P": {"transparency": 0}, "GIF": {"transparency": 0}, "tRNS": {"transparency": (255,) * 3}}
        image.save(path, **options.get(kind, {"lossless": True} if kind == "WebP" else {}))
    alpha = np.where(hard, 255, 0) if kind in ("P", "GIF", "tRNS") else array[..., 3]
    settings = replace(FEW, depth=16 if kind == "16" else 8, save_every=1)
    painting = paint(path, settings=settings, output=tmp_path / "run")
    assert painting.picture.shape == (48, 64, 4)
    for name in ("content", "iteration-00000", "iteration-00001", "final"):
        found = images.read(tmp_path / "run" / f"{name}.png", ground=None)
        np.testing.assert_allclose(found[..., 3], alpha, atol=0.01, err_msg=name)
    data = (tmp_path / "run" / "final.png").read_bytes()
    assert data[24:26] == bytes([settings.depth, 6])
    assert images.read(tmp_path / "run" / "style-1.png", ground=None).shape[2] == 3


def test_transparency_with_all_the_rest(paint, tmp_path):
    """Scales, luminance, TensorBoard and films; JPEG gets white beneath; opaque alpha is none."""
    path = save(tmp_path, disc(48, 64))
    settings = Settings(
        size=40, scales=(32,), scale_iterations=(2,), iterations=2, save_every=2, colours="luminance",
        tensorboard=True, timelapse="gif",
    )  # fmt: skip
    painting = paint(path, settings=settings, output=tmp_path / "run")
    wanted = images.resize(disc(48, 64)[..., 3:].astype(np.float32), 30, 40, "bilinear")
    np.testing.assert_allclose(painting.picture[..., 3:], wanted, atol=1e-3)
    assert iio.imread(tmp_path / "run" / "iteration-00000.png").shape == (24, 32, 4)
    assert iio.imread(tmp_path / "run" / "timelapse.gif", index=0).shape[:2] == (30, 40)
    painting.save(tmp_path / "b.jpg")
    assert np.abs(images.read(tmp_path / "b.jpg")[0, 0] - 255).max() < 5
    painting.save(tmp_path / "b.tiff")
    saved = images.read(tmp_path / "run" / "final.png", ground=None)
    np.testing.assert_allclose(images.read(tmp_path / "b.tiff", ground=None), saved, atol=0.01)
    solid = np.insert(random_picture(48, 64, 1).astype(np.uint8), 3, 255, axis=2)
    plain = paint(solid[..., :3]).picture
    np.testing.assert_array_equal(paint(solid).picture, plain)


def test_transparency_in_tiles_and_resumed(paint, tmp_path):
    """Alpha is no part of what is optimised: the colours are those of the filled photograph, the alpha its own."""
    path = save(tmp_path, disc(96, 128))
    filled = images.opaque(images.read(path, ground=None), 96, 128)
    settings = Settings(iterations=4, save_every=2, optimiser="adam", tile=64, init="content")
    wanted = paint(filled, settings=settings).picture
    with pytest.raises(Pause):
        paint(path, settings=settings, output=tmp_path / "run", observers=[stop_at(2)])
    found = paint(path, settings=settings, output=tmp_path / "run", resume=True).picture
    assert np.abs(found[..., :3] - wanted).mean() < 0.01  # an array keeps 16 bits
    np.testing.assert_array_equal(found[..., 3], disc(96, 128)[..., 3])
    on = paint(path, settings=replace(settings, iterations=0, init=str(tmp_path / "run" / "final.png")))
    seen = found[..., 3] == 255
    np.testing.assert_allclose(on.picture[seen], found[seen].clip(0, 255), atol=0.51)


def sides(styles, settings, photograph=(48, 64)):
    """Height and width of styles of these shapes, before rounding, beside a photograph."""
    pictures = [np.zeros((*style, 3), np.float32) for style in styles]
    input_images = InputImages(np.zeros((*photograph, 3), np.float32), pictures, None, FILES)
    return input_images.style_sides(photograph, settings)


STYLES = [(40, 56), (100, 20), (64, 48)]


def test_shapes_of_styles():
    assert sides(STYLES, Settings()) == [(48, 64)] * 3
    assert sides(STYLES, Settings(style_shape="own", size=50)) == [(36, 50), (50, 10), (50, 38)]
    assert sides(STYLES, Settings(style_shape="own", size=200, enlarge=True)) == [(143, 200), (200, 40), (200, 150)]
    for (rows, columns), (height, width) in zip(STYLES, sides(STYLES, Settings(style_shape="area")), strict=True):
        assert height * width == pytest.approx(48 * 64) and height / width == pytest.approx(rows / columns)


def test_a_scale_for_each_style():
    plain = sides(STYLES, Settings(style_shape="area"))
    for given, each in ((0.5, [0.5] * 3), ((0.5, 1, 2), [0.5, 1, 2]), ([0.5], [0.5] * 3)):
        found = sides(STYLES, Settings(style_shape="area", style_scale=given))
        np.testing.assert_allclose(found, [(h * s, w * s) for (h, w), s in zip(plain, each, strict=True)])
    assert Settings(style_scale=[2]).style_scale == 2
    words = ["photo.png", "a.png", "b.png", "--style-scale"]
    assert cli.job([*words, "0.5"]).settings.style_scale == 0.5
    assert cli.job([*words, "0.5", "2"]).settings.style_scale == (0.5, 2)
    with pytest.raises(InputError, match="style_scale: 0.5 1.0 2.0; give one number, or 2, one for each style"):
        cli.job([*words, "0.5", "1", "2"])
    for wrong in ((), (1, 0), (1, -1), (1, float("nan")), 0):
        with pytest.raises(InputError, match="style_scale: "):
            Settings(style_scale=wrong)


def test_shape_and_scales_reach_the_targets(paint, pictures_dir, network, tmp_path):
    """The run's style pictures are the ones that the losses compare with; in the scales before, in their sizes."""
    names = ["painting.png", "other.png"]
    settings = replace(FEW, style_shape="area", style_scale=(1, 0.75), scales=(40,), scale_iterations=(1,), size=60)
    found = paint(pictures_dir / "photo.png", names, settings, output=tmp_path / "run")
    shapes = []
    for number, (name, scale) in enumerate(zip(names, (1, 0.75), strict=True), 1):
        original = images.read(pictures_dir / name)
        share = scale * np.sqrt(45 * 60 / np.prod(original.shape[:2]))
        shapes.append(tuple(round(side * share) for side in original.shape[:2]))
        wanted = images.to_bytes(images.resize(original, *shapes[-1]))
        np.testing.assert_array_equal(iio.imread(tmp_path / "run" / f"style-{number}.png"), wanted)
    assert found.settings.style_scale == (1, 0.75) and shapes == [(44, 61), (39, 39)]
    small = [wanted.astype(np.float32) for wanted in map(iio.imread, sorted((tmp_path / "run").glob("style-?.png")))]
    start = replace(FEW, size=60, iterations=0, style_shape="own")
    totals = [
        paint(pictures_dir / "photo.png", styles, replace(start, **changes)).outcome.step.total
        for styles, changes in ((names, {"style_shape": "area", "style_scale": (1, 0.75)}), (small, {"size": None}))
        for changes in [changes | {"squash": (4, 3), "size": 60}]
    ]
    assert totals[0] == pytest.approx(totals[1], rel=1e-2)


def test_a_directory_of_styles(paint, pictures_dir, network_file, tmp_path):
    """All pictures in it, by name, and nothing else, in Python, on the command line and in a sweep."""
    (tmp_path / "paintings").mkdir()
    for name in ("painting.png", "other.png"):
        (tmp_path / "paintings" / name).write_bytes((pictures_dir / name).read_bytes())
    for name in ("notes.txt", ".hidden.png", "._other.png"):
        (tmp_path / "paintings" / name).write_text("no picture")
    photo, directory = pictures_dir / "photo.png", tmp_path / "paintings"
    wanted = paint(photo, ["other.png", "painting.png"]).picture
    for given in (directory, str(directory), [directory]):
        np.testing.assert_array_equal(paint(photo, given).picture, wanted)
    job = cli.job([str(photo), str(directory), "--style-blend", "1", "3", "--style-scale", "1", "0.5"])
    assert [path.name for path in job.styles] == ["other.png", "painting.png"]
    assert job.output.name == "photo-paintings"
    mixed = cli.job([str(photo), str(pictures_dir / "painting.png"), str(directory)])
    assert [path.name for path in mixed.styles] == ["painting.png", "other.png", "painting.png"]
    words = [photo, directory, "--weights", network_file, "--size", 48, "--iterations", 1, "--beta", 10, 100]
    done = run_here("figures.py", "sweep", *words, "--output", tmp_path / "sheet")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "sheet" / "beta-10").glob("style-?.png"))) == 2
    (tmp_path / "empty").mkdir()
    done = run_here("paint.py", photo, tmp_path / "empty")
    assert done.stderr == f"paint.py: error: {tmp_path / 'empty'}: holds no picture; put some there\n"
