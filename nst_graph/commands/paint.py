"""The command line of scripts/paint.py: options to settings, errors to one line."""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NoReturn

from nst_graph import files, news
from nst_graph.batch.jobs import Job
from nst_graph.errors import InputError
from nst_graph.news import one_line, tell
from nst_graph.recipes import CHOICES, DEFAULT, RECIPES, Settings, fast, layer_weights
from nst_graph.runs import records

#: What is painted without arguments: settings that show the paper's method in a few minutes.
EXAMPLE_STYLE = records.ROOT / "docs" / "example-painting.jpg"
EXAMPLE = {"size": 384, "beta": 1e4, "fast": True, "save_every": 50}

#: Bytes of a run's directory that is named after its pictures; systems take 255 or less.
LONGEST_NAME = 200


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see --help")


def parser() -> argparse.ArgumentParser:
    """The options; one that is not given leaves no trace, so that the recipe decides."""
    defaults = Settings()
    parser = Parser(
        prog="paint.py",
        description="Paint a photograph in the style of a painting, as Gatys, Ecker and Bethge (2015) describe. "
        "Without arguments, paint an example. "
        f"Defaults are those of the recipe {DEFAULT}.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("content", metavar="CONTENT", nargs="?", type=Path, default=None, help="the photograph")
    add("styles", metavar="STYLE", nargs="*", type=Path, default=[], help="the painting, or several to blend")
    add("--recipe", choices=RECIPES, metavar="NAME", help="settings by name; see --recipes")
    add("--recipes", action="store_true", help="list the recipes, and end")

    def setting(name: str, about: str, **how: Any) -> None:
        default = getattr(defaults, name)
        if name.endswith("_layers"):
            default = " ".join(default)
        if name in CHOICES:
            about, how = f"{about}: {', '.join(CHOICES[name])}", {"metavar": "NAME"} | how
        if isinstance(default, float):
            default = f"{default:g}"
        shown = about if default is None else f"{about} (default: {default})"
        group.add_argument(f"--{name.replace('_', '-')}", help=shown, **how)

    group = parser.add_argument_group("what is painted")
    add = group.add_argument
    add("--weights", metavar="FILE", type=Path, help="VGG .mat file (default: VGG-19, else VGG-16, in model/)")
    setting("size", "longer side of the result, in pixels", metavar="PIXELS", type=int)
    setting("alpha", "weight of the content, equation 7; 0: texture of the STYLE alone", type=float)
    setting("beta", "weight of the style, equation 7; 0: reconstruction of the CONTENT alone", type=float)
    for kind in ("content", "style"):
        about = f"layers of the {kind}; of n layers, one without a weight gets 1/n"
        setting(f"{kind}_layers", about, metavar="LAYER[=WEIGHT]", nargs="+")
    setting("pooling", "how poolings pool")
    setting("content_loss", "how features are compared")
    setting("style_loss", "how Gram matrices are compared")
    setting("smoothness", "weight of the smoothness term", metavar="WEIGHT", type=float)
    setting("smoothness_loss", "how roughness is counted")
    add("--unit-gradients", action="store_true", help="scale each layer's gradient to an L1 norm of its weight")

    group = parser.add_argument_group("the styles")
    add = group.add_argument
    setting("style_blend", "weight of each STYLE (default: equal)", metavar="WEIGHT", nargs="+", type=float)
    setting("style_scale", "size of each STYLE, relative to the content's", metavar="FACTOR", type=float)
    add("--masks", metavar="MASK", nargs="+", type=Path, help="a grey picture for each STYLE, white where it is wanted")
    about = "whose colours; luminance paints the lightness alone, histogram and covariance match the STYLE's first"
    setting("colours", about)

    group = parser.add_argument_group("how it is painted")
    add = group.add_argument
    setting("init", "the start: noise, content, style or a picture FILE", metavar="START")
    about = "start from RATIO * noise + (1 - RATIO) * picture, the CONTENT for noise (default: 1 for noise, else 0)"
    setting("noise_ratio", about, metavar="RATIO", type=float)
    setting("seed", "seed of the noise", type=int)
    setting("optimiser", "what minimises")
    setting("iterations", "limit of iterations", metavar="N", type=int)
    setting("rate", "learning rate of adam and gradient-descent, for pixels in 0..255", type=float)
    setting("beta1", "adam's decay of the mean gradient", type=float)
    setting("epsilon", "adam's guard against division by zero", type=float)
    add("--bounded", action="store_true", help="keep every pixel in 0..255 while painting")

    group = parser.add_argument_group("how fast, and how large")
    add = group.add_argument
    add(
        "--fast",
        action="store_true",
        help="--precision auto, --winograd, coarse to fine, fewer iterations; see README.md",
    )
    setting("precision", "type of the convolutions; auto is bfloat16 where that is fast, float32 at the end")
    add(
        "--winograd",
        action="store_true",
        help="convolve in float32 with fewer multiplications, to five digits the same",
    )
    setting("scales", "longer sides to paint at first", metavar="PIXELS", nargs="+", type=int)
    setting("scale_iterations", "iterations at each of --scales", metavar="N", nargs="+", type=int)
    setting("tile", "side of tiles, for large pictures (default: as memory demands)", metavar="PIXELS", type=int)

    add_read_limit(group)

    group = parser.add_argument_group("what is kept")
    add = group.add_argument
    setting("save_every", "iterations between pictures", metavar="N", type=int)
    add(
        "--output",
        metavar="DIR",
        type=Path,
        help="directory of the run (default: output/CONTENT-STYLE, then -2, -3 ...)",
    )
    add("--overwrite", action="store_true", help="replace a run that --output holds")
    add("--resume", metavar="DIR", type=Path, help="go on with the run in DIR, from its last saved state")
    add("--tensorboard", action="store_true", help="write losses and pictures for TensorBoard too")
    setting("timelapse", "a film of the saved pictures at the end", metavar="KIND")
    return parser


def add_read_limit(parser: argparse._ActionsContainer) -> None:
    """Add the option that every command has which reads files of other people's."""
    about = (
        f"memory that reading a picture or weights may take; larger ones are refused (default: {files.READ_LIMIT:g})"
    )
    parser.add_argument("--read-limit", metavar="GB", type=_gigabytes, help=about)


def _gigabytes(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError
    return value


_gigabytes.__name__ = "number of GB above 0"  # argparse names it so in its error


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
    """Run scripts/paint.py; returns its exit status."""
    return guard("paint.py", lambda: _main(arguments))


def guard(program: str, work: Callable[[], int]) -> int:
    """Do work; returns its exit status, or 2 after what the user can mend, 130 after Ctrl-C, SIGTERM or SIGHUP."""
    news.open_streams()
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # under nohup it is ignored
        signal.signal(signal.SIGHUP, _interrupt)
    try:
        return work()
    except InputError as error:
        message = str(error)
    except FloatingPointError as error:
        message = f"{error}; take a smaller --rate, --alpha or --beta"
    except OSError as error:
        message = f"{error.filename or 'output'}: {error.strerror or error}; mend that and run again"
    except MemoryError:
        message = "memory ran out; take a smaller --size, or a machine with more"
    except KeyboardInterrupt as error:
        print(f"{program}: interrupted; {one_line(str(error)) or 'the same command goes on'}", file=sys.stderr)
        return 130
    finally:
        news.flush()
    print(f"{program}: error: {one_line(message)}", file=sys.stderr)
    return 2


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _parsed(arguments: Sequence[str] | None) -> dict[str, Any]:
    """The options; what follows -- is CONTENT and STYLE, even where it begins with a dash."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    end = words.index("--") if "--" in words else len(words)
    given = vars(parser().parse_intermixed_args(words[:end]))
    named = [*([] if given["content"] is None else [given["content"]]), *given["styles"], *map(Path, words[end + 1 :])]
    return given | {"content": named[0] if named else None, "styles": named[1:]}


def _main(arguments: Sequence[str] | None) -> int:
    given = _parsed(arguments)
    if "recipes" in given:
        width = max(map(len, RECIPES))
        tell(*(f"{name:{width}}  {recipe.about}" for name, recipe in RECIPES.items()))
    else:
        _paint(given)
    return 0


def job(words: Sequence[str]) -> Job:
    """The job that the command line of scripts/paint.py names. Raises InputError as that fails."""
    return _job(_parsed(words))


def switches() -> list[str]:
    """The options that are given or not, and take no value."""
    return [action.dest for action in parser()._actions if action.nargs == 0]


def _job(given: dict[str, Any]) -> Job:
    content, styles = given["content"], given["styles"]
    if content is None:
        given = EXAMPLE | given
        content, styles = _example_photograph(), [EXAMPLE_STYLE]
    recipe = RECIPES[given.get("recipe", DEFAULT)].settings
    values = _values(given)
    if "fast" in given:
        values = fast(values.get("size", recipe.size)) | values
    settings = replace(recipe, **values)
    if not styles and settings.alpha == 0:
        styles = [content]  # a texture of its own size
    if not styles and settings.beta > 0:
        raise InputError("STYLE is missing: name a photograph and at least one painting")
    names = list(dict.fromkeys(path.stem for path in (content, *styles)))
    room = LONGEST_NAME // len(names) - 1
    output = given.get("output") or records.OUTPUT / "-".join(_shortened(name, room) for name in names)
    limit = given.get("read_limit", files.READ_LIMIT)
    return Job(content, tuple(styles), settings, output, tuple(given.get("masks", ())), given.get("weights"), limit)


def _free(path: Path) -> Path:
    """The path, or with -2, -3 ... the first at which there is nothing yet, which is then said."""
    numbers = itertools.count(2)
    free = path
    while free.is_symlink() or free.exists():
        free = path.with_name(f"{path.name}-{next(numbers)}")
    if free != path:
        tell(f"{os.path.relpath(path)} is there already; this painting goes into {os.path.relpath(free)}")
    return free


def _shortened(name: str, room: int) -> str:
    """At most so many bytes of a name, in whole letters where it is UTF-8."""
    data = os.fsencode(name)
    if len(data) <= room:
        return name
    return os.fsdecode(data[:room].decode(errors="ignore").encode()) or "run"


def _resumed(given: dict[str, Any]) -> Job | None:
    """What the run to go on with was begun with, and options that may differ; None where it is finished."""
    directory = given["resume"]
    for name in ("content", "recipe", "fast", "output", "overwrite"):
        if given.get(name) is not None:
            shown = "CONTENT" if name == "content" else f"--{name}"
            raise InputError(f"--resume {directory}: goes on with the run's own settings; leave {shown} out")
    record = records.read(directory)
    settings = replace(records.settings(record, directory), **_values(given))
    if record.get("outcome", {}).get("state") == "finished":
        words = given.keys() - {"content", "styles", "resume"}
        if words:
            options = " ".join(sorted(f"--{name.replace('_', '-')}" for name in words))
            remedy = f"paint on from it with --init {directory / 'final.png'} and another --output"
            raise InputError(f"--resume {directory}: is finished, and {options} can change nothing; {remedy}")
        return None
    places = [directory]
    content, *others = (records.find(source, places) for source in (record["content"], *record["styles"]))
    if record.get("init") and "init" not in given:
        settings = replace(settings, init=str(records.find(record["init"], places)))
    masks = given.get("masks") or [records.find(source, places) for source in record["masks"]]
    weights = given.get("weights") or records.find(record["weights"], [*places, records.MODEL])
    limit = given.get("read_limit") or record.get("read_limit", files.READ_LIMIT)
    return Job(content, tuple(others), settings, directory, tuple(masks), weights, limit)


def _values(given: dict[str, Any]) -> dict[str, Any]:
    """The settings among the options."""
    names = {field.name for field in fields(Settings)}
    values = {name: value for name, value in given.items() if name in names}
    for name in ("content_layers", "style_layers"):
        if name in values:
            values[name] = layers(f"--{name.replace('_', '-')}", values[name])
    for name in ("style_blend", "scales", "scale_iterations"):
        if name in values:
            values[name] = tuple(values[name])
    return values


def _paint(given: dict[str, Any]) -> None:
    job = _resumed(given) if "resume" in given else _job(given)
    if job is None:
        tell(f"{given['resume']}: is finished")
        return
    if not {"resume", "output", "overwrite"} & given.keys():
        job = replace(job, output=_free(job.output))

    # TensorFlow takes seconds to import; wrong options are told before.
    from nst_graph.painting import paint
    from nst_graph.runs.progress import Progress

    settings, output = job.settings, job.output
    progress = Progress(sum(settings.scale_iterations) + settings.iterations, settings.save_every // 10)
    try:
        painting = paint(
            job.content,
            job.styles,
            settings,
            weights_file=job.weights,
            masks=job.masks,
            output=output,
            overwrite="overwrite" in given,
            resume="resume" in given,
            read_limit=job.read_limit,
            say=progress.say,
            observers=[progress.observe],
        )
    except OSError as error:
        if not (output / "run.json").exists():
            raise
        remedy = f"mend that, then go on with --resume {output}"
        raise InputError(f"{error.filename or output}: {error.strerror or error}; {remedy}") from error
    except FloatingPointError as error:
        kept = output / "final.png"
        raise FloatingPointError(f"{error}; {kept} is the last good picture" if kept.exists() else error) from error
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"--resume {output} goes on") from error
    finally:
        progress.close()
    step = painting.outcome.step
    tell(
        f"{step.iteration} iterations, {step.evaluations} evaluations, {step.restarts} restarts; "
        f"{painting.outcome.reason}"
    )
    tell(f"painted {os.path.relpath(output / 'final.png')}")


def _example_photograph() -> Path:
    # scikit-learn carries a photograph; only its place is needed, not its code.
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise InputError("the example's photograph comes with scikit-learn: pip install 'nst_graph[example]'")
    return Path(package.origin).parent / "datasets" / "images" / "china.jpg"
