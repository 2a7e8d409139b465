"""The command with files of `layered`: flags of its settings, layers, bytes of each."""

import os
from unittest import mock

import numpy as np

import tfsemcomp
from tests.codecs import layered_models
from tests.test_cli import CliTestCase
from tfsemcomp import bitstream, images
from tfsemcomp.serving import manifest

CAPTION = "A white dog, running."


class LayeredCommandsTest(CliTestCase):
    def setUp(self) -> None:
        super().setUp()
        root = {manifest.ENVIRONMENT_VARIABLE: str(layered_models.folder())}
        self.enter_context(mock.patch.dict(os.environ, root))
        self.codec = tfsemcomp.load("layered")
        self.pixels = images.read(self.picture)
        self.target = self.folder / "a.tfsc"

    def test_compress_takes_the_settings(self):
        for flags, settings in (
            ([f"--caption={CAPTION}"], {"caption": CAPTION}),
            (["--send=structure", "--structure_scale=1"], None),
            (["--seeds=3", "--colour"], {"seeds": 3, "colour": True}),
            (["--lmbda=6"], {"lmbda": 6}),
            (["--structure_codec=webp"], {"structure_codec": "webp"}),
            (["--target_bytes=60"], {"target_bytes": 60}),
        ):
            settings = settings or {"send": "structure", "structure_scale": 1}
            command = ("compress", self.picture, self.target, "--codec=layered")
            self.succeed(*command, *flags)
            expected = self.codec.compress(self.pixels, **settings)
            self.assertEqual(self.target.read_bytes(), expected)
        self.refuse(2, "`caption`", *command, "--caption=")
        self.refuse(2, "`send`", *command, "--send=lines")

    def test_layers_of_a_file(self):
        data = self.codec.compress(self.pixels, caption=CAPTION)
        self.target.write_bytes(data)
        facts = self.succeed("info", self.target)
        self.assertLen(facts["layer_bytes"], 3)
        self.assertEqual(sum(facts["layer_bytes"]) + facts["header_bytes"], len(data))
        for layers in (1, 2, 3):
            back, cut = self.folder / "back.png", self.folder / "cut.tfsc"
            self.succeed("decompress", self.target, back, f"--layers={layers}")
            expected = self.codec.decompress(data, layers=layers)
            np.testing.assert_array_equal(images.read(back), expected)
            self.succeed("truncate", self.target, cut, f"--layers={layers}")
            self.assertEqual(cut.read_bytes(), bitstream.truncate(data, layers))
            np.testing.assert_array_equal(
                self.codec.decompress(cut.read_bytes()), expected
            )
