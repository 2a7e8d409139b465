import numpy as np
import tensorflow as tf

from tests.harness import SemCompTestCase
from tfsemcomp.layers.word_embedding import WordEmbedding


class WordEmbeddingTest(SemCompTestCase):
    def test_is_keras_embedding_with_a_dense_gradient(self):
        layer, other = WordEmbedding(7, 3), tf.keras.layers.Embedding(7, 3)
        words = tf.constant([[1, 6, 1], [0, 2, 2]])
        layer(words), other(words)
        other.set_weights(layer.get_weights())
        gradients = []
        for one in (layer, other):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(one(words) ** 2)
            gradients += tape.gradient(loss, one.trainable_variables)
        np.testing.assert_array_equal(layer(words), other(words))
        self.assertIsInstance(gradients[0], tf.Tensor)
        np.testing.assert_allclose(
            gradients[0], tf.convert_to_tensor(gradients[1]), rtol=1e-6
        )

    def test_follows_the_policy_and_its_config(self):
        layer = WordEmbedding(7, 3, dtype="mixed_bfloat16")
        words = tf.constant([[1, 6]])
        self.assertEqual(layer(words).dtype, tf.bfloat16)
        self.assertEqual(layer.table.dtype, tf.float32)
        again = WordEmbedding.from_config(layer.get_config())
        again(words)
        again.set_weights(layer.get_weights())
        np.testing.assert_array_equal(again(words), layer(words))
