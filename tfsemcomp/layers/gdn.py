"""Generalised divisive normalisation with static exponents, clean for XLA."""

import tensorflow as tf

# Keeps square roots away from 0, where their gradient is infinite.
_PEDESTAL = 2.0**-36


class Gdn(tf.keras.layers.Layer):
    """x / (beta + gamma |x|^alpha)^epsilon, or its inverse, which multiplies.

    x [B,H,W,C] --|.|^alpha--> --gamma, + beta--> norm --(.)^epsilon--> / or * --> y

    ``tfc.GDN`` tests its exponents on tensors, which inside a tf.function becomes a
    conditional with both branches; here they are Python numbers.

    Args:
        inverse: multiply by the norm instead of dividing (IGDN).
        simple: alpha = epsilon = 1, the default of tensorflow-compression (no power
            and no root); otherwise alpha = 2 and epsilon = 1/2, as published.
    Call args:
        inputs: float [B,H,W,C].
    Returns: the same shape and dtype.
    Raises: ValueError if `inputs` is not rank 4.
    Source: Balle, Laparra and Simoncelli, arXiv 1511.06281; parameters are squares of
        the trained variables as in Balle, arXiv 1802.00847.
    """

    def __init__(self, inverse: bool = False, simple: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.inverse = inverse
        self.simple = simple

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates beta = 1 and gamma = 0.1 I."""
        if len(input_shape) != 4:
            raise ValueError(f"`inputs` must be [B,H,W,C]; got {list(input_shape)}.")
        channels = input_shape[-1]

        def root_of(value: tf.Tensor) -> tf.Tensor:
            return tf.sqrt(value + _PEDESTAL)

        self.beta_root = self.add_weight(
            "beta", (channels,), initializer=lambda *_, **__: root_of(tf.ones(channels))
        )
        self.gamma_root = self.add_weight(
            "gamma",
            (channels, channels),
            initializer=lambda *_, **__: root_of(0.1 * tf.eye(channels)),
        )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Normalises `inputs`."""
        beta = tf.square(self.beta_root) - _PEDESTAL
        gamma = tf.square(self.gamma_root) - _PEDESTAL
        beta = tf.cast(tf.maximum(beta, 1e-6), inputs.dtype)
        gamma = tf.cast(tf.maximum(gamma, 0.0), inputs.dtype)
        powers = tf.abs(inputs) if self.simple else tf.square(inputs)
        # As a convolution, which oneDNN runs in four fifths of a matrix product's time.
        norm = tf.nn.bias_add(tf.nn.conv2d(powers, gamma[None, None], 1, "VALID"), beta)
        if self.inverse:
            return inputs * (norm if self.simple else tf.sqrt(norm))
        return inputs / norm if self.simple else inputs * tf.math.rsqrt(norm)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "inverse": self.inverse,
            "simple": self.simple,
        }
