"""The best weights stay, whatever comes after, and across runs."""

import json
import types

import numpy as np
import tensorflow as tf

from tests.harness import SemCompTestCase
from tfsemcomp.training.best import RECORD, WEIGHTS, BestWeights


class BestWeightsTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.network = tf.keras.Sequential([tf.keras.layers.Dense(1)])
        self.network.build([None, 2])
        self.out = self.folder / "run"

    def validate(self, value, steps, callback=None):
        """A validation that gives `value`, with weights that tell the step."""
        callback = callback or BestWeights(str(self.out), "top1")
        callback.set_model(
            types.SimpleNamespace(
                network=self.network,
                optimizer=types.SimpleNamespace(iterations=tf.Variable(steps)),
                distribute_strategy=tf.distribute.get_strategy(),
            )
        )
        for weight in self.network.weights:
            weight.assign(tf.fill(weight.shape, float(steps)))
        callback.on_test_end({"top1": np.float32(value), "loss": 1.0})
        return callback

    def kept(self):
        self.network.load_weights(self.out / WEIGHTS)
        return float(self.network.weights[0][0, 0])

    def test_only_better_ones_replace(self):
        callback = None
        for value, steps, best in ((0.5, 1, 1), (0.4, 2, 1), (0.7, 3, 3), (0.7, 4, 3)):
            callback = self.validate(value, steps, callback)
            self.assertEqual(self.kept(), best)
        record = json.loads((self.out / RECORD).read_text())
        self.assertEqual(record["steps"], 3)
        self.assertAlmostEqual(record["top1"], 0.7, places=6)
        self.assertEqual(record["loss"], 1)

    def test_a_later_run_knows_the_best(self):
        self.validate(0.5, 1)
        self.validate(0.4, 2)
        self.assertEqual(self.kept(), 1)
        self.validate(0.6, 3)
        self.assertEqual(self.kept(), 3)

    def test_other_evaluations_do_not_count(self):
        callback = self.validate(0.5, 1)
        callback.on_test_end({"loss": 2.0})
        callback.on_test_end({"top1": float("nan")})
        self.assertEqual(self.kept(), 1)
