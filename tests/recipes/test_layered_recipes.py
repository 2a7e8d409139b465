import json
import os

import numpy as np

import tfsemcomp
from tests.data.test_pipeline import png
from tests.harness import SemCompTestCase, smooth_image
from tests.models import text_to_image_models
from tfsemcomp.data import records
from tfsemcomp.models import hyperprior, runs, structure_generator
from tfsemcomp.models.captioner import Captioner
from tfsemcomp.models.damsm import TextSize
from tfsemcomp.models.text_to_image import TextToImage
from tfsemcomp.semantics import edges, vocabulary

CAPTIONS = ("A dog runs over grass.", "A cat sits on a chair.")


class LayeredRecipesTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.pictures = [smooth_image(70, 80, seed) for seed in range(4)]
        # The last picture has no caption.
        stream = (
            records.Record(
                png(picture),
                f"{number}.png",
                70,
                80,
                captions=CAPTIONS[: max(3 - number, 0)],
                edges=png(edges.extract(picture) * 255),
            )
            for number, picture in enumerate(self.pictures)
        )
        folder = str(self.folder / "records")
        records.write_shards(stream, folder, "train", 1, [])
        self.source = f"{folder}:train"
        self.words = vocabulary.build(CAPTIONS * 2)
        vocabulary.save(self.folder / "vocabulary.json", self.words)

    def train(self, name, *flags):
        """Runs the training; returns its run.json."""
        out = self.folder / name
        self.run_recipe_test(
            "recipes/train_layered.py",
            f"--data={self.source}",
            f"--validation={self.source}",
            f"--out={out}",
            f"--vocabulary={self.folder / 'vocabulary.json'}",
            *flags,
        )
        run = json.loads((out / "run.json").read_text())
        self.assertTrue(np.isfinite(run["validation"]["loss"]))
        self.assertTrue(list((out / "logs" / "samples").iterdir()))
        return run

    def save_layer_1(self):
        """Runs of untrained networks of the same words."""
        count = len(self.words)
        text_size = TextSize(count, 6, 6, 8)
        models = {
            "captioner": Captioner("tiny", count),
            "painter": TextToImage(text_to_image_models.SIZE, text_size),
        }
        for name, model in models.items():
            model.create_weights()
            runs.save(model, str(self.folder / name), {})

    def test_train_export_and_code(self):
        run = self.train("structure", "--phase=structure", "--smoke")
        self.assertEqual(run["network"]["vocabulary"], len(self.words))
        size = structure_generator.SIZES["tiny"]
        loaded = structure_generator.load_run(str(self.folder / "structure"))
        self.assertEqual(loaded.size, size)

        run = self.train(
            "signal",
            "--phase=signal",
            f"--structure={self.folder / 'structure'}",
            "--size=tiny-dct",
            "--crop=64",
            "--validation_crop=64",
            "--batch=2",
            "--steps=1",
            "--lmbda=.01,.1",
        )
        self.assertEqual(run["network"]["condition"], "v2")
        signal = hyperprior.load_run(str(self.folder / "signal"))
        self.assertEqual(signal.lmbdas, (0.01, 0.1))

        self.save_layer_1()
        models = self.folder / "models"
        self.run_recipe_test(
            "recipes/export_layered.py",
            f"--run={self.folder / 'signal'}",
            f"--structure={self.folder / 'structure'}",
            f"--captioner={self.folder / 'captioner'}",
            f"--text_to_image={self.folder / 'painter'}",
            f"--vocabulary={self.folder / 'vocabulary.json'}",
            f"--captions={self.source}",
            "--edges=method=canny,sigma=1.5,scale=2",
            "--words=7",
            "--name=layered-test",
            f"--out={models}",
            "--default",
        )
        card = json.loads((models / "layered-test" / "card.json").read_text())
        facts = card["layered"]
        self.assertEqual(
            facts["structure"], {"method": "canny", "sigma": 1.5, "scale": 2}
        )
        self.assertEqual((facts["words"], facts["version"]), (7, "v2"))
        os.environ["TFSEMCOMP_MODELS"] = str(models)
        self.addCleanup(os.environ.pop, "TFSEMCOMP_MODELS")
        codec = tfsemcomp.load("layered-test")
        data = codec.compress(self.pictures[0], caption="A dog sits.")
        decoded = tfsemcomp.decompress(data)
        self.assertEqual(decoded.shape, self.pictures[0].shape)
