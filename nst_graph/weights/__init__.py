"""Weights: a Network, its layers with kernels, biases and mean, from MatConvNet's files; and where they come from."""

from nst_graph.weights.network import (
    VGG_MEAN,
    Conv,
    Mirrors,
    Network,
    Pool,
    Relu,
    are_transposed,
    mirrors,
    read,
    write,
)
from nst_graph.weights.store import find

__all__ = [
    "VGG_MEAN",
    "Conv",
    "Mirrors",
    "Network",
    "Pool",
    "Relu",
    "are_transposed",
    "find",
    "mirrors",
    "read",
    "write",
]
