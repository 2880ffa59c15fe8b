"""Processes: tasks are done side by side on this machine, each by a process of its own, which opens no port."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any, Protocol

from nst_graph import news, signals
from nst_graph.errors import InputError

#: What ends a task without ending the others.
FAILURES = (InputError, FloatingPointError, MemoryError, OSError)
#: Deaths of a task's processes, without progress between them, after which it is given up.
TRIES = 5
#: A fork would not have TensorFlow's threads.
CONTEXT = multiprocessing.get_context("spawn")


class Task(Protocol):
    """What a process does, and another goes on with if it dies."""

    @property
    def name(self) -> str:
        """What news of it begin with."""
        ...

    def work(self) -> Callable[["Send"], object]:
        """What is left to do, which is pickled; it sends how far it is, from 1, and its results."""
        ...

    def receive(self, result: Any) -> None:
        """Keep a result. Raises one of FAILURES if it cannot be kept."""
        ...


class Send(Protocol):
    """Sends a line of news, how far the task is, and a result from a process."""

    def __call__(self, line: str, reached: int = 0, result: Any = None) -> None: ...


def share(tasks: Sequence[Task], workers: int, say: Callable[[str], None]) -> list[str]:
    """Do tasks, so many at a time; returns a line for each failure.

    A process that dies is followed by one that does what is left. After Ctrl-C or SIGTERM each process ends by
    KeyboardInterrupt, which then passes through.
    """
    crew = _Crew(say)
    with ThreadPoolExecutor(workers, initializer=_block_ctrl_c) as threads:
        futures = [threads.submit(crew.do, task) for task in tasks]
        try:
            return [line for future in futures if (line := future.result()) is not None]
        except BaseException:
            crew.stop()
            raise


def _block_ctrl_c() -> None:
    """Keep Ctrl-C, which a terminal sends to all, from the processes that this thread starts: they are stopped once."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        resource_tracker.ensure_running()  # now, as the first process would start it, which unblocks Ctrl-C
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


class _Crew:
    """The processes at work."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._lock, self._keeping = threading.Lock(), threading.Lock()
        self._running: set[SpawnProcess] = set()
        self._stopped = False

    def stop(self) -> None:
        """Interrupt all processes, and start no other."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()

    def do(self, task: Task) -> str | None:
        """Do a task to its end; returns a line if it fails."""
        deaths = furthest = 0
        while deaths < TRIES:
            here, there = CONTEXT.Pipe(duplex=False)
            process = CONTEXT.Process(target=_work, args=(task.work(), there), daemon=True)
            with self._lock:
                if self._stopped:
                    return None
                process.start()
                self._running.add(process)
            there.close()  # so that the end of the process is the end of the pipe
            reached, failure = self._listen(task, here, process, furthest)
            process.join()
            with self._lock:
                self._running.remove(process)
                if self._stopped or failure is not None:
                    return self._failed(failure) if failure else None
            deaths = deaths + 1 if reached == furthest else 1
            furthest = reached
            self._say(f"{task.name}: its process ended with status {process.exitcode}, another one goes on")
        return self._failed(f"{task.name}: given up after {TRIES} processes ended with status {process.exitcode}")

    def _failed(self, line: str) -> str:
        self._say(line)
        return line

    def _listen(self, task: Task, pipe: Connection, process: SpawnProcess, furthest: int) -> tuple[int, str | None]:
        """Hear a process to its end: how far it came; and its failure, "" if it finished, None if it died."""
        while True:
            try:
                kind, line, reached, result = pipe.recv()
            except (EOFError, OSError):  # it ended, perhaps while it sent
                return furthest, None
            if kind == "failed":
                return furthest, f"{task.name}: {line}"
            if result is not None:
                try:
                    with self._keeping:
                        task.receive(result)
                except FAILURES as error:
                    process.terminate()
                    return furthest, f"{task.name}: {error}"
            furthest = max(furthest, reached)
            self._say(f"{task.name}: {line}")
            if kind == "finished":
                return furthest, ""


def _work(work: Callable[[Send], object], pipe: Connection) -> None:
    """In a process: work, and send news, results, and how it ended."""

    def stop(number: int, frame: FrameType | None) -> None:
        for ending in signals.ENDING:  # they may come in pairs
            signal.signal(ending, signal.SIG_IGN)
        raise KeyboardInterrupt

    def send(line: str, reached: int = 0, result: Any = None) -> None:
        try:
            pipe.send(("news", line, reached, result))
        except BrokenPipeError:  # nobody is there any more, as _follow is about to find
            stop(signal.SIGTERM, None)

    for number in signals.ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup's
            signal.signal(number, stop)
    threading.Thread(target=_follow, daemon=True).start()
    with suppress(KeyboardInterrupt, BrokenPipeError):
        try:
            work(send)
            pipe.send(("finished", "is finished", 0, None))
        except FAILURES as error:
            news.trace(error)
            pipe.send(("failed", str(error), 0, None))


def _follow() -> None:
    """End this process when the one that started it has ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
