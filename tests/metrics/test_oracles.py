"""Each metric against another project's implementation, on photos and drawings.

PSNR, SSIM, MS-SSIM, PSNR-HVS(-M) and VIFp agree to 1e-4 or better on all of `PAIRS`, of
which the first six are photos, three of them of odd sizes.
"""

import unittest

import numpy as np
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tests.metrics import pictures
from tfsemcomp import metrics
from tfsemcomp.metrics import inputs

try:
    import skimage.feature
    import skimage.filters
    import skimage.metrics
    import skimage.transform
except ImportError as error:
    raise unittest.SkipTest("scikit-image is not installed") from error

PAIRS = pictures.pairs()
# Of libraries that compute in single precision, or from weights of six decimals.
TOLERANCE = 1e-4


def _lumas(name: str) -> tuple[np.ndarray, np.ndarray]:
    return tuple(inputs.luma(picture) for picture in PAIRS[name])


def _halved(plane: np.ndarray) -> np.ndarray:
    height, width = plane.shape
    even = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="symmetric")
    return skimage.transform.downscale_local_mean(even, (2, 2))


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
    def test_weighted_ssim_y_as_scikit_image_map(self, name):
        reference = PAIRS[name][0]
        _, values = skimage.metrics.structural_similarity(
            *_lumas(name),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
            full=True,
        )
        weights = np.random.default_rng(3).random(reference.shape[:2])
        under = skimage.filters.gaussian(weights, 1.5, truncate=3.5)
        expected = np.average(values[5:-5, 5:-5], weights=under[5:-5, 5:-5])
        found = metrics.weighted_ssim_y(*PAIRS[name], weights)
        self.assertAlmostEqual(found, expected, delta=1e-9)

    @parameterized.product(name=tuple(PAIRS), sigma=(0.7, 1.0, 2.0))
    def test_canny_as_scikit_image(self, name, sigma):
        found = metrics.canny(PAIRS[name][1], sigma)
        luma = inputs.luma(PAIRS[name][1]) / 255
        expected = skimage.feature.canny(luma, sigma, mode="nearest")
        # Where two pixels are equally strong, its last digit decides and ours keeps
        # both: a line is a pixel wider there, and never elsewhere.
        self.assertLess(np.mean(found != expected), 5e-3)
        self.assertGreater(metrics.edge_map_f1(expected, found), 0.999)

    @parameterized.parameters(*PAIRS)
    def test_ssim_and_ms_ssim_as_tensorflow(self, name):
        import tensorflow as tf

        pair = [tf.convert_to_tensor(picture) for picture in PAIRS[name]]
        ssim = float(tf.image.ssim(*pair, 255))
        self.assertAlmostEqual(metrics.ssim(*PAIRS[name]), ssim, delta=TOLERANCE)
        ms_ssim = float(tf.image.ssim_multiscale(*pair, 255))
        self.assertAlmostEqual(metrics.ms_ssim(*PAIRS[name]), ms_ssim, delta=TOLERANCE)

    @parameterized.parameters(*PAIRS)
    def test_ms_ssim_as_scales_of_sewar(self, name):
        import sewar
        from sewar.utils import Filter

        # Its own MS-SSIM averages pixels 0, 1-2, 3-4 ... between scales, where the
        # paper's grid, and TensorFlow's, is 0-1, 2-3 ...; so only its scales are taken.
        pair, expected = _lumas(name), 1.0
        window = {"fltr": Filter.GAUSSIAN, "sigma": 1.5, "ws": 11}
        for scale, exponent in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
            if scale > 0:
                pair = [_halved(plane) for plane in pair]
            ssim, structure = sewar.ssim(*pair, MAX=255, fltr_specs=window)
            expected *= (ssim if scale == 4 else structure) ** exponent
        self.assertAlmostEqual(metrics.ms_ssim_y(*PAIRS[name]), expected, delta=1e-9)

    @parameterized.parameters(*PAIRS)
    def test_vifp_as_sewar(self, name):
        import sewar

        expected = float(sewar.vifp(*_lumas(name)))
        self.assertAlmostEqual(metrics.vifp(*PAIRS[name]), expected, delta=1e-9)

    @parameterized.parameters(*PAIRS)
    def test_psnr_hvs_and_hvsm_as_psnr_hvsm(self, name):
        import psnr_hvsm

        pair = [pictures.whole_blocks(picture) for picture in PAIRS[name]]
        lumas = [inputs.luma(picture) / 255 for picture in pair]
        hvs, hvsm = psnr_hvsm.psnr_hvs_hvsm(*lumas)
        self.assertAlmostEqual(metrics.psnr_hvs(*pair), float(hvs), delta=TOLERANCE)
        self.assertAlmostEqual(metrics.psnr_hvsm(*pair), float(hvsm), delta=TOLERANCE)
