"""A transposed convolution to few channels, at a third of its time."""

import tensorflow as tf


class SubpixelTranspose(tf.keras.layers.Conv2DTranspose):
    """Conv2DTranspose of 5x5 and stride 2, computed as 3x3 and depth_to_space.

    x [B,H,W,C] --3x3--> [B,H,W,4F] --depth_to_space 2--> y [B,2H,2W,F]

    Weights and results are those of the stock layer. Each of the four output phases
    sees at most 3x3 of the 5x5 taps; where F is small, as in front of pixels, one
    convolution to 4F channels is much faster than the stock layer's gradient kernel.

    Args:
        filters: F.
    Call args:
        inputs: float [B,H,W,C].
    Returns: float [B,2H,2W,F].
    """

    def __init__(self, filters: int, **kwargs) -> None:
        super().__init__(filters, 5, 2, "same", **kwargs)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolves `inputs`."""
        out, channels = self.filters, inputs.shape[-1]
        # Output 2m + p takes tap 3 - 2t + p of input m + t - 1, for t in 0, 1, 2.
        taps = tf.pad(self.kernel, [[1, 0], [1, 0], [0, 0], [0, 0]])
        taps = tf.reshape(taps, [3, 2, 3, 2, out, channels])[::-1, :, ::-1]
        taps = tf.transpose(taps, [0, 2, 5, 1, 3, 4])
        taps = tf.reshape(taps, [3, 3, channels, 4 * out])
        phases = tf.nn.conv2d(inputs, tf.cast(taps, inputs.dtype), 1, "SAME")
        pixels = tf.nn.depth_to_space(phases, 2)
        return tf.nn.bias_add(pixels, tf.cast(self.bias, inputs.dtype))

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = super().get_config()
        for fixed in ("kernel_size", "strides", "padding"):
            del config[fixed]
        return config
