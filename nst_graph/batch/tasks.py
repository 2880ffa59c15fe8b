"""Tasks, paintings or shots of films: done by processes of this machine, or by dask's cluster of many machines."""

import importlib.util
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from functools import partial
from multiprocessing import connection, resource_tracker
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from nst_graph import files, news, signals
from nst_graph.errors import InputError

Say = Callable[[str], None]
#: Sends a line of news, and results; None where there are none.
Send = Callable[[str, Any], None]
NO_PATHS = "--init, --style-detail: the pictures that they name do not travel to a cluster; paint with --workers"
#: What ends a task without ending the others.
FAILURES = (InputError, FloatingPointError, MemoryError, OSError)
#: Deaths of a task's processes, without results between them, or failures of an interval, after which it is given up.
TRIES = 5
#: Tasks on their way for each thread of a cluster: while results of one are written, another is done.
AHEAD = 2
#: A fork would not have TensorFlow's threads.
CONTEXT = multiprocessing.get_context("spawn")


class Task(Protocol):
    """A painting, or a shot of a film.

    `work` is what is left to do, for a process. `interval` is what is next, for a worker of a cluster, which calls it
    with the `inputs` and sends back a line of news, None if the task is finished, and results. Both are pickled.
    `receive` keeps results, and raises one of FAILURES if it cannot. News begin with the `name`.
    """

    @property
    def name(self) -> str: ...
    def work(self) -> Callable[[Send], object]: ...
    def inputs(self) -> list[Path]: ...
    def interval(self) -> Callable[[list[Path]], tuple[str | None, Any]]: ...
    def receive(self, results: Any) -> None: ...


def by_processes(tasks: Sequence[Task], workers: int, say: Say) -> list[str]:
    """Do tasks, so many at a time, each by a process of its own; returns a line for each failure.

    A process that dies is followed by one that does what is left. After Ctrl-C or SIGTERM each process ends by
    KeyboardInterrupt, which then passes through.
    """

    def stop() -> None:
        for process in multiprocessing.active_children():
            process.terminate()

    return _do(tasks, _by_process, lambda: workers, stop, say)


def by_cluster(tasks: Sequence[Task], client: Any, say: Say) -> list[str]:
    """Do tasks on dask's cluster; returns a line for each failure.

    Its machines need no common disk: inputs travel to a worker, and the results of each interval come back. The
    interval of a worker that dies is done by another one.
    """
    # Pictures and weights are large, and have to be sent.
    warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
    say(f"dask dashboard: {client.dashboard_link}")

    def room() -> int:
        return max(1, AHEAD * sum(map(int, client.nthreads().values())))

    return _do(tasks, partial(_by_workers, client), room, client.close, say)


def _do(
    tasks: Sequence[Task],
    work: Callable[[Task, threading.Event], Generator[tuple[str, Any]]],
    room: Callable[[], int],
    stop: Callable[[], object],
    say: Say,
) -> list[str]:
    """Do tasks, as many at a time as there is `room` for; `stop` ends all work. Returns a line for each failure."""
    lock, stopped = threading.Lock(), threading.Event()

    def do(task: Task) -> str | None:
        try:
            with closing(work(task, stopped)) as messages:
                for line, results in messages:
                    if results is not None:
                        with lock:
                            task.receive(results)
                    say(f"{task.name}: {line}")
        except FAILURES as error:
            if not stopped.is_set():
                say(f"{task.name}: {error}")
                return f"{task.name}: {error}"
        return None

    futures = list[Future[str | None]]()
    with ThreadPoolExecutor(max(1, len(tasks)), initializer=block_ctrl_c) as threads:
        try:
            for task in tasks:
                while len(busy := [future for future in futures if not future.done()]) >= room():
                    wait(busy, 1, FIRST_COMPLETED)
                futures.append(threads.submit(do, task))
            return [failure for future in futures if (failure := future.result())]
        except BaseException:
            stopped.set()
            while wait(futures, 0.1).not_done:  # also what is about to start
                stop()
            raise


