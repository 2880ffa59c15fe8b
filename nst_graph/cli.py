"""The command line of scripts/paint.py: options to settings, errors to one line."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from nst_graph.errors import InputError
from nst_graph.recipes import Settings, layer_weights

ROOT = Path(__file__).resolve().parent.parent

#: What is painted without arguments: settings that show the paper's method in a few minutes.
EXAMPLE_STYLE = ROOT / "docs" / "example-painting.jpg"
EXAMPLE = {"size": 384, "iterations": 150, "save_every": 50}


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}; see --help\n")


def parser() -> argparse.ArgumentParser:
    """The options; an option that is not given leaves no trace, so that Settings decides."""
    defaults = Settings()
    parser = Parser(
        prog="paint.py",
        description="Paint a photograph in the style of a painting, as Gatys, Ecker and Bethge (2015) describe. "
        "Without arguments, paint an example.",
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("content", metavar="CONTENT", nargs="?", type=Path, default=None, help="the photograph")
    add("styles", metavar="STYLE", nargs="*", type=Path, default=[], help="the painting, or several to blend")
    add("--weights", metavar="FILE", type=Path, help="VGG .mat file (default: VGG-19, else VGG-16, in model/)")
    add("--size", metavar="PIXELS", type=int, help=f"longer side of the result (default: {defaults.size})")
    add("--iterations", metavar="N", type=int, help=f"limit of L-BFGS iterations (default: {defaults.iterations})")
    add("--alpha", type=float, help=f"weight of the content, equation 7 (default: {defaults.alpha:g})")
    add("--beta", type=float, help=f"weight of the style, equation 7 (default: {defaults.beta:g})")
    for kind in ("content", "style"):
        names = " ".join(getattr(defaults, f"{kind}_layers"))
        add(
            f"--{kind}-layers",
            metavar="LAYER[=WEIGHT]",
            nargs="+",
            help=f"layers of the {kind}; of n layers, one without a weight gets 1/n (default: {names})",
        )
    add("--style-blend", metavar="WEIGHT", nargs="+", type=float, help="weight of each STYLE (default: equal)")
    add("--pooling", choices=("average", "max"), help=f"(default: {defaults.pooling})")
    add("--init", metavar="noise|content|style|FILE", help=f"the start (default: {defaults.init})")
    add(
        "--noise-ratio",
        metavar="RATIO",
        type=float,
        help="start from RATIO * noise + (1 - RATIO) * picture, which is the content for --init noise "
        "(default: 1 for --init noise, 0 for the others)",
    )
    add("--seed", type=int, help=f"seed of the noise (default: {defaults.seed})")
    add("--save-every", metavar="N", type=int, help=f"iterations between pictures (default: {defaults.save_every})")
    add("--output", metavar="DIR", type=Path, help="directory of the run (default: output/CONTENT-STYLE)")
    add("--overwrite", action="store_true", help="replace a run that --output holds")
    return parser


def layers(option: str, words: Sequence[str]) -> dict[str, float]:
    """Read words such as conv1_1 or conv2_1=0.5. Raises InputError naming the option."""
    named: dict[str, float | None] = {}
    for word in words:
        name, equals, weight = word.partition("=")
        if name in named:
            raise InputError(f"{option} {word}: {name} is named twice; name it once")
        try:
            named[name] = float(weight) if equals else None
        except ValueError:
            raise InputError(f"{option} {word}: {weight!r} is not a number; write {name}=0.5, say") from None
    return layer_weights(named)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run scripts/paint.py; returns its exit status: 0, 2 for what the user can mend, 130 for Ctrl-C."""
    given = vars(parser().parse_intermixed_args(arguments))
    try:
        _paint(given)
    except InputError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or 'output'}: {error.strerror or error}; mend that and run again")
    except KeyboardInterrupt:
        print("paint.py: interrupted", file=sys.stderr)
        return 130
    return 0


def _fail(message: str) -> int:
    print(f"paint.py: error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _paint(given: dict[str, Any]) -> None:
    content, styles = given["content"], given["styles"]
    if content is None:
        given = EXAMPLE | given
        content, styles = _example_photograph(), [EXAMPLE_STYLE]
    elif not styles:
        raise InputError("STYLE is missing: name a photograph and at least one painting")
    names = {field.name for field in fields(Settings)}
    values = {name: value for name, value in given.items() if name in names}
    for name in ("content_layers", "style_layers"):
        if name in values:
            values[name] = layers(f"--{name.replace('_', '-')}", values[name])
    if "style_blend" in values:
        values["style_blend"] = tuple(values["style_blend"])
    settings = Settings(**values)
    output = given.get("output") or ROOT / "output" / "-".join(path.stem for path in (content, *styles))

    # TensorFlow takes seconds to import; wrong options are told before.
    from nst_graph.painting import paint
    from nst_graph.progress import Progress

    progress = Progress(settings.iterations, settings.save_every // 10)
    try:
        painting = paint(
            content,
            styles,
            settings,
            weights_file=given.get("weights"),
            output=output,
            overwrite="overwrite" in given,
            say=progress.say,
            observers=[progress.observe],
        )
    finally:
        progress.close()
    outcome = painting.outcome
    print(
        f"{outcome.step.iteration} iterations, {outcome.step.evaluations} evaluations, {outcome.restarts} restarts; "
        f"{outcome.reason}"
    )
    print(f"painted {os.path.relpath(output / 'final.png')}")


def _example_photograph() -> Path:
    # scikit-learn carries a photograph; only its place is needed, not its code.
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise InputError("the example's photograph comes with scikit-learn: pip install 'nst_graph[example]'")
    return Path(package.origin).parent / "datasets" / "images" / "china.jpg"
