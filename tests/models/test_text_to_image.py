import dataclasses
import json

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tests.models.text_to_image_models import (
    DAMSM,
    SIDE,
    SIZE,
    VOCABULARY,
    WORDS,
    T,
    a_batch,
    a_damsm,
    a_model,
    compiled,
)
from tfsemcomp.losses import adversarial
from tfsemcomp.models import damsm, runs, text_to_image
from tfsemcomp.models.text_to_image import LossWeights, TextToImage, TextToImageSize
from tfsemcomp.training.callbacks import Keeper


def noise(count=2):
    return tf.random.stateless_normal([count, SIZE.noise], [1, 2])


def words(count=2):
    return tf.constant(WORDS[:count], tf.int32)


def gradients(model, weights, batch):
    """Those of one draw of everything random, as arrays."""
    model.loss_weights = weights
    tf.keras.utils.set_random_seed(3)
    _, drawing, judging = model.gradients(batch)
    return [np.array(g) for g in drawing], [np.array(g) for g in judging]


def are_close(one, other):
    pairs = zip(one, other, strict=True)
    return all(np.allclose(a, b, rtol=1e-3, atol=1e-6) for a, b in pairs)


class GenerateTest(SemCompTestCase):
    def test_words_and_noise_alone_decide(self):
        model = a_model()
        found = model.generate(words(), noise())
        self.assertEqual(found.shape, (2, SIDE, SIDE, 3))
        self.assertEqual(found.dtype, tf.float32)
        self.assertBetween(np.min(found), 0, 255)
        self.assertBetween(np.max(found), 0, 255)
        np.testing.assert_array_equal(found, model.generate(words(), noise()))
        # Each picture for itself, whatever the batch.
        alone = model.generate(words()[1:], noise()[1:])
        np.testing.assert_allclose(found[1:], alone, atol=1e-3)
        for other in (model.generate(words(), -noise()),):
            self.assertFalse(np.allclose(found, other))
        other = model.generate(words()[::-1], noise())
        self.assertFalse(np.allclose(found, other))

    def test_without_words(self):
        found = a_model().generate(tf.zeros([1, T], tf.int32), noise(1))
        self.assertTrue(np.isfinite(found).all())

    def test_what_the_codec_asks(self):
        model = a_model()
        self.assertEqual((model.words, model.size.noise), (T, 5))
        self.assertEqual(model.size.resolution, SIDE)
        self.assertEqual(text_to_image.SIZES["small"].resolution, 128)
        self.assertEqual(text_to_image.SIZES["paper"].sides, [64, 128, 256])


class LossTest(SemCompTestCase):
    def test_is_the_weighted_sum_of_its_terms(self):
        weights = LossWeights(2.0, 3.0, 5.0, 7.0, 11.0)
        model = compiled(weights=weights)
        found = model._losses_of(a_batch(), training=False)
        names = ("gan", "words", "sentences", "kl", "layout")
        expected = sum(getattr(weights, name) * found[name] for name in names)
        np.testing.assert_allclose(found["drawing"], expected, rtol=1e-5)
        for name in names:
            self.assertGreater(float(found[name]), 0)

    def test_published_weights(self):
        found = dataclasses.astuple(LossWeights())
        self.assertEqual(found, (1.0, 5.0, 5.0, 1.0, 0.0))

    @parameterized.parameters(*adversarial.MODES)
    def test_what_discriminators_learn(self, mode):
        model, batch = compiled(a_model(gan_mode=mode)), a_batch()
        found = model._losses_of(batch, training=False)
        pixels = tf.cast(batch["image"], tf.float32) / 127.5 - 1
        text = model.text(batch["words"])
        z = model._draw_noise(pixels, training=False)
        drawn, _, _ = model.generator(z, *text)
        gan = judging = 0.0
        pairs = zip(model.discriminators, (2, 1), drawn, strict=True)
        for judge, scale, fake in pairs:
            real = tf.nn.avg_pool2d(pixels, scale, scale, "VALID")
            right = judge(real, text[1])
            wrong = judge(real, text[1][::-1])[1]
            fakes = judge(fake, text[1])

            def real_term(logits):
                return float(adversarial.real_loss([logits], mode))

            def fake_term(logits):
                return float(adversarial.fake_loss([logits], mode))

            judging += sum(map(real_term, right)) / 2
            judging += sum(map(fake_term, [*fakes, wrong])) / 3
            for logits in fakes:
                gan += float(adversarial.generator_loss([logits], mode))
        self.assertAlmostEqual(float(found["judging"]), judging, places=4)
        self.assertAlmostEqual(float(found["gan"]), gan, places=4)

    def test_kl_by_hand(self):
        model, batch = compiled(), a_batch()
        _, sentence, _ = model.text(batch["words"])
        _, mean, spread = (
            np.array(v, float) for v in model.generator.augment(sentence)
        )
        expected = -0.5 * np.mean(1 + spread - mean**2 - np.exp(spread))
        found = model._losses_of(batch, training=False)["kl"]
        self.assertAlmostEqual(float(found), expected, places=5)


