"""The codecs that write standard files."""

import io
import os
import pathlib
import stat
import sys
from unittest import mock

import numpy as np
from absl.testing import parameterized
from PIL import Image

from tests import harness
from tfsemcomp import errors, images
from tfsemcomp.codecs import base, bpg
from tfsemcomp.metrics import fidelity

IMAGE = harness.smooth_image(96, 80)
# At their default qualities; well below what was measured, to survive new encoders.
FLOORS = {
    "jpeg": (1.8, 30.0),
    "webp": (1.2, 30.0),
    "jpeg2000": (2.0, 33.0),
    "avif": (1.4, 30.0),
    "heif": (2.0, 30.0),
    "jxl": (1.7, 32.0),
}


def _available(name: str) -> bool:
    return base.codec_class(name).unavailable_reason() is None


class ClassicalCodecTest(harness.SemCompTestCase):
    @parameterized.parameters(*FLOORS)
    def test_promises(self, name):
        if not _available(name):
            self.skipTest(f"{name} is not installed")
        max_bpp, min_psnr = FLOORS[name]
        self.run_codec_test(name, IMAGE, max_bpp=max_bpp, min_psnr=min_psnr)

    @parameterized.product(name=[*FLOORS], shape=[(1, 1), (2, 1), (64, 65), (300, 2)])
    def test_noise_and_flat_pictures_of_odd_sizes(self, name, shape):
        if not _available(name):
            self.skipTest(f"{name} is not installed")
        codec = base.get_codec(name)
        low, high = codec.quality_range
        for picture in (
            harness.noise_image(*shape),
            np.full((*shape, 3), 200, np.uint8),
        ):
            for quality in (low, high):
                decoded = codec.decompress(codec.compress(picture, quality=quality))
                self.assertEqual(decoded.shape, picture.shape)

    @parameterized.parameters(*FLOORS)
    def test_files_of_other_formats_are_refused(self, name):
        if not _available(name):
            self.skipTest(f"{name} is not installed")
        codec = base.get_codec(name)
        for data in (images.encode(IMAGE, "PNG"), b"", b"text", bytes(100)):
            with self.assertRaises(errors.BitstreamError):
                codec.decompress(data)
        with self.assertRaisesRegex(ValueError, "no layers"):
            codec.decompress(codec.compress(IMAGE), layers=2)

    @parameterized.parameters("jpeg", "webp", "avif", "heif", "jxl")
    def test_metadata_is_kept_on_request_only(self, name):
        if not _available(name):
            self.skipTest(f"{name} is not installed")
        codec = base.get_codec(name)
        exif = Image.Exif()
        exif[0x010E] = "a description"
        blocks = {"exif": images.image_headers.bare_exif(exif.tobytes())}
        if "icc" in [setting.name for setting in codec.settings]:
            from PIL import ImageCms

            profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
            blocks["icc"] = profile.tobytes()
        loaded = images.load_bytes(codec.compress(IMAGE, **blocks))
        self.assertIn(b"a description", loaded.exif)
        if "icc" in blocks:
            self.assertEqual(loaded.icc, blocks["icc"])
        bare = images.load_bytes(codec.compress(IMAGE))
        self.assertIsNone(bare.exif)

    @parameterized.parameters(
        ("webp", "feature"), ("heif", "package"), ("jxl", "package")
    )
    def test_a_missing_library_is_told_with_the_install_line(self, name, kind):
        codec = base.get_codec(name)
        if kind == "package":
            patch = mock.patch("importlib.util.find_spec", return_value=None)
        else:
            patch = mock.patch("PIL.features.check", return_value=False)
        with patch:
            (info,) = base.list_codecs([name])
            self.assertFalse(info.available)
            self.assertIn("pip install", info.reason)
            with self.assertRaisesRegex(errors.UnavailableError, "pip install"):
                codec.compress(IMAGE)
            with self.assertRaisesRegex(errors.UnavailableError, "pip install"):
                codec.decompress(b"\xff\xd8\xff")


