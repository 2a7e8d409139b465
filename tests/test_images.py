"""Image files: exact pixels, said losses, typed errors, atomic writes."""

import contextlib
import errno
import io
import os
import pathlib
import stat
import struct
import sys
import threading
import tracemalloc
import warnings
import zlib
from unittest import mock

import numpy as np
import tifffile
from absl.testing import absltest, parameterized
from PIL import Image, ImageCms, ImageOps

from tests.harness import SemCompTestCase, noise_image, smooth_image
from tfsemcomp import bitstream, errors, image_headers, images

PIXELS = smooth_image(20, 29)
FORMATS = (*("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "HEIF", "JXL", "JPEG2000"),)
LOSSLESS = ("PNG", "WEBP", "TIFF", "BMP", "HEIF", "JXL", "JPEG2000")
SIZES = ((1, 1), (7, 3), (3, 7), (1, 5000), (5000, 1), (64, 65))
EXIF_PREFIX = b"Exif\x00\x00"
PACKAGES = {"HEIF": "pillow_heif", "JXL": "pillow_jxl"}


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif_block(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0x829A] = 0.01
    return exif.tobytes().removeprefix(EXIF_PREFIX)


def saved(image: Image.Image, format_name: str, **options) -> bytes:
    """The file that Pillow writes, our oracle for reading."""
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def png(
    samples: np.ndarray, depth: int, colour_type: int, *chunks: tuple[bytes, bytes]
) -> bytes:
    """A PNG of any depth and colour type: [H,W] or [H,W,C] samples, no filter."""
    height, width = samples.shape[:2]
    if depth == 16:
        rows = samples.astype(">u2").tobytes()
    else:
        bits = np.unpackbits(samples.astype(np.uint8)[..., None], axis=-1)
        bits = bits[..., 8 - depth :].reshape(height, -1)
        rows = np.packbits(bits, axis=1).tobytes()
    stride = len(rows) // height
    lines = (b"\0" + rows[n : n + stride] for n in range(0, len(rows), stride))
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    body = (b"IDAT", zlib.compress(b"".join(lines)))
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, content in ((b"IHDR", header), *chunks, body, (b"IEND", b"")):
        crc = zlib.crc32(kind + content)
        parts.append(struct.pack(">I", len(content)) + kind + content)
        parts.append(struct.pack(">I", crc))
    return b"".join(parts)


def tiff(samples: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, **options)
    return buffer.getvalue()


def to_8_bits(samples: np.ndarray) -> np.ndarray:
    """16-bit samples rounded to the nearest of 256 levels."""
    return np.floor(samples / 257 + 0.5).astype(np.uint8)


def grey_to_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1)


def composited(
    colour: np.ndarray, alpha: np.ndarray, background: tuple[int, int, int]
) -> np.ndarray:
    """Colour over background, [H,W,3] and [H,W] of 0..255, to the nearest level."""
    share = alpha[..., None] / 255
    mixed = colour * share + np.array(background) * (1 - share)
    return np.floor(mixed + 0.5 + 1e-9).astype(np.uint8)


def cmyk_profile() -> bytes:
    """A small ICC profile whose table says: no ink is white, any ink is dark red."""
    white = bytes([255, 128, 128])
    red = bytes([80, 190, 170])
    table = b"".join(white if node == 0 else red for node in range(16))
    identity = struct.pack(">9i", *(65536 if n % 4 == 0 else 0 for n in range(9)))
    ramp = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + ramp * 4 + table + ramp * 3
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    point = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    contents = {
        b"A2B0": lut,
        b"desc": text,
        b"cprt": b"text\0\0\0\0-\0",
        b"wtpt": point,
    }
    body, entries = b"", struct.pack(">I", len(contents))
    start = 128 + 4 + 12 * len(contents)
    for name, content in contents.items():
        content += bytes(-len(content) % 4)
        entries += name + struct.pack(">II", start + len(body), len(content))
        body += content
    header = bytearray(128)
    struct.pack_into(">I", header, 0, start + len(body))
    header[8:12] = b"\x02\x10\0\0"
    header[12:24] = b"prtrCMYKLab "
    header[36:40] = b"acsp"
    struct.pack_into(">3i", header, 68, 63190, 65536, 54061)
    return bytes(header) + entries + body


class ImagesTestCase(SemCompTestCase):
    """Adds what the tests here share."""

    def need(self, format_name: str) -> None:
        package = PACKAGES.get(format_name)
        if package is None:
            return
        try:
            __import__(package)
        except ImportError:
            self.skipTest(f"{package} is not installed")

    def saved_file(self, name: str, data: bytes) -> pathlib.Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def assert_refused(self, error: type[Exception], text: str, path, **options):
        """One line of the expected type that names the file."""
        with self.assertRaisesRegex(error, text) as caught:
            images.load(path, **options)
        message = str(caught.exception)
        self.assertNotIn("\n", message)
        self.assertIn(f"`{path}`", message)


class RoundTripTest(ImagesTestCase):
    @parameterized.product(format_name=FORMATS, size=SIZES)
    def test_files_keep_their_size_and_lossless_ones_their_pixels(
        self, format_name, size
    ):
        self.need(format_name)
        pixels = noise_image(*size)
        image = images.load_bytes(images.encode(pixels, format_name))
        self.assertEqual(image.format, format_name)
        self.assertEqual(image.notes, ())
        images.check_pixels(image.pixels)
        self.assertTrue(image.pixels.flags.c_contiguous)
        self.assertTrue(image.pixels.flags.writeable)
        self.assertEqual(image.pixels.shape, pixels.shape)
        if format_name in LOSSLESS:
            np.testing.assert_array_equal(image.pixels, pixels)

    @parameterized.parameters("JPEG", "WEBP", "AVIF", "HEIF", "JXL", "JPEG2000")
    def test_higher_quality_is_larger_and_closer(self, format_name):
        self.need(format_name)
        pixels = smooth_image(64, 96)
        sizes, distortions = [], []
        for quality in (10, 50, 90):
            data = images.encode(pixels, format_name, quality=quality)
            difference = images.load_bytes(data).pixels.astype(float) - pixels
            sizes.append(len(data))
            distortions.append(np.mean(difference**2))
        self.assertSequenceAlmostEqual(sizes, sorted(sizes))
        self.assertSequenceAlmostEqual(distortions, sorted(distortions)[::-1])

    @parameterized.parameters(*FORMATS)
    def test_every_quality_is_taken(self, format_name):
        self.need(format_name)
        for quality in (1, 100):
            data = images.encode(PIXELS, format_name, quality=quality)
            self.assertEqual(images.load_bytes(data).pixels.shape, PIXELS.shape)

    @parameterized.parameters(*images.WRITABLE_SUFFIXES)
    def test_suffix_chooses_the_format(self, suffix):
        kind = images.format_of(f"x{suffix.upper()}")
        self.need(kind)
        path = self.folder / f"a picture{suffix}"
        images.write(path, PIXELS)
        self.assertEqual(images.load(path).format, kind)
        self.assertEqual(images.read(str(path)).shape, PIXELS.shape)

    def test_content_decides_and_not_the_suffix(self):
        path = self.saved_file("x.jpg", images.encode(PIXELS, "PNG"))
        np.testing.assert_array_equal(images.read(path), PIXELS)

    def test_bare_code_streams_are_written_for_their_suffix(self):
        images.write(self.folder / "x.j2k", PIXELS)
        self.assertTrue((self.folder / "x.j2k").read_bytes().startswith(b"\xff\x4f"))

    def test_views_are_written_like_copies(self):
        view = np.flip(smooth_image(40, 58), axis=1)[::2, ::2]
        data = images.encode(view, "PNG")
        np.testing.assert_array_equal(images.load_bytes(data).pixels, view)

    @parameterized.parameters(50, 94, 95, 100)
    def test_noise_fits_into_jpeg(self, quality):
        """Pillow's buffer for optimised tables is too small for it."""
        pixels = noise_image(300, 300)
        for options in ({}, {"subsampling": 0}, {"progressive": True}):
            data = images.encode(pixels, "JPEG", quality=quality, **options)
            self.assertEqual(images.load_bytes(data).pixels.shape, pixels.shape)

    def test_options_reach_the_encoder(self):
        plain = images.encode(PIXELS, "JPEG", quality=50, optimize=False)
        self.assertEqual(plain, saved(Image.fromarray(PIXELS), "JPEG", quality=50))
        self.assertLess(len(images.encode(PIXELS, "JPEG", quality=50)), len(plain))


class ExactPixelsTest(ImagesTestCase):
    """What Pillow decodes without loss arrives without loss."""

    @parameterized.parameters("JPEG", "WEBP", "AVIF", "JPEG2000", "TIFF", "BMP", "PNG")
    def test_rgb_is_untouched(self, format_name):
        data = saved(Image.fromarray(PIXELS), format_name)
        with Image.open(io.BytesIO(data)) as oracle:
            expected = np.asarray(oracle)
        np.testing.assert_array_equal(images.load_bytes(data).pixels, expected)

    @parameterized.parameters("JPEG", "PNG", "TIFF", "BMP", "GIF", "JPEG2000")
    def test_grey_is_repeated(self, format_name):
        data = saved(Image.fromarray(PIXELS[..., 0]), format_name)
        with Image.open(io.BytesIO(data)) as oracle:
            expected = grey_to_rgb(np.asarray(oracle.convert("L")))
        image = images.load_bytes(data)
        np.testing.assert_array_equal(image.pixels, expected)
        self.assertEqual(image.notes, ())

    @parameterized.parameters("PNG", "TIFF", "BMP", "GIF")
    def test_palettes_are_looked_up(self, format_name):
        palette = Image.fromarray(PIXELS).quantize(16)
        image = images.load_bytes(saved(palette, format_name))
        np.testing.assert_array_equal(image.pixels, np.asarray(palette.convert("RGB")))
        self.assertEqual(image.notes, ())

    @parameterized.parameters("PNG", "TIFF", "BMP")
    def test_one_bit_is_black_and_white(self, format_name):
        bits = PIXELS[..., 0] > 100
        image = images.load_bytes(saved(Image.fromarray(bits), format_name))
        np.testing.assert_array_equal(image.pixels, grey_to_rgb(np.uint8(255) * bits))

    @parameterized.parameters(1, 2, 4)
    def test_few_bits_span_the_whole_range(self, depth):
        levels = np.arange(64).reshape(4, 16) % 2**depth
        image = images.load_bytes(png(levels, depth, 0))
        expected = grey_to_rgb((levels * 255 // (2**depth - 1)).astype(np.uint8))
        np.testing.assert_array_equal(image.pixels, expected)

    def test_white_may_be_zero(self):
        grey = PIXELS[..., 0]
        image = images.load_bytes(tiff(grey, photometric="miniswhite"))
        np.testing.assert_array_equal(image.pixels, grey_to_rgb(255 - grey))


class DepthTest(ImagesTestCase):
    deep = np.random.default_rng(0).integers(0, 65536, size=(9, 11, 4), dtype=np.uint16)
    note = ("16 bits a sample reduced to 8",)

    @parameterized.parameters((1, 0), (3, 2))
    def test_png_is_rounded(self, channels, colour_type):
        samples = self.deep[..., :channels]
        image = images.load_bytes(png(samples, 16, colour_type))
        expected = np.broadcast_to(to_8_bits(samples), image.pixels.shape)
        np.testing.assert_array_equal(image.pixels, expected)
        self.assertEqual(image.notes, self.note)

    def test_png_with_alpha_is_rounded_once(self):
        image = images.load_bytes(png(self.deep, 16, 6))
        share = self.deep[..., 3:] / 65535
        expected = to_8_bits(self.deep[..., :3] * share + 65535 * (1 - share))
        np.testing.assert_array_equal(image.pixels, expected)
        self.assertLen(image.notes, 2)

    def test_grey_png_with_alpha(self):
        image = images.load_bytes(png(self.deep[..., :2], 16, 4))
        share = self.deep[..., 1:2] / 65535
        expected = to_8_bits(self.deep[..., :1] * share + 65535 * (1 - share))
        difference = image.pixels.astype(int) - expected
        self.assertLessEqual(np.abs(difference).max(), 2)

    @parameterized.product(
        byteorder=("<", ">"),
        compression=(None, "deflate"),
        planar=(False, True),
    )
    def test_tiff_rgb(self, byteorder, compression, planar):
        samples = np.ascontiguousarray(self.deep[..., :3])
        stored = (
            np.ascontiguousarray(np.moveaxis(samples, -1, 0)) if planar else samples
        )
        data = tiff(
            stored,
            photometric="rgb",
            planarconfig="separate" if planar else "contig",
            byteorder=byteorder,
            compression=compression,
        )
        image = images.load_bytes(data)
        # Compressed planes come without their low bytes.
        tolerance = 1 if planar and compression else 0
        difference = image.pixels.astype(int) - to_8_bits(samples)
        self.assertLessEqual(np.abs(difference).max(), tolerance)
        self.assertEqual(image.notes, self.note)

    @parameterized.product(
        kind=("uint16", "int16", "int32", "float32", "white"),
        byteorder=("<", ">"),
        compression=(None, "deflate"),
    )
    def test_tiff_grey(self, kind, byteorder, compression):
        levels = self.deep[..., 0].astype(np.float64)
        if kind == "white":
            samples, expected = self.deep[..., 0], (65535 - levels) / 257
        elif kind == "uint16":
            samples, expected = self.deep[..., 0], levels / 257
        elif kind == "float32":
            samples, expected = (levels / 65535).astype(np.float32), levels / 257
        else:
            offset, factor = (32768, 1) if kind == "int16" else (0, 1000)
            samples = ((levels - offset) * factor).astype(kind)
            span = levels.max() - levels.min()
            expected = 255 * (levels - levels.min()) / span
        photometric = "miniswhite" if kind == "white" else "minisblack"
        data = tiff(
            samples,
            photometric=photometric,
            byteorder=byteorder,
            compression=compression,
        )
        if (kind, byteorder) == ("white", ">"):
            # Pillow reads no such layout; it must not be read wrongly either.
            with self.assertRaisesRegex(errors.BitstreamError, "unsupported kind"):
                images.load_bytes(data)
            return
        image = images.load_bytes(data)
        expected = grey_to_rgb(np.floor(expected + 0.5).astype(int))
        self.assertLessEqual(np.abs(image.pixels - expected).max(), 1)
        self.assertIn("bits a sample reduced to 8", image.notes[0])
        stretched = kind not in ("uint16", "white")
        self.assertEqual(any("stretched" in note for note in image.notes), stretched)

    def test_constant_and_broken_floats(self):
        constant = images.load_bytes(tiff(np.full((4, 5), 7, np.float32)))
        np.testing.assert_array_equal(constant.pixels, 0)
        with self.assertRaisesRegex(errors.BitstreamError, "finite"):
            images.load_bytes(tiff(np.full((4, 5), np.nan, np.float32)))

    def test_heic_says_its_depth(self):
        self.need("HEIF")
        import pillow_heif

        file = pillow_heif.from_bytes("RGB;16", (11, 9), self.deep[..., :3].tobytes())
        buffer = io.BytesIO()
        file.save(buffer, quality=90)
        self.assertIn("bits a sample", images.load_bytes(buffer.getvalue()).notes[0])


class TransparencyTest(ImagesTestCase):
    alpha = np.random.default_rng(1).integers(0, 256, size=(20, 29), dtype=np.uint8)

    @parameterized.product(
        format_name=("PNG", "WEBP", "TIFF", "JXL"),
        background=((255, 255, 255), (0, 0, 0), (10, 200, 30)),
    )
    def test_alpha_is_composited(self, format_name, background):
        self.need(format_name)
        rgba = np.dstack([PIXELS, self.alpha])
        options = {"lossless": True} if format_name in ("WEBP", "JXL") else {}
        if format_name == "WEBP":
            options["exact"] = True
        if format_name == "JXL":
            __import__("pillow_jxl")
        data = saved(Image.fromarray(rgba), format_name, **options)
        image = images.load_bytes(data, background=background)
        expected = composited(PIXELS, self.alpha, background)
        np.testing.assert_array_equal(image.pixels, expected)
        names = {(255, 255, 255): "white", (0, 0, 0): "black"}
        name = names.get(background, "RGB (10, 200, 30)")
        self.assertEqual(image.notes, (f"transparency composited on {name}",))

    def test_grey_with_alpha(self):
        both = Image.fromarray(np.dstack([PIXELS[..., 0], self.alpha]), "LA")
        expected = composited(grey_to_rgb(PIXELS[..., 0]), self.alpha, (255, 255, 255))
        for format_name in ("PNG", "TIFF"):
            image = images.load_bytes(saved(both, format_name))
            np.testing.assert_array_equal(image.pixels, expected)

    def test_opaque_alpha_leaves_no_trace(self):
        rgba = np.dstack([PIXELS, np.full(PIXELS.shape[:2], 255, np.uint8)])
        image = images.load_bytes(saved(Image.fromarray(rgba), "PNG"))
        np.testing.assert_array_equal(image.pixels, PIXELS)
        self.assertEqual(image.notes, ())

    @parameterized.parameters("PNG", "GIF")
    def test_palette_with_a_transparent_entry(self, format_name):
        palette = Image.fromarray(PIXELS).quantize(16)
        indexes = np.asarray(palette)
        data = saved(palette, format_name, transparency=3)
        expected = np.asarray(palette.convert("RGB")).copy()
        expected[indexes == 3] = (1, 2, 3)
        image = images.load_bytes(data, background=(1, 2, 3))
        np.testing.assert_array_equal(image.pixels, expected)

    def test_palette_with_alpha_for_each_entry(self):
        palette = Image.fromarray(PIXELS).quantize(16)
        table = bytes(range(0, 256, 17))
        data = saved(palette, "PNG", transparency=table)
        alpha = np.frombuffer(table, np.uint8)[np.asarray(palette)]
        expected = composited(
            np.asarray(palette.convert("RGB")), alpha, (255, 255, 255)
        )
        np.testing.assert_array_equal(images.load_bytes(data).pixels, expected)

    @parameterized.parameters(1, 2, 4, 8, 16)
    def test_one_grey_level_is_transparent(self, depth):
        top = 2**depth - 1
        levels = (np.arange(48).reshape(6, 8) * 1371) % (top + 1)
        levels[0, :2] = 0, top
        for key in (0, top, int(levels[2, 2])):
            chunk = (b"tRNS", struct.pack(">H", key))
            image = images.load_bytes(
                png(levels, depth, 0, chunk), background=(9, 8, 7)
            )
            scaled = np.floor(levels * 255 / top + 0.5).astype(np.uint8)
            expected = grey_to_rgb(scaled)
            expected[levels == key] = (9, 8, 7)
            np.testing.assert_array_equal(image.pixels, expected)

    @parameterized.parameters(8, 16)
    def test_one_colour_is_transparent(self, depth):
        rng = np.random.default_rng(2)
        samples = rng.integers(0, 2**depth, size=(6, 8, 3))
        key = samples[2, 3]
        chunk = (b"tRNS", struct.pack(">3H", *key))
        image = images.load_bytes(png(samples, depth, 2, chunk), background=(0, 0, 0))
        expected = to_8_bits(samples) if depth == 16 else samples.astype(np.uint8)
        expected[2, 3] = 0
        np.testing.assert_array_equal(image.pixels, expected)

    @parameterized.parameters(
        "white", ((1, 2),), ((1, 2, 256),), ((-1, 0, 0),), ((0.5, 0, 0),), (None,)
    )
    def test_background_is_checked(self, background):
        with self.assertRaisesRegex(ValueError, "`background`"):
            images.load_bytes(images.encode(PIXELS, "PNG"), background=background)


class ColourTest(ImagesTestCase):
    def test_cmyk_jpeg_without_profile(self):
        cmyk = Image.fromarray(PIXELS).convert("CMYK")
        image = images.load_bytes(saved(cmyk, "JPEG", quality=100, subsampling=0))
        self.assertLess(np.abs(image.pixels.astype(int) - PIXELS).max(), 12)
        self.assertIn("without a profile", image.notes[0])
        self.assertIsNone(image.icc)

    def test_cmyk_jpeg_with_profile(self):
        ink = np.zeros((16, 16, 4), np.uint8)
        ink[:, 8:] = 255
        data = saved(
            Image.fromarray(ink, "CMYK"),
            "JPEG",
            quality=100,
            icc_profile=cmyk_profile(),
        )
        image = images.load_bytes(data)
        self.assertEqual(image.notes, ("CMYK converted to sRGB by its own profile",))
        self.assertIsNone(image.icc)
        self.assertGreater(image.pixels[:, :4].min(), 250)
        red, green, blue = image.pixels[8, 12].astype(int)
        self.assertGreater(red, 2 * max(green, blue, 1))

    def test_cmyk_with_a_profile_that_does_not_fit(self):
        cmyk = Image.fromarray(PIXELS).convert("CMYK")
        for profile in (srgb_profile(), b"\0" * 300):
            image = images.load_bytes(saved(cmyk, "JPEG", icc_profile=profile))
            self.assertIn("without a profile", image.notes[0])

    def test_cmyk_tiff(self):
        cmyk = Image.fromarray(PIXELS).convert("CMYK")
        image = images.load_bytes(saved(cmyk, "TIFF"))
        np.testing.assert_array_equal(image.pixels, np.asarray(cmyk.convert("RGB")))

    def test_lab_tiff(self):
        lab = ImageCms.profileToProfile(
            Image.fromarray(PIXELS),
            ImageCms.createProfile("sRGB"),
            ImageCms.createProfile("LAB"),
            outputMode="LAB",
        )
        image = images.load_bytes(saved(lab, "TIFF"))
        self.assertLess(np.abs(image.pixels.astype(int) - PIXELS).mean(), 3)
        self.assertEqual(image.notes, ("Lab converted to sRGB",))

    @parameterized.parameters("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF")
    def test_rgb_profiles_are_kept(self, format_name):
        self.need(format_name)
        profile = srgb_profile()
        image = images.load_bytes(images.encode(PIXELS, format_name, icc=profile))
        self.assertEqual(image.icc, profile)

    def test_grey_profiles_do_not_fit(self):
        profile = bytearray(srgb_profile())
        profile[16:20] = b"GRAY"
        grey = Image.fromarray(PIXELS[..., 0])
        image = images.load_bytes(saved(grey, "PNG", icc_profile=bytes(profile)))
        self.assertIsNone(image.icc)
        self.assertIn("GRAY profile", image.notes[0])


class ExifTest(ImagesTestCase):
    @parameterized.product(
        format_name=("JPEG", "PNG", "WEBP", "TIFF", "AVIF"),
        orientation=tuple(range(1, 9)),
    )
    def test_rotation_is_applied(self, format_name, orientation):
        prefix = EXIF_PREFIX if format_name == "JPEG" else b""
        exif = prefix + exif_block(orientation)
        data = saved(Image.fromarray(PIXELS), format_name, exif=exif)
        with Image.open(io.BytesIO(data)) as oracle:
            expected = np.asarray(ImageOps.exif_transpose(oracle))
        image = images.load_bytes(data)
        np.testing.assert_array_equal(image.pixels, expected)
        stored = Image.Exif()
        stored.load(image.exif)
        self.assertEqual(stored.get(0x0112, 1), 1)
        self.assertEqual(stored[0x010F], "a maker")
        again = images.encode(image.pixels, "PNG", exif=image.exif)
        np.testing.assert_array_equal(images.load_bytes(again).pixels, expected)

    @parameterized.parameters("HEIF", "JXL")
    def test_decoders_that_turn_are_not_repeated(self, format_name):
        self.need(format_name)
        data = images.encode(PIXELS, format_name, exif=exif_block(6))
        image = images.load_bytes(data)
        expected = {
            # The plug-in stores the rotation in the file's own way.
            "HEIF": np.rot90(PIXELS, -1),
            # Here only the code stream's own orientation counts.
            "JXL": PIXELS,
        }[format_name]
        np.testing.assert_array_equal(image.pixels, expected)
        self.assertEqual(image.exif, exif_block(1))

    def test_jpeg_inside_jpeg_xl_is_turned(self):
        self.need("JXL")
        import pillow_jxl  # noqa: F401

        path = self.saved_file(
            "x.jpg",
            saved(Image.fromarray(PIXELS), "JPEG", exif=EXIF_PREFIX + exif_block(6)),
        )
        with warnings.catch_warnings(), Image.open(path) as jpeg:
            warnings.simplefilter("ignore")
            data = saved(jpeg, "JXL", lossless_jpeg=True)
        np.testing.assert_array_equal(images.load_bytes(data).pixels, images.read(path))

    @parameterized.parameters("<", ">")
    def test_only_the_orientation_changes(self, order):
        mark = b"II*\0" if order == "<" else b"MM\0*"
        entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, 6, 0)
        other = struct.pack(order + "HHII", 0x9999, 4, 1, 77)
        block = mark + struct.pack(order + "IH", 8, 2) + entry + other + b"\0\0\0\0tail"
        image = images.load_bytes(
            saved(Image.fromarray(PIXELS), "JPEG", exif=EXIF_PREFIX + block)
        )
        self.assertEqual(image.pixels.shape, (29, 20, 3))
        place = block.index(entry) + 8
        expected = block[:place] + struct.pack(order + "H", 1) + block[place + 2 :]
        self.assertEqual(image.exif, expected)

    @parameterized.parameters(
        b"", b"II*\0", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff", b"nothing"
    )
    def test_broken_exif_is_no_reason_to_refuse(self, block):
        data = saved(Image.fromarray(PIXELS), "PNG", exif=block or b"x")
        np.testing.assert_array_equal(images.load_bytes(data).pixels, PIXELS)

    def test_no_exif(self):
        image = images.load_bytes(images.encode(PIXELS, "JPEG"))
        self.assertIsNone(image.exif)


class FramesTest(ImagesTestCase):
    frames = tuple(Image.fromarray(smooth_image(20, 28, seed)) for seed in range(3))

    @parameterized.parameters(
        ("GIF", "frames"),
        ("WEBP", "frames"),
        ("PNG", "frames"),
        ("AVIF", "frames"),
        ("TIFF", "images"),
    )
    def test_first_frame_is_taken_and_said(self, format_name, word):
        data = saved(
            self.frames[0], format_name, save_all=True, append_images=self.frames[1:]
        )
        with Image.open(io.BytesIO(data)) as oracle:
            expected = np.asarray(oracle.convert("RGB"))
        image = images.load_bytes(data)
        np.testing.assert_array_equal(image.pixels, expected)
        self.assertEqual(image.notes, (f"first of 3 {word} only",))

    def test_frames_of_a_large_gif_are_not_counted(self):
        data = saved(
            self.frames[0], "GIF", save_all=True, append_images=self.frames[1:]
        )
        image = images.load_bytes(data + bytes(2**24))
        self.assertEqual(image.notes, ("first frame only",))


class WrongInputTest(ImagesTestCase):
    def test_missing_file(self):
        self.assert_refused(errors.SemCompError, "No such file", self.folder / "x.png")

    def test_directory(self):
        self.assert_refused(errors.SemCompError, "[Dd]irectory", self.folder)

    def test_unreadable_file(self):
        path = self.saved_file("x.png", images.encode(PIXELS, "PNG"))
        refusal = PermissionError(errno.EACCES, "Permission denied")
        with mock.patch("builtins.open", side_effect=refusal):
            self.assert_refused(errors.SemCompError, "Permission denied", path)

    def test_empty_file(self):
        self.assert_refused(
            errors.BitstreamError, "is empty", self.saved_file("x.jpg", b"")
        )

    @parameterized.parameters(
        b"this is text\n" * 50, b"\0" * 1000, b"%PDF-1.7\n", b"8BPS\0\1", b"P6 1 1 255 "
    )
    def test_other_content_named_jpg(self, data):
        self.assert_refused(
            errors.BitstreamError,
            "no image in a format",
            self.saved_file("x.jpg", data),
        )

    def test_streams_are_told_apart(self):
        header = bitstream.Header("rnn", bytes(4), 8, 8)
        data = bitstream.write(header, [bitstream.Chunk("codes", b"")])
        self.assert_refused(
            errors.BitstreamError, "decompress it first", self.saved_file("x.png", data)
        )

    def test_endless_devices_are_not_read(self):
        if not os.path.exists("/dev/zero"):
            self.skipTest("no /dev/zero here")
        self.assert_refused(errors.BitstreamError, "no image", "/dev/zero")

    def test_oversized_files(self):
        path = self.saved_file("x.png", images.encode(PIXELS, "PNG"))
        with mock.patch.object(images, "_MAX_FILE_BYTES", 600):
            self.assert_refused(errors.LimitError, "larger than", path)

    @parameterized.parameters(*FORMATS)
    def test_truncated_files(self, format_name):
        self.need(format_name)
        # Four samples a row: BMP pads others, and can miss its last bytes without loss.
        data = images.encode(PIXELS[:, :28], format_name)
        cuts = np.unique(np.linspace(1, len(data) - 1, 120).astype(int))
        for cut in (*cuts, *range(len(data) - 20, len(data))):
            with self.assertRaises(errors.BitstreamError):
                images.load_bytes(data[:cut])

    @parameterized.parameters(False, True)
    def test_jpeg_cut_at_every_byte(self, progressive):
        data = images.encode(PIXELS, "JPEG", quality=60, progressive=progressive)
        for cut in range(len(data)):
            with self.assertRaisesRegex(errors.BitstreamError, "`x.jpg`"):
                images.load_bytes(data[:cut], name="x.jpg")

    def test_damaged_png_is_found(self):
        data = bytearray(images.encode(noise_image(20, 20), "PNG"))
        data[len(data) // 2] ^= 1
        self.assert_refused(
            errors.BitstreamError, "checksum", self.saved_file("x.png", data)
        )

    def test_names_with_line_breaks_stay_on_one_line(self):
        with self.assertRaises(errors.BitstreamError) as caught:
            images.load(self.saved_file("a\nb.png", b""))
        self.assertNotIn("\n", str(caught.exception))

    @parameterized.parameters("HEIF", "JXL")
    def test_missing_package(self, format_name):
        self.need(format_name)
        data = images.encode(PIXELS, format_name)
        gone = {
            name: None
            for name in sys.modules
            if name.partition(".")[0] == PACKAGES[format_name]
        }
        install = r"pip install 'tfsemcomp\[bench\]'"
        with mock.patch.dict(sys.modules, {PACKAGES[format_name]: None, **gone}):
            with self.assertRaisesRegex(errors.UnavailableError, install):
                images.load_bytes(data)
            with self.assertRaisesRegex(errors.UnavailableError, install):
                images.encode(PIXELS, format_name)

    def test_out_of_memory(self):
        data = images.encode(PIXELS, "PNG")
        with (
            mock.patch.object(Image.core, "new", side_effect=MemoryError),
            self.assertRaisesRegex(errors.LimitError, "not enough memory"),
        ):
            images.load_bytes(data)

    @parameterized.parameters("text", None, 5)
    def test_data_is_checked(self, data):
        with self.assertRaisesRegex(ValueError, "`data` must be bytes"):
            images.load_bytes(data)


class BombTest(ImagesTestCase):
    @parameterized.parameters(*FORMATS, "GIF")
    def test_size_is_checked_before_pixels(self, format_name):
        self.need(format_name)
        image = Image.fromarray(PIXELS)
        if format_name == "GIF":
            data = saved(image, "GIF")
        else:
            data = images.encode(PIXELS, format_name)
        small = bitstream.Limits(pixels=20 * 29 - 1)
        never = AssertionError("pixels were decoded")
        with (
            mock.patch.object(Image.core, "new", side_effect=never),
            mock.patch.object(Image.Image, "frombytes", side_effect=never),
            self.assertRaisesRegex(errors.LimitError, "29x20"),
        ):
            images.load_bytes(data, limits=small)
        images.load_bytes(data, limits=bitstream.Limits(pixels=20 * 29, side=29))
        with self.assertRaises(errors.LimitError):
            images.load_bytes(data, limits=bitstream.Limits(side=28))

    def bombs(self) -> dict[str, bytes]:
        """Files of some hundred bytes that declare 30000x30000 pixels or more."""
        side = 30000
        small = {name: images.encode(PIXELS, name) for name in ("JPEG", "BMP", "TIFF")}
        jpeg = bytearray(small["JPEG"])
        struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, side, side)
        bmp = bytearray(small["BMP"])
        struct.pack_into("<ii", bmp, 18, side, side)
        gif = bytearray(saved(Image.fromarray(PIXELS), "GIF"))
        struct.pack_into("<HH", gif, 6, side, side)
        webp = bytearray(images.encode(PIXELS, "WEBP"))
        struct.pack_into("<I", webp, 21, (16382 << 14) | 16382)
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        chunk = b"IHDR" + header
        flat = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
        flat += struct.pack(">I", zlib.crc32(chunk)) + png(PIXELS, 8, 2)[33:]
        tags = tiff(np.zeros((2, 2), np.uint8))
        tags = tags.replace(
            struct.pack("<HHII", 256, 4, 1, 2),
            struct.pack("<HHII", 256, 4, 1, side),
        ).replace(
            struct.pack("<HHII", 257, 4, 1, 2),
            struct.pack("<HHII", 257, 4, 1, side),
        )
        jxl = b"\xff\x0a" + (0 | 3 << 1 | (2**30 - 1) << 3 | 1 << 33).to_bytes(
            8, "little"
        )
        return {
            "JPEG": bytes(jpeg),
            "BMP": bytes(bmp),
            "GIF": bytes(gif),
            "WEBP": bytes(webp),
            "PNG": flat,
            "TIFF": tags,
            "JXL": jxl,
        }

    def test_huge_declarations_cost_nothing(self):
        limits = bitstream.Limits(pixels=2**27)
        for format_name, data in self.bombs().items():
            if format_name == "JXL":
                self.need("JXL")
            with self.subTest(format_name):
                tracemalloc.start()
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    with self.assertRaises(errors.LimitError):
                        images.load_bytes(data, limits=limits)
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                self.assertLess(peak, 2**20)

    def test_jpegs_with_endless_scans(self):
        data = images.encode(PIXELS, "JPEG", progressive=True)
        end = data.rindex(b"\xff\xda")
        scan = data[end:-2]
        with self.assertRaisesRegex(errors.LimitError, "256 scans"):
            images.load_bytes(data[:end] + scan * 300 + data[-2:])

    @parameterized.parameters("PNG", "WEBP", "TIFF", "GIF", "JXL", "BMP")
    def test_pillows_own_limit_does_not_fire(self, format_name):
        self.need(format_name)
        image = Image.fromarray(PIXELS)
        data = (
            saved(image, "GIF")
            if format_name == "GIF"
            else images.encode(PIXELS, format_name)
        )
        for limit in (100, 400):
            with (
                mock.patch.object(Image, "MAX_IMAGE_PIXELS", limit),
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("error")
                self.assertEqual(images.load_bytes(data).pixels.shape, PIXELS.shape)
                self.assertEqual(Image.MAX_IMAGE_PIXELS, limit)


class ProcessStateTest(ImagesTestCase):
    def test_threads_leave_pillow_and_warnings_alone(self):
        files = [
            images.encode(PIXELS, name) for name in ("PNG", "TIFF", "JPEG", "WEBP")
        ]
        files += [data[:300] for data in files]
        before = list(warnings.filters)
        failures = []

        def work(number: int) -> None:
            for turn in range(30):
                data = files[(number + turn) % len(files)]
                try:
                    pixels = images.load_bytes(data).pixels
                    failures.extend([data] * (pixels.shape != PIXELS.shape))
                except errors.BitstreamError:
                    failures.extend([data] * (len(data) != 300))

        with mock.patch.object(Image, "MAX_IMAGE_PIXELS", 500):
            threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(Image.MAX_IMAGE_PIXELS, 500)
        self.assertEmpty(failures)
        self.assertEqual(warnings.filters, before)

    def test_nothing_is_printed(self):
        exif = exif_block(6)[:30]
        data = saved(Image.fromarray(PIXELS), "TIFF")
        damaged = bytearray(data)
        damaged[-30:] = b"\xff" * 30
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for content in (bytes(damaged), data[:-10]):
                with contextlib.suppress(errors.SemCompError):
                    images.load_bytes(content)
            images.load_bytes(saved(Image.fromarray(PIXELS), "PNG", exif=exif))


class GarbageTest(ImagesTestCase):
    """Any bytes give an image or a typed error of one line."""

    def mutations(self, data: bytes, count: int, seed: int):
        rng = np.random.default_rng(seed)
        for _ in range(count):
            damaged = bytearray(data)
            kind, size = rng.integers(5), len(data)
            if kind == 0:
                damaged = damaged[: rng.integers(size)]
            elif kind == 1:
                for place in rng.integers(size, size=3):
                    damaged[place] ^= 1 << rng.integers(8)
            elif kind == 2:
                for place in rng.integers(min(size, 128), size=4):
                    damaged[place] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
            elif kind == 3:
                first, last = np.sort(rng.integers(size, size=2))
                del damaged[first:last]
            else:
                place = int(rng.integers(size))
                damaged[place:place] = rng.bytes(rng.integers(1, 40))
            yield bytes(damaged)

    @parameterized.parameters(
        *(("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {})),
        *(("WEBP", {"quality": 50}), ("TIFF", {}), ("TIFF", {"compression": "raw"})),
        *(("BMP", {}), ("AVIF", {"quality": 50}), ("HEIF", {"quality": 50})),
        *(("JXL", {}), ("JXL", {"quality": 50}), ("JPEG2000", {})),
        ("JPEG2000", {"quality": 50, "no_jp2": True}),
    )
    def test_mutated_files(self, format_name, options):
        self.need(format_name)
        metadata = {"exif": exif_block(6), "icc": srgb_profile()}
        data = images.encode(PIXELS, format_name, **metadata, **options)
        self.check_all(self.mutations(data, 300, seed=len(data)))

    def test_mutated_animations(self):
        frames = [Image.fromarray(smooth_image(20, 28, seed)) for seed in range(3)]
        for format_name in ("GIF", "WEBP", "PNG", "TIFF"):
            data = saved(
                frames[0], format_name, save_all=True, append_images=frames[1:]
            )
            self.check_all(self.mutations(data, 150, seed=len(data)))

    def test_magic_bytes_with_noise(self):
        rng = np.random.default_rng(3)
        for format_name in FORMATS:
            self.need(format_name)
            magic = images.encode(PIXELS, format_name)[:16]
            for keep in (4, 8, 12, 16):
                self.check_all(
                    magic[:keep] + rng.bytes(size) for size in (0, 5, 50, 500)
                )

    def check_all(self, files) -> None:
        limits = bitstream.Limits(pixels=2**20)
        for data in files:
            try:
                image = images.load_bytes(data, limits=limits)
                images.check_pixels(image.pixels)
            except errors.SemCompError as error:
                self.assertNotIn("\n", str(error))
                self.assertIsInstance(error, (errors.BitstreamError, errors.LimitError))


class AtomicWriteTest(ImagesTestCase):
    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def test_new_file_has_the_bits_of_the_umask(self):
        path = self.folder / "x.bin"
        old = os.umask(0o027)
        try:
            images.write_atomic(path, b"data")
        finally:
            os.umask(old)
        self.assertEqual(path.read_bytes(), b"data")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o640)
        self.assertEqual(self.names(), ["x.bin"])

    def test_replaced_file_keeps_its_bits(self):
        path = self.saved_file("x.bin", b"old")
        path.chmod(0o751)
        images.write_atomic(path, b"new")
        self.assertEqual(path.read_bytes(), b"new")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o751)

    def test_links_stay_links(self):
        (self.folder / "sub").mkdir()
        target = self.folder / "sub" / "target"
        target.write_bytes(b"old")
        link = self.folder / "link"
        link.symlink_to(target)
        images.write_atomic(link, b"new")
        self.assertTrue(link.is_symlink())
        self.assertEqual(target.read_bytes(), b"new")

    def test_bytes_are_on_the_disk_before_the_name(self):
        steps = []
        replace, fsync = os.replace, os.fsync

        def note_fsync(descriptor):
            kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
            steps.append(f"sync {kind}")
            fsync(descriptor)

        def note_replace(*names):
            steps.append("rename")
            replace(*names)

        with (
            mock.patch.object(os, "fsync", note_fsync),
            mock.patch.object(os, "replace", note_replace),
        ):
            images.write_atomic(self.folder / "x", b"data")
        self.assertEqual(steps, ["sync file", "rename", "sync folder"])

    @parameterized.product(
        step=("open", "fsync", "replace", "chmod"),
        failure=(
            OSError(errno.ENOSPC, "No space left on device"),
            PermissionError(errno.EACCES, "Permission denied"),
        ),
    )
    def test_failures_leave_the_old_file_and_nothing_else(self, step, failure):
        path = self.saved_file("x.png", b"old")
        message = f"cannot write `{path}`: {failure.strerror}"
        with (
            mock.patch.object(os, step, side_effect=failure),
            self.assertRaisesRegex(errors.SemCompError, message) as caught,
        ):
            images.write(path, PIXELS)
        self.assertNotIn("\n", str(caught.exception))
        self.assertEqual(path.read_bytes(), b"old")
        self.assertEqual(self.names(), ["x.png"])

    @parameterized.parameters("fsync", "replace", "open")
    def test_interrupts_pass_and_leave_nothing(self, step):
        path = self.folder / "x.png"
        with (
            mock.patch.object(os, step, side_effect=KeyboardInterrupt),
            self.assertRaises(KeyboardInterrupt),
        ):
            images.write(path, PIXELS)
        self.assertEqual(self.names(), [])

    def test_interrupt_in_the_middle_of_the_bytes(self):
        path = self.saved_file("x.bin", b"old")

        class Interrupting(io.FileIO):
            def write(self, data):
                super().write(bytes(data)[:3])
                raise KeyboardInterrupt

        with (
            mock.patch("builtins.open", Interrupting),
            self.assertRaises(KeyboardInterrupt),
        ):
            images.write_atomic(path, b"something new")
        self.assertEqual(path.read_bytes(), b"old")
        self.assertEqual(self.names(), ["x.bin"])

    def test_full_device(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full here")
        with self.assertRaisesRegex(errors.SemCompError, "No space left"):
            images.write_atomic("/dev/full", b"data")
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/full").st_mode))

    def test_devices_and_pipes_are_written_to(self):
        images.write_atomic(os.devnull, b"data")
        self.assertTrue(stat.S_ISCHR(os.stat(os.devnull).st_mode))

    def test_folders_and_missing_folders(self):
        with self.assertRaisesRegex(errors.SemCompError, "Is a directory"):
            images.write_atomic(self.folder, b"")
        with self.assertRaisesRegex(errors.SemCompError, "No such file or directory"):
            images.write_atomic(self.folder / "none" / "x.png", b"")
        with self.assertRaisesRegex(errors.SemCompError, "Not a directory"):
            images.write_atomic(self.saved_file("x", b"") / "y", b"")

    def test_protected_file_is_not_replaced(self):
        path = self.saved_file("x.png", b"old")
        with (
            mock.patch.object(os, "access", return_value=False),
            self.assertRaisesRegex(errors.SemCompError, "Permission denied"),
        ):
            images.write(path, PIXELS)
        self.assertEqual(path.read_bytes(), b"old")

    def test_protected_folder(self):
        if os.geteuid() == 0:
            self.skipTest("the superuser may write anywhere")
        self.folder.chmod(0o555)
        self.addCleanup(self.folder.chmod, 0o755)
        with self.assertRaisesRegex(errors.SemCompError, "Permission denied"):
            images.write(self.folder / "x.png", PIXELS)


class HeadersTest(ImagesTestCase):
    @parameterized.product(
        format_name=("WEBP", "JXL"),
        size=((1, 1), (8, 16), (256, 256), (257, 3), (400, 600), (1, 5000), (90, 160)),
    )
    def test_sizes_that_are_needed_before_opening(self, format_name, size):
        self.need(format_name)
        declared = {"WEBP": image_headers.webp_size, "JXL": image_headers.jxl_size}
        for quality in (None, 30):
            data = images.encode(noise_image(*size), format_name, quality=quality)
            self.assertEqual(declared[format_name](data), size[::-1])

    def test_size_of_an_extended_webp(self):
        rgba = Image.fromarray(np.dstack([PIXELS, PIXELS[..., :1]]))
        data = saved(rgba, "WEBP", exif=exif_block(1))
        self.assertEqual(data[12:16], b"VP8X")
        self.assertEqual(image_headers.webp_size(data), (29, 20))

    @parameterized.parameters((0x00, 8), (0x40, 10), (0x60, 12))
    def test_depth_of_avif(self, flags, depth):
        data = bytearray(images.encode(PIXELS, "AVIF"))
        place = data.index(b"av1C") + 6
        data[place] = data[place] & 0x9F | flags
        self.assertEqual(image_headers.bit_depth("AVIF", bytes(data)), depth)

    def test_depth_of_jpeg_2000(self):
        grey = Image.fromarray(DepthTest.deep[..., 0])
        image = images.load_bytes(saved(grey, "JPEG2000"))
        expected = grey_to_rgb(to_8_bits(DepthTest.deep[..., 0]))
        np.testing.assert_array_equal(image.pixels, expected)
        self.assertEqual(image.notes, DepthTest.note)

    @parameterized.parameters(
        (b"mif1", b"avif", "AVIF"),
        (b"avis", b"msf1", "AVIF"),
        (b"mif1", b"heic", "HEIF"),
        (b"heix", b"mif1", "HEIF"),
        (b"isom", b"avif", None),
        (b"qt  ", b"heic", None),
    )
    def test_brands(self, major, other, expected):
        box = b"\0\0\0\x18ftyp" + major + bytes(4) + b"miaf" + other
        self.assertEqual(image_headers.sniff(box), expected)


class HelpersTest(ImagesTestCase):
    def test_images_of_a_folder(self):
        for name in ("b.JPG", "a.png", "c.txt", ".hidden.png", "d.tiff"):
            self.saved_file(name, b"")
        (self.folder / "e.png").mkdir()
        paths = images.list_images(self.folder)
        self.assertEqual([path.name for path in paths], ["a.png", "b.JPG", "d.tiff"])
        for wrong in (self.folder / "none", self.folder / "a.png"):
            with self.assertRaisesRegex(errors.SemCompError, "cannot list"):
                images.list_images(wrong)

    @parameterized.parameters("x.gif", "x.txt", "x", ".png")
    def test_formats_that_cannot_be_written(self, path):
        with self.assertRaisesRegex(ValueError, "`path` must end in one of"):
            images.write(path, PIXELS)

    @parameterized.parameters(
        (None,),
        ([[1, 2, 3]],),
        (np.zeros((2, 2, 3)),),
        (np.zeros((2, 2), np.uint8),),
        (np.zeros((2, 2, 4), np.uint8),),
        (np.zeros((0, 2, 3), np.uint8),),
    )
    def test_pixels_are_checked(self, pixels):
        for call in (images.check_pixels, lambda x: images.encode(x, "PNG")):
            with self.assertRaisesRegex(ValueError, "`pixels`"):
                call(pixels)

    def test_encoder_arguments_are_checked(self):
        with self.assertRaisesRegex(ValueError, "`format`"):
            images.encode(PIXELS, "GIF")
        for quality in (0, 101, -5):
            with self.assertRaisesRegex(ValueError, "`quality`"):
                images.encode(PIXELS, "JPEG", quality=quality)

    def test_sizes_beyond_a_format(self):
        pixels = np.zeros((1, 70000, 3), np.uint8)
        for format_name in ("JPEG", "WEBP"):
            with self.assertRaisesRegex(errors.SemCompError, "cannot encode 70000x1"):
                images.encode(pixels, format_name)

    def test_reading_logs_what_was_done(self):
        path = self.saved_file("x.png", png(DepthTest.deep, 16, 6))
        # Whoever ran a command in this process has set the level of absl's logger.
        with self.assertLogs("absl", level="INFO") as logs:
            images.read(path)
        self.assertIn("16 bits", logs.output[0])


if __name__ == "__main__":
    absltest.main()
