"""Workers: jobs are painted in sequence in this process, by several here, or on many machines by a cluster."""

import functools
import itertools
import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from nst_graph import images, news, painting
from nst_graph.batch import tasks
from nst_graph.batch.jobs import Job, prepare
from nst_graph.batch.tasks import FAILURES, Send
from nst_graph.errors import InputError, Pause
from nst_graph.optimise import Step
from nst_graph.painting import Painting
from nst_graph.runs import page, records, timelapse
from nst_graph.runs.directory import Directory, claimed
from nst_graph.stages import Say

#: The files needed to resume a run.
STATE = ("run.json", "state.npz", "losses.csv")


def paint(job: Job, **how: Any) -> Painting:
    """Paint a job as nst_graph.paint does, which gets `how` too."""
    how |= {name: getattr(job, name) for name in ("masks", "style_masks", "read_limit")} | {"weights_file": job.weights}
    return painting.paint(job.content, job.styles, job.settings, output=job.picture or job.output, **how)


def perform(jobs: Sequence[Job], say: Say, scheduler: str | None = None, workers: int = 1) -> list[str]:
    """Paint all jobs that are not finished, resuming those that were begun; returns a line for each failure.

    If a file of any is missing, none is painted. They are painted on dask's cluster at `scheduler`, or here, so many
    `workers` at a time: by processes of their own if those are several, else by this one. Raises InputError if dask
    is needed and missing, or no cluster is there.
    """
    with tasks.connect(scheduler) if scheduler else nullcontext() as client:
        paintings, failures, missing = list[_Painting](), list[str](), list[str]()
        say_once = functools.cache(say)  # what holds for the weights of all
        for job in jobs:
            try:
                if job.finished():
                    say(f"{job.output}: is finished")
                    continue
            except InputError as error:
                failures.append(str(error))
                continue
            try:
                paintings.append(_Painting(prepare(job, say_once), 1 if scheduler else workers))
            except InputError as error:
                missing.append(f"{job.output}: {error}")
        if missing or not paintings:
            return failures + missing
        if scheduler:
            return failures + _by_cluster(paintings, client, say)
        if workers > 1:
            return failures + tasks.by_processes(paintings, workers, say)
        return failures + [failure for one in paintings if (failure := _paint_here(one, say))]


def _paint_here(one: "_Painting", say: Say) -> str | None:
    """Paint in this process; returns a line if it fails."""

    def send(line: str, results: Any = None) -> None:
        say(f"{one.name}: {line}")

    send("paints")
    try:
        one.work()(send)
        send("is painted")
        return None
    except FAILURES as error:
        news.trace(error)
        send(str(error))
        return f"{one.name}: {error}"


def _by_cluster(paintings: Sequence["_Painting"], client: Any, say: Say) -> list[str]:
    """Paint on a cluster, in directories that no other process takes meanwhile; returns a line for each failure."""
    failures, claims = list[str](), list[_Painting]()
    with ExitStack() as stack:
        for one in paintings:
            try:
                stack.enter_context(claimed(one.job.output, one.job.picture, resume=True))
                claims.append(one)
            except (InputError, OSError) as error:
                failures.append(f"{one.name}: {error}")
        return failures + tasks.by_cluster(claims, client, say)


@dataclass(frozen=True)
class _Painting:
    """A job as a task, beside others so many at a time."""

    job: Job
    side_by_side: int

    @property
    def name(self) -> str:
        return str(self.job.output)

    def work(self) -> Callable[[Send], object]:
        return partial(_paint_on, self.job, self.side_by_side)

    def inputs(self) -> list[Path]:
        assert self.job.weights is not None  # perform has found them
        return [self.job.content, *self.job.styles, *self.job.masks, *self.job.style_masks, self.job.weights]

    def interval(self) -> Callable[[list[Path]], tuple[str | None, dict[str, bytes]]]:
        if self.job.settings.paths:
            raise InputError(tasks.NO_PATHS)
        state = {path.name: path.read_bytes() for name in STATE if (path := self.job.output / name).exists()}
        return partial(_paint_interval, self.job, state)

    def receive(self, results: dict[str, bytes]) -> None:
        if results:  # those of a process are in their place already
            _receive(self.job, self.inputs(), results)


def _paint_on(job: Job, side_by_side: int, send: Send) -> None:
    """Paint a job, going on where it is. What it has at each saved picture but the last takes it further."""
    seen = list[int]()

    def report(step: Step) -> None:
        seen.append(step.iteration)
        if step.iteration % job.settings.save_every == 0:
            line = f"iteration {step.iteration} of {step.total_iterations}, loss {step.total:.4g}"
            send(line, {} if seen[0] < step.iteration < step.total_iterations else None)

    how = {"resume": (job.output / "run.json").exists(), "side_by_side": side_by_side}
    paint(job, say=lambda line: send(line, None), observers=[report], **how)


def _paint_interval(job: Job, state: dict[str, bytes], inputs: list[Path]) -> tuple[str | None, dict[str, bytes]]:
    """On a worker: paint up to the next saved picture; returns a line on that, None at the end, and the run's files."""
    content, *images, weights_file = inputs
    rest, several = iter(images), (job.styles, job.masks, job.style_masks)
    styles, masks, style_masks = (tuple(itertools.islice(rest, len(one))) for one in several)
    job = replace(job, content=content, styles=styles, masks=masks, style_masks=style_masks, weights=weights_file)
    with tempfile.TemporaryDirectory(dir=weights_file.parent) as directory:
        output = Path(directory) / "run"
        output.mkdir()
        for name, data in state.items():
            (output / name).write_bytes(data)
        reached: list[str] = []

        def pause(line: str, results: Any = None) -> None:
            if results is not None:
                reached.append(line)
                raise Pause

        with suppress(Pause):
            _paint_on(replace(job, output=output, picture=None), 1, pause)
        # Names that begin with a dot are the lock and the copies of the inputs.
        made = (file for file in output.rglob("[!.]*") if file.is_file() and file.parent.name != records.COPIES)
        return reached[0] if reached else None, {str(file.relative_to(output)): file.read_bytes() for file in made}


def _receive(job: Job, inputs: Sequence[Path], results: dict[str, bytes]) -> None:
    """Write a worker's results into the job's directory, last of all that the run is finished."""
    record = json.loads(results.pop("run.json"))
    sources = record["content"], *record["styles"], *record["masks"], *record["style_masks"], record["weights"]
    for source, path in zip(sources, inputs, strict=True):
        source["path"] = str(path.resolve())
    directory, kept = Directory(job.output, job.picture), job.settings
    if not directory.record:  # the first interval
        directory.describe(record | {"outcome": {"state": "painting"}})
    for name, content in results.items():
        directory.put(name, content)
    if "state.npz" not in results:
        if kept.timelapse is not None:  # the worker had only the pictures of the last interval
            directory.put(f"timelapse.{kept.timelapse}", timelapse.film(job.output, kept.timelapse))
        if directory.picture is not None:
            final = images.unpremultiply(images.read(job.output / "final.png", ground=None))
            texts = records.texts(kept, record["weights"]["network"])
            directory.put_picture(images.to_file(final, directory.picture.suffix, kept.depth, texts, kept.dpi))
        directory.remove(r"state\.npz")
    directory.describe(record)
    directory.put("index.html", page.of_run(job.output))
