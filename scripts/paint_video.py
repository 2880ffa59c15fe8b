#!/usr/bin/env python3
"""Paint a film in the style of a painting: see --help, and docs/video.md."""

import sys

from start import start

if __name__ == "__main__":
    sys.exit(start("paint_video"))
