"""What discriminators see of pictures so that few of them teach a generator for long.

Source: Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training,
arXiv 2006.10738. Colour, translation and cutout as there.
"""

import tensorflow as tf

# Shares of the side: largest shift, and side of the square that is cut out.
_SHIFT, _CUTOUT = 1 / 8, 1 / 2


def augment(x: tf.Tensor) -> tf.Tensor:
    """Changes colours, moves and cuts each picture; real and drawn ones alike.

    Gradients pass to the pictures. Everything is drawn by ``tf.random.uniform``.

    Args:
        x: float [B,H,W,3] in [-1, 1], static height and width.
    Returns: shape and dtype of `x`; what moved in and what was cut out is 0.
    """
    return _cut_out(_translate(_recolour(x)))


def _recolour(x: tf.Tensor) -> tf.Tensor:
    """Brightness up to .5 more or less; saturation times 0 to 2, contrast .5 to 1.5."""
    brightness, saturation, contrast = (_draw(x) for _ in range(3))
    x += brightness - 0.5
    grey = tf.reduce_mean(x, axis=3, keepdims=True)
    x = grey + (x - grey) * 2 * saturation
    mean = tf.reduce_mean(x, axis=(1, 2, 3), keepdims=True)
    return mean + (x - mean) * (contrast + 0.5)


def _translate(x: tf.Tensor) -> tf.Tensor:
    """Shifts by up to an eighth of the side, as products that any device has."""
    x = tf.einsum("bij,bjwc->biwc", _shift(x, 1), x)
    return tf.einsum("bij,bhjc->bhic", _shift(x, 2), x)


def _shift(x: tf.Tensor, axis: int) -> tf.Tensor:
    """One drawn shift a picture, [B,side,side] of 0 and 1."""
    side = x.shape[axis]
    most = int(side * _SHIFT)
    drawn = tf.floor(_draw(x)[:, 0] * (2 * most + 1)) - most
    places = tf.range(side, dtype=x.dtype)
    return tf.cast(places[:, None] + drawn == places, x.dtype)


def _cut_out(x: tf.Tensor) -> tf.Tensor:
    """Sets a square of half the side to 0, its centre anywhere."""
    inside = []
    for axis in (1, 2):
        side = x.shape[axis]
        centre = _draw(x)[:, 0, 0] * side
        distance = tf.abs(tf.range(side, dtype=x.dtype) + 0.5 - centre)
        inside.append(distance < side * _CUTOUT / 2)
    square = inside[0][:, :, None, None] & inside[1][:, None, :, None]
    return tf.where(square, tf.zeros_like(x), x)


def _draw(x: tf.Tensor) -> tf.Tensor:
    """A number in [0, 1) for each picture, [B,1,1,1]."""
    return tf.random.uniform([tf.shape(x)[0], 1, 1, 1], dtype=x.dtype)
