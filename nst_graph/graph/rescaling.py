"""Rescaling a network so that every filter's mean activation is one (Gatys et al. 2016, section 2)."""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from nst_graph.graph import vgg
from nst_graph.graph.tensorflow import session, tf
from nst_graph.pictures import Picture
from nst_graph.weights import Conv, Network

Scales = Mapping[str, npt.NDArray[np.float64]]


def mean_activations(network: Network, pictures: Iterable[Picture]) -> Scales:
    """Each filter's mean over all positions of pictures as large as Network.smallest_side wants, [filters] by layer."""
    names = [conv.name for conv in network.convolutions]
    with tf.Graph().as_default() as graph, session(graph) as running:
        picture = tf.placeholder(tf.float32, (None, None, 3))
        features = vgg.build(network, picture, "average")
        averages = {name: tf.reduce_mean(features[name], [0, 1, 2]) for name in names}
        measured = [
            (running.run(averages, {picture: shown}), {name: network.positions(shown, name) for name in names})
            for shown in pictures  # one by one: all of them may be more than memory holds
        ]
    means, positions = zip(*measured, strict=True)
    return {
        name: np.average([mean[name] for mean in means], axis=0, weights=[count[name] for count in positions])
        for name in names
    }


def rescale(network: Network, scales: Scales) -> Network:
    """Divide every filter's features by its scale, leaving the network's function as it is.

    Rectifiers and poolings are positively homogeneous, so a filter's weights and bias are divided
    and the next layer's matching inputs multiplied. Filters of scale 0, which never fire, stay.
    """
    layers, before = [], None
    for layer in network.layers:
        if isinstance(layer, Conv):
            scale = np.where(scales[layer.name] > 0, scales[layer.name], 1.0)
            kernel = layer.kernel if before is None else layer.kernel * before[:, None]
            layer = Conv(layer.name, (kernel / scale).astype(np.float32), (layer.bias / scale).astype(np.float32))
            before = scale
        layers.append(layer)
    return Network(tuple(layers), network.mean, network.layout)
