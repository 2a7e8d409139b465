import json

from tests.harness import SemCompTestCase, smooth_image
from tests.tools import killing
from tfsemcomp import images
from tfsemcomp.data import compressed, records, sharding

SCRIPT = "tfrecords_tools/compress_records.py"


def write_records(folder):
    """Six pictures in three shards; the third one is none."""
    pictures = (
        records.Record(
            image=b"none"
            if number == 2
            else images.encode(smooth_image(24, 32, number), "png"),
            name=f"{number}.png",
            height=24,
            width=32,
        )
        for number in range(6)
    )
    records.write_shards(pictures, str(folder), "train", 3)


class CompressRecordsTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.source = self.folder / "source"
        write_records(self.source)
        self.out = self.folder / "out"
        self.flags = (
            f"--records={self.source}:train",
            f"--out={self.out}",
            "--codec=jpeg",
            "--qualities=20,60",
            "--settings=subsampling=4:4:4",
            "--metrics=psnr",
            "--skip_broken",
        )

    def make_here(self, out):
        """The same in this process; returns the files."""
        source, codec = (str(self.source), "train"), compressed.base.get_codec("jpeg")
        split = compressed.originals_split(source, str(out), skip_broken=True)
        sharding.make([split])
        splits = [
            compressed.compressed_split(
                str(out),
                codec,
                f"quality={quality}, subsampling=4:4:4",
                {"quality": float(quality), "subsampling": "4:4:4"},
                metrics=["psnr"],
                skip_broken=True,
            )
            for quality in (20, 60)
        ]
        sharding.make(splits)
        return self.files(out)

    def files(self, folder):
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    def test_a_killed_run_goes_on_and_gives_every_picture_once(self):
        killing.kill_at_the_end(
            SCRIPT, *self.flags, out=self.out, split=compressed.ORIGINALS, shards=3
        )
        self.assertFalse((self.out / "original.json").exists())
        summary = json.loads(self.run_recipe_test(SCRIPT, *self.flags))
        splits = summary["splits"]
        low, high = (
            compressed.split_name("jpeg", "", f"quality={quality}, subsampling=4:4:4")
            for quality in (20, 60)
        )
        self.assertCountEqual(splits, ["original", low, high])
        counts = {"read": 6, "records": 5, "dead_letters": 1}
        self.assertEqual(splits["original"], counts)
        for better in ("psnr", "bpp", "bytes"):
            self.assertGreater(splits[high][better], splits[low][better])
        (letter,) = sharding.read_dead_letters(str(self.out), "original")
        self.assertEqual(letter["key"], "2.png")
        self.assertIn("no image", letter["reason"])
        names = [record.name for record in compressed.read(str(self.out), high)]
        self.assertCountEqual(names, [f"{number}.png" for number in (0, 1, 3, 4, 5)])
        with self.subTest("the same as of an unbroken run"):
            self.assertEqual(self.make_here(self.folder / "here"), self.files(self.out))
