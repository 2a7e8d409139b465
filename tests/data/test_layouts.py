import os

import numpy as np
from absl.testing import parameterized

from tests.data import fake_layouts
from tests.harness import SemCompTestCase
from tfsemcomp.data import layouts, planes
from tfsemcomp.errors import SemCompError


class LayoutsTest(SemCompTestCase):
    def read(self, name, **options):
        self.collection = layouts.read(name, str(self.folder), **options)
        self.assertEqual(self.collection.name, name)
        found = {}
        for split, held in self.collection.splits.items():
            found[split] = list(held.items)
            for item in held.items:
                self.assertTrue(os.path.isfile(item.image), item.image)
                self.assertNotIn(str(self.folder), item.name)
        return found

    def names(self, name, **options):
        splits = self.read(name, **options)
        return {split: [item.name for item in held] for split, held in splits.items()}

    def test_images(self):
        fake_layouts.write_image(self.folder / "b" / "2.png")
        fake_layouts.write_image(self.folder / "1.jpg")
        self.assertEqual(self.names("images"), {"train": ["1.jpg", "b/2.png"]})
        fake_layouts.write_lines(self.folder / "one.txt", "b/2")
        lists = [f"val:{self.folder / 'one.txt'}"]
        self.assertEqual(self.names("images", lists=lists), {"val": ["b/2.png"]})

    def test_folders_of_splits(self):
        for name in ("train/a/1.png", "train/b/2.png", "val/b/3.png"):
            fake_layouts.write_image(self.folder / name)
        splits = self.read("class_folders")
        self.assertEqual(self.collection.classes, ("a", "b"))
        labels = {split: [i.label for i in held] for split, held in splits.items()}
        self.assertEqual(labels, {"train": [0, 1], "val": [1]})
        with self.subTest("not all are splits"):
            fake_layouts.write_image(self.folder / "cat" / "4.png")
            self.assertLen(self.read("class_folders")["train"], 4)

    def test_a_share_is_drawn_in_each_folder(self):
        for number in range(20):
            fake_layouts.write_image(self.folder / f"c{number % 2}" / f"{number}.png")
        splits = self.read("class_folders", test_share=0.2, seed=3)
        labels = {split: [i.label for i in held] for split, held in splits.items()}
        self.assertCountEqual(labels["test"], [0, 0, 1, 1])
        self.assertLen(labels["train"], 16)
        names = {item.name for held in splits.values() for item in held}
        self.assertLen(names, 20)
        self.assertEqual(splits, self.read("class_folders", test_share=0.2, seed=3))
        self.assertNotEqual(splits, self.read("class_folders", test_share=0.2, seed=4))

    def test_captions(self):
        fake_layouts.write_image(self.folder / "images" / "1.jpg")
        table = self.folder / "captions.tsv"
        fake_layouts.write_lines(table, "images/1.jpg\tEin Hund .", "images/1.jpg\t犬")
        (item,) = self.read("captions")["train"]
        self.assertEqual(item.captions, ("Ein Hund .", "犬"))
        fake_layouts.write_lines(table, "images/1.jpg Ein Hund")
        with self.assertRaisesRegex(SemCompError, "a tab and a caption"):
            self.read("captions")

    def test_kodak_in_order(self):
        fake_layouts.kodak(self.folder)
        fake_layouts.write_image(self.folder / "cover.png")
        expected = ["kodim01.png", "kodim02.png", "kodim10.png"]
        self.assertEqual(self.names("kodak"), {"test": expected})

    def test_camvid(self):
        fake_layouts.camvid(self.folder)
        splits = self.read("camvid")
        self.assertEqual({k: len(v) for k, v in splits.items()}, {"train": 2, "val": 1})
        expected = ("sky", "traffic light", "unlabelled")
        self.assertEqual(self.collection.map_classes, expected)
        labels = planes.read_label_map(splits["val"][0].label_map)
        np.testing.assert_array_equal(labels, fake_layouts.label_plane(3))

    def test_camvid_of_segnet(self):
        fake_layouts.segnet_camvid(self.folder)
        splits = self.read("camvid")
        self.assertEqual([i.name for i in splits["test"]], ["test/2.png"])
        self.assertEqual(self.collection.map_classes[11], "unlabelled")
        labels = planes.read_label_map(splits["test"][0].label_map)
        np.testing.assert_array_equal(labels, fake_layouts.label_plane(2))

    def test_cityscapes(self):
        fake_layouts.cityscapes(self.folder)
        splits = self.read("cityscapes")
        (item,) = splits["train"]
        table = self.collection.map_table
        labels = planes.read_label_map(item.label_map, table)
        self.assertEqual(set(labels.flat), {0, 7, 26})
        self.assertEqual(self.collection.map_classes[26], "car")
        self.assertEqual(table[34:], bytes([255]) * 222)
        instances = planes.read_instances(item.instances)
        self.assertEqual(set(instances.flat), {0, 7, 26005})
        self.assertEqual(splits["test"][0].label_map, "")
        with self.subTest("19 classes"):
            self.read("cityscapes", train_ids=True)
            labels = planes.read_label_map(item.label_map, self.collection.map_table)
            self.assertEqual(set(labels.flat), {0, 13, 255})
            self.assertLen(self.collection.map_classes, 19)
            self.assertEqual(self.collection.map_classes[13], "car")

    @parameterized.parameters(True, False)
    def test_bsds500(self, matlab):
        fake_layouts.bsds500(self.folder / "BSDS500" / "data", matlab)
        splits = self.read("bsds500")
        self.assertEqual([i.name for i in splits["val"]], ["val/2.jpg"])
        edges = planes.read_edges(splits["val"][0].edges)
        self.assertEqual(edges.dtype, np.uint8)
        self.assertEqual(set(edges[5, :16]), {255})
        self.assertEqual(set(edges[5, 16:]), {128})
        self.assertEqual(edges.sum(), 16 * (255 + 128))

    def test_edges2photos(self):
        fake_layouts.edges2photos(self.folder)
        splits = self.read("edges2shoes", drawing="right")
        self.assertEqual([i.drawing for i in splits["train"]], ["right"])
        self.assertEqual([i.name for i in splits["val"]], ["val/2_AB.png"])

    def test_cub200(self):
        fake_layouts.cub200(self.folder)
        splits = self.read("cub200")
        self.assertEqual([i.label for i in splits["train"]], [0, 1])
        item = splits["test"][1]
        self.assertEqual(item.name, "002.Laysan_Albatross/Bird_2.jpg")
        self.assertEqual(item.class_text, "Laysan Albatross")
        self.assertEqual(item.captions, ("bird 3 is black.", "it flies."))
        self.assertEqual(item.box, (10, 20, 22, 36))
        self.assertEqual(self.collection.classes[0], "Black footed Albatross")

    def test_attngan_splits_species(self):
        fake_layouts.cub200(self.folder)
        splits = self.read("cub200_attngan")
        self.assertEqual([i.label for i in splits["train"]], [1, 1])
        self.assertEqual([i.label for i in splits["test"]], [0, 0])
        (self.folder / "testclasses.txt").unlink()
        (self.folder / "filenames.pickle").write_bytes(b"cos\nsystem\n")
        with self.assertRaisesRegex(SemCompError, "never read"):
            self.read("cub200_attngan")

    def test_lists_name_files_without_suffix(self):
        fake_layouts.cub200(self.folder)
        listed = self.folder / "filenames.txt"
        fake_layouts.write_lines(listed, "002.Laysan_Albatross/Bird_1")
        splits = self.read("cub200", lists=[f"train:{listed}"])
        self.assertEqual([i.label for i in splits["train"]], [1])

    def test_stanford_dogs(self):
        fake_layouts.stanford_dogs(self.folder)
        splits = self.read("stanford_dogs")
        self.assertEqual([i.label for i in splits["test"]], [0, 1])
        self.assertEqual(splits["train"][1].class_text, "Japanese_spaniel")
        self.assertEqual(self.collection.classes, ("Chihuahua", "Japanese_spaniel"))

    def test_caltech256(self):
        fake_layouts.caltech256(self.folder)
        splits = self.read("caltech256")
        self.assertEqual([i.label for i in splits["train"]], [0, 1])
        self.assertEqual(self.collection.classes, ("ak47", "american-flag"))

    def test_imagenet_has_the_class_indexes_of_keras(self):
        fake_layouts.imagenet(self.folder)
        splits = self.read("imagenet")
        self.assertEqual([i.label for i in splits["train"]], [0, 1])
        # By the kit's ids, whose order is another one.
        self.assertEqual([i.label for i in splits["val"]], [1, 0, 1])
        self.assertEqual(self.collection.classes, ("tench", "goldfish"))
        with self.subTest("list of synsets"):
            kit = self.folder / "ILSVRC2012_devkit_t12" / "data"
            (kit / "meta.mat").unlink()
            lines = [f"{k} {v}" for k, v in fake_layouts.SYNSETS.items()]
            fake_layouts.write_lines(self.folder / "synset_words.txt", *lines)
            with self.assertRaisesRegex(SemCompError, "meta.mat"):
                self.read("imagenet")
            for path in (self.folder / "val").iterdir():
                fake_layouts.write_image(self.folder / "val/n01443537" / path.name)
                path.unlink()
            self.assertEqual({i.label for i in self.read("imagenet")["val"]}, {1})
        with self.subTest("neither"):
            (self.folder / "synset_words.txt").unlink()
            with self.assertRaisesRegex(SemCompError, "all 1,000 folders"):
                self.read("imagenet")

    def test_flickr8k(self):
        fake_layouts.flickr8k(self.folder)
        splits = self.read("flickr8k")
        self.assertEqual([i.name for i in splits["val"]], ["1_abc.jpg"])
        expected = ("Sentence 0 of 2 .", "Sentence 1 of 2 .")
        self.assertEqual(splits["test"][0].captions, expected)
        with open(self.folder / "Flickr8k_text/Flickr_8k.devImages.txt", "a") as file:
            file.write("unknown.jpg\n")
        with self.assertRaisesRegex(SemCompError, "unknown.jpg has no captions"):
            self.read("flickr8k")

    def test_maps(self):
        fake_layouts.write_image(self.folder / "images" / "1.jpg")
        with self.assertRaisesRegex(SemCompError, "no map"):
            self.read("maps")
        plane = fake_layouts.label_plane(0)
        fake_layouts.write_plane(self.folder / "edges" / "1.png", plane)
        fake_layouts.write_plane(self.folder / "instances" / "1.png", plane)
        (item,) = self.read("maps")["train"]
        self.assertEqual(item.label_map, "")
        np.testing.assert_array_equal(planes.read_edges(item.edges), plane)
        np.testing.assert_array_equal(planes.read_instances(item.instances), plane)

    def test_parts_hold_every_item_once(self):
        for number in range(7):
            fake_layouts.write_image(self.folder / f"{number}.png")
        held = layouts.read("images", str(self.folder)).splits["train"]
        parts = [held.part(number, 3, seed=2) for number in range(3)]
        self.assertCountEqual([i for part in parts for i in part], held.items)
        self.assertEqual([len(part) for part in parts], [3, 2, 2])
        self.assertNotEqual(held.part(0, 1, seed=2), held.part(0, 1, seed=3))

    def test_the_digest_tells_collections_apart(self):
        fake_layouts.write_image(self.folder / "a" / "1.png")
        first = layouts.read("images", str(self.folder)).splits["train"].digest()
        labelled = layouts.read("class_folders", str(self.folder)).splits["train"]
        self.assertNotEqual(labelled.digest(), first)
        fake_layouts.write_image(self.folder / "a" / "2.png")
        more = layouts.read("images", str(self.folder)).splits["train"].digest()
        self.assertNotEqual(more, first)

    def test_wrong_arguments(self):
        fake_layouts.write_image(self.folder / "train" / "1.png")
        fake_layouts.write_image(self.folder / "val" / "2.png")
        for expected, name, options in (
            ("`name`", "pictures", {}),
            ("`drawing`", "edges2shoes", {"drawing": "top"}),
            ("`drawing`", "images", {"drawing": "right"}),
            ("`train_ids`", "images", {"train_ids": True}),
            ("`test_share`", "images", {"test_share": 0.1}),
            ("`--lists`", "images", {"lists": ["train.txt"]}),
        ):
            with (
                self.subTest(name, **options),
                self.assertRaisesRegex(ValueError, expected),
            ):
                self.read(name, **options)

    def test_folders_of_another_kind(self):
        fake_layouts.write_image(self.folder / "sub" / "1.png")
        for name in layouts.NAMES:
            if name in ("images", "class_folders") or name.startswith("edges2"):
                continue
            with self.subTest(name), self.assertRaises(SemCompError):
                self.read(name)
        with self.assertRaisesRegex(SemCompError, "no such folder"):
            layouts.read("images", str(self.folder / "none"))
        listed = self.folder / "list.txt"
        fake_layouts.write_lines(listed, "sub/2.png")
        with self.assertRaisesRegex(SemCompError, "'sub/2.png' is neither"):
            self.read("images", lists=[f"train:{listed}"])
