import numpy as np
import tensorflow as tf

from tests.harness import SemCompTestCase
from tfsemcomp.layers.sentence import MeanEmbedding


class MeanEmbeddingTest(SemCompTestCase):
    def test_is_the_mean_of_the_words(self):
        layer = MeanEmbedding(7, 3)
        words = tf.constant([[4, 5, 0, 0], [0, 5, 0, 4], [6, 6, 6, 0], [0, 0, 0, 0]])
        found = layer(words).numpy()
        table = 20 * layer.embed.table.numpy()
        np.testing.assert_allclose(found[0], (table[4] + table[5]) / 2, rtol=1e-5)
        np.testing.assert_allclose(found[1], found[0], rtol=1e-5)
        np.testing.assert_allclose(found[2], table[6], rtol=1e-5)
        np.testing.assert_array_equal(found[3], 0)

    def test_ids_beyond_the_vocabulary_are_unknown_words(self):
        layer = MeanEmbedding(7, 3)
        found = layer(tf.constant([[7, 100], [3, 3], [-1, 3]]))
        np.testing.assert_allclose(found[0], found[1])
        np.testing.assert_allclose(found[2], found[1])
        again = MeanEmbedding.from_config(layer.get_config())
        self.assertEqual((again.vocabulary, again.width), (7, 3))
