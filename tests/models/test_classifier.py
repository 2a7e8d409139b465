"""Classifiers: shapes, what decays, what weights files do, and clean steps."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase, noise_image
from tests.metrics.networks import weights_file, without
from tfsemcomp.errors import BitstreamError, SemCompError
from tfsemcomp.models import classifier
from tfsemcomp.models.classifier import ClassifierTrainer


def batch(side=32):
    pictures = np.stack([noise_image(side, side, seed) for seed in range(4)])
    return {
        "image": tf.constant(pictures),
        "label": tf.constant([0, 1, 2, 1], tf.int64),
    }


class NetworkTest(SemCompTestCase):
    def test_our_own(self):
        for size in (16, 40):
            network = classifier.residual(7, "tiny")
            logits = network(tf.zeros([2, size, size, 3]))
            self.assertEqual((logits.shape, logits.dtype), ((2, 7), tf.float32))
        with self.assertRaisesRegex(ValueError, "`size` must be one of"):
            classifier.residual(7, "huge")

    def test_keras_networks_get_pixels_scaled_their_own_way(self):
        tf.keras.utils.set_random_seed(1)
        network = classifier.fine_tuned("MobileNet", 5, 32, "none")
        self.assertTrue(all(layer.trainable for layer in network.layers))
        pixels = batch()["image"]
        found = network(tf.cast(pixels, tf.float32), training=False)
        trunk = next(x for x in network.layers if isinstance(x, tf.keras.Model))
        features = trunk(tf.cast(pixels, tf.float32) / 127.5 - 1, training=False)
        head = network.get_layer("logits")
        expected = head(tf.reduce_mean(features, axis=(1, 2)))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    def test_vgg_has_its_own_head(self):
        network = classifier.fine_tuned("VGG16", 5, 32, "none")
        shapes = {
            name: tuple(network.get_layer(name).kernel.shape)
            for name in ("fc6", "fc7", "fc8")
        }
        self.assertEqual(
            shapes, {"fc6": (512, 4096), "fc7": (4096, 4096), "fc8": (4096, 5)}
        )

    def test_momentum_of_normalisations(self):
        network = classifier.fine_tuned("MobileNet", 5, 32, "none", momentum=0.9997)
        trunk = next(x for x in network.layers if isinstance(x, tf.keras.Model))
        kind = tf.keras.layers.BatchNormalization
        found = {x.momentum for x in trunk.layers if isinstance(x, kind)}
        self.assertEqual(found, {0.9997})

    def test_weights_of_an_npz(self):
        whole = weights_file("MobileNet")
        drop = ("conv_pw_13", "conv_pw_13_bn")
        part = without(whole, drop, self.folder / "part.npz")
        for path, logged in ((whole, False), (part, True)):
            with self.assertLogs(level="WARNING") as logs:
                classifier.logging.warning("a line, for there may be none")
                network = classifier.fine_tuned("MobileNet", 5, 32, path)
            told = [line for line in logs.output if "start at random" in line]
            self.assertEqual(bool(told), logged)
            self.assertTrue(not told or all(name in told[0] for name in drop))
            trunk = next(x for x in network.layers if isinstance(x, tf.keras.Model))
            with np.load(whole) as arrays:
                expected = arrays["conv_pw_5/kernel"]
                last = arrays["conv_pw_13/kernel"]
            np.testing.assert_array_equal(trunk.get_layer("conv_pw_5").kernel, expected)
            same = np.array_equal(trunk.get_layer("conv_pw_13").kernel, last)
            self.assertEqual(same, not logged)

    def test_weights_of_keras(self):
        tf.keras.utils.set_random_seed(2)
        other = tf.keras.applications.MobileNet(
            include_top=False, weights=None, input_shape=(32, 32, 3)
        )
        path = str(self.folder / "some.weights.h5")
        other.save_weights(path)
        network = classifier.fine_tuned("MobileNet", 5, 32, path)
        trunk = next(x for x in network.layers if isinstance(x, tf.keras.Model))
        for mine, theirs in zip(trunk.weights, other.weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)

    def test_weights_that_are_none(self):
        (self.folder / "text.h5").write_text("text")
        np.savez(self.folder / "other.npz", **{"conv1/kernel": np.zeros(3)})
        for name, kind in (
            ("missing.npz", SemCompError),
            ("missing.h5", SemCompError),
            ("text.h5", SemCompError),
            ("other.npz", BitstreamError),
        ):
            with self.subTest(name), self.assertRaisesRegex(kind, name):
                classifier.fine_tuned("MobileNet", 5, 32, str(self.folder / name))
        with self.assertRaisesRegex(ValueError, "no network named 'Nope'"):
            classifier.fine_tuned("Nope", 5, 32, "none")


class TrainerTest(SemCompTestCase):
    def trainer(self, decay=0.1):
        tf.keras.utils.set_random_seed(3)
        trainer = ClassifierTrainer(classifier.residual(3, "tiny"), decay)
        trainer.compile(tf.keras.optimizers.Adam(1e-2, epsilon=1.0))
        return trainer

    def test_the_loss_by_hand(self):
        trainer, data = self.trainer(), batch()
        found = trainer.test_step(data)
        logits = trainer.network(tf.cast(data["image"], tf.float32), training=False)
        entropy = tf.keras.losses.sparse_categorical_crossentropy(
            data["label"], logits, from_logits=True
        )
        kernels = [w for w in trainer.network.trainable_weights if w.shape.rank > 1]
        squares = sum(float(tf.reduce_sum(w**2)) for w in kernels) / 2
        self.assertAlmostEqual(
            float(found["cross_entropy"]), float(np.mean(entropy)), places=5
        )
        expected = float(np.mean(entropy)) + 0.1 * squares
        self.assertAlmostEqual(float(found["loss"]), expected, places=3)

    def test_what_decays(self):
        network = classifier.fine_tuned("MobileNet", 5, 32, "none")
        names = [w.name for w in ClassifierTrainer(network, 1.0).decaying()]
        self.assertNotEmpty(names)
        for name in names:
            self.assertEndsWith(name, "/kernel:0")
            self.assertNotIn("depthwise", name)

    def test_learns(self):
        trainer, data = self.trainer(decay=0.0), batch()
        trainer.compile(tf.keras.optimizers.Adam(1e-2))
        step = tf.function(trainer.train_step)
        first = float(step(data)["cross_entropy"])
        for _ in range(20):
            trainer.reset_metrics()
            last = step(data)
        self.assertLess(float(last["cross_entropy"]), first / 2)
        self.assertEqual(float(last["top1"]), 1)

    @parameterized.parameters("residual", "MobileNet")
    def test_the_step_is_xla_clean(self, kind):
        trainer = self.trainer()
        if kind != "residual":
            network = classifier.fine_tuned(kind, 3, 32, "none", 0.2)
            trainer = ClassifierTrainer(network, 0.1)
            trainer.compile(tf.keras.optimizers.Adam(1e-2, epsilon=1.0))
        trainer.optimizer.build(trainer.trainable_variables)
        self.assert_xla_clean(trainer.train_step, batch())
