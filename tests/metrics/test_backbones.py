import hashlib
import pathlib
from unittest import mock

import numpy as np
from absl.testing import parameterized

from tests.harness import SemCompTestCase, noise_image, smooth_image
from tests.metrics.networks import weights_file
from tfsemcomp.errors import BitstreamError, SemCompError
from tfsemcomp.metrics import backbones

CHANNELS = {"mobilenet": (64, 128, 256, 512, 1024), "vgg16": (64, 128, 256, 512, 512)}
STRIDES = {"mobilenet": (2, 4, 8, 16, 32), "vgg16": (1, 2, 4, 8, 16)}


class BackbonesTest(SemCompTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.files = {
            "mobilenet": weights_file("MobileNet"),
            "vgg16": weights_file("VGG16"),
        }

    @parameterized.parameters(*CHANNELS)
    def test_stages(self, network):
        backbone = backbones.load(self.files[network])
        pictures = np.stack([noise_image(64, 96, seed) for seed in (1, 2)])
        stages = backbone.features(pictures)
        self.assertLen(stages, len(backbone.stages))
        for stage, channels, stride in zip(
            stages, CHANNELS[network], STRIDES[network], strict=True
        ):
            self.assertEqual(stage.dtype, np.float32)
            self.assertEqual(stage.shape, (2, 64 // stride, 96 // stride, channels))
            self.assertGreaterEqual(stage.min(), 0)
            self.assertGreater(stage.std(), 1e-4)
        embedded = backbone.embed(pictures)
        self.assertEqual(embedded.shape, (2, CHANNELS[network][-1]))
        np.testing.assert_allclose(embedded[1], stages[-1][1].mean((0, 1)), rtol=1e-4)

    @parameterized.product(
        network=tuple(CHANNELS), shape=((1, 1), (7, 33), (31, 32), (65, 97))
    )
    def test_any_size(self, network, shape):
        backbone = backbones.load(self.files[network])
        for stage in backbone.features(noise_image(*shape)[None]):
            self.assertGreater(stage.size, 0)
            self.assertTrue(np.isfinite(stage).all())

    def test_pictures_of_a_stack_do_not_touch(self):
        backbone = backbones.load(self.files["mobilenet"])
        # More than one batch of `embed`.
        pictures = np.stack([smooth_image(40, 50, seed) for seed in range(18)])
        together = backbone.embed(pictures)
        for picture, embedded in zip(pictures, together, strict=True):
            alone = backbone.embed(picture[None])[0]
            np.testing.assert_allclose(embedded, alone, rtol=1e-3, atol=1e-4)

    def test_names_tell_networks_and_files_apart(self):
        for network, path in self.files.items():
            digest = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
            self.assertEqual(backbones.load(path).name, f"{network}-{digest[:8]}")
            self.assertEqual(backbones.resolve_name(path), backbones.load(path).name)
        self.assertEqual(backbones.resolve_name("vgg16"), "vgg16-imagenet")
        self.assertEqual(backbones.resolve_name("vgg16-imagenet"), "vgg16-imagenet")

    def test_loads_once(self):
        path = pathlib.Path(self.files["mobilenet"])
        self.assertIs(backbones.load(str(path)), backbones.load(path))

    def test_a_changed_file_is_another_backbone(self):
        path = self.folder / "weights.npz"
        names = []
        for value in (0, 1):
            np.savez(path, **{"conv1/kernel": np.full(1 + value, value)})
            names.append(backbones.resolve_name(path))
        self.assertNotEqual(*names)

    def test_refuses_what_is_no_backbone(self):
        with self.assertRaisesRegex(SemCompError, "'alexnet' is neither a backbone"):
            backbones.load("alexnet")
        np.savez(self.folder / "other.npz", a=np.zeros(3))
        with self.assertRaisesRegex(BitstreamError, "none of the arrays"):
            backbones.load(self.folder / "other.npz")

    def test_says_so_when_a_file_cannot_be_read(self):
        path = self.folder / "weights.npz"
        path.touch()
        failing = mock.Mock(side_effect=PermissionError("denied"))
        with (
            mock.patch.object(backbones.trunks, "detect", failing),
            self.assertRaisesRegex(SemCompError, "cannot read the weights.*denied"),
        ):
            backbones.load(path)

    def test_refuses_what_are_no_pictures(self):
        backbone = backbones.load(self.files["mobilenet"])
        picture = noise_image(40, 40)
        for wrong, message in (
            (picture[None].astype(np.float32), "`images` must be a uint8 array"),
            (picture, r"the shape \[B,H,W,3\]"),
            (picture[None, :0], "B, H and W >= 1"),
            (None, "not NoneType"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                backbone.features(wrong)
