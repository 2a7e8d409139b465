"""The loss of one replica among several that train together."""

import tensorflow as tf


def share(loss: tf.Tensor) -> tf.Tensor:
    """The part of the whole loss that this replica's gradients are taken of.

    Keras' optimizers add up the gradients of all replicas: with this share the sum is
    the gradient of the mean loss, as one device has for the whole batch.

    Args:
        loss: float scalar, mean over the replica's pictures.
    Returns: `loss` over the number of replicas; outside of a strategy, `loss`.
    """
    return loss / tf.distribute.get_strategy().num_replicas_in_sync
