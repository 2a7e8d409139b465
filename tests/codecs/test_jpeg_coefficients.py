"""The inside of a JPEG, against libjpeg as Pillow has it."""

import io
import itertools
import sys
from unittest import mock

import numpy as np
from absl.testing import parameterized
from PIL import Image, ImageCms

from tests import harness
from tfsemcomp import errors, images
from tfsemcomp.codecs import jpeg_coefficients as jpeg
from tfsemcomp.metrics import fidelity

IMAGE = harness.smooth_image(80, 96)
# Whole units, parts of units in each direction, less than a block.
SIZES = ((1, 1), (3, 7), (1, 40), (8, 8), (9, 17), (16, 16), (24, 8), (33, 40))


def _plain(image, quality, subsampling):
    """Plain JPEG by this package's own transform and rounding."""
    spectrum = jpeg.analyse(image, subsampling, fit_chroma=False)
    return jpeg.quantise(spectrum, jpeg.quality_tables(quality, subsampling))


def _open(data) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


class TablesTest(harness.SemCompTestCase):
    def test_they_are_those_of_libjpeg_at_every_quality(self):
        for quality in range(1, 101):
            data = jpeg.plain(IMAGE[:8, :8], quality, "4:2:0")
            found = _open(data).quantization
            for table, expected in enumerate(jpeg.quality_tables(quality, "4:2:0")):
                np.testing.assert_array_equal(
                    np.array(found[table])[jpeg.ZIGZAG], expected
                )

    def test_zigzag_steps_to_a_neighbour_on_each_diagonal(self):
        rows, columns = jpeg.ZIGZAG // 8, jpeg.ZIGZAG % 8
        self.assertEqual(sorted(jpeg.ZIGZAG), list(range(64)))
        self.assertEqual(list(jpeg.ZIGZAG[:6]), [0, 1, 8, 16, 9, 2])
        distance = np.abs(np.diff(rows)) + np.abs(np.diff(columns))
        self.assertLessEqual(distance.max(), 2)
        self.assertTrue((np.diff(rows + columns) >= 0).all())

    def test_scales_round_and_clip(self):
        base = np.array([16.0, 99.0, 1.0])
        np.testing.assert_array_equal(jpeg.scale_table(base, 0.5), [8, 50, 1])
        np.testing.assert_array_equal(jpeg.scale_table(base, 50), [255, 255, 50])
        np.testing.assert_array_equal(jpeg.scale_table(base, 0.001), [1, 1, 1])


class TransformTest(harness.SemCompTestCase):
    def test_energy_is_kept(self):
        grey = np.repeat(IMAGE[..., :1], 3, axis=-1)
        (luma,) = jpeg.analyse(grey, "gray", fit_chroma=False).blocks
        expected = np.square(grey[..., 0].astype(np.float64) - 128).sum()
        self.assertAlmostEqual(float(np.square(luma).sum()) / expected, 1, places=5)

    def test_a_grey_image_has_no_chroma(self):
        grey = np.repeat(IMAGE[..., :1], 3, axis=-1)
        for subsampling in ("4:2:0", "4:4:4"):
            _, blue, red = jpeg.analyse(grey, subsampling, fit_chroma=True).blocks
            self.assertLess(np.abs(blue).max(), 1e-3)
            self.assertLess(np.abs(red).max(), 1e-3)

    @parameterized.product(subsampling=jpeg.SUBSAMPLINGS, quality=(30, 90))
    def test_plain_rounding_is_as_good_as_libjpeg(self, subsampling, quality):
        ours = jpeg.decode(jpeg.write(_plain(IMAGE, quality, subsampling)))
        theirs = jpeg.decode(jpeg.plain(IMAGE, quality, subsampling))
        self.assertLess(np.abs(ours.astype(int) - theirs).mean(), 1.0)
        self.assertGreater(
            fidelity.psnr(IMAGE, ours), fidelity.psnr(IMAGE, theirs) - 0.05
        )

    def test_fitted_chroma_comes_closer_after_decoding(self):
        results = []
        for fit in (False, True):
            spectrum = jpeg.analyse(IMAGE, "4:2:0", fit_chroma=fit)
            tables = (np.ones(64, np.uint16),) * 2
            decoded = jpeg.decode(jpeg.write(jpeg.quantise(spectrum, tables)))
            results.append(fidelity.psnr(IMAGE, decoded))
        self.assertGreater(results[1], results[0] + 0.1)

    def test_auto_subsampling(self):
        grey = np.repeat(IMAGE[..., :1], 3, axis=-1)
        self.assertEqual(jpeg.resolve_subsampling(grey, "auto"), "gray")
        almost = grey.copy()
        almost[3, 5, 2] ^= 1
        self.assertEqual(jpeg.resolve_subsampling(almost, "auto"), "4:2:0")
        self.assertEqual(jpeg.resolve_subsampling(grey, "4:4:4"), "4:4:4")
        with self.assertRaisesRegex(ValueError, "subsampling"):
            jpeg.resolve_subsampling(grey, "4:2:2")


