"""Pictures: every kind that people have, sizes, starts, and whole files."""

import re
import struct
import tracemalloc
import zlib
from unittest.mock import Mock

import imageio.v3 as iio
import numpy as np
import png
import pytest
import tifffile
from conftest import MEAN, random_picture, run_here
from fuzzing import taken
from icc import WIDE
from PIL import Image, ImageOps

import nst_graph.painting  # with TensorFlow, before memory is measured
from nst_graph import InputError, Settings, images
from nst_graph.errors import DamagedError
from nst_graph.images import profiles, reading, tiff, writing

PICTURE = random_picture(20, 30).round()
BYTES = PICTURE.astype(np.uint8)


def save(path, array, mode=None, **options):
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


@pytest.fixture
def paint(tmp_path, network_file):
    """The command, with a picture as content and style, as small as it is; it begins and ends with the content."""
    words = ["--weights", network_file, "--content-layers", "conv1_1", "--style-layers", "conv1_1"]
    words += ["--init", "content", "--iterations", 0, "--depth", 16, "--overwrite", "--output", tmp_path / "run"]
    return lambda path, *options: run_here("paint.py", path, path, *words, *options)


@pytest.fixture
def refused(paint, tmp_path):
    """A picture is refused by one line, which names it, before anything is written."""

    def check(path, words, *options):
        done = paint(path, *options)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert re.search(f"{re.escape(str(path))}.*{words}", done.stderr), done.stderr
        assert not (tmp_path / "run").exists()

    return check


def test_what_is_read_is_painted(paint, tmp_path):
    """Of files of odd kinds the painting has every pixel that the reader finds, and the command says what it says."""
    tags = [(274, "H", 1, 6, True)]
    tifffile.imwrite(tmp_path / "float.tif", COLOUR / 255, photometric="rgb", extratags=tags)
    tifffile.imwrite(tmp_path / "planes.tif", PLANES.astype(">u2") * 257, planarconfig="separate", photometric="rgb")
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0" + bytes(4)
    save(tmp_path / "wide.jpg", COLOUR, exif=exif, icc_profile=WIDE["Display P3"])
    save(tmp_path / "damaged.png", COLOUR, icc_profile=b"no profile")
    for path in sorted(tmp_path.iterdir()):
        said = []
        found = images.read(path, say=said.append)
        assert len(said) == (path.stem in ("float", "damaged"))
        done = paint(path)
        assert done.returncode == 0 and all(line in done.stdout for line in said), done.stderr
        np.testing.assert_allclose(images.read(tmp_path / "run" / "final.png"), found, atol=0.01)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp", "a.bmp"])
def test_lossless(tmp_path, name):
    read = images.read(save(tmp_path / name, BYTES, **({"lossless": True} if name == "a.webp" else {})))
    assert read.dtype == np.float32 and read.flags.c_contiguous
    np.testing.assert_array_equal(read, PICTURE)


@pytest.mark.parametrize(("name", "mode"), [("a.jpg", "RGB"), ("a.jpg", "CMYK"), ("a.tif", "CMYK")])
def test_nearly_lossless(tmp_path, name, mode):
    smooth = np.tile(np.linspace(20, 230, 48, dtype=np.uint8)[:, None, None], (1, 48, 3))
    read = images.read(save(tmp_path / name, smooth, mode, **({"quality": 98} if name == "a.jpg" else {})))
    assert np.abs(read - smooth).max() < 6


