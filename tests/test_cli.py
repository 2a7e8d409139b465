"""The command: results, messages, exit statuses, and that nothing is left half done."""

import contextlib
import io
import json
import os
import pathlib
import resource
import signal
import stat
import subprocess
import sys
import time
from unittest import mock

import numpy as np
from absl.testing import parameterized
from PIL import Image

from tests import harness
from tests.serving import model_folder_server, test_manifest
from tfsemcomp import bitstream, cli, errors, images
from tfsemcomp.codecs import base
from tfsemcomp.evaluation import observers
from tfsemcomp.evaluation.observer_base import Observer

IMAGE = harness.smooth_image(48, 40)
ROOT = pathlib.Path(__file__).resolve().parents[1]


class CliTestCase(harness.SemCompTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.picture = self.folder / "a picture.png"
        images.write(self.picture, IMAGE)

    def run_cli(self, *argv) -> tuple[int, str, str]:
        """Exit status, stdout and stderr."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = cli.main([str(argument) for argument in argv])
        return status, out.getvalue(), err.getvalue()

    def succeed(self, *argv) -> dict:
        """Runs with --json; returns the object."""
        status, out, err = self.run_cli(*argv, "--json")
        self.assertEqual(status, 0, err)
        self.assertLen(out.splitlines(), 1)
        return json.loads(out)

    def refuse(self, status: int, pattern: str, *argv) -> None:
        """Runs with and without --json; one line of error, no output file."""
        before = sorted(self.folder.rglob("*"))
        found, out, err = self.run_cli(*argv)
        self.assertEqual((found, out), (status, ""), err)
        self.assertLen(err.splitlines(), 1)
        self.assertStartsWith(err, "error: ")
        self.assertRegex(err, pattern)
        found, out, err = self.run_cli(*argv, "--json")
        self.assertEqual(found, status)
        self.assertLen(out.splitlines(), 1)
        self.assertRegex(json.loads(out)["error"]["message"], pattern)
        self.assertLen(err.splitlines(), 1)
        self.assertEqual(sorted(self.folder.rglob("*")), before)


class CompressTest(CliTestCase):
    def test_compress_info_decompress(self):
        target = self.folder / "a file.webp"
        facts = self.succeed(
            "compress", self.picture, target, "--codec=webp", "--quality=60"
        )
        data = target.read_bytes()
        self.assertEqual(data, base.get_codec("webp").compress(IMAGE, quality=60))
        self.assertEqual(facts["bytes"], len(data))
        self.assertEqual(facts["bpp"], 8 * len(data) / (48 * 40))
        self.assertEqual((facts["width"], facts["height"]), (40, 48))
        self.assertEqual((facts["codec"], facts["quality"]), ("webp", 60))
        facts = self.succeed("info", target)
        self.assertEqual((facts["codec"], facts["bytes"]), ("webp", len(data)))
        back = self.folder / "back.png"
        self.succeed("decompress", target, back)
        np.testing.assert_array_equal(
            images.read(back), base.get_codec("webp").decompress(data)
        )

    @parameterized.parameters(
        "--target_bytes=700", "--target-bytes=700", "--target_bpp=2.9167"
    )
    def test_targets(self, flag):
        target = self.folder / "a.jpg"
        facts = self.succeed("compress", self.picture, target, "--codec=jpeg", flag)
        self.assertLessEqual(target.stat().st_size, 700)
        self.assertGreater(target.stat().st_size, 600)
        self.assertGreater(facts["quality"], 10)

    def test_settings_of_codecs_are_flags(self):
        plain, progressive = self.folder / "plain.jpg", self.folder / "p.jpg"
        command = ("compress", self.picture)
        self.succeed(*command, plain, "--codec=jpeg", "--noprogressive")
        for spelling in (
            ("--progressive", "--subsampling", "4:4:4"),
            ("--progressive=true", "--subsampling=4:4:4"),
            ("--no-progressive", "--progressive", "--subsampling=4:4:4"),
        ):
            self.succeed(*command, progressive, "--codec", "jpeg", *spelling)
            opened = Image.open(progressive)
            self.assertIn("progressive", opened.info)
            self.assertEqual(opened.layer[0][1:3], (1, 1))
        self.assertNotIn("progressive", Image.open(plain).info)

    def test_the_default_codec_and_its_flags(self):
        target = self.folder / "a.jpg"
        command = ("compress", self.picture, target, "--map=contrast")
        facts = self.succeed(*command, "--quality=50")
        codec = base.get_codec("msroi_jpeg")
        self.assertEqual(facts["codec"], "msroi_jpeg")
        expected = codec.compress(IMAGE, quality=50, map="contrast")
        self.assertEqual(target.read_bytes(), expected)
        self.succeed(*command, "--mode=3", "--subsampling=4:4:4", "--quality=50")
        self.assertEqual(Image.open(target).layer[0][1:3], (1, 1))
        facts = self.succeed(*command, "--ratio_to_jpeg=0.9", "--reference_quality=60")
        plain = base.get_codec("jpeg").compress(IMAGE, quality=60)
        self.assertLessEqual(facts["bytes"], 0.9 * len(plain))
        self.succeed(*command, "--same_quality=60")
        self.refuse(2, "exclude", *command, "--same_quality=60", "--quality=50")
        self.refuse(2, "`mode`", *command, "--mode=7")
        mask = self.folder / "mask.png"
        images.write(mask, np.full((48, 40, 3), 128, np.uint8))
        self.succeed("compress", self.picture, target, f"--map={mask}")
        self.refuse(1, "nope.png", *command[:3], "--map=nope.png")

    def test_metadata_is_kept_on_request(self):
        exif = Image.Exif()
        exif[0x010E], exif[0x0112] = "described", 6
        source, target = self.folder / "s.jpg", self.folder / "t.jpg"
        profile = bytes(36) + b"acsp" + bytes(200)
        profile = profile[:16] + b"RGB " + profile[20:]
        Image.fromarray(IMAGE).save(source, exif=exif, icc_profile=profile)
        facts = self.succeed("compress", source, target, "--codec=jpeg")
        self.assertRegex(facts["notes"][0], "colour profile.*left out")
        self.assertIsNone(images.load(target).exif)
        self.assertEqual(images.read(target).shape, (40, 48, 3))
        flags = ("--codec=jpeg", "--keep_metadata")
        facts = self.succeed("compress", source, target, *flags)
        self.assertEqual(facts["notes"], [])
        kept = images.load(target)
        self.assertIn(b"described", kept.exif)
        self.assertEqual(kept.icc, profile)
        self.assertEqual(kept.pixels.shape, (40, 48, 3))
        back = self.folder / "back.png"
        self.succeed("decompress", target, back, "--keep_metadata")
        self.assertEqual(images.load(back).icc, profile)
        self.refuse(
            2,
            "jpeg2000 hold no metadata",
            *("compress", source, self.folder / "x.jp2"),
            *("--codec=jpeg2000", "--keep_metadata"),
        )

    def test_notes_go_to_stderr_and_json(self):
        source = self.folder / "transparent.png"
        Image.fromarray(np.dstack([IMAGE, IMAGE[..., 0]])).save(source)
        command = ("compress", source, self.folder / "a.jpg", "--codec=jpeg")
        status, _, err = self.run_cli(*command)
        self.assertEqual(status, 0)
        self.assertRegex(err, "^note: .*transparent.png: transparency composited")
        self.assertLen(err.splitlines(), 1)
        self.assertIn("transparency", self.succeed(*command)["notes"][0])

    def test_an_existing_output_is_replaced(self):
        target = self.folder / "a.jpg"
        target.write_bytes(b"old")
        self.succeed("compress", self.picture, target, "--codec=jpeg")
        self.assertEqual(images.read(target).shape, IMAGE.shape)

    def test_limits_are_flags(self):
        command = ("compress", self.picture, self.folder / "a.jpg", "--codec=jpeg")
        self.refuse(1, "limit", *command, "--max_side=40")
        self.refuse(1, "limit", *command, "--max_pixels=100")
        self.succeed(*command, "--max_side=0", "--max_pixels=0")

    def test_names_that_look_like_flags(self):
        source, target = self.folder / "--a.png", self.folder / "b.jpg"
        images.write(source, IMAGE)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        argv = ("compress", "--codec=jpeg", "--", source.name, target)
        status, _, err = self.run_cli(*argv)
        self.assertEqual(status, 0, err)


class WrongUseTest(CliTestCase):
    def compress(self, *flags, source=None, target="out.jpg", codec="jpeg") -> tuple:
        source = self.picture if source is None else source
        return ("compress", source, self.folder / target, f"--codec={codec}", *flags)

    def test_missing_input(self):
        missing = self.folder / "missing file.png"
        target = self.folder / "o.png"
        for argv in (
            self.compress(source=missing),
            ("decompress", missing, target),
            ("info", missing),
            ("truncate", missing, target, "--layers=1"),
            ("map", missing, target, "--method=contrast"),
        ):
            self.refuse(1, "missing file.png", *argv)

    def test_a_directory_where_a_file_is_expected(self):
        folder = self.folder / "folder.jpg"
        folder.mkdir()
        self.refuse(1, "folder.jpg.*irectory", "info", folder)
        self.refuse(1, "folder.jpg.*directory", *self.compress(target="folder.jpg"))
        self.refuse(1, "folder.jpg", "report", folder)

    def test_empty_and_renamed_and_truncated_files(self):
        empty = self.folder / "empty.jpg"
        empty.touch()
        text = self.folder / "text.jpg"
        text.write_text("This is text.", encoding="utf-8")
        torn = self.folder / "torn.jpg"
        torn.write_bytes(images.encode(IMAGE, "JPEG")[:-50])
        for path in (empty, text, torn):
            for argv in (
                self.compress(source=path),
                ("decompress", path, self.folder / "o.png"),
                ("info", path),
            ):
                self.refuse(1, path.name, *argv)

    def test_unwritable_output(self):
        self.refuse(1, "no directory", *self.compress(target="nowhere/out.jpg"))
        self.refuse(1, "no directory", *self.compress(target="a picture.png/out.jpg"))
        if os.geteuid() != 0:
            locked = self.folder / "locked"
            locked.mkdir(mode=0o500)
            self.refuse(1, "Permission", *self.compress(target="locked/out.jpg"))

    def test_a_full_disk_leaves_the_old_file_and_nothing_else(self):
        target = self.folder / "out.jpg"
        target.write_bytes(b"old")
        full = OSError(28, "No space left on device")
        with mock.patch("os.fsync", side_effect=full):
            self.refuse(1, "out.jpg.*No space left", *self.compress())
        self.assertEqual(target.read_bytes(), b"old")

    def test_same_input_and_output(self):
        source = self.folder / "same.jpg"
        images.write(source, IMAGE)
        link = self.folder / "link.jpg"
        link.symlink_to(source)
        before = source.read_bytes()
        for target in ("same.jpg", "link.jpg"):
            argv = self.compress(source=source, target=target)
            self.refuse(2, "same file", *argv)
            self.refuse(2, "same file", "decompress", source, self.folder / target)
        folder = ("compress", self.folder, self.folder, "--codec=jpeg")
        self.refuse(2, "same directory", *folder)
        self.assertEqual(source.read_bytes(), before)

    @parameterized.parameters(
        (("--quality=50", "--target_bpp=1"), "`quality` and `target_bpp` exclude"),
        (("--target_bytes=99", "--target_bpp=1"), "exclude each other"),
        (("--quality=1000",), "`quality` of jpeg must be from 1 to 100"),
        (("--quality=high",), "--quality: invalid float"),
        (("--target_bpp=0",), "`target_bpp`"),
        (("--target_bytes=1.5",), "--target_bytes: invalid int"),
        (("--subsampling=4:1:1",), "`subsampling` must be one of 4:2:0"),
        (("--effort=3",), "`effort` is no setting of jpeg"),
        (("--progressive=perhaps",), "--progressive takes true or false"),
        (("--no_such_flag=1",), "unrecognized arguments: --no_such_flag"),
        (("--workers=0",), "`workers`"),
        (("--max_side=-1",), "`side`"),
        (("--model=x",), "runs no model"),
        (("another.png",), "unrecognized arguments"),
    )
    def test_wrong_flags(self, flags, pattern):
        self.refuse(2, pattern, *self.compress(*flags))

    def test_wrong_commands(self):
        self.refuse(2, "`codec` must be one of.*jpeg", *self.compress(codec="nope"))
        self.refuse(
            2, "ends in .webp, but.*--codec=webp", *self.compress(target="o.webp")
        )
        self.refuse(2, "invalid choice: 'squeeze'", "squeeze")
        self.refuse(2, "COMMAND")
        self.refuse(2, "INPUT, OUTPUT", "compress")
        self.refuse(2, "--layers", "truncate", self.picture, self.folder / "o.tfsc")
        for suffix in (".gif", ".tfsc", ".txt", ""):
            target = self.folder / f"o{suffix}"
            self.refuse(2, "must end in", "decompress", self.picture, target)
        self.refuse(
            2,
            "`layers`",
            "decompress",
            self.picture,
            self.folder / "o.png",
            "--layers=2",
        )

    def test_a_target_that_cannot_be_reached(self):
        self.refuse(1, "as 20 bytes.*at least", *self.compress("--target_bytes=20"))

    def test_a_missing_plugin_says_what_to_install(self):
        with mock.patch("importlib.util.find_spec", return_value=None):
            argv = self.compress(codec="jxl", target="o.jxl")
            self.refuse(1, "jxl is not available.*pip install", *argv)

    def test_a_fault_of_ours_is_one_line_too(self):
        fault = RuntimeError("what\nhappened")
        with mock.patch("tfsemcomp.images.load", side_effect=fault):
            self.refuse(1, "RuntimeError: what happened.*--verbose", *self.compress())
            status, _, err = self.run_cli(*self.compress("--debug"))
        self.assertEqual(status, 1)
        self.assertIn("Traceback", err)

    def test_out_of_memory(self):
        with mock.patch("tfsemcomp.images.load", side_effect=MemoryError):
            self.refuse(1, "not enough memory", *self.compress())


class BatchTest(CliTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.source = self.folder / "source folder"
        self.source.mkdir()
        for index in range(3):
            images.write(self.source / f"p {index}.png", IMAGE[index:])
        (self.source / "notes.txt").write_text("no image", encoding="utf-8")
        (self.source / ".hidden.png").write_bytes(b"")
        self.target = self.folder / "new" / "target"

    @parameterized.parameters(1, 3)
    def test_round_trip(self, workers):
        flags = ("--codec=webp", f"--workers={workers}")
        facts = self.succeed("compress", self.source, self.target, *flags)
        self.assertEqual(facts["failed"], [])
        names = [pathlib.Path(record["output"]).name for record in facts["files"]]
        self.assertEqual(names, ["p 0.webp", "p 1.webp", "p 2.webp"])
        back = self.folder / "back"
        self.succeed("decompress", self.target, back, "--suffix=bmp")
        self.assertEqual(
            [images.read(path).shape for path in sorted(back.iterdir())],
            [(48, 40, 3), (47, 40, 3), (46, 40, 3)],
        )

    def test_a_failing_file_does_not_stop_the_others(self):
        (self.source / "bad.jpg").write_text("text", encoding="utf-8")
        (self.source / "torn.png").write_bytes(self.picture.read_bytes()[:100])
        argv = ("compress", self.source, self.target, "--codec=jpeg")
        status, out, err = self.run_cli(*argv)
        self.assertEqual(status, 1)
        self.assertRegex(out, "3 files, .* bytes; 2 failed\n$")
        lines = err.splitlines()
        self.assertLen(lines, 2)
        self.assertRegex(lines[0], "^error: .*bad.jpg")
        self.assertRegex(lines[1], "^error: .*torn.png")
        self.assertEqual(
            sorted(path.name for path in self.target.iterdir()),
            ["p 0.jpg", "p 1.jpg", "p 2.jpg"],
        )
        status, out, _ = self.run_cli(*argv, "--json")
        facts = json.loads(out)
        self.assertEqual((status, len(facts["files"])), (1, 3))
        self.assertEqual(
            [failure["type"] for failure in facts["failed"]],
            ["BitstreamError", "BitstreamError"],
        )

    def test_reasons_name_their_file(self):
        argv = ("compress", self.source, self.target, "--codec=jpeg")
        status, _, err = self.run_cli(*argv, "--target_bytes=10")
        self.assertEqual(status, 1)
        for index, line in enumerate(err.splitlines()):
            self.assertRegex(line, f"^error: `.*p {index}.png`: .*10 bytes")

    def test_files_that_differ_in_their_suffix_keep_it(self):
        images.write(self.source / "p 0.bmp", IMAGE[5:])
        self.succeed("compress", self.source, self.target, "--codec=jpeg")
        self.assertEqual(
            sorted(path.name for path in self.target.iterdir()),
            ["p 0.bmp.jpg", "p 0.png.jpg", "p 1.jpg", "p 2.jpg"],
        )
        self.assertEqual(images.read(self.target / "p 0.bmp.jpg").shape[0], 43)

    def test_wrong_folders(self):
        empty = self.folder / "empty"
        empty.mkdir()
        codec = "--codec=jpeg"
        self.refuse(1, "holds no files", "compress", empty, self.target, codec)
        self.refuse(1, "cannot make", "compress", self.source, self.picture, codec)

    def test_a_bar_for_people_only(self):
        argv = ("compress", self.source, self.target, "--codec=jpeg")
        self.assertEqual(self.run_cli(*argv)[2], "")
        out, err = io.StringIO(), io.StringIO()
        err.isatty = lambda: True
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            self.assertEqual(cli.main([*map(str, argv), "--json"]), 0)
        self.assertRegex(err.getvalue(), "[0-3]/3")
        self.assertLen(json.loads(out.getvalue())["files"], 3)


class InterruptTest(CliTestCase):
    def test_one_line_and_130(self):
        with mock.patch("tfsemcomp.images.load", side_effect=KeyboardInterrupt):
            argv = ("compress", self.picture, self.folder / "o.jpg", "--codec=jpeg")
            self.refuse(130, "^(error: )?interrupted$", *argv)

    def test_while_writing(self):
        argv = ("compress", self.picture, self.folder / "o.jpg", "--codec=jpeg")
        with mock.patch("os.replace", side_effect=KeyboardInterrupt):
            self.refuse(130, "interrupted", *argv)

    @parameterized.parameters(1, 2)
    def test_a_real_signal_in_a_batch(self, workers):
        programs = self.folder / "programs"
        programs.mkdir()
        for name in ("bpgenc", "bpgdec"):
            # Called as: -q QP -f CHROMA -m EFFORT -o OUTPUT INPUT.
            script = '#!/bin/sh\nsleep 0.2\ncp "$9" "$8"\n'
            program = programs / name
            program.write_text(script, encoding="utf-8")
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        source, target = self.folder / "source", self.folder / "target"
        source.mkdir()
        for index in range(40):
            images.write(source / f"{index:02}.png", IMAGE)
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        command = [
            *(sys.executable, "-m", "tfsemcomp", "compress", str(source), str(target)),
            *("--codec=bpg", f"--workers={workers}"),
        ]
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell's background jobs, and all that they start, ignore the signal.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process:
            deadline = time.monotonic() + 60
            while not any(target.glob("*.bpg")):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out), (130, ""), err)
        self.assertEqual(err, "error: interrupted\n")
        written = sorted(target.iterdir())
        self.assertBetween(len(written), 1, 39)
        for path in written:
            self.assertEqual(path.suffix, ".bpg")
            self.assertEqual(images.read(path).shape, IMAGE.shape)


class TruncateTest(CliTestCase):
    def setUp(self) -> None:
        super().setUp()
        header = bitstream.Header("layered", bytes(4), 40, 48)
        self.stream = bitstream.write(
            header,
            [
                bitstream.Chunk("text", b"a cat"),
                bitstream.Chunk("structure", bytes(50), layer=1),
                bitstream.Chunk("signal", bytes(200), layer=2),
            ],
        )
        self.source = self.folder / "a.tfsc"
        self.source.write_bytes(self.stream)
        self.target = self.folder / "b.tfsc"

    def test_cuts_and_tells(self):
        for layers in (1, 2, 3):
            facts = self.succeed(
                "truncate", self.source, self.target, f"--layers={layers}"
            )
            self.assertEqual(facts["layers"], layers)
            data = self.target.read_bytes()
            self.assertEqual(data, bitstream.truncate(self.stream, layers))
            self.assertEqual(self.succeed("info", self.target)["bytes"], len(data))

    def test_cuts_to_a_size(self):
        two = bitstream.truncate(self.stream, 2)
        for wish in (
            f"--target_bytes={len(two)}",
            f"--target_bpp={(len(two) + 0.5) * 8 / (40 * 48)}",
        ):
            self.succeed("truncate", self.source, self.target, wish)
            self.assertEqual(self.target.read_bytes(), two)
        argv = ("truncate", self.source, self.target)
        self.refuse(1, "ask for at least", *argv, "--target_bytes=3")
        self.refuse(2, "not allowed with", *argv, "--layers=1", "--target_bytes=99")
        self.refuse(2, "`target_bpp`", *argv, "--target_bpp=-1")

    def test_too_many_layers(self):
        flag = "--max_layers=2"
        self.refuse(1, "3 layers.*limit", "info", self.source, flag)
        target = self.folder / "b.png"
        self.refuse(1, "3 layers.*limit", "decompress", self.source, target, flag)
        self.succeed("info", self.source, "--max_layers=3")

    def test_info_tells_the_bits_of_each_layer(self):
        status, out, _ = self.run_cli("info", self.source)
        self.assertEqual(status, 0)
        self.assertRegex(out, "tfsemcomp, 40x48")
        self.assertRegex(out, "layer 0: .* bytes, .* bpp: text")
        self.assertRegex(out, "layer 2: .* bytes, .* bpp: signal")
        facts = self.succeed("info", self.source)
        for key in (
            "codec",
            "model",
            "fingerprint",
            "width",
            "height",
            "layers",
            "bpp",
        ):
            self.assertIn(key, facts)

    def test_what_cannot_be_cut(self):
        argv = ("truncate", self.source, self.target)
        self.refuse(2, "`layers`", *argv, "--layers=0")
        self.refuse(
            1, "no layered stream", "truncate", self.picture, self.target, "--layers=1"
        )
        self.source.write_bytes(self.stream[:-5])
        self.refuse(1, "chunk", *argv, "--layers=1")

    def test_a_codec_that_is_not_here(self):
        with mock.patch.object(base, "codec_names", return_value=["jpeg"]):
            self.refuse(
                1,
                "layered.*newer",
                *("decompress", self.source, self.folder / "o.png"),
            )


class MapTest(CliTestCase):
    def test_map_and_overlay_at_the_size_of_the_image(self):
        target, overlay = self.folder / "map.png", self.folder / "over lay.jpg"
        facts = self.succeed(
            *("map", self.picture, target),
            *("--method=contrast", f"--overlay={overlay}"),
        )
        self.assertEqual((facts["width"], facts["height"]), (40, 48))
        self.assertEqual(images.read(target).shape, IMAGE.shape)
        self.assertEqual(images.read(overlay).shape, IMAGE.shape)

    def test_numbers(self):
        target = self.folder / "map.npy"
        self.succeed("map", self.picture, target, "--map=0.5*contrast+0.5*centre")
        values = np.load(target)
        self.assertEqual((values.shape, values.dtype), ((48, 40), np.float32))
        self.assertBetween(values.min(), 0, values.max())
        self.assertLessEqual(values.max(), 1)

    def test_sixteen_bits(self):
        target = self.folder / "map.png"
        self.succeed("map", self.picture, target, "--method=centre", "--bits=16")
        self.assertStartsWith(Image.open(target).mode, "I")

    def test_folders(self):
        source, target = self.folder / "in", self.folder / "maps"
        source.mkdir()
        for name in ("a.png", "b.png"):
            images.write(source / name, IMAGE)
        over = self.folder / "over"
        self.succeed("map", source, target, "--method=centre", f"--overlay={over}")
        for folder in (target, over):
            names = [path.name for path in sorted(folder.iterdir())]
            self.assertEqual(names, ["a.png", "b.png"])

    def test_wrong_use(self):
        target = self.folder / "map.png"
        argv = ("map", self.picture)
        self.refuse(2, "must end in one of .png, .npy", *argv, self.folder / "map.jpg")
        self.refuse(1, "nope", *argv, target, "--method=nope")
        self.refuse(2, "--bits", *argv, target, "--bits=9")
        self.refuse(2, "same", *argv, target, f"--overlay={target}", "--method=centre")
        self.refuse(
            *(1, "no directory", *argv, target, "--method=centre"),
            f"--overlay={self.folder}/nowhere/o.png",
        )


class ListsTest(CliTestCase):
    def test_codecs(self):
        facts = self.succeed("codecs")["codecs"]
        self.assertEqual([codec["name"] for codec in facts], base.codec_names())
        jpeg = next(codec for codec in facts if codec["name"] == "jpeg")
        self.assertEqual(jpeg["quality_range"], [1, 100])
        self.assertEqual(jpeg["settings"][0]["name"], "subsampling")
        status, out, _ = self.run_cli("codecs")
        self.assertEqual(status, 0)
        self.assertLen(out.splitlines(), 1 + len(facts))
        with mock.patch("importlib.util.find_spec", return_value=None):
            self.assertRegex(self.run_cli("codecs")[1], "jxl.*NOT AVAILABLE.*pip")

    def test_models(self):
        from tfsemcomp.serving import manifest

        version = self.folder / "net" / "1"
        version.mkdir(parents=True)
        (version / "saved_model.pb").write_bytes(b"graph")
        card = {"name": "net", "version": 1, "system": "msroi_jpeg", "data": "photos"}
        manifest.add(self.folder, card, default=True)
        environment = {"TFSEMCOMP_MODELS": str(self.folder)}
        with mock.patch.dict(os.environ, environment):
            (model,) = self.succeed("models")["models"]
            self.assertRegex(self.run_cli("models")[1], r"net +1 +msroi_jpeg \(default")
        self.assertEqual((model["name"], model["version"]), ("net", 1))
        self.assertEqual(model["card"], card)
        with mock.patch.dict(os.environ, {"TFSEMCOMP_MODELS": str(self.folder / "x")}):
            self.refuse(1, "MANIFEST.json", "models")

    def test_models_are_fetched(self):
        served = self.folder / "served"
        served.mkdir()
        test_manifest.write_model(served, "far")
        with (
            mock.patch.dict(os.environ, {"no_proxy": "127.0.0.1"}),
            model_folder_server.serve(model_folder_server.Behaviour(served)) as url,
        ):
            (model,) = self.succeed("models", "--fetch=far", f"--url={url}")["models"]
            self.refuse(1, "no model `near`", "models", "--fetch=near", f"--url={url}")
        self.assertEqual(model["name"], "far")
        self.assertIn("far", [m["name"] for m in self.succeed("models")["models"]])
        # It is here now.
        self.succeed("models", "--fetch=far")
        self.refuse(1, "TFSEMCOMP_MODELS_URL", "models", "--fetch=near")
        self.refuse(2, "`url`", "models", f"--url={url}")
        self.refuse(2, "`fetch`", "models", "--fetch=,")


class EvaluateTest(CliTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.pictures = self.folder / "pictures"
        self.pictures.mkdir()
        for index in range(2):
            images.write(self.pictures / f"p {index}.png", IMAGE)
        self.out = self.folder / "results"

    def evaluate(self, *flags, codecs="jpeg,webp") -> tuple:
        return (
            *("evaluate", f"--codecs={codecs}", f"--images={self.pictures}"),
            *(f"--out={self.out}", "--metrics=psnr,ssim", *flags),
        )

    def test_results_and_report(self):
        flags = ("--qualities=20,60", "--qualities=webp:30")
        facts = self.succeed(*self.evaluate(*flags))
        self.assertEqual((facts["rows"], facts["failed"]), (6, []))
        self.assertEqual(facts["metrics"], ["psnr", "ssim"])
        rows = json.loads((self.out / "results.json").read_text())["rows"]
        self.assertEqual(
            sorted({(row["codec"], row["quality"]) for row in rows}),
            [("jpeg", 20), ("jpeg", 60), ("webp", 30)],
        )
        facts = self.succeed("report", self.out, "--title=Mine")
        page = pathlib.Path(facts["report"]).read_text(encoding="utf-8")
        self.assertIn("Mine", page)
        self.assertFalse((self.out / "report.md").exists())

    def test_report_with_figures_and_tables(self):
        self.succeed(*self.evaluate("--qualities=20,60"))
        flags = ("--figures", "--markdown", "--reference=webp", "--anchors=kodak")
        facts = self.succeed("report", self.out, *flags, "--pictures=1")
        text = pathlib.Path(facts["markdown"]).read_text(encoding="utf-8")
        self.assertIn("BD-rate against webp", text)
        names = [pathlib.Path(path).name for path in facts["figures"]]
        self.assertEqual(names[:2], ["rd_psnr.png", "rd_psnr.svg"])
        self.assertIn("](figures/rd_psnr.png)", text)
        page = pathlib.Path(facts["report"]).read_text(encoding="utf-8")
        self.assertIn("vtm", page)
        self.refuse(2, "`anchors`.*'clic'", "report", self.out, "--anchors=clic")
        self.refuse(2, "`reference`.*'gif'", "report", self.out, "--reference=gif")
        self.refuse(2, "`pictures`", "report", self.out, "--pictures=-1")

    def test_settings_go_to_the_codecs_that_have_them(self):
        flags = ("--qualities=50", "--map=contrast", "--subsampling=4:4:4")
        metrics = "--metrics=psnr,roi_psnr"
        argv = self.evaluate(*flags, metrics, codecs="jpeg,webp,msroi_jpeg")
        self.assertEqual(self.succeed(*argv)["rows"], 6)
        for codec in ("jpeg", "msroi_jpeg"):
            path = next((self.out / "files" / codec).iterdir())
            self.assertEqual(Image.open(path).layer[0][1:3], (1, 1))
        argv = self.evaluate("--subsampling=4:4:4", codecs="webp")
        self.refuse(2, "`subsampling` is a setting of none of webp", *argv)

    def test_worker_processes(self):
        flags = ("--qualities=20,60", "--workers=2", "--seed=3", "--noverbose")
        facts = self.succeed(*self.evaluate(*flags))
        self.assertEqual((facts["rows"], facts["failed"]), (8, []))
        document = json.loads((self.out / "results.json").read_text())
        self.assertEqual(
            (document["meta"]["workers"], document["meta"]["seed"]), ([2], 3)
        )

    def test_further_settings_are_curves_of_their_own(self):
        for flags in ((), ("--effort=6", "--resume")):
            argv = self.evaluate("--qualities=50", *flags, codecs="webp")
            facts = self.succeed(*argv)
        self.assertEqual(facts["rows"], 4)
        rows = json.loads((self.out / "results.json").read_text())["rows"]
        self.assertEqual(
            {row["setting"] for row in rows}, {"quality=50", "quality=50, effort=6"}
        )

    def test_observers_and_labels(self):
        (self.pictures / "cat").mkdir()
        (self.pictures / "dog").mkdir()
        for name in ("cat/x.png", "dog/x.png", "dog/y.png"):
            images.write(self.pictures / name, IMAGE)
        listed = self.pictures / "list.txt"
        listed.write_text("cat/x.png\tcat\n\ndog/y.png\tdog\n", encoding="utf-8")
        asked = []

        class Eye(Observer):
            def _values(self, image, before, after):
                asked.append(image)
                return {"top1@eye": 1.0}

        def load(spec, labels=None, label_maps=None):
            asked.append((spec, labels))
            return Eye("eye", ("top1",), lambda pictures: pictures)

        flags = ("--qualities=50", "--observers=eye")
        with mock.patch.object(observers, "load", load):
            argv = self.evaluate(*flags, "--labels=folders", codecs="jpeg")
            facts = self.succeed(*argv)
            argv = (*argv[:-1], f"--images={listed}", f"--labels={listed}")
            self.succeed(*argv)
        self.assertEqual(facts["metrics"], ["psnr", "ssim", "top1@eye"])
        classes = {"cat/x.png": "cat", "dog/x.png": "dog", "dog/y.png": "dog"}
        self.assertEqual(asked[:4], [("eye", classes), *classes])
        self.assertEqual(asked[4:], [("eye", str(listed)), "x.png", "y.png"])

    def test_a_broken_picture_is_told_and_the_rest_kept(self):
        (self.pictures / "bad.png").write_text("text", encoding="utf-8")
        status, out, err = self.run_cli(*self.evaluate("--qualities=50", "--json"))
        self.assertEqual(status, 1)
        self.assertLen(err.splitlines(), 2)
        facts = json.loads(out)
        self.assertEqual((facts["rows"], len(facts["failed"])), (4, 2))
        self.assertRegex(err, "^error: bad.png, jpeg quality=50: ")

    def test_limits_are_flags(self):
        for flag in ("--max_side=40", "--max_pixels=100", "--max_pixels_per_byte=1"):
            status, _, err = self.run_cli(*self.evaluate(flag, codecs="jpeg"))
            self.assertEqual((flag, status), (flag, 1))
            self.assertIn("limit", err)
        self.succeed(*self.evaluate("--max_side=0", codecs="jpeg"))

    def test_wrong_use(self):
        self.refuse(2, "nope", *self.evaluate(codecs="nope"))
        self.refuse(2, "at least one", *self.evaluate(codecs=","))
        self.refuse(2, "`qualities`.*'x'", *self.evaluate("--qualities=x"))
        self.refuse(2, "`qualities`.*'avif'", *self.evaluate("--qualities=avif:1"))
        self.refuse(2, "`quality` of jpeg", *self.evaluate("--qualities=500"))
        self.refuse(2, "metric", *self.evaluate("--metrics=nope"))
        self.refuse(2, "`workers`", *self.evaluate("--workers=0"))
        self.refuse(2, "`observers` names 'x'", *self.evaluate("--observers=x"))
        self.refuse(2, "for `observers`", *self.evaluate("--labels=x.txt"))
        self.refuse(1, "no pictures", *self.evaluate("--labels=folders"))
        self.refuse(2, "--codecs", "evaluate", "--images=x", "--out=y")
        self.refuse(
            *(1, "nowhere", "evaluate", "--codecs=jpeg"),
            *(f"--images={self.folder}/nowhere", f"--out={self.out}"),
        )
        self.refuse(1, "evaluate", "report", self.pictures)


class ProcessTest(CliTestCase):
    """What only a process of its own shows."""

    def run_process(self, *argv, **options) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "tfsemcomp", *map(str, argv)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            **options,
        )

    def test_help_is_quick(self):
        seconds = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = self.run_process("--help")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            # Processor time, since other work on the machine must not matter.
            seconds.append(
                after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            )
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            for command in ("compress", "decompress", "info", "truncate", "map"):
                self.assertIn(command, done.stdout)
        self.assertLess(min(seconds), 0.5)

    @parameterized.parameters(
        ("--help",), ("compress --help",), ("codecs",), ("info {path}",)
    )
    def test_nothing_heavy_is_imported(self, command):
        argv = [part.format(path=self.picture) for part in command.split(" ")]
        heavy = ["tensorflow", "numba", "matplotlib", "scipy", "skimage", "pandas"]
        script = (
            "import sys\nfrom tfsemcomp import cli\n"
            f"status = cli.main({argv!r})\n"
            f"heavy = [name for name in {heavy!r} if name in sys.modules]\n"
            "sys.exit(str(heavy) if heavy or status else 0)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_every_command_tells_its_arguments(self):
        names = ("compress", "decompress", "info", "truncate", "map", "evaluate")
        for name in (*names, "classify"):
            status, out, err = self.run_cli(name, "--help")
            self.assertEqual((status, err), (0, ""))
            self.assertIn("--json", out)
        self.assertIn("--subsampling", self.run_cli("compress", "--help")[1])
        self.assertEqual(self.run_cli("--version")[0], 0)

    def test_stdout_that_nobody_reads(self):
        with subprocess.Popen(
            [sys.executable, "-m", "tfsemcomp", "codecs"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            process.stdout.close()
            self.assertEqual(process.stderr.read(), b"")

    def test_stdout_that_is_full(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("needs /dev/full")
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "tfsemcomp", "codecs"],
                cwd=ROOT,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
            )
        self.assertEqual(done.returncode, 1)
        self.assertLen(done.stderr.splitlines(), 1)
        self.assertStartsWith(done.stderr, "error: ")

    def test_a_process_tells_its_status(self):
        done = self.run_process("info", self.folder / "missing")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "^error: .*missing.*\n$")
        self.assertEqual(done.stdout, "")


class NormaliseTest(parameterized.TestCase):
    @parameterized.parameters(
        (["--a-b=c-d"], ["--a_b=c-d"]),
        (["--a-b", "c-d"], ["--a_b", "c-d"]),
        (["-x", "--on=TRUE"], ["-x", "--on"]),
        (["--on=false"], ["--noon"]),
        (["--no-on"], ["--noon"]),
        (["--", "--a-b"], ["--", "--a-b"]),
        (["a-b"], ["a-b"]),
    )
    def test_spellings(self, argv, expected):
        self.assertEqual(cli.normalise(argv, {"on"}), expected)

    def test_error_types_have_their_status(self):
        from tfsemcomp.commands.console import UsageError, explain

        for error, status in (
            (errors.SemCompError("x"), 1),
            (errors.UnavailableError("x"), 1),
            (ValueError("x"), 2),
            (UsageError("x"), 2),
            (KeyboardInterrupt(), 130),
            (ZeroDivisionError("x"), 1),
        ):
            self.assertEqual(explain(error)[0], status)
