"""Differentiable rates: how many bits a symbol costs under a model of it."""

import tensorflow as tf

# Bits of the least likely symbol that counts: probability 1e-9.
_MOST_BITS = 29.9
_SQRT_HALF = 0.7071067811865476
_PER_BIT = 1.4426950408889634


def gaussian_bits(values: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Bits of values under a Gaussian of mean 0 seen through unit-wide bins.

    -log2(Phi((v + .5) / scale) - Phi((v - .5) / scale)), the density of Gaussian plus
    uniform noise, as ``tfc.NoisyNormal`` has it. Two complementary error functions of
    -|v| give it without cancellation, at half the cost of TFC's four logarithms.

    Args:
        values: float32 [...], symbols or symbols plus noise, mean taken off.
        scale: float32, of the same shape, > 0.
    Returns: float32 [...], in [0, 29.9]; a value whose likelihood lies below 1e-9 costs
        29.9 bits and gives no gradient.
    Source: Balle et al. 2018, arXiv 1802.01436, section 3.
    """
    distance = tf.abs(values)
    narrow = _SQRT_HALF / scale
    upper = tf.math.erfc((distance - 0.5) * narrow)
    lower = tf.math.erfc((distance + 0.5) * narrow)
    return likelihood_bits(0.5 * (upper - lower))


def likelihood_bits(likelihood: tf.Tensor) -> tf.Tensor:
    """-log2 of likelihoods, at most 29.9 bits: float32 [...] in [0, 1] -> [...]."""
    return -tf.math.log(tf.maximum(likelihood, 2.0**-_MOST_BITS)) * _PER_BIT
