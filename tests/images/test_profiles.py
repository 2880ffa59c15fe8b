"""Colours in: pictures with profiles come out in sRGB, by ImageCms's values, made with profiles that are built here."""

import io
import json
import sys
import zlib

import imageio.v3 as iio
import numpy as np
import png
import pytest
import tifffile
from conftest import random_picture
from fuzzing import taken
from icc import SRGB, WIDE, cmyk_profile, fixed, gamma, grey_profile, parametric, profile
from PIL import Image, ImageCms
from skimage import color

from nst_graph import images
from nst_graph.errors import InputError
from nst_graph.images import profiles

PICTURE = random_picture(24, 32).astype(np.uint8)
PICTURE[:4, :16] = np.stack([np.linspace(0, 255, 16)] * 3, axis=-1)
PICTURE[4:8, :3], PICTURE[4:8, 3:6] = (255, 0, 0), (0, 255, 0)


def expected(image, icc):
    """ImageCms's own values."""
    source, srgb = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
    flags = ImageCms.Flags.NOOPTIMIZE if image.mode == "L" else ImageCms.Flags.NONE
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    return np.asarray(ImageCms.profileToProfile(image, source, srgb, intent, outputMode="RGB", flags=flags))


def saved(path, image, icc=None, **options):
    image.save(path, icc_profile=icc, **options)
    return path


LOSSLESS = {"a.png": {}, "a.tif": {"compression": "tiff_lzw"}, "a.webp": {"lossless": True}}
LOSSY = {"a.jpg": {"quality": 95}, "a.avif": {"quality": 95}, "b.webp": {}}


