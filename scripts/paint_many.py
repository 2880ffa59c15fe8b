#!/usr/bin/env python3
"""Paint all of a list, here or on many machines: see --help, and README.md."""

import sys

from nst_graph.commands.paint_many import main

if __name__ == "__main__":
    sys.exit(main())
