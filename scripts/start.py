"""What the scripts share: starting a command of the package."""

import importlib
import sys


def start(command: str) -> int:
    """Run a command; returns its exit status, 2 where Python has not what it needs."""
    try:
        main = importlib.import_module(f"nst_graph.commands.{command}").main
        return int(main())
    except ModuleNotFoundError as error:
        remedy = "type . .venv/bin/activate, after make paint or README.md's steps"
        sys.stderr.write(f"error: this Python has no {error.name}; {remedy}\n")
        return 2
    except KeyboardInterrupt:  # while modules are imported
        return 130