class GradientTest(SemCompTestCase):
    def test_each_network_learns_from_its_own_losses(self):
        model, batch = compiled(), a_batch()
        base, judging = gradients(model, LossWeights(), batch)
        names = [field.name for field in dataclasses.fields(LossWeights)]
        for name in names:
            weights = dataclasses.replace(LossWeights(), **{name: 20.0})
            drawing, same = gradients(model, weights, batch)
            self.assertTrue(are_close(same, judging), name)
            self.assertFalse(are_close(drawing, base), name)

    def test_every_weight_is_trained_but_those_of_the_judge(self):
        model = compiled()
        judge = model._damsm()
        trained = [*model.trainable_weights, *model.judging_weights]
        frozen = [*model.text.weights, *judge.weights]
        self.assertLen(model.weights, len(trained) + len(model.non_trainable_weights))
        before = [weight.numpy() for weight in trained + frozen]
        model.train_step(a_batch())
        pairs = zip(before, trained + frozen, strict=True)
        same = [np.array_equal(old, weight) for old, weight in pairs]
        idle = [w.name for w, s in zip(trained, same, strict=False) if s]
        self.assertEqual(idle, [])
        self.assertTrue(all(same[len(trained) :]))

    def test_averages_are_of_the_generator_alone(self):
        model = compiled()
        model.optimizer = tf.keras.optimizers.Adam(use_ema=True)
        self.assertLen(
            model.trainable_variables, len(model.generator.trainable_weights)
        )


