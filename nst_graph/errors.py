"""The one exception that means: the user can mend this."""


class InputError(Exception):
    """A file or an option is wrong; its text is one line that names it and says the remedy."""


class Pause(Exception):  # noqa: N818, it is no error
    """An observer ends a run for now; its state is kept, to be gone on with."""
