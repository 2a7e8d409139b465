"""Differentiable distortions of pictures."""

import math

import tensorflow as tf

# Wang, Simoncelli and Bovik 2003: weights of the five scales, finest first.
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_TAPS = 11
_SIGMA = 1.5


def mse(x: tf.Tensor, x_hat: tf.Tensor) -> tf.Tensor:
    """Mean squared error of each picture: float32 [B,H,W,C] twice -> [B]."""
    return tf.reduce_mean(tf.math.squared_difference(x, x_hat), axis=(1, 2, 3))


def ms_ssim(x: tf.Tensor, x_hat: tf.Tensor, peak: float = 255.0) -> tf.Tensor:
    """Multi-scale SSIM of each picture, finite with finite gradients everywhere.

    The weighted geometric mean of contrast-structure over the scales and SSIM at the
    coarsest. Terms are kept above 1e-6: on nearly flat or unlike pictures they may turn
    negative, where a power with a broken exponent is not a number. Pictures too small
    for five scales of an 11-tap window get as many scales as fit, with the first
    weights scaled to sum to 1.

    Args:
        x: float32 [B,H,W,C] with static H and W, values in [0, peak].
        x_hat: the same shape.
        peak: largest value.
    Returns: float32 [B] in (0, 1].
    Raises: ValueError if a side is below 11 pixels.
    Source: Wang et al., Multiscale structural similarity, Asilomar 2003.
    """
    side = min(x.shape[1], x.shape[2])
    if side < _TAPS:
        raise ValueError(f"`x` needs sides of at least {_TAPS} pixels; got {side}.")
    scales = min(len(_SCALE_WEIGHTS), 1 + int(math.log2(side / _TAPS)))
    weights = _SCALE_WEIGHTS[:scales]
    logs = 0.0
    for scale, weight in enumerate(weights):
        luminance, contrast = _ssim_terms(x, x_hat, peak)
        term = luminance * contrast if scale == scales - 1 else contrast
        term = tf.reduce_mean(term, axis=(1, 2))
        logs += weight / sum(weights) * tf.math.log(tf.maximum(term, 1e-6))
        if scale < scales - 1:
            x = tf.nn.avg_pool2d(x, 2, 2, "VALID")
            x_hat = tf.nn.avg_pool2d(x_hat, 2, 2, "VALID")
    return tf.reduce_mean(tf.exp(logs), axis=-1)


def _ssim_terms(
    x: tf.Tensor, x_hat: tf.Tensor, peak: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Luminance and contrast-structure maps [B,h,w,C] where the window fits whole."""
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    stacked = tf.concat([x, x_hat, x * x, x_hat * x_hat, x * x_hat], axis=-1)
    means = tf.split(_blur(stacked), 5, axis=-1)
    mean_x, mean_y, square_x, square_y, product = means
    squares = mean_x * mean_x + mean_y * mean_y
    cross = mean_x * mean_y
    luminance = (2 * cross + c1) / (squares + c1)
    contrast = (2 * (product - cross) + c2) / (square_x + square_y - squares + c2)
    return luminance, contrast


def _blur(x: tf.Tensor) -> tf.Tensor:
    """Gaussian window along both axes, valid borders: [B,H,W,C] -> [B,H-10,W-10,C]."""
    taps = [math.exp(-((i - _TAPS // 2) ** 2) / (2 * _SIGMA**2)) for i in range(_TAPS)]
    taps = tf.constant([tap / sum(taps) for tap in taps], x.dtype)
    channels = x.shape[-1]
    for shape in ((_TAPS, 1, 1, 1), (1, _TAPS, 1, 1)):
        kernel = tf.tile(tf.reshape(taps, shape), [1, 1, channels, 1])
        x = tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "VALID")
    return x
