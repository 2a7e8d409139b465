import dataclasses
import json

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase, smooth_image
from tests.metrics.networks import weights_file
from tfsemcomp.models import captioner, msroi_cnn, runs
from tfsemcomp.models.captioner import Captioner, CaptionerSize
from tfsemcomp.semantics import captions, vocabulary
from tfsemcomp.semantics.vocabulary import END, PAD, START
from tfsemcomp.serving import export, manifest
from tfsemcomp.serving.runner import LocalRunner

SENTENCES = ("A dog runs.", "A brown dog sits on snow.", "Two men, running.")
WORDS = vocabulary.build(SENTENCES, least=1)
TINY = dataclasses.replace(captioner.SIZES["tiny"], words=7)


def a_model(decoder="transformer", **options):
    tf.keras.utils.set_random_seed(1)
    model = Captioner(options.pop("size", TINY), len(WORDS), decoder, **options)
    model.create_weights()
    return model


def compiled(model, **options):
    model.compile(tf.keras.optimizers.Adam(5e-3), **options)
    model.optimizer.build(model.trainable_variables)
    return model


def a_batch(side=32):
    image = np.stack([smooth_image(side, side, seed) for seed in range(3)])
    words = np.stack([WORDS.ids(text, TINY.words) for text in SENTENCES])
    return {"image": tf.constant(image), "words": tf.constant(words)}


