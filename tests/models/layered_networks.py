"""Layer 2 of `layered` for tests, small enough to train step by step."""

import numpy as np
import tensorflow as tf

from tests.models import conceptual_networks
from tfsemcomp.models.structure_generator import (
    LossWeights,
    StructureGenerator,
    StructureSize,
)

SIDE = 64
WORDS = 9
SIZE = StructureSize(4, (4, 6, 8), 4, 4, 4)
NETWORKS = [
    {"variant": "v1", "attention_axis": "query"},
    {"variant": "v1", "attention_axis": "key"},
    {"variant": "v2"},
    {"variant": "v2", "vocabulary": WORDS},
]


def a_generator(size=SIZE, **options) -> StructureGenerator:
    """A fresh model, the same each time."""
    tf.keras.utils.set_random_seed(1)
    model = StructureGenerator(size, **options)
    model.create_weights()
    return model


def compiled(model, rate=1e-3, weights=None, **options) -> StructureGenerator:
    """The model with optimizers."""
    drawing, judging = (tf.keras.optimizers.Adam(rate, 0.5, 0.9) for _ in range(2))
    model.compile(drawing, judging, weights or LossWeights(), **options)
    model.optimizer.build(model.trainable_variables)
    return model


def a_batch(count: int = 2, side: int = SIDE) -> dict[str, tf.Tensor]:
    """Pictures with their lines and with sentences of two or three words."""
    rows = np.zeros([count, 5], np.int32)
    for number, row in enumerate(rows):
        row[: 2 + number % 2] = 4 + (number + np.arange(2 + number % 2)) % (WORDS - 4)
    return {**conceptual_networks.a_batch(count, side), "words": tf.constant(rows)}


def text_to_image(words: tf.Tensor) -> tf.Tensor:
    """What stands in for layer 1: a colour for each first word, 32x32."""
    level = 20.0 * tf.cast(words[:, :1], tf.float32)
    colour = tf.stack([level, 255 - level, level / 2], axis=-1)
    return tf.broadcast_to(colour[:, None], [words.shape[0], 32, 32, 3])
