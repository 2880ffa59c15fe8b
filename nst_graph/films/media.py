"""Media files, read and written by FFmpeg's libraries: a clip's frames and sound, and a film's mp4."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from functools import partial
from itertools import chain, islice, pairwise, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.error import FFmpegError
from av.stream import Disposition
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter
from PIL import Image

from nst_graph import files, images
from nst_graph.errors import InputError
from nst_graph.images import Picture
from nst_graph.news import count

Say = Callable[[str], None]
#: From when to when, in seconds.
Span = tuple[Fraction, Fraction]
#: Frames a second, where nothing tells how long a frame is shown.
RATE = 25
#: What frames of animated pictures that say SHORT seconds or less are shown for: USUAL, as in browsers.
SHORT, USUAL = Fraction(1, 100), Fraction(1, 10)
#: The unit of a film's times, in seconds, of which a frame has a whole number at the common rates.
TICK = Fraction(1, 120_000)
EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
WIDE = (ColorPrimaries.BT2020, ColorPrimaries.SMPTE431, ColorPrimaries.SMPTE432)
#: Matrices that a file does not name: unspecified, and reserved.
UNNAMED = (2, 3)
av.logging.set_level(av.logging.PANIC)  # errors are counted, but not printed


class Timed(NamedTuple):
    """A frame, which `read` makes a picture of, and the seconds of the clip's clock between which it is shown."""

    read: Callable[[], Picture]
    begin: Fraction
    end: Fraction


def check(path: Path) -> None:
    """Raise InputError if a file is no clip."""
    if _animation(path) is None:
        _open(path)[0].close()


def frames(path: Path, say: Say) -> Iterator[Timed]:
    """The frames of a clip; `say` is told if it is damaged, and may end early. Raises InputError if it is none."""
    damage: list[str] = []
    image, number = _animation(path), 0
    for timed in _of_film(path, damage) if image is None else _of_animation(image, damage):
        yield timed
        number += 1
    if damage:
        say(f"{path}: is damaged; {count(number, 'frame')} of it can be read")


def _animation(path: Path) -> Image.Image | None:
    """An animated WebP or AVIF, which FFmpeg does not play; None for other files."""
    try:
        return None if files.non_file(path) else Image.open(path, formats=("WEBP", "AVIF"))
    except Exception:  # of damaged files it raises anything
        return None


def _of_animation(image: Image.Image, damage: list[str]) -> Iterator[Timed]:
    begin = Fraction(0)
    with image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            try:
                pixels = np.asarray(image.convert("RGBA"), np.float32)
            except Exception as error:  # of damaged files it raises anything
                damage.append(str(error))
                return
            span = Fraction(image.info.get("duration", 0)) / 1000
            end = begin + (span if span > SHORT else USUAL)
            yield Timed(partial(_over_white, pixels), begin, end)
            begin = end


def _open(path: Path) -> tuple[Any, Any]:
    """A container, and its stream of pictures. Raises InputError if it has none."""
    if kind := files.non_file(path):
        raise InputError(f"{path}: {kind}; name a film, or a directory of frames")
    try:
        # An APNG's delay of 0 is a tenth of a second in browsers; other formats do not know the option.
        container = av.open(f"file:{path}", metadata_errors="replace", options={"default_fps": "10"})
    except FFmpegError as error:
        raise InputError(f"{path}: no pictures that ffmpeg can read ({error.strerror}); name another clip") from error
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    for stream in container.streams.video:
        if stream.codec_context is not None and not stream.disposition & covers:
            return container, stream
    raise InputError(f"{path}: no pictures that ffmpeg can read; name another clip")


def _decoded(container: Any, stream: Any, decoder: Any, damage: list[str]) -> Iterator[Any]:
    """What can be read of a stream; `damage` gets the errors."""
    packets, packet, times = container.demux(stream), stream, deque[int | None]()
    by_order = stream.type == "video" and container.format.name == "avi"
    while packet is not None:
        errors = av.logging.get_last_error()[0]  # how many were logged
        try:
            packet = next(packets, None)
            decoded = decoder.decode(packet)
        except EOFError:  # it was emptied before
            return
        except FFmpegError as error:
            damage.append(str(error))
            continue
        if av.logging.get_last_error()[0] > errors or (packet and packet.is_corrupt):
            damage.append("it says so in its log")
        if packet and by_order:  # has the times of frames in order, of which FFmpeg makes others
            times.append(packet.dts)
        for frame in decoded:
            if times:
                frame.pts = times.popleft()
            yield frame


