"""A hyperprior that trains in seconds, for processes that must agree."""

import tensorflow as tf

from tfsemcomp.data import pipeline
from tfsemcomp.models.hyperprior import Hyperprior

PLAN = pipeline.Augmentation(crop=32)


class Quiet(Hyperprior):
    """Learns from rounded latents: what it draws does not depend on the replica."""

    def call(self, x, quality=None, lower=None, training=None):
        """As if for evaluation."""
        return super().call(x, quality, lower, training=False)


def a_model(noise: bool) -> Hyperprior:
    """A compiled hyperprior.

    Args:
        noise: learn from noise, as in earnest; otherwise what is learnt depends on the
            data alone, whoever has which part of them.
    """
    kind = Hyperprior if noise else Quiet
    model = kind("tiny-dct", "factorized")
    model.create_weights()
    averages = {"use_ema": True, "ema_momentum": 0.5}
    optimizer = tf.keras.optimizers.Adam(1e-3, **averages)
    if not noise:
        # Adam or a clip would take away the factor by which a sum of the workers'
        # gradients exceeds their mean.
        optimizer = tf.keras.optimizers.SGD(1e-6, momentum=0.9, **averages)
    model.compile(optimizer)
    return model


def state(model: Hyperprior) -> list:
    """Everything that training changes, as arrays."""
    return [v.numpy() for v in (*model.trainable_variables, *model.optimizer.variables)]
