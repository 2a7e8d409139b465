import numpy as np

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.errors import ModelMismatchError, SemCompError
from tfsemcomp.semantics import segmentation


class Thresholds:
    """In place of a runner: the class tells how bright a pixel's red is."""

    def __init__(self, side=None):
        self.side = side

    def call(self, name, image):
        assert name == segmentation.SIGNATURE
        self.shape = image.shape
        labels = np.digitize(image[..., 0], (85, 170)).astype(np.int32)
        return {"labels": labels[:, : self.side]}


class SegmentationTest(SemCompTestCase):
    def test_any_size(self):
        for shape in ((1, 1), (32, 64), (33, 47)):
            image, network = smooth_image(*shape), Thresholds()
            labels = segmentation.segment(image, network)
            self.assertEqual(labels.dtype, np.uint8)
            np.testing.assert_array_equal(labels, np.digitize(image[..., 0], (85, 170)))
            self.assertEqual(
                network.shape, (1, -(-shape[0] // 32) * 32, -(-shape[1] // 32) * 32, 3)
            )

    def test_a_network_of_another_kind(self):
        with self.assertRaisesRegex(ModelMismatchError, "labels"):
            segmentation.segment(smooth_image(40, 40), Thresholds(side=8))

    def test_wrong_arguments(self):
        with self.assertRaises(ValueError):
            segmentation.segment(np.zeros((4, 4), np.uint8), Thresholds())
        with self.assertRaisesRegex(SemCompError, "nothing-like-it"):
            segmentation.segment(smooth_image(8, 8), "nothing-like-it")

    def test_padding_repeats_the_edge(self):
        image = smooth_image(5, 40)
        padded = segmentation.pad(image)
        self.assertEqual((padded.shape, padded.dtype), ((32, 64, 3), np.float32))
        np.testing.assert_array_equal(padded[:5, :40], image)
        np.testing.assert_array_equal(padded[31, :40], image[4])
