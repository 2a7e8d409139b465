"""Instance normalisation, plain and with a style that a latent tells."""

import tensorflow as tf

from tfsemcomp.layers import upsample

layers = tf.keras.layers

_EPSILON = 1e-5
SLOPE = 0.2


def statistics(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and inverse deviation of each channel of each picture.

    Args:
        x: float [B,H,W,C].
    Returns: mean and 1 / sqrt(variance + 1e-5), float32 [B,1,1,C].
    """
    shape = tf.shape(x)
    count = shape[1] * shape[2]
    if x.shape[1] is not None and x.shape[2] is not None:
        count = x.shape[1] * x.shape[2]
    flat = tf.cast(tf.reshape(x, [shape[0], count, x.shape[-1]]), tf.float32)
    # A product with a row of shares takes half the time of a reduction on a CPU.
    share = tf.fill([shape[0], 1, count], 1 / tf.cast(count, tf.float32))
    mean = tf.matmul(share, flat)
    variance = tf.matmul(share, tf.square(flat - tf.stop_gradient(mean)))
    # The mean's own part of the variance's gradient is zero.
    inverse = tf.math.rsqrt(variance + _EPSILON)
    return mean[:, None], inverse[:, None]


def instance_norm(x: tf.Tensor) -> tf.Tensor:
    """Channels of each picture with mean 0 and variance 1, without parameters.

    Args:
        x: float [B,H,W,C].
    Returns: the same shape and dtype.
    Source: Ulyanov et al., arXiv 1607.08022.
    """
    mean, inverse = statistics(x)
    shift = tf.cast(-mean * inverse, x.dtype)
    return x * tf.cast(inverse, x.dtype) + shift


class Style(layers.Layer):
    """Scales and shifts channels as a latent says: the second half of AdaIN.

        w = leaky ReLU(linear z)                [B,g,g',2C]
        y = n(x) (1 + w_a) + w_b                n: instance normalisation, or nothing

    The activation lies on the scales and shifts themselves, as in the source. With a
    grid of latents they are interpolated between the cells.

    Args:
        times: sides of x over those of a grid.
    Call args:
        x: float [B,H,W,C].
        z: float [B,g,g',nz]; g = g' = 1 serves any x, other grids need
            H = times g and W = times g'.
        moments: `statistics(x)`, to normalise by; None doesn't.
    Returns: shape and dtype of `x`.
    Source: arXiv 2011.04976, code of the hierarchical-fusion generator.
    """

    def __init__(self, times: int = 1, **kwargs) -> None:
        super().__init__(**kwargs)
        self.times = times

    def build(self, x_shape: tf.TensorShape) -> None:
        """Makes the linear layer."""
        self.affine = layers.Dense(2 * x_shape[-1], dtype="float32")
        super().build(x_shape)

    def call(
        self,
        x: tf.Tensor,
        z: tf.Tensor,
        moments: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Applies the style to `x`."""
        style = tf.nn.leaky_relu(self.affine(z), SLOPE)
        scale, shift = tf.split(style, 2, axis=-1)
        scale += 1
        # Normalisation and style are one multiplication and one addition.
        if moments is not None:
            mean, inverse = moments
            scale *= inverse
            shift -= mean * scale
        if z.shape[1:3] != [1, 1]:
            both = upsample.enlarge(tf.concat([scale, shift], axis=-1), self.times)
            scale, shift = tf.split(both, 2, axis=-1)
        return x * tf.cast(scale, x.dtype) + tf.cast(shift, x.dtype)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "times": self.times}
