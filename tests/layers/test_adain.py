import numpy as np
import tensorflow as tf

from tests.harness import SemCompTestCase
from tfsemcomp.layers import adain


def random_map(mean=0.0):
    return tf.random.stateless_normal([2, 4, 6, 3], [1, 2], mean=mean, stddev=2.0)


def latents(rows=1, columns=1):
    return tf.random.stateless_normal([2, rows, columns, 5], [3, 4])


class StatisticsTest(SemCompTestCase):
    def test_equal_those_of_tensorflow(self):
        x = random_map(50.0)
        mean, inverse = adain.statistics(x)
        expected, variance = tf.nn.moments(x, [1, 2], keepdims=True)
        np.testing.assert_allclose(mean, expected, rtol=1e-5)
        np.testing.assert_allclose(inverse, tf.math.rsqrt(variance + 1e-5), rtol=1e-4)

    def test_sizes_may_be_unknown(self):
        any_size = tf.function(
            adain.instance_norm,
            input_signature=[tf.TensorSpec([None, None, None, 3])],
        )
        x = random_map()
        np.testing.assert_allclose(any_size(x), adain.instance_norm(x), atol=1e-5)

    def test_instance_norm_is_that_of_keras(self):
        x = random_map(1.0)
        theirs = tf.keras.layers.GroupNormalization(
            groups=-1, center=False, scale=False, epsilon=1e-5
        )
        gradients = []
        for function in (adain.instance_norm, theirs):
            with tf.GradientTape() as tape:
                tape.watch(x)
                found = function(x)
                loss = tf.reduce_sum(tf.sin(found))
            gradients.append(tape.gradient(loss, x))
            np.testing.assert_allclose(found, adain.instance_norm(x), atol=1e-5)
        np.testing.assert_allclose(*gradients, atol=1e-5)

    def test_flat_channels_become_zero(self):
        np.testing.assert_allclose(adain.instance_norm(tf.fill([1, 2, 2, 3], 7.0)), 0)


class StyleTest(SemCompTestCase):
    def test_scales_and_shifts_as_published(self):
        layer, x, z = adain.Style(), random_map(1.0), latents()
        found = layer(x, z, adain.statistics(x))
        style = z @ layer.affine.kernel + layer.affine.bias
        scale, shift = tf.split(tf.where(style > 0, style, 0.2 * style), 2, axis=-1)
        normal = adain.instance_norm(x)
        np.testing.assert_allclose(found, normal * (1 + scale) + shift, atol=1e-5)
        np.testing.assert_allclose(layer(x, z), x * (1 + scale) + shift, atol=1e-5)

    def test_a_grid_of_equal_latents_is_one_latent(self):
        x = random_map()
        layer = adain.Style(times=2)
        z = latents()
        grid = tf.tile(z, [1, 2, 3, 1])
        np.testing.assert_allclose(layer(x, grid), layer(x, z), atol=1e-5)

    def test_cells_of_a_grid_count_where_they_lie(self):
        x = tf.ones([1, 4, 8, 3])
        layer = adain.Style(times=4)
        one = layer(x, tf.zeros([1, 1, 2, 5]))
        layer.affine.kernel.assign(tf.ones([5, 6]))
        z = tf.constant([0.0, 1.0])[None, None, :, None] * tf.ones([5])
        change = (layer(x, z) - one).numpy()[0, :, :, 0]
        np.testing.assert_allclose(change[:, 0], 0)
        # Both scales and shifts of the second cell are 5.
        np.testing.assert_allclose(change[:, 7], 10)
        self.assertTrue((np.diff(change, axis=1) >= 0).all())

    def test_config(self):
        layer = adain.Style(times=3)
        self.assertEqual(adain.Style.from_config(layer.get_config()).times, 3)
