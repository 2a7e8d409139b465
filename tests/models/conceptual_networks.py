"""Conceptual codecs for tests, small enough to train step by step."""

import functools

import numpy as np
import tensorflow as tf

from tests.harness import smooth_image
from tfsemcomp.models import conceptual
from tfsemcomp.models.conceptual import Conceptual, ConceptualSize, LossWeights
from tfsemcomp.models.conceptual_structure import Degradation

SIDE = 64
SIZE = ConceptualSize(2, 4, 4, 3, stages=5)
NETWORKS = [
    {"variant": variant, "latent": latent}
    for variant in conceptual.VARIANTS
    for latent in conceptual.LATENTS
]


def a_model(size=SIZE, **options) -> Conceptual:
    """A fresh model, the same each time."""
    tf.keras.utils.set_random_seed(1)
    model = Conceptual(size, **options)
    model.create_weights()
    return model


def compiled(model, learning_rate=1e-3, weights=None, **options) -> Conceptual:
    """The model with optimizers."""
    drawing, judging = (
        tf.keras.optimizers.Adam(learning_rate, 0.5, 0.9) for _ in range(2)
    )
    model.compile(drawing, judging, weights or LossWeights(), **options)
    model.optimizer.build(model.trainable_variables)
    return model


@functools.lru_cache
def _made(variant: str, latent: str) -> tuple[Conceptual, list[np.ndarray]]:
    model = compiled(a_model(variant=variant, latent=latent))
    return model, model.get_weights()


def lent(variant="hf_gan", latent="rate", weights=None, **changes) -> Conceptual:
    """A compiled model that tests share, as it was when it was fresh.

    Args:
        variant, latent: of the model.
        weights: of its losses.
        **changes: attributes to set.
    """
    model, fresh = _made(variant, latent)
    model.set_weights(fresh)
    model.optimizer.iterations.assign(0)
    model.loss_weights = weights or LossWeights()
    changes = {"degradation": Degradation(), "textureless": 0.0, **changes}
    for name, value in changes.items():
        setattr(model, name, value)
    return model


def planes(count: int, side: int = SIDE, methods: int = 2) -> np.ndarray:
    """Lines of pictures at two strengths, uint8 [count,side,side,methods]."""
    pictures = np.stack([smooth_image(side, side, seed) for seed in range(count)])
    grey = pictures.mean(axis=-1)
    steep = np.abs(np.diff(grey, axis=1, prepend=0)) > 25
    strengths = [255 * steep, 128 * steep][:methods]
    return np.stack(strengths, axis=-1).astype(np.uint8)


def a_batch(count: int = 2, side: int = SIDE) -> dict[str, tf.Tensor]:
    """Pictures with their lines."""
    pictures = [smooth_image(side, side, seed) for seed in range(count)]
    return {
        "image": tf.constant(np.stack(pictures)),
        "planes": tf.constant(planes(count, side)),
    }


def features(images: tf.Tensor) -> list[tf.Tensor]:
    """What stands in for a frozen network: two scales of the picture."""
    return [tf.nn.avg_pool2d(images / 255, side, side, "VALID") for side in (2, 4)]
