import numpy as np
from absl.testing import parameterized
from PIL import Image

from tests.harness import SemCompTestCase, noise_image, smooth_image
from tfsemcomp.errors import BitstreamError, SemCompError
from tfsemcomp.semantics import roi


class FakeRunner:
    """Answers `analyze` with ramps, so that places can be followed."""

    def __init__(self):
        self.calls = 0

    def call(self, signature, image):
        self.calls += 1
        height, width = image.shape[1:3]
        ramp = np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))
        return {"cam_topk": ramp[None], "class_features": 1 - ramp[None]}


class RoiTest(SemCompTestCase):
    @parameterized.product(
        method=roi.METHODS, shape=((1, 1), (7, 3), (48, 80), (1, 500), (700, 20))
    )
    def test_maps_have_the_images_size_and_stay_in_range(self, method, shape):
        found = roi.roi_map(smooth_image(*shape), method, FakeRunner())
        self.assertEqual(found.shape, shape)
        self.assertEqual(found.dtype, np.float32)
        self.assertTrue(np.isfinite(found).all())
        self.assertBetween(found.min(), 0, 1)
        self.assertBetween(found.max(), 0, 1)

    @parameterized.parameters("contrast", "spectral_residual")
    def test_flat_images_have_no_salient_part(self, method):
        flat = np.full((64, 64, 3), 90, np.uint8)
        self.assertLess(np.ptp(roi.roi_map(flat, method)), 1.01)
        np.testing.assert_array_equal(roi.contrast_map(flat), np.zeros((64, 64)))

    def test_contrast_finds_the_odd_patch(self):
        pixels = np.full((96, 128, 3), 120, np.uint8)
        pixels[30:50, 80:100] = [220, 40, 40]
        found = roi.contrast_map(pixels)
        inside = found[30:50, 80:100].mean()
        self.assertGreater(inside, 5 * found[:, :40].mean())

    @parameterized.product(sigma=(0.4, 2.0, 9.0), shape=((31, 44), (5, 60), (1, 3)))
    def test_blur_agrees_with_scikit_image(self, sigma, shape):
        from skimage.filters import gaussian

        plane = np.random.default_rng(1).random(shape).astype(np.float32)
        found = roi.blur(plane, sigma)
        # Where the filter is wider than the image, ours ends at the image's side.
        if 3 * sigma < min(shape):
            truncate = (round(3 * sigma) + 0.1) / sigma
            expected = gaussian(plane, sigma, mode="reflect", truncate=truncate)
            np.testing.assert_allclose(found, expected, atol=1e-5)
        self.assertBetween(found.min(), plane.min() - 1e-5, plane.max())
        np.testing.assert_allclose(roi.blur(0 * plane + 0.5, sigma), 0.5, atol=1e-6)

    def test_maps_repeat(self):
        pixels = smooth_image(60, 90)
        for method in ("contrast", "spectral_residual"):
            one, two = (roi.roi_map(pixels, method) for _ in range(2))
            np.testing.assert_array_equal(one, two)

    def test_wide_frames_are_mapped_whole(self):
        found = roi.roi_map(smooth_image(40, 400), "cam_topk", FakeRunner())
        self.assertLess(found[:, 0].max(), 0.01)
        self.assertGreater(found[:, -1].min(), 0.99)
        np.testing.assert_allclose(found[:, 200], 0.5, atol=0.01)

    def test_masks_are_read_and_scaled(self):
        mask = np.zeros((10, 20), np.uint8)
        mask[:, 10:] = 255
        path = self.folder / "a mask.png"
        Image.fromarray(mask).save(path)
        found = roi.resolve_map(path, smooth_image(50, 100))
        self.assertGreater(found[:, 70:].min(), 0.99)
        self.assertLess(found[:, :30].max(), 0.01)

    def test_arrays_and_npy_files(self):
        pixels = smooth_image(12, 16)
        array = np.random.default_rng(0).random((12, 16)).astype(np.float32)
        np.testing.assert_array_equal(roi.resolve_map(array, pixels), array)
        path = self.folder / "map.npy"
        roi.save_map(path, array)
        np.testing.assert_array_equal(roi.resolve_map(path, pixels), array)

    def test_mixtures_weigh_their_parts(self):
        pixels = smooth_image(32, 32)
        mask = self.folder / "mask.png"
        Image.fromarray(np.full((32, 32), 255, np.uint8)).save(mask)
        found = roi.resolve_map(f"3*cam_topk + 1*{mask}", pixels, FakeRunner())
        ramp = roi.roi_map(pixels, "cam_topk", FakeRunner())
        np.testing.assert_allclose(found, 0.75 * ramp + 0.25, atol=1e-5)
        one, two = (
            roi.resolve_map(text, pixels, FakeRunner())
            for text in ("cam_topk+class_features", "uniform")
        )
        np.testing.assert_allclose(one, 0.5 * two, atol=1e-5)

    @parameterized.parameters(8, 16)
    def test_saved_maps_come_back(self, bits):
        array = np.random.default_rng(0).random((9, 13)).astype(np.float32)
        path = self.folder / "map.png"
        roi.save_map(path, array, bits)
        stored = np.asarray(Image.open(path)).astype(np.float64)
        stored = stored[..., 0] if stored.ndim == 3 else stored
        tolerance = 0.51 / (2**bits - 1)
        np.testing.assert_allclose(stored / (2**bits - 1), array, atol=tolerance)

    def test_overlay_goes_from_blue_to_red(self):
        pixels = np.full((4, 2, 3), 100, np.uint8)
        ends = np.tile(np.float32([0, 1]), (4, 1))
        shown = roi.overlay(pixels, ends).astype(int)
        self.assertGreater(shown[0, 0, 2], shown[0, 0, 0])
        self.assertGreater(shown[0, 1, 0], shown[0, 1, 2])

    def test_hostile_maps(self):
        pixels = noise_image(8, 8)
        for bad in (
            np.full((8, 8), np.nan),
            np.full((8, 8), 2.0),
            np.full((8, 8), -0.1),
            np.zeros((8, 9)),
            np.zeros((8, 8, 3)),
        ):
            with self.assertRaisesRegex(ValueError, "`map`"):
                roi.resolve_map(bad, pixels)
            path = self.folder / "bad.npy"
            np.save(path, bad)
            if bad.shape != (8, 9):
                with self.assertRaisesRegex(BitstreamError, "bad.npy"):
                    roi.resolve_map(path, pixels)
        (self.folder / "text.npy").write_text("no array")
        with self.assertRaisesRegex(BitstreamError, "not an array"):
            roi.resolve_map(self.folder / "text.npy", pixels)
        with self.assertRaisesRegex(SemCompError, "neither a file nor one of"):
            roi.resolve_map("no_such_method", pixels)
        with self.assertRaisesRegex(ValueError, "more than 0"):
            roi.resolve_map("0*contrast+0*centre", pixels)
        with self.assertRaisesRegex(ValueError, "`method`"):
            roi.roi_map(pixels, "mask.png")