def test_cmyk_as_photoshop_saves_it(tmp_path):
    """Adobe's marker says that the four inks are stored inverted."""
    path = save(tmp_path / "a.jpg", np.full((16, 16, 3), (200, 40, 30), np.uint8), "CMYK", quality=98)
    assert b"Adobe" in path.read_bytes()
    assert np.abs(images.read(path) - (200, 40, 30)).max() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(tmp_path, orientation):
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[:16, :24] = (250, 0, 0)
    # What a camera stores so that the orientation brings it back.
    stored = {
        1: picture,
        2: picture[:, ::-1],
        3: picture[::-1, ::-1],
        4: picture[::-1],
        5: picture.transpose(1, 0, 2),
        6: np.rot90(picture, 1),
        7: np.rot90(picture, 2).transpose(1, 0, 2),
        8: np.rot90(picture, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.jpg", np.ascontiguousarray(stored), exif=exif, quality=98)
    read = images.read(path)
    assert read.shape == picture.shape
    assert np.abs(read - picture)[2:14, 2:22].max() < 10 and np.abs(read - picture)[18:, 26:].max() < 10


def test_grey(tmp_path):
    read = images.read(save(tmp_path / "a.png", BYTES[..., 0]))
    np.testing.assert_array_equal(read, np.repeat(PICTURE[..., :1], 3, axis=2))


def test_one_bit(tmp_path):
    read = images.read(save(tmp_path / "a.png", BYTES[..., 0] > 128))
    np.testing.assert_array_equal(read[..., 1], np.where(BYTES[..., 0] > 128, 255, 0))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bit_grey(tmp_path, name):
    deep = np.linspace(0, 65535, 600).reshape(20, 30).astype(np.uint16)
    read = images.read(save(tmp_path / name, deep))
    np.testing.assert_allclose(read[..., 0], deep / 257, atol=1e-3)


def test_sixteen_bit_colour(tmp_path):
    deep = (PICTURE * 257).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb")
    np.testing.assert_allclose(images.read(tmp_path / "a.tif"), PICTURE, atol=1e-3)


def test_sixteen_bit_colour_png(tmp_path):
    rows = b"".join(b"\0" + row.tobytes() for row in (PICTURE * 257).astype(">u2"))
    (tmp_path / "a.png").write_bytes(png.encode(30, 20, 16, 2, zlib.compress(rows)))
    np.testing.assert_allclose(images.read(tmp_path / "a.png"), PICTURE, atol=1e-4)


def test_palette_and_first_frame(tmp_path):
    frames = [Image.new("P", (30, 20), index) for index in (1, 2)]
    for frame in frames:
        frame.putpalette([0, 0, 0, 10, 200, 30, 250, 0, 0])
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "a.png")
    for name in ("a.gif", "a.png"):
        read = images.read(tmp_path / name)
        assert read.shape == (20, 30, 3) and np.abs(read - (10, 200, 30)).max() == 0


def test_alpha_is_laid_over_white(tmp_path):
    alpha = np.dstack([BYTES, np.full((20, 30), 51, np.uint8)])  # a fifth
    read = images.read(save(tmp_path / "a.png", alpha))
    np.testing.assert_allclose(read, 0.2 * PICTURE + 0.8 * 255, atol=1e-3)
    read = images.read(save(tmp_path / "b.png", alpha[..., 2:]))  # grey with alpha
    np.testing.assert_allclose(read[..., 0], 0.2 * PICTURE[..., 2] + 0.8 * 255, atol=1e-3)


def test_transparent_palette(tmp_path):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    image.save(tmp_path / "a.png", transparency=1)
    assert (images.read(tmp_path / "a.png") == 255).all()


WIDTH, LENGTH, BITS, SAMPLES, OFFSETS, COUNTS = 256, 257, 258, 277, 273, 279


def tiff_of(tags):
    """A TIFF of nothing but tags of whole numbers, each one or several."""
    entries, more = b"", b""
    after = 8 + 2 + 12 * len(tags) + 4
    for tag, value in sorted(tags.items()):
        values = value if isinstance(value, tuple) else (value,)
        packed = struct.pack(f"<{len(values)}I", *values)
        entries += struct.pack("<HHI", tag, 4, len(values))
        entries += packed if len(packed) == 4 else struct.pack("<I", after + len(more))
        more += packed if len(packed) > 4 else b""
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + more


def levels(*shape):
    """An 8-bit picture that uses the whole range."""
    return np.random.default_rng(4).integers(0, 256, shape).astype(np.uint8)


COLOUR, GREY_PICTURE = levels(9, 14, 3), levels(9, 14)
PLANES = np.moveaxis(COLOUR, -1, 0)
DEEP = {
    "uint16": (COLOUR.astype(np.uint16) * 257, {}),
    "uint32": (COLOUR.astype(np.uint32) * 16843009, {}),
    "uint64": (COLOUR.astype(np.uint64) * 72340172838076673, {}),
    "signed 16": (COLOUR.astype(np.int16) * 128, {}),
    "signed 32": (COLOUR.astype(np.int32) * 2**23, {}),
    "half float": ((COLOUR / 255).astype(np.float16), {}),
    "double": (COLOUR / 255, {}),
    "float of whole levels": (COLOUR.astype(np.float32), {}),
    "dark float of whole levels": (np.minimum(COLOUR, 1 + (COLOUR > 250)).astype(np.float32), {}),
    "float of 16 bits": (COLOUR.astype(np.float32) * 257, {}),
    "deflate, differences": (COLOUR.astype(np.uint16) * 257, {"compression": "zlib", "predictor": 2}),
    "planar, big-endian": (
        np.moveaxis(COLOUR, -1, 0).astype(">u2") * 257,
        {"planarconfig": "separate", "byteorder": ">"},
    ),
    "planar, deflate": (np.moveaxis(COLOUR, -1, 0).astype(np.uint16) * 257, {"planarconfig": 2, "compression": "zlib"}),
    "tiles": (np.tile(COLOUR, (2, 2, 1)).astype(np.uint16) * 257, {"tile": (16, 16)}),
    "strips": (COLOUR.astype(np.uint16) * 257, {"rowsperstrip": 2}),
}


@pytest.mark.parametrize("kind", DEEP)
@pytest.mark.parametrize("name", ["a.tif", "a.jpg", "picture"])
def test_deep_tiffs(tmp_path, kind, name):
    """By what is in them, whatever they are called."""
    values, how = DEEP[kind]
    tifffile.imwrite(tmp_path / name, values, photometric="rgb", **how)
    expected = {"tiles": np.tile(COLOUR, (2, 2, 1)), "dark float of whole levels": values}.get(kind, COLOUR)
    said = []
    np.testing.assert_allclose(images.read(tmp_path / name, say=said.append), expected, atol=0.13)
    assert len(said) == (not np.issubdtype(values.dtype, np.unsignedinteger))


def predicted(values, samples):
    """Adobe's floating-point predictor, of rows of float32: planes of bytes, the first bytes first, as differences."""
    planes = values.astype(">f4").reshape(len(values), -1).view(np.uint8).reshape(len(values), -1, 4).swapaxes(1, 2)
    flat = planes.reshape(len(values), -1).astype(int)
    flat[:, samples:] = flat[:, samples:] - flat[:, :-samples].copy()
    return (flat % 256).astype(np.uint8).tobytes()


@pytest.mark.parametrize("planar", [False, True])
def test_the_floating_point_predictor(tmp_path, planar):
    values = (COLOUR / 255).astype(np.float32)
    parts = list(np.moveaxis(values, -1, 0)) if planar else [values]
    strips = [zlib.compress(predicted(part, 1 if planar else 3)) for part in parts]
    tags = {
        WIDTH: 14,
        LENGTH: 9,
        BITS: (32, 32, 32),
        259: 8,
        262: 2,
        277: 3,
        278: 9,
        284: 1 + planar,
        317: 3,
        339: (3, 3, 3),
    }
    tags |= {OFFSETS: tuple([0] * len(strips)), COUNTS: tuple(map(len, strips))}
    begin = len(tiff_of(tags))
    tags[OFFSETS] = tuple(begin + sum(map(len, strips[:index])) for index in range(len(strips)))
    (tmp_path / "a.tif").write_bytes(tiff_of(tags) + b"".join(strips))
    np.testing.assert_allclose(images.read(tmp_path / "a.tif"), COLOUR, atol=1e-3)


def test_highlights_are_no_scale(tmp_path):
    """Half of the values up to 1, and some of thirty: white stays 1, and what is brighter is white."""
    values = (COLOUR / 300).astype(np.float32)
    values[:2] = 30.5
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    said = []
    expected = np.where(values > 1, 255, values * 255)
    np.testing.assert_allclose(images.read(tmp_path / "a.tif", say=said.append), expected, atol=1e-3)
    assert "up" not in said[0] and "to 30.5, taken as 0 for black to 1 for white" in said[0]


def test_white_is_zero_and_bands_beside_the_colours(tmp_path):
    tifffile.imwrite(tmp_path / "white.tif", (255 - GREY_PICTURE).astype(np.uint16) * 257, photometric="miniswhite")
    np.testing.assert_allclose(images.read(tmp_path / "white.tif")[..., 1], GREY_PICTURE)
    alpha = levels(9, 14, 4)[..., 3:]
    four = np.concatenate([COLOUR, alpha], axis=-1)
    over_white = COLOUR * (alpha / 255) + 255.0 * (1 - alpha / 255)
    multiplied = np.concatenate([np.rint(COLOUR * (alpha / 255) * 257), alpha * 257.0], axis=-1).astype(np.uint16)
    for name, extra, values, expected in (
        ("unspecified", "unspecified", four.astype(np.uint16) * 257, COLOUR),
        ("straight", "unassalpha", four.astype(np.uint16) * 257, over_white),
        ("multiplied", "assocalpha", multiplied, over_white),
    ):
        tifffile.imwrite(tmp_path / f"{name}.tif", values, photometric="rgb", extrasamples=[extra])
        np.testing.assert_allclose(images.read(tmp_path / f"{name}.tif"), expected, atol=0.02, err_msg=name)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotated_deep_tiffs(tmp_path, orientation):
    """Pillow's own turning of an 8-bit one is what it is held against."""
    for name, values in (("deep.tif", (COLOUR / 255).astype(np.float32)), ("flat.tif", COLOUR)):
        tags = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(tmp_path / name, values, photometric="rgb", extratags=tags)
    with Image.open(tmp_path / "flat.tif") as flat:
        expected = np.asarray(ImageOps.exif_transpose(flat).convert("RGB"))
    for name in ("deep.tif", "flat.tif"):
        np.testing.assert_allclose(images.read(tmp_path / name), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("values", "how", "word"),
    [
        (COLOUR.astype(np.uint16), {"photometric": "cielab"}, "CIELab"),
        (COLOUR, {"photometric": "cielab"}, "CIELab"),
        (levels(9, 14, 4).astype(np.uint16), {"photometric": "separated"}, "CMYK"),
        (COLOUR.astype(np.int16) - 99, {"photometric": "rgb"}, "below zero"),
        (COLOUR.astype(np.float32) - 99, {"photometric": "rgb"}, "below zero, down to -99"),
        (COLOUR.astype(np.float32) * 1e4, {"photometric": "rgb"}, "values up to"),
        (GREY_PICTURE.astype(np.complex64), {"photometric": "minisblack"}, "COMPLEX"),
        (np.full((4, 4), np.nan, np.float32), {"photometric": "minisblack"}, "no numbers"),
    ],
)
def test_what_cannot_be_right_is_named(tmp_path, refused, values, how, word):
    tifffile.imwrite(tmp_path / "a.tif", values, **how)
    refused(tmp_path / "a.tif", f"{word}.*save it")


@pytest.mark.parametrize(
    "tag", [b"\x82\x82\0\2\0\0\0\3abc\0", b"\1\x1a\0\2\0\0\0\2x\0\0\0", b"\xa0\2\0\3\0\0\0\0\0\0\0\0"]
)
def test_odd_tags_beside_the_rotation(tmp_path, tag):
    """They cannot be written back, and need not be."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\2\1\x12\0\3\0\0\0\1\0\6\0\0" + tag + bytes(4)
    Image.fromarray(COLOUR).save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    assert np.abs(images.read(tmp_path / "a.jpg") - np.rot90(COLOUR, -1)).mean() < 2


@pytest.mark.parametrize("chunk", [b"iTXt", b"zTXt", b"tEXt", b"iCCP"])
def test_long_text_in_a_png(tmp_path, chunk):
    packed = zlib.compress(bytes(3_000_000))
    bodies = {b"iTXt": b"XML:com.adobe.xmp\0\1\0\0\0" + packed, b"tEXt": b"Comment\0" + b"x" * 70_000_000}
    data = png.insert(images.to_png(COLOUR.astype(np.float32)), chunk, bodies.get(chunk, b"name\0\0" + packed))
    (tmp_path / "a.png").write_bytes(data)
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), COLOUR)


def test_a_transparent_colour_of_sixteen_bits(tmp_path):
    """It is laid over white, and its neighbours of the same first eight bits are not."""
    deep = GREY_PICTURE.astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "a.png", transparency=int(deep[3, 4]))
    expected = np.where(deep == deep[3, 4], 255, GREY_PICTURE)
    np.testing.assert_allclose(images.read(tmp_path / "a.png")[..., 0], expected)
    row = b"\0" + struct.pack(">6H", 257, 0, 0, 258, 0, 0)
    data = png.encode(2, 1, 16, 2, zlib.compress(row), png.chunk(b"tRNS", row[1:7]))
    (tmp_path / "b.png").write_bytes(data)
    np.testing.assert_allclose(images.read(tmp_path / "b.png"), [[[255] * 3, [258 / 257, 0, 0]]], rtol=1e-6)


def test_a_mask_on_nothing(tmp_path, pictures_dir, network_file):
    """What is transparent is not wanted, as if it were black."""
    drawn = np.zeros((48, 64, 4), np.uint8)
    drawn[:, :40] = 255
    found = []
    for mask in (drawn, drawn[..., 3], None):
        if mask is not None:
            iio.imwrite(tmp_path / "mask.png", mask)
        masks = () if mask is None else tmp_path / "mask.png"
        pair = pictures_dir / "photo.png", pictures_dir / "painting.png"
        found.append(nst_graph.paint(*pair, Settings(iterations=2), masks=masks, weights_file=network_file).picture)
    np.testing.assert_array_equal(found[0], found[1])
    assert np.abs(found[0] - found[2]).max() > 1


@pytest.mark.parametrize("content", [b"", b"text\n", b"<html></html>" * 50, b"\xff\xd8\xff\xe0" + bytes(99)])
def test_no_picture(tmp_path, refused, content):
    (tmp_path / "a.jpg").write_bytes(content)
    refused(tmp_path / "a.jpg", "not a whole picture")


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp", "a.gif"])
def test_truncated(tmp_path, refused, name):
    path = save(tmp_path / name, random_picture(100, 100).astype(np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(path, "not a whole picture")


def png_of(width, height):
    """A black PNG of one bit a pixel, which compresses a thousandfold."""
    packer = zlib.compressobj()
    rows = b"".join(packer.compress(bytes(1 + (width + 7) // 8)) for _ in range(height)) + packer.flush()
    return png.encode(width, height, 1, 0, rows)


TOO_LARGE = "more than 50 million pixels.*raise --read-limit, which is 1 GB"


def test_a_bomb_is_refused_by_its_header(tmp_path, refused):
    (tmp_path / "a.png").write_bytes(png_of(50_000, 50_000))
    assert (tmp_path / "a.png").stat().st_size < 1e6
    assert taken(lambda: refused(tmp_path / "a.png", TOO_LARGE))[0] < 50e6


def test_the_limit_can_be_raised(tmp_path, paint, refused):
    path = save(tmp_path / "a.png", np.zeros((1000, 1000), np.uint8))
    refused(path, "raise --read-limit, which is 0.01 GB", "--read-limit", 0.01)
    assert paint(path, "--read-limit", 0.02, "--size", 16).returncode == 0


def test_a_strip_that_unpacks_to_more_than_its_picture(tmp_path):
    """A TIFF of 16 bits a colour whose strip holds 200 MB. Newer Pillows read such files, and stop in time."""
    tifffile.imwrite(tmp_path / "a.tif", BYTES.astype(np.uint16), photometric="rgb", compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        strip = zlib.compress(bytes(200_000_000))
        file.filehandle.seek(0, 2)
        at = file.filehandle.tell()
        file.filehandle.write(strip)
        file.pages.first.tags["StripOffsets"].overwrite(at)
        file.pages.first.tags["StripByteCounts"].overwrite(len(strip))
    with pytest.raises(DamagedError, match="unpacks to more"):
        tiff.read(tmp_path / "a.tif", 5_000_000, print)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        (
            {WIDTH: tuple(range(1, 47)), LENGTH: 1_000_000, BITS: (16640, 0, 8), SAMPLES: 3, OFFSETS: 8, COUNTS: 9},
            r"numbers of \(16640, 0, 8\) bits",
        ),
        (
            {WIDTH: tuple(range(1, 47)), LENGTH: 1_000_000, BITS: (16, 16, 16), SAMPLES: 3, OFFSETS: 8, COUNTS: 9},
            "not a whole",
        ),
        ({WIDTH: 1_048_616, LENGTH: 2078, BITS: 16, SAMPLES: 1, OFFSETS: 8}, "raise read_limit"),
    ],
    ids=["odd bits", "a side of several numbers", "a claim of gigabytes"],
)
def test_tags_of_gigabytes(tmp_path, tags, words):
    """Found by fuzzing, in what Pillow does not open: a tuple times a large number, and a size of nothing."""
    (tmp_path / "a.tif").write_bytes(tiff_of(tags))
    tracemalloc.start()
    with pytest.raises(InputError, match=words):
        images.read(tmp_path / "a.tif")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_a_frame_that_is_larger_than_its_film(tmp_path, refused):
    """Found by fuzzing: Pillow makes room for a GIF's first frame when it opens the file."""
    path = save(tmp_path / "a.gif", BYTES)
    data = bytearray(path.read_bytes())
    at = data.index(b"\x2c\0\0\0\0" + struct.pack("<HH", 30, 20))
    data[at + 5 : at + 9] = struct.pack("<HH", 60000, 50000)
    path.write_bytes(data)
    assert taken(lambda: refused(path, TOO_LARGE))[0] < 50e6


def test_what_is_broken_makes_one_line(tmp_path, capfd):
    """libtiff would print lines of its own."""
    path = save(tmp_path / "a.tif", BYTES, compression="tiff_deflate")
    path.write_bytes(path.read_bytes().replace(b"\x78\x9c", b"\x78\x00", 1))
    with pytest.raises(InputError, match="not a whole picture"):
        images.read(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0\n", b"P6\n2 2\n255\n" + bytes(12), b"/* XPM */\n"])
def test_formats_that_nobody_asked_for_are_not_opened(tmp_path, refused, content):
    """Pillow would hand PostScript to another program."""
    (tmp_path / "a.jpg").write_bytes(content)
    refused(tmp_path / "a.jpg", "not a whole picture")


def test_missing_and_directory(tmp_path):
    with pytest.raises(InputError, match="none.jpg: no such file"):
        images.read(tmp_path / "none.jpg")
    with pytest.raises(InputError, match="a directory"):
        images.read(tmp_path)


@pytest.mark.parametrize(("size", "shape"), [(16, (12, 16)), (64, (48, 64)), (100, (48, 64)), (1, (1, 1))])
def test_fit(size, shape):
    assert images.fit(random_picture(48, 64), size).shape == (*shape, 3)


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ({"size": 32}, (24, 32)),
        ({"size": 24, "side": "shorter"}, (24, 32)),
        ({"size": 100, "side": "shorter"}, (48, 64)),
        ({"size": None}, (48, 64)),
        ({"size": 32, "squash": (512, 512)}, (32, 32)),
        ({"size": 32, "squash": (640, 480)}, (24, 32)),
        ({"size": 32, "squash": (3, 4), "side": "shorter"}, (43, 32)),
        ({"size": None, "squash": (1, 1)}, (64, 64)),
    ],
)
def test_fitted(given, shape):
    assert images.fitted_size((48, 64, 3), **given) == shape
    assert images.fitted_size(shape, **given) == shape


