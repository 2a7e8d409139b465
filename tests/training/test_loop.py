import numpy as np
import tensorflow as tf

from tests.harness import SemCompTestCase
from tfsemcomp.errors import SemCompError
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
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)

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
