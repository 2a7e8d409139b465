"""A sentence as one vector: the mean of its words' embeddings."""

import tensorflow as tf

from tfsemcomp.layers.word_embedding import WordEmbedding

# Words that a vocabulary lacks, and padding (semantics/vocabulary.py).
_UNKNOWN, _PAD = 3, 0
# Embeddings begin within a twentieth; vectors shall be of the order of 1.
_SCALE = 20.0


class MeanEmbedding(tf.keras.layers.Layer):
    """Mean of the embeddings of a sentence's words; zeros without any word.

    Args:
        vocabulary: how many ids there are, at least 4; larger ones count as unknown.
        width: D, of the embeddings.
    Call args:
        words: int32 [B,T], 0 for padding.
    Returns: float32 [B,D].
    """

    def __init__(self, vocabulary: int, width: int, **kwargs) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.vocabulary, self.width = vocabulary, width
        self.embed = WordEmbedding(vocabulary, width, dtype="float32")

    def call(self, words: tf.Tensor) -> tf.Tensor:
        """Embeds sentences."""
        known = (words >= 0) & (words < self.vocabulary)
        found = self.embed(tf.where(known, words, _UNKNOWN))
        counted = tf.cast(words != _PAD, tf.float32)
        total = tf.reduce_sum(found * counted[..., None], axis=1)
        count = tf.maximum(tf.reduce_sum(counted, axis=1), 1.0)
        return _SCALE * total / count[:, None]

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {"vocabulary": self.vocabulary, "width": self.width}
        return {**super().get_config(), **config}
