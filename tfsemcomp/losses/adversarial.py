"""What generator and discriminator want of each other."""

from collections.abc import Sequence

import tensorflow as tf

# "ls": squared distance to 1 and 0 (arXiv 1611.04076); "hinge" (arXiv 1705.02894);
# "original": cross-entropy (arXiv 1406.2661), not saturating.
MODES = ("ls", "hinge", "original")


def check_mode(mode: str) -> str:
    """Returns `mode`.

    An unknown name must not pass for another loss, as in a published code, where it
    trained a critic without any constraint.

    Raises:
        ValueError: if it is none of `MODES`.
    """
    if mode not in MODES:
        raise ValueError(f"`gan_mode` must be one of {MODES}; got '{mode}'.")
    return mode


def generator_loss(fake: Sequence[tf.Tensor], mode: str) -> tf.Tensor:
    """How far the discriminator is from taking pictures for real.

    Args:
        fake: its logits of generated pictures, float32 [B,h,w,1] for each scale.
        mode: one of `MODES`.
    Returns: scalar, mean over scales.
    Raises: ValueError for another mode.
    """
    check_mode(mode)
    return _mean(_generator_term(logits, mode) for logits in fake)


def discriminator_loss(
    real: Sequence[tf.Tensor], fake: Sequence[tf.Tensor], mode: str
) -> tf.Tensor:
    """How far the discriminator is from telling generated pictures from real ones.

    Args:
        real: its logits of real pictures, float32 [B,h,w,1] for each scale.
        fake: of generated ones.
        mode: one of `MODES`.
    Returns: scalar, the sum of both kinds of pictures, mean over scales.
    Raises: ValueError for another mode.
    """
    return real_loss(real, mode) + fake_loss(fake, mode)


def real_loss(real: Sequence[tf.Tensor], mode: str) -> tf.Tensor:
    """The part of `discriminator_loss` that real pictures have: scalar.

    Args:
        real: logits of real pictures, float32 of any shape, for each scale or question.
        mode: one of `MODES`.
    Raises: ValueError for another mode.
    """
    check_mode(mode)
    return _mean(_real_term(logits, mode) for logits in real)


def fake_loss(fake: Sequence[tf.Tensor], mode: str) -> tf.Tensor:
    """The part that generated pictures, or wrong answers, have; as `real_loss`."""
    check_mode(mode)
    return _mean(_fake_term(logits, mode) for logits in fake)


def gradient_penalty(gradient: tf.Tensor) -> tf.Tensor:
    """R1: squared length of the gradient of the sum of real logits, mean over pictures.

    Args:
        gradient: by the real pictures, float32 [B,H,W,C].
    Returns: scalar.
    Source: Mescheder, Geiger and Nowozin, arXiv 1801.04406, equation 9, without its
        half.
    """
    return tf.reduce_mean(tf.reduce_sum(tf.square(gradient), axis=(1, 2, 3)))


def _generator_term(fake: tf.Tensor, mode: str) -> tf.Tensor:
    if mode == "hinge":
        return -tf.reduce_mean(fake)
    return _real_term(fake, mode)


def _real_term(logits: tf.Tensor, mode: str) -> tf.Tensor:
    if mode == "ls":
        return tf.reduce_mean(tf.square(logits - 1))
    if mode == "hinge":
        return tf.reduce_mean(tf.nn.relu(1 - logits))
    return tf.reduce_mean(tf.nn.softplus(-logits))


def _fake_term(logits: tf.Tensor, mode: str) -> tf.Tensor:
    if mode == "ls":
        return tf.reduce_mean(tf.square(logits))
    if mode == "hinge":
        return tf.reduce_mean(tf.nn.relu(1 + logits))
    return tf.reduce_mean(tf.nn.softplus(logits))


def _mean(terms) -> tf.Tensor:
    terms = list(terms)
    return tf.add_n(terms) / len(terms)


def ramp(step: tf.Tensor, steps: tuple[int, int]) -> tf.Tensor:
    """Share of a weight that counts at a step.

    Args:
        step: integer, steps that were made.
        steps: where the weight begins to rise from 0, and where it is whole.
    Returns: float32 scalar in [0, 1].
    """
    start, full = steps
    step = tf.cast(step, tf.float32)
    return tf.clip_by_value((step - start + 1) / (full - start + 1), 0.0, 1.0)


def mean_logit(logits: Sequence[tf.Tensor]) -> tf.Tensor:
    """Mean over scales of the mean logit, float32 scalar; `logits` [B,h,w,1] each."""
    return tf.add_n([tf.reduce_mean(scale) for scale in logits]) / len(logits)
