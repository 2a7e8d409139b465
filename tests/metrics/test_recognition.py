import math

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp import metrics


class TopKTest(SemCompTestCase):
    @parameterized.parameters(1, 2, 5, 10)
    def test_as_keras(self, k):
        rng = np.random.default_rng(k)
        scores = rng.normal(size=(200, 10)).astype(np.float32)
        labels = rng.integers(0, 10, 200)
        hits = tf.keras.metrics.sparse_top_k_categorical_accuracy(labels, scores, k)
        self.assertAlmostEqual(metrics.top_k(scores, labels, k), np.mean(hits))

    def test_a_constant_classifier_has_k_guesses(self):
        labels = np.arange(10)
        self.assertAlmostEqual(metrics.top_k(np.zeros((10, 10)), labels, 3), 0.3)

    def test_refuses_wrong_arguments(self):
        scores, labels = np.zeros((4, 3)), np.array([0, 1, 2, 0])
        for arguments, message in (
            ((scores.astype(int), labels, 1), "`scores` must be a float"),
            ((scores[0], labels, 1), "`scores` must have the shape"),
            ((scores * np.nan, labels, 1), "no NaN"),
            ((scores, labels[:2], 1), "`labels` must have the shape"),
            ((scores, labels + 1, 1), r"`labels` must lie in 0\.\.2"),
            ((scores, labels - 1, 1), r"`labels` must lie in 0\.\.2"),
            ((scores, labels / 1, 1), "`labels` must be an array of integers"),
            ((scores, labels, 0), r"`k` must be an integer in 1\.\.3"),
            ((scores, labels, 4), r"`k` must be an integer in 1\.\.3"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                metrics.top_k(*arguments)


class ConfusionTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(0)
        self.reference = rng.integers(0, 6, (30, 40)).astype(np.uint8)
        self.predicted = np.where(
            rng.random((30, 40)) < 0.6, self.reference, rng.integers(0, 6, (30, 40))
        ).astype(np.uint8)
        self.ignored = self.reference.copy()
        self.ignored[rng.random((30, 40)) < 0.1] = 255

    def test_as_tensorflow(self):
        expected = tf.math.confusion_matrix(
            self.reference.ravel(), self.predicted.ravel(), 6
        )
        found = metrics.confusion(self.reference, self.predicted, 6)
        np.testing.assert_array_equal(found, expected)
        self.assertEqual(found.dtype, np.int64)

    def test_miou_as_keras(self):
        keras = tf.keras.metrics.MeanIoU(6, ignore_class=255)
        keras.update_state(self.ignored.astype(np.int32), self.predicted)
        counts = metrics.confusion(self.ignored, self.predicted, 6)
        self.assertAlmostEqual(metrics.miou(counts), float(keras.result()), places=6)
        self.assertEqual(counts.sum(), np.sum(self.ignored != 255))

    def test_only_classes_that_occur_count(self):
        reference = np.array([[0, 0, 4, 4]])
        predicted = np.array([[0, 0, 4, 0]])
        counts = metrics.confusion(reference, predicted, 9)
        self.assertAlmostEqual(metrics.miou(counts), (2 / 3 + 1 / 2) / 2)

    def test_perfect_and_empty(self):
        counts = metrics.confusion(self.reference, self.reference, 6)
        self.assertEqual(metrics.miou(counts), 1.0)
        nothing = metrics.confusion(np.full((4, 4), 255), self.predicted[:4, :4], 6)
        self.assertTrue(math.isnan(metrics.miou(nothing)))

    def test_without_an_ignored_label(self):
        with self.assertRaisesRegex(ValueError, r"`reference` .* 0\.\.5; .*\.\.255"):
            metrics.confusion(self.ignored, self.predicted, 6, ignore=None)

    def test_refuses_wrong_arguments(self):
        for arguments, message in (
            ((self.reference / 1, self.predicted, 6), "array of integers"),
            ((self.reference[1:], self.predicted, 6), "the shape of `reference`"),
            ((self.reference, self.predicted, 5), "`reference` must hold"),
            ((self.reference, self.predicted, 0), "`classes`"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                metrics.confusion(*arguments)
        for wrong in (np.ones((2, 3), int), np.array([[1, -1], [0, 1]]), np.eye(2)):
            with self.assertRaisesRegex(ValueError, "`counts`"):
                metrics.miou(wrong)
