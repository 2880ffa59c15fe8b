"""What is run in a process of its own, and may be waited for, interrupted and killed."""

import subprocess
import sys
import time

from conftest import command


def start_script(name, *arguments, **options):
    """Begin to run a script as a user does."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command(name, *arguments), **pipes | options)


def run_python(code, *arguments, **options):
    """Run lines of Python in a process of their own."""
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=600, **options)


def wait_until(happened, process, seconds=200):
    """Wait for what a process that goes on brings about."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
