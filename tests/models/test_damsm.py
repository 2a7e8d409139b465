import dataclasses
import json

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tests.metrics.networks import weights_file
from tests.models.text_to_image_models import DAMSM, WORDS, T, a_batch, a_damsm
from tfsemcomp.errors import SemCompError
from tfsemcomp.models import damsm, runs
from tfsemcomp.models.damsm import Damsm, DamsmSize, TextSize


def compiled(model, rate=1e-2):
    model.compile(tf.keras.optimizers.Adam(rate))
    model.optimizer.build(model.trainable_variables)
    return model


def count(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


class TextEncoderTest(SemCompTestCase):
    def test_is_an_lstm_in_both_directions(self):
        encoder = a_damsm().text
        ids = [4, 9, 12]
        words, sentence, mask = encoder(tf.constant([[*ids, 2, 0, 0]]))
        np.testing.assert_array_equal(mask, [[True] * 3 + [False] * 3])
        embedded = encoder.embed.table.numpy()[ids].astype(float)
        half = DAMSM.width // 2
        directions = (
            (encoder.cells[0], embedded, 1),
            (encoder.cells[1], embedded[::-1], -1),
        )
        for number, (layer, inputs, step) in enumerate(directions):
            kernel, recurrent, bias = layer.get_weights()
            h, c, states = np.zeros(half), np.zeros(half), []
            for x in inputs:
                gates = np.split(x @ kernel + h @ recurrent + bias, 4)
                i, f, o = (1 / (1 + np.exp(-gates[k])) for k in (0, 1, 3))
                c = f * c + i * np.tanh(gates[2])
                h = o * np.tanh(c)
                states.append(h)
            part = slice(number * half, (number + 1) * half)
            np.testing.assert_allclose(words[0, :3, part], states[::step], atol=1e-5)
            np.testing.assert_allclose(sentence[0, part], states[-1], atol=1e-5)

    def test_ends_and_padding_are_no_words(self):
        encoder = a_damsm().text
        rows = tf.constant([[4, 9, 2, 0, 0, 0], [4, 9, 0, 0, 0, 0]])
        for found in encoder(rows):
            np.testing.assert_array_equal(found[0], found[1])

    def test_no_words_are_zeros(self):
        words, sentence, mask = a_damsm().text(tf.zeros([1, T], tf.int32))
        for found in (words, sentence, tf.cast(mask, tf.float32)):
            np.testing.assert_array_equal(found, 0)

    def test_numbers_beyond_the_vocabulary_are_unknown(self):
        encoder = a_damsm().text
        rows = tf.constant([[4, 999, 5, 0, 0, 0], [4, 3, 5, 0, 0, 0]])
        for found in encoder(rows):
            np.testing.assert_array_equal(found[0], found[1])

    def test_dropout_in_training_only(self):
        encoder, rows = a_damsm().text, tf.constant(WORDS)
        found = [encoder(rows, training=flag)[1] for flag in (True, True, False, None)]
        self.assertFalse(np.array_equal(found[0], found[1]))
        np.testing.assert_array_equal(found[2], found[3])


class DamsmTest(SemCompTestCase):
    def test_the_paper_s_shapes(self):
        # Not in a graph of its own: there Keras would turn the classes of layers
        # that networks of other tests have into those of TensorFlow 1.
        model = Damsm("paper", 5450)
        x = tf.zeros([2, 256, 256, 3])
        regions, picture = model.pictures(x)
        words, sentence, _ = model.text(tf.zeros([2, 18], tf.int32))
        self.assertEqual(regions.shape, (2, 17 * 17, 256))
        self.assertEqual(picture.shape, (2, 256))
        self.assertEqual(words.shape, (2, 18, 256))
        self.assertEqual(sentence.shape, (2, 256))
        lstm = 2 * 4 * (300 * 128 + 128 * 128 + 128)
        self.assertEqual(count(model.text.weights), 5450 * 300 + lstm)
        linear = 768 * 256 + 2048 * 256 + 256
        trained = count(model.pictures.trainable_weights)
        self.assertEqual(trained, linear)

    def test_parameters_of_small(self):
        # Not in a graph of its own: there Keras would turn the classes of layers
        # that networks of other tests have into those of TensorFlow 1.
        model = Damsm("small", 1600)
        model.create_weights()
        # Of them 2.1 millions are MobileNet's.
        self.assertAlmostEqual(count(model.weights) / 1e6, 2.7, delta=0.1)
        lstm = 2 * 4 * (128 * 64 + 64 * 64 + 64)
        linear = 512 * 128 + 1024 * 128 + 128
        self.assertEqual(count(model.trainable_weights), 1600 * 128 + lstm + linear)

    def test_frozen_trunks_take_weights(self):
        model = Damsm("small", 20, T)
        model.create_weights()
        model.take_trunk(weights_file("MobileNet"))
        with np.load(weights_file("MobileNet")) as arrays:
            kernel = model.pictures.trunk.get_layer("conv1").get_weights()[0]
            np.testing.assert_array_equal(kernel, arrays["conv1/kernel"])
        before = [weight.numpy() for weight in model.pictures.trunk.weights]
        compiled(model).train_step(a_batch(side=32))
        for weight, value in zip(model.pictures.trunk.weights, before, strict=True):
            np.testing.assert_array_equal(weight, value)

    def test_learns_four_pictures(self):
        model, batch = compiled(a_damsm()), a_batch(4)
        step = tf.function(model.train_step)
        first = float(step(batch)["loss"])
        for _ in range(60):
            step(batch)
        model.reset_metrics()
        # A caption without its right picture costs log 4 each way.
        self.assertLess(float(step(batch)["loss"]), 0.5 * first)

    def test_pictures_are_scaled_to_the_trunk(self):
        model, batch = a_damsm(), a_batch()
        x = tf.cast(batch["image"], tf.float32)
        small = tf.image.resize(x, [DAMSM.side] * 2)
        for one, two in zip(model.pictures(x), model.pictures(small), strict=True):
            np.testing.assert_allclose(one, two, atol=1e-4)

    def test_the_step_is_xla_clean(self):
        model = compiled(a_damsm())
        self.assert_xla_clean(model.train_step, a_batch())

    def test_runs_come_back(self):
        model = compiled(a_damsm())
        model.train_step(a_batch())
        runs.save(model, str(self.folder), {})
        again = damsm.load_run(str(self.folder))
        config = json.loads(json.dumps(model.get_config()))
        self.assertEqual(json.loads(json.dumps(again.get_config())), config)
        found = [m(a_batch()) for m in (model, again)]
        for one, two in zip(*found, strict=True):
            np.testing.assert_array_equal(one, two)
        fresh = a_damsm()
        fresh.take_weights(again)
        np.testing.assert_array_equal(fresh.text.embed.table, model.text.embed.table)

    @parameterized.named_parameters(
        ("size", lambda: Damsm("huge"), "`size`.*small"),
        ("trunk", lambda: DamsmSize("vgg", 32, 8, 8), "`trunk`.*mobilenet"),
        ("convolutions", lambda: DamsmSize("conv", 32, 8, 8), "`convolutions`"),
        ("width", lambda: TextSize(20, width=7), "`width`"),
        ("vocabulary", lambda: TextSize(3), "`vocabulary`"),
        ("own", lambda: a_damsm().take_trunk("imagenet"), "'conv' is trained"),
    )
    def test_refuses(self, call, message):
        with self.assertRaisesRegex(ValueError, message):
            call()

    def test_refuses_weights_of_another_shape(self):
        other = a_damsm(dataclasses.replace(DAMSM, embedding=7))
        with self.assertRaisesRegex(ValueError, "`other`"):
            a_damsm().take_weights(other)

    def test_missing_weights_of_inception(self):
        with self.assertRaisesRegex(SemCompError, "nowhere.h5: no such file"):
            damsm._load_inception("nowhere.h5")
