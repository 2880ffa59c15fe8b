"""python -m nst_graph is scripts/paint.py."""

import sys

from nst_graph.commands.paint import main

if __name__ == "__main__":
    sys.exit(main())
