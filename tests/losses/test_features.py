import numpy as np
import tensorflow as tf

from tests.harness import SemCompTestCase
from tfsemcomp.losses import features


def stages(seed):
    return [
        tf.random.stateless_normal([2, side, side, 5], [seed, side]) for side in (4, 2)
    ]


class FeatureDistanceTest(SemCompTestCase):
    def test_mse_is_the_sum_of_the_layers_means(self):
        found = features.feature_distance(stages(1), stages(2))
        expected = sum(
            np.mean(np.square(a - b), axis=(1, 2, 3))
            for a, b in zip(stages(1), stages(2), strict=True)
        )
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_l1_is_the_sum_of_the_layers_means(self):
        found = features.feature_distance(stages(1), stages(2), "l1")
        pairs = zip(stages(1), stages(2), strict=True)
        expected = sum(np.mean(np.abs(a - b), axis=(1, 2, 3)) for a, b in pairs)
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_unit_is_what_cosines_say(self):
        found = features.feature_distance(stages(1), stages(2), "unit")
        expected = 0
        for a, b in zip(stages(1), stages(2), strict=True):
            lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
            cosine = np.sum(a * b, axis=-1) / lengths
            expected += np.mean(2 - 2 * cosine, axis=(1, 2))
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_no_gradient_goes_to_the_original(self):
        original, coded = stages(1), stages(2)
        for kind in features.KINDS:
            with tf.GradientTape(persistent=True) as tape:
                tape.watch([original, coded])
                loss = features.feature_distance(original, coded, kind)
            self.assertEqual(tape.gradient(loss, original), [None, None])
            for gradient in tape.gradient(loss, coded):
                self.assertTrue(np.isfinite(gradient).all())

    def test_unit_of_silent_positions_has_finite_gradients(self):
        silent = [tf.zeros([1, 2, 2, 3])]
        with tf.GradientTape() as tape:
            tape.watch(silent)
            loss = features.feature_distance([tf.ones([1, 2, 2, 3])], silent, "unit")
        self.assertTrue(np.isfinite(tape.gradient(loss, silent)[0]).all())

    def test_other_kinds_are_refused(self):
        with self.assertRaisesRegex(ValueError, "`kind` must be.*unit"):
            features.feature_distance(stages(1), stages(2), "lpips")
