"""The command scripts/paint.py: turn options into a job, and paint it."""

import importlib.util
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from nst_graph import files, places
from nst_graph.batch.jobs import Job, prepare
from nst_graph.commands import common, options
from nst_graph.commands.common import short_path
from nst_graph.errors import InputError, flag
from nst_graph.news import count, tell
from nst_graph.recipes import DEFAULT, RECIPES, fast, printed
from nst_graph.runs import records
from nst_graph.runs.directory import Directory, check_depth, claimed, split_output
from nst_graph.settings import PATHS, Settings

#: The example, which takes a minute or two.
EXAMPLE_STYLE = Path(__file__).with_name("example-painting.jpg")
EXAMPLE = {"recipe": "studio", "smoothness": 20, "iterations": 100, "save_every": 50}

#: The longest name, in bytes, of a run's directory that is named after its pictures; systems allow 255 or less.
LONGEST_NAME = 200


@common.command("paint", "nothing was painted yet")
def main(words: list[str]) -> list[str]:
    args = options.parse(words or ["--help"])
    if "recipes" in args:
        width = max(map(len, RECIPES))
        tell(*(f"{name:{width}}  {recipe.about}" for name, recipe in RECIPES.items()))
        tell("", f"Begin with --recipe studio. Without --recipe the settings are those of the paper, {DEFAULT}.")
    elif "version" in args:
        tell(records.SOFTWARE)
    else:
        with common.silence("quiet" in args):
            _paint(args)
    return []


