import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tests.models.conceptual_networks import planes
from tfsemcomp.models import conceptual_structure as structures
from tfsemcomp.models.conceptual_structure import Degradation
from tfsemcomp.semantics import edges


class DecodedTest(SemCompTestCase):
    @parameterized.parameters(1, 2, 4)
    def test_is_what_a_decoder_has(self, scale):
        lines = (planes(1)[0, :, :, 0] > 0).astype(np.uint8)
        small = edges.downscale(lines, scale)
        expected = edges.upscale(small, scale, *lines.shape)
        found = structures.decoded(lines[None, :, :, None].astype(np.float32), scale)
        np.testing.assert_array_equal(found[0, :, :, 0], expected)


class DrawTest(SemCompTestCase):
    def test_each_scale_and_method_has_its_turn(self):
        given = planes(1)
        # Of the weaker one no line is left.
        plan = Degradation((1, 4), (0.6, 0.6), dropout=0.0)
        tf.keras.utils.set_random_seed(1)
        many = tf.repeat(given, 200, axis=0)
        drawn = structures.draw(many, plan).numpy()
        lines = (given[:, :, :, :1] > 0).astype(np.float32)
        expected = [structures.decoded(lines, scale) for scale in plan.scales]
        expected.append(np.zeros_like(lines))
        counts = [
            sum(np.array_equal(picture, like[0]) for picture in drawn)
            for like in expected
        ]
        self.assertEqual(sum(counts), 200)
        np.testing.assert_allclose(counts, [50, 50, 100], atol=25)

    def test_thresholds_spread_over_their_range(self):
        ramp = tf.repeat(tf.range(256)[None, :, None, None], 16, axis=2)
        ramp = tf.cast(tf.tile(ramp, [300, 1, 1, 1]), tf.uint8)
        plan = Degradation((1,), (0.25, 0.5), dropout=0.0)
        share = 1 - np.mean(structures.draw(ramp, plan), axis=(1, 2, 3))
        self.assertBetween(share.min(), 0.24, 0.28)
        self.assertBetween(share.max(), 0.47, 0.51)

    def test_dropped_lines_only_vanish(self):
        full = tf.fill([400, 32, 32, 1], tf.constant(255, tf.uint8))
        plan = Degradation((1,), dropout=0.5)
        drawn = structures.draw(full, plan).numpy()
        squares = drawn.reshape(400, 2, 16, 2, 16)
        self.assertEqual(
            set(np.unique(squares.mean(axis=(2, 4)))), {np.float32(0), np.float32(1)}
        )
        self.assertAlmostEqual(drawn.mean(), 0.75, delta=0.04)

    def test_measures_see_no_chance(self):
        given = planes(2)
        found = structures.fixed(given, Degradation((2, 4), (0.3, 0.9)))
        lines = (given[..., :1] > 0).astype(np.float32)
        np.testing.assert_array_equal(found, structures.decoded(lines, 2))

    def test_xla_clean(self):
        self.assert_xla_clean(
            lambda x: structures.draw(x, Degradation()), tf.constant(planes(2))
        )

    @parameterized.parameters(
        ({"scales": ()}, "`scales`"),
        ({"scales": (1, 3)}, "`scales`"),
        ({"thresholds": (0.5, 0.2)}, "`thresholds`"),
        ({"thresholds": (0.0, 0.2)}, "`thresholds`"),
        ({"dropout": 1.5}, "`dropout`"),
    )
    def test_wrong_plans(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            Degradation(**arguments)
