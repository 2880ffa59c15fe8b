"""A Network as a TensorFlow 1.x graph: convolution, rectifier and pooling, built by hand."""

from __future__ import annotations

from nst_graph import winograd
from nst_graph.tensorflow import tf
from nst_graph.weights import Conv, Network, Relu

POOLINGS = {"average": tf.nn.avg_pool2d, "max": tf.nn.max_pool2d}


def build(
    network: Network,
    picture: tf.Tensor,
    pooling: str = "average",
    compute: tf.DType | None = None,
    fewer: bool = False,
) -> dict[str, tf.Tensor]:
    """Build the network on a picture [height, width, 3], RGB in 0..255.

    Returns each convolution's features after its rectifier, by the convolution's name, each
    [1, height, width, filters], in the picture's floating type. Convolutions pad with zeros and
    keep the size. Pooling rounds odd sizes down: a last single row or column is left out, as
    MatConvNet does with VGG's padding of 0, and as the authors' PyTorch code does.

    `compute` is the type of all convolutions but the first, which sees the pixels and is cheap:
    it keeps the picture's type, so that neither they nor their gradient are rounded. With `fewer`
    multiplications they are Winograd's where those are faster, and not of a narrower type.
    """
    given = picture.dtype
    features = {}
    tensor = tf.expand_dims(picture - network.mean.astype(given.as_numpy_dtype), 0)
    for layer in network.layers:
        if isinstance(layer, Conv):
            bias = tf.constant(layer.bias, tensor.dtype, name=f"{layer.name}_bias")
            by = winograd.fastest(tensor.shape, layer.kernel) if fewer and tensor.dtype == given else None
            if by is not None:
                tensor = winograd.convolve(tensor, layer.kernel, by)
            else:
                kernel = tf.constant(layer.kernel, tensor.dtype, name=f"{layer.name}_kernel")
                tensor = tf.nn.conv2d(tensor, kernel, strides=1, padding="SAME", name=layer.name)
            tensor = tf.nn.bias_add(tensor, bias)
        elif isinstance(layer, Relu):
            tensor = tf.nn.relu(tensor)
            tensor = features[layer.name] = tf.cast(tensor, compute or given)
        else:
            tensor = POOLINGS[pooling](tensor, ksize=2, strides=2, padding="VALID", name=layer.name)
    return features
