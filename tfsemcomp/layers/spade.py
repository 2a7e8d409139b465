"""Normalisation whose scale and shift depend on the position in a map."""

import tensorflow as tf

from tfsemcomp.layers.adain import instance_norm

layers = tf.keras.layers


class Spade(layers.Layer):
    """Spatially adaptive normalisation: y = n(x) (1 + scale) + shift.

        maps --C3, ReLU--> hidden --C3--> scale, shift          zero at the start

    n: instance normalisation, which is the same in training and afterwards and for
    every batch. C3: 3x3 convolution.

    Args:
        hidden: channels between the maps and what they say.
    Call args:
        x: float [B,H,W,C].
        maps: float [B,H,W,M].
    Returns: shape and dtype of `x`.
    Source: Park et al., arXiv 1903.07291, which normalises by batches.
    """

    def __init__(self, hidden: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.hidden = hidden

    def build(self, x_shape: tf.TensorShape) -> None:
        """Makes the convolutions."""
        self.enter = layers.Conv2D(self.hidden, 3, padding="same", activation="relu")
        self.leave = layers.Conv2D(
            2 * x_shape[-1], 3, padding="same", kernel_initializer="zeros"
        )
        super().build(x_shape)

    def call(self, x: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
        """Normalises and modulates `x`."""
        told = self.leave(self.enter(maps))
        scale, shift = tf.split(tf.cast(told, x.dtype), 2, axis=-1)
        return instance_norm(x) * (1 + scale) + shift

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "hidden": self.hidden}
