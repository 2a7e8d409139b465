import numpy as np
import tensorflow_datasets as tfds
from absl.testing import parameterized

from tests.data import fake_layouts
from tests.harness import SemCompTestCase
from tfsemcomp.data import planes, tfds_source
from tfsemcomp.errors import SemCompError

features = tfds.features


class FindFeaturesTest(SemCompTestCase):
    @parameterized.parameters(
        ("imagenet2012", {"image": "image", "label": "label", "name": "file_name"}),
        (
            "cityscapes",
            {
                "image": "image_left",
                "label_map": "segmentation_label",
                "name": "image_id",
            },
        ),
        (
            "caltech_birds2011",
            {
                "image": "image",
                "label": "label",
                "label_map": "segmentation_mask",
                "box": "bbox",
                "name": "image/filename",
            },
        ),
        (
            "coco_captions",
            {"image": "image", "captions": "captions", "name": "image/filename"},
        ),
        (
            "stanford_dogs",
            {"image": "image", "label": "label", "name": "image/filename"},
        ),
        ("caltech101", {"image": "image", "label": "label", "name": "image/file_name"}),
        ("clic", {"image": "image"}),
        ("scene_parse150", {"image": "image", "label_map": "annotation"}),
        ("coil100", {"image": "image"}),
        ("div2k", {"image": "hr"}),
        ("celeb_a", {"image": "image"}),
        ("mnist", {"image": "image", "label": "label"}),
    )
    def test_data_sets_of_tfds(self, name, expected):
        builder = tfds.builder_cls(name)(data_dir=str(self.folder))
        found = tfds_source.find_features(builder.info.features, {})
        self.assertEqual({k: "/".join(v) for k, v in found.items()}, expected)

    def test_ours(self):
        for name, fields in (
            ("kodak", {"image", "name"}),
            ("camvid", {"image", "label_map", "name"}),
            ("bsds500_boundaries", {"image", "edges", "name"}),
            ("edges2photos", {"image", "edges", "name"}),
            ("cub_captions", {"image", "label", "captions", "box", "name"}),
            ("flickr8k", {"image", "captions", "name"}),
        ):
            builder = tfds.builder_cls(name)(data_dir=str(self.folder))
            found = tfds_source.find_features(builder.info.features, {})
            self.assertEqual(set(found), fields, name)

    def test_names_win_over_guesses(self):
        tree = features.FeaturesDict(
            {
                "left": features.Image(shape=(None, None, 3)),
                "right": features.Image(shape=(None, None, 3)),
                "what": features.ClassLabel(names=["a", "b"]),
                "inner": {"text": features.Text()},
            }
        )
        with self.assertRaisesRegex(ValueError, "`--features=image=KEY`.*left"):
            tfds_source.find_features(tree, {})
        named = {"image": "right", "label": "", "captions": "inner/text"}
        found = tfds_source.find_features(tree, named)
        self.assertEqual(found, {"image": ("right",), "captions": ("inner", "text")})
        for wrong in ({"picture": "left"}, {"image": "middle"}):
            with self.assertRaisesRegex(ValueError, "`features`"):
                tfds_source.find_features(tree, wrong)


class ReadTest(SemCompTestCase):
    def read(self, name, **options):
        manual = self.folder / "manual"
        return tfds_source.read(name, str(self.folder / "data"), str(manual), **options)

    def test_parts_hold_every_example_once(self):
        fake_layouts.camvid(self.folder / "manual")
        collection = self.read("camvid")
        self.assertEqual(collection.name, "camvid/1.0.0")
        held = collection.splits["train"]
        self.assertLen(held, 2)
        for parts in (1, 2, 3):
            found = [list(held.part(n, parts, seed=1)) for n in range(parts)]
            again = [item.name for item in held.part(0, parts, seed=9)]
            self.assertEqual(again, [item.name for item in found[0]])
            names = [item.name for part in found for item in part]
            self.assertCountEqual(names, ["train/1.jpg", "train/2.jpg"])
        (item,) = collection.splits["val"].part(0, 1, seed=1)
        # The picture is the bytes of the file, the map an array.
        path = self.folder / "manual" / "images" / item.name
        self.assertEqual(item.image, path.read_bytes())
        labels = planes.read_label_map(item.label_map)
        np.testing.assert_array_equal(labels, fake_layouts.label_plane(3))

    def test_labels_boxes_and_captions(self):
        fake_layouts.cub200(self.folder / "manual")
        collection = self.read("cub_captions/attngan", features={"name": ""})
        items = list(collection.splits["test"].part(0, 1, seed=1))
        self.assertEqual([item.label for item in items], [0, 0])
        self.assertEqual(items[0].box, (10, 20, 22, 36))
        self.assertEqual(items[0].captions[1], "it flies.")
        self.assertStartsWith(items[0].name, "cub_captions-test.tfrecord-00000")

    def test_what_cannot_be(self):
        with self.assertRaisesRegex(ValueError, "unknown to TensorFlow Datasets"):
            self.read("no_such_data_set")
        (self.folder / "manual").mkdir()
        with self.assertRaisesRegex(SemCompError, "cannot prepare kodak.*") as caught:
            self.read("kodak")
        self.assertNotIn("\n", str(caught.exception))


class ItemTest(SemCompTestCase):
    def test_maps_must_be_grey(self):
        plane = np.repeat(fake_layouts.label_plane(1)[..., None], 3, axis=-1)
        found = tfds_source._plane(plane, "1.png")
        np.testing.assert_array_equal(found, plane[..., 0])
        plane[3, 4, 1] += 1
        with self.assertRaisesRegex(SemCompError, "colour"):
            tfds_source._plane(plane, "1.png")
