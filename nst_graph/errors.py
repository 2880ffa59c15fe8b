"""The one exception that means: the user can mend this."""


class InputError(Exception):
    """A file or an option is wrong; its text is one line that names it and says the remedy."""
