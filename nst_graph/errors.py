"""Exceptions of the program."""


class InputError(Exception):
    """A file or an option is wrong; the message is one line that names it and the remedy."""


class Pause(Exception):  # noqa: N818, it is not an error
    """Raised by an observer to stop a run, which saves its state and can be resumed."""
