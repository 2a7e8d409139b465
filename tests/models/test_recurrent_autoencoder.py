import dataclasses
import math

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase, noise_image
from tests.models.recurrent_networks import SIZES, a_model, features, pictures
from tfsemcomp.errors import SemCompError
from tfsemcomp.models import (
    recurrent_autoencoder,
    recurrent_transforms,
    runs,
)
from tfsemcomp.models.recurrent_autoencoder import RecurrentAutoencoder, RecurrentSize


def compiled(model, rate=1e-3, **options):
    optimizer = tf.keras.optimizers.Adam(
        rate, global_clipnorm=1.0, use_ema=True, ema_momentum=0.9
    )
    model.compile(optimizer, **options)
    optimizer.build(model.trainable_variables)
    return model


def a_batch(count=2, side=32):
    return {"image": tf.constant(pictures(count, side, side))}


def count_of(layer):
    return sum(math.prod(weight.shape) for weight in layer.weights)


class RecurrentAutoencoderTest(SemCompTestCase):
    def test_parameters_are_those_published(self):
        parts = a_model("paper").transforms
        encoders = [count_of(cell) for cell in parts.encoders]
        self.assertEqual(encoders, [638_976, 4_325_376, 7_864_320])
        decoders = [count_of(cell) for cell in parts.decoders]
        self.assertEqual(decoders, [3_932_160, 2_555_904, 2_654_208, 663_552])
        self.assertEqual(count_of(parts.first), 1_792)
        self.assertEqual(count_of(parts.to_bits), 16_416)
        self.assertEqual(count_of(parts.from_bits), 16_896)
        self.assertEqual(count_of(parts.last), 99)
        self.assertEqual(round(count_of(parts) / 1e6, 2), 22.67)

    @parameterized.parameters(
        ("paper", "lstm", 30.24), ("small-conv", "gru", 5.68), ("tiny", "gru", 0.15)
    )
    def test_parameters_of_other_sizes(self, size, cell, millions):
        parts = a_model(size, cell=cell).transforms
        self.assertEqual(round(count_of(parts) / 1e6, 2), millions)

    @parameterized.product(
        size=SIZES,
        cell=("gru", "lstm"),
        reconstruction=recurrent_autoencoder.RECONSTRUCTIONS,
    )
    def test_shapes_and_codes(self, size, cell, reconstruction):
        model = a_model(size, cell=cell, reconstruction=reconstruction)
        for training in (False, True):
            found = model(tf.zeros([2, 48, 32, 3]), training=training)
            self.assertEqual(tuple(found["x_hat"].shape), (4, 2, 48, 32, 3))
            self.assertEqual(tuple(found["codes"].shape), (4, 2, 3, 2, 32))
            self.assertEqual(set(np.unique(found["codes"])) - {-1, 1}, set())

    @parameterized.parameters(*SIZES)
    def test_a_decoder_with_the_codes_alone_gets_the_picture(self, size):
        for reconstruction in recurrent_autoencoder.RECONSTRUCTIONS:
            model = a_model(size, 0.01, reconstruction=reconstruction)
            found = model(tf.cast(pictures(), tf.float32))
            grid = 2, 2, 2
            estimate = model.transforms.zero_estimate(*grid)
            state = model.transforms.decoder_state(*grid)
            condition = model.condition(tf.zeros([2]))
            for iteration, codes in enumerate(found["codes"]):
                estimate, state = model.decode_step(
                    codes, estimate, state, iteration, condition
                )
                picture = model.transforms.finish(estimate, iteration, condition)
                np.testing.assert_allclose(
                    picture, found["x_hat"][iteration], rtol=1e-4, atol=1e-2
                )

    @parameterized.parameters(*SIZES)
    def test_what_a_residual_is(self, size):
        """Additive and oneshot: what is left of the source, not of the last change."""
        for reconstruction in recurrent_autoencoder.RECONSTRUCTIONS:
            model = a_model(size, 0.01, reconstruction=reconstruction)
            seen = []
            encode = model.transforms.encode

            def spy(residual, *args, encode=encode, seen=seen):
                seen.append(residual)
                return encode(residual, *args)

            model.transforms.encode = spy
            x = tf.cast(pictures(), tf.float32)
            found = model(x)
            source = model.transforms.prepare(x)
            np.testing.assert_array_equal(seen[0], source)
            if size == "tiny":
                # Its pictures are the estimates, denormalised.
                for before, residual in zip(found["x_hat"], seen[1:], strict=False):
                    expected = source - model.transforms.prepare(before)
                    np.testing.assert_allclose(residual, expected, atol=1e-4)

    def test_our_start_is_a_progressive_codec(self):
        model = a_model("tiny-dct")
        x = tf.cast(pictures(4, 64, 64), tf.float32)
        errors = tf.reduce_mean((model(x)["x_hat"] - x) ** 2, axis=(2, 3, 4)).numpy()
        flat = tf.math.reduce_variance(x, axis=(1, 2)).numpy().mean()
        self.assertLess(errors[0].mean(), 0.7 * flat)
        self.assertTrue((np.diff(errors.mean(axis=1)) < 0).all(), errors)

    def test_later_rounds_see_earlier_bits(self):
        start = recurrent_transforms.successive_approximation(32, 2)
        rounds = np.arange(32) // (32 // recurrent_transforms.ROUNDS)
        told = start.ladder[0] != 0
        self.assertTrue(told.any())
        self.assertFalse(told[rounds[:, None] >= rounds[None]].any())
        # Each bit refines one coefficient, and moves it the way its logit points.
        for forward, backward in zip(start.forward, start.backward, strict=True):
            np.testing.assert_array_equal((forward > 0).sum(axis=0), 1)
            np.testing.assert_array_equal(forward.T > 0, backward > 0)
        with self.assertRaisesRegex(ValueError, "`bits` must be a multiple of 8"):
            recurrent_transforms.successive_approximation(30, 2)

    def test_bits_are_drawn_in_training_only(self):
        logits = tf.fill([4, 1000], math.atanh(0.5))
        drawn = recurrent_transforms.binarise(logits, True, stochastic=True)
        self.assertBetween(float(tf.reduce_mean(tf.cast(drawn > 0, float))), 0.7, 0.8)
        for training, stochastic in ((False, True), (True, False), (None, True)):
            fixed = recurrent_transforms.binarise(logits, training, stochastic)
            np.testing.assert_array_equal(fixed, 1)
        zero = recurrent_transforms.binarise(tf.zeros([3]), False)
        np.testing.assert_array_equal(zero, 1)
        x = tf.cast(pictures(), tf.float32)
        model = a_model("tiny")
        again = [model(x, training=training)["codes"] for training in (False, False)]
        np.testing.assert_array_equal(*again)
        self.assertFalse(np.array_equal(model(x, training=True)["codes"], again[0]))

    def test_gradients_pass_the_bits(self):
        logits = tf.constant([-2.0, -0.1, 0.0, 0.7])
        with tf.GradientTape() as tape:
            tape.watch(logits)
            bits = recurrent_transforms.binarise(logits, True)
        expected = 1 - np.tanh(logits) ** 2
        np.testing.assert_allclose(tape.gradient(bits, logits), expected, rtol=1e-5)

    @parameterized.parameters(*SIZES)
    def test_stopped_cells_send_nothing(self, size):
        model = a_model(size, 0.01)
        x = tf.cast(pictures(), tf.float32)
        stops = tf.constant([[[0, 1], [2, 4]], [[4, 4], [4, 4]]])
        codes = model(x, stops=stops)["codes"].numpy()
        for iteration in range(4):
            takes_part = np.abs(codes[iteration]).max(axis=-1)
            np.testing.assert_array_equal(takes_part, stops.numpy() > iteration)

    @parameterized.parameters(("tiny", "lstm", 0.5), ("tiny-dct", "gru", None))
    def test_train_step_is_xla_clean(self, size, cell, machine_weight):
        model = a_model(
            size,
            cell=cell,
            machine_weight=machine_weight,
            beta=1.0,
            pixel_weight=0.1,
            masked=0.5,
        )
        compiled(model, features=None if machine_weight == 0 else features)
        self.assert_xla_clean(model.train_step, a_batch())

    @parameterized.product(size=SIZES, machine_weight=(0.0, 1.0))
    def test_learns_a_picture(self, size, machine_weight):
        model = a_model(size, machine_weight=machine_weight, beta=0.1)
        compiled(model, 3e-3, features=features, feature_scale=0.1)
        batch = a_batch()
        first = float(model.test_step(batch)["loss"])
        step = tf.function(model.train_step)
        for _ in range(30):
            model.reset_metrics()
            self.assertTrue(np.isfinite(step(batch)["loss"]))
        model.reset_metrics()
        self.assertLess(float(model.test_step(batch)["loss"]), 0.9 * first)

    @parameterized.parameters(*SIZES)
    def test_every_weight_is_trained(self, size):
        model = a_model(size, 0.02, machine_weight=None, beta=1.0)
        compiled(model, features=features)
        before = [weight.numpy() for weight in model.trainable_variables]
        model.train_step(a_batch(4))
        for old, new in zip(before, model.trainable_variables, strict=True):
            self.assertFalse(np.array_equal(old, new), new.name)

    def test_one_convention_of_machine_weight(self):
        batch = a_batch()
        found = {}
        for weight in (0.0, 0.25, 1.0):
            model = a_model(machine_weight=weight)
            found[weight] = compiled(model, features=features).test_step(batch)
        human, machine = float(found[0.0]["human"]), float(found[0.0]["machine"])
        self.assertNotAlmostEqual(human, machine, places=0)
        for weight, expected in (
            (0.0, human),
            (0.25, 0.75 * human + 0.25 * machine),
            (1.0, machine),
        ):
            self.assertAlmostEqual(float(found[weight]["loss"]), expected, places=2)

    def test_the_human_loss_is_ms_ssim(self):
        x = tf.constant(pictures(2, 48, 48))
        model = compiled(a_model())
        found = model.test_step({"image": x})
        pixels = tf.cast(x, tf.float32)
        coded = tf.reshape(model(pixels)["x_hat"], [-1, 48, 48, 3])
        oracle = tf.image.ssim_multiscale(
            tf.tile(pixels, [4, 1, 1, 1]),
            coded,
            255,
            # Those that fit into 48 pixels.
            power_factors=np.array([0.0448, 0.2856, 0.3001]) / 0.6305,
        )
        expected = 5000 * (1 - float(tf.reduce_mean(oracle)))
        self.assertAlmostEqual(float(found["human"]), expected, delta=2)

    def test_features_may_count_alike(self):
        batch = a_batch()
        loud = {"features": lambda x: [1000 * features(x)[0], features(x)[1]]}
        model = a_model(machine_weight=1.0)
        plain = compiled(model, **loud).test_step(batch)["machine"]
        compiled(model, **loud, normalise_features=True)
        model.reset_metrics()
        relative = model.test_step(batch)["machine"]
        self.assertGreater(float(plain), 1e4)
        self.assertLess(float(relative), 1)

    def test_averages_of_features_may_count(self):
        model, batch = a_model(machine_weight=1.0), a_batch()
        found = {}
        for weight in (0.0, 1.0, 3.0):
            compiled(model, features=features, pooled_weight=weight)
            model.reset_metrics()
            found[weight] = float(model.test_step(batch)["machine"])
        x = tf.cast(batch["image"], tf.float32)
        error = tf.reduce_mean(model(x)["x_hat"] - x, axis=(2, 3)) ** 2
        # Both layers are averages of the picture, and so have its own.
        expected = float(tf.reduce_mean(error))
        self.assertAlmostEqual((found[1.0] - found[0.0]) / expected, 1, places=3)
        self.assertAlmostEqual((found[3.0] - found[0.0]) / expected, 3, places=3)

    def test_the_first_iterations_can_be_trained_alone(self):
        batch, found = a_batch(), {}
        for iterations in (1, 2, 4):
            model = compiled(a_model(beta=1.0), iterations=iterations)
            found[iterations] = model.test_step(batch)
        self.assertGreater(found[1]["loss"], found[2]["loss"])
        self.assertGreater(found[2]["loss"], found[4]["loss"])
        first = float(found[1]["ms_ssim_first"])
        self.assertAlmostEqual(first, float(found[4]["ms_ssim_first"]), places=5)
        self.assertEqual(first, float(found[1]["ms_ssim"]))
        with self.assertRaisesRegex(ValueError, "`iterations` must be from 1 to 4"):
            compiled(a_model(), iterations=5)
        with self.assertRaisesRegex(ValueError, "`pooled_weight`"):
            compiled(a_model(), pooled_weight=-1.0)

    def test_iterations_may_count_alike(self):
        batch, found = a_batch(), {}
        for even in (False, True):
            model = compiled(a_model(), even_iterations=even)
            with tf.GradientTape() as tape:
                loss = model._losses_of(batch, training=False)["loss"]
            gradient = tape.gradient(loss, model.transforms.backward)
            found[even] = loss, tf.convert_to_tensor(gradient).numpy()
        # The same in sum, but what is done last now counts for more.
        self.assertAlmostEqual(float(found[True][0] / found[False][0]), 1, places=4)
        share = {
            even: np.linalg.norm(gradient[-1]) / np.linalg.norm(gradient[0])
            for even, (_, gradient) in found.items()
        }
        self.assertGreater(share[True], 1.1 * share[False])

    def test_the_rate_counts_bits(self):
        model = compiled(a_model(beta=1.0))
        found = model.test_step(a_batch())
        # Before it learns, the predictor takes a bit for a bit: 32 for 256 pixels.
        self.assertAlmostEqual(float(found["bpp"]), 0.125, places=5)
        expected = float(found["human"]) * 1.125
        self.assertAlmostEqual(float(found["loss"]) / expected, 1, places=2)
        stopped = model(
            tf.cast(pictures(), tf.float32), stops=tf.zeros([2, 2, 2], tf.int32)
        )
        np.testing.assert_array_equal(model.predictor(stopped["codes"]), 0)

    def test_mixed_precision_keeps_weights_and_losses_in_float32(self):
        policies = tf.keras.mixed_precision
        self.addCleanup(policies.set_global_policy, policies.global_policy())
        full = compiled(a_model("tiny"))
        policies.set_global_policy("mixed_bfloat16")
        mixed = compiled(a_model("tiny"))
        policies.set_global_policy("float32")
        mixed.set_weights(full.get_weights())
        self.assertEqual(mixed.transforms.encoders[0].compute_dtype, "bfloat16")
        for value in mixed.trainable_variables:
            self.assertEqual(value.dtype, tf.float32)
        batch = a_batch()
        expected, found = full.test_step(batch)["loss"], mixed.test_step(batch)["loss"]
        np.testing.assert_allclose(found, expected, rtol=0.06)
        mixed.reset_metrics()
        self.assertTrue(np.isfinite(mixed.train_step(batch)["loss"]))

    @parameterized.parameters(*SIZES)
    def test_weights_round_trip(self, size):
        model = a_model(size, 0.01, machine_weight=None, beta=0.5, masked=0.1)
        runs.save(model, f"{self.folder}/run", {"why": 1})
        again = recurrent_autoencoder.load_run(f"{self.folder}/run")
        self.assertEqual(again.get_config(), model.get_config())
        for mine, theirs in zip(model.weights, again.weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)

    def test_a_missing_run_is_one_line(self):
        with self.assertRaisesRegex(SemCompError, "run.json is not there"):
            recurrent_autoencoder.load_run(f"{self.folder}/none")

    def test_weights_of_another_model(self):
        human, dial = a_model(scatter=0.01), a_model(machine_weight=None)
        dial.take_weights(human)
        x = tf.cast(pictures(), tf.float32)
        np.testing.assert_array_equal(
            human(x)["codes"], dial(x, tf.zeros([2]))["codes"]
        )
        with self.assertRaisesRegex(ValueError, "must have the size and cell"):
            a_model("tiny").take_weights(human)

    def test_noise_and_flat_pictures_train(self):
        model = compiled(a_model(beta=1.0))
        flat = np.full((2, 32, 32, 3), 255, np.uint8)
        for image in (np.stack([noise_image(32, 32)] * 2), flat, 0 * flat):
            found = model.train_step({"image": tf.constant(image)})
            self.assertTrue(np.isfinite(found["loss"]))
        for weight in model.weights:
            self.assertTrue(np.isfinite(weight).all(), weight.name)

    @parameterized.parameters(
        ({"size": "huge"}, "`size` must be one of"),
        ({"cell": "rnn"}, "`cell` must be one of"),
        ({"reconstruction": "none"}, "`reconstruction` must be one of"),
        ({"machine_weight": 1.5}, r"`machine_weight` must be in \[0, 1\]"),
        ({"machine_weight": -0.1}, r"`machine_weight` must be in \[0, 1\]"),
        ({"beta": -1.0}, "`beta` and `pixel_weight`"),
        ({"masked": 2.0}, "`masked` must be"),
    )
    def test_wrong_arguments(self, options, message):
        with self.assertRaisesRegex(ValueError, message):
            RecurrentAutoencoder(**{"size": "tiny-dct", **options})

    def test_wrong_sizes(self):
        with self.assertRaisesRegex(ValueError, "`transform` must be"):
            RecurrentSize("wavelet")
        small = recurrent_autoencoder.SIZES["small"]
        with self.assertRaisesRegex(ValueError, "`iterations` must be"):
            dataclasses.replace(small, iterations=17)

    def test_machine_weight_needs_features(self):
        for weight in (0.5, 1.0, None):
            with self.assertRaisesRegex(ValueError, "`features` must be given"):
                compiled(a_model(machine_weight=weight))
