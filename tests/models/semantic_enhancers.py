"""Semantic enhancers for tests, small enough to train step by step."""

import numpy as np
import tensorflow as tf

from tests.harness import smooth_image
from tfsemcomp.models.semantic_enhancer import (
    VARIANTS,
    EnhancerSize,
    LossWeights,
    SemanticEnhancer,
)

SIDE = 32
CLASSES = 5
SIZE = EnhancerSize((4, 6, 8), 4, 4, 2, 1, 4)
BASES = ("jpeg", "webp")
ALL = LossWeights(2.0, 3.0, 5.0, 7.0, 11.0)
NETWORKS = [{"variant": variant} for variant in VARIANTS]


def an_enhancer(size=SIZE, **options) -> SemanticEnhancer:
    """A fresh model, the same each time."""
    tf.keras.utils.set_random_seed(1)
    model = SemanticEnhancer(
        size, **{"classes": CLASSES, "ignored": 4, "bases": BASES, **options}
    )
    model.create_weights()
    return model


def shaken(model: SemanticEnhancer) -> SemanticEnhancer:
    """The model with other weights: modulation and additions start as none."""
    rng = np.random.default_rng(1)
    for weight in model.generator.trainable_weights:
        weight.assign_add(rng.normal(0, 0.1, weight.shape))
    return model


def features(images: tf.Tensor) -> list[tf.Tensor]:
    """What stands in for a frozen network: two scales of the picture."""
    return [tf.nn.avg_pool2d(images / 255, side, side, "VALID") for side in (2, 4)]


def segment(images: tf.Tensor) -> tf.Tensor:
    """What stands in for a frozen segmenter: scores by how bright a picture is."""
    grey = tf.reduce_mean(images, axis=-1, keepdims=True) / 255
    levels = tf.linspace(0.0, 1.0, CLASSES)
    return tf.nn.avg_pool2d(-20 * tf.square(grey - levels), 4, 4, "VALID")


def compiled(model, phase=2, weights=ALL, rate=1e-3, **options) -> SemanticEnhancer:
    """The model with optimizers and frozen networks."""
    drawing, judging = (tf.keras.optimizers.Adam(rate, 0.5, 0.9) for _ in range(2))
    model.compile(
        drawing,
        judging,
        phase,
        weights,
        features=features,
        segment=segment,
        **options,
    )
    model.optimizer.build(model.trainable_variables)
    return model


def a_batch(count: int = 2, side: int = SIDE) -> dict[str, tf.Tensor]:
    """Pictures, their labels, and coarser pictures of two codecs and one more."""
    pictures = np.stack([smooth_image(side, side, seed) for seed in range(count)])
    labels = np.digitize(pictures[..., :1], (60, 110, 160))
    return {
        "image": tf.constant(pictures),
        "planes": tf.constant(labels.astype(np.uint8)),
        "base": tf.constant(pictures // 32 * 32),
        "codec": tf.range(count) % 3,
        "rate": tf.linspace(0.1, 0.5, count),
    }
