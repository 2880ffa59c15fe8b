"""The command scripts/paint_video.py: turn options into a clip and a film, and paint it."""

import os
import re
import shlex
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import fields
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from nst_graph import files, places
from nst_graph.batch import jobs, tasks
from nst_graph.batch.jobs import Job
from nst_graph.commands import common, options, paint
from nst_graph.errors import InputError
from nst_graph.films import Film, check_packages, check_record
from nst_graph.news import tell
from nst_graph.runs import records

#: Options of paint.py that a film has no use for.
WITHOUT = ("save_every", "tensorboard", "timelapse")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run scripts/paint_video.py; returns its exit status."""
    return common.run(places.program("paint_video"), lambda: _main(arguments), "nothing was painted yet")


def _main(arguments: Sequence[str] | None) -> int:
    args = options.parse(arguments, options.film_parser)
    with open(os.devnull, "w") as nothing, redirect_stdout(nothing) if "quiet" in args else nullcontext():
        _paint(args)
    return 0


def _paint(args: dict[str, Any]) -> None:
    check_packages()
    scheduler, workers = args.pop("scheduler"), args.pop("workers")
    common.check_workers(workers)
    for name in WITHOUT:
        if name in args:
            raise InputError(f"--{name.replace('_', '-')}: films have no use for it; leave it out")
    if "resume" in args:
        resumed = _resumed(args)
        if resumed is None:
            tell(f"{args['resume']}: is finished")
            return
        job, clip, film = resumed
    else:
        job, clip, film = _new(args)
    with (
        paint.claimed_job(job, args.keys()) as claim,
        tasks.connect(scheduler) if scheduler else nullcontext() as client,
    ):
        _paint_film(claim, clip, film, args, client, workers)


def _paint_film(job: Job, clip: Any, film: Film, args: dict[str, Any], client: Any, workers: int) -> None:
    if client is not None and job.init:
        raise InputError(tasks.NO_INIT)
    common.announce_loading()
    from nst_graph.films.filming import paint_film
    from nst_graph.runs.progress import Progress

    watch = f"watch {paint.near(job.output / 'index.html')}"
    progress = Progress(max(1, film.iterations), watch)
    how: dict[str, Any] = {"weights_file": job.weights, "masks": job.masks}
    how |= {name: name in args for name in ("overwrite", "resume")}
    if client is not None:
        how["share"] = partial(tasks.by_cluster, client=client, say=progress.say)
    elif workers > 1:
        how |= {"share": partial(tasks.by_processes, workers=workers, say=progress.say), "side_by_side": workers}
    if "share" in how:
        tell(watch)  # there is no bar
    how |= {"say": progress.say, "observers": [] if "quiet" in args else [progress.observe]}
    try:
        made = paint_film(clip, job.styles, job.settings, film, job.output, **how)
    except OSError as error:
        if not (job.output / "run.json").exists():
            raise
        remedy = f"mend that, then go on with --resume {job.output}"
        raise InputError(f"{error.filename or job.output}: {error.strerror or error}; {remedy}") from error
    except KeyboardInterrupt as error:
        if not (job.output / "run.json").exists():
            raise
        raise KeyboardInterrupt(f"--resume {shlex.quote(paint.near(job.output))} goes on") from error
    finally:
        progress.close()
    tell(f"painted {paint.near(made)}")


def _new(args: dict[str, Any]) -> Any:
    """The job, the clip and the film of parsed options. Raises InputError."""
    from nst_graph.films.clips import Clip  # imports NumPy

    if args["content"] is None:
        raise InputError("CLIP is missing: name a film or a directory of frames, then a painting")
    if "output" in args and args["output"].suffix.lower() in (".mp4", ".mov", ".webm", *files.SUFFIXES):
        raise InputError(f"--output {args['output']}: name a directory; film.mp4 is written there")
    kept: dict[str, Any] = {field.name: args[field.name] for field in fields(Film) if field.name in args}
    frames = {name: value for name, value in args.items() if name not in ("iterations", "first_iterations")}
    if "first_iterations" in args:
        frames["iterations"] = args["first_iterations"]
    job = paint.job_of(frames)
    picked = (*_range(args.get("frames", ":")), args.get("every", 1))
    clip = Clip.named(job.content, picked, args.get("fps"), job.read_limit)
    return job, clip, Film(**kept)


def _range(text: str) -> tuple[int, int | None]:
    """Read a range such as 10:60, :60 or 10:. Raises InputError."""
    match = re.fullmatch(r"(\d*):(\d*)", text)
    if match is None:
        raise InputError(f"--frames {text}: write the first frame and the one after the last, such as 10:60")
    return int(match[1] or 0), int(match[2]) if match[2] else None


def _resumed(args: dict[str, Any]) -> Any:
    """What to go on with; None if the film is finished. Raises InputError."""
    from nst_graph.films.clips import Clip  # imports NumPy

    directory: Path = args["resume"]
    if words := args.keys() - {"styles", "resume", "quiet", "content"} or (args["content"] and {"content"}):
        named = " ".join(sorted("CLIP" if name == "content" else f"--{name.replace('_', '-')}" for name in words))
        raise InputError(f"--resume {directory}: goes on with the film's own settings; leave {named} out")
    record = records.read(directory)
    check_record(directory, record)
    if record.get("outcome", {}).get("state") == "finished":
        return None
    job = jobs.resumed(record, directory, {})
    try:
        kept = {name: record["film"][name] for name in ("start", "stop", "every", "rate")}
        clip = Clip(
            job.content, **kept | {"rate": kept["rate"] and Fraction(kept["rate"]), "read_limit": job.read_limit}
        )
        film = Film(**{field.name: record["film"][field.name] for field in fields(Film)})
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{directory / 'run.json'}: not a film's record; paint anew with --overwrite") from error
    return job, clip, film
