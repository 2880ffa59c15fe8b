"""The model: a Network as a graph in TensorFlow 1, the losses on its features, and the objective they make.

An objective is a callable: a picture to an Evaluation. Whole, in strips or in bfloat16, it is called the same way.
"""
