"""A cluster: tasks are done in intervals on many machines by dask.distributed, without a shared disk."""

import contextlib
import importlib.util
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from nst_graph import files
from nst_graph.errors import InputError
from nst_graph.settings import STARTS, Settings

#: Failures of workers in one interval after which its task is given up.
TRIES = 5
#: Tasks on their way for each thread of a cluster: while results of one are written, another is done.
AHEAD = 2


class Task(Protocol):
    """What a cluster does in intervals."""

    @property
    def name(self) -> str:
        """What news of it begin with."""
        ...

    def inputs(self) -> list[Path]:
        """The files that a worker needs for each interval."""
        ...

    def order(self, names: Sequence[str]) -> tuple[Any, ...]:
        """A function for the next interval and its arguments; before these it gets the directory of the inputs.

        The inputs have these names there.
        """
        ...

    def receive(self, results: Any) -> str | None:
        """Keep an interval's results; returns what is to be said of them, None if the task is finished."""
        ...


def check_package() -> None:
    """Raise InputError if dask is missing."""
    if importlib.util.find_spec("distributed") is None:
        raise InputError("--scheduler: needs dask.distributed; pip install 'nst_graph[many]'")


def check(scheduler: str) -> None:
    """Raise InputError if dask is missing, or no cluster answers at `scheduler`."""
    check_package()
    with _client(scheduler):
        pass


@contextlib.contextmanager
def _client(scheduler: str) -> Iterator[Any]:
    """A client of the cluster. Raises InputError if there is none."""
    from distributed import Client

    with contextlib.ExitStack() as stack:
        try:
            client = stack.enter_context(Client(scheduler, timeout=10))
        except (OSError, ValueError) as error:
            raise InputError(f"--scheduler {scheduler}: {error or 'no answer'}; start one there") from error
        yield client


def check_init(settings: Settings) -> None:
    """Raise InputError if the start is a picture of one's own."""
    if settings.init not in STARTS:
        raise InputError("--init: a picture of one's own does not travel to a cluster; paint it with --workers")


def share(tasks: Sequence[Task], scheduler: str, say: Callable[[str], None]) -> list[str]:
    """Do tasks on the cluster at `scheduler`; returns a line for each failure. Raises InputError if there is none."""
    from distributed import as_completed

    # Pictures and weights are large, and have to be sent.
    warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
    with _client(scheduler) as client:
        say(f"dask dashboard: {client.dashboard_link}")
        pool, waiting = _Pool(client, as_completed(), say), list(reversed(tasks))
        while waiting or pool.tasks:
            while waiting and len(pool.tasks) < max(1, AHEAD * sum(client.nthreads().values())):
                say(f"{waiting[-1].name}: paints")
                pool.submit(waiting.pop())
            if pool.tasks:
                pool.settle()
    return pool.failures


class _Pool:
    """The tasks on their way, by their futures, and a line for each failed one."""

    def __init__(self, client: Any, done: Any, say: Callable[[str], None]) -> None:
        self._client, self._done, self._say = client, done, say
        self._tries: Counter[str] = Counter()
        self.tasks: dict[Any, Task] = {}
        self.failures: list[str] = []

    def submit(self, task: Task, with_inputs: bool = False) -> None:
        """Send the next interval of a task."""
        try:
            paths = task.inputs()
            names = [f"{files.sha256(path)}/{path.name}" for path in paths]
            inputs = {name: path.read_bytes() if with_inputs else None for name, path in zip(names, paths, strict=True)}
            order = task.order(names)
        except InputError as error:
            return self._fail(f"{task.name}: {error}")
        except OSError as error:
            return self._fail(f"{error.filename or task.name}: {error.strerror or error}")
        future = self._client.submit(_perform, inputs, *order, pure=False, retries=0)
        self.tasks[future] = task
        self._done.add(future)

    def settle(self) -> None:
        """Receive the results of the next interval that is done, and send the one after it."""
        future = next(self._done)
        task = self.tasks.pop(future)
        failure = future.exception() if future.status == "error" else None
        if failure is None and future.status == "finished":
            results = future.result()
            if results is None:  # that worker does not have the inputs yet
                return self.submit(task, with_inputs=True)
            del self._tries[task.name]
            line = task.receive(results)
            self._say(f"{task.name}: {line or 'is finished'}")
            return None if line is None else self.submit(task)
        if isinstance(failure, InputError | FloatingPointError):
            return self._fail(f"{task.name}: {failure}")
        self._tries[task.name] += 1
        reason = failure or future.status
        if self._tries[task.name] == TRIES:
            return self._fail(f"{task.name}: given up after {TRIES} failures: {reason}")
        self._say(f"{task.name}: its worker failed ({reason}), the interval is painted again")
        self.submit(task)

    def _fail(self, line: str) -> None:
        self.failures.append(line)
        self._say(line)


def _perform(inputs: dict[str, bytes | None], work: Callable[..., object], *arguments: object) -> object:
    """On a worker: do an interval. Returns what `work` returns; None if the worker lacks inputs."""
    from distributed import get_worker

    store = Path(get_worker().local_directory) / "nst_graph"
    for name, content in inputs.items():
        path = store / name
        if not path.exists():
            if content is None:
                return None
            path.parent.mkdir(parents=True, exist_ok=True)
            with files.atomic(path) as file:
                file.write(content)
    return work(store, *arguments)
