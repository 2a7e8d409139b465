"""What every metric must hold, and what single ones define."""

import math

import numpy as np
from absl.testing import parameterized

from tests.harness import SemCompTestCase, noise_image, smooth_image
from tests.metrics import pictures
from tfsemcomp import metrics
from tfsemcomp.metrics import inputs

HEIGHT, WIDTH = 72, 90
SMALL = smooth_image(HEIGHT, WIDTH)
SLOPE = np.tile(np.linspace(0, 1, WIDTH, dtype=np.float32), (HEIGHT, 1))
# Shapes below every window of every metric, and the shortest that hold one.
SHAPES = ((1, 1), (1, 9), (7, 3), (8, 8), (11, 11), (40, 41), (41, 41), (160, 12))


def _call(name: str, reference: np.ndarray, image: np.ndarray) -> float:
    roi_map = np.linspace(0, 1, reference[..., 0].size, dtype=np.float32)
    roi_map = roi_map.reshape(reference.shape[:2])
    return metrics.measure(reference, image, [name], roi_map)[name]


class EveryMetricTest(SemCompTestCase):
    @parameterized.parameters(*metrics.METRICS)
    def test_equal_pictures_score_best(self, name):
        best = math.inf if metrics.METRICS[name].unit == "dB" else 1.0
        value = _call(name, SMALL, SMALL.copy())
        self.assertAlmostEqual(value, best, delta=1e-6)

    @parameterized.parameters(*metrics.METRICS)
    def test_more_damage_scores_worse(self, name):
        self.assertTrue(metrics.METRICS[name].higher_is_better)
        values = [_call(name, SMALL, pictures.noisy(SMALL, s)) for s in (4, 20, 60)]
        self.assertGreater(values[0], values[1])
        self.assertGreater(values[1], values[2])

    @parameterized.product(name=tuple(metrics.METRICS), shape=SHAPES)
    def test_any_size_has_a_value(self, name, shape):
        reference, image = noise_image(*shape, seed=1), noise_image(*shape, seed=2)
        value = _call(name, reference, image)
        self.assertTrue(math.isfinite(value), f"{name} is {value} at {shape}")

    @parameterized.parameters(*metrics.METRICS)
    def test_flat_pictures_have_a_value(self, name):
        grey = np.full((48, 48, 3), 137, np.uint8)
        darker = np.full((48, 48, 3), 129, np.uint8)
        self.assertTrue(math.isfinite(_call(name, grey, darker)))
        best = math.inf if metrics.METRICS[name].unit == "dB" else 1.0
        self.assertEqual(_call(name, grey, grey), best)

    @parameterized.parameters(*metrics.METRICS)
    def test_inputs_are_not_changed(self, name):
        reference, image = SMALL.copy(), pictures.noisy(SMALL, 5)
        before = image.copy()
        _call(name, reference, image)
        np.testing.assert_array_equal(reference, SMALL)
        np.testing.assert_array_equal(image, before)

    @parameterized.parameters(*metrics.METRICS)
    def test_refuses_what_is_no_pair_of_pictures(self, name):
        for wrong, message in (
            (SMALL.astype(np.float32), "`image` must be a uint8 array"),
            (SMALL[:-1], "must have the size of `reference`"),
            (SMALL[..., 0], r"the shape \[H,W,3\]"),
            (SMALL[:0], "H and W >= 1"),
            (None, "not NoneType"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                _call(name, SMALL, wrong)


class MapTest(SemCompTestCase):
    MAPPED = tuple(n for n, metric in metrics.METRICS.items() if metric.needs_map)
    WEIGHTED = tuple(name for name in MAPPED if name.startswith("weighted_"))

    @parameterized.parameters(*MAPPED)
    def test_refuses_hostile_maps(self, name):
        function = metrics.METRICS[name].function
        not_finite = SLOPE.copy()
        not_finite[3, 4] = np.nan
        for wrong, message in (
            ((SLOPE * 255).astype(np.uint8), "divide an 8-bit map by 255"),
            (SLOPE[1:], "must have the picture's size"),
            (SLOPE * 2, r"must lie in \[0, 1\]"),
            (SLOPE - 0.5, r"must lie in \[0, 1\]"),
            (not_finite, "finite"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                function(SMALL, SMALL, wrong)

    @parameterized.parameters(
        ("psnr_s", "psnr"),
        *((name, name.removeprefix("weighted_")) for name in WEIGHTED),
    )
    def test_a_constant_map_weighs_nothing(self, weighted, plain):
        image = pictures.noisy(SMALL, 6)
        expected = metrics.METRICS[plain].function(SMALL, image)
        for value in (0.0, 0.3, 1.0):
            flat = np.full((HEIGHT, WIDTH), value, np.float32)
            found = metrics.METRICS[weighted].function(SMALL, image, flat)
            self.assertAlmostEqual(found, expected, places=9)

    @parameterized.parameters("roi_psnr", "psnr_s", *WEIGHTED)
    def test_damage_where_the_map_is_high_costs_more(self, name):
        inside, outside = SMALL.copy(), SMALL.copy()
        damaged = pictures.noisy(SMALL, 60)
        inside[:, WIDTH // 2 :] = damaged[:, WIDTH // 2 :]
        outside[:, : WIDTH // 2] = damaged[:, : WIDTH // 2]
        function = metrics.METRICS[name].function
        self.assertLess(function(SMALL, inside, SLOPE), function(SMALL, outside, SLOPE))

    @parameterized.parameters(*WEIGHTED)
    def test_damage_far_from_the_map_costs_nothing(self, name):
        # Farther than the coarsest window of MS-SSIM reaches.
        picture = smooth_image(72, 400)
        image, roi_map = picture.copy(), np.zeros((72, 400), np.float32)
        image[:, 250:] = pictures.noisy(picture, 60)[:, 250:]
        roi_map[:, :60] = 1.0
        found = metrics.METRICS[name].function(picture, image, roi_map)
        best = metrics.METRICS[name].function(picture, picture, roi_map)
        self.assertAlmostEqual(found, best, delta=1e-6)
        plain = metrics.METRICS[name.removeprefix("weighted_")].function
        self.assertLess(plain(picture, image), best)

    def test_every_local_metric_has_a_weighted_one(self):
        plain = {n for n, m in metrics.METRICS.items() if not m.needs_map}
        weighted = {name.removeprefix("weighted_") for name in self.WEIGHTED}
        # PSNR's is `psnr_s`; the decibels of MS-SSIM are a way to write it.
        self.assertEqual(plain - weighted, {"psnr", "ms_ssim_db"})

    def test_weighted_psnr_y_is_its_formula(self):
        image = pictures.noisy(SMALL, 6)
        error = (inputs.luma(SMALL) - inputs.luma(image)) ** 2
        expected = 10 * math.log10(255**2 / np.average(error, weights=SLOPE))
        found = metrics.weighted_psnr_y(SMALL, image, SLOPE)
        self.assertAlmostEqual(found, expected, places=9)

    def test_a_flat_region_holds_no_information(self):
        picture = SMALL.copy()
        picture[:, : WIDTH // 2] = 90
        roi_map = np.zeros((HEIGHT, WIDTH), np.float32)
        roi_map[30:34, 2:6] = 1.0
        image = picture.copy()
        image[:, -9:] = 0
        self.assertEqual(metrics.weighted_vifp(picture, image, roi_map), 1.0)
        image[31, 3] = 0
        self.assertEqual(metrics.weighted_vifp(picture, image, roi_map), 0.0)

    def test_roi_and_background_make_up_the_whole(self):
        image = pictures.noisy(SMALL, 6)
        share = metrics.roi_mask(SLOPE).mean()
        errors = [
            10 ** (-function(SMALL, image, SLOPE) / 10)
            for function in (metrics.roi_psnr, metrics.background_psnr)
        ]
        whole = share * errors[0] + (1 - share) * errors[1]
        expected = metrics.psnr(SMALL, image)
        self.assertAlmostEqual(-10 * math.log10(whole), expected, places=9)

    def test_untouched_region_is_infinite(self):
        image = pictures.noisy(SMALL, 6)
        image[:, -20:] = SMALL[:, -20:]
        self.assertEqual(metrics.roi_psnr(SMALL, image, SLOPE), math.inf)
        self.assertTrue(math.isfinite(metrics.background_psnr(SMALL, image, SLOPE)))

    def test_mask_holds_the_top_share_and_breaks_ties_in_reading_order(self):
        mask = metrics.roi_mask(np.array([[0, 1, 1, 0.5, 1]], np.float32), 0.4)
        np.testing.assert_array_equal(mask, [[0, 1, 1, 0, 0]])
        flat = metrics.roi_mask(np.zeros((10, 10), np.float32))
        np.testing.assert_array_equal(np.flatnonzero(flat), np.arange(20))

    def test_mask_of_one_pixel(self):
        point = np.ones((1, 1), np.float32)
        self.assertTrue(metrics.roi_mask(point).all())

    @parameterized.parameters(0.0, 1.0, -0.2, math.nan)
    def test_mask_refuses_other_shares(self, share):
        with self.assertRaisesRegex(ValueError, "`share`"):
            metrics.roi_mask(SLOPE, share)


class DefinitionTest(SemCompTestCase):
    def test_psnr_is_its_formula(self):
        brighter = np.clip(SMALL.astype(int) + 3, 0, 255).astype(np.uint8)
        grey = np.full_like(SMALL, 100)
        expected = 20 * math.log10(255 / 3)
        self.assertAlmostEqual(metrics.psnr(grey, grey + 3), expected, places=9)
        self.assertAlmostEqual(metrics.psnr_y(grey, grey + 3), expected, places=9)
        self.assertGreater(metrics.psnr(SMALL, brighter), expected - 1e-9)

    def test_luma_counts_green_most(self):
        grey = np.full((8, 8, 3), 100, np.uint8)
        values = []
        for channel in range(3):
            changed = grey.copy()
            changed[..., channel] += 10
            values.append(metrics.psnr_y(grey, changed))
        weights = [0.299, 0.587, 0.114]
        expected = [20 * math.log10(255 / (10 * w)) for w in weights]
        np.testing.assert_allclose(values, expected, atol=1e-9)

    def test_hvs_forgives_high_frequencies(self):
        grey = np.full((64, 64, 3), 128, np.uint8)
        fine, coarse = grey.copy(), grey.copy()
        fine[:, ::2] += 6
        fine[:, 1::2] -= 6
        coarse[:, :32] += 6
        coarse[:, 32:] -= 6
        self.assertAlmostEqual(
            metrics.psnr(grey, fine), metrics.psnr(grey, coarse), places=9
        )
        self.assertGreater(
            metrics.psnr_hvs(grey, fine), metrics.psnr_hvs(grey, coarse) + 6
        )

    def test_masking_only_ever_hides(self):
        image = pictures.noisy(SMALL, 6)
        self.assertGreaterEqual(
            metrics.psnr_hvsm(SMALL, image), metrics.psnr_hvs(SMALL, image)
        )

    def test_vifp_rises_above_one_with_contrast(self):
        calm = (SMALL // 2 + 60).astype(np.uint8)
        strong = np.clip((calm.astype(float) - 128) * 1.4 + 128, 0, 255)
        self.assertGreater(metrics.vifp(calm, strong.astype(np.uint8)), 1.0)

    def test_ms_ssim_in_decibels(self):
        image = pictures.noisy(SMALL, 6)
        expected = -10 * math.log10(1 - metrics.ms_ssim(SMALL, image))
        self.assertAlmostEqual(metrics.ms_ssim_db(SMALL, image), expected, places=9)

    def test_inverted_picture_has_no_ms_ssim(self):
        stripes = np.zeros((176, 176, 3), np.uint8)
        stripes[:, ::2] = 255
        self.assertEqual(metrics.ms_ssim(stripes, 255 - stripes), 0.0)


class RegistryTest(SemCompTestCase):
    def test_measures_all_it_can(self):
        image = pictures.noisy(SMALL, 6)
        blind = metrics.measure(SMALL, image)
        self.assertEqual(
            set(blind), {n for n, m in metrics.METRICS.items() if not m.needs_map}
        )
        self.assertEqual(
            set(metrics.measure(SMALL, image, roi_map=SLOPE)), set(metrics.METRICS)
        )

    def test_keeps_the_order_asked_for(self):
        chosen = metrics.measure(SMALL, SMALL, ["vifp", "psnr", "vifp"])
        self.assertEqual(list(chosen), ["vifp", "psnr"])

    def test_refuses_unknown_names_and_missing_maps(self):
        with self.assertRaisesRegex(ValueError, "'lpips'.*choose from psnr"):
            metrics.measure(SMALL, SMALL, ["lpips"])
        with self.assertRaisesRegex(ValueError, "psnr_s, which need a ROI map"):
            metrics.measure(SMALL, SMALL, ["psnr", "psnr_s"])

    def test_names_are_the_keys(self):
        for name, metric in metrics.METRICS.items():
            self.assertEqual(metric.name, name)
            self.assertIs(metrics.get(name), metric)
            self.assertIn(metric.unit, ("dB", ""))
