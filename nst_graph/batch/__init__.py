"""Batches: many paintings. Jobs come from lists; workers paint them, one after the other here or on many machines."""
