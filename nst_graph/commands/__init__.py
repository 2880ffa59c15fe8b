"""Commands: options to settings, errors to one line; what scripts/ call."""
