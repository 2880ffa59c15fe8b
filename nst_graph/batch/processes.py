"""Processes: jobs are painted side by side on this machine, each by a process of its own, which opens no port."""

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

from nst_graph import signals
from nst_graph.batch.jobs import Job
from nst_graph.errors import InputError
from nst_graph.optimise import Step

#: What ends a job without ending the others.
FAILURES = (InputError, FloatingPointError, MemoryError, OSError)
#: Deaths of a job's processes, without progress between them, after which it is given up.
TRIES = 5
#: A fork would not have TensorFlow's threads.
CONTEXT = multiprocessing.get_context("spawn")


def share(paint: Callable[..., object], jobs: Sequence[Job], workers: int, say: Callable[[str], None]) -> list[str]:
    """Paint jobs by `paint`, so many at a time, going on with those that were begun; returns a line for each failure.

    A process that dies is followed by one that goes on from the last saved state. After Ctrl-C or SIGTERM
    each process saves its state, and KeyboardInterrupt passes through.
    """
    crew = _Crew(paint, say)
    with ThreadPoolExecutor(workers, initializer=_block_ctrl_c) as threads:
        futures = [threads.submit(crew.paint, job) for job in jobs]
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
    """The processes that paint."""

    def __init__(self, paint: Callable[..., object], say: Callable[[str], None]) -> None:
        self._paint, self._say = paint, say
        self._lock = threading.Lock()
        self._running: set[SpawnProcess] = set()
        self._stopped = False

    def stop(self) -> None:
        """Let all processes save their states and end, and start no other."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()

    def paint(self, job: Job) -> str | None:
        """Paint a job to its end; returns a line if it fails."""
        deaths = furthest = 0
        while deaths < TRIES:
            here, there = CONTEXT.Pipe(duplex=False)
            process = CONTEXT.Process(target=_work, args=(self._paint, job, there), daemon=True)
            with self._lock:
                if self._stopped:
                    return None
                process.start()
                self._running.add(process)
            there.close()  # so that the end of the process is the end of the pipe
            kind = line = ""
            with suppress(EOFError, OSError):  # it ends as its process does
                while True:
                    kind, line, iteration = here.recv()
                    self._say(f"{job.output}: {line}")
                    if iteration > furthest:
                        deaths, furthest = 0, iteration
            process.join()
            with self._lock:
                self._running.remove(process)
                if self._stopped or kind == "finished":
                    return None
            if kind == "failed":
                return f"{job.output}: {line}"
            deaths += 1
            self._say(f"{job.output}: its process ended with status {process.exitcode}, another one goes on")
        return f"{job.output}: given up after {TRIES} processes ended with status {process.exitcode}"


def _work(paint: Callable[..., object], job: Job, pipe: Connection) -> None:
    """In a process: paint, and send news, saved iterations, and how it ended."""

    def stop(number: int, frame: FrameType | None) -> None:
        for ending in signals.ENDING:  # they may come in pairs
            signal.signal(ending, signal.SIG_IGN)
        raise KeyboardInterrupt

    def send(line: str, kind: str = "news", iteration: int = 0) -> None:
        pipe.send((kind, line, iteration))

    def report(step: Step) -> None:
        if step.iteration % job.settings.save_every == 0:
            send(f"iteration {step.iteration} of {last}, loss {step.total:.4g}", iteration=step.iteration)

    for number in signals.ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup's
            signal.signal(number, stop)
    threading.Thread(target=_follow, daemon=True).start()
    last = sum(job.settings.scale_iterations) + job.settings.iterations
    try:
        paint(job, send, [report], resume=(job.output / "run.json").exists())
        send("is finished", "finished")
    except FAILURES as error:
        send(str(error), "failed")
    except KeyboardInterrupt:
        pass


def _follow() -> None:
    """End this process when the one that started it has ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
