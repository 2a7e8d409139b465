import math
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tests.models.semantic_enhancers import (
    ALL,
    BASES,
    CLASSES,
    NETWORKS,
    SIDE,
    a_batch,
    an_enhancer,
    compiled,
    features,
    shaken,
)
from tfsemcomp.losses import adversarial
from tfsemcomp.losses import features as feature_losses
from tfsemcomp.models import runs, semantic_enhancer
from tfsemcomp.models.semantic_enhancer import (
    GREY,
    PHASES,
    EnhancerSize,
    LossWeights,
    SemanticEnhancer,
    label_borders,
)


def count(weights):
    return sum(math.prod(weight.shape) for weight in weights)


def inputs(side=SIDE, number=1):
    """Base, labels, boundaries, codec and rate, the same each time."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, CLASSES, [number, side, side]).astype(np.int32)
    return {
        "base": tf.constant(rng.uniform(0, 255, [number, side, side, 3]), tf.float32),
        "labels": tf.constant(labels),
        "boundaries": label_borders(tf.constant(labels)),
        "codec": tf.zeros([number], tf.int32),
        "rate": tf.fill([number], 0.2),
    }


class NetworksTest(SemCompTestCase):
    def test_pix2pixhd_has_the_published_parameters(self):
        model = SemanticEnhancer("paper", "pix2pixhd", 35)
        model(inputs())
        model.discriminators(tf.zeros([1, 32, 32, 36]), tf.zeros([1, 32, 32, 3]))
        self.assertEqual(model.generator.enter.kernel.shape, (7, 7, 39, 64))
        self.assertEqual(count(model.generator.weights), 182_556_163)
        judges = count(model.discriminators.trainable_weights)
        self.assertAlmostEqual(judges / 1e6, 5.6, delta=0.005)

    def test_the_judges_patches_are_the_published_ones(self):
        model = an_enhancer()
        seen = model.discriminators(
            tf.zeros([1, 64, 128, CLASSES + 1]), tf.zeros([1, 64, 128, 3])
        )
        shapes = [[tuple(x.shape[1:3]) for x in scale] for scale in seen]
        # As 512x1024 gives 67x131 in the source.
        self.assertEqual(shapes[0], [(33, 65), (17, 33), (9, 17), (10, 18), (11, 19)])
        self.assertEqual(shapes[1][-1], (7, 11))

    @parameterized.parameters(("tiny", 0, 0.1), ("small", 2, 4), ("paper", 10, 30))
    def test_sizes(self, name, least, most):
        model = SemanticEnhancer(name)
        model(inputs())
        millions = count(model.generator.weights) / 1e6
        self.assertBetween(millions, least, most)

    @parameterized.parameters(*NETWORKS)
    def test_any_size_and_dtype(self, **options):
        model = shaken(an_enhancer(**options))
        told = inputs(96, 2)
        told = {k: v[:, :64] if v.shape.rank > 1 else v for k, v in told.items()}
        drawn = model(told)
        self.assertEqual(drawn.shape, (2, 64, 96, 3))
        self.assertEqual(drawn.dtype, tf.float32)
        specs = [
            tf.TensorSpec([None] * v.shape.rank if k == "labels" else
                          [None, None, None, v.shape[-1]] if v.shape.rank == 4
                          else [None], v.dtype)
            for k, v in told.items()
        ]  # fmt: skip
        dynamic = tf.function(
            lambda *x: model(dict(zip(told, x, strict=True))), input_signature=specs
        )
        np.testing.assert_allclose(dynamic(*told.values()), drawn, atol=0.02)

    def test_residual_begins_as_its_base(self):
        told = inputs()
        drawn = an_enhancer()(told)
        np.testing.assert_allclose(drawn, told["base"], atol=1e-3)

    @parameterized.parameters(*NETWORKS)
    def test_what_is_seen(self, variant):
        model, told = shaken(an_enhancer(variant=variant)), inputs()
        drawn = model(told)
        changes = {
            "base": 255 - told["base"],
            "labels": (told["labels"] + 1) % CLASSES,
            "boundaries": 1 - told["boundaries"],
            "codec": told["codec"] + 1,
            "rate": told["rate"] * 4,
        }
        for name, value in changes.items():
            other = model({**told, name: value})
            if name == "base" and variant == "residual":
                other += told["base"] - value
            differs = np.abs(other - drawn).max() > 0.01
            known = variant == "residual" or name not in ("codec", "rate")
            self.assertEqual(differs, known, name)

    def test_boundaries_can_be_left_out(self):
        model, told = shaken(an_enhancer(boundaries=False)), inputs()
        other = {**told, "boundaries": 1 - told["boundaries"]}
        np.testing.assert_array_equal(model(other), model(told))

    def test_no_label_and_unknown_codecs(self):
        model, told = shaken(an_enhancer()), inputs()
        for name, known, unknown in (("labels", CLASSES, 255), ("codec", 2, 77)):
            first, second = (
                model({**told, name: tf.fill(told[name].shape, value)})
                for value in (known, unknown)
            )
            np.testing.assert_array_equal(first, second)
        self.assertEqual(model.codecs, (*BASES, "other"))

    def test_borders_are_where_a_neighbour_differs(self):
        labels = np.random.default_rng(1).integers(0, 2, [2, 7, 9])
        expected = np.zeros([2, 7, 9, 1])
        for b, y, x in np.ndindex(2, 7, 9):
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            around = [labels[b, v, u] for v, u in around if 0 <= v < 7 and 0 <= u < 9]
            expected[b, y, x] = any(one != labels[b, y, x] for one in around)
        np.testing.assert_array_equal(label_borders(tf.constant(labels)), expected)

    @parameterized.named_parameters(
        ("variant", {"variant": "spade"}, "`variant`.*residual"),
        ("size", {"size": "huge"}, "`size`.*small"),
        ("classes", {"classes": 256}, "`classes`.*256"),
        ("ignored", {"ignored": 12}, "`ignored`.*12"),
        ("other", {"bases": ("other",)}, "`bases`"),
        ("twice", {"bases": ("jpeg", "jpeg")}, "`bases`"),
        ("withheld", {"withheld": -1}, "`withheld`"),
        ("mode", {"gan_mode": "w"}, "`gan_mode`"),
    )
    def test_wrong_arguments(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            SemanticEnhancer(**arguments)

    def test_wrong_sizes_weights_and_phases(self):
        for widths in ((4,), (4, 0), (4,) * 6):
            with self.assertRaisesRegex(ValueError, "widths"):
                EnhancerSize(widths, 4, 4, 4, 1, 4)
        with self.assertRaisesRegex(ValueError, "negative.*gan"):
            LossWeights(gan=-1.0)
        with self.assertRaisesRegex(ValueError, "one weight"):
            LossWeights()
        model = an_enhancer()
        for options, message in (
            ({"phase": 4}, "`phase`"),
            ({"distortion": "psnr"}, "`distortion`"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                compiled(model, **options)
        for name, what in (("perceptual", "features"), ("consistency", "segment")):
            with self.assertRaisesRegex(ValueError, f"{name}=1.0.*`{what}`"):
                model.compile("sgd", "sgd", weights=LossWeights(**{name: 1.0}))


class ConditionsTest(SemCompTestCase):
    def test_phase_1_has_a_grey_base(self):
        told = compiled(an_enhancer(), 1).conditions(a_batch(), training=True)
        np.testing.assert_array_equal(told.base, np.full(told.base.shape, GREY))
        told = compiled(an_enhancer(), 2).conditions(a_batch(), training=True)
        np.testing.assert_array_equal(told.base, a_batch()["base"])

    def test_boundaries_are_borders_or_a_map(self):
        batch, model = a_batch(), compiled(an_enhancer())
        told = model.conditions(batch, training=False)
        np.testing.assert_array_equal(told.labels, batch["planes"][..., 0])
        np.testing.assert_array_equal(told.boundaries, label_borders(told.labels))
        sent = tf.cast(
            tf.random.stateless_uniform([2, SIDE, SIDE, 1], [1, 2]) > 0.5, tf.uint8
        )
        batch["planes"] = tf.concat([batch["planes"], 255 * sent], axis=-1)
        told = model.conditions(batch, training=False)
        np.testing.assert_array_equal(told.boundaries, sent)

    def test_without_labels_nothing_is_told_of_them(self):
        model = compiled(an_enhancer(), zero_labels=True)
        batch = a_batch()
        batch["planes"] = tf.concat([batch["planes"], batch["planes"]], axis=-1)
        for one in (batch, a_batch()):
            told = model.conditions(one, training=False)
            np.testing.assert_array_equal(told.labels, CLASSES)
            np.testing.assert_array_equal(told.boundaries, 0)

    def test_a_share_is_withheld(self):
        model, batch = compiled(an_enhancer(withheld=0.25)), a_batch(96, 8)
        batch["codec"] = tf.zeros([96], tf.int32)
        tf.keras.utils.set_random_seed(1)
        told = model.conditions(batch, training=True)
        unlabelled = np.all(told.labels == CLASSES, axis=(1, 2))
        self.assertBetween(unlabelled.sum(), 10, 40)
        np.testing.assert_array_equal(np.unique(told.codec), [0, len(BASES)])
        self.assertBetween(np.count_nonzero(told.codec), 10, 40)
        self.assertFalse(np.array_equal(told.codec > 0, unlabelled))
        told = model.conditions(batch, training=False)
        np.testing.assert_array_equal(told.codec, 0)
        np.testing.assert_array_equal(told.labels, batch["planes"][..., 0])


class LossTest(SemCompTestCase):
    def test_is_the_weighted_sum_of_its_terms(self):
        found = compiled(an_enhancer()).losses_of(a_batch(), training=False)
        expected = found["judging"] + 2 * found["gan"] + 3 * found["matching"]
        expected += 5 * found["perceptual"] + 7 * found["distortion"]
        expected += 11 * found["consistency"]
        np.testing.assert_allclose(found["loss"], expected, rtol=1e-5)

    @parameterized.parameters("l1", "mse")
    def test_terms(self, distortion):
        model, batch = compiled(an_enhancer(), distortion=distortion), a_batch()
        found = model.losses_of(batch, training=False)
        x, x_hat = tf.cast(batch["image"], tf.float32), found["x_hat"]
        error = (x - x_hat).numpy() / 255
        expected = np.mean(np.abs(error) if distortion == "l1" else error**2)
        np.testing.assert_allclose(found["distortion"], expected, rtol=1e-4)
        expected = feature_losses.feature_distance(features(x), features(x_hat), "unit")
        np.testing.assert_allclose(found["perceptual"], np.mean(expected), rtol=1e-4)
        told = model.conditions(batch, training=False)
        maps = model._maps(told.labels, told.boundaries)
        real, fake = (model.discriminators(maps, y / 127.5 - 1) for y in (x, x_hat))
        logits = [scale[-1] for scale in fake]
        expected = adversarial.generator_loss(logits, "ls")
        np.testing.assert_allclose(found["gan"], expected, rtol=1e-4)
        # Half the sum over scales of the sum over layers, as published.
        expected = sum(
            0.5 * np.mean(np.abs(a - b))
            for scales in zip(real, fake, strict=True)
            for a, b in zip(*(scale[:-1] for scale in scales), strict=True)
        )
        np.testing.assert_allclose(found["matching"], expected, rtol=1e-4)

    def test_gain_is_over_the_base(self):
        batch = a_batch()
        found = compiled(an_enhancer()).losses_of(batch, training=False)
        self.assertAlmostEqual(float(found["gain"]), 0, places=4)
        expected = tf.reduce_mean(tf.image.psnr(batch["image"], batch["base"], 255))
        np.testing.assert_allclose(found["psnr"], expected, rtol=1e-4)

    def test_consistency_wants_the_right_classes_but_the_ignored(self):
        model = compiled(an_enhancer())
        bright = tf.fill([1, SIDE, SIDE, 3], 255.0 / 4)
        losses = [
            float(model._consistency(tf.fill([1, SIDE, SIDE], label), bright))
            for label in (0, 1, 2, 4, 255)
        ]
        self.assertLess(losses[1], min(losses[0], losses[2]))
        self.assertEqual(losses[3:], [0, 0])

    def test_published_phases(self):
        found = {phase: vars(weights) for phase, weights in PHASES.items()}
        self.assertEqual(
            [[one[n] for n in ("gan", "matching", "perceptual", "distortion")]
             for one in found.values()],
            [[1, 10, 10, 0], [1, 10, 10, 10], [0, 0, 0, 10]],
        )  # fmt: skip
        self.assertEqual({one["consistency"] for one in found.values()}, {0})


class TrainingTest(SemCompTestCase):
    @parameterized.parameters(*NETWORKS)
    def test_every_weight_is_trained(self, **options):
        model = compiled(an_enhancer(**options), rate=1e-2)
        weights = [*model.trainable_weights, *model.discriminators.trainable_weights]
        self.assertLen(weights, len(super(SemanticEnhancer, model).trainable_weights))
        before = [weight.numpy() for weight in weights]
        # What a modulation that starts at zero is told begins to count later.
        for _ in range(3):
            self.assertTrue(np.isfinite(model.train_step(a_batch())["loss"]))
        still = [
            weight.name
            for old, weight in zip(before, weights, strict=True)
            if np.array_equal(old, weight)
        ]
        # Nothing is left of a constant that is normalised away.
        self.assertEqual([name for name in still if "bias" not in name], [])

    def test_phase_3_leaves_the_judges_alone(self):
        model = compiled(an_enhancer(), 3, PHASES[3])
        before = [weight.numpy() for weight in model.discriminators.weights]
        unused = mock.Mock(side_effect=AssertionError("work that weighs nothing"))
        model._features = model._segment = unused
        with mock.patch.object(model.discriminators, "call", unused):
            found = model.train_step(a_batch())
        self.assertGreater(float(found["distortion"]), 0)
        for old, new in zip(before, model.discriminators.weights, strict=True):
            np.testing.assert_array_equal(old, new)
        self.assertEqual(int(model.discriminator_optimizer.iterations), 0)
        self.assertEqual(int(model.optimizer.iterations), 1)

    def test_learns_two_pictures(self):
        model = compiled(an_enhancer(withheld=0.0), 3, PHASES[3], 1e-2)
        batch, step = a_batch(), tf.function(model.train_step)
        for _ in range(40):
            step(batch)
        found = model.losses_of(batch, training=False)
        self.assertGreater(float(found["gain"]), 1)

    @parameterized.parameters((NETWORKS[0], ALL), (NETWORKS[1], PHASES[3]))
    def test_train_step_is_xla_clean(self, options, weights):
        model = compiled(an_enhancer(**options), weights=weights)
        self.assert_xla_clean(model.train_step, a_batch())

    @parameterized.parameters(*NETWORKS)
    def test_mixed_precision_leaves_losses_in_float32(self, **options):
        policies = tf.keras.mixed_precision
        self.addCleanup(policies.set_global_policy, policies.global_policy())
        policies.set_global_policy("mixed_bfloat16")
        model = compiled(an_enhancer(**options))
        self.assertEqual(model.generator.compute_dtype, "bfloat16")
        found = model.losses_of(a_batch(), training=True)
        for value in (*found.values(), *model.trainable_variables):
            self.assertEqual(value.dtype, tf.float32)
        self.assertTrue(np.isfinite(found["loss"]))


class SavingTest(SemCompTestCase):
    @parameterized.parameters(*NETWORKS)
    def test_a_run_comes_back(self, **options):
        model = compiled(shaken(an_enhancer(**options)))
        runs.save(model, str(self.folder), {})
        again = semantic_enhancer.load_run(str(self.folder))
        self.assertEqual(again.get_config(), model.get_config())
        np.testing.assert_array_equal(again(inputs()), model(inputs()))

    def test_takes_weights_of_its_own_kind(self):
        model, fresh = shaken(an_enhancer()), an_enhancer()
        fresh.take_weights(model)
        for mine, theirs in zip(fresh.weights, model.weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        with self.assertRaisesRegex(ValueError, "webp, jpeg.*jpeg, webp"):
            fresh.take_weights(an_enhancer(bases=BASES[::-1]))
        with self.assertRaisesRegex(ValueError, "classes"):
            fresh.take_weights(an_enhancer(classes=CLASSES + 2))
