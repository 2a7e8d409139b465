import numpy as np

from tests.harness import SemCompTestCase
from tfsemcomp.training.linear_probe import fit_ridge


class FitRidgeTest(SemCompTestCase):
    def test_separates_clusters_and_is_sure_of_them(self):
        rng = np.random.default_rng(0)
        labels = np.repeat(np.arange(4), 30)
        centres = rng.normal(size=(4, 10)) * 4
        features = centres[labels] + rng.normal(size=(120, 10)) + 7
        kernel, bias = fit_ridge(features, labels, 4)
        logits = features @ kernel + bias
        self.assertGreater(np.mean(logits.argmax(axis=1) == labels), 0.98)
        share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        self.assertGreater(share[np.arange(120), labels].mean(), 0.8)

    def test_without_bias_it_still_separates(self):
        rng = np.random.default_rng(1)
        labels = np.repeat(np.arange(3), 30)
        features = np.abs(rng.normal(size=(3, 10)) * 4)[labels] + rng.random((90, 10))
        kernel, bias = fit_ridge(features, labels, 3, l2=0.1, bias=False)
        np.testing.assert_array_equal(bias, np.zeros(3))
        predicted = (features @ kernel).argmax(axis=1)
        self.assertGreater(np.mean(predicted == labels), 0.95)

    def test_noise_gives_unsure_shares(self):
        rng = np.random.default_rng(0)
        features, labels = rng.normal(size=(200, 5)), rng.integers(0, 4, size=200)
        kernel, bias = fit_ridge(features, labels, 4)
        logits = features @ kernel + bias
        share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        self.assertLess(share.max(axis=1).mean(), 0.5)

    def test_wrong_labels(self):
        with self.assertRaisesRegex(ValueError, r"\[0, 2\)"):
            fit_ridge(np.zeros((2, 3)), np.array([0, 2]), 2)
        with self.assertRaisesRegex(ValueError, "one length"):
            fit_ridge(np.zeros((2, 3)), np.array([0]), 2)
