import json

from tests.harness import SemCompTestCase
from tests.tools import killing
from tests.tools.test_compress_records import write_records
from tfsemcomp.data import materialized, sharding

SCRIPT = "tfrecords_tools/materialize_layers.py"


class MaterializeLayersTest(SemCompTestCase):
    def test_a_killed_run_goes_on_and_gives_every_picture_once(self):
        source, out = self.folder / "source", self.folder / "out"
        write_records(source)
        layers = {"base": "codec:webp;quality=30;layers=1", "roi": "roi:contrast"}
        flags = (
            f"--records={source}:train",
            f"--out={out}",
            *(f"--layer={name}={producer}" for name, producer in layers.items()),
            "--skip_broken",
        )
        killing.kill_at_the_end(SCRIPT, *flags, out=out, split="train", shards=3)
        self.assertFalse((out / "train.json").exists())
        summary = json.loads(self.run_recipe_test(SCRIPT, *flags))
        counts = {"read": 6, "records": 5, "dead_letters": 1}
        self.assertEqual({**summary, **counts}, summary)
        self.assertEqual(summary["layers"], materialized.layers_of(str(out), "train"))
        self.assertGreater(summary["means"]["layer/base/stream bytes"], 0)
        (letter,) = sharding.read_dead_letters(str(out), "train")
        self.assertEqual(letter["key"], "2.png")
        names = [record.name for record, _ in materialized.read(str(out), "train")]
        self.assertCountEqual(names, [f"{number}.png" for number in (0, 1, 3, 4, 5)])
        with self.subTest("the same as of an unbroken run"):
            here = self.folder / "here"
            split = materialized.split(
                (str(source), "train"), str(here), layers, skip_broken=True
            )
            sharding.make([split])
            files = {path.name: path.read_bytes() for path in here.iterdir()}
            made = {path.name: path.read_bytes() for path in out.iterdir()}
            self.assertEqual(made, files)
