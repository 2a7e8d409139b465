import json
import math

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase, noise_image
from tests.models.hyperprior_networks import NETWORKS, a_model, lively, pictures
from tfsemcomp.errors import SemCompError
from tfsemcomp.layers import block_dct
from tfsemcomp.models import hyperprior
from tfsemcomp.models.hyperprior import Hyperprior, HyperpriorSize

# Variance that independent errors of Y, Cb and Cr bring to the mean of R, G and B.
RGB_OVER_YCC = 1 + (1.402**2 + 0.714**2 + 0.344**2 + 1.772**2) / 3


def compiled(model, rate=1e-3):
    model.compile(
        tf.keras.optimizers.Adam(
            rate, global_clipnorm=1.0, use_ema=True, ema_momentum=0.9
        )
    )
    model.optimizer.build(model.trainable_variables)
    return model


def a_batch(count=2, side=64):
    return {"image": tf.constant(pictures(count, side))}


class HyperpriorTest(SemCompTestCase):
    @parameterized.parameters(
        ("paper", "factorized", 3.0),
        ("paper", "scale", 5.1),
        ("paper", "mean_scale", 7.0),
        ("paper-high", "factorized", 7.0),
        ("paper-high", "scale", 11.8),
        ("paper-high", "mean_scale", 17.6),
    )
    def test_parameters_are_those_published(self, size, variant, millions):
        count = sum(math.prod(w.shape) for w in a_model(size, variant).weights)
        self.assertEqual(round(count / 1e6, 1), millions)

    @parameterized.parameters(*NETWORKS)
    def test_shapes_and_dtypes(self, size, variant):
        model = a_model(size, variant, (0.01, 0.1))
        height, width = 2 * model.size.multiple, 3 * model.size.multiple
        x = tf.zeros([2, height, width, 3])
        for training in (False, True):
            found = model(x, tf.constant([1.0, 1.5]), training=training)
            self.assertEqual(
                {name: tuple(value.shape) for name, value in found.items()},
                {"x_hat": tuple(x.shape), "bits_y": (2,), "bits_z": (2,)},
            )
        stride = model.size.stride
        y = model.analyze(x, tf.ones([2]))
        expected = (2, height // stride, width // stride, model.size.channels)
        self.assertEqual(tuple(y.shape), expected)
        if variant == "factorized":
            np.testing.assert_array_equal(found["bits_z"], 0)
            return
        z = model.hyper_analyze(y)
        self.assertEqual(tuple(z.shape), (2, 2, 3, model.size.hyper_channels))
        mu, index = model.predict_y(z, tf.ones([2]))
        self.assertEqual(tuple(mu.shape), expected)
        self.assertEqual(tuple(index.shape), expected)
        if variant == "scale":
            np.testing.assert_array_equal(mu, 0)

    @parameterized.parameters(
        # Every variant with either transform and either distortion.
        ("tiny", "factorized", (0.013,), "mse"),
        ("tiny", "scale", (8.73, 16.64), "ms_ssim"),
        ("tiny", "mean_scale", (0.013, 0.05), "mse"),
        ("tiny-dct", "factorized", (8.73,), "ms_ssim"),
        ("tiny-dct", "scale", (0.013, 0.05), "mse"),
        ("tiny-dct", "mean_scale", (8.73, 16.64), "ms_ssim"),
    )
    def test_train_step_is_xla_clean(self, *network):
        model = compiled(a_model(*network))
        self.assert_xla_clean(model.train_step, a_batch())

    @parameterized.parameters(
        ("tiny", "mean_scale", (0.013,), "mse", 0.5),
        ("tiny-dct", "mean_scale", (0.13, 0.18), "mse", 0.85),
    )
    def test_learns_a_picture(self, size, variant, lmbdas, distortion, share):
        model = compiled(a_model(size, variant, lmbdas, distortion))
        batch = a_batch()
        first = float(model.test_step(batch)["loss"])
        step = tf.function(model.train_step)
        for _ in range(30):
            model.reset_metrics()
            self.assertTrue(np.isfinite(step(batch)["loss"]))
        model.reset_metrics()
        self.assertLess(float(model.test_step(batch)["loss"]), share * first)

    @parameterized.parameters(*NETWORKS)
    def test_every_weight_is_trained(self, size, variant):
        distortion = "ms_ssim" if size == "tiny-dct" else "mse"
        model = a_model(size, variant, (0.13, 0.5), distortion)
        model = compiled(lively(model))
        before = [weight.numpy() for weight in model.trainable_variables]
        model.train_step(a_batch(4))
        for old, new in zip(before, model.trainable_variables, strict=True):
            self.assertFalse(np.array_equal(old, new), new.name)

    def test_loss_is_rate_and_weighted_distortion(self):
        batch = a_batch()
        found = compiled(lively(a_model(lmbdas=(0.05,)))).test_step(batch)
        self.assertAlmostEqual(
            float(found["loss"]), float(0.05 * found["mse"] + found["bpp"]), places=2
        )
        model = lively(a_model("tiny-dct", lmbdas=(8.0,), distortion="ms_ssim"))
        found = compiled(model).test_step(batch)
        self.assertBetween(float(found["distortion"]), 0, 1)
        expected = float(8 * found["distortion"] + found["bpp"])
        self.assertAlmostEqual(float(found["loss"]), expected, places=3)

    @parameterized.parameters(*NETWORKS)
    def test_noise_is_for_the_rate_only(self, size, variant):
        model = lively(a_model(size, variant))
        x = tf.cast(pictures(2), tf.float32)
        one, two = (model(x, training=True) for _ in range(2))
        rounded, again = (model(x, training=False) for _ in range(2))
        np.testing.assert_allclose(one["x_hat"], rounded["x_hat"], atol=1e-2)
        self.assertFalse(np.array_equal(one["bits_y"], two["bits_y"]))
        for name, value in rounded.items():
            np.testing.assert_array_equal(value, again[name])
        # Noise is as long as rounding errors: rates agree in size.
        total = one["bits_y"] + one["bits_z"]
        expected = rounded["bits_y"] + rounded["bits_z"]
        np.testing.assert_allclose(total, expected, rtol=0.35)

    def test_mixed_precision_leaves_rates_and_losses_in_float32(self):
        policies = tf.keras.mixed_precision
        self.addCleanup(policies.set_global_policy, policies.global_policy())
        batch = a_batch(4)
        for network in NETWORKS[::2] + NETWORKS[-1:]:
            full = lively(a_model(**network, lmbdas=(0.013, 0.05)), scatter=0.002)
            full = compiled(full)
            policies.set_global_policy("mixed_bfloat16")
            mixed = compiled(a_model(**network, lmbdas=(0.013, 0.05)))
            policies.set_global_policy("float32")
            mixed.set_weights(full.get_weights())
            for transform in (mixed.g_a, mixed.g_s):
                learned = getattr(transform, "branch", transform)
                self.assertEqual(learned.compute_dtype, "bfloat16")
            found = mixed(tf.cast(batch["image"], tf.float32))
            for value in [*found.values(), *mixed.trainable_variables]:
                self.assertEqual(value.dtype, tf.float32)
            expected, got = full.test_step(batch), mixed.test_step(batch)
            # Eight bits a number: a few per cent in a net of random weights.
            for name in ("loss", "bpp", "mse"):
                np.testing.assert_allclose(
                    got[name], expected[name], rtol=0.06, err_msg=f"{network} {name}"
                )
            mixed.reset_metrics()
            self.assertTrue(np.isfinite(mixed.train_step(batch)["loss"]))

    def test_mixed_precision_is_xla_clean(self):
        policies = tf.keras.mixed_precision
        self.addCleanup(policies.set_global_policy, policies.global_policy())
        policies.set_global_policy("mixed_bfloat16")
        model = compiled(a_model("tiny-dct", lmbdas=(0.013, 0.05)))
        self.assert_xla_clean(model.train_step, a_batch())

    @parameterized.named_parameters(
        ("size", {"size": "huge"}, "`size`.*tiny-dct"),
        ("variant", {"variant": "joint"}, "`variant`.*mean_scale"),
        ("distortion", {"distortion": "lpips"}, "`distortion`.*ms_ssim"),
        ("no_rate", {"lmbdas": ()}, "`lmbdas` must be positive"),
        ("negative", {"lmbdas": (-1.0, 1.0)}, "`lmbdas` must be positive"),
        ("falling", {"lmbdas": (0.1, 0.01)}, "`lmbdas` must rise"),
        ("twice", {"lmbdas": (0.1, 0.1)}, "`lmbdas` must rise"),
    )
    def test_wrong_arguments(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            Hyperprior(**arguments)

    def test_wrong_sizes(self):
        with self.assertRaisesRegex(ValueError, "`transform`"):
            HyperpriorSize("wavelet", 8, 192)
        with self.assertRaisesRegex(ValueError, "192 `channels`; got 24"):
            HyperpriorSize("dct", 8, 24)


class GainsTest(SemCompTestCase):
    def test_levels_are_shares_of_the_neighbours(self):
        model = Hyperprior("tiny", lmbdas=(1.0, 2.0, 3.0))
        levels = model.levels(tf.constant([1.0, 1.25, 2.0, 3.0]))
        expected = [[1, 0, 0], [0.75, 0.25, 0], [0, 1, 0], [0, 0, 1]]
        np.testing.assert_allclose(levels, expected)

    def test_quality_sets_the_step(self):
        lmbdas = (0.01, 0.04, 0.16)
        model = a_model("tiny-dct", lmbdas=lmbdas)
        x = tf.cast(pictures(1, 32), tf.float32)
        steps = hyperprior._quantiser_steps(lmbdas, "mse")
        np.testing.assert_allclose(steps**2, 12 / (2 * np.log(2) * np.array(lmbdas)))
        coefficients = block_dct.BlockDct()(x) * block_dct.spread()
        for quality, step in ((1, steps[0]), (2, steps[1]), (3, steps[2])):
            y = model.analyze(x, tf.constant([float(quality)]))
            np.testing.assert_allclose(y, coefficients / step, rtol=1e-3, atol=1e-2)
        # In between, gains follow the lmbda in between.
        between = hyperprior._quantiser_steps([0.02], "mse")[0]
        y = model.analyze(x, tf.constant([1.5]))
        np.testing.assert_allclose(y, coefficients / between, rtol=1e-3, atol=1e-2)

    def test_gains_of_a_published_transform_start_around_one(self):
        model = a_model("tiny", lmbdas=(0.01, 0.04, 0.16))
        for weight, sign in ((model.log_gain, 1), (model.log_inverse_gain, -1)):
            expected = np.broadcast_to(sign * np.log([[0.5], [1], [2]]), weight.shape)
            np.testing.assert_allclose(weight, expected, atol=1e-6)

    def test_what_analysis_multiplies_synthesis_takes_off(self):
        model = a_model("tiny-dct", lmbdas=hyperprior.LMBDAS)
        x = tf.cast(pictures(3, 32), tf.float32)
        quality = tf.constant([1.0, 3.625, 8.0])
        back = model.synthesize(model.analyze(x, quality), quality)
        np.testing.assert_allclose(back, x, atol=0.01)

    def test_starts_as_a_quantiser_of_that_step(self):
        lmbdas = (0.05, 0.18)
        model = a_model("tiny-dct", lmbdas=lmbdas)
        x = tf.constant(noise_image(96, 96)[None], tf.float32)
        steps = hyperprior._quantiser_steps(lmbdas, "mse")
        for quality, step in ((1, steps[0]), (2, steps[1])):
            x_hat = model(x, tf.constant([float(quality)]))["x_hat"]
            mse = float(tf.reduce_mean((x - x_hat) ** 2))
            self.assertAlmostEqual(mse / (RGB_OVER_YCC * step**2 / 12), 1, delta=0.05)

    def test_either_distortion_starts_at_the_same_rates(self):
        ms_ssim = hyperprior._quantiser_steps(hyperprior.MS_SSIM_LMBDAS, "ms_ssim")
        mse = hyperprior._quantiser_steps(hyperprior.LMBDAS, "mse")
        np.testing.assert_allclose(ms_ssim, mse)

    def test_a_batch_spreads_over_the_qualities(self):
        model = Hyperprior("tiny", lmbdas=(1.0, 2.0, 3.0, 4.0))
        tf.keras.utils.set_random_seed(2)
        drawn = np.stack([model._draw_quality(8).numpy() for _ in range(200)])
        self.assertBetween(drawn.min(), 1, 1)
        self.assertBetween(drawn.max(), 4, 4)
        # Every batch has the low half and the high half.
        self.assertTrue(((drawn < 2.5).sum(axis=1) == 4).all())
        counts = np.histogram(drawn, bins=[1, 1.5, 2.5, 3.5, 4.01])[0]
        np.testing.assert_allclose(counts, 400, atol=20)

    def test_the_entropy_model_knows_the_gain(self):
        # A scale that h_s tells for gain 1 widens as the latents do.
        model = lively(a_model("tiny-dct", lmbdas=(0.01, 0.16)))
        z = tf.round(tf.random.stateless_normal([1, 2, 2, 8], [3, 4], stddev=3))
        (mu_1, index_1), (mu_2, index_2) = (
            model.predict_y(z, tf.constant([quality])) for quality in (1.0, 2.0)
        )
        gain = model.log_gain[1] - model.log_gain[0]
        shift = tf.broadcast_to(gain / hyperprior._LOG_STEP, index_1.shape)
        np.testing.assert_allclose(index_2 - index_1, shift, atol=1e-3)
        np.testing.assert_allclose(mu_2, mu_1 * tf.exp(gain), rtol=1e-4)


class TakeWeightsTest(SemCompTestCase):
    def test_equal_rates_copy(self):
        lmbdas = (0.01, 0.1)
        source = lively(a_model("tiny-dct", "scale", lmbdas))
        model = a_model("tiny-dct", "scale", lmbdas)
        model.take_weights(source)
        for mine, theirs in zip(model.weights, source.weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)

    @parameterized.parameters((hyperprior.LMBDAS[2:3],), (hyperprior.LMBDAS[1:7:2],))
    def test_a_shared_rate_codes_alike(self, lmbdas):
        source = lively(a_model("tiny-dct", lmbdas=hyperprior.LMBDAS))
        model = a_model("tiny-dct", lmbdas=lmbdas)
        model.take_weights(source)
        x = tf.cast(pictures(1, 32), tf.float32)
        for number, lmbda in enumerate(lmbdas, start=1):
            place = hyperprior.LMBDAS.index(lmbda) + 1
            got = model(x, tf.constant([float(number)]))
            expected = source(x, tf.constant([float(place)]))
            for name, value in expected.items():
                np.testing.assert_allclose(got[name], value, rtol=1e-3, atol=1e-2)

    def test_a_rate_between_gets_what_lies_between(self):
        source = lively(a_model("tiny-dct", lmbdas=(0.01, 0.04)))
        # As many rates, but others: the middle and one beyond the end.
        model = a_model("tiny-dct", lmbdas=(0.02, 0.08))
        model.take_weights(source)
        low, high = source.log_gain.numpy()
        np.testing.assert_allclose(model.log_gain, [(low + high) / 2, high], rtol=1e-5)
        low, high = source.g_s.branch.modulate[0].kernel.numpy()
        got = model.g_s.branch.modulate[0].kernel
        np.testing.assert_allclose(got, [(low + high) / 2, high], atol=1e-6)

    def test_one_rate_serves_all(self):
        source = lively(a_model("tiny-dct", lmbdas=(0.02,)))
        model = a_model("tiny-dct", lmbdas=(0.01, 0.02, 0.04))
        model.take_weights(source)
        for row in model.log_gain.numpy():
            np.testing.assert_array_equal(row, source.log_gain[0])

    def test_the_other_distortion_starts_from_the_rates_that_match(self):
        source = lively(a_model("tiny-dct", lmbdas=hyperprior.LMBDAS))
        lmbdas = hyperprior.MS_SSIM_LMBDAS[2:7:2]
        model = a_model("tiny-dct", lmbdas=lmbdas, distortion="ms_ssim")
        model.take_weights(source)
        np.testing.assert_allclose(model.log_gain, source.log_gain[2:7:2], atol=1e-5)

    def test_other_networks_are_refused(self):
        model = a_model("tiny-dct", lmbdas=(0.01, 0.02))
        for other in (a_model(), a_model("tiny-dct", "factorized")):
            with self.assertRaisesRegex(ValueError, "`other` has"):
                model.take_weights(other)
        narrow = HyperpriorSize("gdn", 16, 20)
        with self.assertRaisesRegex(ValueError, "same size"):
            a_model().take_weights(a_model(narrow))


class ConfigTest(SemCompTestCase):
    @parameterized.parameters(*NETWORKS)
    def test_round_trip(self, size, variant):
        model = Hyperprior(size, variant, (2.4, 8.73), "ms_ssim", name="a_name")
        config = json.loads(json.dumps(model.get_config()))
        again = Hyperprior.from_config(config)
        self.assertEqual(again.get_config(), model.get_config())
        self.assertEqual(again.size, hyperprior.SIZES[size])
        self.assertEqual(again.name, "a_name")

    @parameterized.parameters(*NETWORKS)
    def test_a_run_comes_back_whole(self, size, variant):
        model = lively(a_model(size, variant, (0.01, 0.02)))
        model.save_weights(str(self.folder / "model.weights.h5"))
        run = {"network": model.get_config()}
        (self.folder / "run.json").write_text(json.dumps(run))
        again = hyperprior.load_run(str(self.folder))
        self.assertNotEmpty(model.entropy_model.trainable_variables)
        for mine, theirs in zip(again.weights, model.weights, strict=True):
            np.testing.assert_array_equal(mine, theirs, err_msg=theirs.name)

    def test_weights_of_another_network_are_refused(self):
        path = str(self.folder / "model.weights.h5")
        a_model("tiny", "scale", (0.01, 0.02)).save_weights(path)
        with self.assertRaisesRegex(ValueError, "same size and variant"):
            a_model("tiny", "scale").load_weights(path)

    def test_no_run(self):
        with self.assertRaisesRegex(SemCompError, "run.json is not there"):
            hyperprior.load_run(str(self.folder))