def test_a_bilinear_filter_by_its_formula():
    """Shrunk to a half, a pixel has the triangle's share of each within two of its middle."""
    row = np.random.default_rng(1).uniform(0, 255, (1, 12, 3)).astype(np.float32)
    weights = np.array([0.25, 0.75, 0.75, 0.25]) / 2
    found = images.resize(row, 1, 6, "bilinear")
    np.testing.assert_allclose(found[0, 2], weights @ row[0, 3:7], rtol=1e-5)


def test_resize_keeps_range_and_colour():
    edge = np.zeros((40, 40, 3), np.float32)
    edge[:, 20:] = 255
    resized = images.resize(edge, 90, 90)
    assert resized.min() >= 0 and resized.max() <= 255
    flat = np.broadcast_to(np.float32([10, 100, 250]), (40, 40, 3))
    np.testing.assert_allclose(images.resize(flat, 17, 23), np.broadcast_to([10, 100, 250], (17, 23, 3)), atol=1e-3)


def test_start_follows_the_formula():
    mean = np.array(MEAN, np.float32)
    noise = images.start(PICTURE, mean, 1.0, 7) - mean
    assert np.abs(noise).max() <= 20.001 and noise.std() == pytest.approx(20 / np.sqrt(3), rel=0.03)
    np.testing.assert_array_equal(images.start(PICTURE, mean, 0.0, 7), PICTURE)
    np.testing.assert_allclose(
        images.start(PICTURE, mean, 0.6, 7), 0.6 * noise + 0.4 * (PICTURE - mean) + mean, atol=1e-4
    )


