"""Workers: jobs are painted in sequence in this process, by several here, or on many machines by a cluster."""

import contextlib
import functools
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nst_graph import news, painting, pictures, weights
from nst_graph.batch import cluster, processes
from nst_graph.batch.jobs import Job
from nst_graph.errors import InputError, Pause
from nst_graph.optimise import Step
from nst_graph.painting import Painting
from nst_graph.runs import page, records, timelapse
from nst_graph.runs.directory import Directory, claimed
from nst_graph.scenes import Say


def paint(
    job: Job,
    say: Say,
    observers: Sequence[Callable[[Step], None]] = (),
    overwrite: bool = False,
    resume: bool = False,
    side_by_side: int = 1,
) -> Painting:
    """Paint a job as nst_graph.paint does, with the same exceptions."""
    return painting.paint(
        job.content,
        job.styles,
        job.settings,
        weights_file=job.weights,
        masks=job.masks,
        output=job.picture or job.output,
        overwrite=overwrite,
        resume=resume,
        read_limit=job.read_limit,
        side_by_side=side_by_side,
        say=say,
        observers=observers,
    )


def perform(jobs: Sequence[Job], say: Say, scheduler: str | None = None, workers: int = 1) -> list[str]:
    """Paint all jobs that are not finished, resuming those that were begun; returns a line for each failure.

    If a file of any is missing, none is painted. They are painted on dask's cluster at `scheduler`, or here, so many
    `workers` at a time: by processes of their own if those are several, else by this one. Raises InputError if dask
    is needed and missing, or no cluster is there.
    """
    if scheduler:
        cluster.check_package()
    failures: list[str] = []
    unfinished = []
    for job in jobs:
        try:
            if job.finished():
                say(f"{job.output}: is finished")
            else:
                unfinished.append(job)
        except InputError as error:
            failures.append(str(error))
    if missing := [line for job in unfinished if (line := _missing(job))]:
        return failures + missing
    if scheduler and unfinished:
        return failures + _distribute(unfinished, say, scheduler)
    if workers > 1 and unfinished:
        return failures + processes.share([_Here(job, workers) for job in unfinished], workers, say)
    for job in unfinished:
        say(f"{job.output}: paints")
        try:
            _paint_on(job, 1, lambda line, *_, output=job.output: say(f"{output}: {line}"))
            say(f"{job.output}: is painted")
        except processes.FAILURES as error:
            news.trace(error)
            failures.append(f"{job.output}: {error}")
            say(failures[-1])
    return failures


def _missing(job: Job) -> str | None:
    """A line about the files of a job that are not there, if there are any."""
    try:
        weights_file = job.weights or weights.find(job.settings.network, lambda line: None)
    except InputError as error:
        return f"{job.output}: {error}"
    gone = " ".join(str(path) for path in (*job.missing(), *([] if weights_file.exists() else [weights_file])))
    return f"{job.output}: {gone}: no such file; nothing was painted, put it there" if gone else None


@dataclass(frozen=True)
class _Task:
    """A job as a task."""

    job: Job

    @property
    def name(self) -> str:
        return str(self.job.output)


@dataclass(frozen=True)
class _Here(_Task):
    """A job as a task of processes, so many at a time, which save its state themselves."""

    side_by_side: int

    def work(self) -> Callable[[processes.Send], object]:
        return functools.partial(_paint_on, self.job, self.side_by_side)

    def receive(self, result: object) -> None:
        pass


def _paint_on(job: Job, side_by_side: int, send: processes.Send) -> None:
    """Paint a job, going on where it is."""
    last = sum(job.settings.scale_iterations) + job.settings.iterations

    def report(step: Step) -> None:
        if step.iteration % job.settings.save_every == 0:
            send(f"iteration {step.iteration} of {last}, loss {step.total:.4g}", step.iteration)

    paint(job, send, [report], resume=(job.output / "run.json").exists(), side_by_side=side_by_side)


def _distribute(jobs: Sequence[Job], say: Say, scheduler: str) -> list[str]:
    """Paint each job in intervals, sending pictures and state to a worker and its results back.

    So no shared disk is needed, and a worker that dies loses only its unfinished interval.
    """
    find_weights = functools.cache(lambda network: weights.find(network, say))  # says news once
    failures, tasks = list[str](), list[_There]()
    with contextlib.ExitStack() as stack:
        for job in jobs:
            try:
                cluster.check_init(job.settings)
                stack.enter_context(claimed(job.output, job.picture, resume=True))
                tasks.append(_There(replace(job, weights=job.weights or find_weights(job.settings.network))))
            except InputError as error:
                failures.append(f"{job.output}: {error}")
            except OSError as error:
                failures.append(f"{error.filename or job.output}: {error.strerror or error}")
        return failures + cluster.share(tasks, scheduler, say)


