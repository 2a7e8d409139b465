import json
import os

import numpy as np

import tfsemcomp
from tests.data.test_pipeline import png
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.data import records
from tfsemcomp.entropy import context_mixing
from tfsemcomp.models import conceptual
from tfsemcomp.semantics import edges


class ConceptualRecipesTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.pictures = [smooth_image(70, 80, seed) for seed in range(4)]
        stream = (
            records.Record(
                png(picture),
                f"{number}.png",
                70,
                80,
                edges=png(edges.extract(picture) * 255),
            )
            for number, picture in enumerate(self.pictures)
        )
        folder = str(self.folder / "records")
        records.write_shards(stream, folder, "train", 1, [])
        self.source = f"{folder}:train"

    def train(self, name, *flags):
        """Runs the training; returns its run.json and its model."""
        out = self.folder / name
        self.run_recipe_test(
            "recipes/train_conceptual.py",
            f"--data={self.source}",
            f"--validation={self.source}",
            f"--out={out}",
            *flags,
        )
        run = json.loads((out / "run.json").read_text())
        self.assertTrue(np.isfinite(run["validation"]["loss"]))
        self.assertTrue(list((out / "logs" / "samples").iterdir()))
        return run, conceptual.load_run(str(out))

    def test_train_resume_export_and_code(self):
        run, model = self.train("first", "--smoke", "--weights=l1=5,latent=0")
        self.assertEqual(run["network"]["variant"], "hf_gan")
        self.assertEqual(model.size, conceptual.SIZES["tiny"])
        fresh = conceptual.Conceptual("tiny")
        self.assertFalse(np.array_equal(model.log_step, fresh.log_step))

        primed = self.folder / "primed.npz"
        planes = [edges.extract(picture) for picture in self.pictures]
        context_mixing.save(primed, context_mixing.prime(planes, 2))
        models = self.folder / "models"
        self.run_recipe_test(
            "recipes/export_conceptual.py",
            f"--run={self.folder / 'first'}",
            "--name=conceptual-test",
            f"--out={models}",
            f"--primed={primed}",
            "--structure=method=canny,sigma=1.5",
            "--terms=some photos=made here, free",
            "--default",
        )
        os.environ["TFSEMCOMP_MODELS"] = str(models)
        self.addCleanup(os.environ.pop, "TFSEMCOMP_MODELS")
        codec = tfsemcomp.load("conceptual-test")
        data = codec.compress(self.pictures[0])
        decoded = tfsemcomp.decompress(data)
        self.assertEqual(decoded.shape, self.pictures[0].shape)
        card = json.loads((models / "conceptual-test" / "card.json").read_text())
        self.assertEqual(
            card["latents"]["structure"], {"method": "canny", "sigma": 1.5}
        )
        files = {path.name for path in (models / "conceptual-test" / "1").iterdir()}
        self.assertLessEqual({"tables.npz", "primed.npz"}, files)

    def test_the_other_variant_goes_on_where_it_stopped(self):
        flags = [
            "--size=tiny",
            "--crop=64",
            "--validation_crop=64",
            "--batch=2",
            "--steps=4",
            "--steps_per_epoch=1",
            "--variant=unet",
            "--latent=kl",
            "--gan_mode=hinge",
            "--nz=5",
        ]
        run, model = self.train("run", *flags, "--max_steps=1")
        self.assertEqual(run["flags"]["steps"], 1)
        self.assertEqual(model.size.latents, 5)
        run, again = self.train("run", *flags, "--max_steps=2")
        self.assertEqual(run["flags"]["steps"], 2)
        self.assertEqual(again.gan_mode, "hinge")
        kernels = [m.generator.downs[0].kernel.numpy() for m in (model, again)]
        self.assertFalse(np.array_equal(*kernels))
