"""A Network as a TensorFlow 1.x graph: convolution, rectifier and pooling, built by hand; and networks rescaled."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nst_graph.images import Picture
from nst_graph.model import winograd
from nst_graph.model.tensorflow import has_bfloat16, session, tf
from nst_graph.weights import Conv, Network, Relu

Scales = Mapping[str, npt.NDArray[np.float64]]

#: Which row or column, counted from the border, the first convolution sees again beyond it. The others keep
#: VGG's zeros: where all convolutions saw values again, paintings had loud colours ten pixels and more from the border.
PAD_OFFSET = {"replicate": 1, "reflect": 2}
#: By which style-transfer-pytorch multiplies the root of a sum of four squares, to keep the size of features; and
#: the least such sum, whose gradient is zero.
L2_SCALE, LEAST_SQUARES = 0.78, 1e-12


def build(
    network: Network,
    picture: tf.Tensor,
    pooling: str = "average",
    compute: tf.DType | None = None,
    convolutions: str = "direct",
    padding: str = "zeros",
) -> dict[str, tf.Tensor]:
    """Build the network on a picture [height, width, 3], RGB in 0..255.

    Returns each convolution's features after its rectifier, by the convolution's name, each
    [1, height, width, filters], in the picture's floating type. Convolutions keep the size: the first pads
    as `padding` says, the others with zeros. Pooling rounds odd sizes down: a last single row or column is
    left out, as MatConvNet does with VGG's padding of 0, and as the authors' PyTorch code does.

    `compute` is the type of all convolutions but the first, which sees the pixels and is cheap:
    it keeps the picture's type, so that neither they nor their gradient are rounded. A processor
    without products of bfloat16 multiplies the same rounded numbers in the picture's type: TensorFlow's
    own bfloat16 would there round sums before biases are added, and again after. Convolutions that are
    not of a narrower type are Winograd's where those are faster, unless `convolutions` are to be "direct".
    """
    picture_dtype = picture.dtype
    dtype = picture_dtype if compute is None or not has_bfloat16() else compute

    def rounded(values: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.cast(values, compute or picture_dtype), dtype)

    by_winograd = compute is None and convolutions != "direct"
    features: dict[str, tf.Tensor] = {}
    cut: winograd.Tiling | None = None
    tensor, first = _bordered(picture - network.mean.astype(picture_dtype.as_numpy_dtype), padding)
    for layer in network.layers:
        if isinstance(layer, Conv):
            bias = tf.constant(layer.bias, tensor.dtype, name=f"{layer.name}_bias")
            transform = winograd.fastest(tensor.shape, layer.kernel) if by_winograd else None
            if transform is not None:
                cut = cut or winograd.tiling(tensor, transform, max(layer.kernel.shape[2:]))
                tensor = winograd.convolve(tensor, layer.kernel, cut)
            else:
                kernel = tf.constant(layer.kernel, picture_dtype, name=f"{layer.name}_kernel")
                kernel, around = (rounded(kernel), "SAME") if features else (kernel, first)
                tensor = tf.nn.conv2d(tensor, kernel, strides=1, padding=around, name=layer.name)
            tensor = tf.nn.bias_add(tensor, bias)
        elif isinstance(layer, Relu):
            tensor = features[layer.name] = rounded(tf.nn.relu(tensor))
        else:
            tensor = POOLINGS[pooling](tensor, ksize=2, strides=2, padding="VALID", name=layer.name)
            tensor, cut = rounded(tensor), None
    return features


def _l2_pool(values: tf.Tensor, **window: Any) -> tf.Tensor:
    sums = 4 * tf.nn.avg_pool2d(tf.square(values), **window)
    return L2_SCALE * tf.sqrt(tf.maximum(sums, tf.constant(LEAST_SQUARES, values.dtype)))


POOLINGS = {"average": tf.nn.avg_pool2d, "max": tf.nn.max_pool2d, "l2": _l2_pool}


def _bordered(values: tf.Tensor, padding: str) -> tuple[tf.Tensor, str]:
    """Values [height, width, 3] as the first convolution takes them, and the padding that TensorFlow is to add.

    Of a single row or column the reflection is itself.
    """
    if padding == "zeros":
        return values[None], "SAME"
    near = PAD_OFFSET[padding]
    values = tf.concat([values[:near][-1:], values, values[-near:][:1]], 0)
    return tf.concat([values[:, :near][:, -1:], values, values[:, -near:][:, :1]], 1)[None], "VALID"


def mean_activations(network: Network, pictures: Iterable[Picture]) -> Scales:
    """Each filter's mean over all positions of pictures as large as Network.smallest_side wants, [filters] by layer."""
    with tf.Graph().as_default() as graph, session(graph) as running:
        picture = tf.placeholder(tf.float32, (None, None, 3))
        means = {name: tf.reduce_mean(tensor, [0, 1, 2]) for name, tensor in build(network, picture).items()}
        measured = [
            (running.run(means, {picture: shown}), {name: network.positions(shown, name) for name in means})
            for shown in pictures  # one by one: all of them may be more than memory holds
        ]
    return {
        name: np.average([mean[name] for mean, _ in measured], axis=0, weights=[count[name] for _, count in measured])
        for name in means
    }


def rescale(network: Network, scales: Scales) -> Network:
    """Divide every filter's features by its scale, leaving what the network computes (Gatys et al. 2016, section 2).

    Rectifiers and poolings are positively homogeneous, so a filter's weights and bias are divided
    and the next layer's matching inputs multiplied. Filters of scale 0, which never fire, stay.
    """
    layers, previous = [], np.ones(1)
    for layer in network.layers:
        if isinstance(layer, Conv):
            scale = np.where(scales[layer.name] > 0, scales[layer.name], 1.0)
            kernel, bias = layer.kernel * previous[:, None] / scale, layer.bias / scale
            layer = Conv(layer.name, kernel.astype(np.float32), bias.astype(np.float32))
            previous = scale
        layers.append(layer)
    return Network(tuple(layers), network.mean, network.layout)
