import math

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tests.models.conceptual_networks import features
from tests.models.layered_networks import (
    NETWORKS,
    SIDE,
    SIZE,
    WORDS,
    a_batch,
    a_generator,
    compiled,
    text_to_image,
)
from tfsemcomp.layers import spectral_norm
from tfsemcomp.losses import adversarial
from tfsemcomp.losses import features as feature_losses
from tfsemcomp.models import runs, structure_generator
from tfsemcomp.models.conceptual_structure import Degradation
from tfsemcomp.models.structure_generator import (
    GREY,
    LossWeights,
    StructureGenerator,
    StructureSize,
)

PLAIN = Degradation((1,), (0.4, 0.4), 0.0)


def count(weights):
    return sum(math.prod(w.shape) for w in weights)


class NetworksTest(SemCompTestCase):
    def test_v1_has_the_published_parameters(self):
        # 2.32 M of which .24 M are dead, and 2.76 M.
        model = StructureGenerator("paper", "v1")
        model.create_weights()
        millions = count(model.generator.trainable_weights) / 1e6
        self.assertAlmostEqual(millions, 2.32 - 0.24, delta=0.015)
        judges = count(model.discriminators.trainable_weights) / 1e6
        self.assertAlmostEqual(judges, 2.76, delta=0.005)

    @parameterized.parameters(*NETWORKS[1:])
    def test_any_size_and_dtype(self, **options):
        model = a_generator(**options)
        structure = tf.zeros([2, 64, 96, 1])
        words = tf.constant([[4, 5, 0], [0, 0, 0]])
        drawn = model(structure, tf.fill([2, 64, 96, 3], 10.0), words)
        self.assertEqual(drawn.shape, (2, 64, 96, 3))
        self.assertEqual(drawn.dtype, tf.float32)
        dynamic = tf.function(
            lambda s: model(s), input_signature=[tf.TensorSpec([None, None, None, 1])]
        )
        np.testing.assert_allclose(dynamic(structure), model(structure), atol=0.01)

    def test_no_base_is_a_grey_one_and_no_words_are_padding(self):
        model = a_generator(vocabulary=WORDS)
        structure = tf.cast(a_batch()["planes"][..., :1] > 0, tf.float32)
        grey = tf.fill([2, SIDE, SIDE, 3], GREY)
        explicit = model(structure, grey, tf.zeros([2, 7], tf.int32))
        np.testing.assert_allclose(model(structure), explicit, atol=1e-3)

    def test_v2_sees_lines_base_and_sentence(self):
        model = a_generator(vocabulary=WORDS)
        rng = np.random.default_rng(1)
        # Modulation starts as none.
        for weight in model.generator.trainable_weights:
            weight.assign_add(rng.normal(0, 0.05, weight.shape))
        structure = tf.cast(a_batch(1)["planes"][..., :1] > 0, tf.float32)
        base, words = tf.fill([1, SIDE, SIDE, 3], 90.0), tf.constant([[4, 5, 0]])
        drawn = model(structure, base, words)
        for changed in (
            model(1 - structure, base, words),
            model(structure, base + 60, words),
            model(structure, base, tf.constant([[7, 8, 0]])),
        ):
            self.assertGreater(np.abs(changed - drawn).max(), 0.1)
        # A mean of words has no order, padding is no word.
        same = model(structure, base, tf.constant([[0, 5, 4, 0]]))
        np.testing.assert_allclose(same, drawn, atol=0.01)
        self.assertBetween(np.min(drawn), 0, 255)
        self.assertBetween(np.max(drawn), 0, 255)

    def test_judges_of_v2_see_lines_and_sentence(self):
        model = a_generator(vocabulary=WORDS)
        x = tf.random.stateless_uniform([1, SIDE, SIDE, 3], [1, 2], -1, 1)
        structure, words = tf.zeros([1, SIDE, SIDE, 1]), tf.constant([[4, 5]])
        first = model.discriminators(structure, x, words)
        self.assertLen(first, 2)
        for other in (
            model.discriminators(1 - structure, x, words),
            model.discriminators(structure, x, tf.constant([[8, 6]])),
        ):
            self.assertFalse(np.allclose(other[0], first[0], atol=1e-4))

    def test_v1_scales_are_those_of_the_source(self):
        model = a_generator(variant="v1")
        self.assertEqual(model.multiple, 32)
        features, vectors = model.generator.semantic(tf.zeros([1, 256, 256, 3]))
        self.assertEqual([f.shape[1] for f in features], [64, 32, 16, 8])
        self.assertEqual([v.shape for v in vectors], [(1, 4)] * 3)
        logits = model.discriminators(None, tf.zeros([1, 256, 256, 3]), None)
        self.assertEqual(logits[0].shape, (1, 16, 16, 1))

    @parameterized.named_parameters(
        ("variant", {"variant": "v3"}, "`variant`.*v2"),
        ("size", {"size": "huge"}, "`size`.*small"),
        ("axis", {"attention_axis": "both"}, "`attention_axis`.*query"),
        ("mode", {"gan_mode": "w"}, "`gan_mode`"),
        ("vocabulary", {"vocabulary": 3}, "`vocabulary`"),
        ("textless", {"textless": 2.0}, "`textless`"),
    )
    def test_wrong_arguments(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            StructureGenerator(**arguments)

    def test_wrong_sizes_and_weights(self):
        for wrong in ((4, (4,), 4, 4, 4), (0, (4, 4), 4, 4, 4), (4, (4, 4), 4, 4, 1)):
            with self.assertRaisesRegex(ValueError, "widths"):
                StructureSize(*wrong)
        with self.assertRaisesRegex(ValueError, "negative.*l1"):
            LossWeights(l1=-1.0)
        with self.assertRaisesRegex(ValueError, "`gan_ramp`"):
            LossWeights(gan_ramp=(5, 2))


class ConditionsTest(SemCompTestCase):
    def test_pictures_without_text_have_a_grey_base(self):
        model = a_generator(vocabulary=WORDS)
        model.condition_on(PLAIN, text_to_image)
        batch = a_batch(3)
        words = batch["words"].numpy()
        words[1] = 0
        given = {**batch, "words": tf.constant(words)}
        structure, base, told = model.conditions(given, training=False)
        np.testing.assert_array_equal(structure, batch["planes"][..., :1] > 100)
        np.testing.assert_array_equal(told, words)
        np.testing.assert_array_equal(base[1], np.full([SIDE, SIDE, 3], GREY))
        expected = tf.image.resize(text_to_image(given["words"]), [SIDE, SIDE])
        np.testing.assert_allclose(base[::2], expected[::2])

    def test_records_without_words_are_drawn_from_lines(self):
        model = a_generator(vocabulary=WORDS)
        batch = a_batch()
        del batch["words"]
        _, base, words = model.conditions(batch, training=True)
        np.testing.assert_array_equal(base, np.full(base.shape, GREY))
        np.testing.assert_array_equal(words, 0)

    def test_a_share_of_the_texts_is_left_out(self):
        model = a_generator(vocabulary=WORDS, textless=0.25)
        model.condition_on(PLAIN, text_to_image)
        batch = a_batch(64, 16)
        tf.keras.utils.set_random_seed(1)
        _, base, words = model.conditions(batch, training=True)
        left_out = ~np.any(words, axis=1)
        self.assertBetween(left_out.sum(), 6, 28)
        np.testing.assert_array_equal(left_out, np.all(base == GREY, axis=(1, 2, 3)))
        _, _, words = model.conditions(batch, training=False)
        np.testing.assert_array_equal(words, batch["words"])


class LossTest(SemCompTestCase):
    def test_is_the_weighted_sum_of_its_terms(self):
        weights = LossWeights(2.0, 3.0, 5.0)
        for given in (None, features):
            model = compiled(a_generator(), weights=weights, features=given)
            found = model.losses_of(a_batch(), training=False)
            expected = found["judging"] + 2 * found["l1"]
            expected += 3 * found["perceptual"] + 5 * found["gan"]
            np.testing.assert_allclose(found["loss"], expected, rtol=1e-5)

    def test_terms(self):
        batch = a_batch()
        model = compiled(a_generator(), features=features)
        found = model.losses_of(batch, training=False)
        x, x_hat = tf.cast(batch["image"], tf.float32), found["x_hat"]
        np.testing.assert_allclose(
            found["l1"], np.mean(np.abs(x - x_hat)) / 127.5, rtol=1e-4
        )
        expected = feature_losses.feature_distance(
            features(x), features(x_hat), "dists"
        )
        np.testing.assert_allclose(found["perceptual"], np.mean(expected), rtol=1e-4)
        logits = model.discriminators(
            found["structure"], x_hat / 127.5 - 1, batch["words"]
        )
        expected = adversarial.generator_loss(logits, "original")
        np.testing.assert_allclose(found["gan"], expected, rtol=1e-4)

    def test_published_weights(self):
        weights = LossWeights()
        found = weights.l1, weights.perceptual, weights.gan
        self.assertEqual(found, (10.0, 10.0, 1.0))

    def test_without_features_structure_and_gradients_count(self):
        model = compiled(a_generator())
        x = tf.cast(a_batch()["image"], tf.float32)
        self.assertAlmostEqual(float(model._perceptual(x, x)), 0, places=5)
        self.assertGreater(float(model._perceptual(x, x[:, ::-1])), 0.5)


class TrainingTest(SemCompTestCase):
    @parameterized.parameters(NETWORKS[0], NETWORKS[3])
    def test_every_weight_is_trained(self, **options):
        wide = StructureSize(16, (8, 8, 8), 4, 4, 4)
        model = compiled(a_generator(wide, **options), 1e-2)
        model.condition_on(PLAIN, text_to_image)
        weights = [*model.trainable_weights, *model.discriminators.trainable_weights]
        self.assertLen(weights, len(super(StructureGenerator, model).trainable_weights))
        before = [weight.numpy() for weight in weights]
        # What a modulation that starts at zero is told begins to count after a step.
        for _ in range(2):
            self.assertTrue(np.isfinite(model.train_step(a_batch())["loss"]))
        still = [
            weight.name
            for old, weight in zip(before, weights, strict=True)
            if np.array_equal(old, weight)
        ]
        # Nothing is left of a constant that is normalised away.
        self.assertEqual([name for name in still if "bias" not in name], [])

    def test_judges_learn_from_their_own_loss(self):
        model = compiled(a_generator(), weights=LossWeights(gan=0.0))
        model.optimizer.learning_rate = 0.0
        judges = model.discriminators.trainable_weights
        mine, theirs = (
            [w.numpy() for w in ws] for ws in (model.trainable_weights, judges)
        )
        model.train_step(a_batch())
        for old, new in zip(mine, model.trainable_weights, strict=True):
            np.testing.assert_array_equal(old, new)
        moved = [not np.array_equal(o, n) for o, n in zip(theirs, judges, strict=True)]
        self.assertGreater(sum(moved), len(moved) / 2)

    def test_validation_turns_no_singular_vector(self):
        model = compiled(a_generator())
        before = [layer.u.numpy() for layer in spectral_norm.convolutions(model)]
        model.test_step(a_batch())
        after = [layer.u for layer in spectral_norm.convolutions(model)]
        for old, new in zip(before, after, strict=True):
            np.testing.assert_array_equal(old, new)

    def test_learns_two_pictures(self):
        weights = LossWeights(gan=0.01)
        model = compiled(a_generator(), 1e-2, weights)
        model.condition_on(PLAIN)
        batch = a_batch()
        first = float(model.test_step(batch)["l1"])
        step = tf.function(model.train_step)
        for _ in range(40):
            model.reset_metrics()
            self.assertTrue(np.isfinite(step(batch)["loss"]))
        model.reset_metrics()
        self.assertLess(float(model.test_step(batch)["l1"]), 0.6 * first)

    @parameterized.parameters(NETWORKS[0], NETWORKS[3])
    def test_train_step_is_xla_clean(self, **options):
        model = compiled(a_generator(**options))
        model.condition_on(None, lambda words: tf.zeros([2, SIDE, SIDE, 3]))
        self.assert_xla_clean(model.train_step, a_batch())

    @parameterized.parameters("v1", "v2")
    def test_mixed_precision_leaves_losses_in_float32(self, variant):
        policies = tf.keras.mixed_precision
        self.addCleanup(policies.set_global_policy, policies.global_policy())
        policies.set_global_policy("mixed_bfloat16")
        model = compiled(a_generator(variant=variant, vocabulary=WORDS))
        self.assertEqual(model.generator.compute_dtype, "bfloat16")
        found = model.losses_of(a_batch(), training=True)
        for value in (*found.values(), *model.trainable_variables):
            self.assertEqual(value.dtype, tf.float32)
        self.assertTrue(np.isfinite(found["loss"]))

    def test_the_gan_sets_in_by_a_ramp(self):
        model = compiled(a_generator(), weights=LossWeights(gan_ramp=(2, 5)))
        for step, share in {0: 0, 1: 0, 2: 0.25, 4: 0.75, 5: 1, 9: 1}.items():
            model.discriminator_optimizer.iterations.assign(step)
            self.assertAlmostEqual(float(model._ramp((2, 5))), share)


class SavingTest(SemCompTestCase):
    @parameterized.parameters(NETWORKS[1], NETWORKS[3])
    def test_a_run_comes_back(self, **options):
        model = compiled(a_generator(**options))
        model.train_step(a_batch())
        runs.save(model, str(self.folder), {})
        again = structure_generator.load_run(str(self.folder))
        self.assertEqual(again.get_config(), model.get_config())
        structure = tf.cast(a_batch()["planes"][..., :1] > 0, tf.float32)
        np.testing.assert_array_equal(again(structure), model(structure))

    def test_takes_weights_of_its_own_shape(self):
        model, other = a_generator(), a_generator(vocabulary=WORDS)
        for weight in model.weights:
            weight.assign_add(tf.ones_like(weight))
        fresh = a_generator()
        fresh.take_weights(model)
        for mine, theirs in zip(fresh.weights, model.weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        with self.assertRaisesRegex(ValueError, "vocabulary"):
            other.take_weights(model)

    def test_sizes(self):
        self.assertEqual(SIZE.widths, (4, 6, 8))
        for name in structure_generator.SIZES:
            self.assertEqual(64 % StructureGenerator(name).multiple, 0)
