import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np

from tests.data import fake_layouts
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import images
from tfsemcomp.data import (
    building,
    label_maps,
    layouts,
    preparation,
    reading,
    records,
    sharding,
    transforms,
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

    def build(self, *flags):
        self.out = str(self.folder / "out")
        if not any(flag.startswith("--dataset") for flag in flags):
            flags = (*flags, "--dataset=class_folders", f"--input={self.photos}")
        output = self.run_recipe_test(SCRIPT, f"--out={self.out}", *flags)
        return json.loads(output)

    def read(self, split):
        stream = reading.serialized(self.out, split).map(records.parse)
        return {r.name: r for r in map(records.from_parsed, stream)}

    def files(self, out="out"):
        return {path.name: path.read_bytes() for path in (self.folder / out).iterdir()}

    def build_here(self, out, plan, skip_broken=False, **options):
        """The same in this process; returns the files."""
        collection = layouts.read("class_folders", str(self.photos), **options)
        settings = building.Settings(
            str(self.folder / out), plan, shards=4, skip_broken=skip_broken
        )
        building.build(collection, settings)
        return self.files(out)

    def test_splits_by_lists_broken_pictures_and_two_processes(self):
        (self.photos / "002.dog" / "broken.jpg").write_text("no image")
        train, val = self.folder / "train.txt", self.folder / "val.txt"
        fake_layouts.write_lines(train, "001.a cat", "002.dog/0002", "002.dog/broken")
        fake_layouts.write_lines(val, "002.dog/0004.png", "002.dog/0006.png")
        lists = [f"train:{train}", f"val:{val}"]
        summary = self.build(
            f"--lists={','.join(lists)}",
            "--size=32",
            "--shards=4",
            "--workers=2",
            "--skip_broken",
        )
        self.assertEqual(
            summary["splits"],
            {
                "train": {"read": 6, "records": 5, "dead_letters": 1},
                "val": {"read": 2, "records": 2, "dead_letters": 0},
            },
        )
        self.assertEqual(summary["classes"], 2)
        (letter,) = sharding.read_dead_letters(self.out, "train")
        self.assertEqual(letter["key"], "002.dog/broken.jpg")
        held = self.read("train")
        cats = [f"001.a cat/000{number}.png" for number in (1, 3, 5, 7)]
        self.assertCountEqual(held, [*cats, "002.dog/0002.png"])
        for name, record in held.items():
            self.assertEqual(record.label, int("dog" in name))
            self.assertEqual((record.height, record.split), (32, "train"))
        image = images.load_bytes(held["001.a cat/0001.png"].image).pixels
        expected = transforms.resize_short_side(smooth_image(41, 60, 1), 32)
        self.assertLess(np.abs(image.astype(int) - expected).mean(), 3)
        with self.subTest("any number of processes gives the same files"):
            plan = preparation.Preparation(32, 32)
            here = self.build_here("here", plan, skip_broken=True, lists=lists)
            self.assertEqual(self.files(), here)

    def test_on_beam(self):
        (self.photos / "002.dog" / "broken.jpg").write_text("no image")
        summary = self.build(
            "--size=32", "--shards=4", "--skip_broken", "--runner=DirectRunner"
        )
        counts = {"read": 9, "records": 8, "dead_letters": 1}
        self.assertEqual(summary["splits"], {"train": counts})
        plan = preparation.Preparation(32, 32)
        self.assertEqual(self.files(), self.build_here("here", plan, skip_broken=True))

    def test_a_killed_run_goes_on(self):
        plan = preparation.Preparation(24, 24, mode="squash")
        whole = self.build_here("whole", plan)
        # A pipe that nobody writes to holds the run in the middle of its last shard.
        held = layouts.read("class_folders", str(self.photos)).splits["train"]
        path = pathlib.Path(held.part(3, 4, seed=1)[-1].image)
        content = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        root, out = pathlib.Path(__file__).resolve().parents[2], self.folder / "killed"
        flags = ("--size=24x24", "--mode=squash", "--shards=4", f"--out={out}")
        with subprocess.Popen(
            [
                *(sys.executable, str(root / SCRIPT), *flags),
                *("--dataset=class_folders", f"--input={self.photos}"),
            ],
            env={**os.environ, "PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": ""},
            stderr=subprocess.DEVNULL,
        ) as process:
            deadline = time.monotonic() + 300
            while len(list(out.glob(".*.part"))) < 3 and time.monotonic() < deadline:
                time.sleep(0.01)
            process.kill()
        self.assertLen(list(out.glob("*.tfrecord")), 3)
        path.unlink()
        path.write_bytes(content)
        self.assertEqual(self.build_here("killed", plan), whole)

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
