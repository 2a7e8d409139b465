import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tests.models.layered_networks import (
    SIDE,
    WORDS,
    a_batch,
    a_generator,
    text_to_image,
)
from tfsemcomp.models import layered, runs
from tfsemcomp.models.hyperprior import Hyperprior
from tfsemcomp.models.layered import Layered
from tfsemcomp.models.structure_generator import GREY


def a_model(variant="v2", **options):
    signal = Hyperprior(
        "tiny-dct" if variant == "v2" else "tiny",
        "mean_scale" if variant == "v2" else "scale",
        (0.01, 0.1),
        condition=variant,
    )
    model = Layered(a_generator(variant=variant, vocabulary=WORDS), signal)
    model.create_weights()
    if options:
        optimizers = [tf.keras.optimizers.Adam(1e-2, 0.5, 0.9) for _ in range(2)]
        model.compile(*optimizers, **options)
        model.optimizer.build(model.trainable_variables)
    return model


class LowerLayersTest(SemCompTestCase):
    def test_is_what_layer_2_shows(self):
        generator = a_generator(vocabulary=WORDS, textless=0.0)
        generator.condition_on(text_to_image=text_to_image)
        batch = a_batch()
        base, lines = layered.lower_layers(generator)(batch, False)
        structure, first, words = generator.conditions(batch, False)
        np.testing.assert_array_equal(lines, structure)
        expected = np.clip(np.rint(generator(structure, first, words)), 0, 255)
        np.testing.assert_array_equal(base, expected)
        self.assertFalse(np.all(first == GREY))

    def test_training_varies_the_lines(self):
        lower = layered.lower_layers(a_generator())
        (_, one), (_, two) = (lower(a_batch(), True) for _ in range(2))
        self.assertFalse(np.array_equal(one, two))

    def test_a_share_of_the_pictures_stands_alone(self):
        lower = layered.lower_layers(a_generator(), 0.25)
        tf.keras.utils.set_random_seed(1)
        base, lines = lower(a_batch(32, 16), True)
        alone = np.all(base == GREY, axis=(1, 2, 3))
        self.assertBetween(alone.sum(), 2, 16)
        np.testing.assert_array_equal(lines[alone], 0)
        base, _ = lower(a_batch(4, 16), False)
        self.assertFalse(np.any(np.all(base == GREY, axis=(1, 2, 3))))


class LayeredTest(SemCompTestCase):
    def test_both_layers_learn_and_judges_apart(self):
        model = a_model(share=0.3)
        self.assertEqual(model.share, 0.3)
        judges = model.structure.discriminators.trainable_weights
        mine = {weight.ref() for weight in model.trainable_weights}
        self.assertFalse(mine & {weight.ref() for weight in judges})
        before = [w.numpy() for w in (*model.trainable_weights, *judges)]
        for _ in range(2):
            found = model.train_step(a_batch())
            self.assertTrue(np.isfinite(found["loss"]))
        now = [*model.trainable_weights, *judges]
        moved = [not np.array_equal(a, b) for a, b in zip(before, now, strict=True)]
        self.assertGreater(np.mean(moved), 0.9)

    def test_layer_2_learns_what_spares_layer_3_bits(self):
        model, batch = a_model(share=0.0), a_batch()
        with tf.GradientTape() as tape:
            loss = model._losses_of(batch, training=False)["loss"]
        # A signal that has not learned to see the base gives it no gradient.
        leave = model.structure.generator.leave.kernel
        self.assertAlmostEqual(float(tf.norm(tape.gradient(loss, leave))), 0)
        for branch in (model.signal.g_a.branch, model.signal.g_s.branch):
            for weight in branch.weights_of_seen():
                weight.assign_add(0.1 * tf.ones_like(weight))
        with tf.GradientTape() as tape:
            loss = model._losses_of(batch, training=False)["loss"]
        self.assertGreater(float(tf.norm(tape.gradient(loss, leave))), 0)

    def test_loss_is_of_both(self):
        model, batch = a_model(share=0.5), a_batch()
        # Qualities are drawn anew in each call.
        tf.keras.utils.set_random_seed(1)
        found = model._losses_of(batch, training=False)
        drawn = model.structure.losses_of(batch, training=False)
        lower = layered.shown(drawn["x_hat"]), drawn["structure"]
        tf.keras.utils.set_random_seed(1)
        coded = model.signal.losses_beside(batch, lower, training=False)
        expected = coded["loss"] + drawn["drawing"] / 2
        np.testing.assert_allclose(found["loss"], expected, rtol=1e-4)

    def test_train_step_is_xla_clean(self):
        self.assert_xla_clean(a_model(share=0.1).train_step, a_batch())

    @parameterized.parameters("v1", "v2")
    def test_a_run_comes_back_in_both_parts(self, variant):
        model = a_model(variant, share=0.1)
        model.train_step(a_batch())
        runs.save(model, str(self.folder), {})
        again = layered.load_run(str(self.folder))
        self.assertEqual(again.get_config(), model.get_config())
        x = tf.cast(a_batch()["image"], tf.float32)
        lines = tf.cast(x[..., :1] > 140, tf.float32)
        (one, coded), (two, expected) = (m(x, lines) for m in (again, model))
        np.testing.assert_array_equal(one, two)
        self.assertEqual(one.shape, (2, SIDE, SIDE, 3))
        for name, value in expected.items():
            np.testing.assert_array_equal(coded[name], value)

    def test_a_signal_without_condition_is_no_layer(self):
        with self.assertRaisesRegex(ValueError, "`signal` must have a condition"):
            Layered(a_generator(), Hyperprior("tiny"))
