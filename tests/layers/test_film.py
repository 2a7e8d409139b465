import numpy as np

from tests.harness import SemCompTestCase
from tests.layers.modulated import Bound, values
from tfsemcomp.layers.film import Film


class FilmTest(SemCompTestCase):
    def test_layer(self):
        self.run_layer_test(
            lambda: Bound(Film(), values(2, 5)), values(2, 4, 3, 6), (2, 4, 3, 6)
        )

    def test_scales_and_shifts(self):
        film, x, vector = Film(), values(2, 4, 3, 2), values(2, 5)
        np.testing.assert_array_equal(film(x, vector), x)
        film.affine.bias.assign([1.0, 0.0, 5.0, -2.0])
        np.testing.assert_allclose(film(x, vector), x * [2, 1] + [5, -2], rtol=1e-5)
