import io

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from PIL import Image

from tests.data import fake_layouts
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import images
from tfsemcomp.data import label_maps, planes, preparation
from tfsemcomp.data.items import Item
from tfsemcomp.errors import SemCompError

Preparation = preparation.Preparation


def png(pixels):
    return images.encode(pixels, "png")


def unpack(encoded, dtype=tf.uint8):
    """A PNG as TensorFlow reads it; [H,W]."""
    return tf.io.decode_png(encoded, dtype=dtype).numpy()[..., 0]


class PreparationTest(SemCompTestCase):
    def prepare(self, item, **settings):
        self.record = preparation.prepare(item, Preparation(**settings))
        pixels = images.load_bytes(self.record.image).pixels
        self.assertEqual(pixels.shape[:2], (self.record.height, self.record.width))
        return pixels

    @parameterized.parameters(
        ("short_side", (40, 60), (32, 32), (32, 48)),
        ("short_side", (60, 40), (32, 32), (48, 32)),
        ("short_side", (20, 60), (32, 32), (20, 60)),
        ("squash", (40, 60), (16, 24), (16, 24)),
        ("squash", (10, 10), (16, 24), (16, 24)),
        ("centre_crop", (40, 60), (16, 16), (16, 16)),
        ("centre_crop", (61, 17), (30, 20), (30, 20)),
        ("short_side", (40, 61), (0, 0), (40, 61)),
    )
    def test_sizes(self, mode, have, wanted, expected):
        item = Item(png(smooth_image(*have)), "1.png")
        pixels = self.prepare(item, height=wanted[0], width=wanted[1], mode=mode)
        self.assertEqual(pixels.shape[:2], expected)

    def test_the_centre_is_cut_and_nothing_else(self):
        image = smooth_image(40, 60)
        settings = {"height": 40, "width": 40, "mode": "centre_crop"}
        pixels = self.prepare(Item(png(image), "1.png"), encoding="png", **settings)
        np.testing.assert_array_equal(pixels, image[:, 10:50])

    @parameterized.parameters("png", "raw")
    def test_without_loss(self, encoding):
        image = smooth_image(33, 35)
        pixels = self.prepare(Item(png(image), "1.png"), encoding=encoding)
        np.testing.assert_array_equal(pixels, image)
        decoded = tf.io.decode_image(self.record.image, channels=3).numpy()
        np.testing.assert_array_equal(decoded, image)

    def test_quality(self):
        item = Item(png(smooth_image(64, 64)), "1.png")
        sizes = []
        for quality in (30, 95):
            self.prepare(item, quality=quality)
            self.assertEqual(images.load_bytes(self.record.image).format, "JPEG")
            sizes.append(len(self.record.image))
        self.assertLess(sizes[0], sizes[1])

    def test_sources_stay_as_they_are_where_that_is_right(self):
        image = Image.fromarray(smooth_image(24, 32))
        upright, turned = Image.Exif(), Image.Exif()
        upright[0x010F], upright[0x0112], turned[0x0112] = "maker", 1, 3
        for name, options, kept in (
            ("JPEG", {"quality": 80}, True),
            ("PNG", {}, True),
            ("JPEG", {"exif": upright}, True),
            ("JPEG", {"exif": turned}, False),
            ("WEBP", {"lossless": True}, False),
        ):
            content = io.BytesIO()
            image.save(content, name, **options)
            item = Item(content.getvalue(), "1")
            pixels = self.prepare(item, height=0, width=0, encoding="source")
            with self.subTest(name, **options):
                self.assertEqual(self.record.image == content.getvalue(), kept)
                decoded = tf.io.decode_image(self.record.image, channels=3).numpy()
                self.assertEqual(decoded.shape, pixels.shape)
                expected = images.load_bytes(content.getvalue()).pixels
                difference = np.abs(decoded.astype(int) - expected)
                self.assertLess(difference.mean(), 4)

    def test_maps_follow_the_picture(self):
        labels = fake_layouts.label_plane(1, 200, (40, 60))
        item = Item(
            png(smooth_image(40, 60)),
            "1.png",
            label_map=labels,
            instances=labels.astype(np.uint16) * 300,
            edges=labels,
        )
        self.prepare(item, height=20, width=20, mode="centre_crop")
        cut = labels[:, 10:50]
        # Blocks of 4x4 of which each second pixel is taken.
        expected = cut[1::2, 1::2]
        np.testing.assert_array_equal(
            label_maps.decode(self.record.label_map), expected
        )
        found = unpack(self.record.instances, tf.uint16)
        np.testing.assert_array_equal(found, expected.astype(int) * 300)
        strongest = cut.reshape(20, 2, 20, 2).max((1, 3))
        np.testing.assert_array_equal(unpack(self.record.edges), strongest)

    def test_maps_of_another_size_than_the_picture(self):
        fake_layouts.cityscapes(self.folder)
        start = self.folder / "gtFine/train/aachen/aachen_0_1_gtFine_"
        item = Item(
            png(smooth_image(24, 32)),
            "1.png",
            label_map=f"{start}labelIds.png",
            instances=f"{start}instanceIds.png",
        )
        self.prepare(item)
        found = unpack(self.record.instances, tf.uint16)
        self.assertEqual(found.shape, (24, 32))
        self.assertEqual(set(found[:12, :16].flat), {26005})
        self.assertEqual(set(found[12:].flat), {0})
        labels = label_maps.decode(self.record.label_map)
        self.assertEqual(set(labels[:12, 16:].flat), {7})

    def test_thin_lines_survive_scaling(self):
        edges = np.zeros((100, 90), np.uint8)
        edges[37], edges[:, 11] = 255, 128
        scaled = planes.strongest(edges, (0.0, 0.0, 1.0, 1.0), 13, 7)
        self.assertEqual(scaled.shape, (13, 7))
        self.assertEqual((scaled.max(axis=1) == 255).sum(), 1)
        self.assertEqual((scaled.min(axis=0) == 128).sum(), 1)
        larger = planes.strongest(edges, (0.0, 0.0, 1.0, 1.0), 200, 90)
        np.testing.assert_array_equal(larger, edges.repeat(2, axis=0))

    @parameterized.parameters("left", "right")
    def test_halves(self, drawing):
        fake_layouts.edges2photos(self.folder)
        both = images.read(self.folder / "train" / "1_AB.png")
        if drawing == "right":
            both = np.roll(both, 24, axis=1)
        pixels = self.prepare(Item(png(both), "1", drawing=drawing), encoding="png")
        np.testing.assert_array_equal(pixels, smooth_image(24, 24, 1))
        edges = unpack(self.record.edges)
        self.assertEqual(set(edges[11]), {255})
        self.assertEqual(edges.sum(), 24 * 255)

    @parameterized.parameters(
        ((10, 20, 22, 36),), ((10 / 40, 20 / 60, 22 / 40, 36 / 60),)
    )
    def test_the_box_is_cut_out(self, box):
        image = smooth_image(40, 60)
        item = Item(png(image), "1.png", box=box)
        settings = {"height": 0, "width": 0, "encoding": "png", "box_crop": True}
        pixels = self.prepare(item, **settings)
        # Middle (16, 28), 3/4 of the longer side to each side, within the picture.
        np.testing.assert_array_equal(pixels, image[4:28, 16:40])
        outside = Item(png(image), "1.png", box=(70, 70, 90, 90))
        with self.assertRaisesRegex(SemCompError, "outside"):
            self.prepare(outside, **settings)

    def test_broken_files_are_errors_of_one_line(self):
        good = png(smooth_image(24, 32))
        colour = self.folder / "colour.png"
        colour.write_bytes(good)
        (self.folder / "text.mat").write_text("no matrix")
        for item in (
            Item(b"", "empty.png"),
            Item(good[:60], "torn.png"),
            Item(str(self.folder / "none.png"), "none.png"),
            Item(good, "map.png", label_map=str(colour)),
            Item(good, "map.png", instances=str(colour)),
            Item(good, "map.png", edges=str(self.folder / "none.png")),
            Item(good, "map.png", edges=str(self.folder / "text.mat")),
            Item(png(smooth_image(24, 33)), "odd.png", drawing="left"),
        ):
            with self.subTest(item.name), self.assertRaises(SemCompError) as caught:
                self.prepare(item)
            self.assertNotIn("\n", str(caught.exception))

    def test_sizes_in_words(self):
        self.assertEqual(preparation.parse_size("256"), (256, 256))
        self.assertEqual(preparation.parse_size("512x1024"), (512, 1024))
        self.assertEqual(preparation.parse_size("0"), (0, 0))
        for text in ("", "a", "1x", "x2", "-3", "2.5"):
            with self.subTest(text), self.assertRaisesRegex(ValueError, "`size`"):
                preparation.parse_size(text)

    def test_wrong_arguments(self):
        for expected, settings in (
            ("`mode`", {"mode": "fit"}),
            ("`encoding`", {"encoding": "webp"}),
            ("`quality`", {"quality": 0}),
            ("`height`", {"height": -1, "width": 5}),
            ("`height`", {"height": 0, "width": 5}),
            ("`mode`", {"height": 10, "width": 20}),
            ("`encoding`", {"encoding": "source"}),
        ):
            with (
                self.subTest(**settings),
                self.assertRaisesRegex(ValueError, expected),
            ):
                Preparation(**settings)
