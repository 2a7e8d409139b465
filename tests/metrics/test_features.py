"""The feature distances, on a network with random weights."""

import math
import subprocess
import sys
from unittest import mock

import numpy as np
from absl.testing import parameterized

from tests.harness import SemCompTestCase, noise_image, smooth_image
from tests.metrics import pictures
from tests.metrics.networks import weights_file
from tfsemcomp import metrics
from tfsemcomp.errors import SemCompError
from tfsemcomp.metrics import backbones, features, inputs

HEIGHT, WIDTH = 72, 90
SMALL = smooth_image(HEIGHT, WIDTH)
SLOPE = np.tile(np.linspace(0, 1, WIDTH, dtype=np.float32), (HEIGHT, 1))
FAMILIES = tuple(n for n, f in metrics.FAMILIES.items() if f.function is not None)


class FeaturesTest(SemCompTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.path = weights_file("MobileNet")
        cls.backbone = backbones.load(cls.path)

    def _measure(self, family, reference, image):
        roi_map = np.linspace(0, 1, reference[..., 0].size, dtype=np.float32)
        roi_map = roi_map.reshape(reference.shape[:2])
        name = f"{family}@{self.path}"
        (value,) = metrics.measure(reference, image, [name], roi_map).values()
        return value

    @parameterized.parameters(*FAMILIES)
    def test_equal_pictures_have_no_distance(self, family):
        self.assertAlmostEqual(self._measure(family, SMALL, SMALL), 0.0, delta=1e-9)

    @parameterized.parameters(*FAMILIES)
    def test_more_damage_is_farther(self, family):
        self.assertFalse(metrics.FAMILIES[family].higher_is_better)
        values = [
            self._measure(family, SMALL, pictures.noisy(SMALL, s)) for s in (2, 6, 18)
        ]
        self.assertBetween(values[0], 1e-5, values[1])
        self.assertBetween(values[1], values[0], values[2])
        self.assertLess(values[2], 2.0)

    @parameterized.product(family=FAMILIES, shape=((1, 1), (7, 33), (32, 32), (45, 61)))
    def test_any_size_has_a_value(self, family, shape):
        pair = noise_image(*shape, seed=1), noise_image(*shape, seed=2)
        self.assertTrue(math.isfinite(self._measure(family, *pair)))

    @parameterized.parameters(*FAMILIES)
    def test_refuses_what_is_no_pair_of_pictures(self, family):
        for wrong in (SMALL.astype(np.float32), SMALL[:-1], SMALL[..., 0]):
            with self.assertRaisesRegex(ValueError, "`image` must"):
                self._measure(family, SMALL, wrong)

    def test_lpips_is_twice_one_less_the_cosine(self):
        image = pictures.noisy(SMALL, 8)
        expected = []
        for x, y in self.backbone.features(np.stack([SMALL, image])):
            x, y = (stage.reshape(-1, stage.shape[-1]) for stage in (x, y))
            norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
            expected.append(np.mean(2 - 2 * (x * y).sum(axis=1) / norms))
        found = metrics.feature_lpips(SMALL, image, self.backbone)
        self.assertAlmostEqual(found, np.mean(expected), delta=1e-6)

    def test_dists_is_its_formula(self):
        image = pictures.noisy(SMALL, 8)
        pair = np.stack([SMALL, image])
        similarities = []
        for x, y in (pair / 255, *self.backbone.features(pair)):
            channels = []
            for channel in range(x.shape[-1]):
                a, b = (stage[..., channel].astype(np.float64) for stage in (x, y))
                spread = np.cov(a.ravel(), b.ravel(), bias=True)
                texture = (2 * a.mean() * b.mean() + 1e-6) / (
                    a.mean() ** 2 + b.mean() ** 2 + 1e-6
                )
                structure = (2 * spread[0, 1] + 1e-6) / (np.trace(spread) + 1e-6)
                channels.append((texture + structure) / 2)
            similarities.append(np.mean(channels))
        found = metrics.feature_dists(SMALL, image, self.backbone)
        self.assertAlmostEqual(found, 1 - np.mean(similarities), delta=1e-6)

    @parameterized.parameters(*FAMILIES)
    def test_strips_of_rows_change_nothing(self, family):
        image = pictures.noisy(SMALL, 8)
        expected = self._measure(family, SMALL, image)
        with mock.patch.object(features, "_STRIP", 10_000):
            found = self._measure(family, SMALL, image)
        self.assertAlmostEqual(found, expected, places=12)

    def test_a_constant_map_weighs_nothing(self):
        image = pictures.noisy(SMALL, 8)
        expected = metrics.feature_lpips(SMALL, image, self.backbone)
        for value in (0.0, 0.3, 1.0):
            flat = np.full((HEIGHT, WIDTH), value, np.float32)
            found = metrics.weighted_feature_lpips(SMALL, image, flat, self.backbone)
            self.assertAlmostEqual(found, expected, places=9)

    def test_damage_where_the_map_is_high_costs_more(self):
        damaged = pictures.noisy(SMALL, 15)
        inside, outside = SMALL.copy(), SMALL.copy()
        inside[:, WIDTH // 2 :] = damaged[:, WIDTH // 2 :]
        outside[:, : WIDTH // 2] = damaged[:, : WIDTH // 2]
        self.assertGreater(
            metrics.weighted_feature_lpips(SMALL, inside, SLOPE, self.backbone),
            metrics.weighted_feature_lpips(SMALL, outside, SLOPE, self.backbone),
        )

    def test_columns_name_the_backbone(self):
        image = pictures.noisy(SMALL, 8)
        names = ["psnr", f"feature_dists@{self.path}"]
        columns = metrics.columns(names)
        self.assertEqual(columns, ("psnr", f"feature_dists@{self.backbone.name}"))
        self.assertEqual(tuple(metrics.measure(SMALL, image, names)), columns)
        self.assertIn(self.backbone.name, metrics.get(names[1]).label)

    def test_a_column_has_a_label_but_no_value_without_its_file(self):
        column = f"feature_lpips@{self.backbone.name}"
        metric = metrics.get(column)
        self.assertEqual(metric.name, column)
        self.assertFalse(metric.higher_is_better)
        with self.assertRaisesRegex(SemCompError, "neither a backbone"):
            metrics.measure(SMALL, SMALL, [column])

    def test_weighted_needs_a_map(self):
        with self.assertRaisesRegex(ValueError, "need a ROI map"):
            metrics.measure(SMALL, SMALL, [f"weighted_feature_lpips@{self.path}"])


class FamiliesTest(SemCompTestCase):
    @parameterized.parameters(
        *(name for name, family in metrics.FAMILIES.items() if family.function is None)
    )
    def test_columns_of_observers_have_labels_but_no_function(self, family):
        metric = metrics.get(f"{family}@resnet50")
        self.assertEqual(metric.name, f"{family}@resnet50")
        self.assertEndsWith(metric.label, "(resnet50)")
        self.assertTrue(metric.higher_is_better)
        with self.assertRaisesRegex(ValueError, "come from an observer"):
            metrics.measure(SMALL, SMALL, [metric.name])

    def test_refuses_a_family_without_a_name(self):
        for name in ("feature_lpips", "feature_lpips@"):
            with self.assertRaisesRegex(ValueError, "'feature_lpips@mobilenet'"):
                metrics.get(name)
        with self.assertRaisesRegex(ValueError, "'psnr@vgg16', which is not here"):
            metrics.get("psnr@vgg16")

    def test_choosing_loads_no_network(self):
        code = (
            "import sys; from tfsemcomp import metrics;"
            "metrics.select(['psnr', 'feature_lpips@mobilenet'], has_map=False);"
            "print({'tensorflow', 'numba'} & set(sys.modules))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        self.assertEqual(done.stdout.strip(), "set()")


class AreaMeansTest(SemCompTestCase):
    def test_whole_parts_are_plain_means(self):
        plane = np.random.default_rng(0).random((12, 20))
        expected = plane.reshape(4, 3, 5, 4).mean(axis=(1, 3))
        np.testing.assert_allclose(inputs.area_means(plane, 4, 5), expected)

    @parameterized.parameters((5, 3), (7, 7), (13, 1), (13, 11))
    def test_the_mean_is_kept(self, rows, columns):
        plane = np.random.default_rng(0).random((13, 11))
        found = inputs.area_means(plane, rows, columns)
        self.assertEqual(found.shape, (rows, columns))
        self.assertAlmostEqual(found.mean(), plane.mean(), places=12)
