import numpy as np
import tensorflow as tf

from tests.harness import SemCompTestCase
from tfsemcomp.losses import damsm

WORDS = (3, 5, 1)


def drawn(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def mask():
    return tf.sequence_mask(WORDS, 5)


def softmax(values):
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def cosine(one, other):
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


class WordScoresTest(SemCompTestCase):
    def test_is_its_formula(self):
        regions, words = drawn(1, 2, 6, 4), drawn(2, 3, 5, 4)
        expected = np.zeros((2, 3))
        for a, b in np.ndindex(2, 3):
            v, e = regions[a].astype(float), words[b, : WORDS[b]].astype(float)
            shares = np.stack([softmax(row) for row in v @ e.T])
            total = 0
            for t in range(WORDS[b]):
                context = softmax(3.0 * shares[:, t]) @ v
                total += np.exp(2.0 * cosine(context, e[t]))
            expected[a, b] = np.log(total)
        found = damsm.word_scores(regions, words, mask(), 3.0, 2.0)
        np.testing.assert_allclose(found, expected, rtol=1e-4)

    def test_what_is_behind_the_words_does_not_count(self):
        regions, words = drawn(1, 2, 6, 4), drawn(2, 3, 5, 4)
        other = np.where(mask()[..., None], words, 9.0)
        found = [damsm.word_scores(regions, e, mask()) for e in (words, other)]
        np.testing.assert_allclose(*found, rtol=1e-5)

    def test_no_word_at_all_has_no_gradient(self):
        regions = tf.constant(drawn(1, 2, 6, 4))
        none = tf.zeros([1, 5], tf.bool)
        with tf.GradientTape() as tape:
            tape.watch(regions)
            scores = damsm.word_scores(regions, tf.zeros([1, 5, 4]), none)
        np.testing.assert_array_equal(tape.gradient(scores, regions), 0)


class AttendTest(SemCompTestCase):
    def test_is_a_mean_of_words(self):
        queries, words = drawn(3, 3, 7, 4), drawn(4, 3, 5, 4)
        context, weights = damsm.attend(queries, words, mask())
        np.testing.assert_allclose(tf.reduce_sum(weights, axis=2), 1, rtol=1e-5)
        np.testing.assert_array_equal(weights[0, :, 3:], 0)
        expected = softmax(queries[1, 2] @ words[1].T) @ words[1]
        np.testing.assert_allclose(context[1, 2], expected, rtol=1e-4)
        # Of one word there is nothing to choose.
        repeated = np.repeat(words[2, :1], 7, axis=0)
        np.testing.assert_allclose(context[2], repeated, rtol=1e-5)

    def test_no_word_at_all_gives_nothing(self):
        context, weights = damsm.attend(
            drawn(3, 1, 7, 4), drawn(4, 1, 5, 4), tf.zeros([1, 5], tf.bool)
        )
        np.testing.assert_array_equal(context, 0)
        np.testing.assert_array_equal(weights, 0)


class MatchingLossTest(SemCompTestCase):
    def test_is_cross_entropy_both_ways(self):
        scores = drawn(5, 4, 4)
        expected = 0.0
        for table in (scores, scores.T):
            for row in range(4):
                expected -= np.log(softmax(2.0 * table[row].astype(float))[row]) / 4
        found = damsm.matching_loss(tf.constant(scores), smoothing=2.0)
        self.assertAlmostEqual(float(found), expected, places=5)

    def test_the_same_class_is_no_wrong_answer(self):
        scores = drawn(5, 4, 4)
        labels = tf.constant([7, 2, 7, -1])
        found = damsm.matching_loss(tf.constant(scores), labels)
        scores[0, 2] = scores[2, 0] = 1e3
        again = damsm.matching_loss(tf.constant(scores), labels)
        self.assertAlmostEqual(float(found), float(again), places=5)
        self.assertGreater(damsm.matching_loss(tf.constant(scores)), 1e3)

    def test_no_class_masks_nothing(self):
        scores = tf.constant(drawn(5, 4, 4))
        found = damsm.matching_loss(scores, tf.fill([4], -1))
        self.assertAlmostEqual(
            float(found), float(damsm.matching_loss(scores)), places=6
        )

    def test_sentences_score_by_cosine(self):
        pictures, sentences = drawn(6, 2, 4), drawn(7, 3, 4)
        found = damsm.sentence_scores(pictures, sentences)
        self.assertAlmostEqual(
            float(found[1, 2]), cosine(pictures[1], sentences[2]), places=5
        )
