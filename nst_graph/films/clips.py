"""Clips: moving pictures read from a file, by ffmpeg, or from a directory of frames; and films written by ffmpeg."""

from __future__ import annotations

import itertools
import math
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from nst_graph import files, pictures
from nst_graph.errors import InputError
from nst_graph.files import non_file
from nst_graph.news import count
from nst_graph.pictures import Picture

Say = Callable[[str], None]
#: Frames a second of a directory of frames, where none are named.
RATE = 25
#: Bins a channel of the histograms that tell a cut, and the share that two frames of a shot have in common at least.
BINS, COMMON = 8, 0.8
#: The rows and columns that are counted there, at least.
COUNTED = 64


@dataclass(frozen=True)
class Clip:
    """A clip's frames from `start` up to `stop`, counted from 0, one of `every`; `rate` is the film's."""

    path: Path
    rate: Fraction
    start: int = 0
    stop: int | None = None
    every: int = 1
    #: Memory that reading a frame may take, in GB.
    read_limit: float = 1.0

    def __post_init__(self) -> None:
        if self.start < 0 or (self.stop is not None and self.stop <= self.start):
            stop = "" if self.stop is None else self.stop
            remedy = "write the first frame and the one after the last, such as 10:60"
            raise InputError(f"--frames {self.start}:{stop}: {remedy}")
        if self.every < 1:
            raise InputError(f"--every {self.every}: give a whole number of 1 or more")
        if not self.rate > 0:
            raise InputError(f"--fps {self.rate}: give a number above 0")

    @classmethod
    def named(
        cls, path: Path, picked: tuple[int, int | None, int], rate: float | None = None, read_limit: float = 1.0
    ) -> Clip:
        """The clip of a file or a directory; a directory's `rate` is RATE unless it is given. Raises InputError."""
        if not path.exists():
            raise InputError(f"{path}: no such clip; name a film, or a directory of frames")
        clip = cls(path, Fraction(RATE), *picked, read_limit)
        if rate is not None and not 0 < rate < math.inf:
            raise InputError(f"--fps {rate}: give a number above 0")
        if rate is not None:
            own = Fraction(rate).limit_denominator(1001)
        else:
            own = Fraction(RATE) if path.is_dir() else _rate(path)
        return replace(clip, rate=own / clip.every)

    def facts(self) -> dict[str, Any]:
        """What a film's record says of it."""
        return {"start": self.start, "stop": self.stop, "every": self.every, "rate": str(self.rate)}

    def frames(self, say: Say = lambda line: None) -> Iterator[Picture]:
        """The frames, one after the other. Raises InputError where one cannot be read, or is not like the first.

        `say` is told where a film is damaged, and may end too early.
        """
        given = (self._read(file) for file in self.files()) if self.path.is_dir() else _decoded(self.path, say)
        shape = None
        for number, frame in enumerate(itertools.islice(given, self.start, self.stop, self.every)):
            shape = shape or frame.shape
            if frame.shape != shape:
                sizes = f"{frame.shape[1]} x {frame.shape[0]} pixels, not {shape[1]} x {shape[0]}"
                raise InputError(f"{self.path}: frame {number} has {sizes}; make them alike")
            yield frame

    def files(self) -> list[Path]:
        """The pictures of a directory, by the numbers in their names: 2 before 10."""
        return sorted(files.pictures_in(self.path), key=_natural)

    def _read(self, file: Path) -> Picture:
        return pictures.read(file, self.read_limit)

    def shots(self, say: Say) -> list[int]:
        """How many frames each shot has; a clip is read once to see that. Raises InputError if there are none.

        A cut is where two frames' histograms of RGB, 8 bins a channel, have less than 80 % in common
        (Swain and Ballard 1991: the sum of the lesser shares of all bins).
        """
        lengths: list[int] = []
        before = None
        for frame in self.frames(say):
            histogram = _histogram(frame)
            if before is None or float(np.minimum(histogram, before).sum()) < COMMON:
                lengths.append(0)
            lengths[-1] += 1
            before = histogram
        if not lengths:
            remedy = "choose others by --frames" if self.start or self.stop is not None else "name another clip"
            raise InputError(f"{self.path}: no frames there; {remedy}")
        return lengths


def _natural(file: Path) -> tuple[list[str | int], str]:
    parts = re.split("([0-9]+)", file.name)
    return [int(part) if index % 2 else part.casefold() for index, part in enumerate(parts)], file.name


