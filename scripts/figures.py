#!/usr/bin/env python3
"""Paint and lay out the paper's figures: see --help, and docs/figures.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # python -P does not

if __name__ == "__main__":
    from start import start

    sys.exit(start("figures"))
