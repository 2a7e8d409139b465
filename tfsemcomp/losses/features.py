"""Distances between the features that a frozen network sees in two pictures."""

from collections.abc import Sequence

import tensorflow as tf

KINDS = ("mse", "unit")


def feature_distance(
    originals: Sequence[tf.Tensor], coded: Sequence[tf.Tensor], kind: str = "mse"
) -> tf.Tensor:
    """Sum over layers of the distance of two pictures' features.

    Args:
        originals: float [B,h,w,C] for each layer; no gradient goes there.
        coded: the same of the other picture.
        kind: "mse", their mean squared error; "unit", squared distance of the channels
            of each position scaled to unit length, mean over positions, as
            `metrics.features.feature_lpips` measures.
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
        error = tf.math.squared_difference(_unit(original), _unit(found))
        total += tf.reduce_mean(tf.reduce_sum(error, axis=-1), axis=(1, 2))
    return total


def _unit(features: tf.Tensor) -> tf.Tensor:
    return tf.math.l2_normalize(features, axis=-1, epsilon=1e-10)
