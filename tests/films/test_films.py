"""Films: flow and trust against known motion, the steadiness term, clips of every kind, killed and resumed films."""

import itertools
import json
import os
import pickle
import re
import shlex
import shutil
import signal
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import psutil
import pytest
from conftest import ROOT, hashes, loss_rows, random_picture, run_here, run_script, stop_at
from PIL import Image
from processes import run_python, start_script, wait_until

from nst_graph import images, places
from nst_graph.commands import options
from nst_graph.errors import InputError
from nst_graph.model.objective import Objective, Style, TargetExtractor, TemporalTarget
from nst_graph.model.strips import Cut
from nst_graph.optimise import PAIRS, Vectors, minimise
from nst_graph.runs.page import write_gallery
from nst_graph.settings import Settings, options_of
from nst_graph.weights import sources

pytest.importorskip("cv2", reason="needs the extra video")
av = pytest.importorskip("av", reason="needs the extra video")

from nst_graph.films import Film, filming, flow  # noqa: E402
from nst_graph.films.clips import Clip  # noqa: E402

SIZE = (48, 64)


def shot(frames, seed=1, start=(0, 0), step=(1, 2), size=SIZE):
    """Frames [height, width, 3] in 0..255, which pan over a picture by whole pixels down and right."""
    height, width = size
    tall, wide = (side + begin + frames * by for side, begin, by in zip(size, start, step, strict=True))
    picture = random_picture(tall, wide, seed)
    corners = [(start[0] + index * step[0], start[1] + index * step[1]) for index in range(frames)]
    return [picture[top : top + height, left : left + width] for top, left in corners]


def save(directory, frames, name="frame {}.png"):
    directory.mkdir(exist_ok=True)
    for index, frame in enumerate(frames):
        iio.imwrite(directory / name.format(index), np.uint8(frame))
    return directory


def encode(path, frames, codec="libx264", *, times=None, kind="yuv420p", tags=None, options=None, turn=None, beep=None):
    """Write a clip of frames, 10 a second, or shown from one of `times`, in seconds, to the next.

    Frames are arrays, or of PyAV and of this kind. `tags` are attributes of the stream and of its frames. `beep` is
    the second at which a tone begins, in silence.
    """
    times = [index / 10 for index in range(len(frames) + 1)] if times is None else times
    tags, ends, tick = tags or {}, {}, Fraction(1, 1000)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options=options or ({"bf": "0"} if codec == "libx264" else {}))
        sound = container.add_stream("aac", rate=48_000, layout="mono") if beep is not None else None
        stream.pix_fmt = kind
        stream.codec_context.time_base = tick
        if turn is not None:
            stream.set_display_rotation(turn)
        for frame, (begin, end) in zip(frames, itertools.pairwise(times), strict=True):
            if not isinstance(frame, av.VideoFrame):
                frame = av.VideoFrame.from_ndarray(np.uint8(frame), "rgba" if np.shape(frame)[2] == 4 else "rgb24")
                frame = frame.reformat(format=kind)
            if not ends:
                stream.height, stream.width = frame.height, frame.width
            for thing in (frame, stream) if not ends else (frame,):
                for name in [name for name in tags if hasattr(thing, name)]:
                    setattr(thing, name, tags[name])
            frame.pts, frame.time_base = round(begin * 1000), tick
            ends[frame.pts] = round(end * 1000)
            container.mux(lasting(stream.encode(frame), ends))
        container.mux(lasting(stream.encode(), ends))
        if sound is not None:
            seconds = np.arange(int(times[-1] * 48_000)) / 48_000
            tone = np.float32(0.5 * np.sin(2 * np.pi * 880 * seconds) * (seconds >= beep))[None]
            heard = av.AudioFrame.from_ndarray(tone, "fltp", "mono")
            heard.sample_rate, heard.pts, heard.time_base = 48_000, 0, Fraction(1, 48_000)
            container.mux(sound.encode(heard) + sound.encode())
    return path


def lasting(packets, ends):
    for packet in packets:
        packet.duration = ends[packet.pts] - packet.pts
    return packets


def times_of(path):
    """The seconds at which a film's frames begin, and the end."""
    with av.open(f"file:{path}") as container:
        stream = container.streams.video[0]
        frames = [(frame.time, float(frame.duration * frame.time_base)) for frame in container.decode(stream)]
    return [begin for begin, _ in frames] + [sum(frames[-1])]


def beep_of(path):
    """The second at which a film's tone begins; None if the film is silent."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        for frame in container.decode(audio=0):
            loud = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.1)
            if len(loud):
                return frame.time + loud[0] / frame.sample_rate


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A directory of six frames."""
    return save(tmp_path_factory.mktemp("clips") / "pan", shot(6))


@pytest.fixture
def film(clip, pictures_dir, network_file, tmp_path):
    """A function that paints the clip, or another, with more options; returns what it printed and its directory."""

    def paint(*options, content=clip, output=tmp_path / "film", iterations=("--first-iterations", 20)):
        given = [content, pictures_dir / "painting.png", "--weights", network_file, "--output", output]
        given += ["--content-layers", "conv2_1", "--style-layers", "conv1_1", "conv2_1", "--iterations", 10]
        return run_here("paint_video.py", *given, *iterations, *options), output

    return paint


# The objective


@pytest.mark.parametrize("cut", [None, Cut(2, 16)])
def test_the_steadiness_term(network, cut):
    """Beside an objective without it: the mean of c (x - w)^2, and its gradient."""
    settings, weight = Settings(beta=10.0), 3e4
    part, style = network.upto(settings.layers), [Style(random_picture(*SIZE, 2))]
    first, content, picture, warped = (random_picture(*SIZE, seed) for seed in (7, 1, 3, 4))
    trust = np.random.default_rng(5).uniform(0, 1, SIZE).astype(np.float32)
    plain = Objective(part, content, style, settings, cut=cut)
    targets = TargetExtractor(part, settings)
    steady = Objective(part, first, style, settings, targets=targets, steady=True, cut=cut)
    steady.turn_to(content, TemporalTarget(warped, trust, weight))
    one, other = plain(picture), steady(picture)
    difference = picture.astype(float) - warped
    expected = np.mean(trust[..., None] * difference**2)
    assert other.terms["steadiness"] == pytest.approx(expected, rel=1e-5)
    assert other.total == pytest.approx(one.total + weight * expected, rel=1e-5)
    slope = weight * 2 * trust[..., None] * difference / difference.size
    assert other.gradient - one.gradient == pytest.approx(slope, abs=float(2e-4 * np.abs(one.gradient).max()))
    assert {name: other.terms[name] for name in one.terms} == pytest.approx(dict(one.terms), rel=1e-5)
    steady.turn_to(content)
    assert steady(picture).total == pytest.approx(one.total, rel=1e-5)


