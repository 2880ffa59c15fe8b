#!/usr/bin/env python3
"""Paint a photograph in the style of a painting: see --help, and README.md."""

import sys

from start import start

if __name__ == "__main__":
    sys.exit(start("paint"))
