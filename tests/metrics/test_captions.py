import math

from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp import metrics
from tfsemcomp.metrics import captions

CANDIDATES = [
    "a brown dog is running across the green grass in the park",
    "two people sit on a wooden bench near the sea",
    "a red bus drives down a busy city street",
    "a cat sleeping",
]
REFERENCES = [
    [
        "a brown dog is running across the green grass",
        "the dog runs over a lawn in the park on a sunny day",
    ],
    [
        "two people are sitting on a bench and look at the sea",
        "a couple sits on a wooden bench near the sea",
    ],
    ["a red double decker bus drives down a busy street in the city"],
    ["a cat sleeping on a sofa", "the cat is asleep"],
]


class Bleu4Test(SemCompTestCase):
    def test_of_a_corpus_as_sacrebleu(self):
        # sacrebleu 2.6.0: corpus_bleu(tokenize="none", smooth_method="none") / 100.
        found = metrics.bleu4(CANDIDATES, REFERENCES)
        self.assertAlmostEqual(found, 0.6080644093261361, places=12)

    def test_of_captions_as_sacrebleu(self):
        # sacrebleu 2.6.0: BLEU(tokenize="none", smooth_method="add-k",
        # smooth_value=1).sentence_score / 100.
        expected = (
            0.7831566121841204,
            0.7400828044922849,
            0.394190106711426,
            0.7165313105737896,
        )
        for k, value in enumerate(expected):
            found = metrics.caption_bleu4(CANDIDATES[k], REFERENCES[k])
            self.assertAlmostEqual(found, value, places=12)

    def test_by_hand(self):
        # Of 6, 5, 4, 3 n-grams 5, 3, 2, 1 match; the reference has 8 words.
        candidate = "the cat sat on the rug"
        reference = "the black cat sat on the mat today"
        matches = 5 / 6 * 3 / 5 * 2 / 4 * 1 / 3
        expected = math.exp(1 - 8 / 6) * matches**0.25
        found = metrics.bleu4([candidate], [[reference]])
        self.assertAlmostEqual(found, expected, places=12)

    def test_equal_captions(self):
        self.assertAlmostEqual(metrics.bleu4(CANDIDATES, [[c] for c in CANDIDATES]), 1)
        for caption in (*CANDIDATES, "dog"):
            self.assertAlmostEqual(metrics.caption_bleu4(caption, [caption]), 1)

    def test_repeated_words_are_clipped(self):
        # The example of the paper: 2 of 7.
        statistics = captions._statistics(
            "the the the the the the the",
            ["The cat is on the mat.", "There is a cat on the mat."],
        )
        self.assertEqual(statistics[:4], [7, 7, 2, 7])

    def test_of_two_references_as_near_the_shorter_counts(self):
        statistics = captions._statistics("one two three", ["a b", "a b c d"])
        self.assertEqual(statistics[:2], [3, 2])

    def test_nothing_in_common(self):
        self.assertEqual(metrics.bleu4(["a b c d e"], [["v w x y z"]]), 0.0)
        self.assertEqual(metrics.caption_bleu4("a b c", ["x y z"]), 0.0)
        self.assertEqual(metrics.caption_bleu4("", ["x y z"]), 0.0)

    @parameterized.parameters(
        ("A dog, running!", ["a", "dog", "running"]),
        ("the man's T-shirt", ["the", "man's", "t-shirt"]),
        ("  2 cats\n", ["2", "cats"]),
        ("un café (fermé)", ["un", "café", "fermé"]),
        ("'", []),
    )
    def test_words(self, caption, expected):
        self.assertEqual(captions.words(caption), expected)

    def test_refuses_wrong_arguments(self):
        for arguments, message in (
            (([], []), "at least one caption"),
            ((["a"], []), "for each of the 0"),
            (("ab", ["a", "b"]), "`candidates`"),
            ((["a"], [[]]), "one or more captions"),
            ((["a"], ["a"]), "one or more captions"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                metrics.bleu4(*arguments)
        with self.assertRaisesRegex(ValueError, "one or more captions"):
            metrics.caption_bleu4("a", [])
