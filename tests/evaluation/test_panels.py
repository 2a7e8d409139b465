import pathlib

import numpy as np

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.evaluation import panels


class PanelsTest(SemCompTestCase):
    def test_pictures_lie_in_their_cells(self):
        one, two = smooth_image(16, 16), smooth_image(8, 16, 1)
        grid = panels.draw_grid([[("", one), ("", two)], [("", two)]], 32)
        pitch = 32 + panels.CAPTION_HEIGHT
        self.assertEqual(grid.shape, (2 * pitch, 68, 3))
        np.testing.assert_array_equal(
            grid[:32, :32], one.repeat(2, axis=0).repeat(2, axis=1)
        )
        enlarged = two.repeat(2, axis=0).repeat(2, axis=1)
        np.testing.assert_array_equal(grid[:16, 36:], enlarged)
        np.testing.assert_array_equal(grid[pitch : pitch + 16, :32], enlarged)
        self.assertTrue((grid[16:32, 36:] == 255).all())
        self.assertTrue((grid[pitch:, 36:] == 255).all())

    def test_photos_are_spread_evenly(self):
        paths = [pathlib.Path(str(number)) for number in range(7)]
        self.assertEqual(panels.spread(paths, 3), [paths[0], paths[3], paths[6]])
        self.assertEqual(panels.spread(paths, 9), paths)
        self.assertEqual(panels.spread([], 4), [])

    def test_lines_are_black_on_white(self):
        lines = np.uint8([[0, 1], [1, 0]])
        expected = np.repeat(np.uint8([[[255], [0]], [[0], [255]]]), 3, axis=-1)
        np.testing.assert_array_equal(panels.draw_lines(lines), expected)

    def test_captions_are_below(self):
        image = smooth_image(64, 64)
        plain = panels.draw_grid([[("", image)]], 32)
        told = panels.draw_grid([[("318 B", image)]], 32)
        np.testing.assert_array_equal(plain[:32], told[:32])
        self.assertTrue((plain[32:] == 255).all())
        self.assertLess(told[32:].min(), 100)
        # A large picture is reduced smoothly.
        self.assertLess(abs(plain[:32].astype(int) - image[::2, ::2]).mean(), 8)

    def test_nothing_to_draw(self):
        for rows in ([], [[]]):
            with self.assertRaisesRegex(ValueError, "`rows`"):
                panels.draw_grid(rows, 32)
