import csv
import os

import numpy as np
import tensorflow as tf

from tests.data.test_pipeline import write_photos
from tests.harness import SemCompTestCase
from tfsemcomp.data import pipeline, records
from tfsemcomp.errors import BitstreamError, SemCompError
from tfsemcomp.layers.dropout import UniformDropout
from tfsemcomp.training import loop


def build(rate=0.01):
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Dense(8, activation="relu"),
            UniformDropout(0.5),
            tf.keras.layers.Dense(1),
        ]
    )
    model.build([None, 4])
    optimizer = tf.keras.optimizers.Adam(rate, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer=optimizer, loss="mse")
    return model


def batches(start, input_context=None):
    del input_context  # one replica gets the whole batch

    def example(number):
        x = tf.random.stateless_normal([8, 4], tf.stack([7, tf.cast(number, tf.int32)]))
        return x, tf.reduce_sum(x, axis=1, keepdims=True)

    return tf.data.Dataset.range(start, 10**6).map(example)


class LoopTest(SemCompTestCase):
    def config(self, name, steps, **kwargs):
        out = str(self.folder / name)
        return loop.FitConfig(out, steps, 5, tensorboard=False, **kwargs)

    def test_a_run_in_pieces_equals_an_unbroken_one(self):
        whole = loop.fit(build, batches, self.config("whole", 20))
        loop.fit(build, batches, self.config("pieces", 10))
        resumed = loop.fit(build, batches, self.config("pieces", 20))
        self.assertEqual(int(resumed.optimizer.iterations), 20)
        for one, two in zip(whole.weights, resumed.weights, strict=True):
            np.testing.assert_array_equal(one, two)

    def test_a_finished_run_is_not_trained_again(self):
        first = loop.fit(build, batches, self.config("run", 10))
        again = loop.fit(build, batches, self.config("run", 10))
        for one, two in zip(first.weights, again.weights, strict=True):
            np.testing.assert_array_equal(one, two)

    def test_nan_stops_and_goes_back_to_the_last_checkpoint(self):
        def poisoned(start, input_context=None):
            def spoil(number, example):
                bad = tf.where(number + start >= 12, float("nan"), 1.0)
                return example[0], example[1] * bad

            return batches(start).enumerate().map(spoil)

        good = loop.fit(build, batches, self.config("good", 10))
        with self.assertRaisesRegex(SemCompError, "not finite near step 1[23]"):
            loop.fit(build, poisoned, self.config("bad", 20))
        resumed = loop.fit(build, poisoned, self.config("bad", 10))
        for one, two in zip(good.weights, resumed.weights, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)

        rows = self.history("bad")
        self.assertEqual([row["step"] for row in rows], ["5", "10"])

    def history(self, name):
        with open(self.folder / name / "history.csv", newline="") as file:
            return list(csv.DictReader(file))

    def test_history_has_a_row_a_piece_whatever_is_measured(self):
        validation = lambda: batches(10**5).take(2)  # noqa: E731
        loop.fit(build, batches, self.config("run", 10), validation)
        first = self.history("run")
        measured = loop.fit(build, batches, self.config("run", 15))
        rows = self.history("run")
        self.assertEqual(rows[:2], first)
        self.assertEqual([row["piece"] for row in rows], ["1", "2", "3"])
        self.assertEqual([row["step"] for row in rows], ["5", "10", "15"])
        self.assertEqual([bool(row["val_loss"]) for row in rows], [True, True, False])
        # Averaged weights, which the last validation did not see.
        self.assertEqual(loop.measure(measured, None), {})
        result = loop.measure(measured, validation)
        self.assertEqual(list(result), ["loss"])
        expected = measured.evaluate(validation(), verbose=0)
        self.assertEqual(result["loss"], expected)

    def test_pieces_of_another_length_are_refused(self):
        loop.fit(build, batches, self.config("run", 10))
        config = loop.FitConfig(str(self.folder / "run"), 40, 20, tensorboard=False)
        with self.assertRaisesRegex(SemCompError, "10 steps in 2 pieces.*= 20"):
            loop.fit(build, batches, config)

    def test_a_damaged_record_is_named(self):
        source = write_photos(self.folder / "records", 6)
        path = records.shard_paths(*source)[1]
        with open(path, "r+b") as file:
            file.seek(os.path.getsize(path) - 40)
            file.write(b"damaged")

        def damaged(step, skip_corrupt=False):
            stream = pipeline.training_batches(
                [source],
                2,
                pipeline.Augmentation(crop=8),
                1,
                start_step=step,
                skip_corrupt=skip_corrupt,
            )
            return stream.map(
                lambda batch: (
                    tf.reduce_mean(tf.cast(batch["image"], tf.float32), [1, 2]),
                    tf.cast(batch["label"], tf.float32),
                )
            )

        def means():
            model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
            model.build([None, 3])
            model.compile(tf.keras.optimizers.SGD(1e-6), "mse")
            return model

        with self.assertRaisesRegex(BitstreamError, rf"{path}.*\d.*skip_corrupt"):
            loop.fit(means, damaged, self.config("run", 5), sources=[source])
        model = loop.fit(means, lambda step: damaged(step, True), self.config("run", 5))
        self.assertEqual(int(model.optimizer.iterations), 5)

    def test_precision_is_set_for_the_run_only(self):
        model = loop.fit(
            build, batches, self.config("half", 5, precision="mixed_bfloat16")
        )
        self.assertEqual(model.layers[0].compute_dtype, "bfloat16")
        self.assertEqual(tf.keras.mixed_precision.global_policy().name, "float32")

    def test_mirrored_strategy_trains(self):
        model = loop.fit(build, batches, self.config("m", 5, strategy="mirrored"))
        self.assertTrue(all(np.isfinite(w).all() for w in model.get_weights()))

    def test_wrong_arguments(self):
        for change in ({"strategy": "x"}, {"precision": "x"}):
            with self.assertRaises(ValueError):
                self.config("x", 5, **change)
        with self.assertRaisesRegex(ValueError, "`steps`"):
            self.config("x", 0)
