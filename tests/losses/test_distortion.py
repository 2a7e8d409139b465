import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase, noise_image, smooth_image
from tfsemcomp.losses import distortion

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def pair(height, width, sigma, seed=0):
    """A picture and one with noise and a darker half, float32 [2,H,W,3] each."""
    x = np.stack([smooth_image(height, width, seed + i) for i in range(2)])
    rng = np.random.default_rng(seed)
    y = x + rng.normal(0, sigma, x.shape)
    y[:, : height // 2] *= 0.8
    return (tf.constant(np.clip(v, 0, 255), tf.float32) for v in (x, y))


class MseTest(SemCompTestCase):
    def test_is_the_mean_of_each_picture(self):
        x, y = pair(16, 24, 9)
        expected = np.mean((x.numpy() - y.numpy()) ** 2, axis=(1, 2, 3))
        np.testing.assert_allclose(distortion.mse(x, y), expected, rtol=1e-5)


class SsimTest(SemCompTestCase):
    def test_equals_tensorflow(self):
        x, y = pair(24, 40, 20)
        np.testing.assert_allclose(
            distortion.ssim(x, y), tf.image.ssim(x, y, 255), rtol=1e-3
        )


class MsSsimTest(SemCompTestCase):
    @parameterized.parameters((176, 176, 3), (192, 256, 20), (208, 176, 60))
    def test_equals_tensorflow_where_five_scales_fit(self, height, width, sigma):
        x, y = pair(height, width, sigma)
        expected = tf.image.ssim_multiscale(x, y, 255)
        got = distortion.ms_ssim(x, y)
        self.assertLess(float(tf.reduce_max(expected)), 0.99)
        np.testing.assert_allclose(got, expected, atol=1e-3)

    @parameterized.parameters((16, 1), (32, 2), (64, 3), (160, 4))
    def test_small_pictures_have_fewer_scales(self, side, scales):
        x, y = pair(side, side, 20)
        factors = [weight / sum(WEIGHTS[:scales]) for weight in WEIGHTS[:scales]]
        expected = tf.image.ssim_multiscale(x, y, 255, power_factors=factors)
        np.testing.assert_allclose(distortion.ms_ssim(x, y), expected, atol=1e-3)

    def test_the_peak_scales_with_the_pixels(self):
        x, y = pair(64, 64, 20)
        scaled = distortion.ms_ssim(x / 255, y / 255, peak=1.0)
        np.testing.assert_allclose(scaled, distortion.ms_ssim(x, y), atol=1e-4)

    def test_a_picture_is_like_itself(self):
        for x in pair(64, 48, 30):
            np.testing.assert_allclose(distortion.ms_ssim(x, x), 1, atol=1e-5)

    @parameterized.named_parameters(
        ("same_flat", 128.0, 128.0),
        ("two_flats", 0.0, 255.0),
        ("noise_on_flat", noise_image(96, 96), 128.0),
        ("flat_for_noise", 90.0, noise_image(96, 96)),
        ("negative", noise_image(96, 96), 255.0 - noise_image(96, 96)),
        ("same_noise", noise_image(96, 96), noise_image(96, 96)),
    )
    def test_values_and_gradients_are_finite(self, x, y):
        shape = [1, 96, 96, 3]
        x, y = (tf.broadcast_to(tf.cast(v, tf.float32), shape) for v in (x, y))
        with tf.GradientTape() as tape:
            tape.watch(y)
            value = distortion.ms_ssim(x, y)
        self.assertBetween(float(value[0]), 0, 1 + 1e-5)
        self.assertTrue(np.isfinite(tape.gradient(value, y)).all())

    def test_gradient_leads_to_the_picture(self):
        x, y = pair(48, 48, 25)
        before = distortion.ms_ssim(x, y)
        with tf.GradientTape() as tape:
            tape.watch(y)
            value = distortion.ms_ssim(x, y)
        gradient = tape.gradient(value, y)
        step = 3 * gradient / tf.math.reduce_std(gradient)
        self.assertTrue((distortion.ms_ssim(x, y + step) > before).numpy().all())

    def test_too_small(self):
        with self.assertRaisesRegex(ValueError, "at least 11 pixels; got 10"):
            distortion.ms_ssim(tf.zeros([1, 10, 64, 3]), tf.zeros([1, 10, 64, 3]))
