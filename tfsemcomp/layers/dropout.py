"""Dropout that compiles to XLA on every device."""

import tensorflow as tf


class UniformDropout(tf.keras.layers.Layer):
    """Dropout drawn with ``tf.random.uniform``; off unless `training` is true.

    x [..., C] --* keep mask / (1 - rate)--> y, shape and dtype of x

    The stock layer may draw from a stateful generator variable, which a TPU and an
    exported HLO step don't take.

    Args:
        rate: share of values set to zero, in [0, 1).
    Raises:
        ValueError: if `rate` is outside [0, 1).
    """

    def __init__(self, rate: float, **kwargs) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` must be in [0, 1); got {rate}.")
        self.rate = rate

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Drops values of `inputs` while training."""
        if not training or self.rate == 0:
            return inputs
        keep = tf.random.uniform(tf.shape(inputs)) >= self.rate
        scaled = inputs / tf.cast(1 - self.rate, inputs.dtype)
        return tf.where(keep, scaled, tf.zeros_like(scaled))

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "rate": self.rate}
