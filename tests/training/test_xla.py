"""What a TPU needs, as far as a CPU can tell; models' own tests compile their steps."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.data.test_pipeline import write_photos
from tests.harness import SemCompTestCase
from tests.training import networks
from tfsemcomp.data import pipeline

FOREIGN = {
    "python": lambda x: tf.numpy_function(lambda y: y, [x], tf.float32),
    "a custom call": lambda x: tf.linalg.qr(tf.reshape(x, [2, 2]))[0],
    "double precision": lambda x: tf.cast(tf.cast(x, tf.float64) + 1, tf.float32),
    "another generator": lambda x: x + tf.random.truncated_normal([4]),
}


class XlaTest(SemCompTestCase):
    @parameterized.parameters(*FOREIGN)
    def test_foreign_parts_are_found(self, name):
        with self.assertRaises(AssertionError):
            self.assert_xla_clean(FOREIGN[name], tf.ones([4]))

    def test_clean_parts_pass(self):
        self.assert_xla_clean(
            lambda x: tf.nn.relu(x) + tf.random.uniform([4]), tf.ones([4])
        )

    def test_fit_compiles_its_steps_to_the_same_losses(self):
        source = write_photos(self.folder, 4)
        losses = []
        for compiled in (False, True):
            tf.keras.utils.set_random_seed(1)
            model = networks.a_model(noise=False)
            model.jit_compile = compiled
            # A stream that is read again gives other batches.
            stream = pipeline.training_batches([source], 2, networks.PLAN, 1)
            history = model.fit(stream, steps_per_epoch=2, verbose=0).history
            losses.append([history[name][0] for name in ("loss", "bpp", "mse")])
        np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
