import json

import numpy as np

from tests.data.test_pipeline import png
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.data import records
from tfsemcomp.entropy import text
from tfsemcomp.models import captioner
from tfsemcomp.semantics import vocabulary

SENTENCES = ("A dog runs .", "a red dog sits", "Two dogs run on snow .", "A cat , wet")


def write_captions(folder, split, count):
    """Records of small pictures with two sentences each."""

    def make(seed):
        told = tuple(SENTENCES[(seed + k) % len(SENTENCES)] for k in range(2))
        image = png(smooth_image(40, 50, seed))
        return records.Record(image, f"{seed}.png", 40, 50, captions=told)

    records.write_shards(map(make, range(count)), str(folder), split, 2)
    return f"{folder}:{split}"


class CaptionRecipesTest(SemCompTestCase):
    def test_tables_are_built_and_a_captioner_is_trained_with_their_words(self):
        train = write_captions(self.folder / "records", "train", 16)
        test = write_captions(self.folder / "records", "test", 4)
        output = self.run_recipe_test(
            "recipes/benchmark_text.py",
            f"--data={train}",
            f"--held_out={test}",
            "--out=text",
            "--smoke",
        )
        out = self.folder / "text" / "smoke"
        result = json.loads((out / "text_coding.json").read_text(encoding="utf-8"))
        model = text.load(out / text.FILE_NAME)
        words = vocabulary.load(out / vocabulary.FILE_NAME)
        self.assertEqual(model.words, words.words)
        coded = result["coding"]["bytes"]
        # The eight held-out captions are twice the four sentences.
        sizes = [len(text.encode(sentence, model)) for sentence in SENTENCES]
        self.assertAlmostEqual(coded["ours"]["mean"], np.mean(sizes))
        self.assertEqual(coded["ours"]["most"], max(sizes))
        self.assertEqual(coded["UTF-8"]["most"], max(map(len, SENTENCES)))
        for name, one in coded.items():
            self.assertLessEqual(coded["ours"]["mean"], one["mean"])
            self.assertIn(f"| {name} | {one['mean']:.1f} |", output)
        for name in ("Brotli", "Zstandard + dictionary", "DEFLATE + dictionary"):
            self.assertIn(name, coded)
        facts = result["coding"]["captions"]
        self.assertEqual(facts["training captions"], 32)
        self.assertEqual(facts["held-out captions"], 8)
        self.assertGreater(result["times"]["ms to encode one"], 0)

        self.run_recipe_test(
            "recipes/train_captioner.py",
            f"--data={train}",
            f"--validation={test}",
            f"--vocabulary={out / vocabulary.FILE_NAME}",
            "--out=run",
            "--smoke",
        )
        run = json.loads((self.folder / "run" / "run.json").read_text())
        self.assertEqual(run["flags"]["size"], "tiny")
        self.assertTrue(np.isfinite(run["validation"]["entropy"]))
        trained = captioner.load_run(str(self.folder / "run"))
        self.assertEqual(trained.vocabulary, len(words))
        self.assertEqual(trained.size.resolution, run["flags"]["crop"])
        again = vocabulary.load(self.folder / "run" / vocabulary.FILE_NAME)
        self.assertEqual(again, words)
