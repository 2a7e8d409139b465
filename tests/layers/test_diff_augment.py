import numpy as np
import tensorflow as tf

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.layers import diff_augment


def pictures(count, side=16):
    found = np.stack([smooth_image(side, side, seed) for seed in range(count)])
    return tf.constant(found / 127.5 - 1, tf.float32)


class DiffAugmentTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        tf.keras.utils.set_random_seed(3)

    def test_keeps_the_shape_and_changes_each_picture_otherwise(self):
        x = tf.repeat(pictures(1), 4, axis=0)
        found = diff_augment.augment(x)
        self.assertEqual(found.shape, x.shape)
        for one, two in ((0, 1), (1, 2), (2, 3)):
            self.assertFalse(np.array_equal(found[one], found[two]))

    def test_colours(self):
        x = pictures(40)
        found = diff_augment._recolour(x)
        means = tf.reduce_mean(found - x, axis=(1, 2, 3))
        self.assertBetween(np.min(means), -0.5, -0.3)
        self.assertBetween(np.max(means), 0.3, 0.5)
        # Saturation and contrast turn about grey and mean.
        grey = tf.repeat(tf.reduce_mean(x, axis=3, keepdims=True), 3, axis=3)
        found = diff_augment._recolour(grey)
        np.testing.assert_allclose(found[..., 0], found[..., 2], atol=1e-5)
        flat = diff_augment._recolour(tf.zeros([2, 8, 8, 3]))
        np.testing.assert_allclose(np.std(flat, axis=(1, 2, 3)), 0, atol=1e-6)

    def test_shifts_are_whole_pixels_with_nothing_moved_in(self):
        x = pictures(30)
        found, shifts = diff_augment._translate(x).numpy(), set()
        for one, moved in zip(x.numpy(), found, strict=True):
            padded = np.pad(one, ((2, 2), (2, 2), (0, 0)))
            places = [
                (i - 2, j - 2)
                for i, j in np.ndindex(5, 5)
                if np.allclose(padded[i : i + 16, j : j + 16], moved, atol=1e-6)
            ]
            self.assertLen(places, 1)
            shifts |= set(places)
        self.assertGreater(len(shifts), 8)
        for axis in (0, 1):
            self.assertEqual({shift[axis] for shift in shifts}, {-2, -1, 0, 1, 2})

    def test_a_square_is_cut_out(self):
        found = diff_augment._cut_out(tf.ones([30, 16, 16, 3])).numpy()
        for each in found[..., 0] == 0:
            rows, columns = np.flatnonzero(each.any(1)), np.flatnonzero(each.any(0))
            self.assertEqual(each.sum(), len(rows) * len(columns))
            self.assertBetween(len(rows), 4, 8)
        areas = (found[..., 0] == 0).sum(axis=(1, 2))
        self.assertEqual(areas.max(), 64)

    def test_gradients_pass(self):
        x = pictures(2)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(diff_augment.augment(x))
        gradient = tape.gradient(loss, x).numpy()
        self.assertTrue(np.isfinite(gradient).all())
        self.assertGreater(np.abs(gradient).max(), 0)

    def test_xla_clean(self):
        self.assert_xla_clean(diff_augment.augment, pictures(2))
