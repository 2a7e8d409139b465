import io

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from PIL import Image

from tests.harness import SemCompTestCase, noise_image, smooth_image
from tfsemcomp import images
from tfsemcomp.data import stored_png


class StoredPngTest(SemCompTestCase):
    @parameterized.parameters((1, 1), (1, 70), (70, 1), (33, 65), (3, 21844))
    def test_every_reader_shows_it(self, height, width):
        pixels = noise_image(height, width)
        encoded = stored_png.encode(pixels)
        picture = Image.open(io.BytesIO(encoded))
        picture.verify()
        for read in (
            np.asarray(Image.open(io.BytesIO(encoded))),
            images.load_bytes(encoded).pixels,
            tf.io.decode_image(encoded).numpy(),
        ):
            np.testing.assert_array_equal(read, pixels)
        # Six bytes a row and 63 for the file.
        self.assertEqual(len(encoded), height * (3 * width + 6) + 63)

    def test_parts(self):
        pixels = noise_image(20, 30)
        encoded = tf.constant(stored_png.encode(pixels))
        self.assertTrue(stored_png.is_stored(encoded))
        np.testing.assert_array_equal(stored_png.size(encoded), [20, 30])
        for top, left, height, width in (
            (0, 0, 20, 30),
            (19, 29, 1, 1),
            (3, 5, 7, 11),
            (0, 29, 20, 1),
        ):
            corner, shape = tf.constant([top, left]), tf.constant([height, width])
            found = tf.function(stored_png.cut)(encoded, corner, shape)
            expected = pixels[top : top + height, left : left + width]
            np.testing.assert_array_equal(found, expected)

    def test_views_are_the_same_pictures(self):
        pixels = noise_image(20, 30)
        encoded = stored_png.encode(pixels[::-1, ::2])
        np.testing.assert_array_equal(
            images.load_bytes(encoded).pixels, pixels[::-1, ::2]
        )

    def test_other_files_are_told_apart(self):
        pixels = smooth_image(20, 30)
        others = [images.encode(pixels, name) for name in ("png", "jpeg", "bmp")]
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "PNG", compress_level=0)
        gif = io.BytesIO()
        Image.fromarray(pixels[:1, :1]).save(gif, "GIF")
        for encoded in (*others, content.getvalue(), gif.getvalue(), b""):
            self.assertFalse(stored_png.is_stored(tf.constant(encoded)))

    def test_rows_must_fit_a_block(self):
        with self.assertRaisesRegex(ValueError, "21844 columns"):
            stored_png.encode(np.zeros((1, 21845, 3), np.uint8))
