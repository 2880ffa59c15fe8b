"""What docs/video.md measures: flow against known motion, and the flicker of painted films.

python benchmarks/film.py flow photo.jpg
python benchmarks/film.py strip strip.jpg output/steady output/alone
"""

import argparse
import sys
import time
from fractions import Fraction
from pathlib import Path

import imageio.v3 as iio
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from nst_graph import images
from nst_graph.films import flow
from nst_graph.films.clips import Clip
from nst_graph.runs import records

#: Pans, in pixels right and down, and zooms, of a part of a photograph.
MOTIONS = ((1.5, -0.7, 1.0), (4.3, 2.2, 1.01), (9.0, -6.0, 1.03), (16.0, 5.0, 1.0))
HEIGHT, WIDTH, MARGIN = 192, 256, 32
#: How far back lies what a frame is compared with.
BACK = (1, 2, 4, 8, 12)


def tv_l1(frame, other):
    """scikit-image's TV-L1 (Zach, Pock and Bischof 2007), as it is by default."""
    from skimage.registration import optical_flow_tvl1

    greys = [picture @ np.float32([0.299, 0.587, 0.114]) / 255 for picture in (frame, other)]
    down, right = optical_flow_tvl1(*greys)
    return np.stack([right, down], -1)


def compare(path):
    """Print the error of each method against known motion, where the motion stays inside, and its time."""
    photograph = images.read(path)
    photograph = images.resize(photograph, HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN)
    before = np.ascontiguousarray(photograph[MARGIN:-MARGIN, MARGIN:-MARGIN])
    at = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), -1).astype(np.float32)
    for right, down, zoom in MOTIONS:
        true = np.float32([right, down]) + np.float32(zoom - 1) * (at - np.float32([WIDTH / 2, HEIGHT / 2]))
        frame = np.ascontiguousarray(flow.warp(photograph, np.pad(true, [(MARGIN, MARGIN)] * 2 + [(0, 0)], "edge")))
        frame = np.ascontiguousarray(frame[MARGIN:-MARGIN, MARGIN:-MARGIN])
        inside = ((at + true >= 0) & (at + true <= [WIDTH - 1, HEIGHT - 1])).all(-1)
        for name, method in (("DIS", flow.between), ("TV-L1", tv_l1)):
            began = time.process_time()
            error = np.linalg.norm(method(frame, before) - true, axis=-1)[inside]
            seconds = time.process_time() - began
            print(f"{right:5} {down:5} x {zoom:4}  {name:5}  {error.mean():.2f} px  {seconds:.2f} s")


def flicker(frames, painted, index, back):
    """The mean squared difference of a painted frame to one before, moved, where that can be trusted."""
    guide = flow.temporal_target(frames[index], [(frames[index - back], painted[index - back])], 0)
    squares = np.square(painted[index] - guide.picture).mean(-1)
    return float((squares * guide.flow_consistency).sum() / guide.flow_consistency.sum())


def strip(path, films):
    """Save the frames of films below each other, and print each one's flicker over the frames that all have."""
    number = min(len(list(film.glob("frame-*.png"))) for film in films)
    rows = []
    for film in films:
        record = records.read(film)
        kept = record["film"]
        rate = kept["rate"] and Fraction(kept["rate"])
        clip = Clip(Path(record["content"]["path"]), rate, kept["start"], kept["stop"], kept["every"])
        painted = [images.read(film / f"frame-{index:05}.png") for index in range(1, number + 1)]
        height, width = painted[0].shape[:2]
        frames = [images.resize(frame, height, width) for frame, _ in zip(clip.frames(), painted, strict=False)]
        print(f"{film}, {number} frames: mean squared difference to the moved frame so many before")
        for back in (back for back in BACK if back < number):
            print(f"{back:4} {np.mean([flicker(frames, painted, index, back) for index in range(back, number)]):8.1f}")
        rows += [frames, painted] if not rows else [painted]
    shown = sorted({round(place) for place in np.linspace(0, number - 1, min(number, 4))})
    iio.imwrite(path, images.to_bytes(np.concatenate([np.concatenate([row[i] for i in shown], 1) for row in rows])))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    below = parser.add_subparsers(dest="what", required=True)
    below.add_parser("flow").add_argument("photo", type=Path)
    one = below.add_parser("strip")
    one.add_argument("picture", type=Path)
    one.add_argument("films", nargs="+", type=Path)
    given = parser.parse_args()
    if given.what == "flow":
        compare(given.photo)
    else:
        strip(given.picture, given.films)


if __name__ == "__main__":
    main()
