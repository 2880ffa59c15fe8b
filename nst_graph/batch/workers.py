"""Workers: jobs are painted in sequence in this process, by several here, or on many machines by dask.distributed."""

import contextlib
import functools
import importlib.util
import json
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nst_graph import files, painting, pictures, weights
from nst_graph.batch import processes
from nst_graph.batch.jobs import Job
from nst_graph.errors import InputError, Pause
from nst_graph.optimise import Step
from nst_graph.painting import Painting
from nst_graph.recipes import STARTS
from nst_graph.runs import page, records, timelapse
from nst_graph.runs.beside import Beside
from nst_graph.runs.directory import TENSORBOARD, Directory, lock
from nst_graph.scenes import Say

#: Failures of workers in one interval after which its job is given up.
TRIES = 5


def paint(
    job: Job, say: Say, observers: Sequence[Callable[[Step], None]] = (), overwrite: bool = False, resume: bool = False
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
        say=say,
        observers=observers,
    )


def perform(jobs: Sequence[Job], say: Say, scheduler: str | None = None, workers: int = 1) -> list[str]:
    """Paint all jobs that are not finished, resuming those that were begun; returns a line for each failure.

    They are painted on dask's cluster at `scheduler`, or here, so many `workers` at a time: by processes of their own
    if those are several, else by this one. Raises InputError if dask is needed and missing, or no cluster is there.
    """
    if scheduler and importlib.util.find_spec("distributed") is None:
        raise InputError("--scheduler: needs dask.distributed; pip install 'nst_graph[many]'")
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
    if scheduler and unfinished:
        return failures + _distribute(unfinished, say, scheduler)
    if workers > 1 and unfinished:
        return failures + processes.share(paint, unfinished, workers, say)
    for job in unfinished:
        say(f"{job.output}: paints")
        try:
            paint(job, say, resume=(job.output / "run.json").exists())
        except processes.FAILURES as error:
            failures.append(f"{job.output}: {error}")
            say(failures[-1])
    return failures


def _distribute(jobs: Sequence[Job], say: Say, scheduler: str) -> list[str]:
    """Paint each job in intervals, sending pictures and state to a worker and its results back.

    So no shared disk is needed, and a worker that dies loses only its unfinished interval.
    """
    from distributed import as_completed

    # Pictures and weights are large, and have to be sent.
    warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
    with contextlib.ExitStack() as stack:
        client = _client(stack, scheduler)
        say(f"dask dashboard: {client.dashboard_link}")
        pool = _Pool(client, say)
        for job in jobs:
            pool.begin(job, stack)
        done = as_completed(list(pool.jobs))
        for future in done:
            next_interval = pool.settle(future)
            if next_interval is not None:
                done.add(next_interval)
    return pool.failures


def _client(stack: contextlib.ExitStack, scheduler: str) -> Any:
    """A client of the cluster at `scheduler` until the stack is closed. Raises InputError."""
    from distributed import Client

    try:
        return stack.enter_context(Client(scheduler, timeout=10))
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {scheduler}: {error or 'no answer'}; start one there") from error


