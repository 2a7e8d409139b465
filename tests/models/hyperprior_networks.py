"""Hyperprior networks for tests: fresh ones, and such as wide as trained ones."""

import numpy as np
import tensorflow as tf

from tests.harness import smooth_image
from tfsemcomp.models import hyperprior
from tfsemcomp.models.hyperprior import Hyperprior

NETWORKS = [
    {"size": size, "variant": variant}
    for size in ("tiny", "tiny-dct")
    for variant in hyperprior.VARIANTS
]


def a_model(size="tiny", variant="mean_scale", lmbdas=(0.013,), distortion="mse"):
    """A fresh model, the same each time."""
    tf.keras.utils.set_random_seed(1)
    model = Hyperprior(size, variant, lmbdas, distortion)
    model.create_weights()
    return model


def pictures(count: int, side: int = 64) -> np.ndarray:
    """Smooth pictures, uint8 [count,side,side,3]."""
    return np.stack([smooth_image(side, side, seed) for seed in range(count)])


def lively(model: Hyperprior, scatter: float = 0.01) -> Hyperprior:
    """Scatters all weights until latents, means and scales are as wide as trained ones.

    A fresh model's y and z are mostly zero, and its scale indexes are all alike: little
    of what can go wrong would show.

    Args:
        model: fresh.
        scatter: standard deviation of what is added to each weight.
    """
    rng = np.random.default_rng(5)
    for weight in model.trainable_variables:
        weight.assign_add(rng.normal(0, scatter, weight.shape))
    x = tf.cast(pictures(2, 2 * model.size.multiple), tf.float32)
    quality = tf.ones([2])
    if model.size.transform == "gdn":
        y = model.analyze(x, quality)
        _widen(model.g_a.steps[-1], y, 3.0)
        y = model.analyze(x, quality)
        _widen(model.g_s.steps[-1], model.synthesize(y, quality), 60.0)
        model.g_s.steps[-1].bias.assign_add([0.5] * 3)
    if model.variant == "factorized":
        return model
    y = model.analyze(x, quality)
    _widen(model.h_a.layers[-1], model.hyper_analyze(y), 3.0)
    z_hat = tf.round(model.hyper_analyze(y))
    if model.variant == "scale":
        # A last ReLU would hide the low half.
        model.h_s.layers[-1].bias.assign_add(tf.ones([model.size.channels]))
    kernel = model.h_s.layers[-1].kernel
    kernel.assign_add(rng.normal(0, 0.05, kernel.shape))
    _widen(model.h_s.layers[-1], model.h_s(z_hat), 1.0)
    return model


def _widen(layer: tf.keras.layers.Layer, outputs: tf.Tensor, spread: float) -> None:
    """Scales a last layer so that its outputs have a standard deviation of `spread`."""
    layer.kernel.assign(layer.kernel * spread / np.std(outputs))
