"""Places: the directories of weights and paintings, and the names of commands, in a checkout or installed."""

import os
from pathlib import Path

import platformdirs

ROOT = Path(__file__).resolve().parent.parent
#: Whether this is a checkout of the project, not an installed package.
CHECKOUT = (ROOT / "setup.py").is_file() and (ROOT / "scripts").is_dir()
_HOME = os.environ.get("NST_GRAPH_HOME")
#: The directory of the weights: NST_GRAPH_HOME, a checkout's model/, or the user's cache.
MODEL = Path(_HOME) if _HOME else ROOT / "model" if CHECKOUT else platformdirs.user_cache_path("nst_graph")
#: The default directory of runs: output/ in the checkout or in the current directory.
OUTPUT = (ROOT if CHECKOUT else Path.cwd()) / "output"
#: Where defects are reported; OWNER is known once the project is published.
ISSUES = "https://github.com/OWNER/nst_graph/issues"


def command(name: str) -> str:
    """How to call a command: python scripts/get_weights.py in a checkout, nst-get-weights if installed."""
    return f"python scripts/{name}.py" if CHECKOUT else f"nst-{name.replace('_', '-')}"


def program(name: str) -> str:
    """A command's name in its messages: get_weights.py or nst-get-weights."""
    return Path(command(name)).name