def _of_film(path: Path, damage: list[str]) -> Iterator[Timed]:
    container, stream = _open(path)
    with container:
        decoder = stream
        if stream.metadata.get("alpha_mode") == "1":  # which FFmpeg's own decoders of VP8 and VP9 leave out
            decoder = av.CodecContext.create({"vp8": "libvpx", "vp9": "libvpx-vp9"}[stream.name], "r")
        least = SHORT if container.format.name in ("gif", "apng") else Fraction(0)
        stop = Fraction((container.start_time or 0) + (container.duration or 0), av.time_base)
        decoded = _filtered(_decoded(container, stream, decoder, damage), _deinterlacing)
        read, begin, previous = None, Fraction(0), Fraction(1, RATE)
        for frame, after in pairwise(chain(decoded, [None])):
            time = None if frame.pts is None else frame.pts * frame.time_base
            if read is None:
                size = max(1, round(frame.width * (stream.sample_aspect_ratio or 1))), frame.height
                read, begin = partial(_picture, path, VideoReformatter(), size), time or begin
            own = frame.duration * (frame.time_base or 0)
            if after is not None and time is not None and after.pts is not None:
                own = after.pts * after.time_base - time
            elif own <= SHORT and "mp4" not in container.format.name:  # a guess, by the rate that the file names
                own = stop - begin if stop - begin > SHORT else previous
            span = USUAL if own <= least else own if own > 0 else previous
            yield Timed(partial(read, frame), begin, begin + span)
            begin, previous = begin + span, span


def _filtered(frames: Iterable[Any], graph_for: Callable[[Any], Any]) -> Iterator[Any]:
    """Frames through a graph of filters, from the first on for which there is one."""
    graph = None
    for frame in chain(frames, [None]):
        if graph is None and frame is not None:
            graph = graph_for(frame)
        if graph is None:
            yield from [] if frame is None else [frame]
            continue
        graph.push(frame)
        with suppress(BlockingIOError, EOFError):
            while True:
                yield graph.pull()


def _deinterlacing(frame: Any) -> Any:
    """A graph that deinterlaces what is interlaced, one frame for each; None for other frames."""
    if not frame.interlaced_frame:
        return None
    graph = av.filter.Graph()
    bwdif = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    graph.link_nodes(graph.add_buffer(frame, time_base=frame.time_base), bwdif, graph.add("buffersink")).configure()
    return graph


