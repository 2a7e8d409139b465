import math

import numpy as np
import tensorflow as tf
import tensorflow_compression as tfc
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.entropy import builders


def frequencies(tables, number: int) -> np.ndarray:
    """Frequencies of one table, the escape last where there is one."""
    ends = [*tables.starts[1:], len(tables.lookup)]
    return np.diff(tables.lookup[tables.starts[number] + 1 : ends[number]])


class FromPmfTest(SemCompTestCase):
    def test_dyadic_masses_are_exact(self):
        tables = builders.from_pmf([[0.5, 0.25, 0.125], [0.75]], [-1, 7], 8)
        np.testing.assert_array_equal(frequencies(tables, 0), [128, 64, 32, 32])
        np.testing.assert_array_equal(frequencies(tables, 1), [192, 64])
        self.assertTrue(tables.escapes.all())
        np.testing.assert_array_equal(tables.offsets, [-1, 7])

    def test_without_escape_counts_are_normalised(self):
        tables = builders.from_pmf([[30, 10], [1, 1, 2]], [0, 0], 8, escape=False)
        np.testing.assert_array_equal(frequencies(tables, 0), [192, 64])
        np.testing.assert_array_equal(frequencies(tables, 1), [64, 64, 128])
        self.assertFalse(tables.escapes.any())

    @parameterized.parameters(8, 12, 16)
    def test_every_symbol_keeps_a_place(self, precision):
        row = np.full((1 << precision) - 1, 1e-9)
        row[3] = 0.99
        tables = builders.from_pmf([row, [0.0, 1.0]], [0, 0], precision)
        for number in range(2):
            table = frequencies(tables, number)
            self.assertEqual(table.sum(), 1 << precision)
            self.assertGreaterEqual(table.min(), 1)

    @parameterized.named_parameters(
        ("negative", [0.5, -0.1], {}),
        ("nan", [math.nan], {}),
        ("infinite", [math.inf], {}),
        ("above_one", [0.7, 0.7], {}),
        ("empty", [], {}),
        ("rank", [[0.5]], {}),
        # The op would end the process on more symbols than there are frequencies.
        ("too_many", [0.001] * 256, {"precision": 8}),
        ("one_symbol", [1.0], {"escape": False}),
        ("no_mass", [0.0, 0.0], {"escape": False}),
    )
    def test_rows_that_are_none_are_refused(self, row, settings):
        with self.assertRaisesRegex(ValueError, "row 1 of `rows`"):
            builders.from_pmf([[0.5, 0.25], row], [0, 0], **settings)

    def test_other_wrong_arguments(self):
        for precision in (7, 17):
            with self.assertRaisesRegex(ValueError, "`precision`"):
                builders.from_pmf([[0.5]], [0], precision)
        with self.assertRaisesRegex(ValueError, "`lookup`"):
            builders.from_pmf([], [])
        with self.assertRaisesRegex(ValueError, "`offsets`"):
            builders.from_pmf([[0.5]], [0, 1])