class TrainingTest(SemCompTestCase):
    def test_learns_the_layout_of_four_pictures(self):
        weights = LossWeights(gan=0.01, words=0.0, sentences=0.0, kl=0.01, layout=1.0)
        size = dataclasses.replace(SIZE, generator=4)
        model, batch = compiled(a_model(size), 1e-2, weights), a_batch(4)
        first = float(model.test_step(batch)["layout"])
        step = tf.function(model.train_step)
        for _ in range(80):
            model.reset_metrics()
            found = step(batch)
            self.assertTrue(np.isfinite(found["loss"]))
        self.assertLess(float(found["layout"]), 0.65 * first)

    @parameterized.parameters(False, True)
    def test_the_step_is_xla_clean(self, augmented):
        model = compiled(augmented=augmented, weights=LossWeights(layout=1.0))
        self.assert_xla_clean(model.train_step, a_batch())

    def test_a_test_step_changes_nothing_and_is_repeatable(self):
        model, batch = compiled(augmented=True), a_batch()
        parts = [model.generator, model.text, *model.discriminators]
        weights = [weight for part in parts for weight in part.weights]
        before = [weight.numpy() for weight in weights]
        first = {k: float(v) for k, v in model.test_step(batch).items()}
        model.reset_metrics()
        again = {k: float(v) for k, v in model.test_step(batch).items()}
        self.assertEqual(first, again)
        for weight, value in zip(weights, before, strict=True):
            np.testing.assert_array_equal(weight, value)

    def test_mixed_precision_leaves_pictures_and_losses_in_float32(self):
        policies = tf.keras.mixed_precision
        self.addCleanup(policies.set_global_policy, policies.global_policy())
        full = compiled()
        policies.set_global_policy("mixed_bfloat16")
        mixed = a_model()
        policies.set_global_policy("float32")
        mixed.set_weights(full.get_weights())
        compiled(mixed)
        self.assertEqual(mixed.generator.compute_dtype, "bfloat16")
        self.assertEqual(mixed.text.compute_dtype, "float32")
        batch = a_batch()
        one, two = (m._losses_of(batch, training=False) for m in (full, mixed))
        for name in ("kl", "words", "layout"):
            self.assertEqual(two[name].dtype, tf.float32)
            np.testing.assert_allclose(one[name], two[name], rtol=0.1)
        mixed.train_step(batch)
        for weight in mixed.weights:
            self.assertTrue(np.isfinite(weight).all())

    def test_a_checkpoint_has_both_optimizers(self):
        models, folder = [compiled(), compiled()], str(self.folder)
        keepers = [Keeper(m, folder, folder, 1, 1, 1, 0) for m in models]
        models[0].train_step(a_batch())
        keepers[0].piece.assign(1)
        keepers[0].manager.save()
        self.assertEqual(keepers[1].restore(), 1)
        for one, two in zip(
            [*models[0].weights, *models[0].discriminator_optimizer.variables],
            [*models[1].weights, *models[1].discriminator_optimizer.variables],
            strict=True,
        ):
            np.testing.assert_array_equal(one, two)


class TextToImageTest(SemCompTestCase):
    def test_runs_come_back(self):
        model = compiled()
        model.train_step(a_batch())
        runs.save(model, str(self.folder), {})
        again = text_to_image.load_run(str(self.folder))
        config = json.loads(json.dumps(model.get_config()))
        self.assertEqual(json.loads(json.dumps(again.get_config())), config)
        np.testing.assert_array_equal(
            again.generate(words(), noise()), model.generate(words(), noise())
        )
        fresh = a_model()
        fresh.take_weights(again)
        for one, two in zip(fresh.weights, model.weights, strict=True):
            np.testing.assert_array_equal(one, two)

    def test_generate_has_stock_operations_only(self):
        model = a_model()
        spec = [tf.TensorSpec([None, T], tf.int32), tf.TensorSpec([None, 5])]
        function = tf.function(model.generate, input_signature=spec)
        found = function(words(), noise())
        np.testing.assert_allclose(found, model.generate(words(), noise()), atol=1e-2)
        self.assert_xla_clean(model.generate, words(), noise())

    @parameterized.named_parameters(
        ("size", lambda: TextToImage("huge", damsm.TextSize(9)), "`size`.*small"),
        ("mode", lambda: a_model(gan_mode="wgan"), "`gan_mode`.*hinge"),
        ("first", lambda: TextToImageSize(4, 4, first=24), "`first`.*64"),
        ("stages", lambda: TextToImageSize(4, 4, stages=0), "'stages'.*at least 1"),
        ("weights", lambda: LossWeights(kl=-1.0), "negative; got \\['kl'\\]"),
    )
    def test_refuses(self, call, message):
        with self.assertRaisesRegex(ValueError, message):
            call()

    def test_refuses_a_text_encoder_of_another_size(self):
        text = damsm.TextSize(VOCABULARY + 1, T, DAMSM.embedding, DAMSM.width)
        with self.assertRaisesRegex(ValueError, "`damsm` has"):
            TextToImage(SIZE, text).take_text(a_damsm())

    def test_parameters_of_small(self):
        text = damsm.TextSize(1600, 18, 128, 128)
        model = TextToImage("small", text)
        model.create_weights()
        counts = [
            sum(int(np.prod(w.shape)) for w in weights) / 1e6
            for weights in (model.trainable_weights, model.judging_weights)
        ]
        self.assertAlmostEqual(counts[0], 3.09, delta=0.01)
        self.assertAlmostEqual(counts[1], 6.45, delta=0.01)
