"""A Network as a TensorFlow 1.x graph: convolution, rectifier and pooling, built by hand; and networks rescaled."""

import timeit
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from nst_graph.images import Picture
from nst_graph.model import winograd
from nst_graph.model.tensorflow import gradients, has_bfloat16, initialise, session, tf
from nst_graph.weights import Conv, Network, Pool, Relu

Layer = Conv | Relu | Pool
#: Features [1, height, width, filters], by the name of their convolution or pooling.
Features = dict[str, tf.Tensor]
Scales = Mapping[str, npt.NDArray[np.float64]]

#: Which row or column, counted from the border, the first convolution sees again beyond it. The others keep
#: VGG's zeros: where all convolutions saw values again, paintings had loud colours ten pixels and more from the border.
PAD_OFFSET = {"replicate": 1, "reflect": 2}
#: By which style-transfer-pytorch multiplies the root of a sum of four squares, to keep the size of features; and
#: the least such sum, whose gradient is zero.
L2_SCALE, LEAST_SQUARES = 0.78, 1e-12
#: Height, width and filters of the convolution that tells how fast bfloat16 is, as those of VGG's third block, how
#: often it is tried, and the least gain that pays.
TRIED, TRIES, GAIN = (48, 64, 256), 5, 1.2


@dataclass(frozen=True)
class Build:
    """How a network is built.

    `compute` is the type of all convolutions but the first, which sees the pixels and is cheap:
    it keeps the picture's type, so that neither they nor their gradient are rounded. A processor
    without products of bfloat16 multiplies the same rounded numbers in the picture's type: TensorFlow's
    own bfloat16 would there round sums before biases are added, and again after. Convolutions that are
    not of a narrower type are Winograd's where those are faster, unless `convolutions` are to be "direct".
    """

    pooling: str = "average"
    compute: tf.DType | None = None
    convolutions: str = "direct"
    padding: str = "zeros"
    rounds_up: bool = False

    def first(self, network: Network, picture: tf.Tensor) -> tf.Tensor:
        """What a network's first block takes, of a picture [height, width, 3], RGB in 0..255."""
        return _bordered(picture - network.mean.astype(picture.dtype.as_numpy_dtype), self.padding)

    def block(
        self, layers: Sequence[Layer], tensor: tf.Tensor, dtype: tf.DType, first: bool = False, rows: int | None = None
    ) -> tuple[Features, tf.Tensor]:
        """Build layers on what those before them give, [1, height, width, filters], with a picture of type `dtype`.

        Returns each convolution's features after its rectifier, and each pooling's, by their names, and what the last
        layer gives. Convolutions keep the size: if these are the `first` layers, the first pads as `padding` says, the
        others with zeros. Pooling rounds odd sizes down: a last single row or column is left out, as MatConvNet does
        with VGG's padding of 0, and as the authors' PyTorch code does; or up: it is pooled alone, as in Caffe and
        Torch. Of an unknown height there are about so many `rows`.
        """
        narrow = dtype if self.compute is None or not has_bfloat16() else self.compute

        def rounded(values: tf.Tensor) -> tf.Tensor:
            return tf.cast(tf.cast(values, self.compute or dtype), narrow)

        by_winograd = self.compute is None and self.convolutions != "direct"
        features: Features = {}
        cut: winograd.Tiling | None = None
        for layer in layers:
            if isinstance(layer, Conv):
                bias = tf.constant(layer.bias, tensor.dtype, name=f"{layer.name}_bias")
                transform = (
                    winograd.fastest(tensor.shape[1] or rows, tensor.shape[2], layer.kernel) if by_winograd else None
                )
                if transform is not None:
                    cut = cut or winograd.tiling(tensor, transform, max(layer.kernel.shape[2:]))
                    tensor = winograd.convolve(tensor, layer.kernel, cut)
                else:
                    is_first = first and not features
                    # As a variable it would be laid out anew in each call, which takes a third of the time.
                    kernel = tf.constant(layer.kernel, dtype, name=f"{layer.name}_kernel")
                    kernel = kernel if is_first else rounded(kernel)
                    padding = "VALID" if is_first and self.padding != "zeros" else "SAME"
                    tensor = tf.nn.conv2d(tensor, kernel, strides=1, padding=padding, name=layer.name)
                tensor = tf.nn.bias_add(tensor, bias)
            elif isinstance(layer, Relu):
                tensor = features[layer.name] = rounded(tf.nn.relu(tensor))
            else:
                padding = "SAME" if self.rounds_up else "VALID"
                tensor = POOLINGS[self.pooling](tensor, ksize=2, strides=2, padding=padding, name=layer.name)
                tensor, cut, rows = rounded(tensor), None, rows and rows // 2
                features[layer.name] = tensor
        return features, tensor


