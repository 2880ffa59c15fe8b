"""The graph: a Network on a picture in TensorFlow 1, its losses, and the objective, whole or in tiles."""