class _Pool:
    """The jobs being painted, by their futures, and a line for each failed one."""

    def __init__(self, client: Any, say: Say) -> None:
        self._client, self._say = client, say
        self._find_weights = functools.cache(lambda network: weights.find(network, say))  # says news once
        self._tries: Counter[Path] = Counter()
        self.jobs: dict[Any, Job] = {}
        self.failures: list[str] = []

    def begin(self, job: Job, stack: contextlib.ExitStack) -> None:
        """Submit the first interval of a job, and lock its directory until the stack is closed."""
        try:
            if job.settings.init not in STARTS:
                raise InputError("--init: a picture of one's own does not travel to a cluster; paint it with --workers")
            stack.callback(lock(job.output).release)
            directory = Directory.at(job.output)
            directory.check()
            if picture := Beside.of(directory, job.picture):
                picture.check(False)
            self._submit(replace(job, weights=job.weights or self._find_weights(job.settings.network)))
            self._say(f"{job.output}: paints")
        except InputError as error:
            self.failures.append(f"{job.output}: {error}")
        except OSError as error:
            self.failures.append(f"{error.filename or job.output}: {error.strerror or error}")

    def _submit(self, job: Job, with_inputs: bool = False) -> Any:
        paths = _inputs(job)
        names = {path: f"{files.sha256(path)}/{path.name}" for path in paths}
        inputs = {name: path.read_bytes() for path, name in names.items()} if with_inputs else {}
        state = {file.name: file.read_bytes() for file in (job.output / name for name in _STATE) if file.exists()}
        portable = {
            "content": names[job.content],
            "styles": [names[path] for path in job.styles],
            "masks": [names[path] for path in job.masks],
            "weights": names[paths[-1]],
            "settings": asdict(job.settings),
            "read_limit": job.read_limit,
        }
        future = self._client.submit(interval, portable, inputs, state, pure=False, retries=0)
        self.jobs[future] = job
        return future

    def settle(self, future: Any) -> Any:
        """Receive an interval's results; returns the future of the next one, None if the job is finished or failed."""
        job = self.jobs.pop(future)
        failure = future.exception() if future.status == "error" else None
        if failure is None and future.status == "finished":
            results = future.result()
            if results is None:  # that worker does not have the pictures and weights yet
                return self._submit(job, with_inputs=True)
            del self._tries[job.output]
            _receive(job, results)
            if job.finished():
                self._say(f"{job.output}: is finished")
                return None
            outcome = records.read(job.output)["outcome"]
            total = sum(job.settings.scale_iterations) + job.settings.iterations
            reached = f"iteration {outcome.get('iterations', 0)} of {total}"
            self._say(f"{job.output}: {reached}, loss {outcome.get('total', float('nan')):.4g}")
            return self._submit(job)
        if isinstance(failure, InputError | FloatingPointError):
            return self._fail(f"{job.output}: {failure}")
        self._tries[job.output] += 1
        reason = failure or future.status
        if self._tries[job.output] == TRIES:
            return self._fail(f"{job.output}: given up after {TRIES} failures: {reason}")
        self._say(f"{job.output}: its worker failed ({reason}), the interval is painted again")
        return self._submit(job)

    def _fail(self, line: str) -> None:
        self.failures.append(line)
        self._say(line)


#: The files needed to resume a run.
_STATE = ("run.json", "state.npz", "losses.csv")


def _inputs(job: Job) -> list[Path]:
    """The files that a job reads, the weights last."""
    assert job.weights is not None  # _Pool.begin has found them
    return [job.content, *job.styles, *job.masks, job.weights]


def interval(portable: dict[str, Any], inputs: dict[str, bytes], state: dict[str, bytes]) -> dict[str, bytes] | None:
    """On a worker: paint up to the next saved picture. Returns the run's files; None if the worker lacks inputs."""
    from distributed import get_worker

    store = Path(get_worker().local_directory) / "nst_graph"
    for name in (portable["content"], *portable["styles"], *portable["masks"], portable["weights"]):
        path = store / name
        if not path.exists():
            if name not in inputs:
                return None
            path.parent.mkdir(parents=True, exist_ok=True)
            with files.atomic(path) as file:
                file.write(inputs[name])
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
        begun: list[int] = []
        last = sum(settings.scale_iterations) + settings.iterations

        def pause(step: Step) -> None:
            begun.append(step.iteration)
            due = step.iteration > begun[0] and step.iteration % settings.save_every == 0
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
    directory = Directory.at(job.output)
    directory.check()
    picture = Beside.of(directory, job.picture)
    record["picture"] = picture.record if picture else None
    if not directory.record:  # the first interval
        directory = Directory(job.output, record | {"files": {}, "outcome": {"state": "painting"}})
        directory.describe(directory.record)
    state = results.pop("state.npz", None)
    for name, content in results.items():
        if name.startswith(f"{TENSORBOARD}/"):
            (job.output / TENSORBOARD).mkdir(exist_ok=True)
            with files.atomic(job.output / name) as file:
                file.write(content)
        else:
            directory.put(name, content)
    kind = job.settings.timelapse
    if state is not None:
        directory.put("state.npz", state)
    elif kind is not None:  # the worker had only the pictures of the last interval
        directory.put(f"timelapse.{kind}", timelapse.film(directory.pictures(), kind))
    directory.describe({name: part for name, part in record.items() if name not in ("files", "mark")})
    if state is None:
        if picture is not None:
            final, kept = pictures.straight(pictures.read(job.output / "final.png", ground=None)), job.settings
            texts = records.texts(kept, record["weights"]["network"])
            picture.write(pictures.to_file(final, picture.path.suffix, kept.depth, texts), directory)
        directory.remove("state.npz")
    directory.put("index.html", page.of_run(job.output))
