#!/usr/bin/env python3
"""Where the seconds up to the first loss go: python benchmarks/start.py CONTENT STYLE [OPTION ...], as paint.py's."""

import sys
import tempfile
import time
from functools import wraps


def main(words):
    """Print a table of what is done, and the seconds that it takes."""
    begin, marks = time.perf_counter(), []

    def mark(what):
        marks.append((what, time.perf_counter()))

    def marked(owner, name, before=None, after=None):
        work = getattr(owner, name)

        @wraps(work)
        def and_mark(*arguments, **options):
            if before:
                mark(before)
            result = work(*arguments, **options)
            if after:
                mark(after)
            return result

        setattr(owner, name, and_mark)

    from nst_graph.commands import paint
    from nst_graph.model import objective, targets

    mark("load TensorFlow")
    marked(targets.TargetExtractor, "__init__", before="read pictures and weights, make the run's directory")
    marked(targets, "initialise", before="build the network for the targets", after="compute its kernels")
    marked(targets.TargetExtractor, "style_targets", after="extract the targets, and build the network that paints")
    marked(objective, "initialise", before="build the losses and their gradient", after="compute its kernels")
    marked(objective.Objective, "evaluate", before="load the targets", after="compute the first loss and gradient")
    with tempfile.TemporaryDirectory() as directory:
        paint.main([*words, "--iterations", "0", "--quiet", "--output", f"{directory}/run"])
    mark("write picture, losses, curves and page")
    print("| what | seconds | in all |\n|---|---|---|")
    for (what, end), start in zip(marks, [begin, *(at for _, at in marks)], strict=False):
        print(f"| {what} | {end - start:.2f} | {end - begin:.2f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
