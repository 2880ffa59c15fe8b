"""Commands: the code of scripts/ and of the installed nst-* commands: options to settings, errors to one line."""
