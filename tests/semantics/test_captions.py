import itertools

import numpy as np

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.entropy import text
from tfsemcomp.errors import ModelMismatchError
from tfsemcomp.semantics import captions, vocabulary
from tfsemcomp.semantics.vocabulary import END, START, Vocabulary

WORDS = Vocabulary(("a", "dog", "cat", "runs"))
IMAGE = smooth_image(20, 30)


class TableRunner:
    """A network whose next word depends on the last word and the picture's mean."""

    def __init__(self, logits):
        self.logits = np.float32(logits)
        self.sizes = []

    def call(self, signature, **inputs):
        if signature == "describe":
            (pixels,) = inputs.values()
            return {"state": pixels.mean(axis=(1, 2))}
        words, length = inputs["words"], inputs["length"]
        self.sizes.append(len(words))
        last = words[np.arange(len(words)), length - 1]
        return {"logits": self.logits[last]}


def random_logits(seed):
    return np.random.default_rng(seed).normal(size=(len(WORDS), len(WORDS))) * 2


def log_softmax(row):
    allowed = np.delete(row, [0, START, 3])
    return row - np.log(np.exp(allowed).sum())


class DescribeTest(SemCompTestCase):
    def test_finds_the_likeliest_of_all_sentences(self):
        for seed in range(5):
            logits = random_logits(seed)
            logits[:, END] += 2
            chances = np.stack([log_softmax(row) for row in logits])
            scores = {}
            for count in range(6):
                for words in itertools.product(range(4, 8), repeat=count):
                    path = [START, *words, END]
                    pairs = itertools.pairwise(path)
                    scores[WORDS.text(words)] = sum(chances[a, b] for a, b in pairs)
            expected = sorted(scores.items(), key=lambda item: -item[1])[:3]
            found = captions.describe(IMAGE, TableRunner(logits), WORDS, beam=8)
            self.assertEqual([t for t, _ in found[:3]], [t for t, _ in expected])
            np.testing.assert_allclose(
                [s for _, s in found[:3]], [s for _, s in expected], atol=1e-5
            )

    def test_a_beam_of_one_is_greedy(self):
        logits = np.full((8, 8), -20.0)
        # Pad, start and unknown are likeliest, and no words.
        logits[:, [0, START, 3]] = 50
        for before, after in itertools.pairwise((START, 4, 5, 7, END)):
            logits[before, after] = 0
        runner = TableRunner(logits)
        ((best, score),) = captions.describe(IMAGE, runner, WORDS, beam=1)
        self.assertEqual(best, "A dog runs.")
        self.assertAlmostEqual(score, 0, places=5)
        self.assertEqual(set(runner.sizes), {1})

    def test_bits_have_a_price(self):
        told = ["A dog runs."] * 60 + ["A cat."] * 2
        tables = text.build(told, vocabulary.build(told))
        logits = random_logits(1)
        logits[:, END] += 2
        options = {"text_model": tables, "beam": 6}
        free = captions.describe(IMAGE, TableRunner(logits), WORDS, **options)
        dear = captions.describe(
            IMAGE, TableRunner(logits), WORDS, rate_weight=5.0, **options
        )
        self.assertEqual(dear, sorted(dear, key=lambda item: -item[1]))
        bits = {t: 8 * len(text.encode(t, tables)) for t, _ in dear}
        for sentence, score in free:
            if sentence in bits:
                self.assertAlmostEqual(
                    dict(dear)[sentence], score - 5 * bits[sentence], places=5
                )
        self.assertLessEqual(bits[dear[0][0]], bits[dear[-1][0]])

    def test_a_network_that_never_ends_is_stopped(self):
        logits = np.zeros((8, 8))
        logits[:, END] = -np.inf
        found = captions.describe(IMAGE, TableRunner(logits), WORDS, beam=2)
        self.assertLen(found, 2)
        for sentence, _ in found:
            self.assertBetween(len(vocabulary.tokens(sentence)), 60, 70)

    def test_refuses(self):
        runner = TableRunner(random_logits(0))
        for options in (
            {"beam": 0},
            {"rate_weight": 1.0},
            {"rate_weight": float("nan")},
            {"rate_weight": -1.0, "text_model": object()},
        ):
            with self.subTest(**options), self.assertRaises(ValueError):
                captions.describe(IMAGE, runner, WORDS, **options)
        with self.assertRaises(ValueError):
            captions.describe(IMAGE[..., 0], runner, WORDS)
        with self.assertRaisesRegex(ModelMismatchError, "knows 8 words, .* 5;"):
            captions.describe(IMAGE, runner, Vocabulary(("a",)))
