"""Signals: which of them interrupt a painting, and when they do not."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any

#: Those that ask a process to end, SIGUSR1 as schedulers send it before they end a job; Windows lacks some.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
ENDING = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


def ignored() -> AbstractContextManager[None]:
    """Ignore Ctrl-C and what else ends a process while what has been painted is saved: they often come in pairs."""
    return _handled_by(signal.SIG_IGN)


@contextmanager
def deferred() -> Iterator[None]:
    """Put Ctrl-C and what else ends a process off to the end of this, while a state is between two steps."""
    late: list[int] = []
    with _handled_by(lambda number, frame: late.append(number)):
        yield
    for number in late[:1]:
        signal.raise_signal(number)


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], Any] | signal.Handlers) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # which alone is interrupted
        yield
        return
    # A handler that was not set from Python, None, could not be put back; what is ignored stays so.
    previous = {number: old for number in ENDING if (old := signal.getsignal(number)) not in (None, signal.SIG_IGN)}
    try:
        for number in previous:
            signal.signal(number, handler)
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
