from nst_graph.graph.tensorflow import fastest_precision as fastest

__all__ = ["fastest"]
