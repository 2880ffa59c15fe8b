#!/usr/bin/env python3
"""Paint a photograph in the style of a painting: see --help, and README.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # python -P does not

if __name__ == "__main__":
    from start import start

    sys.exit(start("paint"))
