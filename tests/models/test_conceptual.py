import dataclasses
import json

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tests.models.conceptual_networks import (
    NETWORKS,
    SIDE,
    SIZE,
    a_batch,
    a_model,
    compiled,
    features,
    lent,
)
from tfsemcomp.layers import spectral_norm
from tfsemcomp.losses import distortion
from tfsemcomp.models import conceptual, runs
from tfsemcomp.models.conceptual import Conceptual, ConceptualSize, LossWeights
from tfsemcomp.models.conceptual_structure import Degradation
from tfsemcomp.training.callbacks import Keeper


def gradients(model, weights, batch):
    """Those of one draw of everything random, as arrays."""
    model.loss_weights = weights
    tf.keras.utils.set_random_seed(3)
    _, found = model.gradients(batch)
    return {name: [np.array(g) for g in each] for name, each in found.items()}


def are_close(one, other):
    pairs = zip(one, other, strict=True)
    return all(np.allclose(a, b, rtol=1e-3, atol=1e-6) for a, b in pairs)


class LossTest(SemCompTestCase):
    def test_is_the_weighted_sum_of_its_terms(self):
        weights = LossWeights(2.0, 3.0, 5.0, 7.0, 11.0, 0.13)
        model = lent(weights=weights, _features=features)
        found = model._losses_of(a_batch(), training=False)
        self.assertGreater(found["features"], 0)
        expected = 0.13 * found["prior"] + found["judging"]
        for name in ("gan", "l1", "ssim", "features", "latent"):
            expected += getattr(weights, name) * found[name]
        np.testing.assert_allclose(found["loss"], expected, rtol=1e-5)

    def test_published_weights(self):
        weights = conceptual.WEIGHTS["hf_gan"]
        found = (weights.gan, weights.l1, weights.ssim, weights.features)
        self.assertEqual(found, (1.0, 10.0, 25.0, 0.3))
        self.assertEqual((weights.latent, weights.prior), (1.0, 0.01))
        weights = conceptual.WEIGHTS["unet"]
        self.assertEqual((weights.ssim, weights.features), (0.0, 0.0))

    def test_pictures_are_compared_in_their_whole_range(self):
        model, batch = lent(), a_batch()
        found = model._losses_of(batch, training=False)
        x = tf.cast(batch["image"], tf.float32)
        structure = tf.cast(batch["planes"][..., :1] >= 109, tf.float32)
        x_hat = model(x, structure)
        l1 = np.mean(np.abs(x - x_hat)) / 127.5
        np.testing.assert_allclose(found["l1"], l1, rtol=1e-4)
        ssim = np.mean(1 - distortion.ssim(x, x_hat))
        np.testing.assert_allclose(found["ssim"], ssim, rtol=1e-4)

    @parameterized.parameters("l1", "real", "prior", "latent")
    def test_every_picture_of_a_batch_counts(self, name):
        # A published code left out the second half.
        model, batch = lent(), a_batch(2)
        before = model._losses_of(batch, training=False)[name]
        image = batch["image"].numpy()
        image[1, : SIDE // 2] = 255 - image[1, : SIDE // 2]
        changed = {**batch, "image": tf.constant(image)}
        after = model._losses_of(changed, training=False)[name]
        self.assertGreater(abs(float(after - before)), 1e-7)

    @parameterized.parameters(*conceptual.LATENTS)
    def test_the_latents_cost_is_that_of_one_picture(self, latent):
        model, batch = lent(latent=latent), a_batch(1)
        twice = {name: tf.repeat(value, 2, axis=0) for name, value in batch.items()}
        for name in ("prior", "bits"):
            one, two = (
                model._losses_of(b, training=False)[name] for b in (batch, twice)
            )
            np.testing.assert_allclose(one, two, rtol=1e-5)

    def test_kl_by_hand(self):
        model = lent(latent="kl")
        x = tf.cast(a_batch()["image"], tf.float32) / 127.5 - 1
        mean, spread = (np.array(value, np.float64) for value in model.encoder(x))
        _, nats, _ = model._draw_latent(x, training=True)
        terms = 1 + spread - mean**2 - np.exp(spread)
        np.testing.assert_allclose(nats, -0.5 * terms.sum(axis=(1, 2, 3)), rtol=1e-3)

    def test_ramps(self):
        model = lent()
        expected = {0: 0, 1: 0, 2: 0.25, 4: 0.75, 5: 1, 9: 1}
        for step, share in expected.items():
            model.optimizer.iterations.assign(step)
            self.assertAlmostEqual(float(model._ramp((2, 5))), share)
            self.assertEqual(float(model._ramp((0, 0))), 1)


class GradientTest(SemCompTestCase):
    def test_each_network_learns_from_its_own_losses(self):
        model, batch = lent(), a_batch()
        plain = LossWeights(latent=0.0, prior=0.0)
        base = gradients(model, plain, batch)
        # The latent's error trains the generator alone, or it would hide the code.
        latent = gradients(model, dataclasses.replace(plain, latent=50.0), batch)
        self.assertTrue(are_close(latent["coder"], base["coder"]))
        self.assertFalse(are_close(latent["generator"], base["generator"]))
        prior = gradients(model, dataclasses.replace(plain, prior=5.0), batch)
        self.assertTrue(are_close(prior["generator"], base["generator"]))
        self.assertFalse(are_close(prior["coder"], base["coder"]))
        for other in (latent, prior):
            self.assertTrue(are_close(other["discriminators"], base["discriminators"]))
        penalty = gradients(model, dataclasses.replace(plain, r1=5.0), batch)
        self.assertTrue(are_close(penalty["generator"], base["generator"]))
        self.assertFalse(are_close(penalty["discriminators"], base["discriminators"]))

    def test_all_of_them_are_taken_before_any_weight_changes(self):
        # A published code let the encoder's flow through a generator that had moved.
        model, batch, weights = a_model(), a_batch(), LossWeights()
        optimizers = [tf.keras.optimizers.SGD(1.0) for _ in range(2)]
        model.compile(*optimizers, weights)
        expected = gradients(model, weights, batch)["coder"]
        before = [weight.numpy() for weight in model.coder_weights]
        # Without its step of power iteration, kernels are what they were above.
        update, spectral_norm.update = spectral_norm.update, lambda network: None
        self.addCleanup(setattr, spectral_norm, "update", update)
        tf.keras.utils.set_random_seed(3)
        model.train_step(batch)
        for old, weight, step in zip(
            before, model.coder_weights, expected, strict=True
        ):
            np.testing.assert_allclose(
                old - weight, step, rtol=1e-3, atol=1e-5, err_msg=weight.name
            )

    @parameterized.parameters(*NETWORKS)
    def test_every_weight_is_trained(self, variant, latent):
        model = lent(variant, latent)
        weights = [*model.trainable_weights, *model.discriminators.trainable_weights]
        before = [weight.numpy() for weight in weights]
        # A unit Gaussian has nothing to train; every other weight is somebody's.
        self.assertLen(weights, len(super(Conceptual, model).trainable_weights))
        model.train_step(a_batch())
        still = [
            weight.name
            for old, weight in zip(before, weights, strict=True)
            if np.array_equal(old, weight)
        ]
        # Nothing is left of a constant that the next step normalises away.
        idle = [name for name in still if "bias" not in name]
        self.assertEqual(idle, [])

    def test_spectral_norms_go_on_after_a_validation(self):
        model, batch = lent(), a_batch()
        convolutions = spectral_norm.convolutions(model)
        states = [[layer.u.numpy() for layer in convolutions]]
        for step in (model.train_step, model.test_step, model.train_step):
            step(batch)
            states.append([layer.u.numpy() for layer in convolutions])
        start, trained, tested, again = states
        for one, two in ((start, trained), (tested, again)):
            moved = [not np.array_equal(a, b) for a, b in zip(one, two, strict=True)]
            # The last judge has one channel, and u nowhere to turn.
            self.assertGreaterEqual(sum(moved), len(moved) - 2)
        for one, two in zip(trained, tested, strict=True):
            np.testing.assert_array_equal(one, two)

    def test_textureless_pictures_come_from_edges_alone(self):
        plan = Degradation((1,), (0.4, 0.4), 0.0)
        model, batch = lent(textureless=1.0, degradation=plan), a_batch()
        batch["planes"] = batch["planes"][..., :1]
        found = model._losses_of(batch, training=True)["l1"]
        x = tf.cast(batch["image"], tf.float32)
        structure = tf.cast(batch["planes"] > 0, tf.float32)
        drawn = model.synthesize(structure, tf.zeros([2, 1, 1, 3]))[-1]
        np.testing.assert_allclose(found, np.mean(np.abs(x - drawn)) / 127.5, rtol=1e-4)


class TrainingTest(SemCompTestCase):
    def test_learns_four_pictures(self):
        weights = LossWeights(gan=0.1, ssim=1.0, latent=0.0, prior=1e-4)
        model = a_model(ConceptualSize(4, 4, 4, 4, stages=5))
        plan = Degradation((1,), dropout=0.0)
        model = compiled(model, 5e-3, weights, degradation=plan)
        batch = a_batch(4)
        first = float(model.test_step(batch)["l1"])
        step = tf.function(model.train_step)
        for _ in range(60):
            self.assertTrue(np.isfinite(step(batch)["loss"]))
        model.reset_metrics()
        self.assertLess(float(model.test_step(batch)["l1"]), 0.5 * first)

    @parameterized.parameters(
        ("hf_gan", "rate", LossWeights(r1=1.0)), ("unet", "kl", LossWeights())
    )
    def test_train_step_is_xla_clean(self, variant, latent, weights):
        model = lent(variant, latent, weights, textureless=0.1)
        self.assert_xla_clean(model.train_step, a_batch())

    def test_mixed_precision_leaves_latents_and_losses_in_float32(self):
        policies = tf.keras.mixed_precision
        self.addCleanup(policies.set_global_policy, policies.global_policy())
        full = lent()
        policies.set_global_policy("mixed_bfloat16")
        mixed = compiled(a_model())
        policies.set_global_policy("float32")
        mixed.set_weights(full.get_weights())
        for network in (mixed.encoder, mixed.generator, mixed.discriminators):
            self.assertEqual(network.compute_dtype, "bfloat16")
        for weight in mixed.weights:
            self.assertEqual(weight.dtype, tf.float32)
        batch = a_batch()
        found, expected = (
            model._losses_of(batch, training=False) for model in (mixed, full)
        )
        for name in ("l1", "ssim", "gan"):
            self.assertEqual(found[name].dtype, tf.float32)
            np.testing.assert_allclose(found[name], expected[name], rtol=0.1)
        mixed.train_step(batch)
        for weight in mixed.weights:
            self.assertTrue(np.isfinite(weight).all())

    def test_a_checkpoint_has_both_optimizers(self):
        batch = a_batch()
        models = [lent(), compiled(a_model())]
        folder = str(self.folder)
        keepers = [Keeper(m, folder, folder, 1, 1, 1, 0) for m in models]
        models[0].train_step(batch)
        keepers[0].piece.assign(1)
        keepers[0].manager.save()
        self.assertEqual(keepers[1].restore(), 1)
        for model in models:
            self.assertGreater(int(model.discriminator_optimizer.iterations), 0)
        for one, two in zip(
            [*models[0].weights, *models[0].discriminator_optimizer.variables],
            [*models[1].weights, *models[1].discriminator_optimizer.variables],
            strict=True,
        ):
            np.testing.assert_array_equal(one, two)


class LatentTest(SemCompTestCase):
    def test_symbols_count_steps(self):
        model = lent()
        model.log_step.assign(tf.math.log([0.01] * 3))
        x = tf.cast(a_batch()["image"], tf.float32)
        mean, _ = model.encoder(x / 127.5 - 1)
        symbols = model.analyze(x)
        np.testing.assert_array_equal(symbols, np.round(symbols))
        np.testing.assert_allclose(symbols * 0.01, mean, atol=0.0051)

    def test_decoding_symbols_is_coding_in_one_go(self):
        for network in NETWORKS:
            model = lent(**network)
            x = tf.cast(a_batch()["image"], tf.float32)
            structure = tf.cast(a_batch()["planes"][..., :1] > 0, tf.float32)
            drawn = model.synthesize(structure, model.analyze(x))[-1]
            np.testing.assert_allclose(model(x, structure), drawn, atol=1e-2)


class ConceptualTest(SemCompTestCase):
    @parameterized.named_parameters(
        ("size", {"size": "huge"}, "`size`.*small"),
        ("variant", {"variant": "vae"}, "`variant`.*unet"),
        ("latent", {"latent": "vq"}, "`latent`.*kl"),
        ("step", {"step": 0.0}, "`step`"),
        ("gan_mode", {"gan_mode": "lsgan"}, "`gan_mode`.*hinge"),
        ("textureless", {"textureless": 2.0}, "`textureless`"),
    )
    def test_wrong_arguments(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            Conceptual(**{"size": SIZE, **arguments})

    @parameterized.parameters(
        ({"stages": 8}, "`stages`"),
        ({"stages": 6, "grid": True}, "`grid`.*7 `stages`"),
        ({"latents": 0}, "must be positive"),
    )
    def test_wrong_sizes(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(SIZE, **changes)

    @parameterized.parameters(
        ({"l1": -1.0}, "negative; got \\['l1'\\]"), ({"gan_ramp": (5, 2)}, "`gan_ramp`")
    )
    def test_wrong_weights(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            LossWeights(**changes)

    def test_the_small_one_has_about_five_millions(self):
        model = Conceptual("small")
        model.create_weights()
        count = sum(np.prod(weight.shape) for weight in model.trainable_weights)
        self.assertBetween(count / 1e6, 4.5, 5.2)

    @parameterized.parameters(*NETWORKS)
    def test_runs_come_back(self, variant, latent):
        model = lent(variant, latent)
        rng = np.random.default_rng(2)
        for weight in model.weights:
            weight.assign_add(rng.normal(0, 0.01, weight.shape))
        runs.save(model, str(self.folder), {})
        again = conceptual.load_run(str(self.folder))
        config = json.loads(json.dumps(model.get_config()))
        self.assertEqual(json.loads(json.dumps(again.get_config())), config)
        self.assertEqual(again.size, SIZE)
        for one, two in zip(model.weights, again.weights, strict=True):
            np.testing.assert_array_equal(one, two)

    def test_takes_weights_of_its_like_only(self):
        model, other = a_model(), lent()
        other.log_step.assign_add(tf.ones([3]))
        model.take_weights(other)
        np.testing.assert_array_equal(model.log_step, other.log_step)
        with self.assertRaisesRegex(ValueError, "`other`"):
            model.take_weights(lent("unet"))
