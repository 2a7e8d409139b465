import math

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tests.models.hyperprior_networks import pictures
from tfsemcomp.layers import block_dct
from tfsemcomp.models import hyperprior_conditions as conditions
from tfsemcomp.models import runs
from tfsemcomp.models.hyperprior import Hyperprior, load_run

NETWORKS = [
    {"size": "tiny", "variant": "scale", "condition": "v1"},
    {"size": "tiny", "variant": "mean_scale", "condition": "v2"},
    {"size": "tiny-dct", "variant": "mean_scale", "condition": "v2"},
]


def a_model(**options):
    tf.keras.utils.set_random_seed(1)
    model = Hyperprior(**options)
    model.create_weights()
    return model


def below(batch, training=False):
    """A blurred picture and lines where it is bright."""
    x = tf.cast(batch["image"], tf.float32)
    base = tf.repeat(tf.repeat(tf.nn.avg_pool2d(x, 4, 4, "VALID"), 4, 1), 4, 2)
    return base, tf.cast(x[..., :1] > 140, tf.float32)


def a_batch(count=2, side=64):
    return {"image": tf.constant(pictures(count, side))}


def compiled(model, rate=1e-3, lower=below):
    model.compile(tf.keras.optimizers.Adam(rate, global_clipnorm=1.0), lower=lower)
    model.optimizer.build(model.trainable_variables)
    return model


