"""What becomes of files when processes are killed, disks full and inputs bad."""

import contextlib
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time
from unittest import mock

import numpy as np
from absl.testing import parameterized

import tfsemcomp
from tests import scripts
from tests.fuzz import samples
from tests.harness import SemCompTestCase, noise_image, smooth_image
from tfsemcomp import images
from tfsemcomp.codecs import base
from tfsemcomp.serving import manifest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS = 300
GOOD, BAD = 950, 50


def command(*args, **options) -> subprocess.Popen:
    """The command in a process of its own, which a test may kill."""
    return subprocess.Popen(
        [sys.executable, "-m", "tfsemcomp", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
        **options,
    )


class FaultsTestCase(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.photos, self.out = self.folder / "photos", self.folder / "out"
        self.photos.mkdir()

    def finish(self, child: subprocess.Popen) -> tuple[str, str]:
        self.addCleanup(child.kill)
        return child.communicate(timeout=SECONDS)


class ManyFilesTest(FaultsTestCase):
    def test_a_thousand_files_of_which_one_in_twenty_is_bad(self):
        good = [images.encode(smooth_image(8, 9, seed), "PNG") for seed in range(8)]
        huge = bytearray(good[0])
        huge[16:24] = (60000).to_bytes(4, "big") * 2
        bad = [b"", b"not a picture", good[0][:40], bytes(huge), bytes(500)]
        for number in range(GOOD + BAD):
            kind = bad if number % 20 == 7 else good
            path = self.photos / f"{number:04}.png"
            path.write_bytes(kind[number // 20 % len(kind)])
        child = command("compress", self.photos, self.out, "--codec=jpeg")
        _, errors = self.finish(child)
        self.assertEqual(child.returncode, 1)
        made = sorted(self.out.iterdir())
        self.assertLen(made, GOOD)
        for path in made:
            self.assertEqual(tfsemcomp.decompress(path).shape, (8, 9, 3))
            self.assertNotEqual(int(path.stem) % 20, 7)
        told = [line for line in errors.splitlines() if ".png" in line]
        self.assertLen(told, BAD)
        for number in range(7, GOOD + BAD, 20):
            self.assertLen([line for line in told if f"{number:04}.png" in line], 1)
        self.assertNotIn("Traceback", errors)


class KillTest(FaultsTestCase):
    def test_a_killed_batch_leaves_whole_files_and_can_be_done_again(self):
        for number in range(40):
            pixels = noise_image(160, 160, number)
            images.write(self.photos / f"{number:02}.png", pixels)
        work = ("compress", self.photos, self.out, "--codec=webp", "--quality=80")
        child = command(*work)
        end = time.monotonic() + SECONDS
        while not self.out.exists() or len(self.finished()) < 3:
            self.assertIsNone(child.poll(), child.stderr)
            self.assertLess(time.monotonic(), end)
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        self.finish(child)
        self.assertEqual(child.returncode, -signal.SIGKILL)
        before = self.finished()
        self.assertLess(len(before), 40)
        for path in before:
            self.assertEqual(tfsemcomp.decompress(path).shape, (160, 160, 3))
        child = command(*work)
        _, errors = self.finish(child)
        self.assertEqual(child.returncode, 0, errors)
        self.assertLen(self.finished(), 40)

    def finished(self) -> list[pathlib.Path]:
        return [path for path in self.out.iterdir() if not path.name.startswith(".")]

    def test_a_file_that_is_replaced_is_the_old_one_or_the_new_one(self):
        target = self.folder / "target.png"
        contents = [images.encode(noise_image(200, 200, n), "PNG") for n in range(2)]
        code = (
            "import itertools, pathlib, sys\n"
            "from tfsemcomp import images\n"
            "target, *sources = map(pathlib.Path, sys.argv[1:])\n"
            "contents = [source.read_bytes() for source in sources]\n"
            "for content in itertools.cycle(contents):\n"
            "    images.write_atomic(target, content)\n"
        )
        sources = [self.folder / f"{number}.bin" for number in range(2)]
        for source, content in zip(sources, contents, strict=True):
            source.write_bytes(content)
        rng = np.random.default_rng(1)
        for _ in range(5):
            target.unlink(missing_ok=True)
            command_line = [sys.executable, "-c", code, target, *sources]
            with subprocess.Popen(command_line, cwd=ROOT) as child:
                while not target.exists():
                    self.assertIsNone(child.poll())
                time.sleep(rng.uniform(0, 0.05))
                child.kill()
            self.assertIn(target.read_bytes(), contents)


class KilledNetworkTest(FaultsTestCase):
    @parameterized.parameters(
        *(("compress", name) for name, one in samples.SAMPLES.items() if one.models),
        ("decompress", "hyperprior"),
    )
    def test_files_stay_whole_when_a_network_is_killed(self, command, name):
        photo, target = self.photos / "photo.png", self.out / "out.tfsc"
        self.out.mkdir()
        image = smooth_image(64, 64)
        images.write(photo, image)
        folder = str(samples.SAMPLES[name].models())
        environment = {manifest.ENVIRONMENT_VARIABLE: folder}
        with mock.patch.dict(os.environ, environment):
            old = base.get_codec(name).compress(image)
            target.write_bytes(old)
            paths = {
                "compress": (str(photo), str(target), f"--codec={name}"),
                "decompress": (str(target), str(self.out / "back.png")),
            }
            done = scripts.run(
                "tests/trust/killed_call.py", (command, *paths[command]), self.folder
            )
        self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
        self.assertEqual([*self.out.iterdir()], [target])
        self.assertEqual(target.read_bytes(), old)


class FullDiskTest(FaultsTestCase):
    def test_a_file_that_does_not_fit_leaves_the_old_one(self):
        source, target = self.photos / "photo.png", self.folder / "out.jpg"
        images.write(source, noise_image(64, 64, 1))
        target.write_bytes(b"old")

        def few_bytes():
            # What a quota gives: writing fails in the middle of the file.
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

        child = command(
            *("compress", source, target, "--codec=jpeg", "--quality=95"),
            preexec_fn=few_bytes,
        )
        _, errors = self.finish(child)
        self.assertEqual(child.returncode, 1, errors)
        self.assertRegex(errors, r"^error: cannot write .*out\.jpg.*File too large\n$")
        self.assertEqual(target.read_bytes(), b"old")
        names = sorted(path.name for path in self.folder.iterdir())
        self.assertEqual(names, ["out.jpg", "photos"])


class BrokenReadTest(FaultsTestCase):
    def test_a_pipe_that_ends_early(self):
        data = images.encode(smooth_image(40, 40), "JPEG")
        for name, content in (("a.jpg", data[:-50]), ("b.jpg", b"")):
            pipe = self.folder / name
            os.mkfifo(pipe)
            child = command("compress", pipe, self.folder / "out.webp", "--codec=webp")
            self.addCleanup(child.kill)
            end = os.open(pipe, os.O_WRONLY)
            with contextlib.closing(os.fdopen(end, "wb")) as file:
                file.write(content)
            _, errors = self.finish(child)
            self.assertEqual(child.returncode, 1)
            self.assertRegex(errors, rf"^error: .*{name}.*\n$")
            self.assertFalse((self.folder / "out.webp").exists())
