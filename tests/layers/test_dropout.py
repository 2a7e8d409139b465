import numpy as np
import tensorflow as tf

from tests.harness import SemCompTestCase
from tfsemcomp.layers.dropout import UniformDropout


class UniformDropoutTest(SemCompTestCase):
    def test_layer(self):
        inputs = tf.random.stateless_normal([2, 4, 4, 8], seed=[1, 2])
        self.run_layer_test(
            lambda: UniformDropout(0.5), inputs, (2, 4, 4, 8), training_varies=True
        )

    def test_keeps_the_mean_and_drops_its_share(self):
        dropped = UniformDropout(0.25)(tf.ones([200, 200]), training=True).numpy()
        self.assertAlmostEqual(float(np.mean(dropped == 0)), 0.25, delta=0.02)
        self.assertAlmostEqual(float(dropped.mean()), 1.0, delta=0.02)

    def test_rejects_a_rate_of_one(self):
        with self.assertRaisesRegex(ValueError, "`rate`"):
            UniformDropout(1.0)

    def test_xla_clean(self):
        layer = UniformDropout(0.5)
        self.assert_xla_clean(lambda x: layer(x, training=True), tf.ones([4, 4]))