def block_ctrl_c() -> None:
    """Keep Ctrl-C, which a terminal sends to all, from the processes that this thread starts: they are stopped once."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        resource_tracker.ensure_running()  # now, as the first process would start it, which unblocks Ctrl-C
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _by_process(task: Task, stopped: threading.Event) -> Generator[tuple[str, Any]]:
    """Lines and results of a task. Raises InputError where it fails."""
    deaths = 0
    while deaths < TRIES and not stopped.is_set():
        pipe, there = CONTEXT.Pipe(duplex=False)
        process = CONTEXT.Process(target=_work, args=(task.work(), there), daemon=True)
        process.start()
        there.close()  # so that the end of the process is the end of the pipe
        try:
            while (message := pipe.recv()) is not None:
                if isinstance(message, InputError):
                    raise message
                yield message
                deaths = deaths if message[1] is None else 0
            yield "is finished", None
            return
        except (EOFError, OSError):  # it ended, perhaps while it sent
            deaths += 1
        except GeneratorExit:  # what it sent could not be kept
            process.terminate()
            raise
        finally:
            pipe.close()  # or it might wait until somebody reads
            process.join()
        if not stopped.is_set():
            yield f"its process ended with status {process.exitcode}, another one goes on", None
    if deaths == TRIES:
        raise InputError(f"given up after {TRIES} processes ended with status {process.exitcode}")


def _work(work: Callable[[Send], object], pipe: connection.Connection) -> None:
    """In a process: work, and send news with results, then None, or the error that ended it."""

    def send(line: str, results: Any = None) -> None:
        try:
            pipe.send((line, results))
        except BrokenPipeError:  # nobody is there any more, as _follow is about to find
            _stop(signal.SIGTERM, None)

    end_with_parent()
    with suppress(KeyboardInterrupt, BrokenPipeError):
        try:
            work(send)
            pipe.send(None)
        except FAILURES as error:
            news.trace(error)
            pipe.send(InputError(str(error)))


def end_with_parent() -> None:
    """In a process: raise KeyboardInterrupt once, at the first signal, or when the one that started it has ended."""
    for number in signals.ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup's
            signal.signal(number, _stop)
    threading.Thread(target=_follow, daemon=True).start()


def _stop(number: int, frame: FrameType | None) -> None:
    for ending in signals.ENDING:  # they may come in pairs
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt


def _follow() -> None:
    """End this process when the one that started it has ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def connect(scheduler: str) -> Any:
    """A client of dask's cluster, a context manager. Raises InputError if dask is missing, or no cluster answers."""
    if importlib.util.find_spec("distributed") is None:
        raise InputError("--scheduler: needs dask.distributed; pip install 'nst_graph[many]'")
    from distributed import Client

    try:
        return Client(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {scheduler}: {error or 'no answer'}; start one there") from error


def _by_workers(client: Any, task: Task, stopped: threading.Event) -> Generator[tuple[str, Any]]:
    """Lines and results of a task. Raises one of FAILURES where it fails."""
    yield "paints", None
    line, with_inputs = "", False
    while line is not None and not stopped.is_set():
        inputs = [(f"{files.sha256(path)}/{path.name}", path) for path in task.inputs()]
        contents = [(name, path.read_bytes() if with_inputs else None) for name, path in inputs]
        future = client.submit(_on_worker, contents, task.interval(), pure=False, retries=TRIES)
        try:
            answer = future.result()
        except Exception as error:
            raise InputError(f"its workers failed: {error}") from error
        if isinstance(answer, Exception):
            raise answer
        with_inputs = answer is None
        if answer is not None:
            line, results = answer
            yield line or "is finished", results


def _on_worker(inputs: list[tuple[str, bytes | None]], interval: Callable[[list[Path]], object]) -> object:
    """Do an interval; returns what it returns, or an error that no other worker would mend, or None without inputs."""
    from distributed import get_worker

    store = Path(get_worker().local_directory) / "nst_graph"
    for name, content in inputs:
        path = store / name
        if not path.exists():
            if content is None:
                return None
            path.parent.mkdir(parents=True, exist_ok=True)
            with files.atomic(path) as file:
                file.write(content)
    try:
        return interval([store / name for name, _ in inputs])
    except (InputError, FloatingPointError) as error:
        return error