def test_noises():
    mean, large = np.array(MEAN, np.float32), np.zeros((200, 200, 3), np.float32)
    normal = images.start(large, mean, 1.0, 7, "normal", 5.0)
    np.testing.assert_allclose(normal.mean(axis=(0, 1)), MEAN, atol=0.2)
    assert normal.std(axis=(0, 1)) == pytest.approx(5, rel=0.03)
    full = images.start(large, mean, 1.0, 7, "full-range")
    assert 0 <= full.min() < 1 and 254 < full.max() <= 255.001 and full.mean() == pytest.approx(127.5, abs=1)
    half = images.start(large, mean, 0.5, 7, "full-range")
    np.testing.assert_allclose(half, full / 2, atol=1e-4)
    assert np.abs(images.start(large, mean, 1.0, 7, amplitude=1.0) - mean).max() <= 1.001


def test_a_seed_is_the_same_everywhere():
    """The Mersenne Twister, seeded with 7, published by its authors' algorithm: Python has it too."""
    import random

    twister = random.Random()
    key = np.random.RandomState(7).get_state()[1]
    twister.setstate((3, (*map(int, key), 624), None))
    noise = [twister.random() * 40 - 20 for _ in range(2)]
    expected = [mean + grey for grey in noise for mean in MEAN]
    found = images.start(np.zeros((1, 2, 3), np.float32), np.array(MEAN, np.float32), 1.0, 7)
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-6)


