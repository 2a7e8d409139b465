import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.training import adversarial_optimizers, schedules


class AdversarialOptimizersTest(SemCompTestCase):
    @parameterized.parameters((True, 0.5, 2.0), (False, 1.0, 0.5))
    def test_each_keeps_its_own_share_in_every_step(self, two_rates, *shares):
        # In a published code both fell to another ratio after the first epoch.
        optimizers = adversarial_optimizers.make(4e-4, 100, two_rates=two_rates)
        for optimizer, share in zip(optimizers, shares, strict=True):
            weight = tf.Variable(1.0)
            optimizer.build([weight])
            for step in (0, 49, 75, 99):
                optimizer.iterations.assign(step)
                optimizer.apply_gradients([(tf.constant(1.0), weight)])
                rate = float(schedules.LinearDecay(4e-4, 100)(step))
                found = float(optimizer.learning_rate)
                self.assertAlmostEqual(found, share * rate, places=9)

    def test_moments_and_averages(self):
        drawing, judging = adversarial_optimizers.make(1e-3, 10, ema_momentum=0.9)
        for optimizer in (drawing, judging):
            self.assertEqual((optimizer.beta_1, optimizer.beta_2), (0.0, 0.9))
        self.assertTrue(drawing.use_ema)
        self.assertFalse(judging.use_ema)
        plain, _ = adversarial_optimizers.make(1e-3, 10, two_rates=False)
        self.assertEqual((plain.beta_1, plain.beta_2), (0.5, 0.999))


class LinearDecayTest(SemCompTestCase):
    def test_stays_then_falls_to_nothing(self):
        rate = schedules.LinearDecay(2.0, 100)
        found = [float(rate(step)) for step in (0, 50, 75, 100, 120)]
        np.testing.assert_allclose(found, [2, 2, 1, 0, 0], atol=1e-6)

    def test_config(self):
        rate = schedules.LinearDecay(2.0, 7)
        again = tf.keras.optimizers.schedules.deserialize(
            tf.keras.optimizers.schedules.serialize(rate)
        )
        self.assertEqual(again.get_config(), {"peak": 2.0, "steps": 7})
