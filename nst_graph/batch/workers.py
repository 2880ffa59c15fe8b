"""Workers: where jobs are painted, one after the other here, or on many machines by dask.distributed."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nst_graph import files, weights
from nst_graph.batch.jobs import Job
from nst_graph.errors import InputError, Pause
from nst_graph.optimise import Step
from nst_graph.painting import paint
from nst_graph.recipes import STARTS
from nst_graph.runs import page, records, timelapse
from nst_graph.runs.directory import TENSORBOARD, Directory, lock

#: Workers may die this often in one interval before its job is given up.
TRIES = 5

Say = Callable[[str], None]


def perform(jobs: Sequence[Job], say: Say, scheduler: str | None = None, workers: int = 1) -> list[str]:
    """Paint what is not finished, going on where a run was begun; returns a line for each that failed.

    With dask.distributed the jobs run on the cluster at `scheduler`, or on one of so many local
    processes; without it one after the other here. Raises InputError where `scheduler` or more
    workers are asked for and it is not there.
    """
    spread = importlib.util.find_spec("distributed") is not None
    if not spread and (scheduler or workers > 1):
        raise InputError("--scheduler, --workers: need dask.distributed; pip install 'nst_graph[many]'")
    failures: list[str] = []
    left = []
    for job in jobs:
        try:
            if job.finished():
                say(f"{job.output}: is finished")
            else:
                left.append(job)
        except InputError as error:
            failures.append(str(error))
    if spread and left:
        return failures + _spread(left, say, scheduler, workers)
    for job in left:
        say(f"{job.output}: paints")
        try:
            _paint(job, job.output, say)
        except (InputError, FloatingPointError, MemoryError, OSError) as error:
            failures.append(f"{job.output}: {error}")
            say(failures[-1])
    return failures


def _paint(job: Job, output: Path, say: Say, observers: Sequence[Callable[[Step], None]] = ()) -> None:
    paint(
        job.content,
        job.styles,
        job.settings,
        weights_file=job.weights,
        masks=job.masks,
        read_limit=job.read_limit,
        output=output,
        resume=(output / "run.json").exists(),
        say=say,
        observers=observers,
    )


def _spread(jobs: Sequence[Job], say: Say, scheduler: str | None, workers: int) -> list[str]:
    """Interval by interval: pictures and state travel to a worker, and what it made comes back.

    So no disk need be shared, and a worker that dies costs its unfinished interval only.
    """
    from distributed import as_completed

    # Pictures and weights are meant to travel.
    warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
    with contextlib.ExitStack() as stack:
        client = _client(stack, scheduler, workers)
        say(f"dask dashboard: {client.dashboard_link}")
        pool = _Pool(client, say)
        for job in jobs:
            pool.begin(job, stack)
        done = as_completed(list(pool.jobs))
        for future in done:
            again = pool.settle(future)
            if again is not None:
                done.add(again)
    return pool.failures


def _client(stack: contextlib.ExitStack, scheduler: str | None, workers: int) -> Any:
    """A client of the cluster at `scheduler`, or of a local one, until the stack is closed. Raises InputError."""
    from distributed import Client, LocalCluster

    if scheduler is None:
        # A worker that is slow to answer is in a session call, not dead.
        cluster = stack.enter_context(LocalCluster(n_workers=workers, threads_per_worker=1))
        return stack.enter_context(Client(cluster))
    try:
        return stack.enter_context(Client(scheduler, timeout=10))
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {scheduler}: {error or 'no answer'}; start one there") from error


class _Pool:
    """The jobs that workers are at, by their futures, and the lines of those that failed."""

    def __init__(self, client: Any, say: Say) -> None:
        self._client, self._say = client, say
        self._weights: dict[str, Path] = {}
        self._tries: dict[Path, int] = {}
        self.jobs: dict[Any, Job] = {}
        self.failures: list[str] = []

    def begin(self, job: Job, stack: contextlib.ExitStack) -> None:
        """Submit a job whose directory is locked until the stack is closed."""
        try:
            if job.settings.init not in STARTS:
                raise InputError("--init: a picture of one's own does not travel to workers; paint it alone")
            stack.callback(lock(job.output).release)
            Directory.at(job.output).check()
            network = job.settings.network
            if job.weights is None and network not in self._weights:
                self._weights[network] = weights.find(network, self._say)
            self._submit(replace(job, weights=job.weights or self._weights[network]), with_inputs=False)
            self._say(f"{job.output}: paints")
        except InputError as error:
            self.failures.append(f"{job.output}: {error}")
        except OSError as error:
            self.failures.append(f"{error.filename or job.output}: {error.strerror or error}")

    def _submit(self, job: Job, with_inputs: bool) -> Any:
        inputs = {digest: path.read_bytes() for path, digest in _inputs(job).items()} if with_inputs else {}
        made = {file.name: file.read_bytes() for file in (job.output / name for name in _STATE) if file.exists()}
        future = self._client.submit(interval, _portable(job), inputs, made, pure=False, retries=0)
        self.jobs[future] = job
        return future

    def settle(self, future: Any) -> Any:
        """Take what an interval came to; returns the future of the next one, None where the job is done or failed."""
        job = self.jobs.pop(future)
        failure = future.exception() if future.status == "error" else None
        if failure is None and future.status == "finished":
            made = future.result()
            if made is None:  # that worker does not have the pictures and weights yet
                return self._submit(job, with_inputs=True)
            self._tries.pop(job.output, None)
            _receive(job, made)
            if job.finished():
                self._say(f"{job.output}: is finished")
                return None
            self._say(f"{job.output}: {_reached(job)}")
            return self._submit(job, with_inputs=False)
        if isinstance(failure, InputError | FloatingPointError):
            return self._fail(f"{job.output}: {failure}")
        self._tries[job.output] = self._tries.get(job.output, 0) + 1
        reason = failure or future.status
        if self._tries[job.output] == TRIES:
            return self._fail(f"{job.output}: given up after {TRIES} failures: {reason}")
        self._say(f"{job.output}: its worker failed ({reason}), the interval is painted again")
        return self._submit(job, with_inputs=False)

    def _fail(self, line: str) -> None:
        self.failures.append(line)
        self._say(line)


#: What a run needs to go on.
_STATE = ("run.json", "state.npz", "losses.csv")


def _inputs(job: Job) -> dict[Path, str]:
    """The files a job reads, with their hashes."""
    paths = [job.content, *job.styles, *job.masks, *([job.weights] if job.weights else [])]
    return {path: files.sha256(path) for path in paths}


def _portable(job: Job) -> dict[str, Any]:
    """A job in terms of hashes and names."""
    known = {path: f"{digest}/{path.name}" for path, digest in _inputs(job).items()}
    return {
        "content": known[job.content],
        "styles": [known[style] for style in job.styles],
        "masks": [known[mask] for mask in job.masks],
        "weights": known[job.weights] if job.weights else None,
        "settings": asdict(job.settings),
        "read_limit": job.read_limit,
    }


def interval(portable: dict[str, Any], inputs: dict[str, bytes], made: dict[str, bytes]) -> dict[str, bytes] | None:
    """On a worker: go on to the next saved picture. Returns the files made, None if inputs are missing."""
    from distributed import get_worker

    store = Path(get_worker().local_directory) / "nst_graph"
    names = [portable["content"], *portable["styles"], *portable["masks"], portable["weights"]]
    for name in names:
        path = store / name
        digest = path.parent.name
        if not path.exists():
            if digest not in inputs:
                return None
            path.parent.mkdir(parents=True, exist_ok=True)
            with files.atomic(path) as file:
                file.write(inputs[digest])
    settings = records.settings(portable, store)
    job = Job(
        store / portable["content"],
        tuple(store / name for name in portable["styles"]),
        settings,
        Path(),
        tuple(store / name for name in portable["masks"]),
        store / portable["weights"],
        portable["read_limit"],
    )
    with tempfile.TemporaryDirectory(dir=store) as directory:
        output = Path(directory)
        for name, content in made.items():
            (output / name).write_bytes(content)
        begun: list[int] = []
        last = sum(settings.scale_iterations) + settings.iterations

        def pause(step: Step) -> None:
            begun.append(step.iteration)
            due = step.iteration > begun[0] and step.iteration % settings.save_every == 0
            if due and step.iteration < last:
                raise Pause

        with contextlib.suppress(Pause):
            _paint(job, output, lambda line: None, [pause])
        return {str(file.relative_to(output)): file.read_bytes() for file in _files(output)}


def _files(directory: Path) -> Iterator[Path]:
    """What a run made, without what begins with a dot: copies of its pictures are here already."""
    return (
        file
        for file in directory.rglob("*")
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(directory).parts)
    )


def _receive(job: Job, made: dict[str, bytes]) -> None:
    """Write what a worker made into the job's directory; what says that it is finished last."""
    record = json.loads(made.pop("run.json"))
    named = [(record["content"], job.content), *zip(record["styles"], job.styles, strict=True)]
    named += zip(record["masks"], job.masks, strict=True)
    named += [(record["weights"], job.weights)] if job.weights else []
    for source, path in named:
        source["path"] = str(path.resolve())
    directory = Directory.at(job.output)
    directory.check()
    if not directory.record:  # the first interval
        directory = Directory(job.output, record | {"files": {}, "outcome": {"state": "painting"}})
        directory.describe(directory.record)
    state = made.pop("state.npz", None)
    for name, content in made.items():
        if name.startswith(f"{TENSORBOARD}/"):
            (job.output / TENSORBOARD).mkdir(exist_ok=True)
            with files.atomic(job.output / name) as file:
                file.write(content)
        else:
            directory.put(name, content)
    if state is not None:
        directory.put("state.npz", state)
    elif job.settings.timelapse is not None:  # the worker saw the last interval's pictures alone
        kind = job.settings.timelapse
        directory.put(f"timelapse.{kind}", timelapse.film(directory.pictures(), kind))
    directory.describe({name: part for name, part in record.items() if name not in ("files", "mark")})
    if state is None:
        directory.remove("state.npz")
    directory.put("index.html", page.of_run(job.output))


def _reached(job: Job) -> str:
    outcome = records.read(job.output)["outcome"]
    total = sum(job.settings.scale_iterations) + job.settings.iterations
    return f"iteration {outcome.get('iterations', 0)} of {total}, loss {outcome.get('total', float('nan')):.4g}"
