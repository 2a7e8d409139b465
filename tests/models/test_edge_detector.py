import math

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase, smooth_image
from tests.metrics.networks import weights_file
from tfsemcomp.models import edge_detector, runs
from tfsemcomp.models.edge_detector import EdgeDetector, EdgeSize
from tfsemcomp.semantics import edges
from tfsemcomp.serving import export, manifest
from tfsemcomp.serving.runner import LocalRunner


def a_model(size="tiny", **options):
    tf.keras.utils.set_random_seed(1)
    model = EdgeDetector(size, **options)
    model.create_weights()
    return model


def compiled(model, rate=2e-2):
    model.compile(tf.keras.optimizers.Adam(rate))
    model.optimizer.build(model.trainable_variables)
    return model


def a_batch(count=2, side=32):
    image = np.stack([smooth_image(side, side, seed) for seed in range(count)])
    drawn = [255 * edges.extract(picture, "sobel", threshold=0.2) for picture in image]
    return {
        "image": tf.constant(image),
        "planes": tf.constant(np.stack(drawn)[..., None]),
    }


class EdgeDetectorTest(SemCompTestCase):
    @parameterized.parameters(("paper", 14.80), ("small", 0.75), ("tiny", 0.003))
    def test_parameters(self, size, millions):
        model = a_model(size)
        self.assertAlmostEqual(model.count_params() / 1e6, millions, delta=0.005)

    def test_small_fits_into_four_megabytes(self):
        self.assertLess(4 * a_model("small").count_params(), 3.1e6)

    def test_the_papers_trunk_is_vgg16_with_a_dilated_last_stage(self):
        trunk = a_model("paper").trunk
        network = tf.keras.applications.VGG16(include_top=False, weights=None)
        for layer in network.layers:
            if layer.weights:
                mine = [weight.shape for weight in trunk.get_layer(layer.name).weights]
                self.assertEqual(mine, [weight.shape for weight in layer.weights])
        sizes = [found.shape[1] for found in trunk(tf.zeros([1, 64, 64, 3]))]
        self.assertEqual(sizes, [64, 32, 16, 8, 8])

    @parameterized.product(size=("tiny", "small"), shape=((1, 1), (17, 33), (40, 24)))
    def test_any_size(self, size, shape):
        image = tf.constant(smooth_image(*shape)[None], tf.float32)
        model = a_model(size)
        stages = len(model.size.widths)
        for training in (False, True):
            found = model(image, training=training)
            self.assertEqual(tuple(found.shape), (1, *shape, 1 + stages))
            self.assertEqual(found.dtype, tf.float32)
        strength = model.strength(image)
        self.assertEqual(tuple(strength.shape), (1, *shape))
        self.assertBetween(float(tf.reduce_min(strength)), 0, 1)

    def test_fusion_begins_as_the_mean_of_the_sides(self):
        found = a_model()(tf.constant(smooth_image(24, 24)[None], tf.float32))
        mean = tf.reduce_mean(found[..., 1:], axis=-1)
        np.testing.assert_allclose(found[..., 0], mean, atol=1e-5)

    @parameterized.parameters(
        ("tiny", (40, 28)), ("tiny", (17, 33)), ("paper", (16, 24))
    )
    def test_sides_are_enlarged_as_tensorflow_resizes(self, size, shape):
        model = a_model(size)
        image = tf.constant(smooth_image(*shape)[None], tf.float32)
        found, stages = model(image), model.trunk(image)
        parts = zip(model.sides, stages, strict=True)
        for number, (side, features) in enumerate(parts, start=1):
            logits = side(features)
            # Whole features: what lies beyond the picture is cut off.
            scale = {0: 1, 1: 2, 2: 4, 3: 8, 4: 8}[number - 1]
            whole = [scale * length for length in logits.shape[1:3]]
            expected = tf.image.resize(logits, whole)[0, : shape[0], : shape[1], 0]
            np.testing.assert_allclose(found[0, ..., number], expected, atol=1e-4)

    def test_learns_one_batch_by_heart(self):
        model, batch = compiled(a_model()), a_batch()
        step = tf.function(model.train_step)
        first = float(step(batch)["loss"])
        for _ in range(80):
            model.reset_metrics()
            last = step(batch)
        self.assertLess(float(last["loss"]), 0.5 * first)
        self.assertGreater(float(last["recall"]), 0.9)

    def test_the_step_is_xla_clean(self):
        model = compiled(a_model())
        self.assert_xla_clean(model.train_step, a_batch())

    def test_a_test_step_changes_nothing(self):
        model, batch = compiled(a_model()), a_batch()
        before = [weight.numpy() for weight in model.trunk.weights]
        first = model.test_step(batch)["loss"]
        model.reset_metrics()
        self.assertEqual(float(model.test_step(batch)["loss"]), float(first))
        for weight, value in zip(model.trunk.weights, before, strict=True):
            np.testing.assert_array_equal(weight, value)

    def test_a_run_is_loaded_as_it_was_saved(self):
        model = compiled(a_model(positive=0.4))
        model.train_step(a_batch())
        runs.save(model, str(self.folder), {})
        again = edge_detector.load_run(str(self.folder))
        self.assertEqual(again.get_config(), model.get_config())
        image = tf.constant(smooth_image(20, 30)[None], tf.float32)
        np.testing.assert_array_equal(again.strength(image), model.strength(image))

    def test_exported_it_finds_edges(self):
        model, batch = compiled(a_model()), a_batch()
        step = tf.function(model.train_step)
        for _ in range(60):
            step(batch)
        path = export.export(edge_detector.signatures(model), self.folder / "m")
        runner = LocalRunner(manifest.find(path))
        image = batch["image"][0].numpy()
        found = edges.strength(image, "learned", model=runner)
        expected = model.strength(tf.cast(batch["image"][:1], tf.float32))[0]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        lines = edges.extract(image, "learned", model=path)
        self.assertBetween(lines.sum(), 1, lines.size / 4)
        self.assertGreaterEqual(found[lines == 1].min(), 0.5)

    def test_refuses(self):
        with self.assertRaisesRegex(ValueError, "`size`"):
            EdgeDetector("huge")
        with self.assertRaisesRegex(ValueError, "`positive`"):
            EdgeDetector("tiny", positive=1)
        with self.assertRaisesRegex(ValueError, "for each stage"):
            EdgeSize((8, 8), (1,), 4)
        with self.assertRaisesRegex(ValueError, "no other size than 'paper'"):
            a_model().take_trunk("imagenet")

    def test_the_papers_trunk_takes_vgg16s_weights(self):
        model = a_model("paper")
        model.take_trunk(weights_file("VGG16"))
        with np.load(weights_file("VGG16")) as arrays:
            for name in ("block1_conv1", "block5_conv3"):
                kernel, bias = model.trunk.get_layer(name).get_weights()
                np.testing.assert_array_equal(kernel, arrays[f"{name}/kernel"])
                np.testing.assert_array_equal(bias, arrays[f"{name}/bias"])


