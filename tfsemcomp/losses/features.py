"""Distances between the features that a frozen network sees in two pictures."""

from collections.abc import Sequence

import tensorflow as tf

KINDS = ("mse", "l1", "unit", "dists")
# Of DISTS, for features of pixels in [0, 1].
_STABLE = 1e-6


def feature_distance(
    originals: Sequence[tf.Tensor], coded: Sequence[tf.Tensor], kind: str = "mse"
) -> tf.Tensor:
    """Sum over layers of the distance of two pictures' features.

    Args:
        originals: float [B,h,w,C] for each layer; no gradient goes there.
        coded: the same of the other picture.
        kind: "mse", their mean squared error; "l1", their mean absolute error; "unit",
            squared distance of the channels of each position scaled to unit length,
            mean over positions, as `metrics.features.feature_lpips` measures; "dists",
            1 minus the mean likeness of the channels' means and of their patterns,
            equally weighted, averaged over layers, as `metrics.features.feature_dists`
            measures.
    Returns: float32 [B].
    Raises: ValueError for another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {KINDS}; got '{kind}'.")
    total = 0.0
    for original, found in zip(originals, coded, strict=True):
        original = tf.stop_gradient(tf.cast(original, tf.float32))
        found = tf.cast(found, tf.float32)
        if kind == "mse":
            error = tf.math.squared_difference(original, found)
            total += tf.reduce_mean(error, axis=(1, 2, 3))
            continue
        if kind == "l1":
            total += tf.reduce_mean(tf.abs(original - found), axis=(1, 2, 3))
            continue
        if kind == "dists":
            total += _unlikeness(original, found) / len(originals)
            continue
        error = tf.math.squared_difference(_unit(original), _unit(found))
        total += tf.reduce_mean(tf.reduce_sum(error, axis=-1), axis=(1, 2))
    return total


def _unlikeness(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """1 minus structural similarity over whole channels: [B,h,w,C] twice -> [B]."""
    means = [
        tf.reduce_mean(features, axis=(1, 2), keepdims=True) for features in (x, y)
    ]
    x, y = x - means[0], y - means[1]
    moments = [tf.reduce_mean(a * b, axis=(1, 2)) for a, b in ((x, x), (y, y), (x, y))]
    mean_x, mean_y = (tf.squeeze(mean, axis=(1, 2)) for mean in means)
    texture = (2 * mean_x * mean_y + _STABLE) / (mean_x**2 + mean_y**2 + _STABLE)
    pattern = (2 * moments[2] + _STABLE) / (moments[0] + moments[1] + _STABLE)
    return 1 - tf.reduce_mean((texture + pattern) / 2, axis=-1)


def _unit(features: tf.Tensor) -> tf.Tensor:
    return tf.math.l2_normalize(features, axis=-1, epsilon=1e-10)
