import numpy as np

from tests.harness import SemCompTestCase
from tfsemcomp.metrics import saliency


class SaliencyTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(0)
        self.roi = rng.random((20, 30)).astype(np.float32)
        self.points = (rng.random((20, 30)) < 0.05).astype(np.float32)

    def test_auc_agrees_with_scikit_learn_definition(self):
        # Mann-Whitney over all pairs, which the rank formula must equal.
        fixated = self.roi[self.points > 0]
        wins = np.sign(fixated[:, None] - self.roi.ravel()[None])
        expected = (1 + wins.mean()) / 2
        self.assertAlmostEqual(saliency.auc(self.roi, self.points), expected, places=6)

    def test_a_perfect_map_beats_its_inverse(self):
        density = self.roi**4
        for score in (saliency.auc, saliency.nss, saliency.cc):
            self.assertGreater(score(self.roi, density), score(1 - self.roi, density))
        self.assertAlmostEqual(saliency.cc(density, density), 1.0)

    def test_a_constant_map_is_chance(self):
        flat = np.full((20, 30), 0.3, np.float32)
        self.assertAlmostEqual(saliency.auc(flat, self.points), 0.5)
        self.assertEqual(saliency.nss(flat, self.points), 0)
        self.assertEqual(saliency.cc(flat, self.points), 0)

    def test_nss_of_points_is_the_mean_standard_score(self):
        standard = (self.roi - self.roi.mean()) / self.roi.std()
        expected = standard[self.points > 0].mean()
        self.assertAlmostEqual(saliency.nss(self.roi, self.points), expected, places=5)

    def test_wrong_arguments(self):
        with self.assertRaisesRegex(ValueError, "alike"):
            saliency.auc(self.roi, self.points[1:])
        with self.assertRaisesRegex(ValueError, "not all zero"):
            saliency.cc(self.roi, 0 * self.points)
