#!/usr/bin/env python3
"""Paint all of a list, here or on many machines: see --help, and README.md."""

import sys

if __name__ == "__main__":
    try:
        from nst_graph.commands.paint_many import main

        sys.exit(main())
    except KeyboardInterrupt:  # while modules are imported
        sys.exit(130)
