import contextlib
import os
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

import tfsemcomp
from tests.codecs import conceptual_models
from tests.codecs.learned_codecs import (
    LearnedCodecTestCase,
    payloads_of,
)
from tests.harness import SemCompTestCase, smooth_image
from tests.models import conceptual_networks
from tfsemcomp import bitstream, images
from tfsemcomp.codecs import base, conceptual, conceptual_structure, learned, residual
from tfsemcomp.codecs.conceptual_structure import STEPS
from tfsemcomp.errors import (
    BitstreamError,
    ModelMismatchError,
    SemCompError,
)
from tfsemcomp.metrics import fidelity
from tfsemcomp.models import conceptual_module
from tfsemcomp.semantics import edges
from tfsemcomp.serving import manifest

IMAGE = smooth_image(150, 190)
OTHER = np.clip(255 - smooth_image(150, 190, 3), 0, 255).astype(np.uint8)


def discs(height: int, width: int) -> np.ndarray:
    """Bright discs on a dark ground: few lines, strong and long."""
    y, x = np.mgrid[:height, :width]
    image = np.full((height, width, 3), 60, np.uint8)
    for row, column, radius in ((0.3, 0.3, 0.2), (0.6, 0.7, 0.25)):
        distance = np.hypot(y - row * height, x - column * width)
        image[distance < radius * min(height, width)] = 210
    return image


def rewritten(data: bytes, chunks: list[tuple[str, bytes]], **header) -> bytes:
    """A stream of these chunks, one a layer, with right checks."""
    before = bitstream.read(data).header
    fields = {
        "codec": before.codec,
        "fingerprint": before.fingerprint,
        "width": before.width,
        "height": before.height,
        **header,
    }
    return bitstream.write(
        bitstream.Header(**fields),
        [bitstream.Chunk(kind, p, layer) for layer, (kind, p) in enumerate(chunks)],
    )


class ConceptualTestCase(LearnedCodecTestCase):
    models = conceptual_models.folder


class ConceptualCodecTest(ConceptualTestCase):
    def test_keeps_a_codecs_promises(self):
        self.run_codec_test("conceptual", image=discs(200, 180), min_psnr=10)

    @parameterized.parameters(*conceptual_models.MODELS)
    def test_every_size_comes_back(self, name):
        codec = tfsemcomp.load(name)
        for size in ((1, 1), (127, 129), (128, 128), (1, 300), (33, 5)):
            image = smooth_image(*size)
            for scale in (1, 2, 4):
                data = codec.compress(image, structure_scale=scale)
                picture = codec.decompress(data)
                self.assertEqual(picture.shape, image.shape)
                np.testing.assert_array_equal(tfsemcomp.decompress(data), picture)

    @parameterized.parameters(*conceptual_models.MODELS)
    def test_the_decoder_sees_what_the_encoder_saw(self, name):
        codec = tfsemcomp.load(name)
        data = codec.compress(IMAGE, quality=6)
        step = STEPS[5]
        expected = edges.extract(
            IMAGE, "canny", sigma=1.5, threshold=0.09 * step.threshold
        )
        expected = edges.remove_short(expected, step.component)
        expected = edges.upscale(
            edges.downscale(expected, step.scale), step.scale, *IMAGE.shape[:2]
        )
        self.assertGreater(expected.mean(), 0.005)
        np.testing.assert_array_equal(codec.structure(data), expected)
        padded = learned.pad(IMAGE[None], 128).astype(np.float64)
        cells = padded.reshape(1, 2, 128, 2, 128, 3).mean(axis=(2, 4))
        if name != "grid":
            cells = cells.mean(axis=(1, 2), keepdims=True)
        z = np.rint((cells - 128) / conceptual_models.STEP)[0]
        colours = 8 * z + 128
        if name == "grid":
            colours = colours.repeat(128, axis=0).repeat(128, axis=1)[:150, :190]
        painted = colours - conceptual_models.DARK * expected[..., None]
        np.testing.assert_array_equal(
            codec.decompress(data), np.clip(painted, 0, 255).astype(np.uint8)
        )

    def test_overhead_is_small(self):
        codec = tfsemcomp.load("conceptual")
        image = smooth_image(256, 256)
        data = codec.compress(image, quality=8)
        structure, texture = payloads_of(data)
        parsed = conceptual_structure.parse(structure, 256, 256)
        self.assertGreater(len(parsed.coded), 60)
        self.assertLessEqual(len(data) - len(parsed.coded) - len(texture), 32)
        info = tfsemcomp.info(data)
        self.assertEqual([c["type"] for c in info["chunks"]], ["structure", "texture"])
        self.assertEqual(
            sum(c["bytes"] for c in info["chunks"]) + info["header_bytes"], len(data)
        )
        self.assertEqual((info["codec"], info["model"]), ("conceptual", "primed"))

    def test_qualities_send_more_or_finer_lines(self):
        codec = tfsemcomp.load("cold")
        image = smooth_image(256, 256)
        sizes = [len(codec.compress(image, quality=q)) for q in range(1, 9)]
        self.assertEqual(sizes, sorted(sizes))
        self.assertLess(sizes[0], sizes[3])
        self.assertLess(sizes[3], sizes[7])

    def test_batches_are_files_of_their_own(self):
        codec = tfsemcomp.load("conceptual")
        pictures = [IMAGE, OTHER]
        for settings in ({}, {"quality": 7, "residual": "jpeg"}):
            files = codec.compress_batch(pictures, **settings)
            for picture, data in zip(pictures, files, strict=True):
                self.assertEqual(codec.compress(picture, **settings), data)
            for data, decoded in zip(files, codec.decompress_batch(files), strict=True):
                np.testing.assert_array_equal(codec.decompress(data), decoded)
        # Files of other layers and scales are still decoded together.
        mixed = [bitstream.truncate(files[0], 1), codec.compress(OTHER, quality=1)]
        for data, decoded in zip(mixed, codec.decompress_batch(mixed), strict=True):
            np.testing.assert_array_equal(codec.decompress(data), decoded)


