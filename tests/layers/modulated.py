"""Layers of two inputs, for tests that have one."""

import tensorflow as tf


def values(*shape: int, seed: int = 1) -> tf.Tensor:
    """Normal numbers, the same each time."""
    return tf.random.stateless_normal(shape, [seed, 2])


class Bound(tf.keras.layers.Layer):
    """A layer of two inputs as one of the first."""

    def __init__(self, layer, second):
        super().__init__()
        self.layer, self.second = layer, second

    def call(self, inputs):
        """Runs the layer."""
        return self.layer(inputs, self.second)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            "layer": type(self.layer).from_config(self.layer.get_config()),
            "second": self.second,
        }
