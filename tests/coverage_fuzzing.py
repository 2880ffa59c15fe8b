#!/usr/bin/env python3
"""Fuzz the readers with atheris, which looks for input that reaches new lines of them.

    pip install atheris
    python tests/coverage_fuzzing.py weights -max_total_time=900 corpus/

The first argument is the kind of file: weights, pictures, runs or lists; the others are
libFuzzer's. A directory that is named keeps what reached new lines. Good files are the seeds;
what is promised is what tests/fuzzing.py promises.
"""

import contextlib
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["nst_graph", "PIL", "tifffile", "zipfile", "json", "csv", "tomllib"]):
    import fuzzing

    from nst_graph.errors import InputError

KINDS = {
    "weights": (".mat",),
    "pictures": (".jpg", ".png", ".webp", ".tif", ".gif", ".bmp"),
    "runs": (".json", ".npz"),
    "lists": (".csv", ".toml"),
}


def main():
    place = Path(tempfile.mkdtemp())
    every = [
        kind for kind in fuzzing.kinds(place) if kind.file.endswith(KINDS[sys.argv[1]]) and kind.file != "losses.csv"
    ]
    seeds = place / "seeds"
    seeds.mkdir()
    for number, kind in enumerate(every):
        (seeds / kind.file).write_bytes(bytes([number]) + kind.good)

    def one(data):
        kind = every[data[0] % len(every)] if data else every[0]
        (place / kind.file).write_bytes(data[1:])
        with fuzzing.watched(place) as outside, contextlib.suppress(InputError):
            kind.read(place / kind.file)
        if outside:
            raise RuntimeError(outside)

    warnings.simplefilter("ignore")
    limits = ["-timeout=5", "-rss_limit_mb=2500", "-max_len=20000", "-len_control=0"]
    atheris.Setup([sys.argv[0], *limits, *sys.argv[2:], str(seeds)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