def _paint(args: dict[str, Any]) -> None:
    job = _resumed(args) if "resume" in args else job_of(args)
    if job is None:
        tell(f"{args['resume']}: is finished; --more 100 paints so many iterations more")
        return
    with claimed_job(job, args) as claim:
        job = prepare(claim, tell)
        with common.run_context(job.output, job.settings.save_every // 10, args) as how:
            from nst_graph.batch import workers
            from nst_graph.runs.observers import clock

            painting = workers.paint(job, **how)
        picture = Directory(job.output).picture
    step = painting.outcome.step
    early = f"; {painting.outcome.reason}" if step.iteration < step.total_iterations else ""
    painted = short_path(picture or job.output / "final.png")
    tell(f"painted {painted}: {count(step.iteration, 'iteration')} in {clock(step.seconds)}{early}")


def job(words: Sequence[str]) -> Job:
    """The job of a command line of scripts/paint.py. Raises InputError."""
    return job_of(options.parse(words))


def job_of(args: dict[str, Any]) -> Job:
    """The job of parsed options. Raises InputError."""
    content, styles = args["content"], args["styles"]
    if content is None and "example" not in args:
        raise InputError(f"CONTENT is missing: {options.missing_remedy(args)}; --example paints the example")
    if content is not None and "example" in args:
        raise InputError("--example: has pictures of its own; leave CONTENT out")
    if content is None:
        args = args if "like" in args else EXAMPLE | args
        content, styles = _example_photograph(), [EXAMPLE_STYLE]
    values = options.settings(args)
    base, weights = RECIPES[args.get("recipe", DEFAULT)].settings, None
    if "like" in args:
        if "recipe" in args:
            raise InputError("--like: has settings of its own; leave --recipe out")
        directory, _ = split_output(args["like"])
        record = records.read(directory)
        base, weights = _base(record, directory, args)
    limit = args.get("read_limit", files.READ_LIMIT)
    if "print" in args:
        from nst_graph import images  # imports NumPy

        width, height = values.get("squash") or base.squash or images.read(content, limit).shape[1::-1]
        base = printed(fast(base) if "fast" in args else base, args["print"], width / height)
    settings = fast(base, **values) if "fast" in args and "print" not in args else replace(base, **values)
    masks, style_masks = (tuple(args.get(name, ())) for name in ("masks", "style_masks"))
    paths = [path for style in styles for path in files.pictures(style)]
    names = list(dict.fromkeys(path.stem or path.absolute().name for path in (content, *styles)))
    styles = settings.styles(content, paths, masks, style_masks, "" if styles else options.missing_remedy(args))
    output, picture = split_output(args["output"]) if args.get("output") else (None, None)
    check_depth(picture, settings.depth)
    output = output or places.OUTPUT / "-".join(_shortened(name, LONGEST_NAME // len(names) - 1) for name in names)
    return Job(content, styles, settings, output, masks, style_masks, args.get("weights", weights), limit, picture)


def _example_photograph() -> Path:
    # scikit-learn contains a photograph; its code is not imported.
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise InputError("the example's photograph comes with scikit-learn: pip install 'nst_graph[example]'")
    return Path(package.origin).parent / "datasets" / "images" / "china.jpg"


def _shortened(name: str, size: int) -> str:
    """The first `size` bytes of a name, without a part of a UTF-8 character at the end."""
    data = os.fsencode(name)
    return name if len(data) <= size else os.fsdecode(data[:size].decode(errors="ignore").encode()) or "run"


def _base(record: dict[str, Any], directory: Path, args: dict[str, Any]) -> tuple[Settings, Path]:
    """A run's settings and weights, whose files are where they are now, but those that are named anew."""
    settings = records.settings(record, directory)
    named = [name for name in PATHS if record[name] and name not in args]
    paths: dict[str, Any] = {name: str(records.find(record[name], [directory])) for name in named}
    settings = replace(settings, **paths)
    weights = args.get("weights") or records.find(record["weights"], filter(None, (directory, places.MODEL)))
    return settings, weights


def resumed(record: dict[str, Any], directory: Path, args: dict[str, Any]) -> Job:
    """The job of a run to go on with, but for options that are named anew. Raises InputError if a file is gone."""
    content, *styles = (records.find(source, [directory]) for source in (record["content"], *record["styles"]))
    masks, style_masks = (
        tuple(args.get(name) or (records.find(one, [directory]) for one in record[name]))
        for name in records.SEVERAL[1:]
    )
    settings, weights = _base(record, directory, args)
    limit = args.get("read_limit", record["read_limit"])
    return Job(content, tuple(styles), settings, directory, masks, style_masks, weights, limit)


def _resumed(args: dict[str, Any]) -> Job | None:
    """The job of the run to resume, with the options that may differ; None if it is finished."""
    directory, _ = split_output(args["resume"])
    fixed = ("content", "recipe", "like", "fast", "print", "output", "overwrite")
    own = [name for name in fixed if args.get(name) is not None]
    common.refuse_options(directory, "run", ["CONTENT" if name == "content" else flag(name) for name in own])
    record = records.read(directory)
    if "film" in record:
        raise InputError(f"--resume {directory}: holds a film; go on by {places.command('paint_video')} --resume")
    values = options.settings(args)
    if record.get("outcome", {}).get("state") == "finished":
        if words := args.keys() - {"content", "styles", "resume", "quiet", "device", "iterations", "more"}:
            named = " ".join(sorted(map(flag, words)))
            remedy = f"paint on from it with --init {directory / 'final.png'} and another --output"
            raise InputError(f"--resume {directory}: is finished, and {named} can change nothing; {remedy}")
        if not {"iterations", "more"} & args.keys():
            return None
        values["iterations"] = _limit(args, record["outcome"])
    elif "more" in args:
        raise InputError(f"--more {args['more']}: {directory} is not finished; --resume alone goes on")
    job = resumed(record, directory, args)
    return replace(job, settings=replace(job.settings, **values))


def _limit(args: dict[str, Any], outcome: dict[str, Any]) -> int:
    """The limit of iterations with which a finished run goes on. Raises InputError."""
    iterations, before = outcome.get("iterations"), outcome.get("iteration_offset")
    if type(iterations) is not int or type(before) is not int:
        raise InputError(f"{args['resume']}: a run of an older version, which cannot go on; paint on with --init")
    reached = iterations - before  # at its last size
    if "more" in args:
        if args["more"] < 1 or "iterations" in args:
            raise InputError(f"--more {args['more']}: give a whole number above 0, and no --iterations")
        return reached + int(args["more"])
    limit: int = args["iterations"]
    if limit <= reached:
        raise InputError(f"--iterations {limit}: {reached} are painted already; give more, or leave it out")
    return limit


@contextmanager
def claimed_job(job: Job, args: Collection[str]) -> Iterator[Job]:
    """The job with a directory that no other process has or takes: without --output, the first that is free.

    Raises InputError if what is there is not to be painted in.
    """
    free = not {"output", "overwrite", "resume"} & {*args}
    with claimed(job.output, job.picture, "overwrite" in args, "resume" in args, free) as directory:
        if directory.path != job.output:
            tell(f"{short_path(job.output)} is there already; this painting goes into {short_path(directory.path)}")
        yield replace(job, output=directory.path)