def build(network: Network, picture: tf.Tensor, **how: Any) -> Features:
    """Build a whole network on a picture [height, width, 3]; `how` is that of Build."""
    build = Build(rounds_up=network.rounds_up, **how)
    return build.block(network.layers, build.first(network, picture), picture.dtype, first=True)[0]


@cache
def bfloat16_gain(convolutions: str) -> float:
    """How many times as fast as in float32 a convolution and its gradient are in bfloat16, measured once."""
    # The instruction alone says little: one Xeon that has it, without AMX, takes 1.7 times as long.
    *size, filters = TRIED
    layers = [Conv("tried", np.ones((3, 3, filters, filters), np.float32), np.ones(filters, np.float32))]
    with tf.Graph().as_default() as graph, session(graph) as running:
        works: list[Callable[[], object]] = []
        for compute in (None, tf.bfloat16):
            ones = tf.ones((1, *size, filters), tf.bfloat16 if compute and has_bfloat16() else tf.float32)
            values = tf.Variable(ones, use_resource=True).read_value()
            build = Build(compute=compute, convolutions=convolutions)
            _, results = build.block(layers, values, tf.float32)
            works.append(partial(running.run, (results.op, gradients(results, values)[0].op)))
        initialise(running)
        times = [[timeit.timeit(work, number=1) for work in works] for _ in range(TRIES)]
    # The quickest of each: other work on the machine only slows.
    float32, bfloat16 = (min(column) for column in zip(*times, strict=True))
    return float(float32 / bfloat16)


def fastest_precision(convolutions: str) -> str:
    """The type in which painting is fastest here, where those of float32 are `convolutions`."""
    return "bfloat16" if has_bfloat16() and bfloat16_gain(convolutions) > GAIN else "float32"


def _l2_pool(values: tf.Tensor, **window: Any) -> tf.Tensor:
    sums = 4 * tf.nn.avg_pool2d(tf.square(values), **window)
    return L2_SCALE * tf.sqrt(tf.maximum(sums, tf.constant(LEAST_SQUARES, values.dtype)))


POOLINGS = {"average": tf.nn.avg_pool2d, "max": tf.nn.max_pool2d, "l2": _l2_pool}


def _bordered(values: tf.Tensor, padding: str) -> tf.Tensor:
    """Values [height, width, 3] with what the first convolution sees beyond their border, unless that is zeros.

    Of a single row or column the reflection is itself.
    """
    if padding == "zeros":
        return values[None]
    near = PAD_OFFSET[padding]
    values = tf.concat([values[:near][-1:], values, values[-near:][:1]], 0)
    return tf.concat([values[:, :near][:, -1:], values, values[:, -near:][:, :1]], 1)[None]


def mean_activations(network: Network, pictures: Iterable[Picture]) -> Scales:
    """Each filter's mean over all positions of pictures as large as Network.smallest_side wants, [filters] by layer."""
    with tf.Graph().as_default() as graph, session(graph) as running:
        picture = tf.placeholder(tf.float32, (None, None, 3))
        features = build(network, picture)
        means = {conv.name: tf.reduce_mean(features[conv.name], [0, 1, 2]) for conv in network.convolutions}
        initialise(running)
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
