import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.models import text_to_image_networks as networks


def count(layer):
    return sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)


def text(count=2, width=6):
    words = tf.random.stateless_normal([count, 5, width], [1, 2])
    mask = tf.sequence_mask([3] * count, 5)
    return words, tf.random.stateless_normal([count, width], [3, 4]), mask


class GeneratorTest(SemCompTestCase):
    def test_the_paper_s_shapes(self):
        generator = networks.Generator(32, 4, 3, 2, 100)
        words, sentence, mask = text(2, 256)
        pictures, mean, _ = generator(tf.zeros([2, 100]), words, sentence, mask)
        sides = [tuple(picture.shape) for picture in pictures]
        self.assertEqual(sides, [(2, n, n, 3) for n in (64, 128, 256)])
        self.assertEqual(mean.shape, (2, 100))
        self.assertEqual(count(generator.augment), 256 * 400 + 400)
        # 512x4x4 before and after the gate, then 256, 128, 64 and 32 channels.
        first = 200 * 16384 + 2 * 16384
        for n in (256, 128, 64, 32):
            first += 9 * 2 * n * 2 * n + 4 * n
        self.assertEqual(count(generator.first), first)
        block = 9 * 64 * 128 + 256 + 9 * 64 * 64 + 128
        refinement = 256 * 32 + 2 * block + 9 * 64 * 64 + 128
        for refine in generator.refinements:
            self.assertEqual(count(refine), refinement)
        self.assertEqual([count(c) for c in generator.colours], [9 * 32 * 3] * 3)

    def test_conditions_are_drawn_in_training_only(self):
        tf.keras.utils.set_random_seed(1)
        augment = networks.ConditioningAugmentation(4)
        sentence = tf.ones([3, 6])
        condition, mean, _ = augment(sentence)
        np.testing.assert_array_equal(condition, mean)
        drawn, again, log_variance = augment(tf.ones([4000, 6]), training=True)
        # Products of large matrices may be summed in another order.
        np.testing.assert_allclose(again[0], mean[0], rtol=1e-5)
        np.testing.assert_allclose(
            np.std(drawn, axis=0), np.exp(log_variance[0] / 2), rtol=0.1
        )

    def test_words_behind_the_mask_do_not_count(self):
        tf.keras.utils.set_random_seed(1)
        generator = networks.Generator(2, 2, 2, 1, 4)
        words, sentence, mask = text()
        other = tf.where(mask[..., None], words, 7.0)
        noise = tf.random.stateless_normal([2, 3], [5, 6])
        found = [generator(noise, w, sentence, mask)[0][-1] for w in (words, other)]
        np.testing.assert_array_equal(*found)
        moved = generator(noise, words + 1, sentence, mask)[0]
        # The first stage knows the sentence only.
        self.assertFalse(np.array_equal(moved[-1], found[0]))
        first = generator(noise, words, sentence, mask)[0][0]
        np.testing.assert_array_equal(moved[0], first)

    def test_colours_begin_faint(self):
        tf.keras.utils.set_random_seed(1)
        generator = networks.Generator(4, 2, 2, 1, 4)
        noise = tf.random.stateless_normal([2, 3], [5, 6])
        pictures, _, _ = generator(noise, *text(), training=True)
        for picture in pictures:
            self.assertLess(np.abs(picture).max(), 0.9)
            self.assertGreater(np.std(picture), 1e-3)


class DiscriminatorTest(SemCompTestCase):
    @parameterized.parameters((64, 4, 512), (128, 5, 512), (256, 6, 512))
    def test_the_paper_s_shapes(self, side, halvings, last):
        judge = networks.Discriminator(64, halvings)
        x, sentence = tf.zeros([2, side, side, 3]), tf.zeros([2, 256])
        features = judge.features(x)
        self.assertEqual(features.shape, (2, 4, 4, last))
        for logits in judge(x, sentence):
            self.assertEqual(logits.shape, (2, 1, 1, 1))
        expected = 16 * 3 * 64
        for n in range(1, halvings):
            expected += 16 * 64 * 2 ** (n - 1) * 64 * 2**n + 2 * 64 * 2**n
        for n in range(4, halvings):
            expected += 9 * 64 * 2**n * 64 * 2 ** (n - 1) + 2 * 64 * 2 ** (n - 1)
        match = 9 * (512 + 256) * 512 + 2 * 512
        logits = 2 * (16 * 512 + 1)
        self.assertEqual(count(judge), expected + match + logits)

    def test_only_the_match_sees_the_sentence(self):
        tf.keras.utils.set_random_seed(1)
        judge = networks.Discriminator(4, 2)
        x = tf.random.stateless_normal([2, 16, 16, 3], [1, 2])
        one, two = (judge(x, tf.fill([2, 6], value)) for value in (0.0, 1.0))
        np.testing.assert_array_equal(one[0], two[0])
        self.assertFalse(np.allclose(one[1], two[1]))


class GatedTest(SemCompTestCase):
    def test_is_half_by_sigmoids_of_the_rest(self):
        x = tf.constant([[2.0, -3.0, 0.0, 1e3]])
        np.testing.assert_allclose(networks.gated(x), [[1.0, -3.0]])
