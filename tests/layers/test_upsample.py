import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.layers import upsample


def random_map(height, width):
    return tf.random.stateless_normal([2, height, width, 3], [1, 2])


class DoubleTest(SemCompTestCase):
    @parameterized.parameters((1, 1), (1, 3), (4, 2), (5, 7))
    def test_equals_that_of_tensorflow(self, height, width):
        x = random_map(height, width)
        expected = tf.image.resize(x, [2 * height, 2 * width])
        np.testing.assert_allclose(upsample.double(x), expected, atol=1e-6)

    def test_unknown_sizes_give_the_same(self):
        any_size = tf.function(
            upsample.double,
            input_signature=[tf.TensorSpec([None, None, None, 3])],
        )
        x = random_map(3, 5)
        np.testing.assert_allclose(any_size(x), upsample.double(x), atol=1e-6)

    def test_gradients_are_those_of_tensorflow(self):
        x = random_map(3, 4)
        weight = random_map(6, 8)
        gradients = []
        for function in (upsample.double, lambda x: tf.image.resize(x, [6, 8])):
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_sum(function(x) * weight)
            gradients.append(tape.gradient(loss, x))
        np.testing.assert_allclose(*gradients, atol=1e-5)

    def test_keeps_the_dtype(self):
        x = tf.cast(random_map(2, 2), tf.bfloat16)
        self.assertEqual(upsample.double(x).dtype, tf.bfloat16)

    def test_xla_clean(self):
        self.assert_xla_clean(upsample.double, random_map(3, 4))
