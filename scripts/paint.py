#!/usr/bin/env python3
"""Paint a photograph in the style of a painting: see --help, and README.md."""

import sys

from nst_graph.commands.paint import main

if __name__ == "__main__":
    sys.exit(main())
