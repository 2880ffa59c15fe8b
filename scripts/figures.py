#!/usr/bin/env python3
"""Paint and lay out the paper's figures: see --help, and docs/figures.md."""

import sys

from start import start

if __name__ == "__main__":
    sys.exit(start("figures"))
