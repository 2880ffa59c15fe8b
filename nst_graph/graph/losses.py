"""The losses, on tensors: the equations of Gatys, Ecker and Bethge (2015, arXiv 1508.06576) first.

Features are [1, height, width, filters]: the paper's F^l has N_l = filters rows and
M_l = height * width columns. CONTENT, STYLE and SMOOTHNESS name what settings can ask for.
"""

from nst_graph.graph.tensorflow import tf


def squared_difference(features: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """The sum of squared differences to the content's features P, which CONTENT counts."""
    return tf.reduce_sum(tf.square(tf.cast(features, target.dtype) - target))


def content(squares: tf.Tensor, count: float) -> tf.Tensor:
    """Equation 1: half the sum of squared differences. `count` is not used."""
    return squares / 2


def content_squares(squares: tf.Tensor, count: float) -> tf.Tensor:
    """The sum of squared differences, twice equation 1. `count` is not used."""
    return squares


def content_mean(squares: tf.Tensor, count: float) -> tf.Tensor:
    """The mean of squared differences over so many filters and positions."""
    return squares / count


def gram(features: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
    """Equation 3: inner products of the filters' responses over all positions, [N_l, N_l].

    A mask [M_l] in 0..1 says how much each position counts.
    """
    rows = tf.reshape(features, [-1, features.shape[-1]])
    if mask is not None:
        rows *= tf.cast(tf.sqrt(mask), rows.dtype)[:, None]
    return _inner_products(rows)


def _inner_products(rows: tf.Tensor) -> tf.Tensor:
    wide = tf.cast(rows, tf.float32) if rows.dtype == tf.bfloat16 else rows
    with rows.graph.gradient_override_map({"MatMul": "InnerProducts"}):
        return tf.matmul(wide, wide, transpose_a=True)


@tf.RegisterGradient("InnerProducts")  # type: ignore[untyped-decorator]
def _inner_products_gradient(op: tf.Operation, pull: tf.Tensor) -> tuple[tf.Tensor, None]:
    # The result is symmetric, so one product serves for the two that TensorFlow would make.
    wide = op.inputs[0]
    rows = wide.op.inputs[0] if wide.op.type == "Cast" else wide
    return tf.cast(tf.matmul(rows, tf.cast(pull + tf.transpose(pull), rows.dtype)), wide.dtype), None


def style(difference: tf.Tensor, positions: float, pixels: int) -> tf.Tensor:
    """Equation 4: E_l from G - A [N_l, N_l], over 4 N_l^2 M_l^2. `pixels` is not used."""
    return tf.reduce_sum(tf.square(difference)) / (4.0 * _filters(difference) ** 2 * positions**2)


def style_mean(difference: tf.Tensor, positions: float, pixels: int) -> tf.Tensor:
    """The mean of ((G - A) / M_l)^2. `pixels` is not used."""
    return tf.reduce_mean(tf.square(difference / positions))


def style_mean_over_size(difference: tf.Tensor, positions: float, pixels: int) -> tf.Tensor:
    """The mean of (G - A)^2, over N_l M_l. `pixels` is not used."""
    return tf.reduce_mean(tf.square(difference)) / (_filters(difference) * positions)


def style_over_pixels(difference: tf.Tensor, positions: float, pixels: int) -> tf.Tensor:
    """The sum of (G - A)^2 over 4 * 3^2 * pixels^2, pixels those of the picture, at every layer."""
    return tf.reduce_sum(tf.square(difference)) / (4.0 * 3**2 * float(pixels) ** 2)


def _filters(difference: tf.Tensor) -> float:
    return float(difference.shape[0])


def smoothness_absolute(picture: tf.Tensor) -> tf.Tensor:
    """Total variation: the sum of absolute differences of neighbours, of [height, width, 3]."""
    return tf.reduce_sum(tf.abs(picture[1:] - picture[:-1])) + tf.reduce_sum(tf.abs(picture[:, 1:] - picture[:, :-1]))


def smoothness_squared(picture: tf.Tensor) -> tf.Tensor:
    """The sum of (p[y+1, x] - p[y, x])^2 and (p[y, x+1] - p[y, x])^2, of [height, width, 3].

    A quadratic, of curvature 16 at most: for L-BFGS. Absolute differences have a kink where neighbours are equal.
    """
    down, right = picture[1:] - picture[:-1], picture[:, 1:] - picture[:, :-1]
    return tf.reduce_sum(tf.square(down)) + tf.reduce_sum(tf.square(right))


def smoothness_power(picture: tf.Tensor) -> tf.Tensor:
    """The sum of (dx^2 + dy^2)^1.25 over a picture [height, width, 3] less its last row and column."""
    down = tf.square(picture[1:, :-1] - picture[:-1, :-1])
    right = tf.square(picture[:-1, 1:] - picture[:-1, :-1])
    return tf.reduce_sum(tf.pow(down + right, 1.25))


CONTENT = {"equation1": content, "squares": content_squares, "mean": content_mean}
STYLE = {
    "equation4": style,
    "mean": style_mean,
    "mean-over-size": style_mean_over_size,
    "over-pixels": style_over_pixels,
}
SMOOTHNESS = {"absolute": smoothness_absolute, "squared": smoothness_squared, "power": smoothness_power}


def unit_gradient(features: tf.Tensor, strength: float) -> tf.Tensor:
    """The features themselves, whose gradient is scaled to an L1 norm of `strength`.

    What follows decides the gradient's direction only.
    """
    with features.graph.gradient_override_map({"IdentityN": "UnitGradient"}):
        same, _ = tf.identity_n([features, tf.constant(strength, features.dtype)])
    return same


@tf.RegisterGradient("UnitGradient")  # type: ignore[untyped-decorator]
def _unit_gradient(op: tf.Operation, gradient: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, None]:
    return gradient * (op.inputs[1] / (tf.reduce_sum(tf.abs(gradient)) + 1e-8)), None
