"""Commands: what scripts/ and the installed nst-* commands call. Options become settings, errors one line."""
