"""Each metric against another project's implementation, on photos and drawings."""

import unittest

import numpy as np
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tests.metrics import pictures
from tfsemcomp import metrics
from tfsemcomp.metrics import inputs

try:
    import skimage.metrics  # the photos are scikit-image's, too
except ImportError as error:
    raise unittest.SkipTest("scikit-image is not installed") from error

PAIRS = pictures.pairs()
TOLERANCE = 1e-3


def _lumas(name: str) -> tuple[np.ndarray, np.ndarray]:
    return tuple(inputs.luma(picture) for picture in PAIRS[name])


class OracleTest(SemCompTestCase):
    @parameterized.parameters(*PAIRS)
    def test_psnr_as_scikit_image(self, name):
        expected = skimage.metrics.peak_signal_noise_ratio(*PAIRS[name])
        self.assertAlmostEqual(metrics.psnr(*PAIRS[name]), expected, delta=1e-9)

    @parameterized.parameters(*PAIRS)
    def test_psnr_y_as_scikit_image(self, name):
        expected = skimage.metrics.peak_signal_noise_ratio(
            *_lumas(name), data_range=255
        )
        self.assertAlmostEqual(metrics.psnr_y(*PAIRS[name]), expected, delta=1e-9)

    @parameterized.parameters(*PAIRS)
    def test_ssim_as_scikit_image(self, name):
        options = {
            "gaussian_weights": True,
            "sigma": 1.5,
            "use_sample_covariance": False,
            "data_range": 255,
        }
        rgb = skimage.metrics.structural_similarity(
            *PAIRS[name], channel_axis=2, **options
        )
        self.assertAlmostEqual(metrics.ssim(*PAIRS[name]), rgb, delta=1e-9)
        luma = skimage.metrics.structural_similarity(*_lumas(name), **options)
        self.assertAlmostEqual(metrics.ssim_y(*PAIRS[name]), luma, delta=1e-9)

    @parameterized.parameters(*PAIRS)
    def test_ssim_and_ms_ssim_as_tensorflow(self, name):
        import tensorflow as tf

        pair = [tf.convert_to_tensor(picture) for picture in PAIRS[name]]
        ssim = float(tf.image.ssim(*pair, 255))
        self.assertAlmostEqual(metrics.ssim(*PAIRS[name]), ssim, delta=TOLERANCE)
        ms_ssim = float(tf.image.ssim_multiscale(*pair, 255))
        self.assertAlmostEqual(metrics.ms_ssim(*PAIRS[name]), ms_ssim, delta=TOLERANCE)

    @parameterized.parameters(*PAIRS)
    def test_ms_ssim_as_sewar(self, name):
        import sewar

        expected = float(sewar.msssim(*_lumas(name), MAX=255))
        # Between scales it averages pixels 0, 1-2, 3-4 ... where the paper's grid is
        # 0-1, 2-3 ...; TensorFlow, above, has the same grid as we.
        self.assertAlmostEqual(metrics.ms_ssim_y(*PAIRS[name]), expected, delta=2.5e-3)

    @parameterized.parameters(*PAIRS)
    def test_vifp_as_sewar(self, name):
        import sewar

        expected = float(sewar.vifp(*_lumas(name)))
        self.assertAlmostEqual(metrics.vifp(*PAIRS[name]), expected, delta=1e-6)

    @parameterized.parameters(*PAIRS)
    def test_psnr_hvs_and_hvsm_as_psnr_hvsm(self, name):
        import psnr_hvsm

        pair = [pictures.whole_blocks(picture) for picture in PAIRS[name]]
        lumas = [inputs.luma(picture) / 255 for picture in pair]
        hvs, hvsm = psnr_hvsm.psnr_hvs_hvsm(*lumas)
        self.assertAlmostEqual(metrics.psnr_hvs(*pair), float(hvs), delta=TOLERANCE)
        self.assertAlmostEqual(metrics.psnr_hvsm(*pair), float(hvsm), delta=TOLERANCE)