class FileTest(harness.SemCompTestCase):
    @parameterized.product(size=SIZES, subsampling=jpeg.SUBSAMPLINGS)
    def test_written_levels_are_read_back_at_every_size(self, size, subsampling):
        image = harness.smooth_image(*size)
        coefficients = _plain(image, 60, subsampling)
        data = jpeg.write(coefficients)
        for file in (data, jpeg.to_progressive(data)):
            jpeg.verify(file, coefficients)
            self.assertEqual(_open(file).size, size[::-1])
        self.assertNotIn("progressive", _open(data).info)
        self.assertIn("progressive", _open(jpeg.to_progressive(data)).info)

    @parameterized.product(size=SIZES, subsampling=jpeg.SUBSAMPLINGS)
    def test_sizes_are_known_without_writing(self, size, subsampling):
        for image, quality in itertools.product(
            (harness.smooth_image(*size), harness.noise_image(*size)), (5, 50, 98)
        ):
            coefficients = _plain(image, quality, subsampling)
            symbols = jpeg.count_symbols(coefficients)
            data = jpeg.write(coefficients)
            scan = data[data.index(b"\xff\xda") :]
            expected = jpeg.header_size(coefficients.layout, symbols)
            expected += -(-jpeg.scan_bits(symbols) // 8) + scan.count(b"\xff\x00")
            self.assertLen(data, expected)

    def test_estimates_are_within_half_a_per_cent(self):
        image = harness.smooth_image(256, 256)
        for quality in (20, 50, 80, 95):
            coefficients = _plain(image, quality, "4:2:0")
            symbols = jpeg.count_symbols(coefficients)
            estimate = jpeg.estimate_size(coefficients.layout, symbols)
            size = len(jpeg.write(coefficients))
            self.assertBetween(estimate / size, 0.995, 1.005)

    @parameterized.parameters(*jpeg.SUBSAMPLINGS)
    def test_the_hardest_pictures_stay_within_what_jpeg_can_code(self, subsampling):
        # Blocks at full swing reach the largest levels that a table of ones can give.
        checks = 255 * (np.indices((32, 32)).sum(axis=0) % 2)
        basis = np.cos((2 * np.arange(8) + 1) * np.pi * 4 / 16) > 0
        stripes = np.tile(255 * (basis[:, None] == basis[None]), (4, 4))
        edges = 255 * (np.arange(32)[None] // 8 % 2).repeat(32, 0)
        for plane in (checks, stripes, edges, 255 - edges):
            image = np.repeat(plane[..., None], 3, axis=-1).astype(np.uint8)
            coefficients = _plain(image, 100, subsampling)
            data = jpeg.write(coefficients)
            jpeg.verify(data, coefficients)
            self.assertGreater(fidelity.psnr(image, jpeg.decode(data)), 40)

    def test_a_file_that_holds_something_else_is_told(self):
        coefficients = _plain(IMAGE, 50, "4:2:0")
        data = jpeg.write(coefficients)
        coefficients.levels[0][3, 5] += 1
        with self.assertRaisesRegex(errors.SemCompError, "does not hold"):
            jpeg.verify(data, coefficients)
        with self.assertRaisesRegex(errors.SemCompError, "does not hold"):
            jpeg.verify(data, _plain(IMAGE, 50, "4:4:4"))

    def test_without_files_in_memory_a_folder_of_its_own_serves(self):
        coefficients = _plain(IMAGE, 50, "4:2:0")
        expected = jpeg.write(coefficients)
        with mock.patch.object(jpeg.os, "memfd_create", create=True):
            del jpeg.os.memfd_create
            self.assertEqual(jpeg.write(coefficients), expected)

    def test_no_room_for_temporary_files_is_told(self):
        full = OSError(28, "No space left on device")
        patch = mock.patch.object(
            jpeg.os, "memfd_create", side_effect=full, create=True
        )
        with patch, self.assertRaisesRegex(errors.SemCompError, "No space left"):
            jpeg.write(_plain(IMAGE, 50, "4:2:0"))

    def test_a_missing_mozjpeg_is_told_with_the_install_line(self):
        data = jpeg.plain(IMAGE, 50, "4:2:0")
        missing = mock.patch.dict(sys.modules, {"mozjpeg_lossless_optimization": None})
        with missing, self.assertRaisesRegex(errors.UnavailableError, "pip install"):
            jpeg.to_progressive(data)


class MetadataTest(harness.SemCompTestCase):
    def _with(self, exif, icc) -> bytes:
        data = jpeg.write(_plain(IMAGE, 50, "4:2:0"))
        return jpeg.insert_segments(data, jpeg.metadata_segments(exif, icc))

    def test_exif_and_profile_come_back(self):
        exif = Image.Exif()
        exif[0x010E] = "a description"
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        prefixed = exif.tobytes()
        bare = prefixed.removeprefix(b"Exif\x00\x00")
        self.assertEqual(self._with(prefixed, profile), self._with(bare, profile))
        data = self._with(bare, profile)
        loaded = images.load_bytes(data)
        self.assertIn(b"a description", loaded.exif)
        self.assertEqual(loaded.icc, profile)
        self.assertEqual(data.count(b"JFIF"), 1)
        np.testing.assert_array_equal(
            loaded.pixels, jpeg.decode(self._with(None, None))
        )

    def test_a_large_profile_takes_several_segments(self):
        profile = bytes(range(256)) * 600
        found = _open(self._with(None, profile)).info["icc_profile"]
        self.assertEqual(found, profile)

    def test_nothing_is_added_for_nothing(self):
        self.assertEqual(jpeg.metadata_segments(None, b""), b"")

    def test_too_much_is_refused(self):
        with self.assertRaisesRegex(ValueError, "`exif`"):
            jpeg.metadata_segments(bytes(65530), None)
        with self.assertRaisesRegex(ValueError, "`icc`"):
            jpeg.metadata_segments(None, bytes(2**24))
