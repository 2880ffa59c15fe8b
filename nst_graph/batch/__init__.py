"""Batches of paintings: jobs from lists, and the workers that paint them, here in sequence or on many machines."""
