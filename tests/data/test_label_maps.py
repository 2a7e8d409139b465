import io

import numpy as np
from PIL import Image

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import images
from tfsemcomp.data import label_maps
from tfsemcomp.errors import BitstreamError, SemCompError

LABELS = np.arange(0, 240, 8, dtype=np.uint8).reshape(5, 6)


class LabelMapsTest(SemCompTestCase):
    def test_files_round_trip(self):
        path = self.folder / "1.png"
        label_maps.write(path, LABELS)
        np.testing.assert_array_equal(label_maps.read(path), LABELS)

    def test_a_palette_is_for_looking_only(self):
        picture = Image.new("P", (6, 5))
        picture.putdata(LABELS.ravel().tolist())
        picture.putpalette([255 - value for value in range(256) for _ in range(3)])
        content = io.BytesIO()
        picture.save(content, "PNG")
        found = label_maps.decode(content.getvalue())
        np.testing.assert_array_equal(found, LABELS)

    def test_refuses_other_files(self):
        colour = images.encode(smooth_image(5, 6), "png")
        with self.assertRaisesRegex(BitstreamError, "grey or indexed"):
            label_maps.decode(colour, "x.png")
        with self.assertRaisesRegex(BitstreamError, "no whole PNG"):
            label_maps.decode(label_maps.encode(LABELS)[:50])
        with self.assertRaisesRegex(BitstreamError, "must be a PNG"):
            label_maps.decode(b"GIF89a")
        with self.assertRaisesRegex(SemCompError, "cannot read"):
            label_maps.read(self.folder / "none.png")