@pytest.mark.parametrize("cut", [None, Cut(2, 16)])
def test_one_graph_for_all_frames(network, cut):
    """L-BFGS in the graph adds nothing to it at a second frame, and takes the steps it takes on a new one."""
    settings = Settings(beta=10.0, iterations=5)
    part, style = network.upto(settings.layers), [Style(random_picture(*SIZE, 2))]
    start, content = random_picture(*SIZE, 3), random_picture(*SIZE, 1)

    def objective(content):
        vectors = Vectors("float64", PAIRS)
        targets = TargetExtractor(part, settings)
        return Objective(part, content, style, settings, targets=targets, source=vectors.point, cut=cut), vectors

    used, vectors = objective(random_picture(*SIZE, 7))
    minimise(used, random_picture(*SIZE, 8), settings, lambda step: None, vectors=vectors)
    nodes = len(used.graph.get_operations())
    used.turn_to(content)
    found = minimise(used, start, settings, lambda step: None, vectors=vectors)
    assert len(used.graph.get_operations()) == nodes
    other, vectors = objective(content)
    fresh = minimise(other, start, settings, lambda step: None, vectors=vectors)
    assert found.step.total == pytest.approx(fresh.step.total, rel=1e-4)


# Flow


def scene(index, height=72, width=96):
    """Frame `index` of a scene, where each point of it was in frame 0's world, and of which thing it is.

    The background pans and is zoomed; a square piece before it moves the other way.
    """
    zoom, (pan_y, pan_x) = 1.01**index, (0.6 * index, 1.7 * index)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    at = np.stack([(x - width / 2) / zoom + width / 2 + pan_x, (y - height / 2) / zoom + height / 2 + pan_y], -1)
    left, top = 60 - 2.4 * index, 24 + 1.2 * index
    piece = (x >= left) & (x < left + 24) & (y >= top) & (y < top + 24)
    at[piece] = np.stack([x - left + 200, y - top + 20], -1)[piece]
    return sample(WORLD, at), at, piece


def sample(picture, at):
    """A picture at points [.., 2], x and y, by linear interpolation."""
    x, y = np.clip(at[..., 0], 0, picture.shape[1] - 1.001), np.clip(at[..., 1], 0, picture.shape[0] - 1.001)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    across, down = (x - left)[..., None], (y - top)[..., None]
    upper = picture[top, left] * (1 - across) + picture[top, left + 1] * across
    lower = picture[top + 1, left] * (1 - across) + picture[top + 1, left + 1] * across
    return (upper * (1 - down) + lower * down).astype(np.float32)


def photograph():
    from sklearn.datasets import load_sample_image

    image = Image.fromarray(load_sample_image("china.jpg"))
    return np.asarray(image.resize((240, 160), Image.Resampling.LANCZOS), np.float32)


WORLD = photograph()


def motion(index):
    """The true flow of frame `index` to the one before, and where what is seen was seen there too."""
    _, at, piece = scene(index)
    height, width = piece.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    zoom, pan_y, pan_x = 1.01 ** (index - 1), 0.6 * (index - 1), 1.7 * (index - 1)
    back_x = np.where(piece, x + 2.4, (at[..., 0] - pan_x - width / 2) * zoom + width / 2)
    back_y = np.where(piece, y - 1.2, (at[..., 1] - pan_y - height / 2) * zoom + height / 2)
    inside = (back_x >= 0) & (back_x <= width - 1) & (back_y >= 0) & (back_y <= height - 1)
    near = [np.clip(part.astype(int), 0, side - 1) for part, side in ((back_y, height), (back_x, width))]
    was_piece = scene(index - 1)[2][near[0], near[1]]
    return np.stack([back_x - x, back_y - y], -1).astype(np.float32), inside & (was_piece == piece)


def test_flow_of_known_motion():
    """A quarter of a pixel at the median; where it is wrong, it is not trusted."""
    before, frame = scene(3)[0], scene(4)[0]
    true, visible = motion(4)
    found = flow.between(frame, before)
    error = np.hypot(*np.moveaxis(found - true, -1, 0))
    assert np.median(error[visible]) < 0.25
    trusted = flow.consistency(flow.between(before, frame), found) > 0
    assert trusted[visible].mean() > 0.7
    assert (error[trusted] < 1).mean() > 0.95
    assert trusted[~visible].mean() < 0.3


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (16, 16), (47, 300), (100, 49)])
def test_flow_of_small_frames(size):
    """Of few pixels too, where OpenCV by itself dies: they stand still."""
    picture = random_picture(*size)
    assert np.abs(flow.between(picture, picture)).max() < 0.1


def test_a_pan_of_whole_pixels():
    """Warped by its flow a picture is its shift, and all but what comes in is trusted."""
    picture = random_picture(60, 80, 1)
    flow_back = np.full((50, 70, 2), (3, 2), np.float32)
    before, frame = picture[:50, :70], picture[2:52, 3:73]
    assert flow.warp(before, flow_back)[:48, :67] == pytest.approx(frame[:48, :67], abs=1e-3)
    trusted = flow.consistency(-flow_back, flow_back)
    assert trusted[:48, :67].all() and not trusted[48:].any() and not trusted[:, 67:].any()


