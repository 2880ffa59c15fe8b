"""Rescaling a network so that every filter's mean activation is one (Gatys et al. 2016, section 2)."""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from nst_graph.graph import vgg
from nst_graph.graph.tensorflow import session, tf
from nst_graph.pictures import Picture
from nst_graph.weights import Conv, Network

Scales = Mapping[str, npt.NDArray[np.float64]]


def mean_activations(network: Network, pictures: Iterable[Picture], pooling: str = "average") -> Scales:
    """Each filter's mean activation over all positions of all pictures, [filters] by layer.

    Pictures must be as large as Network.smallest_side wants.
    """
    names = [conv.name for conv in network.convolutions]
    sums = {name: np.zeros(conv.bias.size) for name, conv in zip(names, network.convolutions, strict=True)}
    positions = dict.fromkeys(names, 0)
    for picture in pictures:
        with tf.Graph().as_default() as graph, session(graph) as running:
            given = tf.placeholder(tf.float32, picture.shape)
            features = vgg.build(network, given, pooling)
            means = running.run({name: tf.reduce_mean(features[name], [0, 1, 2]) for name in names}, {given: picture})
        for name, mean in means.items():
            count = network.positions(picture, name)
            sums[name] += mean.astype(np.float64) * count
            positions[name] += count
    return {name: sums[name] / positions[name] for name in names}


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