class JpegTest(harness.SemCompTestCase):
    def _open(self, **settings) -> Image.Image:
        data = base.get_codec("jpeg").compress(IMAGE, **settings)
        return Image.open(io.BytesIO(data))

    @parameterized.parameters(("4:4:4", 1, 1), ("4:2:2", 2, 1), ("4:2:0", 2, 2))
    def test_subsampling(self, subsampling, horizontal, vertical):
        opened = self._open(subsampling=subsampling)
        self.assertEqual(opened.layer[0][1:3], (horizontal, vertical))

    def test_the_default_is_baseline_4_2_0(self):
        opened = self._open()
        self.assertEqual(opened.layer[0][1:3], (2, 2))
        self.assertNotIn("progressive", opened.info)
        self.assertIn("progressive", self._open(progressive=True).info)

    def test_tables_are_those_of_libjpeg_and_huffman_codes_optimal(self):
        plain = io.BytesIO()
        Image.fromarray(IMAGE).save(plain, "JPEG", quality=40, subsampling=2)
        data = base.get_codec("jpeg").compress(IMAGE, quality=40)
        expected = Image.open(plain)
        self.assertEqual(
            Image.open(io.BytesIO(data)).quantization, expected.quantization
        )
        self.assertLess(len(data), len(plain.getvalue()))
        np.testing.assert_array_equal(
            base.get_codec("jpeg").decompress(data), np.asarray(expected)
        )


class JpegXlTest(harness.SemCompTestCase):
    def test_sizes_rise_where_the_resolution_changes(self):
        if not _available("jxl"):
            self.skipTest("jxl is not installed")
        codec = base.get_codec("jxl")
        image = harness.smooth_image(160, 160)
        sizes = [len(codec.compress(image, quality=q)) for q in (10, 19.5, 20, 30)]
        self.assertEqual(sizes, sorted(sizes))


class Jpeg2000Test(harness.SemCompTestCase):
    @parameterized.parameters(20, 50, 80)
    def test_quality_states_the_psnr(self, quality):
        codec = base.get_codec("jpeg2000")
        decoded = codec.decompress(codec.compress(IMAGE, quality=quality))
        self.assertAlmostEqual(
            fidelity.psnr(IMAGE, decoded), 20 + 0.3 * quality, delta=1.0
        )

    def test_tiny_pictures_are_lossless(self):
        codec = base.get_codec("jpeg2000")
        picture = harness.noise_image(7, 9)
        np.testing.assert_array_equal(
            codec.decompress(codec.compress(picture, quality=1)), picture
        )


# A stand-in for both programs: keeps the PNG behind a true BPG header, its size growing
# as the quantiser falls; what it was called with goes to a log.
FAKE_BPG = """#!{python}
import pathlib, sys, zlib
sys.path.insert(0, {root!r})
from tests.codecs import test_classical
test_classical.fake_bpg(sys.argv)
"""


def _ue7(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))


