import contextlib
import io
import json
from unittest import mock

from absl import app, flags
from absl.testing import flagsaver

from tests.data import shard_makers
from tests.harness import SemCompTestCase
from tfsemcomp.data import beam_running, sharding, tool_running
from tfsemcomp.errors import SemCompError


def run_tool(folder, *arguments, default_runner=""):
    """Runs a tool of the test's own in this process; returns what it prints."""

    def run(main, flags_parser):
        main(flags_parser(["tool", *arguments]))

    def tool(make_parts):
        index = sharding.make([shard_makers.split(folder)], make_parts)["train"]
        return tool_running.counts(index)

    printed = io.StringIO()
    with (
        flagsaver.flagsaver(),
        mock.patch.object(app, "run", run),
        contextlib.redirect_stdout(printed),
    ):
        tool_running.run_tool(tool, default_runner)
    return printed.getvalue()


class ToolRunningTest(SemCompTestCase):
    def test_a_process_that_dies_ends_the_run_which_can_go_on(self):
        whole = shard_makers.split(self.folder).elements

        def make(killed):
            killer = shard_makers.Killer()
            split = shard_makers.split(
                self.folder / "out",
                elements=lambda number: killer if number == killed else whole(number),
            )

            def run(parts):
                # Those before in this process, the last one in another.
                tool_running.run_in_processes(parts[:-1], 1)
                tool_running.run_in_processes(parts[-1:], 2)

            return sharding.make([split], run)["train"]

        with self.assertRaisesRegex(
            SemCompError, "shard 2 of train was killed by SIGKILL; run again"
        ):
            make(killed=2)
        self.assertFalse((self.folder / "out" / "train.json").exists())
        self.assertEqual(make(killed=None)["records"], shard_makers.COUNT)

    def test_what_it_took(self):
        for number, arguments in enumerate(([], ["--runner=DirectRunner"])):
            printed = json.loads(run_tool(self.folder / str(number), *arguments))
            counts = {"read": 7, "records": 7, "dead_letters": 0}
            self.assertEqual({**printed, **counts}, printed)
            self.assertGreater(printed["peak_memory_mb"], 10)
            self.assertGreaterEqual(printed["seconds"], 0)

    def test_who_makes_the_shards(self):
        for default, arguments, beam in (
            ("", [], None),
            ("", ["--runner=DirectRunner"], ("DirectRunner", [])),
            ("DirectRunner", [], ("DirectRunner", [])),
            ("DirectRunner", ["--runner="], None),
            (
                "DirectRunner",
                ["--workers=2"],
                ("DirectRunner", beam_running.direct_workers(2)),
            ),
            (
                "DirectRunner",
                ["--runner=FlinkRunner", "--parallelism=3"],
                ("FlinkRunner", ["--parallelism=3"]),
            ),
        ):
            with (
                self.subTest(default=default, arguments=arguments),
                mock.patch.object(beam_running, "runner") as runner,
            ):
                runner.return_value = sharding.run_here
                run_tool(self.folder / "out", *arguments, default_runner=default)
                called = [tuple(call.args) for call in runner.mock_calls]
                self.assertEqual(called, [beam] if beam else [])

    def test_flags_that_nobody_knows(self):
        for arguments, error, told in (
            (["--wokers=2"], flags.Error, "'wokers'"),
            (["--workers=2", "stray"], app.UsageError, "'stray'"),
            (["--runner=DirectRunner", "--wokers=2"], ValueError, "`--wokers` is a"),
            (["--runner=FlinkRunner", "--workers=2"], app.UsageError, "FlinkRunner"),
        ):
            with (
                self.subTest(arguments=arguments),
                self.assertRaisesRegex(error, told),
            ):
                run_tool(self.folder, *arguments)
