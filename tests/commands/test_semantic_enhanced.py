"""The command with files of `semantic_enhanced`: flags, layers, the dial, bytes."""

import os
from unittest import mock

import numpy as np

import tfsemcomp
from tests.codecs import semantic_models
from tests.test_cli import CliTestCase
from tfsemcomp import bitstream, images
from tfsemcomp.data import label_maps
from tfsemcomp.serving import manifest


class SemanticEnhancedCommandsTest(CliTestCase):
    def setUp(self) -> None:
        super().setUp()
        root = {manifest.ENVIRONMENT_VARIABLE: str(semantic_models.folder())}
        self.enter_context(mock.patch.dict(os.environ, root))
        self.codec = tfsemcomp.load("semantic_enhanced")
        self.pixels = images.read(self.picture)
        self.target = self.folder / "a.tfsc"
        self.back = self.folder / "back.png"

    def test_compress_takes_the_settings(self):
        labels = semantic_models.labels_of(self.pixels)
        path = self.folder / "labels.png"
        label_maps.write(path, labels)
        command = ("compress", self.picture, self.target, "--codec=semantic_enhanced")
        for flags, settings in (
            (["--base=webp", "--quality=9"], {"base": "webp", "quality": 9}),
            (["--mode=derived", "--base_quality=7"], None),
            ([f"--labels={path}", "--label_scale=2"], None),
            (["--label_smoothing=3", "--target_bytes=900"], None),
        ):
            settings = (
                settings
                or {
                    "--mode=derived": {"mode": "derived", "base_quality": 7.0},
                    f"--labels={path}": {"labels": labels, "label_scale": 2},
                    "--label_smoothing=3": {"label_smoothing": 3, "target_bytes": 900},
                }[flags[0]]
            )
            self.succeed(*command, *flags)
            expected = self.codec.compress(self.pixels, **settings)
            self.assertEqual(self.target.read_bytes(), expected)
        self.refuse(2, "`mode` must be one of given", *command, "--mode=guessed")
        self.refuse(2, "`labels`", *command, "--mode=given")

    def test_layers_and_the_dial(self):
        data = self.codec.compress(self.pixels)
        self.target.write_bytes(data)
        facts = self.succeed("info", self.target)
        self.assertEqual((facts["base"], facts["layers"]), ("jpeg", 2))
        self.succeed("decompress", self.target, self.back, "--layers=1")
        first = self.codec.decompress(data, layers=1)
        np.testing.assert_array_equal(images.read(self.back), first)
        self.succeed("decompress", self.target, self.back, "--perception=0.75")
        expected = self.codec.decompress(data, perception=0.75)
        np.testing.assert_array_equal(images.read(self.back), expected)
        cut = self.folder / "cut.tfsc"
        self.succeed("truncate", self.target, cut, "--layers=1")
        self.assertEqual(cut.read_bytes(), bitstream.truncate(data, 1))

    def test_wrong_settings_of_decoding(self):
        self.target.write_bytes(self.codec.compress(self.pixels))
        names = (self.target, self.folder / "none.png")
        self.refuse(2, "`perception` must be", "decompress", *names, "--perception=2")
        for flag in ("--perception=0", "--segmenter=thresholds"):
            names = (self.picture, self.folder / "none.png")
            self.refuse(2, "an image file", "decompress", *names, flag)

    def test_codecs_and_help(self):
        found = self.succeed("codecs")
        listed = [codec["name"] for codec in found["codecs"]]
        self.assertIn("semantic_enhanced", listed)
        for command in ("compress", "decompress", "evaluate"):
            status, out, _ = self.run_cli(command, "--help")
            self.assertEqual(status, 0)
        self.assertIn("--suffix", self.run_cli("decompress", "--help")[1])
        told = " ".join(self.run_cli("compress", "--help")[1].split())
        # One flag of two codecs says what it is to each.
        self.assertIn("Mixing rule", told)
        self.assertIn("derived from the base picture", told)
