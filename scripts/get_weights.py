#!/usr/bin/env python3
"""Put VGG weights into model/, or say what a file of weights is: see --help, and README.md."""

import sys

from start import start

if __name__ == "__main__":
    sys.exit(start("get_weights"))