class GaussianTablesTest(SemCompTestCase):
    def test_scale_table_has_the_published_ends(self):
        scales = builders.scale_table()
        self.assertLen(scales, 64)
        np.testing.assert_allclose(scales[[0, 63]], [0.11, 256], rtol=1e-12)
        np.testing.assert_allclose(np.diff(np.log(scales)), np.log(256 / 0.11) / 63)

    def test_masses_are_those_of_a_rounded_gaussian(self):
        scales = [0.11, 0.7, 5.0, 40.0]
        tables = builders.gaussian_tables(scales, precision=16)
        for number, scale in enumerate(scales):
            got = frequencies(tables, number)[:-1] / 2**16
            k = np.arange(len(got)) + tables.offsets[number]
            upper = [math.erf((i + 0.5) / scale / math.sqrt(2)) for i in k]
            lower = [math.erf((i - 0.5) / scale / math.sqrt(2)) for i in k]
            expected = np.subtract(upper, lower) / 2
            # Rounding to 16 bits, and the mass that symbols of next to none take.
            np.testing.assert_allclose(got, expected, atol=len(k) * 2**-16)

    @parameterized.parameters(2**-4, 2**-8, 2**-12)
    def test_the_escape_gets_at_most_the_tail(self, tail_mass):
        tables = builders.gaussian_tables([2.0, 9.0, 60.0], tail_mass, precision=16)
        for number in range(3):
            escape = frequencies(tables, number)[-1] / 2**16
            self.assertBetween(escape, 2**-16, tail_mass)

    def test_tables_agree_with_tensorflow_compression(self):
        scales = tf.constant(builders.scale_table(), tf.float32)
        model = tfc.LocationScaleIndexedEntropyModel(
            tfc.NoisyNormal,
            64,
            lambda i: tf.gather(scales, tf.cast(i, tf.int32)),
            coding_rank=1,
            compression=True,
        )
        tables = builders.gaussian_tables()
        np.testing.assert_array_equal(tables.offsets, model.cdf_offset)
        # Measured: equal. float32 there and float64 here might round apart.
        difference = abs(tables.lookup - model.cdf.numpy())
        self.assertLessEqual(difference.max(), 1)
        self.assertLess(np.mean(difference > 0), 0.01)

    @parameterized.named_parameters(
        ("zero", {"scales": [0.0]}, "`scales`"),
        ("nan", {"scales": [math.nan]}, "`scales`"),
        ("rank", {"scales": [[1.0]]}, "`scales`"),
        ("too_wide", {"scales": [1000.0]}, "row 0"),
        ("absurd", {"scales": [1e300], "precision": 16}, "row 0"),
        ("tail_0", {"tail_mass": 0.0}, "`tail_mass`"),
        ("tail_1", {"tail_mass": 1.0}, "`tail_mass`"),
    )
    def test_wrong_arguments(self, arguments, named):
        with self.assertRaisesRegex(ValueError, named):
            builders.gaussian_tables(**arguments)


class FactorizedTablesTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        tf.keras.utils.set_random_seed(1)

    def test_tables_agree_with_tensorflow_compression(self):
        # A narrow prior, since its search for the tails takes a second a unit.
        prior = tfc.NoisyDeepFactorized(batch_shape=(5,), init_scale=0.5)
        model = tfc.ContinuousBatchedEntropyModel(
            prior, coding_rank=1, compression=True, offset_heuristic=False
        )
        tables = builders.factorized_tables(prior)
        np.testing.assert_array_equal(tables.offsets, model.cdf_offset)
        # Measured: equal. The mass of the escape might round apart.
        difference = abs(tables.lookup - model.cdf.numpy())
        self.assertLessEqual(difference.max(), 1)
        self.assertLess(np.mean(difference > 0), 0.01)

    def test_a_prior_as_it_is_made(self):
        prior = tfc.NoisyDeepFactorized(batch_shape=(3,))
        tables = builders.factorized_tables(prior)
        last = tables.offsets + tables.counts - 1
        for number in range(3):
            for edge, tail in (
                (tables.offsets[number], prior.base.cdf),
                (last[number], prior.base.survival_function),
            ):
                inward = 1 if edge < 0 else -1
                self.assertLessEqual(tail(float(edge))[number], 2**-9)
                self.assertGreater(tail(float(edge + inward))[number], 2**-9)

    def test_channels_of_unlike_width(self):
        prior = tfc.NoisyNormal(loc=[0.0, 40.0], scale=[0.3, 20.0])
        tables = builders.factorized_tables(prior)
        self.assertLess(tables.counts[0], 5)
        self.assertGreater(tables.counts[1], 100)
        middle = tables.offsets[1] + tables.counts[1] // 2
        self.assertAlmostEqual(int(middle), 40, delta=1)

    def test_priors_that_cannot_be_tabled_are_refused(self):
        with self.assertRaisesRegex(ValueError, "`prior` must be one"):
            builders.factorized_tables(tfc.NoisyDeepFactorized(batch_shape=(2, 3)))
        far = tfc.NoisyNormal(loc=[0.0, 9000.0], scale=[1.0, 1.0])
        with self.assertRaisesRegex(ValueError, "reaches beyond -4096"):
            builders.factorized_tables(far)
        flat = tfc.NoisyNormal(loc=[0.0], scale=[1000.0])
        with self.assertRaisesRegex(ValueError, "row 0 .* 5774 symbols"):
            builders.factorized_tables(flat)
        with self.assertRaisesRegex(ValueError, "`tail_mass`"):
            builders.factorized_tables(flat, tail_mass=2.0)