def test_write_rounds_and_clips(tmp_path):
    picture = np.array([[[-5, 0.4, 0.6], [254.6, 300, 128]]], np.float32)
    (tmp_path / "a.png").write_bytes(images.to_png(picture))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), [[[0, 0, 1], [255, 255, 128]]])
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


RAWS = {
    "the first page": [("cfa", 0)],
    "a sub-image": [("rgb", 1), ("cfa", 0)],
    "the second sub-image": [("rgb", 2), ("rgb", 0), ("cfa", 0)],
    "a page behind": [("rgb", 0), ("rgb", 0), ("cfa", 0)],
    "a linear one": [("rgb", 1), ("linear_raw", 0)],
    "DNGVersion alone": [("DNG", 0)],
}


def pages(path, *kinds, byteorder="<"):
    """Write a TIFF of pages, each of a photometric kind and with so many of the next as its sub-images."""
    with tifffile.TiffWriter(path, byteorder=byteorder) as file:
        for kind, subs in kinds:
            values = {"cfa": GREY_PICTURE.astype(np.uint16)}.get(kind, COLOUR)
            tags = [(50706, "B", 4, bytes([1, 4, 0, 0]), True)] if kind == "DNG" else []
            colours = "rgb" if kind == "DNG" else kind
            file.write(values, photometric=colours, subifds=subs, extratags=tags, metadata=None)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("kind", RAWS)
