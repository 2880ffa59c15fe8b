"""Runs: a painting or a film in its directory, and how it goes on.

A Run is an observer of the optimiser's steps. Its record says what it was begun with, and from its state it goes on.
"""
