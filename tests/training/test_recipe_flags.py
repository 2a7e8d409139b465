import json
import math

from absl import flags
from absl.testing import parameterized

from tests.data.test_pipeline import write_photos
from tests.harness import SemCompTestCase
from tfsemcomp.data import pipeline
from tfsemcomp.training import recipe_flags

DEFAULTS = {"size": "small", "crop": 64, "batch": 8, "steps": 40, "learning_rate": 0.1}


class RecipeFlagsTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.source = write_photos(self.folder / "records", 5)

    def read(self, *given):
        data, values = ":".join(self.source), flags.FlagValues()
        defined = recipe_flags.define(
            ("tiny", "small"),
            **DEFAULTS,
            smoke_crop=16,
            flag_values=values,
        )
        flags.DEFINE_float("own", 0.5, "Of the recipe.", flag_values=values)
        values(["recipe", f"--data={data}", f"--out={self.folder}", *given])
        return defined.read(), defined.values()

    def test_as_given(self):
        run, values = self.read()
        self.assertEqual(run.sources, (self.source,))
        for name, value in DEFAULTS.items():
            self.assertEqual(getattr(run, name), value)
            self.assertEqual(values[name], value)
        self.assertEqual((run.stop, run.validation, run.smoke), (40, None, False))
        self.assertIsNone(run.validation_batches())
        self.assertEqual(run.records, [self.source])

    def test_smoke_shrinks_everything(self):
        run, values = self.read("--smoke", "--size=small", "--steps=9", "--crop=999")
        expected = {"size": "tiny", "crop": 16, "batch": 2, "steps": 2}
        for name, value in expected.items():
            self.assertEqual(getattr(run, name), value)
            self.assertEqual(values[name], value)
        self.assertEqual((run.stop, run.fit_config().piece), (2, 2))

    @parameterized.parameters(
        ((), 40, 10),
        (("--max_steps=100",), 40, 10),
        (("--max_steps=40",), 40, 10),
        (("--max_steps=39",), 30, 10),
        (("--max_steps=10",), 10, 10),
        (("--max_steps=3",), 3, 3),
        (("--max_steps=1", "--smoke"), 1, 1),
    )
    def test_max_steps_stops_at_a_whole_piece(self, given, stop, piece):
        run, values = self.read("--steps_per_epoch=10", *given)
        self.assertEqual(run.steps, 2 if "--smoke" in given else 40)
        self.assertEqual((run.stop, values["steps"]), (stop, stop))
        config = run.fit_config()
        self.assertEqual((config.steps, config.piece), (stop, piece))

    @parameterized.parameters(
        (("--batch=32",), 0.1),
        (("--batch=32", "--lr_scaling=linear"), 0.4),
        (("--batch=32", "--lr_scaling=sqrt"), 0.2),
        (("--batch=2", "--lr_scaling=linear"), 0.025),
        (("--batch=32", "--base_batch=16", "--lr_scaling=linear"), 0.2),
        (("--batch=32", "--base_batch=16"), 0.1),
    )
    def test_the_rate_follows_the_batch_when_asked(self, given, rate):
        run, _ = self.read(*given)
        self.assertTrue(math.isclose(run.learning_rate, rate))

    def test_batches_of_training_and_validation(self):
        data = ":".join(self.source)
        run, _ = self.read("--batch=3", "--crop=16", f"--validation={data}")
        batch = next(iter(run.batches(pipeline.Augmentation(crop=16))(0)))
        self.assertEqual(batch["image"].shape, (3, 16, 16, 3))
        sizes = [len(batch["image"]) for batch in run.validation_batches(4)()]
        self.assertEqual(sizes, [4, 1])
        self.assertEqual(run.records, [self.source, self.source])

    def test_wrong_names_of_records(self):
        with self.assertRaisesRegex(ValueError, "folder:split"):
            self.read("--validation=nowhere")

    def test_values_are_those_of_the_recipe(self):
        _, values = self.read("--own=2", "--seed=3")
        self.assertEqual((values["own"], values["seed"]), (2.0, 3))
        self.assertEqual(values["data"], [":".join(self.source)])
        json.dumps(values)