def test_trust_by_its_inequalities():
    """A piece of 20 columns that moves 5 to the right before a still ground, in true flows."""
    forward, backward = np.zeros((40, 60, 2), np.float32), np.zeros((40, 60, 2), np.float32)
    forward[:, 10:30, 0], backward[:, 15:35, 0] = 5, -5
    trusted = flow.consistency(forward, backward)
    assert not trusted[:, 10:15].any()  # the ground that came out from behind it: the flow there does not lead back
    assert not trusted[:, 34:36].any()  # the motion boundary
    assert trusted[:, 17:33].all() and trusted[:, :9].all() and trusted[:, 37:].all()
    # |w + w'|^2 = d^2 against 0.01 (4^2 + (4 + d)^2) + 0.5, which d = 0.9 keeps and d = 1 does not
    for difference, expected in ((0.9, 1), (1.0, 0)):
        forward[:], backward[:] = (4, 0), (-4 - difference, 0)
        assert flow.consistency(forward, backward)[20, 30] == expected
    # a slope of the flow s^2 against 0.002 where it is zero
    for slope, expected in ((0.04, 1), (0.05, 0)):
        backward[:] = 0
        backward[..., 0] = slope * (np.arange(60) - 30)
        forward[:] = -backward
        assert flow.consistency(forward, backward)[20, 30] == expected


def test_what_cannot_be_trusted_is_filled():
    trust = np.ones((40, 50), np.float32)
    trust[:, 30:] = 0
    guide = TemporalTarget(np.full((40, 50, 3), 200, np.float32), trust, 1.0)
    found = flow.filled(guide, np.full((40, 50, 3), 20, np.float32))
    assert found.dtype == np.float32
    assert found[:, :20] == pytest.approx(200, abs=0.1)
    assert found[:, 40:] == pytest.approx(20, abs=0.1)
    assert (np.diff(found[:, 20:40, 0], axis=1) <= 0).all()


def test_what_lies_further_back(monkeypatch):
    """The term is that of the paper's section 4.3: each c_long is c less those of all nearer frames, at least 0."""
    random = np.random.default_rng(3)
    masks = (random.uniform(size=(3, 20, 30)) < 0.5).astype(np.float32)
    paintings, picture = random.uniform(0, 255, (3, 20, 30, 3)), random.uniform(0, 255, (20, 30, 3))
    masks_left = iter(masks)
    monkeypatch.setattr(flow, "between", lambda frame, other: np.zeros((20, 30, 2), np.float32))
    monkeypatch.setattr(flow, "warp", lambda values, along: values)
    monkeypatch.setattr(flow, "consistency", lambda forward, backward: next(masks_left))
    found = flow.temporal_target(picture, [(picture, painting) for painting in paintings], 2.0)
    expected, nearer = 0.0, np.zeros((20, 30))
    for mask, painting in zip(masks, paintings, strict=True):
        expected += np.mean(np.maximum(mask - nearer, 0)[..., None] * np.square(picture - painting))
        nearer += mask
    assert np.mean(found.flow_consistency[..., None] * np.square(picture - found.picture)) == pytest.approx(expected)
    assert found.picture[nearer == 0] == pytest.approx(paintings[0][nearer == 0])


# Clips


@pytest.mark.parametrize("kind", ["mp4", "mov", "webm", "avi", "gif"])
def test_clips_of_every_kind(tmp_path, kind):
    frames = shot(8)
    codec, layout = {"webm": ("libvpx-vp9", "yuv420p"), "gif": ("gif", "rgb8")}.get(kind, ("libx264", "yuv420p"))
    path = encode(tmp_path / f"clip.{kind}", frames, codec, kind=layout)
    clip = Clip.named(path, (0, None, 1))
    assert clip.outline(print).times == pytest.approx([index / 10 for index in range(9)])
    found = list(clip.frames())
    assert len(found) == 8
    assert all(np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.8 for one, other in zip(found, frames, strict=True))
    picked = Clip.named(path, (1, 6, 2))
    assert picked.outline(print).times == pytest.approx([0, 0.2, 0.4, 0.5])
    assert [frame.tobytes() for frame in picked.frames()] == [frame.tobytes() for frame in found[1:6:2]]


