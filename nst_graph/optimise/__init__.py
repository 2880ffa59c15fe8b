"""Optimisers: from an objective and a start to steps."""
