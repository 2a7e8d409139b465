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


def gradient_error(x: tf.Tensor, x_hat: tf.Tensor) -> tf.Tensor:
    """Mean absolute error of the differences between neighbouring pixels.

    Args:
        x: float32 [B,H,W,C].
        x_hat: the same shape and range.
    Returns: float32 [B], in the unit of `x`.
    """
    error = x_hat - x
    down, across = error[:, 1:] - error[:, :-1], error[:, :, 1:] - error[:, :, :-1]
    means = [tf.reduce_mean(tf.abs(part), axis=(1, 2, 3)) for part in (down, across)]
    return (means[0] + means[1]) / 2


def ssim(x: tf.Tensor, x_hat: tf.Tensor, peak: float = 255.0) -> tf.Tensor:
    """SSIM of each picture at its own scale, mean over positions and channels.

    Args:
        x: float32 [B,H,W,C] with static H and W of at least 11, values in [0, peak].
        x_hat: the same shape and range.
        peak: largest value.
    Returns: float32 [B] in [-1, 1].
    Source: Wang et al., Image quality assessment, IEEE TIP 2004.
    """
    luminance, contrast = _ssim_terms(x, x_hat, peak)
    return tf.reduce_mean(luminance * contrast, axis=(1, 2, 3))


def ms_ssim(x: tf.Tensor, x_hat: tf.Tensor, peak: float = 255.0) -> tf.Tensor:
    """Multi-scale SSIM of each picture, finite with finite gradients everywhere.

    The weighted geometric mean of contrast-structure over the scales and SSIM at the
    coarsest. Terms are kept above 1e-6: on nearly flat or unlike pictures they may turn
    negative, where a power with a broken exponent is not a number. Pictures too small
    for five scales of an 11-tap window get as many scales as fit, with the first
    weights scaled to sum to 1.

    Args:
        x: float32 [B,H,W,C] with static H and W, values in [0, peak].
        x_hat: [B,H,W,C], or [T,B,H,W,C] for several attempts at each picture.
        peak: largest value.
    Returns: float32 [B] or [T,B] in (0, 1].
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
        term = tf.reduce_mean(term, axis=(-3, -2))
        logs += weight / sum(weights) * tf.math.log(tf.maximum(term, 1e-6))
        if scale < scales - 1:
            x, x_hat = _halve(x), _halve(x_hat)
    return tf.reduce_mean(tf.exp(logs), axis=-1)


def _ssim_terms(
    x: tf.Tensor, x_hat: tf.Tensor, peak: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Luminance and contrast-structure maps [...,h,w,C] where the window fits whole."""
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    # The original's moments are found once, however many attempts there are at it.
    mean_x, square_x = tf.split(_blur(tf.concat([x, x * x], -1)), 2, axis=-1)
    stacked = tf.concat([x_hat, x_hat * x_hat, x * x_hat], axis=-1)
    mean_y, square_y, product = tf.split(_blur(stacked), 3, axis=-1)
    squares = mean_x * mean_x + mean_y * mean_y
    cross = mean_x * mean_y
    luminance = (2 * cross + c1) / (squares + c1)
    contrast = (2 * (product - cross) + c2) / (square_x + square_y - squares + c2)
    return luminance, contrast


def _blur(x: tf.Tensor) -> tf.Tensor:
    """Gaussian window, valid borders: [...,H,W,C] -> [...,H-10,W-10,C]."""
    taps = [math.exp(-((i - _TAPS // 2) ** 2) / (2 * _SIGMA**2)) for i in range(_TAPS)]
    taps = tf.constant([tap / sum(taps) for tap in taps], x.dtype)
    x = _filter(x, tf.reshape(taps, [_TAPS, 1]), 1)
    return _filter(x, tf.reshape(taps, [1, _TAPS]), 1)


def _halve(x: tf.Tensor) -> tf.Tensor:
    """Means of 2x2 pixels, an odd last row or column left out."""
    return _filter(x, tf.fill([2, 2], tf.constant(0.25, x.dtype)), 2)


def _filter(x: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """Each channel of [...,H,W,C] under one kernel, valid borders."""
    lead, (height, width, channels) = tf.shape(x)[:-3], x.shape[-3:]
    kernel = tf.tile(kernel[..., None, None], [1, 1, channels, 1])
    flat = tf.reshape(x, [-1, height, width, channels])
    flat = tf.nn.depthwise_conv2d(flat, kernel, [1, stride, stride, 1], "VALID")
    return tf.reshape(flat, tf.concat([lead, flat.shape[1:]], axis=0))
