"""Scales and shifts of channels that a vector tells."""

import tensorflow as tf

layers = tf.keras.layers


class Film(layers.Layer):
    """Feature-wise linear modulation: y = x (1 + scale) + shift.

    scale, shift = linear(vector)                   [B,C] each, zero at the start

    Call args:
        x: float [B,H,W,C].
        vector: float [B,D].
    Returns: shape and dtype of `x`.
    Source: Perez et al., arXiv 1709.07871.
    """

    def build(self, x_shape: tf.TensorShape) -> None:
        """Makes the linear layer."""
        self.affine = layers.Dense(
            2 * x_shape[-1], kernel_initializer="zeros", dtype="float32"
        )
        super().build(x_shape)

    def call(self, x: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
        """Modulates `x`."""
        found = tf.cast(self.affine(vector)[:, None, None], x.dtype)
        scale, shift = tf.split(found, 2, axis=-1)
        return x * (1 + scale) + shift
