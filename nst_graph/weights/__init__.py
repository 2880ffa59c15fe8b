"""Weights: a Network, read from and written to MatConvNet's files, and the search for its file."""

from nst_graph.weights.network import Conv, Network, Pool, Relu, are_transposed, mirrors, read, write
from nst_graph.weights.sources import find
