#!/usr/bin/env python3
"""Damage good files of every kind the program reads, read them, and see that nothing bad comes of it.

    python tests/fuzzing.py --files 20000

For each damaged file there is a result or the program's own error; no other exception, no wait of
more than five seconds, no more than 1 GB of memory above that of good files, nothing written
outside its directory, no process begun, no host called, nothing unpickled. The same seed damages
the same files in the same way.
"""

import argparse
import contextlib
import csv
import io
import json
import logging
import os
import random
import re
import struct
import sys
import tempfile
import time
import traceback
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import tifffile
from conftest import random_layers, random_picture, save_mat
from icc import WIDE, cmyk_profile, gamma, grey_profile
from PIL import Image

from nst_graph import files, images, weights
from nst_graph.commands import paint as cli
from nst_graph.commands import paint_many
from nst_graph.errors import InputError
from nst_graph.optimise.steps import Step
from nst_graph.runs import losses, page, records, state
from nst_graph.runs.run import Run
from nst_graph.settings import Settings

SECONDS, MEMORY = 5.0, 1e9
#: VGG-16 and VGG-19, of few filters.
NETWORKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
WIDTHS = (2, 3, 2, 3, 2)


@dataclass(frozen=True)
class Kind:
    """A good file, what reads it, and how damage goes beneath its compression or checksums."""

    file: str
    good: bytes
    read: Callable[[Path], object]
    beneath: Callable[[bytes, Callable[[bytes], bytes]], bytes] | None = None


# Damage


def flip(data, dice):
    data = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        reach = dice.choice((len(data), min(len(data), 300)))
        data[dice.randrange(reach)] ^= 1 << dice.randrange(8)
    return bytes(data)


def cut(data, dice):
    return data[: dice.randrange(len(data))]