def test_a_cameras_raw_file(tmp_path, refused, kind, byteorder):
    """Refused, whatever it is called; its thumbnail is not the picture."""
    pages(tmp_path / "a.tif", *RAWS[kind], byteorder=byteorder)
    refused(tmp_path / "a.tif", "a camera's raw file; develop it and save it as JPEG, PNG or TIFF")


@pytest.mark.parametrize(
    "beginning",
    [
        *(b"IIRO\x08", b"IIRS\x08", b"MMOR", b"IIU\0\x18", b"FUJIFILMCCD-RAW 0201", b"FOVb\0", b"\0MRM"),
        *(b"\0\0\0\x18ftypcrx \0", b"II*\0\x10\0\0\0CR\2\0", b"II\x1a\0\0\0HEAPCCDR"),
    ],
)
def test_raw_files_by_their_beginnings(tmp_path, refused, beginning):
    (tmp_path / "a.jpg").write_bytes(beginning + bytes(99))
    refused(tmp_path / "a.jpg", "a camera's raw file")


def test_other_tiffs_of_several_pictures(tmp_path):
    """A thumbnail, a pyramid, pages, and a chain that is damaged after the first."""
    pages(tmp_path / "a.tif", ("rgb", 2), ("rgb", 0), ("rgb", 0), *[("rgb", 0)] * 100)
    np.testing.assert_array_equal(images.read(tmp_path / "a.tif"), COLOUR)
    pages(tmp_path / "b.tif", ("rgb", 0), ("rgb", 0))
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        behind = file.pages[1].offset
    data = bytearray((tmp_path / "b.tif").read_bytes())
    data[behind : behind + 40] = b"\xff" * 40
    (tmp_path / "b.tif").write_bytes(data)
    np.testing.assert_array_equal(images.read(tmp_path / "b.tif"), COLOUR)


