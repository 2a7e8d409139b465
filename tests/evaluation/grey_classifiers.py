"""Classifiers of greys, in the folders that observers read."""

import pathlib

import tensorflow as tf

from tfsemcomp.evaluation import observer_models
from tfsemcomp.evaluation.observer_models import Card

SIDE = 8
GREYS = ("black", "iron", "steel", "stone", "silver", "white")


def save_greys(folder: pathlib.Path, **changes) -> pathlib.Path:
    """A classifier whose classes are greys from 0 to 255, the nearer the likelier.

    Args:
        folder: where.
        **changes: of its card.
    """
    card = Card(**{"name": "greys", "classes": GREYS, "side": SIDE, **changes})
    centres = tf.linspace(0.0, 255.0, len(GREYS))

    def classify(image: tf.Tensor) -> tf.Tensor:
        means = tf.reduce_mean(image, axis=(1, 2, 3))
        return tf.nn.softmax(-tf.abs(means[:, None] - centres) / 20)

    return observer_models.save(folder, classify, card)