class _There(_Task):
    """A job as a task of a cluster."""

    def inputs(self) -> list[Path]:
        return _inputs(self.job)

    def order(self, names: Sequence[str]) -> tuple[Any, ...]:
        job = self.job
        state = {file.name: file.read_bytes() for file in (job.output / name for name in _STATE) if file.exists()}
        styles = 1 + len(job.styles)
        portable = {
            "content": names[0],
            "styles": names[1:styles],
            "masks": names[styles:-1],
            "weights": names[-1],
            "settings": asdict(job.settings),
            "read_limit": job.read_limit,
        }
        return interval, portable, state

    def receive(self, results: dict[str, bytes]) -> str | None:
        _receive(self.job, results)
        if self.job.finished():
            return None
        outcome = records.read(self.job.output)["outcome"]
        total = sum(self.job.settings.scale_iterations) + self.job.settings.iterations
        reached = f"iteration {outcome.get('iterations', 0)} of {total}"
        return f"{reached}, loss {outcome.get('total', float('nan')):.4g}"


#: The files needed to resume a run.
_STATE = ("run.json", "state.npz", "losses.csv")


def _inputs(job: Job) -> list[Path]:
    """The files that a job reads, the weights last."""
    assert job.weights is not None  # _distribute has found them
    return [job.content, *job.styles, *job.masks, job.weights]


def interval(store: Path, portable: dict[str, Any], state: dict[str, bytes]) -> dict[str, bytes]:
    """On a worker that has the inputs in `store`: paint up to the next saved picture. Returns the run's files."""
    settings = records.settings(portable, store)
    with tempfile.TemporaryDirectory(dir=store) as directory:
        output = Path(directory) / "run"
        output.mkdir()
        for name, content in state.items():
            (output / name).write_bytes(content)
        job = Job(
            store / portable["content"],
            tuple(store / name for name in portable["styles"]),
            settings,
            output,
            tuple(store / name for name in portable["masks"]),
            store / portable["weights"],
            portable["read_limit"],
        )
        seen: list[int] = []
        last = sum(settings.scale_iterations) + settings.iterations

        def pause(step: Step) -> None:
            seen.append(step.iteration)
            due = step.iteration > seen[0] and step.iteration % settings.save_every == 0
            if due and step.iteration < last:
                raise Pause

        with contextlib.suppress(Pause):
            paint(job, lambda line: None, [pause], resume="run.json" in state)
        # Names that begin with a dot are the lock and the copies of the inputs.
        made = (file for file in output.rglob("[!.]*") if file.is_file() and file.parent.name != records.COPIES)
        return {str(file.relative_to(output)): file.read_bytes() for file in made}


def _receive(job: Job, results: dict[str, bytes]) -> None:
    """Write a worker's results into the job's directory, last of all that the run is finished."""
    record = json.loads(results.pop("run.json"))
    sources = (record["content"], *record["styles"], *record["masks"], record["weights"])
    for source, path in zip(sources, _inputs(job), strict=True):
        source["path"] = str(path.resolve())
    directory = Directory(job.output, job.picture)
    if not directory.record:  # the first interval
        directory.describe(record | {"outcome": {"state": "painting"}})
    state = results.pop("state.npz", None)
    for name, content in results.items():
        directory.put(name, content)
    kind = job.settings.timelapse
    if state is not None:
        directory.put("state.npz", state)
    elif kind is not None:  # the worker had only the pictures of the last interval
        directory.put(f"timelapse.{kind}", timelapse.film(job.output, kind))
    directory.describe(record)
    if state is None:
        if picture := directory.picture:
            final, kept = pictures.unpremultiply(pictures.read(job.output / "final.png", ground=None)), job.settings
            texts = records.texts(kept, record["weights"]["network"])
            directory.put_picture(pictures.to_file(final, picture.suffix, kept.depth, texts))
        directory.remove(r"state\.npz")
    directory.put("index.html", page.of_run(job.output))
