import dataclasses

import numpy as np
from absl import flags

from tests.data.test_captions import CAPTIONS, T, numbered, write
from tests.harness import SemCompTestCase
from tfsemcomp.data import captions
from tfsemcomp.training import captioned, recipe_flags


class CaptionedTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        source, values = ":".join(write(self.folder / "a")), flags.FlagValues()
        defined = recipe_flags.define(
            ("tiny",),
            size="tiny",
            crop=16,
            batch=3,
            steps=4,
            learning_rate=0.1,
            flag_values=values,
        )
        data = [f"--data={source}", f"--validation={source}"]
        values(["recipe", *data, f"--out={self.folder}"])
        self.run_flags, self.asked = defined.read(), 0

    def words(self):
        self.asked += 1
        return captions.Words(numbered(), T)

    def test_squares_come_with_captions(self):
        make = captioned.training_batches(self.run_flags, self.words)
        # Reading captions runs TensorFlow, which a strategy must be made before.
        self.assertEqual(self.asked, 0)
        first, second = make(0).take(2)
        self.assertEqual(first["image"].shape, (3, 16, 16, 3))
        self.assertEqual(first["words"].shape, (3, T))
        (resumed,) = make(1).take(1)
        for name, value in second.items():
            np.testing.assert_array_equal(resumed[name], value)

    def test_validation_has_first_captions(self):
        make = captioned.validation_batches(self.run_flags, self.words)
        self.assertEqual(self.asked, 0)
        (batch,) = make()
        rows = [numbered().ids(each[0], T) for each in CAPTIONS]
        np.testing.assert_array_equal(batch["words"], rows)
        without = dataclasses.replace(self.run_flags, validation=None)
        self.assertIsNone(captioned.validation_batches(without, self.words))
