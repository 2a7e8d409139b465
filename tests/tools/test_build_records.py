import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import tensorflow as tf

from tests.data import fake_layouts
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.data import (
    building,
    label_maps,
    layouts,
    preparation,
    reading,
    records,
)

SCRIPT = "tfrecords_tools/build_records.py"


class BuildRecordsTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.photos = self.folder / "photos"
        for number in range(8):
            group = "001.a cat" if number % 2 else "002.dog"
            path = self.photos / group / f"{number:04d}.png"
            fake_layouts.write_image(path, number, (40 + number, 60))

    def build(self, *flags, out="out"):
        self.out = str(self.folder / out)
        if not any(flag.startswith("--dataset") for flag in flags):
            flags = (*flags, "--dataset=class_folders", f"--input={self.photos}")
        output = self.run_recipe_test(SCRIPT, f"--out={self.out}", *flags)
        return json.loads(output)

    def read(self, split):
        stream = reading.serialized(self.out, split).map(records.parse)
        return {r.name: r for r in map(records.from_parsed, stream)}

    def files(self, out="out"):
        return {path.name: path.read_bytes() for path in (self.folder / out).iterdir()}

    def build_here(self, out, preparation, **options):
        """The same in this process; returns the files."""
        collection = layouts.read("class_folders", str(self.photos), **options)
        settings = building.Settings(str(self.folder / out), preparation, shards=4)
        building.build(collection, settings)
        return self.files(out)

    def test_class_folders_with_a_seeded_split(self):
        flags = ("--test_share=0.25", "--size=32", "--shards=4", "--workers=2")
        summary = self.build(*flags)
        counts = {k: v["records"] for k, v in summary["splits"].items()}
        self.assertEqual(counts, {"train": 6, "test": 2})
        self.assertEqual(summary["classes"], 2)
        index = records.read_index(self.out, "train")
        self.assertEqual(index["classes"], ["001.a cat", "002.dog"])
        held = {split: self.read(split) for split in counts}
        for split, count in counts.items():
            self.assertEqual(records.verify(self.out, split), count)
            for name, record in held[split].items():
                self.assertEqual(record.label, int("dog" in name))
                self.assertEqual(record.height, 32)
        self.assertEmpty(held["train"].keys() & held["test"].keys())
        self.assertLen(held["train"] | held["test"], 8)
        with self.subTest("any number of processes gives the same files"):
            plan = preparation.Preparation(32, 32)
            here = self.build_here("here", plan, test_share=0.25)
            self.assertEqual(self.files(), here)

    def test_lists_fix_the_split_and_broken_images_are_counted(self):
        listed = self.folder / "list.txt"
        (self.photos / "002.dog" / "broken.jpg").write_text("no image")
        fake_layouts.write_lines(listed, "001.a cat/0001.png", "002.dog/broken.jpg")
        summary = self.build(
            f"--lists=val:{listed}",
            "--dataset=images",
            f"--input={self.photos}",
            "--skip_broken",
        )
        self.assertEqual(summary["splits"], {"val": {"records": 1, "dead_letters": 1}})
        (letter,) = building.read_dead_letters(self.out, "val")
        self.assertEqual(letter["name"], "002.dog/broken.jpg")
        (record,) = self.read("val").values()
        self.assertEqual(record.label, -1)
        image = tf.io.decode_image(record.image).numpy()
        expected = smooth_image(41, 60, 1).astype(int)
        self.assertLess(np.abs(image.astype(int) - expected).mean(), 3)

    def test_a_killed_run_goes_on(self):
        plan = preparation.Preparation(24, 24, mode="squash")
        whole = self.build_here("whole", plan)
        flags = ("--size=24x24", "--mode=squash", "--shards=4")
        root = pathlib.Path(__file__).resolve().parents[2]
        arguments = ["--dataset=class_folders", f"--input={self.photos}", *flags]
        out = self.folder / "killed"
        with subprocess.Popen(
            [sys.executable, str(root / SCRIPT), f"--out={out}", *arguments],
            env={**os.environ, "PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": ""},
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        ) as process:
            deadline = time.monotonic() + 120
            while process.poll() is None and time.monotonic() < deadline:
                if out.is_dir() and any(out.glob(".*.part")):
                    process.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.001)
        summary = self.build(*flags, out="killed")
        self.assertEqual(summary["splits"]["train"]["records"], 8)
        self.assertEqual(self.files("killed"), whole)

    def test_a_data_set_of_tfds(self):
        fake_layouts.camvid(self.folder / "manual")
        summary = self.build(
            "--dataset=camvid",
            f"--tfds_data_dir={self.folder / 'data'}",
            f"--tfds_manual_dir={self.folder / 'manual'}",
            "--splits=val",
            "--size=0",
            "--encoding=source",
            "--shards=1",
        )
        self.assertEqual(summary["dataset"], "camvid/1.0.0")
        self.assertEqual(list(summary["splits"]), ["val"])
        ((name, record),) = self.read("val").items()
        path = self.folder / "manual" / "images" / name
        self.assertEqual(record.image, path.read_bytes())
        labels = label_maps.decode(record.label_map)
        np.testing.assert_array_equal(labels, fake_layouts.label_plane(3))
