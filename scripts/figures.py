#!/usr/bin/env python3
"""Paint and lay out the paper's figures: see --help, and docs/figures.md."""

import sys

if __name__ == "__main__":
    try:
        from nst_graph.commands.figures import main

        sys.exit(main())
    except KeyboardInterrupt:  # while modules are imported
        sys.exit(130)
