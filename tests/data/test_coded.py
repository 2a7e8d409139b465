"""Coded pictures beside originals: which one, of which codec, and the same part."""

import numpy as np
import tensorflow as tf

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import images
from tfsemcomp.data import (
    coded,
    label_maps,
    materialized,
    pipeline,
    records,
    sharding,
)
from tfsemcomp.errors import SemCompError

LAYERS = {
    "fine": "codec:jpeg;quality=98",
    "coarse": "codec:jpeg;quality=5",
    "other": "codec:webp;quality=90",
    "edges": "edges:canny",
}
SIZE = 40, 56
PLAN = pipeline.Augmentation(32, colour=0.0, resized=0.0)


def write_coded(folder, layers=LAYERS, count=4):
    """Records of pictures, labels that tell how red a pixel is, and layers."""

    def make(seed):
        image = smooth_image(*SIZE, seed)
        labels = np.digitize(image[..., 0], (60, 110)).astype(np.uint8)
        return records.Record(
            images.encode(image, "png"),
            f"{seed}.png",
            *SIZE,
            label_map=label_maps.encode(labels),
        )

    plain = f"{folder}_plain"
    records.write_shards(map(make, range(count)), plain, "train", 1)
    sharding.make([materialized.split((plain, "train"), str(folder), layers)])
    return str(folder), "train"


class CodedTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.source = write_coded(self.folder / "coded")

    def rates(self):
        """Bits a pixel of each record's file, by layer."""
        pixels = SIZE[0] * SIZE[1]
        return [
            {
                name: np.float32(8 * len(layers[name]["stream"]) / pixels)
                for name in ("fine", "coarse", "other")
            }
            for _, layers in materialized.read(*self.source)
        ]

    def test_layers_that_are_coded_pictures_and_their_codecs(self):
        found = materialized.codecs_of(*self.source)
        self.assertEqual(found, {"fine": "jpeg", "coarse": "jpeg", "other": "webp"})
        bases = materialized.bases([self.source], ["webp", "jpeg"])
        self.assertEqual(bases.codecs, (1, 1, 0))
        bases = materialized.bases([self.source], ["jpeg"], ["other", "fine"])
        self.assertEqual(bases.pictures, ("layer/other/picture", "layer/fine/picture"))
        self.assertEqual(bases.streams, ("layer/other/stream", "layer/fine/stream"))
        self.assertEqual(bases.codecs, (1, 0))

    def test_wrong_layers_are_refused(self):
        for names, message in ((["edges"], "got edges"), (["fine", "x"], "got x")):
            with self.assertRaisesRegex(ValueError, f"`layers`.*coarse.*{message}"):
                materialized.bases([self.source], ["jpeg"], names)
        plain = f"{self.source[0]}_plain", "train"
        with self.assertRaisesRegex(SemCompError, "materialize_layers"):
            materialized.bases([plain], ["jpeg"])
        with self.assertRaisesRegex(ValueError, "`codecs`"):
            coded.Bases(("a",), ("b",), (0, 1))

    def test_a_picture_is_drawn_and_cut_as_its_original(self):
        bases = materialized.bases([self.source], ["jpeg"])
        stream = pipeline.training_batches(
            [self.source], 8, PLAN, 1, planes=["label_map/encoded"], bases=bases
        )
        batch = next(iter(stream))
        self.assertEqual(batch["base"].shape, (8, 32, 32, 3))
        self.assertEqual(batch["codec"].dtype, tf.int32)
        by_rate = {rate: name for one in self.rates() for name, rate in one.items()}
        names = [by_rate[rate] for rate in batch["rate"].numpy()]
        self.assertEqual(set(names), {"fine", "coarse", "other"})
        # A picture that were cut or mirrored otherwise would be far off.
        error = np.abs(batch["image"].numpy().astype(int) - batch["base"].numpy())
        fine = [name == "fine" for name in names]
        self.assertLess(error[fine].mean(axis=(1, 2, 3)).max(), 8)
        np.testing.assert_array_equal(
            batch["codec"], [int(name == "other") for name in names]
        )
        again = next(
            iter(pipeline.training_batches([self.source], 8, PLAN, 1, bases=bases))
        )
        np.testing.assert_array_equal(again["base"], batch["base"])

    def test_measured_in_turn_at_their_own_scale(self):
        bases = materialized.bases([self.source], ["jpeg"])
        stream = pipeline.evaluation_batches(
            self.source, 4, 32, planes=["label_map/encoded"], bases=bases
        )
        batch = next(iter(stream))
        names = ["fine", "coarse", "other", "fine"]
        expected = [one[name] for one, name in zip(self.rates(), names, strict=True)]
        np.testing.assert_array_equal(batch["rate"], expected)
        for number, (_, layers) in enumerate(materialized.read(*self.source)):
            picture = layers[names[number]]["picture"]
            np.testing.assert_array_equal(batch["base"][number], picture[4:36, 12:44])
        # Smaller pictures are scaled up.
        large = pipeline.evaluation_batches(self.source, 4, 64, bases=bases)
        self.assertEqual(next(iter(large))["base"].shape, (4, 64, 64, 3))

    def test_colours_must_stay(self):
        bases = materialized.bases([self.source], ["jpeg"])
        plan = pipeline.Augmentation(32, colour=0.1)
        with self.assertRaisesRegex(ValueError, "`augmentation`.*colours"):
            pipeline.training_batches([self.source], 8, plan, 1, bases=bases)
