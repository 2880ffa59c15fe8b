"""Exceptions of the program."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager


def flag(option: str) -> str:
    """How an option is called on the command line."""
    return f"--{option.replace('_', '-')}"


class InputError(ValueError):
    """A file or an option is wrong; the message is one line that names it and the remedy.

    >>> nst_graph.Settings(beta=-1)
    Traceback (most recent call last):
    nst_graph.errors.OptionError: beta: -1; give a number from 0 to 1e30
    """


class OptionError(InputError):
    """An option has a value that cannot be used: what str() tells in Python's words, `command_line` in a command's."""

    def __init__(self, option: str, value: str, remedy: str) -> None:
        value = value or "none"
        super().__init__(option, value, remedy)
        self.command_line = f"{flag(option)} {value}: {remedy}"

    def __str__(self) -> str:
        return "{}: {}; {}".format(*self.args)


class Pause(Exception):  # noqa: N818, it is not an error
    """Raised by an observer to stop a run, which saves its state and can be resumed."""


class DamagedError(ValueError):
    """A file, an image or a profile is not what its format says."""


@contextmanager
def decoding(*passing: type[Exception]) -> Iterator[None]:
    """Around one call of a library, which may raise anything if bytes are damaged: raises DamagedError.

    Errors of the disk pass, and those that are named.
    """
    try:
        yield
    except passing:
        raise
    except Exception as error:
        # Damaged bytes may name an offset that cannot be: EINVAL.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise DamagedError(f"{type(error).__name__}: {error}") from error