class BalancedCrossEntropyTest(SemCompTestCase):
    def test_is_its_formula(self):
        rng = np.random.default_rng(1)
        logits = rng.normal(size=(2, 5, 6, 3)).astype(np.float32)
        drawn = rng.choice([0, 0.2, 0.3, 0.6, 1], (2, 5, 6), p=[0.6] + [0.1] * 4)
        expected = np.zeros(3)
        for picture in range(2):
            edge, none = drawn[picture] > 0.3, drawn[picture] == 0
            share = edge.sum() / (edge.sum() + none.sum())
            for i, j in np.ndindex(5, 6):
                p = 1 / (1 + np.exp(-logits[picture, i, j].astype(float)))
                if edge[i, j]:
                    expected -= (1 - share) * np.log(p)
                elif none[i, j]:
                    expected -= 1.1 * share * np.log(1 - p)
        drawn = tf.constant(drawn, tf.float32)
        found = edge_detector.balanced_cross_entropy(tf.constant(logits), drawn, 0.3)
        np.testing.assert_allclose(found, expected / 60, rtol=1e-5)

    def test_uncertain_pixels_do_not_count(self):
        logits = tf.random.stateless_normal([1, 4, 4, 1], [1, 2])
        drawn = np.zeros((1, 4, 4), np.float32)
        drawn[0, 0], drawn[0, 1] = 1, 0.2
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = edge_detector.balanced_cross_entropy(logits, tf.constant(drawn))
        gradient = tape.gradient(loss, logits)[0, ..., 0].numpy()
        self.assertEqual(set((gradient == 0).all(axis=1)), {False, True})
        np.testing.assert_array_equal(gradient[1], 0)

    def test_both_kinds_weigh_alike(self):
        drawn = np.zeros((1, 10, 10), np.float32)
        drawn[0, 0, :4] = 1
        zeros = tf.zeros([1, 10, 10, 1])
        found = edge_detector.balanced_cross_entropy(zeros, tf.constant(drawn))
        # log 2 from each kind, 4 edges weighing 96 % and 96 others 4 %.
        expected = math.log(2) * (4 * 0.96 + 1.1 * 96 * 0.04) / 100
        self.assertAlmostEqual(float(found[0]), expected, places=6)

    def test_pictures_without_edges_are_finite(self):
        zeros = tf.zeros([1, 4, 4, 2])
        found = edge_detector.balanced_cross_entropy(zeros, zeros[..., 0])
        np.testing.assert_array_equal(found, [0, 0])
