"""Signals: which of them interrupt a painting, and when they do not."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Those that ask a process to end; Windows has no SIGHUP.
ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def ignored() -> Iterator[None]:
    """Ignore Ctrl-C, SIGTERM and SIGHUP while what has been painted is saved: they often come in pairs."""
    if threading.current_thread() is not threading.main_thread():  # which alone is interrupted
        yield
        return
    # None: a handler that was not set from Python, which could not be put back.
    before = {number: handler for number in ENDING if (handler := signal.getsignal(number)) is not None}
    try:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