def fake_bpg(argv: list[str]) -> None:
    """What the stand-in does."""
    program, source = pathlib.Path(argv[0]), pathlib.Path(argv[-1])
    with open(program.parent / "log", "a", encoding="utf-8") as log:
        print(program.name, *argv[1:-1], file=log)
    if program.name == "bpgenc":
        pixels = images.read(source)
        quantiser = int(argv[argv.index("-q") + 1])
        step = 1 + 2 * quantiser
        coarse = np.clip(pixels // step * step + step // 2, 0, 255).astype(np.uint8)
        picture = images.encode(coarse, "PNG")
        head = b"BPG\xfb\x30\x00" + _ue7(pixels.shape[1]) + _ue7(pixels.shape[0])
        result = head + _ue7(len(picture)) + picture
    else:
        data = source.read_bytes()
        if b"\x89PNG" not in data:
            sys.exit("bad magic\nof the picture")
        result = data[data.index(b"\x89PNG") :]
    pathlib.Path(argv[argv.index("-o") + 1]).write_bytes(result)


class BpgTest(harness.SemCompTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.programs = self.folder / "programs"
        self.programs.mkdir()
        root = str(pathlib.Path(__file__).resolve().parents[2])
        script = FAKE_BPG.format(python=sys.executable, root=root)
        self._install("bpgenc", script)
        self._install("bpgdec", script)
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        self.enter_context(mock.patch.dict(os.environ, {"PATH": path}))
        # Temporary files land where the test can see what is left of them.
        self.temporary = self.folder / "name with blanks"
        self.temporary.mkdir()
        self.enter_context(mock.patch("tempfile.tempdir", str(self.temporary)))
        self.codec = base.get_codec("bpg")

    def _install(self, name: str, script: str) -> None:
        program = self.programs / name
        program.write_text(script, encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def test_round_trip_by_the_programs(self):
        data = self.codec.compress(IMAGE, quality=51)
        np.testing.assert_array_equal(self.codec.decompress(data), IMAGE)
        self.assertEqual(bpg.bpg_size(data), (80, 96))
        self.assertEmpty(list(self.temporary.iterdir()))
        log = (self.programs / "log").read_text(encoding="utf-8").splitlines()
        self.assertStartsWith(log[0], "bpgenc -q 0 -f 420 -m 8 -o ")
        self.assertStartsWith(log[1], "bpgdec -o ")

    def test_quality_is_the_quantiser_upside_down(self):
        low = self.codec.compress(IMAGE, quality=1, subsampling="4:4:4", effort=1)
        high = self.codec.compress(IMAGE, quality=41)
        self.assertLess(len(low), len(high))
        log = (self.programs / "log").read_text(encoding="utf-8").splitlines()
        self.assertStartsWith(log[0], "bpgenc -q 50 -f 444 -m 1 -o ")
        self.assertStartsWith(log[1], "bpgenc -q 10 -f 420 -m 8 -o ")

    def test_truncated_and_foreign_data_never_reach_the_program(self):
        data = self.codec.compress(IMAGE)
        (self.programs / "log").unlink()
        for cut in (0, 3, 6, 7, 8, 20, len(data) - 1):
            with self.assertRaises(errors.BitstreamError):
                self.codec.decompress(data[:cut])
        with self.assertRaises(errors.BitstreamError):
            self.codec.decompress(images.encode(IMAGE, "PNG"))
        bomb = b"BPG\xfb\x30\x00" + _ue7(2**30) + _ue7(2**30) + _ue7(1) + b"x"
        with self.assertRaises(errors.LimitError):
            self.codec.decompress(bomb)
        self.assertFalse((self.programs / "log").exists())

    def test_what_the_program_says_is_told_in_one_line(self):
        broken = b"BPG\xfb\x30\x00" + _ue7(8) + _ue7(8) + _ue7(4) + b"abcd"
        with self.assertRaisesRegex(
            errors.BitstreamError, "bpgdec .*bad magic of the picture$"
        ):
            self.codec.decompress(broken)
        self._install("bpgenc", "#!/bin/sh\nexit 3\n")
        with self.assertRaisesRegex(errors.SemCompError, "bpgenc .*exit status 3"):
            self.codec.compress(IMAGE)
        self._install("bpgenc", "#!/bin/sh\nexit 0\n")
        with self.assertRaisesRegex(errors.SemCompError, "wrote no file"):
            self.codec.compress(IMAGE)

    def test_a_program_that_hangs_is_stopped(self):
        self._install("bpgenc", "#!/bin/sh\nexec sleep 60\n")
        self.codec.timeout = 0.2
        with self.assertRaisesRegex(errors.SemCompError, "0.2 s"):
            self.codec.compress(IMAGE)
        self.assertEmpty(list(self.temporary.iterdir()))

    def test_missing_and_broken_programs(self):
        (self.programs / "bpgdec").unlink()
        with self.assertRaisesRegex(errors.UnavailableError, "bpgdec not found.*PATH"):
            self.codec.compress(IMAGE)
        self._install("bpgdec", "no program")
        self._install("bpgenc", "#!/no/such/interpreter\n")
        with self.assertRaisesRegex(errors.UnavailableError, "cannot be run"):
            self.codec.compress(IMAGE)
