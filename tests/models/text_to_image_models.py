"""Text-to-image models for tests, small enough to train step by step."""

import numpy as np
import tensorflow as tf

from tests.harness import smooth_image
from tfsemcomp.models import damsm, text_to_image

VOCABULARY = 20
T = 6
SIDE = 32
DAMSM = damsm.DamsmSize("conv", 16, 6, 8, (4, 6))
SIZE = text_to_image.TextToImageSize(
    2, 4, first=16, stages=2, residuals=1, noise=5, condition=4
)
# A start, an end, an unknown word, and no word at all are among them.
WORDS = (
    (4, 9, 3, 2, 0, 0),
    (7, 2, 0, 0, 0, 0),
    (5, 6, 7, 8, 9, 10),
    (12, 4, 19, 2, 0, 0),
)


def a_batch(count=2, side=SIDE):
    """Pictures that differ, with words that differ."""
    image = np.stack([smooth_image(side, side, seed) for seed in range(count)])
    image[0] = 255 - image[0]
    return {
        "image": tf.constant(image),
        "words": tf.constant(WORDS[:count], tf.int32),
        "label": tf.fill([count], tf.constant(-1, tf.int64)),
    }


def a_damsm(size=DAMSM):
    """A new one with all its weights."""
    tf.keras.utils.set_random_seed(1)
    model = damsm.Damsm(size, VOCABULARY, T)
    model.create_weights()
    return model


def a_model(size=SIZE, **options):
    """A new one with all its weights."""
    tf.keras.utils.set_random_seed(2)
    text = damsm.TextSize(VOCABULARY, T, DAMSM.embedding, DAMSM.width)
    model = text_to_image.TextToImage(size, text, **options)
    model.create_weights()
    return model


def compiled(model=None, rate=2e-3, weights=None, **options):
    """A model that can train, beside a DAMSM whose text encoder it has."""
    model = model or a_model()
    judge = a_damsm()
    model.take_text(judge)
    optimizers = [tf.keras.optimizers.Adam(rate, 0.5) for _ in range(2)]
    model.compile(*optimizers, judge, weights, **options)
    model.optimizer.build(model.trainable_variables)
    return model