def _histogram(frame: Picture) -> npt.NDArray[np.float64]:
    step = max(1, min(frame.shape[:2]) // COUNTED)
    bins = (pictures.to_bytes(frame[::step, ::step]) // (256 // BINS)).astype(np.int64)
    red, green, blue = np.moveaxis(bins, -1, 0)
    counts = np.bincount(((red * BINS + green) * BINS + blue).ravel(), minlength=BINS**3)
    shares: npt.NDArray[np.float64] = counts / counts.sum()
    return shares


def _ffmpeg(path: Path, *words: str) -> list[str]:
    """ffmpeg on a clip's pictures, one after each tick of its rate, to standard output."""
    import imageio_ffmpeg

    read = ["-nostdin", "-v", "error", "-i", f"file:{path}", "-map", "0:V:0", "-fps_mode", "cfr"]
    return [imageio_ffmpeg.get_ffmpeg_exe(), *read, *words, "-"]


def _rate(path: Path) -> Fraction:
    """Frames a second, from the head of a YUV4MPEG stream. Raises InputError if there is no picture."""
    words = ("-frames:v", "1", "-vf", "scale=16:16", "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe")
    if kind := non_file(path):
        raise InputError(f"{path}: {kind}; name a film, or a directory of frames")
    found = subprocess.run(_ffmpeg(path, *words), capture_output=True)
    head = re.match(rb"YUV4MPEG2 .*?F(\d+):(\d+)", found.stdout)
    if head is None:
        said = found.stderr.decode(errors="replace").strip().splitlines()
        why = f" ({said[-1]})" if said else ""
        raise InputError(f"{path}: no pictures that ffmpeg can read{why}; name another clip")
    return Fraction(int(head[1]), int(head[2]) or 1)


def _decoded(path: Path, say: Say) -> Iterator[Picture]:
    command = _ffmpeg(path, "-c:v", "ppm", "-f", "image2pipe")
    with (
        tempfile.TemporaryFile() as heard,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=heard) as ffmpeg,
    ):
        assert ffmpeg.stdout is not None
        try:
            number = 0
            while (frame := _ppm(ffmpeg.stdout)) is not None:
                yield frame
                number += 1
            if ffmpeg.wait() or heard.tell():
                say(f"{path}: is damaged; {count(number, 'frame')} of it can be read")
        finally:
            ffmpeg.kill()


def _ppm(stream: IO[bytes]) -> Picture | None:
    """The next picture of a stream of PPM files; None at its end, or where it is cut off."""
    head = b"".join(stream.readline() for _ in range(3)).split()
    if len(head) < 4:
        return None
    width, height = int(head[1]), int(head[2])
    data = stream.read(height * width * 3)
    if len(data) < height * width * 3:
        return None
    return np.frombuffer(data, np.uint8).reshape(height, width, 3).astype(np.float32)


def write(frames: Iterable[Path], clip: Clip, to: Path) -> bool:
    """Write PNG files as an mp4 of the clip's rate, with its sound if it has one; whether that could be read.

    Raises OSError if the film cannot be written.
    """
    frames = list(frames)
    begin, length = (float(number / clip.rate) for number in (Fraction(clip.start, clip.every), len(frames)))
    sound = ["-ss", f"{begin:.6f}", "-t", f"{length:.6f}", "-i", f"file:{clip.path}", "-map", "1:a:0?"]
    if clip.path.is_dir() or not _encode(frames, clip.rate, sound, to):
        if not _encode(frames, clip.rate, [], to):
            raise OSError(None, "ffmpeg could not write the film", str(to))
        return clip.path.is_dir()
    return True


def _encode(frames: list[Path], rate: Fraction, sound: list[str], to: Path) -> bool:
    import imageio_ffmpeg

    # Chroma has half the sides, which must be even; and players take the colours of a film for BT.709's.
    shape = "crop=trunc(iw/2)*2:trunc(ih/2)*2,scale=out_color_matrix=bt709,format=yuv420p"
    colours = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]
    read = ["-y", "-v", "error", "-f", "image2pipe", "-c:v", "png", "-framerate", str(rate), "-i", "-"]
    wanted = ["-map", "0:v", "-vf", shape, "-c:v", "libx264", "-crf", "16", *colours, "-c:a", "aac", "-b:a", "192k"]
    # Options of a second input stand before it, and maps after all inputs.
    inputs, maps = (sound[:-2], sound[-2:]) if sound else ([], [])
    command = [imageio_ffmpeg.get_ffmpeg_exe(), *read, *inputs, *maps, *wanted, "-movflags", "+faststart", str(to)]
    with tempfile.TemporaryFile() as heard:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=heard, stderr=heard) as ffmpeg:
            assert ffmpeg.stdin is not None
            try:
                for frame in frames:
                    ffmpeg.stdin.write(frame.read_bytes())
            except BrokenPipeError:
                return False
        return ffmpeg.returncode == 0
