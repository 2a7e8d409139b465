import numpy as np
import tensorflow as tf

from tests.data.test_pipeline import png
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.data import captions, pipeline, records
from tfsemcomp.semantics import vocabulary

CAPTIONS = (
    ("a red bird sits", "A bird on a branch .", "the small red bird sits on a tree"),
    ("a dog runs",),
    ("two dogs run in the snow", "Snow, and dogs"),
)
T = 5


def write(folder, texts=CAPTIONS):
    stream = (
        records.Record(
            png(smooth_image(24, 24, number)), f"{number}.png", 24, 24, captions=each
        )
        for number, each in enumerate(texts)
    )
    records.write_shards(stream, str(folder), "train", 1, [])
    return str(folder), "train"


def numbered():
    return vocabulary.build([text for each in CAPTIONS for text in each], least=1)


class WordsTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.source = write(self.folder / "a")
        self.vocabulary = numbered()

    def rows(self, count, words, **options):
        plan = pipeline.Augmentation(crop=16)
        stream = pipeline.training_batches(
            [self.source], 3, plan, 7, words=words, **options
        )
        return [batch["words"].numpy() for batch in stream.take(count)]

    def test_rows_are_those_of_the_vocabulary(self):
        words = captions.Words(self.vocabulary, T)
        rows = np.concatenate(self.rows(12, words))
        self.assertEqual((rows.shape, rows.dtype), ((36, T), np.int32))
        texts = [text for each in CAPTIONS for text in each]
        known = {tuple(self.vocabulary.ids(text, T)) for text in texts}
        # Every caption comes, and nothing else.
        self.assertEqual({tuple(row) for row in rows}, known)

    def test_the_seed_fixes_them_and_a_run_goes_on(self):
        words = captions.Words(self.vocabulary, T)
        unbroken = self.rows(6, words)
        resumed = self.rows(2, words, start_step=4)
        for one, two in zip(unbroken[4:], resumed, strict=True):
            np.testing.assert_array_equal(one, two)

    def test_words_come_with_their_pictures(self):
        words = captions.Words(self.vocabulary, T)
        (batch,) = pipeline.evaluation_batches(self.source, 3, 24, words=words)
        for number, each in enumerate(CAPTIONS):
            np.testing.assert_array_equal(
                batch["image"][number], smooth_image(24, 24, number)
            )
            np.testing.assert_array_equal(
                batch["words"][number], self.vocabulary.ids(each[0], T)
            )

    def test_long_captions_lose_words_anywhere(self):
        words = captions.Words(self.vocabulary, T, drops=True)
        rows = {tuple(row) for each in self.rows(16, words) for row in each}
        whole = list(self.vocabulary.ids(CAPTIONS[0][2], 8))
        long = [row for row in rows if row[2] and set(row) <= set(whole) - {2}]
        self.assertGreater(len(long), 3)
        for row in long:
            places = [whole.index(number) for number in row]
            self.assertEqual(places, sorted(places))
        # Short ones are what they are without it.
        self.assertIn(tuple(self.vocabulary.ids("a dog runs", T)), rows)

    def test_records_without_captions(self):
        self.source = write(self.folder / "b", (("a dog",), ()))
        words = captions.Words(self.vocabulary, T, required=False)
        rows = {tuple(row) for each in self.rows(4, words) for row in each}
        self.assertEqual(
            rows, {(0,) * T, tuple(self.vocabulary.ids("a dog", T).tolist())}
        )
        with self.assertRaisesRegex(tf.errors.InvalidArgumentError, "no captions"):
            self.rows(4, captions.Words(self.vocabulary, T))

    def test_all_captions_of_records(self):
        texts = [text for each in CAPTIONS for text in each]
        self.assertEqual(captions.of_records([self.source]), texts)

    def test_refuses(self):
        with self.assertRaisesRegex(ValueError, "`length`"):
            captions.Words(self.vocabulary, 0)
