import base64

import numpy as np
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.demo import maps


def _picture(height: int, width: int) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def _text(columns: int, rows: int, cells: bytes) -> str:
    return f"{columns}x{rows}:{base64.b64encode(cells).decode()}"


class MapsTest(SemCompTestCase):
    @parameterized.parameters((64, 96), (1, 1), (1, 300), (700, 500))
    def test_round_trip(self, height, width):
        ramp = np.linspace(0, 1, width)[None].repeat(height, axis=0)
        text = maps.to_text(ramp)
        again = maps.from_text(text, _picture(height, width))
        self.assertEqual(again.dtype, np.float32)
        self.assertEqual(again.shape, (height, width))
        np.testing.assert_allclose(again, ramp, atol=0.5 / maps.LONGEST + 1 / 255)

    def test_small_maps_keep_every_cell(self):
        cells = bytes(range(0, 240, 10))
        found = maps.from_text(_text(6, 4, cells), _picture(4, 6))
        np.testing.assert_allclose(
            found.ravel() * 255, np.frombuffer(cells, np.uint8), atol=1e-4
        )

    @parameterized.parameters(
        "",
        "class_features",
        "/etc/passwd",
        "2x2:",
        "2x2:AAAA*A==",
        "2x2:AAAAA",
        "0x2:AAAA",
        "2x2:AAA=",
        "3x2:AAAAAA==",
        f"{maps.LONGEST + 1}x1:" + "A" * 132,
        "1x1:" + "A" * 10**6,
        None,
        7,
    )
    def test_anything_else_is_refused(self, text):
        with self.assertRaisesRegex(ValueError, "`map`"):
            maps.from_text(text, _picture(4, 6))