def swap(data, dice):
    length = dice.randint(1, max(1, len(data) // 4))
    first, second = sorted(dice.randrange(max(1, len(data) - length)) for _ in range(2))
    second = max(second, first + length)
    return (
        data[:first] + data[second : second + length] + data[first + length : second] + data[first : first + length]
    ) + data[second + length :]


def lift(data, dice):
    """Make a whole number of the file large."""
    size = dice.choice((1, 2, 4, 4, 4, 8))
    at = dice.randrange(min(len(data), dice.choice((len(data), 300)))) // size * size
    order = dice.choice(("little", "big"))
    value = int.from_bytes(data[at : at + size], order)
    value = dice.choice((value + 1, value * 2, value * 1000, value << 16, (1 << 31) - 1, (1 << size * 8) - 1, 65535))
    return data[:at] + (value % (1 << size * 8)).to_bytes(size, order) + data[at + size :]


def repeat(data, dice):
    at, length = dice.randrange(len(data)), dice.randint(1, 200)
    return data[:at] + data[at : at + length] * dice.choice((2, 10, 1000)) + data[at + length :]


def reword(data, dice):
    """Put something unlikely in the place of a number or a word."""
    words = list(re.finditer(rb"-?[0-9][0-9.e+]*|\"[^\"\n]*\"|[a-z_]+", data))
    if not words:
        return flip(data, dice)
    word = dice.choice(words)
    odd = (b"-1", b"0", b"1e308", b"9" * 30, b"NaN", b"Infinity", b"null", b"[]", b"{}", b'"\\ud800"', b'""')
    odd += (b"\xff\xfe", b"\0", b"[" * 5000, b"true", b'"<script>"', b"--help", b"../../..", b"9" * 5000)
    return data[: word.start()] + dice.choice(odd) + data[word.end() :]


DAMAGES = (flip, cut, swap, lift, lift, repeat, reword)


def chunked(data, damage):
    """Damage one of a PNG's chunks, the pixels beneath their compression; sizes and checksums fit."""
    chunks, at = [], 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    chosen = zlib.crc32(damage(data)) % len(chunks)
    out = data[:8]
    for index, (name, body) in enumerate(chunks):
        if index == chosen:
            body = zlib.compress(damage(zlib.decompress(body))) if name == b"IDAT" else damage(body)
        out += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return out


def packed(data, damage):
    """Damage what is compressed in a .mat file."""
    size = int.from_bytes(data[132:136], "little")
    inner = zlib.compress(damage(zlib.decompress(data[136 : 136 + size])))
    return data[:132] + len(inner).to_bytes(4, "little") + inner + data[136 + size :]


def archived(data, damage):
    """Damage one of the files in an archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(out, "w") as copy:
        chosen = zlib.crc32(damage(data)) % len(archive.infolist())
        for index, entry in enumerate(archive.infolist()):
            content = archive.read(entry)
            copy.writestr(entry.filename, damage(content) if index == chosen else content)
    return out.getvalue()


# Good files


def encoded(picture, extension, **options):
    return iio.imwrite("<bytes>", picture, extension=extension, plugin="pillow", **options)


def good_pictures():
    picture = random_picture(30, 40).astype(np.uint8)
    image, exif = Image.fromarray(picture), Image.Exif()
    exif[0x0112] = 6

    def saved(image, kind, **options):
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    def tiff(array, **options):
        file = io.BytesIO()
        tifffile.imwrite(file, array, photometric="rgb", **options)
        return file.getvalue()

    alpha = image.convert("RGBA")
    alpha.putalpha(90)
    deep = picture.astype(np.uint16) * 257
    files = {
        "plain.jpg": saved(image, "JPEG", exif=exif),
        "progressive.jpg": saved(image, "JPEG", progressive=True, quality=95),
        "cmyk.jpg": saved(image.convert("CMYK"), "JPEG"),
        "plain.png": saved(image, "PNG"),
        "alpha.png": saved(alpha, "PNG", dpi=(72, 72)),
        "palette.png": saved(image.quantize(16), "PNG", transparency=3),
        "deep.png": encoded(deep[..., 0], ".png"),
        "lossy.webp": saved(image, "WEBP", exif=exif),
        "lossless.webp": saved(alpha, "WEBP", lossless=True),
        "plain.tif": saved(image, "TIFF"),
        "lzw.tif": saved(image, "TIFF", compression="tiff_lzw"),
        "deflate.tif": saved(alpha, "TIFF", compression="tiff_deflate"),
        "deep.tif": tiff(deep),
        "deep-deflate.tif": tiff(deep, compression="zlib", predictor=True),
        "film.gif": saved(image.quantize(64), "GIF", save_all=True, append_images=[image.quantize(8)]),
        "plain.bmp": saved(image, "BMP"),
        "plain.avif": saved(image, "AVIF", exif=exif),
        "p3.jpg": saved(image, "JPEG", icc_profile=WIDE["Display P3"]),
        "inks.tif": saved(image.convert("CMYK"), "TIFF", icc_profile=cmyk_profile()),
        "grey.png": saved(image.convert("L"), "PNG", icc_profile=grey_profile(gamma(1.8))),
        "wide.tif": tiff(deep, iccprofile=WIDE["ProPhoto"]),
        "float.tif": tiff((picture / 255).astype(np.float32)),
        "pages.tif": tiff(np.stack([deep, deep]), metadata=None),
    }
    return [Kind(name, good, images.read, chunked if name.endswith("png") else None) for name, good in files.items()]


def good_weights(directory):
    kinds = []
    for network, blocks in NETWORKS.items():
        layers = random_layers(blocks=blocks, filters=WIDTHS)
        tail = [{"name": "fc6", "type": "conv", "weights": np.zeros((1, 2), object)}]
        for layout in ("oldest", "older", "current"):
            for compress in (False, True):
                name = f"{network}-{layout}{'-packed' * compress}.mat"
                save_mat(directory / name, layers, layout, extra=tail, compress=compress, side=4)
                kinds.append(Kind(name, (directory / name).read_bytes(), weights.read, packed if compress else None))
    return kinds


LOSSES = "iteration,evaluations,seconds,content,style,total\n0,1,0.000,0,1e6,1e9\n1,3,0.5,12.5,9e5,9e8\n"


def good_runs(directory):
    """A run's files, each in a directory with the others whole."""
    (directory / "photo.png").write_bytes(b"found by its hash")
    source = {"path": str(directory / "photo.png"), "sha256": files.sha256(directory / "photo.png")}
    record = {"content": source, "styles": [source], "masks": [], "init": None, "width": 8, "height": 6}
    record |= {"weights": source | {"network": "VGG-16"}, "versions": {"numpy": "2"}, "read_limit": 1.0}
    record |= {"settings": asdict(Settings(style_blend=(1.0,), scales=(4,), scale_iterations=(3,)))}
    record["outcome"] = {"state": "interrupted", "iterations": 1, "total": 9e8}
    picture = random_picture(6, 8).astype(np.float64)
    memories = {
        "lbfgs.npz": {name: np.ones(144, np.float32) for name in ("step-0", "step-1", "change-0", "change-1")},
        "adam.npz": {"t": np.float64(1), "m": np.zeros((6, 8, 3), np.float32), "v": np.ones((6, 8, 3), np.float32)},
    }
    base = {"run.json": json.dumps(record, indent=2).encode(), "losses.csv": LOSSES.encode()}
    for name, memory in memories.items():
        step = Step(
            1, 3, 0.5, lambda: picture, {"content": 12.5, "style": 9e5}, 9e8, 0, lambda memory=memory: memory, 0, 0
        )
        with io.BytesIO() as file:
            state.write(step, file)
            base[name] = file.getvalue()

    def run(file):
        """All that is made of a run's directory before TensorFlow is there."""
        whole = file.parent / "run"
        whole.mkdir(exist_ok=True)
        for name in ("run.json", "losses.csv", "state.npz"):
            (whole / name).write_bytes(base["lbfgs.npz" if name == "state.npz" else name])
        (whole / ("state.npz" if file.suffix == ".npz" else file.name)).write_bytes(file.read_bytes())
        page.of_run(whole)
        page.write_gallery(whole.parent)
        if file.suffix == ".csv":
            losses.draw([*losses.read(whole).values()], lambda line: None)
        with Run(whole, resume=True) as begun:
            records.settings(records.read(whole), whole)
            cli._resumed({"resume": whole})
            return begun.resume_from

    beneath = {".npz": archived}
    return [Kind(name, good, run, beneath.get(Path(name).suffix)) for name, good in base.items()]


def good_lists():
    table = io.StringIO()
    rows = [
        ["content", "styles", "size", "output", "style-layers", "bounded"],
        ["a.jpg", "b.jpg;c.jpg", 256, "out/one", "conv1_1=0.5", "true"],
        ["d.jpg", "e.jpg", "", "out/two", "", ""],
    ]
    csv.writer(table).writerows(rows)
    toml = '[[painting]]\ncontent = "a.jpg"\nstyles = ["b.jpg", "c.jpg"]\nsize = 256\noutput = "out/one"\n'
    toml += 'style-blend = [1.0, 3]\nbounded = true\n\n[[painting]]\ncontent = "d.jpg"\nstyles = "e.jpg"\n'

    read = paint_many.read_list
    return [Kind("list.csv", table.getvalue().encode(), read), Kind("list.toml", toml.encode(), read)]


def kinds(directory):
    """Every kind of file that is read."""
    return [*good_weights(directory), *good_pictures(), *good_runs(directory), *good_lists()]


# Watching

_watched = None
_seen = []
FORBIDDEN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect", "pickle.find_class")


def _hear(event, arguments):
    if _watched is None:
        return
    if event in FORBIDDEN:
        _seen.append(f"{event} {arguments}")
    elif event == "open":
        path, _, flags = arguments
        if isinstance(path, str | bytes) and isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            path = os.path.realpath(os.fsdecode(path))
            if not path.startswith(_watched) and path != os.devnull:
                _seen.append(f"open {path}")
    elif event in ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate"):
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if not path.startswith(_watched):
            _seen.append(f"{event} {path}")


@contextlib.contextmanager
def watched(directory):
    """Collect what is done outside of a directory."""
    global _watched
    if not getattr(watched, "hooked", False):
        sys.addaudithook(_hear)
        watched.hooked = True
    _seen.clear()
    _watched = os.path.realpath(directory)
    try:
        yield _seen
    finally:
        _watched = None


def peak():
    """The most memory this process has had, in bytes; getrusage's, on Linux, begins with its parent's."""
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def taken(work):
    """Bytes of memory that a call takes at its peak, and what it returns."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins at what there is now
    before = peak()
    result = work()
    return peak() - before, result


def damaged(kind, seed, number):
    """The file of that number, the same each time."""
    dice = random.Random(f"{seed} {number} {kind.file}")
    damage = dice.choice(DAMAGES)

    def twice(data):
        data = damage(data, dice) if data else data
        return dice.choice(DAMAGES)(data, dice) if data and dice.random() < 0.2 else data

    return kind.beneath(kind.good, twice) if kind.beneath and dice.random() < 0.6 else twice(kind.good)


def fuzz(files, seed, directory, say=lambda line: None):
    """Read so many damaged files; returns counts by kind, and a line for each that did harm."""
    logging.disable(logging.CRITICAL)
    found, counts, slowest = [], Counter(), 0.0
    every = kinds(directory)
    place = directory / "place"
    place.mkdir()
    for kind in every:
        (place / kind.file).write_bytes(kind.good)
        kind.read(place / kind.file)  # raises where the good file is none
    before = peak()
    for number in range(files):
        kind = every[number % len(every)]
        path = place / kind.file
        path.write_bytes(damaged(kind, seed, number))
        began, problem = time.monotonic(), None
        with watched(directory) as outside:
            try:
                kind.read(path)
                counts[kind.file, "read"] += 1
            except InputError as error:
                counts[kind.file, "refused"] += 1
                if not str(error).strip():
                    problem = "an error without words"
            except BaseException:
                problem = traceback.format_exc()
        took = time.monotonic() - began
        slowest = max(slowest, took)
        if took > SECONDS:
            problem = f"{took:.1f} s"
        if peak() - before > MEMORY:
            problem = f"{(peak() - before) / 1e9:.2f} GB"
            before = peak()
        problem = problem or "; ".join(outside)
        if problem:
            found.append(f"{kind.file}, number {number} of seed {seed}: {problem}")
            say(found[-1])
        if (number + 1) % 1000 == 0:
            say(f"{number + 1} files, slowest {slowest:.2f} s, {(peak() - before) / 1e6:.0f} MB above good files")
    return counts, found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=2015)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        counts, found = fuzz(given.files, given.seed, Path(directory), lambda line: print(line, flush=True))
    for name in dict.fromkeys(name for name, _ in sorted(counts)):
        print(f"{name:28} {counts[name, 'read']:6} read {counts[name, 'refused']:6} refused")
    print(f"{sum(counts.values())} files, {len(found)} did harm")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