@pytest.mark.parametrize("name", [*LOSSLESS, *LOSSY])
@pytest.mark.parametrize("space", WIDE)
def test_wide_colours(tmp_path, name, space):
    path = saved(tmp_path / name, Image.fromarray(PICTURE), WIDE[space], **(LOSSLESS | LOSSY)[name])
    with Image.open(path) as image:
        wanted = expected(image.convert("RGB"), WIDE[space])
        assert np.abs(wanted.astype(int) - np.asarray(image)).max() > 20
    said = []
    np.testing.assert_array_equal(images.read(path, say=said.append), wanted)
    assert not said


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_inks(tmp_path, name):
    """A JPEG's, with Adobe's marker, are stored inverted."""
    inks = np.random.default_rng(0).integers(0, 256, (6, 8, 4), np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    path = saved(
        tmp_path / name, Image.fromarray(inks, "CMYK"), cmyk_profile(), **({"quality": 95} if name == "a.jpg" else {})
    )
    with Image.open(path) as image:
        wanted, plain = expected(image, cmyk_profile()), np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(images.read(path), wanted)
    assert np.abs(wanted.astype(int) - plain).max() > 20
    np.testing.assert_array_equal(images.read(saved(path, Image.open(path).copy())), Image.open(path).convert("RGB"))
    # And near what the table was made from, where there are inks at all.
    share = np.asarray(Image.fromarray(inks, "CMYK"))[8::16, 8::16] / 255
    made = 255 * (1 - 0.9 * share[..., :3]) * (1 - 0.95 * share[..., 3:]) * (1, 0.97, 0.9)
    assert np.abs(wanted[8::16, 8::16] - made).mean() < 4


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
@pytest.mark.parametrize("curve", [gamma(1.0), gamma(1.8), parametric(0, 2.2)])
def test_greys(tmp_path, name, curve):
    icc = grey_profile(curve)
    path = saved(tmp_path / name, Image.fromarray(PICTURE[..., 0]), icc)
    with Image.open(path) as image:
        wanted = expected(image, icc)
    np.testing.assert_array_equal(images.read(path), wanted)
    # In a profile for RGB, greys are equal parts of it.
    path = saved(tmp_path / name, Image.fromarray(PICTURE[..., 0]), WIDE["linear"])
    with Image.open(path) as image:
        wanted = expected(image.convert("RGB"), WIDE["linear"])
    np.testing.assert_array_equal(images.read(path), wanted)


@pytest.mark.parametrize(
    ("icc", "mode"), [(WIDE["Display P3"], "RGBA"), (grey_profile(gamma(1.8)), "LA"), (WIDE["ProPhoto"], "P")]
)
def test_transparency_is_no_colour(tmp_path, icc, mode):
    image = Image.fromarray(PICTURE).convert(mode)
    if mode != "P":
        image.putalpha(Image.fromarray(PICTURE[..., 1]))
    options = {"transparency": 7} if mode == "P" else {}
    plain = np.asarray(Image.open(saved(tmp_path / "a.png", image, **options)).convert("RGBA"))
    colours = Image.fromarray(plain[..., :3])
    alpha = plain[..., 3:] / np.float32(255)
    wanted = expected(colours.convert("L") if mode == "LA" else colours, icc) * alpha + 255 * (1 - alpha)
    np.testing.assert_allclose(images.read(saved(tmp_path / "a.png", image, icc, **options)), wanted, atol=1e-3)


@pytest.mark.parametrize("icc", SRGB.values(), ids=SRGB)
@pytest.mark.parametrize("name", [*LOSSLESS, *LOSSY])
def test_srgb_is_left_alone(tmp_path, icc, name):
    image, options = Image.fromarray(PICTURE), (LOSSLESS | LOSSY)[name]
    plain = images.read(saved(tmp_path / name, image, **options))
    np.testing.assert_array_equal(images.read(saved(tmp_path / name, image, icc, **options)), plain)


@pytest.mark.parametrize("space", WIDE)
@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_sixteen_bits_stay(tmp_path, space, name):
    """Within ImageCms's rounding of its values, and without steps between neighbouring numbers."""
    deep = PICTURE.astype(np.uint16) * 257
    write16(tmp_path / name, deep, WIDE[space])
    read = images.read(tmp_path / name)
    assert np.abs(read - expected(Image.fromarray(PICTURE), WIDE[space])).max() < 1
    ramp = np.linspace(5000, 6000, 200).astype(np.uint16)[None, :, None].repeat(3, axis=2)
    write16(tmp_path / name, ramp, WIDE[space])
    assert len(np.unique(images.read(tmp_path / name)[..., 1])) > 190


def test_sixteen_bits_of_tables_and_greys(tmp_path):
    grey = np.linspace(0, 65535, 500).astype(np.uint16)[None]
    icc = grey_profile(gamma(1.0))
    linear = grey / 65535
    wanted = 255 * np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    tifffile.imwrite(tmp_path / "a.tif", grey, photometric="minisblack", iccprofile=icc)
    Image.fromarray(grey).save(tmp_path / "a.png", icc_profile=icc)
    for name in ("a.tif", "a.png"):
        np.testing.assert_allclose(images.read(tmp_path / name)[..., 2], wanted, atol=0.01)
    # Tables are looked up with 8 bits.
    lut = b"mft1" + bytes(4) + bytes([3, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + bytes(range(256)) * 3
    corners = np.stack(np.meshgrid(*[[0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = color.rgb2lab(corners * 0.8) * (2.55, 1, 1) + (0, 128, 128)
    icc = profile(b"RGB ", {b"A2B0": lut + np.rint(lab).astype(np.uint8).tobytes() + bytes(range(256)) * 3}, b"Lab ")
    write16(tmp_path / "a.tif", PICTURE.astype(np.uint16) * 257, icc)
    np.testing.assert_array_equal(images.read(tmp_path / "a.tif"), expected(Image.fromarray(PICTURE), icc))


def write16(path, pixels, icc):
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels, photometric="rgb", iccprofile=icc)
    else:
        data = images.to_png(pixels / np.float64(257), 16)
        path.write_bytes(png.insert(data, b"iCCP", b"name\0\0" + zlib.compress(icc)))


ICC = WIDE["Display P3"]
UNUSABLE = {
    "nothing": b"",
    "cut": ICC[:200],
    "no curves": ICC.replace(b"TRC", b"trc"),
    "noise": ICC[:128] + bytes(np.random.default_rng(0).integers(0, 256, len(ICC) - 128, np.uint8)),
    "for inks": cmyk_profile(),
    "for greys": grey_profile(gamma(1.8)),
    "for nothing known": ICC.replace(b"RGB ", b"RBG "),
    "huge": ICC + bytes(profiles.LIMIT),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_profiles_that_cannot_be_used(tmp_path, kind):
    """The picture is read as if it had none, and one line says so."""
    packed = zlib.compress(UNUSABLE[kind])
    data = images.to_png(PICTURE)
    (tmp_path / "a.png").write_bytes(png.insert(data, b"iCCP", b"name\0\0" + packed))
    write16(tmp_path / "deep.tif", PICTURE.astype(np.uint16) * 257, UNUSABLE[kind] or b"\0")
    saved(tmp_path / "flat.tif", Image.fromarray(PICTURE), UNUSABLE[kind] or b"\0")
    for name in ("a.png", "deep.tif", "flat.tif"):
        said = []
        np.testing.assert_allclose(images.read(tmp_path / name, say=said.append), PICTURE, atol=1e-3)
        assert [line.rpartition(": ")[2] for line in said] == [
            "its colour profile is damaged, or for other colours; it is read as if it had none"
        ], name


def test_a_profile_that_unpacks_to_much_more(tmp_path):
    packer = zlib.compressobj()
    packed = b"".join(packer.compress(bytes(10**7)) for _ in range(20)) + packer.flush()
    data = images.to_png(PICTURE)
    (tmp_path / "a.png").write_bytes(png.insert(data, b"iCCP", b"name\0\0" + packed))
    said = []
    memory, _ = taken(lambda: np.testing.assert_array_equal(images.read(tmp_path / "a.png", say=said.append), PICTURE))
    assert memory < 100e6 and len(said) == 1


def test_a_mask_is_numbers(tmp_path):
    grey = np.linspace(0, 255, 24 * 32).reshape(24, 32).astype(np.uint8)
    for name in ("a.png", "a.tif"):
        path = saved(tmp_path / name, Image.fromarray(grey), grey_profile(gamma(1.0)))
        np.testing.assert_allclose(images.read_mask(path, 24, 32), grey / 255, atol=1e-6)


def test_avif(tmp_path):
    """Turned as it says."""
    exif = Image.Exif()
    exif[0x0112] = 6
    saved(tmp_path / "a", Image.fromarray(PICTURE), exif=exif, format="AVIF", quality=100, subsampling="4:4:4")
    assert np.abs(images.read(tmp_path / "a") - np.rot90(PICTURE, -1)).max() < 4


def test_heic(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    image = Image.fromarray(PICTURE).resize((96, 64))
    exif = Image.Exif()
    exif[0x0112] = 6
    file = heif.from_pillow(image)
    file.save(tmp_path / "a.heic", quality=-1, chroma=444, icc_profile=ICC, exif=exif.tobytes())
    wanted = np.rot90(expected(image, ICC), -1)
    assert np.abs(images.read(tmp_path / "a.heic") - wanted).mean() < 3


def test_heic_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(InputError, match=r"a\.jpg: HEIC pictures need pillow-heif; pip install 'nst_graph\[heic\]'"):
        images.read(tmp_path / "a.jpg")


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("shape", [(1, 1), (7, 13), (24, 32)])
def test_what_is_written(tmp_path, depth, shape):
    """Any reader finds the pixels; Pillow has 8 bits of them, the first of each number's two bytes."""
    picture = np.random.default_rng(0).uniform(-20, 275, (*shape, 3))
    data = images.to_png(picture, depth, {"Software": "one", "Settings": "{}"})
    assert data == images.to_png(picture, depth, {"Software": "one", "Settings": "{}"})
    (tmp_path / "a.png").write_bytes(data)
    levels = np.clip(np.rint(picture * (257 if depth == 16 else 1)), 0, 2**depth - 1).astype(int)
    np.testing.assert_array_equal(iio.imread(tmp_path / "a.png"), levels >> (depth - 8))
    np.testing.assert_allclose(images.read(tmp_path / "a.png"), levels / (257 if depth == 16 else 1), atol=1e-4)
    with Image.open(tmp_path / "a.png") as image:
        image.verify()  # checksums
    with Image.open(tmp_path / "a.png") as image:
        assert image.text == {"Software": "one", "Settings": "{}"} and image.info["srgb"] == 0
    assert data[24:26] == bytes([depth, 2])


@pytest.mark.parametrize(("suffix", "depth"), [(".jpg", 8), (".tif", 8), (".tiff", 16)])
def test_what_other_files_say(tmp_path, suffix, depth):
    """They say sRGB, by a profile that changes nothing, and how they were painted; the same bytes each time."""
    picture = np.linspace((0, 255, 40), (255, 0, 90), 24 * 32).reshape(24, 32, 3)
    said = {"Software": "one", "Settings": '{"size": 512}'}
    data = images.to_file(picture, suffix, depth, said)
    assert data == images.to_file(picture, suffix, depth, said)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    lines = []
    np.testing.assert_allclose(images.read(path, say=lines.append), picture, atol=3 if suffix == ".jpg" else 0.51)
    assert lines == []
    with Image.open(path) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(profile)
        assert json.loads(image.info["comment"] if suffix == ".jpg" else image.tag_v2[270]) == said
