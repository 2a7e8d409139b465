import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.losses import adversarial


def logits(seed):
    """Of two scales."""
    return [
        tf.random.stateless_normal([2, side, side, 1], [seed, side], stddev=2.0)
        for side in (4, 2)
    ]


class AdversarialTest(SemCompTestCase):
    @parameterized.parameters("lsgan", "dcgan", "wgan-gp", "", "LS")
    def test_unknown_modes_are_refused(self, mode):
        # A published code took them for a critic without a constraint.
        calls = (
            lambda: adversarial.generator_loss(logits(1), mode),
            lambda: adversarial.discriminator_loss(logits(1), logits(2), mode),
            lambda: adversarial.real_loss(logits(1), mode),
            lambda: adversarial.fake_loss(logits(1), mode),
        )
        for call in calls:
            with self.assertRaisesRegex(ValueError, "`gan_mode` must be.*'ls'"):
                call()

    @parameterized.parameters("ls", "original")
    def test_equals_that_of_keras(self, mode):
        kind = {
            "ls": tf.keras.losses.MeanSquaredError(),
            "original": tf.keras.losses.BinaryCrossentropy(from_logits=True),
        }[mode]

        def mean(scales, target):
            return np.mean([kind(tf.fill(s.shape, target), s) for s in scales])

        real, fake = logits(1), logits(2)
        self.assertAlmostEqual(
            float(adversarial.generator_loss(fake, mode)), mean(fake, 1.0), places=5
        )
        self.assertAlmostEqual(
            float(adversarial.discriminator_loss(real, fake, mode)),
            mean(real, 1.0) + mean(fake, 0.0),
            places=5,
        )

    def test_hinge_by_hand(self):
        real = [tf.constant([[3.0], [0.5]])]
        fake = [tf.constant([[-3.0], [0.5]])]
        found = adversarial.discriminator_loss(real, fake, "hinge")
        self.assertAlmostEqual(float(found), 0.25 + 0.75)
        self.assertAlmostEqual(float(adversarial.generator_loss(fake, "hinge")), 1.25)

    @parameterized.parameters(*adversarial.MODES)
    def test_each_wants_what_the_other_fears(self, mode):
        low, high = ([tf.fill([1, 2, 2, 1], value)] for value in (-1.0, 1.5))
        better = adversarial.generator_loss(high, mode)
        self.assertLess(better, adversarial.generator_loss(low, mode))
        right = adversarial.discriminator_loss(high, low, mode)
        self.assertLess(right, adversarial.discriminator_loss(low, high, mode))

    def test_gradient_penalty(self):
        gradient = tf.constant([3.0, 4.0, 0.0, 0.0], shape=[2, 1, 2, 1])
        found = adversarial.gradient_penalty(gradient)
        self.assertAlmostEqual(float(found), 12.5)
