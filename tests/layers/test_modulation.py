import numpy as np
import tensorflow as tf

from tests.harness import SemCompTestCase
from tfsemcomp.layers.adain import instance_norm
from tfsemcomp.layers.film import Film
from tfsemcomp.layers.sentence import MeanEmbedding
from tfsemcomp.layers.spade import Spade


def values(*shape, seed=1):
    return tf.random.stateless_normal(shape, [seed, 2])


class FilmTest(SemCompTestCase):
    def test_layer(self):
        self.run_layer_test(
            lambda: Bound(Film(), values(2, 5)), values(2, 4, 3, 6), (2, 4, 3, 6)
        )

    def test_scales_and_shifts(self):
        film, x, vector = Film(), values(2, 4, 3, 2), values(2, 5)
        np.testing.assert_array_equal(film(x, vector), x)
        film.affine.bias.assign([1.0, 0.0, 5.0, -2.0])
        np.testing.assert_allclose(film(x, vector), x * [2, 1] + [5, -2], rtol=1e-5)


class SpadeTest(SemCompTestCase):
    def test_layer(self):
        self.run_layer_test(
            lambda: Bound(Spade(3), values(2, 6, 8, 1)),
            values(2, 6, 8, 4),
            (2, 6, 8, 4),
        )

    def test_starts_as_a_normalisation(self):
        x, maps = values(1, 6, 8, 4), values(1, 6, 8, 1)
        np.testing.assert_allclose(Spade(3)(x, maps), instance_norm(x), atol=1e-5)

    def test_what_it_adds_lies_where_the_lines_are(self):
        x, spade = values(1, 16, 16, 2), Spade(3)
        empty = np.zeros([1, 16, 16, 1], np.float32)
        lines = empty.copy()
        lines[0, 4, 4] = 1
        spade(x, empty)
        for weight in spade.trainable_variables:
            weight.assign(values(*weight.shape))
        change = np.abs(spade(x, lines) - spade(x, empty)).max(axis=(0, 3))
        self.assertGreater(change[2:7, 2:7].max(), 0.1)
        change[2:7, 2:7] = 0
        np.testing.assert_array_equal(change, 0)


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
