#!/usr/bin/env python3
"""Put VGG weights into model/, or say what a file of weights is: see --help, and README.md."""

import sys

if __name__ == "__main__":
    try:
        from nst_graph.commands.get_weights import main

        sys.exit(main())
    except KeyboardInterrupt:  # while modules are imported
        sys.exit(130)
