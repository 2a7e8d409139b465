import numpy as np
import tensorflow as tf
import tensorflow_compression as tfc

from tests.harness import SemCompTestCase
from tfsemcomp.entropy import builders
from tfsemcomp.losses import rate

SCALES = builders.scale_table().astype(np.float32)
# Beyond, the likelihood of both is cut at 1e-9.
IN_RANGE = 25.0


def all_pairs(values):
    """Each value with each scale: two float32 vectors."""
    pairs = np.meshgrid(np.float32(values), SCALES)
    return tuple(tf.constant(part.ravel()) for part in pairs)


def bits_and_gradients(bits_of, values, scale):
    with tf.GradientTape() as tape:
        tape.watch([values, scale])
        bits = bits_of(values, scale)
    return bits.numpy(), *(g.numpy() for g in tape.gradient(bits, [values, scale]))


class GaussianBitsTest(SemCompTestCase):
    def test_equals_the_entropy_model_of_tensorflow_compression(self):
        model = tfc.LocationScaleIndexedEntropyModel(
            tfc.NoisyNormal,
            num_scales=len(SCALES),
            scale_fn=lambda index: tf.gather(SCALES, tf.cast(index, tf.int32)),
            coding_rank=1,
            compression=False,
        )
        values, scale = all_pairs([0, 1, -2, 5, -17, 100])
        index = np.argmin(abs(scale.numpy()[:, None] - SCALES), axis=1)
        # `training` takes the values as they are, with noise beyond our control.
        _, expected = model(
            values[:, None], index[:, None].astype(np.float32), training=False
        )
        inside = expected.numpy() < IN_RANGE
        self.assertGreater(inside.mean(), 0.5)
        got = rate.gaussian_bits(values, scale).numpy()
        np.testing.assert_allclose(
            got[inside], expected.numpy()[inside], rtol=1e-4, atol=1e-5
        )

    def test_bits_and_gradients_equal_those_of_noisy_normal(self):
        def of_tfc(values, scale):
            prior = tfc.NoisyNormal(loc=0.0, scale=scale)
            return -prior.log_prob(values) / np.log(2).astype(np.float32)

        values, scale = all_pairs([0.3, -0.49, 0.51, -1.2, 3.7, -12.5, 80.1])
        ours = bits_and_gradients(rate.gaussian_bits, values, scale)
        theirs = bits_and_gradients(of_tfc, values, scale)
        inside = theirs[0] < IN_RANGE
        self.assertGreater(inside.mean(), 0.5)
        np.testing.assert_allclose(
            ours[0][inside], theirs[0][inside], rtol=1e-4, atol=1e-5
        )
        for mine, other in zip(ours[1:], theirs[1:], strict=True):
            np.testing.assert_allclose(
                mine[inside], other[inside], rtol=2e-3, atol=2e-4
            )

    def test_everything_is_finite_and_bounded(self):
        extremes = [0, 0.5, -0.5, 1, -3, 50, -4000, 1e6, -1e20]
        values, scale = all_pairs(extremes)
        for found in bits_and_gradients(rate.gaussian_bits, values, scale):
            self.assertTrue(np.isfinite(found).all())
        bits = rate.gaussian_bits(values, scale).numpy()
        self.assertBetween(bits.min(), 0, 1e-4)
        self.assertAlmostEqual(float(bits.max()), 29.9, places=4)

    def test_below_the_floor_nothing_pulls(self):
        values, scale = tf.constant([100.0]), tf.constant([0.5])
        bits, *gradients = bits_and_gradients(rate.gaussian_bits, values, scale)
        self.assertAlmostEqual(float(bits[0]), 29.9, places=4)
        self.assertEqual(float(gradients[0][0]), 0)
        self.assertEqual(float(gradients[1][0]), 0)

    def test_sign_does_not_matter(self):
        values, scale = all_pairs([0.2, 1.0, 6.5])
        np.testing.assert_array_equal(
            rate.gaussian_bits(values, scale), rate.gaussian_bits(-values, scale)
        )

    def test_likelihoods_of_all_integers_sum_to_one(self):
        integers = np.arange(-1500, 1501, dtype=np.float32)
        for scale in SCALES[::9]:
            bits = rate.gaussian_bits(integers, np.full_like(integers, scale))
            total = np.sum(2.0 ** -bits.numpy().astype(np.float64))
            self.assertAlmostEqual(total, 1, delta=1e-4)

    def test_likelihood_bits(self):
        bits = rate.likelihood_bits(tf.constant([1.0, 0.5, 0.125, 0.0]))
        np.testing.assert_allclose(bits, [0, 1, 3, 29.9], rtol=1e-6)
