"""Recurrent autoencoders for tests."""

import numpy as np
import tensorflow as tf

from tests.harness import smooth_image
from tfsemcomp.models.recurrent_autoencoder import RecurrentAutoencoder

SIZES = ("tiny", "tiny-dct")


def a_model(size="tiny-dct", scatter=0.0, **options) -> RecurrentAutoencoder:
    """A fresh model, the same each time.

    Args:
        size: a name, or a `RecurrentSize`.
        scatter: standard deviation of what is added to each weight, so that networks
            that begin at zero do something.
        **options: of `RecurrentAutoencoder`.
    """
    tf.keras.utils.set_random_seed(1)
    model = RecurrentAutoencoder(size, **options)
    model.create_weights()
    rng = np.random.default_rng(5)
    for weight in model.trainable_variables if scatter else ():
        weight.assign_add(rng.normal(0, scatter, weight.shape))
    return model


def pictures(count: int = 2, height: int = 32, width: int = 32) -> np.ndarray:
    """Smooth pictures, uint8 [count,height,width,3]."""
    return np.stack([smooth_image(height, width, seed) for seed in range(count)])


def features(images: tf.Tensor) -> list[tf.Tensor]:
    """What stands in for a frozen network: two scales of the picture."""
    return [tf.nn.avg_pool2d(images, side, side, "VALID") for side in (2, 4)]
