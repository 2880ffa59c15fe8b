"""Runs: what a painting leaves in its directory, and how it is gone on with.

A Run is an observer of the optimiser's steps. Its directory lists the files that are the run's own; its record
says what it was begun with; its state is what it takes to go on.
"""
