"""Runs: the directory of a painting, what is written there, and how it is gone on with."""
