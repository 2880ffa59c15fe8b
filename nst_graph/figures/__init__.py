"""Figures: the paper's, matrices and sweeps of one's own pictures, and the authors' notebooks repeated."""
