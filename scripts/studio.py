#!/usr/bin/env python3
"""Open a page to paint on, on this machine: see --help, and docs/studio.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # python -P does not

if __name__ == "__main__":
    from start import start

    sys.exit(start("studio"))
