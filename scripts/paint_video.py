#!/usr/bin/env python3
"""Paint a film in the style of a painting: see --help, and docs/video.md."""

import sys

if __name__ == "__main__":
    try:
        from nst_graph.commands.paint_video import main

        sys.exit(main())
    except KeyboardInterrupt:  # while modules are imported
        sys.exit(130)
