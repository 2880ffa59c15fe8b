"""The command scripts/paint.py: turn options into a job, and paint it."""

import importlib.util
import os
import re
import shlex
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from nst_graph import files, places
from nst_graph.batch import jobs
from nst_graph.batch.jobs import Job
from nst_graph.commands import common, options
from nst_graph.errors import InputError
from nst_graph.news import count, tell
from nst_graph.recipes import DEFAULT, RECIPES, fast
from nst_graph.runs import output_image, records
from nst_graph.runs.directory import Directory, claimed, claimed_free
from nst_graph.runs.output_image import OutputImage
from nst_graph.settings import Settings

#: The example that is painted when it is asked for, in a few minutes.
EXAMPLE_STYLE = Path(__file__).with_name("example-painting.jpg")
EXAMPLE = {"recipe": "studio", "smoothness": 20, "iterations": 100, "save_every": 50}

#: The longest name, in bytes, of a run's directory that is named after its pictures; systems allow 255 or less.
LONGEST_NAME = 200
#: The layers that need not be looked for in a file of weights.
IN_EVERY_VGG = re.compile("conv[1-5]_[12]|conv[3-5]_3")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run scripts/paint.py; returns its exit status."""
    return common.run(places.program("paint"), lambda: _main(arguments), "nothing was painted yet")


def _main(arguments: Sequence[str] | None) -> int:
    args = options.parse(arguments)
    if "recipes" in args:
        width = max(map(len, RECIPES))
        tell(*(f"{name:{width}}  {recipe.about}" for name, recipe in RECIPES.items()))
    elif "version" in args:
        tell(records.software())
    else:
        with open(os.devnull, "w") as nothing, redirect_stdout(nothing) if "quiet" in args else nullcontext():
            _paint(args)
    return 0


def job(words: Sequence[str]) -> Job:
    """The job of a command line of scripts/paint.py. Raises InputError."""
    return job_of(options.parse(words))


def job_of(args: dict[str, Any]) -> Job:
    """The job of parsed options. Raises InputError."""
    content, styles = args["content"], args["styles"]
    if content is None and "example" not in args and len(args) > 2:  # CONTENT and STYLE are always there
        raise InputError(f"CONTENT is missing: {options.swallowed(args)}; --example paints the example")
    if content is not None and "example" in args:
        raise InputError("--example: has pictures of its own; leave CONTENT out")
    if content is None:
        args = args if "like" in args else EXAMPLE | args
        content, styles = _example_photograph(), [EXAMPLE_STYLE]
    values = options.settings(args)
    base, weights = _like(args) if "like" in args else (RECIPES[args.get("recipe", DEFAULT)].settings, None)
    settings = fast(base, **values) if "fast" in args else replace(base, **values)
    style_paths = [path for style in styles for path in files.pictures(style)]
    names = list(dict.fromkeys(path.stem or path.absolute().name for path in (content, *styles)))
    masks = tuple(args.get("masks", ()))
    styles = settings.styles(content, style_paths, masks, "" if styles else options.swallowed(args))
    size = LONGEST_NAME // len(names) - 1
    output, picture = output_image.split(args["output"]) if args.get("output") else (None, None)
    if picture is not None:
        OutputImage(picture).check_depth(settings.depth)
    output = output or places.OUTPUT / "-".join(_shortened(name, size) for name in names)
    limit = args.get("read_limit", files.READ_LIMIT)
    return Job(content, styles, settings, output, masks, args.get("weights", weights), limit, picture)


def _like(args: dict[str, Any]) -> tuple[Settings, Path]:
    """The settings and the weights of the run that --like names. Raises InputError."""
    if "recipe" in args:
        raise InputError("--like: has settings of its own; leave --recipe out")
    directory, _ = output_image.split(args["like"])
    record = records.read(directory)
    return jobs.settings_of(record, directory, args), jobs.weights_of(record, directory, args)


@contextmanager
def claimed_job(job: Job, options: Collection[str]) -> Iterator[Job]:
    """The job with a directory that no other process has or takes: without --output, the first that is free.

    Raises InputError if what is there is not to be painted in.
    """
    if {"output", "overwrite", "resume"} & {*options}:
        Directory.to_paint_in(job.output, "overwrite" in options, "resume" in options)  # before a file is made there
        with claimed(job.output):
            yield job
    else:
        with claimed_free(job.output) as free:
            if free != job.output:
                tell(f"{near(job.output)} is there already; this painting goes into {near(free)}")
            yield replace(job, output=free)


def near(path: Path) -> str:
    """A path relative to the current directory, if it is below that, and does not begin with ~ then."""
    here = places.here()
    shown = str(path.relative_to(here) if path.is_relative_to(here) else path)
    return str(path) if shown.startswith("~") else shown


def _shortened(name: str, size: int) -> str:
    """The first `size` bytes of a name, without a part of a UTF-8 character at the end."""
    data = os.fsencode(name)
    if len(data) <= size:
        return name
    return os.fsdecode(data[:size].decode(errors="ignore").encode()) or "run"


def _resumed(args: dict[str, Any]) -> Job | None:
    """The job of the run to resume, with the options that may differ; None if it is finished."""
    directory, _ = output_image.split(args["resume"])
    for name in ("content", "recipe", "like", "fast", "output", "overwrite"):
        if args.get(name) is not None:
            shown = "CONTENT" if name == "content" else f"--{name}"
            raise InputError(f"--resume {directory}: goes on with the run's own settings; leave {shown} out")
    record = records.read(directory)
    if "film" in record:
        raise InputError(f"--resume {directory}: holds a film; go on by {places.command('paint_video')} --resume")
    values = options.settings(args)
    if record.get("outcome", {}).get("state") == "finished":
        values |= _more(args, record)
        words = args.keys() - {"content", "styles", "resume", "quiet", "iterations", "more"}
        if words:
            named = " ".join(sorted(f"--{name.replace('_', '-')}" for name in words))
            remedy = f"paint on from it with --init {directory / 'final.png'} and another --output"
            raise InputError(f"--resume {directory}: is finished, and {named} can change nothing; {remedy}")
        if not values:
            return None
    elif "more" in args:
        raise InputError(f"--more {args['more']}: {directory} is not finished; --resume alone goes on")
    job = jobs.resumed(record, directory, args)
    return replace(job, settings=replace(job.settings, **values))


def _more(args: dict[str, Any], record: dict[str, Any]) -> dict[str, int]:
    """The limit of iterations with which a finished run goes on; empty if none is given. Raises InputError."""
    more: int | None = args.get("more")
    limit: int | None = args.get("iterations")
    iterations, before = (record["outcome"].get(name) for name in ("iterations", "before"))
    if type(iterations) is not int or type(before) is not int:
        raise InputError(f"{args['resume']}: a run of an older version, which cannot go on; paint on with --init")
    reached = iterations - before  # at its last size
    if more is not None and (limit is not None or more < 1):
        raise InputError(f"--more {more}: give a whole number above 0, and no --iterations")
    if limit is not None and limit <= reached:
        raise InputError(f"--iterations {limit}: {reached} are painted already; give more, or leave it out")
    if more is not None:
        limit = reached + more
    return {} if limit is None else {"iterations": limit}


def _paint(args: dict[str, Any]) -> None:
    job = _resumed(args) if "resume" in args else job_of(args)
    if job is None:
        tell(f"{args['resume']}: is finished; --more 100 paints so many iterations more")
        return
    with claimed_job(job, args.keys()) as claim:
        _paint_job(_checked(claim, "overwrite" in args, "resume" in args), args)


def _paint_job(job: Job, args: dict[str, Any]) -> None:
    common.announce_loading()
    from nst_graph.batch import workers
    from nst_graph.runs.progress import Progress, clock

    output = job.output
    progress = Progress(job.settings.save_every // 10, f"watch {near(output / 'index.html')}")
    before = _written(output)
    observers = [] if "quiet" in args else [progress.observe]
    try:
        how = {name: name in args for name in ("overwrite", "resume")}
        painting = workers.paint(job, say=progress.say, observers=observers, **how)
    except OSError as error:
        if not (output / "run.json").exists():
            raise
        remedy = f"mend that, then go on with --resume {shlex.quote(str(output))}"
        raise InputError(f"{error.filename or output}: {error.strerror or error}; {remedy}") from error
    except FloatingPointError as error:
        final = output / "final.png"
        raise FloatingPointError(f"{error}; {final} is the last good picture" if final.exists() else error) from error
    except KeyboardInterrupt as error:
        if "resume" not in args and _written(output) == before:
            raise
        raise KeyboardInterrupt(f"--resume {shlex.quote(near(output))} goes on") from error
    finally:
        progress.close()
    step = painting.outcome.step
    early = f"; {painting.outcome.reason}" if step.iteration < step.planned else ""
    picture = OutputImage.of(Directory.at(output))
    painted = near(picture.path if picture else output / "final.png")
    tell(f"painted {painted}: {count(step.iteration, 'iteration')} in {clock(step.seconds)}{early}")


def _written(output: Path) -> int:
    """When run.json in a directory was written last, in nanoseconds; 0 if there is none."""
    with suppress(OSError):
        return (output / "run.json").stat().st_mtime_ns
    return 0


def _checked(job: Job, overwrite: bool, resume: bool) -> Job:
    """The job with its weights. Raises InputError for what can be told before TensorFlow, which takes seconds."""
    from nst_graph import weights  # imports NumPy

    for path in job.missing():
        raise InputError(f"{path}: no such file; name a picture file")
    if picture := OutputImage.of(Directory.at(job.output), job.picture) if job.picture or resume else None:
        picture.check(overwrite)
    weights_file = job.weights or weights.find(job.settings.network, tell)
    if not weights_file.exists() or not all(map(IN_EVERY_VGG.fullmatch, job.settings.layers)):
        weights.read(weights_file, job.read_limit).upto(job.settings.layers)
    return replace(job, weights=weights_file)


def _example_photograph() -> Path:
    # scikit-learn contains a photograph; its code is not imported.
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise InputError("the example's photograph comes with scikit-learn: pip install 'nst_graph[example]'")
    return Path(package.origin).parent / "datasets" / "images" / "china.jpg"