class ConditionsTest(SemCompTestCase):
    def test_v1_has_the_published_parameters(self):
        # 4.86 M and 5.34 M of branches, without dead weights; one of the branches' 3x3
        # convolutions, .15 M, has no known place.
        model = a_model(size="paper", variant="scale", condition="v1")
        millions = sum(math.prod(w.shape) for w in model.trainable_weights) / 1e6
        self.assertAlmostEqual(millions, 4.86 + 5.34 - 0.15, delta=0.03)

    @parameterized.parameters(*NETWORKS)
    def test_codes_beside_what_is_below(self, **options):
        model = a_model(**options, lmbdas=(0.01, 0.1))
        batch = a_batch()
        x = tf.cast(batch["image"], tf.float32)
        base, lines = below(batch)
        quality = tf.constant([1.0, 2.0])
        found = model(x, quality, (base, lines))
        self.assertEqual(found["x_hat"].shape, x.shape)
        for wrong in (None, quality):
            with self.subTest(wrong), self.assertRaisesRegex(ValueError, "`lower`"):
                if wrong is None:
                    model(x, quality)
                else:
                    Hyperprior("tiny").synthesize(x, quality, (base, lines))
        rng = np.random.default_rng(2)
        for weight in model.trainable_variables:
            weight.assign_add(rng.normal(0, 0.02, weight.shape))
        y = model.analyze(x, quality, (base, lines))
        x_hat = model.synthesize(y, quality, (base, lines))
        for other in ((255 - base[:, ::-1], lines), (base, 1 - lines)):
            again = model.synthesize(y, quality, other)
            self.assertGreater(np.abs(again - x_hat).max(), 0.01)
            again = model.analyze(x, quality, other)
            same = np.array_equal(again, y)
            self.assertEqual(same, options["condition"] == "v1")

    @parameterized.parameters(*NETWORKS[::2])
    def test_every_weight_is_trained(self, **options):
        # ReLUs of a scale hyperprior as small as this may all be dead.
        options = {**options, "variant": "mean_scale", "lmbdas": (0.13, 0.5)}
        model = compiled(a_model(**options))
        rng = np.random.default_rng(2)
        for weight in model.trainable_variables:
            weight.assign_add(rng.normal(0, 0.02, weight.shape))
        # Nothing is learned of a z that is rounded to zeros.
        model.h_a.layers[-1].bias.assign_add(tf.ones([model.size.hyper_channels]))
        before = [weight.numpy() for weight in model.trainable_variables]
        self.assertTrue(np.isfinite(model.train_step(a_batch(4))["loss"]))
        still = [
            new.name
            for old, new in zip(before, model.trainable_variables, strict=True)
            if np.array_equal(old, new)
        ]
        self.assertEqual(still, [])

    def test_train_step_is_xla_clean(self):
        model = compiled(a_model(**NETWORKS[2], lmbdas=(0.013, 0.05)))
        self.assert_xla_clean(model.train_step, a_batch())

    def test_what_the_base_shows_need_not_be_coded(self):
        model = a_model(size="tiny-dct", lmbdas=(0.05,), condition="v2")
        x = tf.cast(a_batch()["image"], tf.float32)
        lower = x, tf.zeros_like(x[..., :1])
        # Kernels that take the base's blocks off, and put them back.
        for branch, sign in ((model.g_a.branch, -1), (model.g_s.branch, 1)):
            kernel = np.zeros(branch.mix_seen.kernel.shape, np.float32)
            kernel[:192] = sign * np.eye(192)
            branch.mix_seen.kernel.assign(kernel)
        y = model.analyze(x, tf.ones([2]), lower)
        np.testing.assert_allclose(y, tf.zeros_like(y), atol=1e-3)
        np.testing.assert_allclose(model(x, None, lower)["x_hat"], x, atol=0.01)

    def test_starts_as_a_codec_without_layers_below(self):
        plain = a_model(size="tiny-dct", lmbdas=(0.01, 0.1))
        rng = np.random.default_rng(3)
        for weight in plain.trainable_variables:
            weight.assign_add(rng.normal(0, 0.01, weight.shape))
        model = a_model(size="tiny-dct", lmbdas=(0.01, 0.1), condition="v2")
        for weight in model.trainable_variables:
            weight.assign_add(tf.ones_like(weight))
        model.take_weights(plain)
        batch, quality = a_batch(), tf.constant([1.0, 2.0])
        x = tf.cast(batch["image"], tf.float32)
        found, expected = model(x, quality, below(batch)), plain(x, quality)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-3)
        with self.assertRaisesRegex(ValueError, "condition"):
            plain.take_weights(model)

    def test_a_run_comes_back(self):
        model = a_model(**NETWORKS[0])
        runs.save(model, str(self.folder), {})
        again = load_run(str(self.folder))
        self.assertEqual(again.get_config(), model.get_config())
        self.assertEqual(again.condition, "v1")
        batch, quality = a_batch(), tf.ones([2])
        x = tf.cast(batch["image"], tf.float32)
        found, expected = (m(x, quality, below(batch)) for m in (again, model))
        np.testing.assert_array_equal(found["x_hat"], expected["x_hat"])

    def test_runs_of_before_have_no_condition(self):
        config = Hyperprior("tiny").get_config()
        del config["condition"]
        self.assertEqual(Hyperprior.from_config(config).condition, "none")

    def test_wrong_arguments(self):
        with self.assertRaisesRegex(ValueError, "`condition` must be one of"):
            Hyperprior("tiny", condition="v3")
        with self.assertRaisesRegex(ValueError, "'v1' needs a size with gdn"):
            Hyperprior("tiny-dct", condition="v1")


class TransformsTest(SemCompTestCase):
    def test_blocks_below_lie_where_those_of_the_picture_do(self):
        base = tf.random.stateless_uniform([1, 16, 24, 3], [1, 2], 0, 255)
        lines = np.zeros([1, 16, 24, 1], np.float32)
        lines[0, 9, 17] = 1
        found = conditions.LowerBlocks()((base, tf.constant(lines))).numpy()
        self.assertEqual(found.shape, (1, 2, 3, 256))
        expected = block_dct.BlockDct()(base)
        np.testing.assert_allclose(found[..., :192], expected, atol=1e-4)
        rows, columns, places = np.nonzero(found[0, ..., 192:])
        self.assertEqual((rows, columns, places), (1, 2, 9))

    def test_laplacian_is_of_all_colours_together(self):
        x = np.zeros([1, 5, 5, 3], np.float32)
        x[0, 2, 2] = 1, 2, 3
        found = conditions._laplacian(tf.constant(x)).numpy()
        expected = np.full([3, 3], -6.0)
        expected[1, 1] = 48
        for plane in np.moveaxis(found[0], -1, 0):
            np.testing.assert_allclose(plane[1:4, 1:4], expected)
            self.assertEqual(plane[0, 0], 0)
