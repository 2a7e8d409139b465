import json
import os
import pathlib
import subprocess
import sys

from tests.data import fake_layouts
from tests.harness import SemCompTestCase, noise_image
from tfsemcomp import images
from tfsemcomp.data import building, layouts, preparation

SCRIPT = "tfrecords_tools/inspect_records.py"


class InspectRecordsTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.out = self.folder / "out"
        photos = self.folder / "photos"
        fake_layouts.write_image(photos / "train" / "2.png", 2, (60, 80))
        # The same picture, smaller.
        fake_layouts.write_image(photos / "val" / "copy.jpg", 2, (45, 60))
        images.write(photos / "train" / "1.png", noise_image(60, 80, 1))
        images.write(photos / "val" / "3.png", noise_image(60, 80, 3))
        collection = layouts.read("images", str(photos))
        settings = building.Settings(
            str(self.out), preparation.Preparation(encoding="raw"), shards=1
        )
        building.build(collection, settings)

    def test_a_whole_set(self):
        sheet = self.folder / "sheet.png"
        output = self.run_recipe_test(
            SCRIPT, f"--records={self.out}", f"--contact_sheet={sheet}", "--decode"
        )
        found = json.loads(output)
        self.assertEmpty(found["problems"])
        self.assertEqual(found["splits"]["train"]["records"], 2)
        self.assertEqual(found["splits"]["val"]["formats"], {"PNG": 2})
        self.assertEqual(images.read(sheet).shape[1], 1024)

    def test_leaks_and_damage_give_a_status_of_1(self):
        shard = self.out / "val-00000-of-00001.tfrecord"
        shard.write_bytes(shard.read_bytes() + b"end")
        root = pathlib.Path(__file__).resolve().parents[2]
        done = subprocess.run(
            [sys.executable, str(root / SCRIPT), f"--records={self.out}", "--leaks"],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": ""},
            check=False,
        )
        self.assertEqual(done.returncode, 1, done.stderr)
        problems = json.loads(done.stdout)["problems"]
        self.assertLen(problems, 2)
        self.assertRegex(problems[0], rf"{shard.name}, offset \d+: .* header")
        self.assertRegex(problems[1], "train/train/2.png and val/val/copy.jpg")
