#!/usr/bin/env python3
"""Put VGG weights into model/, or say what a file of weights is: see --help, and README.md."""

import sys

from nst_graph.commands.get_weights import main

if __name__ == "__main__":
    sys.exit(main())
