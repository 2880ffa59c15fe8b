"""Batches: jobs from lists and shots of films, and what does them, here in sequence or on many machines."""
