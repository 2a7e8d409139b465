"""Our TFDS builders on fake data, by TFDS's own test of builders."""

import pathlib
import tempfile

import numpy as np
import tensorflow_datasets as tfds
from absl.testing import absltest

from tests.data import fake_layouts
from tests.harness import smooth_image
from tfsemcomp.data import builders
from tfsemcomp.errors import SemCompError


class _FakeDataMixin:
    """Writes the data that the builder finds in `manual_dir`."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.EXAMPLE_DIR = folder.name
        cls.fake(pathlib.Path(folder.name))
        super().setUpClass()

    def examples(self, split, config=None):
        """The examples of a split by file name."""
        builder = self._make_builder(config=config)
        settings = tfds.download.DownloadConfig(manual_dir=self.EXAMPLE_DIR)
        builder.download_and_prepare(download_config=settings)
        found = tfds.as_numpy(builder.as_dataset(split=split))
        return {example["file_name"].decode(): example for example in found}


class KodakTest(_FakeDataMixin, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = builders.Kodak
    SPLITS = {"test": 3}
    fake = staticmethod(fake_layouts.kodak)

    def test_pictures(self):
        found = self.examples("test")
        self.assertCountEqual(found, ["kodim01.png", "kodim02.png", "kodim10.png"])
        image = found["kodim10.png"]["image"]
        np.testing.assert_array_equal(image, smooth_image(24, 32, 10))


class CamvidTest(_FakeDataMixin, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = builders.Camvid
    SPLITS = {"train": 2, "val": 1}
    fake = staticmethod(fake_layouts.camvid)

    def test_labels(self):
        labels = self.examples("train")["train/2.jpg"]["segmentation_label"]
        np.testing.assert_array_equal(labels[..., 0], fake_layouts.label_plane(2))


class Bsds500BoundariesTest(_FakeDataMixin, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = builders.Bsds500Boundaries
    SPLITS = {"train": 1, "val": 1}
    fake = staticmethod(fake_layouts.bsds500)

    def test_boundaries_are_the_mean_of_people(self):
        (found,) = self.examples("train").values()
        self.assertEqual(set(found["boundaries"][5, :16].flat), {255})
        self.assertEqual(set(found["boundaries"][5, 16:].flat), {128})


class Edges2photosTest(_FakeDataMixin, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = builders.Edges2photos
    SPLITS = {"train": 1, "val": 1}

    @staticmethod
    def fake(folder):
        for name in ("edges2shoes", "edges2handbags"):
            fake_layouts.edges2photos(folder / name)

    def test_halves(self):
        (found,) = self.examples("val", "edges2handbags").values()
        np.testing.assert_array_equal(found["image"], smooth_image(24, 24, 2))
        self.assertEqual(set(found["edges"][12].flat), {255})
        self.assertEqual(found["edges"].sum(), 255 * 24)


class CubCaptionsTest(_FakeDataMixin, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = builders.CubCaptions
    SPLITS = {"train": 2, "test": 2}
    fake = staticmethod(fake_layouts.cub200)

    def test_no_species_is_in_both_splits_of_attngan(self):
        for config, labels in (("official", {0, 1}), ("attngan", {1})):
            found = self.examples("train", config).values()
            self.assertEqual({int(item["label"]) for item in found}, labels)

    def test_captions_must_be_there(self):
        with tempfile.TemporaryDirectory() as folder:
            fake_layouts.cub200(pathlib.Path(folder))
            (pathlib.Path(folder) / "text").rename(pathlib.Path(folder) / "no text")
            with self.assertRaisesRegex(SemCompError, "no captions"):
                self._make_builder().layout(folder)


class Flickr8kTest(_FakeDataMixin, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = builders.Flickr8k
    SPLITS = {"train": 1, "val": 1, "test": 1}
    fake = staticmethod(fake_layouts.flickr8k)

    def test_captions(self):
        (found,) = self.examples("test").values()
        expected = [b"Sentence 0 of 2 .", b"Sentence 1 of 2 ."]
        self.assertEqual(found["captions"].tolist(), expected)


if __name__ == "__main__":
    absltest.main()
