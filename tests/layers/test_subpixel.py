import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.layers.subpixel import SubpixelTranspose


class SubpixelTransposeTest(SemCompTestCase):
    @parameterized.parameters((1, 1), (1, 4), (5, 7), (8, 8))
    def test_equals_the_stock_layer(self, height, width):
        x = tf.random.stateless_normal([2, height, width, 6], [1, 2])
        stock = tf.keras.layers.Conv2DTranspose(3, 5, 2, "same")
        expected = stock(x)
        ours = SubpixelTranspose(3)
        ours.build(x.shape)
        ours.set_weights([*stock.get_weights()[:1], np.float32([1, 2, 3])])
        stock.bias.assign([1, 2, 3])
        np.testing.assert_allclose(ours(x), stock(x), atol=1e-5)
        self.assertEqual(ours(x).shape, expected.shape)

    def test_keeps_the_promises_of_a_layer(self):
        x = tf.random.stateless_normal([1, 3, 5, 4], [3, 4])
        self.run_layer_test(lambda: SubpixelTranspose(3), x, (1, 6, 10, 3))
