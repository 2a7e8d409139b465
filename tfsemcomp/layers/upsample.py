"""Resizing feature maps: bilinear, and as fast to train as to run."""

import numpy as np
import tensorflow as tf


def enlarge(x: tf.Tensor, times: int) -> tf.Tensor:
    """Bilinear interpolation to `times` the height and width, pixel centres aligned.

    Maps of static size go through two matrix products, whose gradient is two more of
    them and which XLA compiles to nothing else; TensorFlow's own resizing computes in
    double precision there, which a TPU lacks. Maps of any size, as exported models
    have them, are resized by TensorFlow. Both agree to rounding.

    Args:
        x: float [B,H,W,C].
        times: at least 1.
    Returns: [B,times H,times W,C], dtype of `x`.
    """
    height, width = x.shape[1:3]
    if height is None or width is None:
        shape = tf.shape(x)
        # The stock op gives float32 whatever it is given.
        resized = tf.image.resize(x, [times * shape[1], times * shape[2]])
        return tf.cast(resized, x.dtype)
    return resize(x, times * height, times * width)


def resize(x: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Bilinear interpolation to any size, as two matrix products; see `enlarge`.

    Args:
        x: float [B,H,W,C] of static height, width and channels.
        height: of the result; less than H does not smooth.
        width: of the result.
    Returns: [B,height,width,C], dtype of `x`; equal to ``tf.image.resize``.
    """
    batch, rows, columns, channels = x.shape
    if (rows, columns) == (height, width):
        return x
    batch = tf.shape(x)[0] if batch is None else batch
    across = tf.constant(_weights(columns, width), x.dtype)
    x = tf.matmul(across, tf.reshape(x, [batch * rows, columns, channels]))
    down = tf.constant(_weights(rows, height), x.dtype)
    x = tf.matmul(down, tf.reshape(x, [batch, rows, width * channels]))
    return tf.reshape(x, [batch, height, width, channels])


def _weights(size: int, target: int) -> np.ndarray:
    """Shares of `size` samples in `target` of them, float32 [target, size]."""
    centres = (np.arange(target) + 0.5) * size / target - 0.5
    low = np.floor(centres).astype(int)
    upper = (centres - low)[:, None]
    samples = np.arange(size)
    is_low = samples == np.clip(low, 0, size - 1)[:, None]
    is_high = samples == np.clip(low + 1, 0, size - 1)[:, None]
    return ((1 - upper) * is_low + upper * is_high).astype(np.float32)