class SettingsTest(ConceptualTestCase):
    def test_settings_win_over_the_quality(self):
        codec = tfsemcomp.load("conceptual")
        lines = conceptual_models.lines_of(IMAGE)
        for scale in (1, 2, 4):
            for component in (0, 30):
                data = codec.compress(
                    IMAGE,
                    quality=8 if scale == 4 else 1,
                    structure_scale=scale,
                    structure_threshold=0.09,
                    structure_component=component,
                )
                kept = edges.remove_short(lines, component)
                plane = edges.downscale(kept, scale)
                expected = edges.upscale(plane, scale, *lines.shape)
                np.testing.assert_array_equal(codec.structure(data), expected)

    @parameterized.parameters("canny", "canny_opencv", "sobel")
    def test_methods(self, method):
        codec = tfsemcomp.load("conceptual")
        data = codec.compress(
            IMAGE,
            structure_method=method,
            structure_scale=1,
            structure_threshold=0.2 if method == "sobel" else None,
            structure_component=0,
            quality=5,
        )
        threshold = {"sobel": 0.2, "canny": 0.09, "canny_opencv": 150}[method]
        # A sigma is of the card's own method.
        sigma = 1.5 if method == "canny" else None
        np.testing.assert_array_equal(
            codec.structure(data),
            edges.extract(IMAGE, method, threshold=threshold, sigma=sigma),
        )

    def test_names_of_methods_and_scales(self):
        self.assertEqual(conceptual_structure.METHODS, edges.METHODS)
        self.assertEqual(conceptual_structure.SCALES, edges.SCALES)

    def test_given_maps(self):
        codec = tfsemcomp.load("conceptual")
        lines = np.zeros((150, 190), bool)
        lines[40, 20:150] = lines[40:120, 90] = True
        path = self.folder / "map.png"
        images.write(path, np.repeat(lines[..., None] * np.uint8(200), 3, axis=-1))
        for given in (
            lines,
            lines.astype(np.uint8),
            lines.astype(np.int64) * 255,
            path,
            str(path),
        ):
            data = codec.compress(IMAGE, quality=8, structure=given)
            np.testing.assert_array_equal(codec.structure(data), lines)
        for wrong in (
            lines[1:],
            lines.astype(np.float32),
            lines.astype(np.int32) * 256,
            -lines.astype(np.int32),
            lines[..., None],
            [[0, 1]],
        ):
            with self.assertRaisesRegex(ValueError, "`structure`"):
                codec.compress(IMAGE, structure=wrong)
        with self.assertRaises(SemCompError):
            codec.compress(IMAGE, structure=self.folder / "none.png")

    @parameterized.parameters(
        ({"structure": np.zeros((150, 190), bool), "structure_threshold": 0.1},),
        ({"structure": np.zeros((150, 190), bool), "structure_method": "sobel"},),
        ({"structure_model": "name"},),
        ({"structure_model": "name", "structure_method": "canny"},),
        ({"structure_scale": 3},),
        ({"structure_component": -1},),
        ({"structure_method": "hed"},),
        ({"residual": "png"},),
        ({"residual_quality": 5.0},),
        ({"residual": "jpeg", "residual_quality": 0.0},),
        ({"residual": "jpeg", "residual_quality": 5.5},),
    )
    def test_wrong_settings(self, settings):
        names = "|".join(f"`{name}`" for name in [*settings, "quality"])
        with self.assertRaisesRegex(ValueError, names):
            tfsemcomp.load("conceptual").compress(IMAGE, **settings)

    def test_learned_thresholds_stay_within_one(self):
        drawing = conceptual_structure.Drawing(
            None, "learned", None, None, None, 0.5, None, None, None
        )
        found = [drawing._scaled_threshold(f) for f in (0.25, 1, 3, 100)]
        np.testing.assert_allclose(found, [0.2, 0.5, 0.75, 100 / 101])


