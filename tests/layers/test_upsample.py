import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.layers import upsample


def random_map(height, width):
    return tf.random.stateless_normal([2, height, width, 3], [1, 2])


class EnlargeTest(SemCompTestCase):
    @parameterized.parameters((1, 1, 2), (1, 3, 2), (4, 2, 1), (5, 7, 4), (2, 3, 3))
    def test_equals_that_of_tensorflow(self, height, width, times):
        x = random_map(height, width)
        expected = tf.image.resize(x, [times * height, times * width])
        np.testing.assert_allclose(upsample.enlarge(x, times), expected, atol=1e-6)

    def test_unknown_sizes_give_the_same(self):
        any_size = tf.function(
            lambda x: upsample.enlarge(x, 4),
            input_signature=[tf.TensorSpec([None, None, None, 3])],
        )
        x = random_map(3, 5)
        np.testing.assert_allclose(any_size(x), upsample.enlarge(x, 4), atol=1e-6)

    def test_gradients_are_those_of_tensorflow(self):
        x = random_map(3, 4)
        weight = random_map(6, 8)
        gradients = []
        for function in (
            lambda x: upsample.enlarge(x, 2),
            lambda x: tf.image.resize(x, [6, 8]),
        ):
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_sum(function(x) * weight)
            gradients.append(tape.gradient(loss, x))
        np.testing.assert_allclose(*gradients, atol=1e-5)

    def test_keeps_the_dtype(self):
        x = tf.cast(random_map(2, 2), tf.bfloat16)
        self.assertEqual(upsample.enlarge(x, 2).dtype, tf.bfloat16)

    def test_xla_clean(self):
        self.assert_xla_clean(lambda x: upsample.enlarge(x, 2), random_map(3, 4))


class ResizeTest(SemCompTestCase):
    @parameterized.parameters((5, 7, 8, 4), (4, 4, 5, 5), (6, 3, 6, 3), (9, 2, 3, 7))
    def test_equals_that_of_tensorflow(self, height, width, rows, columns):
        x = random_map(height, width)
        expected = tf.image.resize(x, [rows, columns])
        found = upsample.resize(x, rows, columns)
        np.testing.assert_allclose(found, expected, atol=1e-5)