def flat(colour, alpha=None):
    """A frame of one colour; with alpha its lower half has that."""
    frame = np.full((*SIZE, 3), colour, np.float32)
    if alpha is None:
        return frame
    opacity = np.where(np.arange(SIZE[0])[:, None, None] < SIZE[0] // 2, 255, alpha)
    return np.concatenate([frame, np.broadcast_to(opacity, (*SIZE, 1))], -1)


HEVC = {"x265-params": "log-level=none"}
BT709, BT2020 = {"colorspace": 1}, {"colorspace": 9, "color_primaries": 9, "color_range": 1}


@pytest.mark.parametrize(
    ("name", "codec", "kind", "colours", "tags", "expected"),
    [
        ("hevc.ts", "libx265", "yuv420p10le", "ITU601", {}, (200, 30, 60)),
        ("h264.mp4", "libx264", "yuv422p10le", "ITU709", BT709, (200, 30, 60)),
        ("prores.mov", "prores_ks", "yuv444p10le", "ITU709", BT709, (200, 30, 60)),
        ("full.mkv", "ffv1", "yuv444p16le", "ITU601", {"color_range": 2}, (200, 30, 60)),
        # 203 cd/m2 are white: 58 % of PQ, 75 % of HLG.
        ("hlg.mp4", "libx264", "yuv420p10le", 502, BT2020 | {"color_trc": 18}, (143, 143, 143)),
        ("pq.mp4", "libx264", "yuv420p10le", 572, BT2020 | {"color_trc": 16}, (252, 252, 252)),
    ],
)
def test_colours_of_clips(tmp_path, name, codec, kind, colours, tags, expected):
    """By matrix, range and depth; HDR becomes SDR."""
    if isinstance(colours, int):
        frame = av.VideoFrame(SIZE[1], SIZE[0], kind)
        for index, plane in enumerate(frame.planes):
            plane.update(np.full(plane.buffer_size // 2, 512 if index else colours, np.uint16).tobytes())
    else:
        frame = av.VideoFrame.from_ndarray(np.uint8(flat((200, 30, 60))), "rgb24")
        frame = frame.reformat(format=kind, dst_colorspace=colours, dst_color_range=tags.get("color_range"))
    path = encode(tmp_path / name, [frame], codec, kind=kind, tags=tags, options=HEVC if codec == "libx265" else None)
    (found,) = Clip.named(path, (0, None, 1)).frames()
    assert found.shape == (*SIZE, 3)
    assert found == pytest.approx(np.broadcast_to(np.float32(expected), found.shape), abs=3)


@pytest.mark.parametrize("kind", ["gray16le", "gbrp16le"])
def test_sixteen_bits(tmp_path, kind):
    """All of them are kept."""
    values = np.random.default_rng(1).integers(0, 2**16, (*SIZE, 3), np.uint16)
    if kind == "gray16le":
        values[:] = values[..., :1]
    stored = values[..., 0].copy() if kind == "gray16le" else values
    frame = av.VideoFrame.from_ndarray(stored, kind)
    path = encode(tmp_path / "deep.mkv", [frame], "ffv1", kind=kind)
    (found,) = Clip.named(path, (0, None, 1)).frames()
    assert found == pytest.approx(values / np.float32(257), abs=0.01)


@pytest.mark.parametrize("name", ["anim.png", "anim.webp", "anim.gif", "prores.mov", "png.mov", "vp9.webm"])
def test_transparent_clips(tmp_path, name):
    """Over white, as frames in a directory are."""
    alpha = 0 if name.endswith(("gif", "webm")) else 102
    frames = [flat(colour, alpha) for colour in ((200, 30, 60), (20, 130, 60))]
    codec, kind = {
        "prores.mov": ("prores_ks", "yuva444p10le"),
        "png.mov": ("png", "rgba"),
        "vp9.webm": ("libvpx-vp9", "yuva420p"),
    }.get(name, (None, None))
    if codec:
        encode(tmp_path / name, frames, codec, kind=kind)
    else:
        first, second = (Image.fromarray(np.uint8(frame)) for frame in frames)
        first.save(tmp_path / name, save_all=True, append_images=[second], duration=10, lossless=True, disposal=2)
    clip = Clip.named(tmp_path / name, (0, None, 1))
    assert clip.outline(print).times == pytest.approx([0, 0.1, 0.2])  # of animated pictures as in browsers
    for found, frame in zip(clip.frames(), frames, strict=True):
        assert found[:20] == pytest.approx(frame[:20, :, :3], abs=4)
        assert found[28:] == pytest.approx(255 + (frame[28:, :, :3] - 255) * alpha / 255, abs=4)


def test_times_of_clips(tmp_path, film):
    """Each distinct frame is painted once, and shown as long as in the clip; equal ones are one."""
    one, two, three = shot(3, step=(0, 8))
    times = [0, 0.1, 0.13, 1, 1.5, 3, 3.2]
    path = encode(tmp_path / "screen.mkv", [one, one, two, two, one, three], "ffv1", times=times, kind="bgr0")
    run, output = film("--iterations", 1, content=path, output=tmp_path / "2026-11-30T12:30")
    assert run.returncode == 0, run.stderr
    assert "4 frames in 3." in run.stdout
    assert len(list(output.glob("frame-*.png"))) == 4
    assert times_of(output / "film.mp4")[:-1] == pytest.approx([0, 0.13, 1.5, 3], abs=1e-4)
    clip = Clip.named(path, (1, 5, 2), rate=8)
    assert clip.outline(print).times == pytest.approx([0, 0.25, 0.5])
    assert [frame.tobytes() for frame in clip.frames()] == [
        np.uint8(frame).astype(np.float32).tobytes() for frame in (one, two)
    ]


@pytest.mark.parametrize(("turn", "back"), [(90, 1), (180, 2), (-90, 3)])
def test_upright_and_square(tmp_path, turn, back):
    """A clip of pixels 16 to 11, turned by its container; as it is stored it is 64 x 48."""
    frame = shot(1)[0]
    path = encode(tmp_path / "clip.mp4", [frame], turn=turn, tags={"sample_aspect_ratio": Fraction(16, 11)})
    (found,) = Clip.named(path, (0, None, 1)).frames()
    assert found.shape == ((93, 48, 3) if back % 2 else (48, 93, 3))
    expected = np.rot90(images.resize(frame, 48, 93), back)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.8


def test_interlaced_clips(tmp_path):
    """Fields of two moments: no row differs from those beside it in the middle of what moves."""
    frames = []
    for index in range(4):
        frame = flat((30, 30, 30))
        for field in (0, 1):
            left = 4 + 8 * index + 4 * field
            frame[field::2, left : left + 16] = 220
        frames.append(frame)
    path = encode(tmp_path / "fields.mp4", frames, options={"x264-params": "tff=1", "flags": "+ildct", "crf": "1"})
    found = list(Clip.named(path, (0, None, 1)).frames())
    assert len(found) == 4
    assert all(np.abs(np.diff(frame[10:-10], axis=0)).max() < 10 for frame in found)


def test_a_thousand_frames_without_leading_zeros(tmp_path):
    for number in range(1, 1001):
        Image.new("RGB", (4, 4), (number // 256, number % 256, 0)).save(tmp_path / f"Frame{number}.png")
    (tmp_path / "notes.txt").write_text("not a frame")
    (tmp_path / ".Frame0.png").write_text("nor this")
    clip = Clip.named(tmp_path, (0, None, 1))
    found = [int(frame[0, 0, 0]) * 256 + int(frame[0, 0, 1]) for frame in clip.frames()]
    assert found == list(range(1, 1001))
    assert clip.outline(print).seconds == 40


def test_cuts(tmp_path):
    """Three shots, the second of dark frames."""
    frames = shot(4, 1) + [frame / 4 for frame in shot(3, 2)] + [255 - frame / 3 for frame in shot(5, 3)]
    assert Clip.named(save(tmp_path / "cut", frames), (0, None, 1)).outline(print).shots == [4, 3, 5]


def test_truncated_clips(tmp_path, film):
    """One in Matroska can be read from its beginning; an mp4 has its index at the end."""
    whole = encode(tmp_path / "whole.mkv", shot(20), options={"g": "1"}).read_bytes()
    (tmp_path / "begun.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    news = []
    lengths = Clip.named(tmp_path / "begun.mkv", (0, None, 1)).outline(news.append).shots
    assert 8 <= sum(lengths) < 20
    assert news == [f"{tmp_path / 'begun.mkv'}: is damaged; {sum(lengths)} frames of it can be read"]
    whole = encode(tmp_path / "last.mp4", shot(20)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[:-200])
    one_line(film(content=tmp_path / "cut.mp4"), "cut.mp4: no pictures that ffmpeg can read")


def one_line(painted, *words):
    """Refused, by one line with these words, before anything was written."""
    run, output = painted
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1 and all(word in run.stderr for word in words), run.stderr
    assert not output.exists()


def test_clips_without_frames(tmp_path, film):
    (tmp_path / "empty").mkdir()
    one_line(film(content=tmp_path / "empty"), "empty: no frames there")
    (tmp_path / "none.mp4").write_bytes(b"")
    one_line(film(content=tmp_path / "none.mp4"), "none.mp4: no pictures that ffmpeg can read")
    with av.open(str(tmp_path / "sound.m4a"), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=48_000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), "fltp", "mono")
        silence.sample_rate = 48_000
        container.mux(sound.encode(silence) + sound.encode())
    one_line(film(content=tmp_path / "sound.m4a"), "sound.m4a: no pictures that ffmpeg can read")
    one_line(film(content=tmp_path / "gone.mp4"), "gone.mp4: no such clip")
    one_line(film("--frames", "40:"), "no frames there; choose others by --frames")
    odd = save(tmp_path / "odd", [*shot(2), random_picture(50, 50, 3)])
    one_line(film(content=odd), "frame 2 has 50 x 50 pixels, not 64 x 48")


def test_wrong_options(film, clip):
    one_line(film("--frames", "6:2"), "--frames 6:2: write the first frame")
    one_line(film("--frames", "six"), "--frames six: write the first frame")
    one_line(film("--every", 0), "--every 0")
    for back in ((2, 4), (1, 4, 2), (1, 33)):
        one_line(film("--back", *back), f"--back {' '.join(map(str, back))}: give whole numbers from 1 to 32")
    one_line(film("--fps", "nan"), "--fps nan")
    one_line(film("--fps", 0), "--fps 0")
    one_line(film("--steadiness", "nan"), "--steadiness nan")
    one_line(film("--tensorboard"), "--tensorboard: films have no use for it")
    one_line(film(output=clip / "new.mp4"), "name a directory; film.mp4 is written there")


def test_missing_packages(without, film):
    without("cv2")
    one_line(film(), "films need opencv-python-headless: pip install 'nst_graph[video]'")


# Films


def test_the_commands_of_the_page(tmp_path, network_file, pictures_dir, monkeypatch):
    """As printed, one after the other; and the page has each option of films."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(places, "OUTPUT", tmp_path / "output")
    monkeypatch.setattr(places, "MODEL", tmp_path / "model")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / sources.FILES["VGG-19"][-1]).symlink_to(network_file)
    Image.open(pictures_dir / "painting.png").save("painting.jpg")
    save(tmp_path / "frames", shot(13), "{}.png")
    encode("clip.mp4", shot(13))
    page = (ROOT / "docs" / "video.md").read_text()
    assert all(f"`--{name.replace('_', '-')}" in page for name in (*options.CLIP, *options_of(Film)))
    for line in re.search(r"```sh\n(.*?)```", page, re.DOTALL)[1].splitlines():
        words = line.split()[2:]
        few = [] if "--resume" in words else ["--first-iterations", 2, "--iterations", 1]
        run = run_here("paint_video.py", *words, *few)
        assert run.returncode == 0, f"{line}: {run.stderr}"
    assert {path.parent.name for path in tmp_path.glob("output/*/film.mp4")} == {
        "clip-painting",
        "frames-painting",
        "short",
    }


def test_a_film(film, clip):
    run, output = film("--every", 2, "--fps", 12)
    assert run.returncode == 0, run.stderr
    assert sorted(path.name for path in output.glob("frame-*.png")) == [
        f"frame-0000{number}.png" for number in (1, 2, 3)
    ]
    assert times_of(output / "film.mp4") == pytest.approx([0, 1 / 6, 1 / 3, 1 / 2])
    table = loss_rows(output)
    assert [(row["frame"], row["iterations"]) for row in table] == [("1", "20"), ("2", "10"), ("3", "10")]
    assert float(table[0]["steadiness"]) == 0 < float(table[1]["steadiness"])
    first, second = (Image.open(output / f"frame-0000{number}.png") for number in (1, 2))
    assert first.size == second.size == (64, 48)
    page = (output / "index.html").read_text()
    assert '"now": 3, "last": 3' in page and '"state": "finished"' in page
    np.testing.assert_array_equal(iio.imread(output / "content.png"), iio.imread(clip / "frame 0.png"))
    write_gallery(output.parent)
    gallery = (output.parent / "index.html").read_text()
    assert '"label": "frame 3"' in gallery and '"last": 3' in gallery
    command = json.loads(page.split('application/json">')[1].split("</script>")[0])["again"]
    words = shlex.split(command.removeprefix("python scripts/paint_video.py "))
    assert run_here("paint_video.py", *words, "--output", output.parent / "again").returncode == 0
    assert frames_of(output.parent / "again") == frames_of(output)
    again, _ = film("--overwrite", "--frames", ":1")
    assert again.returncode == 0, again.stderr
    assert not (output / "frame-00002.png").exists()


@pytest.mark.parametrize(
    ("options", "times", "beep"),
    [
        ((), [index / 10 for index in range(11)], 0.5),
        (("--frames", "2:6"), [0, 0.1, 0.2, 0.3, 0.4], 0.3),
        (("--frames", "1:", "--every", 4), [0, 0.4, 0.8, 0.9], 0.4),
        (("--frames", "2:6", "--fps", 5), [0, 0.2, 0.4, 0.6, 0.8], None),
    ],
)
def test_sound(film, tmp_path, options, times, beep):
    """It stays with its picture, to a frame of aac; at another speed the film is silent."""
    content = encode(tmp_path / "clip.mp4", shot(10), beep=0.5)
    run, output = film("--iterations", 1, *options, content=content, iterations=("--first-iterations", 1))
    assert run.returncode == 0, run.stderr
    assert times_of(output / "film.mp4") == pytest.approx(times, abs=1e-4)
    assert beep_of(output / "film.mp4") == (beep if beep is None else pytest.approx(beep, abs=0.03))
    assert ("--fps changes its speed; the film is silent" in run.stdout) == (beep is None)


def test_sound_that_cannot_be_read(film, tmp_path):
    whole = encode(tmp_path / "clip.mp4", shot(3), beep=0).read_bytes()
    with av.open(str(tmp_path / "clip.mp4")) as container:
        for packet in container.demux(audio=0):
            if packet.size:
                whole = whole[: packet.pos] + bytes([255]) * packet.size + whole[packet.pos + packet.size :]
    (tmp_path / "clip.mp4").write_bytes(whole)
    run, output = film(content=tmp_path / "clip.mp4")
    assert run.returncode == 0, run.stderr
    assert "its sound cannot be read; the film is silent" in run.stdout and beep_of(output / "film.mp4") is None


def test_each_shot_begins_anew(film, tmp_path, monkeypatch):
    """After a cut a frame is painted as one alone; a shot has one objective."""
    made = []
    real = filming.painting.objective_of
    monkeypatch.setattr(filming.painting, "objective_of", lambda *given: made.append(1) or real(*given))
    cut = save(tmp_path / "cut", [*shot(3, 1), *(frame / 4 for frame in shot(3, 2))])
    run, output = film(content=cut)
    assert run.returncode == 0, run.stderr
    assert [row["iterations"] for row in loss_rows(output)] == ["20", "10", "10", "20", "10", "10"]
    assert len(made) == 2
    _, alone = film("--frames", "3:4", content=cut, output=tmp_path / "alone")
    assert float(loss_rows(output)[3]["total"]) == pytest.approx(float(loss_rows(alone)[0]["total"]), rel=1e-3)


def test_colours_and_scales(film, tmp_path):
    """The first frame is painted coarse to fine, and what is new in others; each has its own photograph's colours."""

    more = ("--colours", "luminance", "--scales", 40, "--scale-iterations", 7)
    run, output = film(*more, "--frames", ":2", iterations=("--first-iterations", 9))
    assert run.returncode == 0, run.stderr
    assert [row["iterations"] for row in loss_rows(output)] == ["16", "17"]
    for number, frame in enumerate(shot(6)[:2], 1):
        painted = np.float32(Image.open(output / f"frame-0000{number}.png"))
        assert np.abs(painted - images.keep_colours(painted, np.float32(np.uint8(frame)))).mean() < 2


def test_what_cannot_be_moved_begins_as_the_scale_below_painted_it(film, monkeypatch):
    """The right half: there the frame starts from the photograph with the change that painting it small made."""
    guides, painted = [], []
    found, minimised = flow.temporal_target, filming.minimise

    def guide(*given):
        whole = found(*given)
        guides.append(
            replace(whole, flow_consistency=np.where(np.arange(SIZE[1]) < SIZE[1] / 2, whole.flow_consistency, 0))
        )
        return guides[-1]

    def minimise(objective, start, *given, **vectors):
        outcome = minimised(objective, start, *given, **vectors)
        painted.append((start, np.asarray(outcome.step.picture)))
        return outcome

    monkeypatch.setattr(flow, "temporal_target", guide)
    monkeypatch.setattr(filming, "minimise", minimise)
    run, _ = film("--scales", 40, "--scale-iterations", 7, "--frames", ":2")
    assert run.returncode == 0, run.stderr
    (_, small), (start, _) = painted[-2:]
    photograph = np.float32(np.uint8(shot(6)[1]))
    change = small - images.resize(photograph, *small.shape[:2])
    unframed = np.pad(change[4:-4, 4:-4], ((4, 4), (4, 4), (0, 0)), "symmetric")  # as zero padding leaves a frame
    anew = photograph + images.resample(unframed, *SIZE)
    assert small.shape[1] == 40 and np.abs(change).mean() > 3
    assert start[:, 42:] == pytest.approx(anew[:, 42:], abs=0.5)
    assert start[8:-8, 8:22] == pytest.approx(guides[0].picture[8:-8, 8:22], abs=0.5)


def test_steadier_than_frames_alone(pictures_dir, network_file, tmp_path):
    """Known motion: the warping error is at most a third of that of frames painted alone, at the same style loss."""
    frames = [scene(index)[0] for index in range(5)]
    clip = Clip.named(save(tmp_path / "scene", frames, "{}.png"), (0, None, 1))
    settings = Settings(iterations=50)
    flicker, style = {}, {}
    for name, film in (("steady", Film()), ("alone", Film(alone=True))):
        output = tmp_path / name
        filming.paint_film(clip, [pictures_dir / "painting.png"], settings, film, output, weights_file=network_file)
        painted = [np.float32(Image.open(output / f"frame-{number:05}.png")) for number in range(1, 6)]
        errors = []
        for index in range(1, 5):
            true, visible = motion(index)
            warped = flow.warp(painted[index - 1], true)
            errors.append(np.mean(np.square(painted[index] - warped)[visible]))
        flicker[name], style[name] = np.mean(errors), np.mean([float(row["style"]) for row in loss_rows(output)])
    assert flicker["steady"] < flicker["alone"] / 3
    assert style["steady"] < 1.05 * style["alone"]


def test_a_film_goes_on(film, clip, tmp_path):
    """Interrupted after four frames, it goes on with the fifth as if it had not been; what does not fit is refused."""
    output = tmp_path / "film"
    whole, painted = film("--back", 1, 2, 4, output=tmp_path / "whole")[1], Film(10, back=(1, 2, 4))
    record = filming.records.read(whole)
    styles, weights_file = [Path(record["styles"][0]["path"])], Path(record["weights"]["path"])
    layers = {"content_layers": {"conv2_1": 1.0}, "style_layers": {"conv1_1": 0.5, "conv2_1": 0.5}}
    given = Clip.named(clip, (0, None, 1)), styles, Settings(iterations=20, **layers), painted, output
    with pytest.raises(KeyboardInterrupt):
        filming.paint_film(*given, weights_file=weights_file, observers=[stop_at(55, KeyboardInterrupt)])
    assert filming.records.read(output)["outcome"] == {"state": "interrupted"}
    begun = hashes(output)
    assert {f"frame-0000{number}.png" for number in range(1, 5)} == {name for name in begun if "frame-" in name}
    other = replace(given[3], steadiness=5.0)
    with pytest.raises(InputError, match="steadiness: the film was begun with 0.3"):
        filming.paint_film(*given[:3], other, output, weights_file=weights_file, resume=True)
    assert "holds a film; go on by" in run_here("paint.py", "--resume", output).stderr
    assert "leave --size out" in run_here("paint_video.py", "--resume", output, "--size", 30).stderr
    run = run_here("paint_video.py", "--resume", output)
    assert run.returncode == 0, run.stderr
    assert all(hashes(output)[name] == begun[name] for name in begun if "frame-" in name)
    assert [row["frame"] for row in loss_rows(output)] == list("123456")
    for one, other in zip(loss_rows(output), loss_rows(whole), strict=True):
        assert float(one["total"]) == pytest.approx(float(other["total"]), rel=1e-4)
    assert not (output / "state.npz").exists()
    assert "is finished" in run_here("paint_video.py", "--resume", output).stdout


def test_a_directory_is_its_pictures(film, tmp_path):
    """What a system adds to it does not keep a film from going on."""
    frames = save(tmp_path / "frames", shot(3))
    output = tmp_path / "film"
    painted = filming.FilmRun.add

    def stop(film_run, frame):
        painted(film_run, frame)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filming.FilmRun, "add", stop)
        assert film(content=frames)[0].returncode == 130
    for name in (".DS_Store", "Thumbs.db", "._frame 0.png"):
        (frames / name).write_bytes(b"no picture")
    run = run_here("paint_video.py", "--resume", output)
    assert run.returncode == 0, run.stderr
    assert len(times_of(output / "film.mp4")) == 4


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
from nst_graph.commands import paint_video
from nst_graph.films import filming  # TensorFlow, once for all that are killed
clip, painting, weights, output, log = sys.argv[1:]
new = [clip, painting, "--weights", weights, "--output", output, "--iterations", "25", "--first-iterations", "25"]
kept = filming.FilmRun.add
def add(film_run, frame):
    kept(film_run, frame)
    with open(log, "a") as file:
        file.write(f"{frame.number}\\n")
filming.FilmRun.add = add
random.seed(0)
for kill in range(21):
    words = ["--resume", output] if (Path(output) / "run.json").exists() else new
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(paint_video.main(words))
    if kill < 20:
        time.sleep(random.uniform(0.0, 4.0))
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.thorough
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_twenty_times(pictures_dir, network_file, tmp_path):
    """The film is whole, and no finished frame was painted twice."""
    clip = save(tmp_path / "clip", shot(30, step=(0, 1)))
    output, log = tmp_path / "film", tmp_path / "log"
    given = [clip, pictures_dir / "painting.png", network_file, output, log]
    run = run_python(KILLED, *given, cwd=ROOT)
    assert run.stdout.split()[-1] == "0", run.stderr
    assert len(list(Clip.named(output / "film.mp4", (0, None, 1)).frames())) == 30
    added = [int(line) for line in log.read_text().split()]
    assert len(added) == len(set(added)) and 29 <= len(added) <= 30
    assert [int(row["frame"]) for row in loss_rows(output)] == list(range(1, 31))
    assert not [path for path in output.iterdir() if path.name.startswith(".") and path.name != ".lock"]


# Shots side by side


@pytest.fixture
def shots(tmp_path, pictures_dir, network_file):
    """A function that begins to paint a clip of three shots, of so many frames each, as a user does."""
    begun = []

    def begin(frames, *more, output=tmp_path / "film", iterations=10, resume=False):
        parts = [
            shot(frames, 1),
            [frame / 4 for frame in shot(frames, 2)],
            [255 - part / 3 for part in shot(frames, 3)],
        ]
        clip = save(tmp_path / "cut", itertools.chain(*parts))
        new = [clip, pictures_dir / "painting.png", "--weights", network_file, "--output", output]
        new += ["--first-iterations", iterations, "--iterations", iterations]
        words = [*(["--resume", output] if resume else new), *more]
        begun.append(start_script("paint_video.py", *words, process_group=0))
        return begun[-1], output

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def ended(process, status=0):
    out, err = process.communicate(timeout=300)
    assert process.returncode == status, err
    assert err.count("\n") == (status != 0), err
    return out, err


def frames_of(output):
    """The bytes of a film's frames, by number, beside which there is no directory."""
    assert not any(path.is_dir() for path in output.iterdir())
    return {int(path.stem.split("-")[1]): path.read_bytes() for path in sorted(output.glob("frame-*.png"))}


def without_seconds(output):
    left_out = {"seconds", "beside"}
    return [{name: cell for name, cell in row.items() if name not in left_out} for row in loss_rows(output)]


def check_film(output, frames):
    assert list(frames_of(output)) == [int(row["frame"]) for row in loss_rows(output)] == list(range(1, frames + 1))
    assert len(list(Clip.named(output / "film.mp4", (0, None, 1)).frames())) == frames
    assert not (output / "state.npz").exists()


def again(thing):
    """As another process gets it."""
    return pickle.loads(pickle.dumps(thing))


def here(task, store):
    again(task.work())(lambda line, results: task.receive(again(results)))


def there(task, store):
    inputs, line = [Path(shutil.copy(path, store)) for path in task.inputs()], ""
    while line is not None:
        line, frames = again(again(task.interval())(inputs))
        task.receive(frames)


@pytest.mark.parametrize("do", [here, there])
def test_shots_painted_elsewhere(tmp_path, pictures_dir, network_file, monkeypatch, do):
    """The last shot first: the same bytes as one after the other; also where a film goes on."""
    monkeypatch.setattr(filming, "INTERVAL", 2)
    frames = [*shot(4, 1), *(frame / 4 for frame in shot(1, 2))]
    clip = Clip.named(save(tmp_path / "clip", frames), (0, None, 1))
    given = clip, [pictures_dir / "painting.png"], Settings(iterations=8), Film(4)
    one, other = tmp_path / "one", tmp_path / "other"
    filming.paint_film(*given, one, weights_file=network_file)
    (tmp_path / "store").mkdir()

    def share(tasks, last=None):
        for task in reversed(tasks):

            def keep_some(frame, keep=task._keep):
                keep(frame)
                if frame.number == last:
                    raise KeyboardInterrupt

            task._keep = keep_some
            do(task, tmp_path / "store")
        return []

    how = {"weights_file": network_file}
    with pytest.raises(KeyboardInterrupt):
        filming.paint_film(*given, other, **how, share=partial(share, last=2))
    begun = {path: path.stat().st_mtime_ns for path in other.glob("frame-*.png")}
    assert sorted(frames_of(other)) == [1, 2, 5]
    assert '"now": 3, "last": 5' in (other / "index.html").read_text()
    filming.paint_film(*given, other, **how, share=share, resume=True)
    check_film(other, 5)
    assert {path: path.stat().st_mtime_ns for path in begun} == begun
    assert frames_of(other) == frames_of(one)
    assert without_seconds(other) == without_seconds(one)


@pytest.mark.thorough
def test_shots_side_by_side(shots, tmp_path):
    """The same bytes as by one process."""
    process, one = shots(2, output=tmp_path / "one")
    ended(process)
    process, output = shots(2, "--workers", 2)
    out, _ = ended(process)
    assert all(f"shot {place}: is finished" in out for place in (1, 2, 3))
    check_film(output, 6)
    assert frames_of(output) == frames_of(one)
    assert without_seconds(output) == without_seconds(one)
    assert filming.records.read(output)["film"] == filming.records.read(one)["film"]
    page = (output / "index.html").read_text()
    assert '"now": 6, "last": 6' in page and '"state": "finished"' in page


def begin_two(shots, iterations):
    """Two shots on their way: the process, those that paint, and the directory."""
    process, output = shots(5, "--workers", 2, iterations=iterations)
    wait_until(lambda: all((output / f"frame-{number:05}.png").exists() for number in (1, 6)), process)
    both = psutil.Process(process.pid).children()
    return process, sorted(both, key=lambda one: sum(one.cpu_times()[:2]))[-2:], output


@pytest.mark.thorough
def test_of_two_shots_one_is_killed(shots):
    """Another process goes on with the frame it was at."""
    process, (_, busy), output = begin_two(shots, 60)
    busy.kill()
    out, _ = ended(process)
    assert "ended with status -9, another one goes on" in out
    check_film(output, 15)
    assert sorted(map(int, re.findall("frame ([0-9]+), loss", out))) == list(range(1, 16))


@pytest.mark.thorough
@pytest.mark.parametrize(("number", "more"), [(signal.SIGINT, ("--workers", 2)), (signal.SIGKILL, ())])
def test_shots_go_on(shots, number, more):
    """After Ctrl-C, and after a kill, which ends the processes too; no finished frame is painted again."""
    process, both, output = begin_two(shots, 60)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
        assert "--resume" in ended(process, 130)[1]
        assert filming.records.read(output)["outcome"] == {"state": "interrupted"}
    else:
        process.kill()
    assert not psutil.wait_procs(both, timeout=60)[1]
    begun = {path: path.stat().st_mtime_ns for path in output.glob("frame-*.png")}
    assert 2 <= len(begun) < 15
    process, _ = shots(5, *more, resume=True)
    ended(process)
    check_film(output, 15)
    assert {path: path.stat().st_mtime_ns for path in begun} == begun


@pytest.mark.thorough
def test_a_shot_that_fails(tmp_path, network_file):
    """Gradient descent by leaps is right for the shot that is its own start, which is painted all the same."""
    still, moving = [random_picture(*SIZE, seed) for seed in (1, 2)]
    clip = save(tmp_path / "clip", [moving / 4, moving / 4, still])
    how = ["--beta", 0, "--init", clip / "frame 2.png", "--optimiser", "gradient-descent", "--rate", 1e30]
    how += ["--iterations", 3, "--first-iterations", 3, "--weights", network_file]
    done = run_script("paint_video.py", clip, *how, "--output", tmp_path / "film", "--workers", 2)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "error: shot 1: the loss is" in done.stderr and "shot 2" not in done.stderr
    assert list(frames_of(tmp_path / "film")) == [3]
    assert filming.records.read(tmp_path / "film")["outcome"]["state"].startswith("failed: shot 1")


def test_wrong_workers(film, without):
    one_line(film("--workers", 0), "--workers 0: give a whole number of 1 or more")
    without("distributed")
    one_line(film("--scheduler", "tcp://127.0.0.1:9"), "--scheduler: needs dask.distributed")


def test_no_cluster_there(film, impatient):
    one_line(film("--scheduler", "tcp://127.0.0.1:9"), "--scheduler tcp://127.0.0.1:9", "start one there")


@pytest.mark.thorough
def test_shots_on_a_cluster(shots, tmp_path, cluster):
    """The same bytes as by one process; a first interval, and one that goes on, held to more than the last frame."""
    back = "--back", 1, 2, 4
    process, one = shots(6, *back, output=tmp_path / "one")
    ended(process)
    process, output = shots(6, *back, "--scheduler", cluster.scheduler_address)
    ended(process)
    check_film(output, 18)
    assert frames_of(output) == frames_of(one)
    assert without_seconds(output) == without_seconds(one)


@pytest.mark.thorough
def test_a_worker_of_a_cluster_is_killed(shots, cluster):
    """Its interval is painted again; interrupted, the film goes on without a cluster."""
    process, output = shots(6, "--scheduler", cluster.scheduler_address, iterations=60)
    wait_until(lambda: any(output.glob("frame-*.png")), process)
    busy = [psutil.Process(worker.process.pid) for worker in cluster.workers.values()]
    max(busy, key=lambda one: sum(one.cpu_times()[:2])).kill()
    before = len(frames_of(output))
    wait_until(lambda: len(frames_of(output)) > before, process)
    process.send_signal(signal.SIGTERM)
    assert "--resume" in ended(process, 130)[1]
    begun = frames_of(output)
    process, _ = shots(6, resume=True)
    ended(process)
    check_film(output, 18)
    assert begun.items() <= frames_of(output).items()
