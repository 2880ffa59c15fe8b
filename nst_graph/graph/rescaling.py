from nst_graph.graph.vgg import mean_activations, rescale

__all__ = ["mean_activations", "rescale"]
