import numpy as np
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.metrics import retrieval


class RPrecisionTest(SemCompTestCase):
    def test_bounds(self):
        vectors = np.random.default_rng(1).normal(size=(30, 8))
        self.assertEqual(retrieval.r_precision(vectors, 3 * vectors, 30), 1.0)
        self.assertEqual(retrieval.r_precision(vectors, -vectors, 30), 0.0)

    def test_chance(self):
        rng = np.random.default_rng(2)
        pictures, sentences = rng.normal(size=(2, 2000, 4))
        found = retrieval.r_precision(pictures, sentences, 10)
        self.assertAlmostEqual(found, 0.1, delta=0.03)

    def test_all_candidates_is_the_best_of_the_row(self):
        pictures, sentences = np.random.default_rng(3).normal(size=(2, 40, 3))
        sentences += pictures
        cosines = pictures @ sentences.T
        cosines /= np.linalg.norm(sentences, axis=1)
        expected = np.mean(cosines.argmax(axis=1) == np.arange(40))
        self.assertBetween(expected, 0.05, 0.95)
        self.assertEqual(retrieval.r_precision(pictures, sentences, 40), expected)

    def test_the_right_one_is_never_among_the_others(self):
        # All else is equal and worse: one's own sentence twice would be a tie.
        vectors = np.tile([[0.0, 1.0]], (12, 1))
        vectors[5] = [1.0, 0.0]
        found = retrieval.r_precision(np.tile([[1.0, 0.0]], (12, 1)), vectors, 12)
        self.assertEqual(found, 1 / 12)

    def test_the_seed_fixes_the_draw(self):
        pictures, sentences = np.random.default_rng(4).normal(size=(2, 300, 2))
        found = [retrieval.r_precision(pictures, sentences, 3, s) for s in (1, 1, 2)]
        self.assertEqual(found[0], found[1])
        self.assertNotEqual(found[0], found[2])

    @parameterized.parameters(
        ((4, 2), (3, 2), 2, "\\[N,D\\]"),
        ((4,), (4,), 2, "\\[N,D\\]"),
        ((4, 2), (4, 2), 5, "`candidates`.*4; got 5"),
        ((4, 2), (4, 2), 1, "`candidates`"),
    )
    def test_refuses(self, pictures, sentences, candidates, message):
        with self.assertRaisesRegex(ValueError, message):
            retrieval.r_precision(np.ones(pictures), np.ones(sentences), candidates)
