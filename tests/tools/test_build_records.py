import json

import numpy as np
import tensorflow as tf
from PIL import Image

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.data import records

SCRIPT = "tfrecords_tools/build_records.py"


class BuildRecordsTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.photos = self.folder / "photos"
        for number in range(8):
            group = self.photos / ("001.a cat" if number % 2 else "002.dog")
            group.mkdir(parents=True, exist_ok=True)
            pixels = smooth_image(40 + number, 60, number)
            Image.fromarray(pixels).save(group / f"{number:04d}.png")

    def build(self, *flags):
        out = str(self.folder / "out")
        output = self.run_recipe_test(
            SCRIPT, f"--input={self.photos}", f"--out={out}", "--shards=2", *flags
        )
        return json.loads(output), out

    def test_class_folders_with_a_seeded_split(self):
        summary, out = self.build("--test_share=0.25", "--short_side=32")
        counts = {k: v["records"] for k, v in summary["splits"].items()}
        self.assertEqual(counts, {"train": 6, "test": 2})
        index = records.read_index(out, "train")
        self.assertEqual(index["classes"], ["001.a cat", "002.dog"])
        names = {}
        for split in ("train", "test"):
            self.assertEqual(records.verify(out, split), counts[split])
            for item in tf.data.TFRecordDataset(records.shard_paths(out, split)):
                record = records.parse(item)
                name = record["image/name"].numpy().decode()
                self.assertEqual(int(record["label"]), int("dog" in name))
                self.assertEqual(int(record["image/height"]), 32)
                names.setdefault(split, set()).add(name)
        self.assertEmpty(names["train"] & names["test"])
        self.assertLen(names["train"] | names["test"], 8)

    def test_lists_fix_the_split_and_broken_images_are_counted(self):
        listed = self.folder / "list.txt"
        broken = self.photos / "002.dog" / "broken.jpg"
        broken.write_text("no image")
        listed.write_text("001.a cat/0001.png\n002.dog/broken.jpg\n")
        summary, out = self.build(
            f"--lists=val:{listed}", "--layout=images", "--skip_broken"
        )
        self.assertEqual(summary["splits"], {"val": {"records": 1, "broken": 1}})
        (item,) = tf.data.TFRecordDataset(records.shard_paths(out, "val"))
        record = records.parse(item)
        self.assertEqual(int(record["label"]), -1)
        image = tf.io.decode_image(record["image/encoded"]).numpy()
        expected = smooth_image(41, 60, 1).astype(int)
        self.assertLess(np.abs(image.astype(int) - expected).mean(), 3)
