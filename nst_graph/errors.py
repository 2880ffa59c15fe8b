"""Exceptions of the program."""

import difflib
import errno
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

#: An option in a message; --images is part of a command.
_OPTION = re.compile(r"(?<![^\s(])--(?!images\b)([a-z][a-z0-9-]*)")


def flag(option: str) -> str:
    """How an option is called on the command line."""
    return f"--{option.replace('_', '-')}"


def in_python(message: str) -> str:
    """A message with the arguments of `paint` in the place of options, such as read_limit for --read-limit."""
    return _OPTION.sub(lambda found: found[1].replace("-", "_"), message.replace("--weights", "weights_file"))


def near(word: str, names: Collection[str], before: str = "") -> str:
    """What to add to an error about a wrong name: one that it begins, or the nearest one, if there is one."""
    meant = [name for name in names if word and name.startswith(word)] or difflib.get_close_matches(word, names, 1)
    return f"; did you mean {before}{meant[0]}?" if meant else ""


class InputError(ValueError):
    """A file or an option is wrong; the message is one line that names it, as Python has it, and the remedy.

    >>> nst_graph.Settings(beta=-1)
    Traceback (most recent call last):
    nst_graph.errors.OptionError: beta: -1; give a number from 0 to 1e30
    """

    @property
    def command_line(self) -> str:
        """The message in the command line's words."""
        return super().__str__()

    def __str__(self) -> str:
        return in_python(re.sub(r"^(--\S+) (.*?): ", r"\1: \2; ", self.command_line))


class OptionError(InputError):
    """An option, its value, which cannot be used, and the remedy."""

    @property
    def command_line(self) -> str:
        option, value, remedy = self.args
        return f"{flag(option)} {value}: {remedy}"

    def __str__(self) -> str:
        return in_python("{}: {}; {}".format(*self.args))


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