BRIGHT = np.linspace(0.02, 1, 9 * 14 * 3, dtype=np.float32).reshape(9, 14, 3)


@pytest.mark.parametrize(
    ("values", "white"),
    [
        (BRIGHT * 3.5, 1),
        (BRIGHT * 30, 1),
        (np.where(BRIGHT > 0.9, BRIGHT * 5000, BRIGHT), 1),  # the sun
        (BRIGHT * 0.8, 1),
        (BRIGHT * 254.3, 255),
        (BRIGHT * 50, 255),  # dark
        (np.where(BRIGHT > 0.9, 255, BRIGHT), 255),  # lamps at night
        (BRIGHT * 60000, 65535),
        (np.where(BRIGHT > 0.9, 65535, BRIGHT * 99), 65535),
    ],
)
def test_what_is_white_in_floating_point(tmp_path, values, white):
    tifffile.imwrite(tmp_path / "a.tif", values.astype(np.float32), photometric="rgb")
    said = []
    found = images.read(tmp_path / "a.tif", say=said.append)
    np.testing.assert_allclose(found, np.minimum(values / white, 1) * 255, atol=1e-3)
    assert len(said) == 1 and f"to {white} for white" in said[0]
    assert said[0].endswith("; values above 1 are cut") == (white == 1 and values.max() > 1)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.eye(8, dtype=np.uint8), "all but black: its brightest value is 1, and white is 255; multiply"),
        (np.eye(8, dtype=np.uint16), "all but black: its brightest value is 0.0039, and"),
        (np.eye(8, dtype=np.uint8) * 5, "all but black: its brightest value is 5"),
        (np.zeros((8, 8), np.uint8), "black all over; paint white"),
        (np.insert(np.full((8, 8, 3), 255, np.uint8), 3, 0, axis=2), "transparent all over; paint white"),
    ],
)
def test_masks_that_are_none(tmp_path, pair, network_file, mask, words):
    iio.imwrite(tmp_path / "mask.png", mask)
    with pytest.raises(InputError, match=rf"mask\.png: the mask is {words}"):
        paint = [*pair, Settings(iterations=1)]
        nst_graph.paint(*paint, masks=tmp_path / "mask.png", weights_file=network_file)


