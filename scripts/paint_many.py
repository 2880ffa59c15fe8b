#!/usr/bin/env python3
"""Paint all of a list, here or on many machines: see --help, and README.md."""

import sys

from start import start

if __name__ == "__main__":
    sys.exit(start("paint_many"))
