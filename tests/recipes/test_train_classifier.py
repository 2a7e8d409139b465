import json

import numpy as np

from tests.data.test_pipeline import write_photos
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.evaluation import observers

RECIPE = "recipes/train_classifier.py"


class TrainClassifierTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        folder, split = write_photos(self.folder / "records", 6)
        self.out = self.folder / "dogs"
        self.flags = (
            f"--data={folder}:{split}",
            f"--validation={folder}:{split}",
            f"--out={self.out}",
        )

    def test_two_steps_make_two_observers(self):
        flags = (*self.flags, "--size=tiny", "--crop=32", "--batch=3", "--epochs=1")
        self.run_recipe_test(RECIPE, *flags)
        run = json.loads((self.out / "run.json").read_text())
        self.assertEqual(run["flags"]["steps"], 2)
        self.assertEqual(run["flags"]["steps_per_epoch"], 2)
        # From scratch, the rate and Adam's epsilon are not the published ones.
        self.assertEqual(run["flags"]["epsilon"], 1e-7)
        self.assertTrue(np.isfinite(run["validation"]["loss"]))
        record = json.loads((self.out / "best.json").read_text())
        self.assertEqual(record["steps"], 2)
        picture = smooth_image(50, 70)
        shares = {}
        for name, which in (("dogs", "best"), ("dogs-last", "last")):
            observer = observers.load(f"folder:{self.out / which}", {"a.png": "a"})
            self.assertEqual((observer.name, observer.classes), (name, ("a", "b")))
            seen = observer.observe("a.png", picture, picture)
            self.assertEqual(seen[f"preserved@{name}"], 1)
            shares[which] = observer.classify([picture])
        # One validation: the last weights are the best.
        np.testing.assert_allclose(shares["best"], shares["last"], rtol=1e-5)

    def test_a_network_of_keras_as_published(self):
        self.run_recipe_test(
            RECIPE,
            *self.flags,
            *("--network=MobileNet", "--weights=none", "--preset=cub200"),
            *("--crop=32", "--batch=2", "--steps=2", "--name=birds"),
        )
        flags = json.loads((self.out / "run.json").read_text())["flags"]
        published = {"learning_rate": 1e-2, "weight_decay": 4e-4, "fall_epochs": 10}
        for name, value in {**published, "epsilon": 1.0, "fall": 0.94}.items():
            self.assertEqual(flags[name], value)
        self.assertEqual(observers.load(f"folder:{self.out / 'best'}").name, "birds")
        card = json.loads((self.out / "best" / "card.json").read_text())
        self.assertEqual((card["side"], card["network"]), (32, "MobileNet"))
