"""What a user gets who names nothing: the shipped model behind command and API."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
from skimage import data

import tfsemcomp
from tests.harness import SemCompTestCase
from tfsemcomp import images, metrics
from tfsemcomp.codecs import base
from tfsemcomp.semantics import roi
from tfsemcomp.serving import manifest

ROOT = pathlib.Path(__file__).resolve().parents[1]


class MsroiSmallTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        # A face and shoulders; half of the bundled size keeps the test quick.
        self.photo = np.ascontiguousarray(data.astronaut()[::2, ::2])

    def test_is_the_default_of_msroi_jpeg(self):
        self.assertEqual(manifest.default_model("msroi_jpeg").name, "msroi-small")
        self.assertEqual(tfsemcomp.load("msroi-small").name, "msroi_jpeg")

    def test_maps_repeat_and_fit_the_frame(self):
        for crop in (self.photo, self.photo[:100, :], self.photo[:, :37]):
            for method in roi.NETWORK_METHODS:
                first, second = (roi.roi_map(crop, method) for _ in range(2))
                np.testing.assert_array_equal(first, second)
                self.assertEqual(first.shape, crop.shape[:2])
                self.assertGreater(np.ptp(first), 0.5)

    def test_the_default_map_finds_the_face(self):
        found = roi.roi_map(self.photo)
        face = found[10:90, 75:150].mean()
        self.assertGreater(face, 1.3 * found.mean())
        self.assertGreater(face, 3 * found[:128, 240:].mean())

    def test_the_default_codec_beats_plain_jpeg_where_the_map_is_high(self):
        found = roi.roi_map(self.photo)
        plain = base.get_codec("jpeg").compress(self.photo, quality=50)
        ours = tfsemcomp.compress(self.photo, target_bytes=len(plain))
        self.assertLessEqual(len(ours), len(plain))
        before, after = (
            metrics.roi_psnr(self.photo, tfsemcomp.decompress(data), found)
            for data in (plain, ours)
        )
        self.assertGreater(after, before + 0.4)

    def test_the_command_in_a_process_of_its_own(self):
        source, target = self.folder / "a photo.png", self.folder / "out.jpg"
        images.write(source, self.photo)
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        for command in (
            ["compress", source, target, "--quality=50", "--json"],
            ["map", source, self.folder / "map.png", "--json"],
        ):
            done = subprocess.run(
                [sys.executable, "-m", "tfsemcomp", *map(str, command)],
                capture_output=True,
                text=True,
                env=environment,
                cwd=ROOT,
                check=False,
            )
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stderr, "")
            json.loads(done.stdout)
        self.assertEqual(images.read(target).shape, self.photo.shape)
        self.assertEqual(images.read(self.folder / "map.png").shape, self.photo.shape)
