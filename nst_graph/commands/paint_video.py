"""The command scripts/paint_video.py: turn options into a clip and a film, and paint it."""

import re
from contextlib import nullcontext
from dataclasses import fields
from fractions import Fraction
from functools import partial
from typing import Any

from nst_graph import files
from nst_graph.batch import tasks
from nst_graph.commands import common, options, paint
from nst_graph.commands.common import short_path
from nst_graph.errors import InputError, flag
from nst_graph.films import Film, check_packages, check_record
from nst_graph.news import tell
from nst_graph.runs import records

#: Options of paint.py that a film has no use for.
WITHOUT = ("save_every", "tensorboard", "timelapse", "dpi")


@common.command("paint_video", "nothing was painted yet")
def main(words: list[str]) -> list[str]:
    args = options.parse(words, options.film_parser)
    with common.silence("quiet" in args):
        _paint(args)
    return []


def _paint(args: dict[str, Any]) -> None:
    check_packages()
    scheduler, workers = args.get("scheduler"), common.check_workers(args)
    for name in WITHOUT:
        if name in args:
            raise InputError(f"{flag(name)}: films have no use for it; leave it out")
    resumed = _resumed(args) if "resume" in args else _new(args)
    if resumed is None:
        tell(f"{args['resume']}: is finished")
        return
    job, clip, film = resumed
    with (
        paint.claimed_job(job, args) as job,
        tasks.connect(scheduler) if scheduler else nullcontext() as client,
    ):
        if client is not None and job.settings.paths:
            raise InputError(tasks.NO_PATHS)
        with common.run_context(job.output, max(1, film.iterations), args) as how:
            from nst_graph.films.filming import paint_film

            if client is not None:
                how["share"] = partial(tasks.by_cluster, client=client, say=how["say"])
            elif workers > 1:
                how["share"] = partial(tasks.by_processes, workers=workers, say=how["say"])
                how["side_by_side"] = workers
            if "share" in how:
                tell(f"watch {short_path(job.output / 'index.html')}")  # there is no bar
            how |= {"weights_file": job.weights, "masks": job.masks, "style_masks": job.style_masks}
            made = paint_film(clip, job.styles, job.settings, film, job.output, **how)
    tell(f"painted {short_path(made)}")


def _new(args: dict[str, Any]) -> Any:
    """The job, the clip and the film of parsed options. Raises InputError."""
    from nst_graph.films.clips import Clip  # imports NumPy

    if args["content"] is None:
        raise InputError("CLIP is missing: name a film or a directory of frames, then a painting")
    if "output" in args and args["output"].suffix.lower() in (".mp4", ".mov", ".webm", *files.SUFFIXES):
        raise InputError(f"--output {args['output']}: name a directory; film.mp4 is written there")
    if (frames := re.fullmatch(r"(\d*):(\d*)", args.get("frames", ":"))) is None:
        raise InputError(f"--frames {args['frames']}: write the first frame and the one after the last, such as 10:60")
    first = {"iterations": args["first_iterations"]} if "first_iterations" in args else {}
    job = paint.job_of({name: value for name, value in args.items() if name != "iterations"} | first)
    selection = (int(frames[1] or 0), int(frames[2]) if frames[2] else None, args.get("every", 1))
    clip = Clip.named(job.content, selection, args.get("fps"), job.read_limit)
    return job, clip, Film(**{field.name: args[field.name] for field in fields(Film) if field.name in args})


def _resumed(args: dict[str, Any]) -> Any:
    """What to go on with; None if the film is finished. Raises InputError."""
    from nst_graph.films.clips import Clip  # imports NumPy

    directory, own = args["resume"], args.keys() - {"content", "styles", "resume", "quiet", "scheduler", "workers"}
    common.refuse_options(directory, "film", [*map(flag, own), *(["CLIP"] if args["content"] else [])])
    record = records.read(directory)
    check_record(directory, record)
    if record.get("outcome", {}).get("state") == "finished":
        return None
    job = paint.resumed(record, directory, {})
    try:
        selection = {name: record["film"][name] for name in ("start", "stop", "every", "rate")}
        selection["rate"] = selection["rate"] and Fraction(selection["rate"])
        clip = Clip(job.content, **selection, read_limit=job.read_limit)
        film = Film(**{field.name: record["film"][field.name] for field in fields(Film)})
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{directory / 'run.json'}: not a film's record; paint anew with --overwrite") from error
    return job, clip, film