def _picture(path: Path, reformatter: VideoReformatter, size: tuple[int, int], frame: Any) -> Picture:
    """A frame in SDR, upright, over white. Raises InputError if its colours cannot be read."""
    parts = frame.format.components
    deep = any(part.bits > 8 for part in parts)
    clear = frame.format.has_palette or any(part.is_alpha for part in parts)
    name = ("rgba64le" if clear else "rgb48le") if deep else "rgba" if clear else "rgb24"
    how: dict[str, Any] = {"interpolation": EXACT}
    if frame.colorspace in UNNAMED:  # as players take it
        how["src_colorspace"] = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
    if frame.color_trc in HDR:
        how["dst_color_trc"] = ColorTrc.BT709
    if frame.color_trc in HDR or frame.color_primaries in WIDE:
        how["dst_color_primaries"] = ColorPrimaries.BT709
    try:
        pixels = reformatter.reformat(frame, *size, name, **how).to_ndarray()
    except FFmpegError as error:
        raise InputError(f"{path}: colours that ffmpeg cannot read; export it as SDR, in BT.709") from error
    picture = pixels.astype(np.float32) / np.float32(257 if deep else 1)
    picture = _over_white(picture) if clear else picture
    if frame.rotation:  # as the display matrix turns and mirrors it
        across, turned, _, back, down = np.frombuffer(frame.side_data["DISPLAYMATRIX"], np.int32)[:5]
        if abs(turned) > abs(across):
            picture, across, down = picture.swapaxes(0, 1), back, turned
        picture = picture[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
    return picture


def _over_white(values: Picture) -> Picture:
    """RGBA over white."""
    share = values[..., 3:] / np.float32(255)
    white: Picture = values[..., :3] * share + np.float32(255) * (1 - share)
    return white


def _sound(path: Path, begin: Fraction, end: Fraction) -> Iterator[Any]:
    """A clip's sound between these seconds of its clock. Raises FFmpegError if nothing of it can be read."""

    def trimming(frame: Any) -> Any:
        graph = av.filter.Graph()
        sound = frame.sample_rate, frame.format, frame.layout.name
        nodes = [graph.add_abuffer(None, *sound, time_base=frame.time_base)]
        nodes += [graph.add("atrim", f"{float(begin)}:{float(end)}"), graph.add("asetpts", f"PTS-{float(begin)}/TB")]
        nodes += [graph.add("aresample", "async=1:first_pts=0"), graph.add("abuffersink")]
        graph.link_nodes(*nodes).configure()
        return graph

    damage: list[str] = []
    with _open(path)[0] as container:
        stream = max(container.streams.audio, key=lambda stream: stream.codec_context is not None)
        decoded = _decoded(container, stream, stream, damage)
        first = list(islice(decoded, 1))
        if not first and damage:
            raise FFmpegError(0, damage[0])
        sound = takewhile(lambda frame: (frame.pts or 0) * (frame.time_base or 0) < end, chain(first, decoded))
        yield from _filtered(sound, trimming)


def write(paths: Sequence[Path], times: Sequence[Fraction], clip: Path, span: Span | None, to: Path) -> str | None:
    """Write pictures as an mp4, each shown from its time to the next, with what the clip sounds like in this span.

    Without one the film has another speed. Returns why it is silent, if the clip is not. Raises OSError if the film
    cannot be written.
    """
    why, sound = None, None
    if not clip.is_dir() and _animation(clip) is None:
        with _open(clip)[0] as container:
            if container.streams.audio and span is None:
                why = "--fps changes its speed"
            elif container.streams.audio and span is not None:
                why, sound = "its sound cannot be read", _sound(clip, *span)
    for heard in [()] if sound is None else [sound, ()]:
        try:
            _encode((images.read(path, math.inf) for path in paths), times, to, heard)
            return None if heard else why
        except FFmpegError as error:  # of the sound, unless it comes again
            failure = error
    raise OSError(failure.errno, f"ffmpeg could not write the film: {failure.strerror}", str(to)) from failure


def _encode(shown: Iterator[Picture], times: Sequence[Fraction], to: Path, sound: Iterable[Any] = ()) -> None:
    """Write pictures as an mp4, each shown from its time to the next; the last of `times` is the end.

    Raises FFmpegError.
    """
    ticks = [round(time / TICK) for time in times]
    ends, rate = dict(pairwise(ticks)), (len(ticks) - 1) / max(times[-1], TICK)
    first, heard = next(shown), iter(sound)
    height, width = (side - side % 2 for side in first.shape[:2])  # as chroma has half the sides
    frames = (_frame(picture[:height, :width], tick) for picture, tick in zip(chain([first], shown), ends, strict=True))
    with av.open(f"file:{to}", "w", format="mp4", options={"movflags": "+faststart"}) as film:
        # Without B-frames packets have the times of frames.
        video: Any = film.add_stream("libx264", rate.limit_denominator(1000) or 1, {"crf": "16", "bf": "0"})
        video.width, video.height, video.pix_fmt, video.codec_context.time_base = width, height, "yuv420p", TICK
        # Players take the colours of a film for BT.709's.
        video.colorspace, video.color_range = Colorspace.ITU709, ColorRange.MPEG
        video.color_primaries, video.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        packets = [_packets(video, frames)]
        for first_frame in islice(heard, 1):
            audio = film.add_stream("aac", 48_000, layout="stereo", bit_rate=192_000)
            packets.append(_packets(audio, chain([first_frame], heard)))
        for packet in heapq.merge(*packets, key=lambda packet: packet.dts * packet.time_base):
            if packet.stream is video:
                packet.duration = ends[packet.pts] - packet.pts
            film.mux(packet)


def _frame(picture: Picture, tick: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(images.to_bytes(picture)))
    frame = frame.reformat(
        format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, interpolation=EXACT
    )
    frame.pts, frame.time_base = tick, TICK
    return frame


def _packets(stream: Any, frames: Iterable[Any]) -> Iterator[Any]:
    for frame in chain(frames, [None]):
        yield from stream.encode(frame)