class LayersTest(ConceptualTestCase):
    def test_structure_alone_has_no_texture(self):
        codec = tfsemcomp.load("conceptual")
        data = codec.compress(IMAGE, residual="jpeg")
        self.assertEqual(bitstream.read(data).layers, 3)
        lines = codec.structure(data)
        one = bitstream.truncate(data, 1)
        expected = np.repeat((128 - conceptual_models.DARK * lines)[..., None], 3, -1)
        np.testing.assert_array_equal(codec.decompress(one), expected)
        np.testing.assert_array_equal(codec.decompress(data, layers=1), expected)
        np.testing.assert_array_equal(codec.structure(one), lines)
        two = codec.decompress(data, layers=2)
        np.testing.assert_array_equal(codec.decompress(codec.compress(IMAGE)), two)
        np.testing.assert_array_equal(codec.decompress(data[:-1], allow_torn=True), two)
        with self.assertRaises(BitstreamError):
            codec.decompress(data[:-1])

    @parameterized.parameters("jpeg", "webp", "jpeg2000", "avif")
    def test_residuals_lead_to_the_signal(self, name):
        if base.codec_class(name).unavailable_reason() is not None:
            self.skipTest(f"no {name} here")
        codec = tfsemcomp.load("conceptual")
        scores = [fidelity.psnr(IMAGE, codec.decompress(codec.compress(IMAGE)))]
        for quality in (40, 90):
            data = codec.compress(IMAGE, residual=name, residual_quality=quality)
            self.assertEqual(payloads_of(data)[2][0], bitstream.CODEC_NUMBERS[name])
            scores.append(fidelity.psnr(IMAGE, codec.decompress(data)))
        self.assertGreater(scores[1], scores[0] + 3)
        self.assertGreater(scores[2], scores[1] + 2)

    def test_a_target_gives_the_rest_to_the_residual(self):
        codec = tfsemcomp.load("conceptual")
        plain = codec.compress(IMAGE)
        encoded = codec.encode(IMAGE, residual="jpeg", target_bytes=4000)
        self.assertBetween(len(encoded.data), len(plain) + 1000, 4000)
        self.assertEqual(encoded.quality, codec.default_quality)
        self.assertEqual(bitstream.truncate(encoded.data, 2), plain)
        picture = codec.decompress(plain)
        payloads = [residual.encode(IMAGE, picture, "jpeg", q) for q in range(1, 101)]
        best = payloads.index(payloads_of(encoded.data)[2])
        more = len(payloads[best + 1]) - len(payloads[best])
        self.assertGreater(len(encoded.data) + more, 4000)
        with self.assertRaisesRegex(SemCompError, "as small as 100 bytes"):
            codec.compress(IMAGE, residual="jpeg", target_bytes=100)
        # A chosen quality leaves the lines to the target.
        fixed = {"residual": "jpeg", "residual_quality": 1.0}
        sizes = [len(codec.compress(IMAGE, quality=q, **fixed)) for q in (1, 8)]
        encoded = codec.encode(IMAGE, target_bytes=sizes[1], **fixed)
        self.assertEqual((encoded.quality, len(encoded.data)), (8, sizes[1]))

    def test_residuals_of_extreme_pictures(self):
        rng = np.random.default_rng(0)
        image = rng.choice(np.uint8([0, 255]), (24, 32, 3))
        for picture in (np.zeros_like(image), np.full_like(image, 255), image):
            payload = residual.encode(image, picture, "jxl", 99)
            again = residual.apply(payload, picture)
            # 255 does not fit into 8 bits and a sign.
            self.assertLess(abs(again.astype(int) - image).mean(), 12)