class CaptionerTest(SemCompTestCase):
    def test_the_papers_decoder_has_its_parameters(self):
        size, V = captioner.SIZES["paper"], 5450
        decoder = captioner.LstmDecoder(size, V)
        decoder(tf.zeros([1, 1, 256]), tf.ones([1, 2], tf.int32))
        lstm = 4 * 512 * (256 + 512 + 1)
        self.assertEqual(decoder.count_params(), V * 256 + lstm + 513 * V)
        self.assertEqual((size.trunk, size.resolution), ("ResNet152", 224))

    @parameterized.parameters(*captioner.DECODERS)
    def test_words_depend_on_the_picture_and_those_before(self, decoder):
        model, batch = a_model(decoder), a_batch()
        images = tf.cast(batch["image"], tf.float32)
        words = np.full([3, 7], START, np.int32)
        words[:, 1:] = batch["words"][:, :-1]
        logits = model((images, tf.constant(words))).numpy()
        self.assertEqual(logits.shape, (3, 7, len(WORDS)))
        other = words.copy()
        other[:, 3] = 4 + (other[:, 3] + 1) % 5
        changed = abs(model((images, tf.constant(other))).numpy() - logits).max((0, 2))
        np.testing.assert_array_equal(changed[:3], 0)
        self.assertGreater(changed[3:].min(), 0)
        turned = abs(model((images[::-1], tf.constant(words))).numpy() - logits)
        self.assertGreater(turned.max((0, 2)).min(), 0)

        with self.subTest("one word at a time"):
            state = model.describe(images)
            self.assertEqual(state.shape, (3, TINY.grid**2 * TINY.width))
            for length in (1, 4, 7):
                found = model.next_word(state, words, tf.fill([3], length))
                np.testing.assert_allclose(found, logits[:, length - 1], atol=1e-5)
                short = model.next_word(state, words[:, :length], tf.fill([3], length))
                np.testing.assert_array_equal(short, found)
        with self.subTest("the end comes at last"):
            last = model.next_word(state, tf.ones([3, 40], tf.int32), tf.fill([3], 8))
            self.assertEqual(tf.argmax(last, -1).numpy().tolist(), [END] * 3)
            self.assertLess(float(tf.sort(last)[0, -2]), -1e8)

    @parameterized.parameters(*captioner.DECODERS)
    def test_the_step_is_xla_clean(self, decoder):
        model = compiled(a_model(decoder))
        self.assert_xla_clean(model.train_step, a_batch())

    def test_exported_it_says_what_it_learnt(self):
        model, batch = compiled(a_model()), a_batch()
        step = tf.function(model.train_step)
        for _ in range(150):
            model.reset_metrics()
            last = step(batch)
        self.assertLess(float(last["loss"]), 0.1)
        self.assertEqual(float(last["right"]), 1)
        # The moving statistics follow those of the batch.
        path = export.export(captioner.signatures(model), self.folder / "m")
        runner = LocalRunner(manifest.find(path))
        image = batch["image"][1].numpy()
        large = image.repeat(2, 0).repeat(3, 1)
        for picture in (image, large):
            state = runner.call("describe", images=np.float32(picture[None]))["state"]
            expected = model.describe(tf.constant(picture[None], tf.float32))
            np.testing.assert_allclose(state, expected, atol=1e-4)
            (best, score), *others = captions.describe(picture, runner, WORDS, beam=3)
            self.assertEqual(best, SENTENCES[1])
            self.assertGreater(score, others[0][1])

    def test_learns_from_a_teacher_without_captions(self):
        model = a_model(teacher_channels=5)
        batch = a_batch()
        batch["words"] = tf.zeros_like(batch["words"])
        wanted = tf.random.stateless_normal([3, 2, 2, 5], [1, 2])
        compiled(model, teacher=lambda images: wanted, distillation=2.0)
        step = tf.function(model.train_step)
        losses = []
        for _ in range(60):
            model.reset_metrics()
            losses.append(step(batch))
        self.assertEqual(float(losses[0]["entropy"]), 0)
        first, last = (float(one["distillation"]) for one in (losses[0], losses[-1]))
        self.assertLess(last, 0.5 * first)
        self.assertAlmostEqual(float(losses[0]["loss"]), 2 * first, places=5)

    def test_padding_does_not_count(self):
        model, batch = compiled(a_model()), a_batch()
        self.assertIn(PAD, batch["words"].numpy())
        whole = model.test_step(batch)["entropy"].numpy()
        before = tf.concat([tf.fill([3, 1], START), batch["words"][:, :-1]], 1)
        logits = model((tf.cast(batch["image"], tf.float32), before))
        chances = tf.nn.log_softmax(logits).numpy()
        words = batch["words"].numpy()
        expected = [
            -chances[i, t, words[i, t]]
            for i in range(3)
            for t in range(7)
            if words[i, t] != PAD
        ]
        self.assertAlmostEqual(float(whole), np.mean(expected), places=5)

    def test_a_foreign_trunk_stays_as_it_is(self):
        size = captioner.with_trunk(TINY, "MobileNet")
        size = dataclasses.replace(size, grid=1)
        model = a_model(size=size)
        path = weights_file("MobileNet")
        self.assertEqual(captioner.trunk_of(path), ("MobileNet", path))
        model.take_trunk(path)
        before = [weight.numpy() for weight in model.trunk.weights]
        with np.load(path) as arrays:
            kernel = model.trunk.get_layer("MobileNet").get_layer("conv1").kernel
            np.testing.assert_array_equal(kernel, arrays["conv1/kernel"])
        compiled(model).train_step(a_batch())
        for weight, value in zip(model.trunk.weights, before, strict=True):
            np.testing.assert_array_equal(weight, value)

    def test_an_exported_trunk_is_taken_and_stays_as_it_is(self):
        tf.keras.utils.set_random_seed(2)
        network = msroi_cnn.MsroiCnn(3, "tiny")
        for weight in network.trunk.weights:
            weight.assign(tf.random.uniform(weight.shape, 0.5, 1.5))
        images = tf.TensorSpec([None, None, None, 3], name="image")
        analyze = tf.function(network, input_signature=[images])
        folder = export.export({"analyze": analyze}, self.folder / "m")
        card = {"name": "m", "system": "msroi_jpeg", "network": network.get_config()}
        (folder.parent / "card.json").write_text(json.dumps(card))
        taken, trunk = msroi_cnn.exported_trunk(str(folder))
        images = tf.cast(a_batch()["image"], tf.float32)
        np.testing.assert_array_equal(trunk(images), network.trunk(images))

        size = captioner.with_own_trunk(TINY, taken.widths, taken.blocks)
        model = a_model(size=size)
        runs.take_weights(model.trunk, trunk, "trunk")
        compiled(model).train_step(a_batch())
        np.testing.assert_array_equal(model.trunk(images), network.trunk(images))

    def test_smoothing_is_cross_entropy_with_spread_truth(self):
        model, batch = a_model(), a_batch()
        compiled(model, smoothing=0.2)
        before = tf.concat([tf.fill([3, 1], START), batch["words"][:, :-1]], 1)
        logits = model((tf.cast(batch["image"], tf.float32), before), training=True)
        truth = tf.one_hot(batch["words"], len(WORDS))
        loss = tf.keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=0.2, reduction="none"
        )(truth, logits)
        counted = tf.cast(batch["words"] != PAD, tf.float32)
        expected = tf.reduce_sum(loss * counted) / tf.reduce_sum(counted)
        found = model.train_step(batch)["loss"]
        self.assertAlmostEqual(float(found), float(expected), places=5)

    def test_a_run_is_loaded_as_it_was_saved(self):
        model = a_model("lstm", teacher_channels=3)
        runs.save(model, str(self.folder), {})
        again = captioner.load_run(str(self.folder))
        self.assertEqual(again.get_config(), model.get_config())
        image = tf.constant(smooth_image(20, 30)[None], tf.float32)
        np.testing.assert_array_equal(again.describe(image), model.describe(image))

    def test_refuses(self):
        with self.assertRaisesRegex(ValueError, "`size`"):
            Captioner("huge", 9)
        with self.assertRaisesRegex(ValueError, "`decoder`"):
            Captioner("tiny", 9, "rnn")
        with self.assertRaisesRegex(ValueError, "`grid` must divide the 2"):
            Captioner(dataclasses.replace(TINY, grid=3), 9)
        with self.assertRaisesRegex(ValueError, "`widths` and `blocks`"):
            CaptionerSize(trunk="VGG16", widths=(1,), blocks=(1,))
        with self.assertRaisesRegex(ValueError, "multiple of `heads`"):
            dataclasses.replace(TINY, heads=3)
        with self.assertRaisesRegex(ValueError, "not for 'own'"):
            a_model().take_trunk("imagenet")
        for channels, given in ((0, lambda x: x), (4, None)):
            model = Captioner(TINY, 9, teacher_channels=channels)
            with self.assertRaisesRegex(ValueError, "`teacher` must be given if"):
                model.compile(tf.keras.optimizers.Adam(), teacher=given)
