"""Runs: what a painting writes into its directory, and how it is resumed.

A Run is an observer of the optimiser's steps. Its directory lists the files it has written, its record
says what it was begun with, and its state is all that is needed to resume it.
"""
