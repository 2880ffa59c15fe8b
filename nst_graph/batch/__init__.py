"""Batches: many paintings, from lists, here or on many machines."""