DEFECTS = [(reading, name) for name in ("_stored", "_rgb", "_upright", "_deep", "_formats", "_reduced", "orientation")]
DEFECTS += [(tiff, name) for name in ("read", "_pages", "_values", "_scaled", "_white", "_channels")]
DEFECTS += [(profiles, name) for name in ("to_srgb", "_by_imagecms", "_by_curves", "_curve", "_matrix", "_tags")]
DEFECTS += [(writing, name) for name in ("to_png", "_write", "_encoded")]


@pytest.mark.parametrize("error", [KeyError, ValueError, NameError])
@pytest.mark.parametrize(("owner", "name"), DEFECTS)
def test_a_defect_of_ours_is_no_damage(tmp_path, monkeypatch, owner, name, error):
    """An exception in our own reader comes out as it is; no file is called damaged for it."""
    wide = WIDE["Display P3"]
    tifffile.imwrite(tmp_path / "deep.tif", COLOUR.astype(np.uint16) * 257, photometric="rgb", iccprofile=wide)
    tifffile.imwrite(tmp_path / "float.tif", COLOUR / 255, photometric="rgb")
    save(tmp_path / "flat.jpg", COLOUR, icc_profile=wide)
    with monkeypatch.context() as patch, pytest.raises(error, match="a defect"), images.Files() as files:
        patch.setattr(owner, name, Mock(side_effect=error("a defect")))
        for index, one in enumerate([Image.fromarray(COLOUR), COLOUR, *sorted(tmp_path.iterdir())]):
            images.read(files.path(one, f"{index}"))
