"""Places: paths by the names that people give, the directories of weights and paintings, the names of commands."""

import os
import re
from contextlib import suppress
from pathlib import Path

import platformdirs

from nst_graph.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
#: Whether this is a checkout of the project, not an installed package.
CHECKOUT = (ROOT / "setup.py").is_file() and (ROOT / "scripts").is_dir()


def here() -> Path:
    """The current directory; an empty path if it was removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path()


def path(name: str | os.PathLike[str], base: Path | None = None) -> Path:
    """The path of that name, as seen from `base`: ~ and ~user are home directories, and ./~ is a file called ~.

    Raises InputError where the name is empty, or an address, or the home directory is not known.
    """
    if not (text := os.fspath(name)):
        raise InputError("a name is empty; name a file or a directory")
    if re.match(r"[a-z][a-z0-9+.-]+://|https?:/", text, re.IGNORECASE):  # a Path has one slash
        raise InputError(f"{text}: an address, not a file; download it first, and name the file")
    if text.startswith("~"):
        with suppress(ValueError):  # a null character
            text = os.path.expanduser(text)
        if text == "~" or (text.startswith("~") and os.path.dirname(text)):
            raise InputError(f"{text}: that home directory is not known; write the whole path, or ./{text}")
    place = Path(text)
    if base is None and str(place).startswith("~"):
        base = here()  # so that ./~ is the same when it is parsed again
    return base / place if base else place


def _model() -> Path | None:
    home = os.environ.get("NST_GRAPH_HOME")
    try:
        return path(home) if home else ROOT / "model" if CHECKOUT else path(platformdirs.user_cache_path("nst_graph"))
    except (InputError, RuntimeError):  # RuntimeError: platformdirs knows no home directory
        return None


#: The directory of the weights: NST_GRAPH_HOME, a checkout's model/, or the user's cache; None if no home is known.
MODEL = _model()
#: The default directory of runs: output/ in the checkout or in the current directory.
OUTPUT = (ROOT if CHECKOUT else here()) / "output"
#: Where defects are reported; OWNER is known once the project is published.
ISSUES = "https://github.com/OWNER/nst_graph/issues"


def model() -> Path:
    """The directory of the weights. Raises InputError if there is none."""
    if MODEL is None:
        raise InputError("no directory is known for weights; set NST_GRAPH_HOME to one")
    return MODEL


def command(name: str) -> str:
    """How to call a command: python scripts/get_weights.py in a checkout, nst-get-weights if installed."""
    return f"python scripts/{name}.py" if CHECKOUT else f"nst-{name.replace('_', '-')}"


def program(name: str) -> str:
    """A command's name in its messages: get_weights.py or nst-get-weights."""
    return Path(command(name)).name
