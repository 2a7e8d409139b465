import importlib.util
from unittest import mock

from tests.data import shard_makers
from tests.harness import SemCompTestCase
from tfsemcomp.data import beam_running, records, sharding
from tfsemcomp.errors import SemCompError, UnavailableError


class BeamRunningTest(SemCompTestCase):
    def make(self, out, run, **options):
        split = shard_makers.split(self.folder / out, **options)
        sharding.make([split], run)
        return shard_makers.files(self.folder / out)

    def test_gives_the_same_files(self):
        options = {"broken": ("3",), "skip_broken": True}
        here = self.make("here", sharding.run_here, **options)
        there = self.make("there", beam_running.runner("DirectRunner"), **options)
        self.assertIn("train.dead_letters.jsonl", here)
        self.assertEqual(there, here)

    def test_an_element_that_fails_ends_the_run(self):
        run = beam_running.runner("DirectRunner")
        with self.assertRaisesRegex(SemCompError, "^3: no luck .`--skip_broken`"):
            self.make("out", run, broken=("3",))
        self.assertFalse((self.folder / "out" / "train.json").exists())
        self.make("out", run)
        self.assertEqual(records.verify(str(self.folder / "out"), "train"), 7)

    def test_what_a_runner_fails_with_is_told_in_one_line(self):
        # Not the picture's fault, so not caught on the worker.
        run = beam_running.runner("DirectRunner")
        with self.assertRaisesRegex(SemCompError, "pipeline failed: .*no len") as told:
            self.make("out", run, transform=len)
        self.assertNotIn("\n", str(told.exception))

    def test_options_of_beam_and_none_else(self):
        beam_running.runner(
            "FlinkRunner", ["--flink_master=host:8081", "--parallelism=3"]
        )
        beam_running.runner("DirectRunner", beam_running.direct_workers(2))
        with self.assertRaisesRegex(ValueError, "`--paralelism`"):
            beam_running.runner("FlinkRunner", ["--paralelism=3"])

    def test_without_beam(self):
        with (
            mock.patch.object(importlib.util, "find_spec", return_value=None),
            self.assertRaisesRegex(UnavailableError, r"tfsemcomp\[beam\]"),
        ):
            beam_running.runner("DirectRunner")
