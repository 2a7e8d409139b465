"""Embedding of words whose gradient is a whole table, as a compiled step needs it."""

import tensorflow as tf


class WordEmbedding(tf.keras.layers.Layer):
    """A row of a table for each word.

    words [B,n] --table--> vectors [B,n,D]

    ``tf.keras.layers.Embedding`` is the same, but its gradient is a list of rows, whose
    duplicates optimizers remove by an operation of unknown length, which XLA for TPU
    lacks.

    Args:
        vocabulary: V, rows.
        width: D.
    Call args:
        words: int32 [B,n], 0 to V - 1.
    Returns: float [B,n,D] of the layer's compute type.
    """

    def __init__(self, vocabulary: int, width: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.vocabulary, self.width = vocabulary, width

    def build(self, words_shape: tf.TensorShape) -> None:
        """Makes the table."""
        self.table = self.add_weight(
            "table",
            (self.vocabulary, self.width),
            initializer=tf.keras.initializers.RandomUniform(-0.05, 0.05),
        )
        super().build(words_shape)

    def call(self, words: tf.Tensor) -> tf.Tensor:
        """Looks words up."""
        # A product's gradient is dense: the list of rows becomes a table there.
        return tf.gather(self.table * tf.ones([], self.compute_dtype), words)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {"vocabulary": self.vocabulary, "width": self.width}
        return {**super().get_config(), **config}
