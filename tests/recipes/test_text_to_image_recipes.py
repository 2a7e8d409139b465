import json

import numpy as np

from tests.data.test_pipeline import png
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.data import records
from tfsemcomp.models import damsm, text_to_image
from tfsemcomp.semantics import vocabulary

CAPTIONS = (
    "A red disc on blue .",
    "the blue disc",
    "a disc and red stripes",
    "stripes",
)


class TextToImageRecipesTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        stream = (
            records.Record(
                png(smooth_image(40, 44, number)),
                f"{number}.png",
                40,
                44,
                captions=(text, CAPTIONS[0]),
            )
            for number, text in enumerate(CAPTIONS)
        )
        folder = str(self.folder / "records")
        records.write_shards(stream, folder, "train", 1, [])
        self.source = f"{folder}:train"

    def train(self, recipe, name, *flags):
        """Runs a recipe; returns its folder and its run.json."""
        out = self.folder / name
        self.run_recipe_test(
            f"recipes/{recipe}.py",
            f"--data={self.source}",
            f"--validation={self.source}",
            f"--out={out}",
            *flags,
        )
        run = json.loads((out / "run.json").read_text())
        self.assertTrue(np.isfinite(run["validation"]["loss"]))
        return out, run

    def test_encoders_then_pictures(self):
        known = vocabulary.build(CAPTIONS, least=1)
        vocabulary.save(self.folder / "words.json", known)
        tiny = ["--size=tiny", "--crop=32", "--batch=2", "--steps=1"]
        first, run = self.train(
            "train_damsm",
            "damsm",
            *tiny,
            f"--vocabulary={self.folder / 'words.json'}",
            "--words=5",
        )
        encoders = damsm.load_run(str(first))
        self.assertEqual(run["network"]["vocabulary"], len(known))
        self.assertEqual(encoders.text_size.words, 5)
        second, run = self.train(
            "train_text_to_image",
            "drawing",
            *tiny,
            f"--damsm={first}",
            "--weights=layout=2,words=1",
        )
        model = text_to_image.load_run(str(second))
        self.assertEqual((model.words, model.size.resolution), (5, 32))
        for mine, theirs in zip(model.text.weights, encoders.text.weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        self.assertEqual(vocabulary.load(second / vocabulary.FILE_NAME), known)
        found = json.loads((second / "r_precision.json").read_text())
        self.assertEqual((found["candidates"], found["pictures"]), (4, 4))
        self.assertTrue(list((second / "logs" / "samples").iterdir()))
        self.assertEqual(run["flags"]["weights"], ["layout=2", "words=1"])

    def test_pictures_without_encoders_in_a_smoke_test(self):
        out, run = self.train("train_text_to_image", "smoke", "--smoke")
        self.assertEqual(run["flags"]["crop"], 32)
        model = text_to_image.load_run(str(out))
        self.assertEqual(model.size, text_to_image.SIZES["tiny"])
        self.assertEqual(model.text_size.words, 18)