class StreamTest(ConceptualTestCase):
    def test_large_flat_pictures_keep_their_bytes(self):
        codec = tfsemcomp.load("conceptual")
        image = np.full((1100, 1200, 3), 77, np.uint8)
        data = codec.compress(image)
        structure = payloads_of(data)[0]
        self.assertLen(structure, -(-1100 * 1200 // learned.PIXELS_PER_BYTE))
        self.assertEqual(codec.structure(data).sum(), 0)
        short = [("structure", structure[:-1]), ("texture", payloads_of(data)[1])]
        with self.assertRaisesRegex(BitstreamError, "at least 81 bytes"):
            codec.decompress(rewritten(data, short))
        dirty = [("structure", structure[:-1] + b"\1")]
        with self.assertRaisesRegex(BitstreamError, "zeros after"):
            codec.decompress(rewritten(data, dirty))

    def test_primed_where_it_is_shorter(self):
        data = tfsemcomp.load("primed").compress(IMAGE, quality=7)
        structure, texture = payloads_of(data)
        parsed = conceptual_structure.parse(structure, 150, 190)
        self.assertTrue(parsed.primed)
        cold = tfsemcomp.load("cold")
        other = cold.compress(IMAGE, quality=7)
        self.assertFalse(
            conceptual_structure.parse(payloads_of(other)[0], 150, 190).primed
        )
        self.assertGreater(len(other), len(data))
        # A model without statistics cannot decode it.
        header = {"fingerprint": bitstream.read(other).header.fingerprint}
        moved = rewritten(data, [("structure", structure)], **header)
        with self.assertRaisesRegex(BitstreamError, "statistics"):
            cold.decompress(moved)

    @parameterized.parameters(
        ([("texture", b"")],),
        ([("structure", b"\0\0\0"), ("residual", b"")],),
        ([("structure", b"\0\0\0"), ("texture", b""), ("texture", b"")],),
        ([("signal", b"\0\0\0")],),
        ([("structure", b"\3\0\0")],),
        ([("structure", b"\x50\0\0")],),
        ([("structure", b"\x34\0\0")],),
        ([("structure", b"\x08\xff\xff\xff\xff\xff")],),
        ([("structure", b"\x08\x05\0")],),
        ([("structure", b"")],),
    )
    def test_wrong_chunks(self, chunks):
        codec = tfsemcomp.load("conceptual")
        data = codec.compress(IMAGE)
        with self.assertRaises(BitstreamError):
            codec.decompress(rewritten(data, chunks))

    def test_wrong_residuals(self):
        codec = tfsemcomp.load("conceptual")
        data = codec.compress(IMAGE, residual="jpeg")
        kinds = ("structure", "texture", "residual")
        payloads = payloads_of(data)
        number = payloads[2][:1]
        jpeg = base.get_codec("jpeg")
        for wrong in (
            b"",
            b"\x02" + payloads[2][1:],
            number,
            payloads[2][:-20],
            number + jpeg.compress(IMAGE[1:]),
            number + jpeg.compress(smooth_image(400, 400)),
        ):
            stream = rewritten(data, [*zip(kinds, [*payloads[:2], wrong], strict=True)])
            with self.assertRaises(BitstreamError):
                codec.decompress(stream)
            codec.decompress(stream, layers=2)

    def test_hostile_payloads(self):
        codec = tfsemcomp.load("conceptual")
        data = codec.compress(IMAGE, quality=8)
        structure, texture = payloads_of(data)
        rng = np.random.default_rng(0)
        for _ in range(40):
            damaged = [bytearray(structure), bytearray(texture + b"\0\0")]
            for payload in damaged:
                payload[rng.integers(len(payload))] ^= 1 << rng.integers(8)
            stream = rewritten(
                data,
                [("structure", bytes(damaged[0])), ("texture", bytes(damaged[1]))],
            )
            # Another picture or this error, nothing else.
            with contextlib.suppress(BitstreamError):
                self.assertEqual(codec.decompress(stream).shape, IMAGE.shape)

    def test_other_models(self):
        data = tfsemcomp.load("cold").compress(IMAGE)
        with self.assertRaises(ModelMismatchError):
            tfsemcomp.load("grid").decompress(data)
        root = self.copy_models()
        card = root / "cold" / "card.json"
        for old, new in (
            ('"channels": 3', '"channels": 4'),
            ('"method": "canny"', '"method": "nope"'),
            ('"grid": false', '"grade": false'),
        ):
            text = card.read_text()
            self.assertIn(old, text)
            card.write_text(text.replace(old, new))
            with self.assertRaisesRegex(ModelMismatchError, "export the model again"):
                tfsemcomp.load(str(root / "cold" / "1")).compress(IMAGE)
            card.write_text(text)


class EditingTest(ConceptualTestCase):
    def setUp(self):
        super().setUp()
        self.codec = tfsemcomp.load("conceptual")
        self.one = self.codec.compress(IMAGE, quality=7)
        self.two = self.codec.compress(OTHER, quality=3)

    def test_swaps_copy_the_chunks(self):
        swapped = self.codec.swap_texture(self.one, self.two)
        self.assertEqual(
            payloads_of(swapped), [payloads_of(self.one)[0], payloads_of(self.two)[1]]
        )
        np.testing.assert_array_equal(
            self.codec.structure(swapped), self.codec.structure(self.one)
        )
        before, after = (
            self.codec.decompress(data).mean(axis=(0, 1))
            for data in (self.one, swapped)
        )
        self.assertGreater(abs(before - after).max(), 20)
        self.assertEqual(self.codec.swap_texture(swapped, self.one), self.one)
        # Of other sizes, too; a residual corrects another picture and goes.
        small = self.codec.compress(OTHER[:50, :40], residual="jpeg")
        swapped = self.codec.swap_texture(small, self.one)
        self.assertEqual(
            payloads_of(swapped), [payloads_of(small)[0], payloads_of(self.one)[1]]
        )
        # Lines that lost their texture get one.
        alone = bitstream.truncate(self.one, 1)
        self.assertEqual(self.codec.swap_texture(alone, self.one), self.one)

    def test_grids_take_the_nearest_texture(self):
        codec = tfsemcomp.load("grid")
        image = np.zeros((256, 384, 3), np.uint8)
        image[:, 128:256], image[128:, 256:] = 128, 248
        one = codec.compress(image)
        for size, expected in (
            ((128, 384), [[0, 128, 0]]),
            ((200, 600), [[0, 0, 128, 128, 0], [0, 0, 128, 128, 248]]),
            ((100, 100), [[0]]),
        ):
            other = codec.compress(np.full((*size, 3), 200, np.uint8))
            swapped = codec.decompress(codec.swap_texture(other, one))
            self.assertEqual(swapped.shape, (*size, 3))
            self.assertEqual(swapped[::128, ::128, 0].tolist(), expected)

    def test_edited_lines_keep_the_texture(self):
        lines = self.codec.structure(self.one)
        self.assertEqual(self.codec.edit_structure(self.one, lines), self.one)
        edited = lines.copy()
        edited[20:60, 20:60] = 0
        edited[100, 10:100] = 1
        data = self.codec.edit_structure(self.one, edited * np.uint8(255))
        np.testing.assert_array_equal(self.codec.structure(data), edited)
        self.assertEqual(payloads_of(data)[1], payloads_of(self.one)[1])
        alone = self.codec.edit_structure(bitstream.truncate(self.one, 1), edited)
        self.assertEqual(alone, bitstream.truncate(data, 1))
        # Lines of a coarse file stay coarse.
        coarse = self.codec.edit_structure(self.two, edited)
        expected = edges.upscale(edges.downscale(edited, 4), 4, *edited.shape)
        np.testing.assert_array_equal(self.codec.structure(coarse), expected)
        with self.assertRaisesRegex(ValueError, "`structure` must have the picture's"):
            self.codec.edit_structure(self.one, edited[1:])

    @parameterized.parameters(*conceptual.MODES)
    def test_interpolation_goes_from_one_to_the_other(self, mode):
        files = self.codec.interpolate(self.one, self.two, 5, mode=mode)
        self.assertLen(files, 5)
        self.assertEqual(files[0], self.one)
        self.assertEqual(files[-1], self.codec.swap_texture(self.one, self.two))
        self.assertLen({payloads_of(data)[0] for data in files}, 1)
        means = np.stack(
            [self.codec.decompress(data).mean(axis=(0, 1)) for data in files]
        )
        if mode == "linear":
            steps = np.linspace(means[0], means[-1], 5)
            np.testing.assert_allclose(means, steps, atol=5)

    def test_arcs(self):
        a, b = np.float64([3, 0]), np.float64([0, 1])
        half = np.sqrt(0.5)
        np.testing.assert_allclose(conceptual._slerp(a, b, 0.5), [2 * half, 2 * half])
        for one, two in ((a, 2 * a), (a, -a), (0 * a, b)):
            np.testing.assert_allclose(
                conceptual._slerp(one, two, 0.25), 0.75 * one + 0.25 * two
            )
        angles = [
            np.arctan2(*conceptual._slerp(a, b, t)[::-1]) for t in np.linspace(0, 1, 4)
        ]
        np.testing.assert_allclose(np.diff(angles), np.pi / 6)

    def test_the_picture_grows(self):
        stages = self.codec.return_pyramid(self.one)
        self.assertEqual(
            [stage.shape for stage in stages],
            [(10, 12, 3), (38, 48, 3), IMAGE.shape],
        )
        np.testing.assert_array_equal(stages[-1], self.codec.decompress(self.one))
        unet = tfsemcomp.load("cold")
        with self.assertRaisesRegex(SemCompError, "hf_gan"):
            unet.return_pyramid(unet.compress(IMAGE))

    def test_wrong_partners(self):
        alone = bitstream.truncate(self.two, 1)
        foreign = tfsemcomp.load("cold").compress(IMAGE)
        every = tfsemcomp.codecs.base.get_codec("conceptual")
        for act in (every.swap_texture, lambda a, b: every.interpolate(a, b, 3)):
            with self.assertRaisesRegex(ValueError, "`texture`.*cut off"):
                act(self.one, alone)
            with self.assertRaisesRegex(ModelMismatchError, "`texture`"):
                act(self.one, foreign)
            with self.assertRaises(ValueError):
                act(self.one, "path")
            with self.assertRaises(BitstreamError):
                act(self.one, b"no stream")
        with self.assertRaisesRegex(ValueError, "`data`.*cut off"):
            every.interpolate(alone, self.one, 3)
        with self.assertRaisesRegex(ValueError, "`count`"):
            every.interpolate(self.one, self.two, 1)
        with self.assertRaisesRegex(ValueError, "`mode`"):
            every.interpolate(self.one, self.two, 3, mode="cubic")


class NetworksTest(SemCompTestCase):
    """Files of models as recipes/export_conceptual.py writes them."""

    @parameterized.parameters("hf_gan", "unet")
    def test_files_hold_what_the_networks_said(self, variant):
        model = conceptual_networks.a_model(variant=variant)
        conceptual_module.export_model(model, self.folder / "net")
        card = {
            "name": "net",
            "version": 1,
            "system": "conceptual",
            "latents": conceptual_module.latents(model, {"method": "canny"}),
        }
        manifest.add(self.folder, card, default=True)
        named = {manifest.ENVIRONMENT_VARIABLE: str(self.folder)}
        self.enter_context(mock.patch.dict(os.environ, named))
        codec = tfsemcomp.load("conceptual")
        data = codec.compress(IMAGE, quality=5)
        networks = conceptual_module.ConceptualModule(model).signatures()
        padded = learned.pad(IMAGE[None], 128).astype(np.float32)
        z = networks["analyze"](padded)["z"]
        lines = codec.structure(data)
        self.assertGreater(lines.sum(), 0)
        structure = learned.pad(lines[None, ..., None], 128).astype(np.float32)
        for file, texture in (
            (data, z),
            (bitstream.truncate(data, 1), tf.zeros_like(z)),
        ):
            found = networks["synthesize"](structure, texture)["images"]
            expected = np.clip(found[0, :150, :190], 0, 255)
            # Another graph may sum in another order.
            difference = abs(np.rint(expected) - codec.decompress(file))
            self.assertLessEqual(difference.max(), 1)
            self.assertLess(difference.mean(), 1e-3)
        if variant == "hf_gan":
            stages = codec.return_pyramid(data)
            self.assertEqual(stages[-1].shape, IMAGE.shape)
            sides = [stage.shape[0] for stage in stages]
            self.assertEqual(sides, sorted(set(sides)))
