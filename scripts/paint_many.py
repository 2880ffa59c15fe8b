#!/usr/bin/env python3
"""Paint all of a list, here or on many machines: see --help, and README.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # python -P does not

if __name__ == "__main__":
    from start import start

    sys.exit(start("paint_many"))
