import numpy as np
import scipy.fft
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase, noise_image, smooth_image
from tfsemcomp.layers import block_dct

# The published R'G'B' to Y'CbCr of JFIF (ITU-T T.871), with more digits.
YCC = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.299 / 1.772, -0.587 / 1.772, 0.5],
        [0.5, -0.587 / 1.402, -0.114 / 1.402],
    ]
)


def photo(height, width):
    return tf.constant(smooth_image(height, width)[None], tf.float32)


class BlockDctTest(SemCompTestCase):
    @parameterized.parameters(*block_dct.BLOCKS)
    def test_layers(self, block):
        forward, channels = block_dct.BlockDct(block=block), 3 * block**2
        x = photo(2 * block, 3 * block)
        self.run_layer_test(
            lambda: block_dct.BlockDct(block=block), x, (1, 2, 3, channels)
        )
        self.run_layer_test(
            lambda: block_dct.BlockDct(True, block), forward(x), tuple(x.shape)
        )

    @parameterized.parameters(*block_dct.BLOCKS)
    def test_equals_the_dct_of_scipy(self, block):
        pixels = noise_image(2 * block, 3 * block)
        layer = block_dct.BlockDct(block=block)
        got = layer(tf.constant(pixels[None], tf.float32)).numpy()
        planes = (pixels.astype(float) - 128) @ YCC.T
        for row in range(2):
            for column in range(3):
                rows = slice(block * row, block * (row + 1))
                columns = slice(block * column, block * (column + 1))
                spectrum = scipy.fft.dctn(
                    planes[rows, columns], axes=(0, 1), norm="ortho"
                )
                expected = np.moveaxis(spectrum, -1, 0).ravel()
                np.testing.assert_allclose(
                    got[0, row, column],
                    expected / block_dct.spread(block),
                    rtol=1e-4,
                    atol=2e-3,
                )

    @parameterized.parameters(*block_dct.BLOCKS)
    def test_the_matrix_says_what_the_layer_does(self, block):
        x = photo(block, 2 * block)
        pixels = tf.nn.space_to_depth(x - 128, block).numpy()
        expected = pixels @ block_dct.forward_matrix(block)
        np.testing.assert_allclose(
            block_dct.BlockDct(block=block)(x), expected, atol=1e-3
        )

    @parameterized.parameters(*block_dct.BLOCKS)
    def test_the_inverse_is_one(self, block):
        x = tf.constant(noise_image(5 * block, 2 * block)[None], tf.float32)
        forward = block_dct.BlockDct(block=block)
        back = block_dct.BlockDct(True, block)(forward(x))
        np.testing.assert_allclose(back, x, atol=1e-3)

    def test_another_block_is_refused(self):
        for call in (block_dct.spread, block_dct.forward_matrix):
            with self.assertRaisesRegex(ValueError, "`block` must be"):
                call(12)

    def test_luma_keeps_its_energy(self):
        # Orthonormal: an error of a luma coefficient is one of the pixels.
        matrix = block_dct.forward_matrix() * block_dct.spread()
        grey = np.repeat(np.random.default_rng(1).normal(size=64), 3)
        coefficients = grey @ matrix
        np.testing.assert_allclose(np.sum(coefficients**2), np.sum(grey**2) / 3)
        np.testing.assert_allclose(coefficients[64:], 0, atol=1e-5)

    def test_a_flat_picture_has_constants_only(self):
        coefficients = block_dct.BlockDct()(tf.fill([1, 8, 8, 3], 200.0)).numpy()
        expected = 8 * 72 / block_dct.spread()[0]
        self.assertAlmostEqual(coefficients.ravel()[0], expected, places=4)
        np.testing.assert_allclose(coefficients.ravel()[1:], 0, atol=1e-4)

    def test_coefficients_of_photos_are_of_the_order_of_one(self):
        coefficients = block_dct.BlockDct()(photo(160, 160)).numpy()
        self.assertBetween(coefficients.std(), 0.3, 3)

    def test_spread_falls_with_the_frequency(self):
        for plane in block_dct.spread().reshape(3, 8, 8):
            self.assertTrue((np.diff(plane, axis=0) <= 0).all())
            np.testing.assert_array_equal(plane, plane.T)
            self.assertGreaterEqual(plane.min(), 1)

    def test_xla_clean(self):
        for inverse in (False, True):
            layer = block_dct.BlockDct(inverse)
            inputs = tf.ones([1, 1, 2, 192] if inverse else [1, 8, 16, 3])
            self.assert_xla_clean(layer, inputs)
