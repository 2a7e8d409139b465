import numpy as np

from tests.harness import SemCompTestCase
from tests.layers.modulated import Bound, values
from tfsemcomp.layers.adain import instance_norm
from tfsemcomp.layers.spade import Spade


class SpadeTest(SemCompTestCase):
    def test_layer(self):
        self.run_layer_test(
            lambda: Bound(Spade(3), values(2, 6, 8, 1)),
            values(2, 6, 8, 4),
            (2, 6, 8, 4),
        )

    def test_starts_as_a_normalisation(self):
        x, maps = values(1, 6, 8, 4), values(1, 6, 8, 1)
        np.testing.assert_allclose(Spade(3)(x, maps), instance_norm(x), atol=1e-5)

    def test_what_it_adds_lies_where_the_lines_are(self):
        x, spade = values(1, 16, 16, 2), Spade(3)
        empty = np.zeros([1, 16, 16, 1], np.float32)
        lines = empty.copy()
        lines[0, 4, 4] = 1
        spade(x, empty)
        for weight in spade.trainable_variables:
            weight.assign(values(*weight.shape))
        change = np.abs(spade(x, lines) - spade(x, empty)).max(axis=(0, 3))
        self.assertGreater(change[2:7, 2:7].max(), 0.1)
        change[2:7, 2:7] = 0
        np.testing.assert_array_equal(change, 0)
