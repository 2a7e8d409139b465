import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.layers import spectral_norm
from tfsemcomp.layers.spectral_norm import SpectralConv2D

SHAPE = (2, 6, 8, 3)


def random_inputs():
    return tf.random.stateless_normal(SHAPE, [1, 2])


def a_layer(updates=0, **options):
    tf.keras.utils.set_random_seed(1)
    layer = SpectralConv2D(5, 3, **options)
    layer(random_inputs())
    for _ in range(updates):
        layer.update()
    return layer


def largest(kernel):
    return np.linalg.norm(np.reshape(kernel, [-1, kernel.shape[-1]]), 2)


class SpectralConv2DTest(SemCompTestCase):
    @parameterized.parameters(
        ({}, (2, 6, 8, 5)),
        ({"strides": 2, "use_bias": False}, (2, 3, 4, 5)),
        ({"padding": "VALID"}, (2, 4, 6, 5)),
        ({"spectral": False}, (2, 6, 8, 5)),
    )
    def test_layer(self, options, shape):
        self.run_layer_test(
            lambda: SpectralConv2D(5, 3, **options), random_inputs(), shape
        )

    def test_the_largest_singular_value_becomes_one(self):
        layer = a_layer(updates=100)
        self.assertAlmostEqual(largest(layer.normalised_kernel()), 1, places=4)
        self.assertNotAlmostEqual(largest(layer.kernel), 1, places=1)

    def test_u_stays_a_unit_vector_and_only_updates_move_it(self):
        layer = a_layer(updates=1)
        before = layer.u.numpy()
        layer(random_inputs(), training=True)
        np.testing.assert_array_equal(layer.u, before)
        layer.update()
        self.assertFalse(np.array_equal(layer.u, before))
        self.assertAlmostEqual(np.linalg.norm(layer.u), 1, places=5)

    def test_is_a_convolution_by_the_kernel_over_sigma(self):
        layer = a_layer(updates=100)
        layer.bias.assign(range(5))
        kernel = layer.kernel / largest(layer.kernel)
        expected = tf.nn.conv2d(random_inputs(), kernel, 1, "SAME") + layer.bias
        np.testing.assert_allclose(layer(random_inputs()), expected, atol=1e-4)

    def test_the_gradient_is_the_published_one(self):
        # (G - lambda u v') / sigma, lambda = <G, W / sigma>, equation 12 of the paper.
        layer = a_layer(updates=200)
        cotangent = tf.random.stateless_normal(layer.kernel.shape, [3, 4])
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer.normalised_kernel() * cotangent)
        found = tape.gradient(loss, layer.kernel)
        left, values, right = np.linalg.svd(np.reshape(layer.kernel, [-1, 5]))
        outer = np.outer(left[:, 0], right[0])
        flat = np.reshape(cotangent, [-1, 5])
        share = np.sum(flat * np.reshape(layer.kernel, [-1, 5])) / values[0]
        expected = (flat - share * outer) / values[0]
        np.testing.assert_allclose(np.reshape(found, [-1, 5]), expected, atol=1e-3)

    def test_a_kernel_of_zeros_stays_finite(self):
        layer = a_layer()
        layer.kernel.assign(tf.zeros_like(layer.kernel))
        layer.update()
        np.testing.assert_array_equal(layer(random_inputs()), 0)

    def test_folded_copies_give_the_same_without_u(self):
        def network(spectral):
            found = tf.keras.Sequential(
                [
                    SpectralConv2D(5, 3, spectral=spectral),
                    SpectralConv2D(4, 1, use_bias=False, spectral=spectral),
                ]
            )
            found(random_inputs())
            return found

        source, target = network(True), network(False)
        spectral_norm.update(source)
        source.layers[0].bias.assign(range(5))
        spectral_norm.copy_folded(source, target)
        np.testing.assert_allclose(
            target(random_inputs()), source(random_inputs()), atol=1e-5
        )
        self.assertLen(target.weights, 3)

    def test_singular_values_are_float32_in_mixed_precision(self):
        layer = SpectralConv2D(5, 3, dtype="mixed_bfloat16")
        self.assertEqual(layer(random_inputs()).dtype, tf.bfloat16)
        self.assertEqual(layer.normalised_kernel().dtype, tf.float32)

    def test_update_is_xla_clean(self):
        layer = a_layer()
        self.assert_xla_clean(lambda: layer.update())
