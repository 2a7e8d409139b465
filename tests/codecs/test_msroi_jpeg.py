"""The codec `msroi_jpeg`: targets, maps, settings and files."""

import concurrent.futures
import io
import subprocess
import sys

import numpy as np
from absl.testing import parameterized
from PIL import Image

from tests import harness
from tfsemcomp import errors, images, metrics
from tfsemcomp.codecs import base, mosaic
from tfsemcomp.codecs import jpeg_coefficients as jpeg

IMAGE = harness.smooth_image(96, 128)
GREY = np.repeat(IMAGE[..., :1], 3, axis=-1)
ALLOCATORS = ("rdoq", "dead_zone", "mosaic", "levels")


def _left_map(shape=(96, 128)) -> np.ndarray:
    roi = np.zeros(shape, np.float32)
    roi[:, : shape[1] // 2] = 1
    return roi


def _open(data) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


class MsroiJpegTest(harness.SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.codec = base.get_codec("msroi_jpeg")

    def _compress(self, image=IMAGE, **settings) -> bytes:
        settings = {"map": "contrast", **settings}
        return self.codec.compress(image, **settings)

    def test_promises(self):
        settings = {"map": "contrast"}
        data = self._compress()
        sizes = ((1, 1), (1, 9), (7, 3), (17, 33), (1, 300), (300, 1))
        self._check_sizes(self.codec, sizes, settings)
        self._check_qualities(self.codec, IMAGE, settings)
        self._check_arguments(self.codec, IMAGE, data, settings)
        self._check_truncation(self.codec, data)

    @parameterized.product(
        allocator=ALLOCATORS, size=[(1, 1), (7, 3), (9, 17), (40, 33)]
    )
    def test_any_size_comes_back(self, allocator, size):
        for image in (harness.smooth_image(*size), harness.noise_image(*size)):
            for subsampling in jpeg.SUBSAMPLINGS:
                for quality in (5, 95):
                    try:
                        data = self._compress(
                            image,
                            allocator=allocator,
                            subsampling=subsampling,
                            quality=quality,
                        )
                    except errors.SemCompError:
                        # A mosaic of a few pixels may be larger at any quality.
                        self.assertIn(allocator, ("mosaic", "levels"))
                        continue
                    self.assertEqual(_open(data).size, size[::-1])
                    self.assertEqual(self.codec.decompress(data).shape, image.shape)

    def test_a_very_long_image(self):
        image = harness.smooth_image(1, 5000)
        decoded = self.codec.decompress(self._compress(image))
        self.assertEqual(decoded.shape, image.shape)

    @parameterized.product(quality=(10, 50, 75, 95), subsampling=jpeg.SUBSAMPLINGS)
    def test_quality_means_the_bytes_of_plain_jpeg(self, quality, subsampling):
        image = harness.smooth_image(160, 160)
        plain = len(jpeg.plain(image, quality, subsampling))
        data = self._compress(image, quality=quality, subsampling=subsampling)
        self.assertBetween(len(data) / plain, 0.99, 1)
        more = self._compress(
            image, quality=quality, subsampling=subsampling, threshold_pct=20.0
        )
        self.assertBetween(len(more) / plain, 1.18, 1.2)

    @parameterized.parameters(0.5, 1.0, 1.7)
    def test_ratio_to_jpeg(self, ratio):
        plain = len(jpeg.plain(IMAGE, 60, "4:2:0"))
        data = self._compress(ratio_to_jpeg=ratio, reference_quality=60)
        self.assertBetween(len(data), 0.98 * ratio * plain, ratio * plain)

    def test_targets(self):
        for size in (1500, 4000):
            self.assertBetween(
                len(self._compress(target_bytes=size)), 0.98 * size, size
            )
        bits = 8 * len(self._compress(target_bpp=1.0)) / (96 * 128)
        self.assertBetween(bits, 0.98, 1)

    @parameterized.parameters(*ALLOCATORS)
    def test_out_of_reach_is_told(self, allocator):
        with self.assertRaisesRegex(errors.SemCompError, "smallest file has"):
            self._compress(target_bytes=200, allocator=allocator)

    @parameterized.parameters("rdoq", "dead_zone", "mosaic")
    def test_same_quality(self, allocator):
        roi_map = _left_map()

        def score(data) -> float:
            return metrics.weighted_psnr_hvs(IMAGE, jpeg.decode(data), roi_map)

        plain = jpeg.plain(IMAGE, 50, "4:2:0")
        data = self._compress(map=roi_map, same_quality=50, allocator=allocator)
        self.assertGreaterEqual(score(data), score(plain))
        if allocator == "rdoq":
            self.assertLess(score(data), score(plain) + 0.2)
            self.assertLess(len(data), len(plain))

    def test_same_quality_of_a_flat_picture(self):
        flat = np.full((32, 32, 3), 77, np.uint8)
        data = self._compress(flat, same_quality=80)
        self.assertLessEqual(len(data), len(jpeg.plain(flat, 80, "gray")))

    @parameterized.parameters("4:2:0", "4:4:4", "gray")
    def test_the_map_moves_quality_at_equal_bytes(self, subsampling):
        original = GREY if subsampling == "gray" else IMAGE
        roi_map = _left_map()
        plain = jpeg.plain(original, 50, subsampling)
        ours = self._compress(
            original, quality=50, map=roi_map, subsampling=subsampling
        )
        self.assertLessEqual(len(ours), len(plain))
        gains = [
            metric(original, jpeg.decode(ours), roi_map, 0.5)
            - metric(original, jpeg.decode(plain), roi_map, 0.5)
            for metric in (metrics.roi_psnr, metrics.background_psnr)
        ]
        self.assertGreater(gains[0], 0.8)
        self.assertGreater(gains[0], gains[1] + 0.5)

    def test_an_even_map_and_no_strength_are_the_same(self):
        even = np.full((96, 128), 0.3, np.float32)
        self.assertEqual(
            self._compress(map=even), self._compress(map="contrast", strength=0)
        )

    def test_maps_of_all_kinds(self):
        roi_map = _left_map()
        images.write(
            self.folder / "a mask.png",
            np.repeat((255 * roi_map[::3, ::2, None]).astype(np.uint8), 3, axis=-1),
        )
        np.save(self.folder / "mask.npy", roi_map)
        by_array = self._compress(map=roi_map)
        self.assertEqual(self._compress(map=self.folder / "mask.npy"), by_array)
        self.assertEqual(self._compress(map=roi_map.astype(np.float64)), by_array)
        for spec in (
            str(self.folder / "a mask.png"),
            f"0.5*contrast+{self.folder / 'mask.npy'}",
            "centre",
        ):
            self.assertEqual(_open(self._compress(map=spec)).size, (128, 96))

    def test_wrong_maps_are_refused(self):
        broken = _left_map()
        broken[4, 4] = np.nan
        for wrong in (
            broken,
            _left_map((95, 128)),
            _left_map()[..., None],
            _left_map() * 2,
            _left_map() - 0.1,
        ):
            with self.assertRaisesRegex(ValueError, "`map`"):
                self._compress(map=wrong)
        (self.folder / "text.png").write_text("no image")
        with self.assertRaises(errors.BitstreamError):
            self._compress(map=self.folder / "text.png")
        with self.assertRaises(errors.SemCompError):
            self._compress(map="no such method")

    def test_grey_pictures_have_one_channel(self):
        self.assertEqual(_open(self._compress(GREY)).mode, "L")
        self.assertEqual(_open(self._compress(IMAGE)).layer[0][1:3], (2, 2))
        full = _open(self._compress(GREY, subsampling="4:4:4"))
        self.assertEqual(full.layer[0][1:3], (1, 1))

    @parameterized.parameters(*ALLOCATORS)
    def test_progressive_has_the_same_bytes_and_a_better_picture(self, allocator):
        image = harness.smooth_image(256, 256)
        settings = {"quality": 75, "allocator": allocator}
        data = self._compress(image, progressive=True, **settings)
        self.assertIn("progressive", _open(data).info)
        self.assertLessEqual(len(data), len(jpeg.plain(image, 75, "4:2:0")))
        self.assertNotIn("progressive", _open(self._compress(**settings)).info)

    @parameterized.parameters(*ALLOCATORS)
    def test_metadata_is_kept_on_request_only(self, allocator):
        exif = Image.Exif()
        exif[0x010E] = "a description"
        blocks = {"exif": exif.tobytes(), "icc": bytes(range(200)) * 3}
        data = self._compress(allocator=allocator, progressive=True, **blocks)
        found = _open(data).info
        self.assertIn(b"a description", found["exif"])
        self.assertEqual(found["icc_profile"], blocks["icc"])
        bare = self._compress(allocator=allocator, progressive=True)
        self.assertNotIn("exif", _open(bare).info)
        # Metadata come on top of the bytes of a quality, but count in a target.
        self.assertGreater(len(data), len(jpeg.plain(IMAGE, 75, "4:2:0")))
        small = self._compress(target_bytes=4000, allocator=allocator, **blocks)
        self.assertLessEqual(len(small), 4000)

    @parameterized.parameters(*mosaic.MODES)
    def test_modes_choose_the_mosaic(self, mode):
        roi_map = _left_map()
        expected = mosaic.mix(IMAGE, mosaic.mode_qualities(roi_map, mode), "4:2:0")
        plain = len(jpeg.plain(IMAGE, 50, "4:2:0"))
        found = self._compress(map=roi_map, mode=mode, quality=50)
        files = [jpeg.plain(expected, quality, "4:2:0") for quality in range(1, 101)]
        fitting = [file for file in files if len(file) <= plain]
        self.assertEqual(found, fitting[-1])
        name = self._compress(map=roi_map, mode=mosaic.MODES[mode], quality=50)
        self.assertEqual(name, found)
        fixed = self._compress(map=roi_map, mode=mode, quality=65, find_best=False)
        four = mosaic.four_qualities(IMAGE, roi_map, mode=mode)
        self.assertEqual(fixed, four[65])

    def test_contradicting_settings_are_refused(self):
        for wrong in (
            {"mode": 3, "allocator": "rdoq"},
            {"mode": 3, "allocator": "levels"},
            {"mode": 7},
            {"find_best": False},
            {"allocator": "other"},
            {"subsampling": "4:2:2"},
            {"tune": "size"},
            {"strength": -1},
            {"strength": float("nan")},
            {"ratio_to_jpeg": 0},
            {"ratio_to_jpeg": 0.9, "quality": 50},
            {"same_quality": 50, "target_bytes": 500},
            {"same_quality": 0},
            {"reference_quality": 101},
            {"exif": bytes(70000)},
        ):
            with self.subTest(**wrong), self.assertRaises(ValueError):
                self._compress(**wrong)

    def test_other_files_are_refused(self):
        for data in (images.encode(IMAGE, "PNG"), b"", b"text", bytes(100)):
            with self.assertRaises(errors.BitstreamError):
                self.codec.decompress(data)
        with self.assertRaisesRegex(ValueError, "no layers"):
            self.codec.decompress(self._compress(), layers=2)

    def test_threads_and_runs_give_the_same_bytes(self):
        roi_map = _left_map()
        jobs = [
            {"map": roi_map, "quality": quality, "tune": tune}
            for quality in (30, 80)
            for tune in ("balanced", "psnr")
        ]
        expected = [self._compress(**job) for job in jobs]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda job: self._compress(**job), jobs * 4))
        self.assertEqual(found, expected * 4)

    def test_listing_its_settings_loads_nothing_heavy(self):
        program = (
            "import sys, tfsemcomp.codecs.msroi_jpeg;"
            "heavy = {'numba', 'tensorflow', 'scipy', 'jpeglib'} & set(sys.modules);"
            "sys.exit(str(heavy) if heavy else 0)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)
