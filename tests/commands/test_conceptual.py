"""The commands that edit files of `conceptual`: files as of the codec's methods."""

import os
from unittest import mock

import numpy as np
from PIL import Image

import tfsemcomp
from tests.codecs import conceptual_models
from tests.harness import smooth_image
from tests.test_cli import CliTestCase
from tfsemcomp import bitstream, images
from tfsemcomp.serving import manifest

IMAGE = smooth_image(100, 130)
OTHER = 255 - smooth_image(90, 80, 1)


class ConceptualCommandsTest(CliTestCase):
    def setUp(self) -> None:
        super().setUp()
        root = {manifest.ENVIRONMENT_VARIABLE: str(conceptual_models.folder())}
        self.enter_context(mock.patch.dict(os.environ, root))
        self.codec = tfsemcomp.load("conceptual")
        self.source, self.other = self.folder / "a.tfsc", self.folder / "b.tfsc"
        self.data = self.codec.compress(IMAGE, quality=7)
        self.texture = self.codec.compress(OTHER)
        self.source.write_bytes(self.data)
        self.other.write_bytes(self.texture)
        self.target = self.folder / "out.tfsc"

    def test_compress_takes_the_settings(self):
        lines = self.folder / "lines.png"
        drawn = np.zeros((48, 40), np.uint8)
        drawn[10:30, 20] = 255
        images.write(lines, np.repeat(drawn[..., None], 3, axis=-1))
        for flags, settings in (
            (["--structure_scale=4"], {"structure_scale": 4}),
            ([f"--structure={lines}"], {"structure": drawn}),
            (
                ["--residual=jpeg", "--residual_quality=7"],
                {"residual": "jpeg", "residual_quality": 7.0},
            ),
            (["--target_bytes=100"], {"target_bytes": 100}),
        ):
            self.succeed(
                "compress", self.picture, self.target, "--codec=conceptual", *flags
            )
            expected = self.codec.compress(images.read(self.picture), **settings)
            self.assertEqual(self.target.read_bytes(), expected)

    def test_structure(self):
        target = self.folder / "lines.png"
        facts = self.succeed("structure", self.source, target)
        expected = self.codec.structure(self.data)
        self.assertEqual((facts["width"], facts["height"]), (130, 100))
        self.assertEqual(facts["density"], expected.mean())
        np.testing.assert_array_equal(images.read(target)[..., 0], 255 * expected)
        torn = self.folder / "torn.tfsc"
        torn.write_bytes(self.data[:-1])
        self.succeed("structure", torn, target, "--allow_torn")
        np.testing.assert_array_equal(images.read(target)[..., 0], 255 * expected)
        torn.unlink()
        facts = self.succeed("structure", self.folder, self.folder / "many")
        self.assertLen(facts["files"], 2)
        self.assertTrue((self.folder / "many" / "b.png").is_file())

    def test_pyramid(self):
        facts = self.succeed("pyramid", self.source, self.folder / "stages")
        stages = self.codec.return_pyramid(self.data)
        self.assertEqual(facts["sizes"], [[s.shape[1], s.shape[0]] for s in stages])
        for path, stage in zip(facts["output"], stages, strict=True):
            np.testing.assert_array_equal(images.read(path), stage)

    def test_swap_texture(self):
        self.succeed("swap_texture", self.source, self.other, self.target)
        expected = self.codec.swap_texture(self.data, self.texture)
        self.assertEqual(self.target.read_bytes(), expected)

    def test_what_structure_writes_can_be_edited(self):
        drawn = self.folder / "lines.png"
        self.succeed("structure", self.source, drawn)
        self.succeed("edit_structure", self.source, drawn, self.target)
        self.assertEqual(self.target.read_bytes(), self.data)
        lines = images.read(drawn)
        lines[30:70, 50:80] = 0
        images.write(drawn, lines)
        facts = self.succeed("edit_structure", self.source, drawn, self.target)
        data = self.target.read_bytes()
        np.testing.assert_array_equal(self.codec.structure(data), lines[..., 0] // 255)
        self.assertEqual((facts["bytes"], facts["layers"]), (len(data), 2))

    def test_interpolate_to_frames_and_streams(self):
        folder = self.folder / "frames"
        facts = self.succeed(
            *("interpolate", self.source, self.other, folder),
            *("--frames=11", "--mode=slerp", "--streams"),
        )
        files = self.codec.interpolate(self.data, self.texture, 11, mode="slerp")
        self.assertEqual(facts["frames"], 11)
        for number, data in enumerate(files):
            path = folder / f"frame-{number:02}.png"
            self.assertEqual(facts["output"][number], str(path))
            self.assertEqual(path.with_suffix(".tfsc").read_bytes(), data)
            np.testing.assert_array_equal(
                images.read(path), self.codec.decompress(data)
            )

    def test_interpolate_to_an_animation(self):
        target = self.folder / "a.gif"
        self.succeed("interpolate", self.source, self.other, target, "--frames=4")
        with Image.open(target) as animation:
            self.assertEqual(animation.size, (130, 100))
            # There and back.
            self.assertEqual(animation.n_frames, 6)
            first = np.asarray(animation.convert("RGB")).astype(int)
        expected = self.codec.decompress(self.data).astype(int)
        self.assertLess(abs(first - expected).mean(), 8)

    def test_errors_are_one_line(self):
        photo, lines = self.picture, self.folder / "lines.png"
        images.write(lines, np.zeros((9, 9, 3), np.uint8))
        alone = self.folder / "alone.tfsc"
        alone.write_bytes(bitstream.truncate(self.texture, 1))
        one, two, out = self.source, self.other, self.target
        self.refuse(1, "no stream of conceptual", "structure", photo, lines)
        self.refuse(2, "must end in one of", "structure", one, self.folder / "x.gif")
        self.refuse(2, "size, 130x100", "edit_structure", one, lines, out)
        self.refuse(2, "cut off", "swap_texture", one, alone, out)
        self.refuse(1, "nope", "swap_texture", one, self.folder / "nope", out)
        self.refuse(2, "`mode`", "interpolate", one, two, out.parent / "f", "--mode=x")
        self.refuse(2, ".gif or be", "interpolate", one, two, out)
        gif = self.folder / "a.gif"
        self.refuse(2, "`streams`", "interpolate", one, two, gif, "--streams")
        self.refuse(2, "`count`", "interpolate", one, two, gif, "--frames=1")
        self.refuse(2, "milliseconds", "interpolate", one, two, gif, "--milliseconds=1")
