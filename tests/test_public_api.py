"""The names that users import, and what importing them costs."""

import inspect
import json
import os
import pathlib
import subprocess
import sys
from unittest import mock

import numpy as np
from PIL import Image

import tfsemcomp
from tests import harness
from tfsemcomp import bitstream, errors, images
from tfsemcomp.codecs import base

IMAGE = harness.smooth_image(24, 32)
# Whose place in the list a codec of the test takes.
SYSTEM = "layered"
HEAVY = ("tensorflow", "numba", "matplotlib", "scipy", "skimage", "pandas")
SIGNATURES = {
    "compress": "(image, codec='msroi_jpeg', *, model=None, server=None, **settings)",
    "decompress": (
        "(data, *, layers=None, limits=None, allow_torn=False, server=None, **settings)"
    ),
    "info": "(data, *, limits=None)",
    "list_codecs": "()",
    "list_models": "()",
    "load": "(name, *, server=None)",
}


def _signature(function) -> str:
    signature = inspect.signature(function)
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
    ]
    return str(
        signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)
    )


class SnapshotTest(harness.SemCompTestCase):
    def test_names(self):
        self.assertEqual(
            sorted(tfsemcomp.__all__),
            ["StreamDecoder", "__version__", *sorted([*SIGNATURES, "errors"])],
        )
        for name in tfsemcomp.__all__:
            self.assertTrue(hasattr(tfsemcomp, name), name)

    def test_signatures(self):
        for name, expected in SIGNATURES.items():
            self.assertEqual(_signature(getattr(tfsemcomp, name)), expected, name)

    def test_errors_are_one_family(self):
        for name in (
            "BitstreamError",
            "LimitError",
            "ModelMismatchError",
            "ServerError",
            "UnavailableError",
        ):
            self.assertTrue(issubclass(getattr(errors, name), errors.SemCompError))

    def test_every_public_function_is_documented(self):
        for name in SIGNATURES:
            self.assertIn("Returns:", getattr(tfsemcomp, name).__doc__ + "Returns:")
            self.assertNotEmpty(inspect.getdoc(getattr(tfsemcomp, name)))


class ImportTest(harness.SemCompTestCase):
    def _modules_after(self, code: str) -> list[str]:
        """Heavy modules in a fresh process after some code."""
        script = (
            f"import json, sys\n{code}\n"
            f"print(json.dumps([m for m in {[*HEAVY, 'numpy']!r} if m in sys.modules]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            cwd=pathlib.Path(__file__).resolve().parents[1],
        )
        return json.loads(done.stdout.splitlines()[-1])

    def test_the_package_imports_nothing_heavy(self):
        self.assertEqual(self._modules_after("import tfsemcomp"), [])

    def test_listing_and_asking_import_nothing_heavy(self):
        path = self.folder / "a.jpg"
        images.write(path, IMAGE)
        modules = self._modules_after(
            "import tfsemcomp\n"
            "tfsemcomp.list_codecs()\n"
            f"tfsemcomp.info({str(path)!r})\n"
            f"tfsemcomp.decompress({str(path)!r})"
        )
        self.assertEqual([name for name in modules if name != "numpy"], [])


class RoundTripTest(harness.SemCompTestCase):
    def test_compress_and_decompress_by_name(self):
        for codec in ("jpeg", "webp", "jpeg2000"):
            data = tfsemcomp.compress(IMAGE, codec, quality=60)
            self.assertEqual(data, tfsemcomp.load(codec).compress(IMAGE, quality=60))
            decoded = tfsemcomp.decompress(data)
            np.testing.assert_array_equal(
                decoded, tfsemcomp.load(codec).decompress(data)
            )

    def test_the_default_codec_writes_plain_jpeg_files(self):
        data = tfsemcomp.compress(IMAGE, map="contrast", quality=50)
        self.assertEqual(tfsemcomp.info(data)["format"], "JPEG")
        self.assertEqual(tfsemcomp.decompress(data).shape, IMAGE.shape)
        np.testing.assert_array_equal(
            tfsemcomp.decompress(data), tfsemcomp.load("msroi_jpeg").decompress(data)
        )

    def test_paths_are_taken_for_images_and_data(self):
        source = self.folder / "with a blank.png"
        images.write(source, IMAGE)
        data = tfsemcomp.compress(source, "jpeg")
        self.assertEqual(data, tfsemcomp.compress(IMAGE, tfsemcomp.load("jpeg")))
        np.testing.assert_array_equal(tfsemcomp.decompress(source), IMAGE)
        np.testing.assert_array_equal(tfsemcomp.decompress(str(source)), IMAGE)

    def test_image_files_without_a_codec_are_decoded_too(self):
        for kind in ("PNG", "TIFF", "BMP"):
            data = images.encode(IMAGE, kind)
            np.testing.assert_array_equal(tfsemcomp.decompress(data), IMAGE)
            with self.assertRaisesRegex(ValueError, "`layers`"):
                tfsemcomp.decompress(data, layers=2)

    def test_limits_reach_every_decoder(self):
        limits = bitstream.Limits(side=16)
        for data in (
            tfsemcomp.compress(IMAGE, "jpeg"),
            images.encode(IMAGE, "PNG"),
        ):
            for use in (tfsemcomp.decompress, tfsemcomp.info):
                with self.assertRaises(errors.LimitError):
                    use(data, limits=limits)
        with self.assertRaises(errors.LimitError):
            tfsemcomp.compress(IMAGE, "jpeg", limits=limits)

    def test_wrong_arguments(self):
        wrong = [
            lambda: tfsemcomp.compress(IMAGE, "nope"),
            lambda: tfsemcomp.compress(IMAGE, "jpeg", quality=1000),
            lambda: tfsemcomp.compress(IMAGE, "jpeg", model="x"),
            lambda: tfsemcomp.compress(IMAGE, tfsemcomp.load("jpeg"), model="x"),
            lambda: tfsemcomp.compress([[1]], "jpeg"),
            lambda: tfsemcomp.decompress(5),
            lambda: tfsemcomp.info(None),
            lambda: tfsemcomp.load("jpeg", server="host:1"),
            lambda: tfsemcomp.compress(IMAGE, "jpeg", server="host:1"),
            lambda: tfsemcomp.compress(IMAGE, tfsemcomp.load("jpeg"), server="host:1"),
            lambda: tfsemcomp.decompress(images.encode(IMAGE, "PNG"), server="host"),
        ]
        for call in wrong:
            with self.assertRaises(ValueError):
                call()

    def test_files_that_are_none(self):
        missing = self.folder / "missing"
        empty = self.folder / "empty.jpg"
        empty.touch()
        text = self.folder / "text.jpg"
        text.write_text("hello", encoding="utf-8")
        for use in (tfsemcomp.decompress, tfsemcomp.info):
            with self.assertRaisesRegex(errors.SemCompError, "missing"):
                use(missing)
            with self.assertRaises(errors.SemCompError):
                use(self.folder)
            with self.assertRaisesRegex(errors.BitstreamError, "empty"):
                use(empty)
            with self.assertRaisesRegex(errors.BitstreamError, "text.jpg"):
                use(text)


class InfoTest(harness.SemCompTestCase):
    def test_image_files(self):
        for kind, codec in (("JPEG", "jpeg"), ("PNG", None), ("WEBP", "webp")):
            data = images.encode(IMAGE, kind)
            self.assertEqual(
                tfsemcomp.info(data),
                {
                    "format": kind,
                    "codec": codec,
                    "model": None,
                    "fingerprint": None,
                    "width": 32,
                    "height": 24,
                    "layers": 1,
                    "chunks": [{"type": "base", "layer": 0, "bytes": len(data)}],
                    "layer_bytes": [len(data)],
                    "bytes": len(data),
                    "bpp": 8 * len(data) / (32 * 24),
                },
            )

    def test_every_format_tells_its_size(self):
        shipped = {model.system for model in tfsemcomp.list_models() if model.default}
        for info in tfsemcomp.list_codecs():
            named = base.get_codec(info.name)
            runs = info.available and (not named.uses_model or info.name in shipped)
            if runs and info.name != "msroi_jpeg":
                data = tfsemcomp.compress(IMAGE, info.name)
                facts = tfsemcomp.info(data)
                size = (facts["codec"], facts["width"], facts["height"])
                self.assertEqual(size, (info.name, 32, 24))

    def test_the_size_is_that_of_the_upright_picture(self):
        exif = Image.Exif()
        exif[0x0112] = 6
        path = self.folder / "turned.jpg"
        Image.fromarray(IMAGE).save(path, exif=exif)
        facts = tfsemcomp.info(path)
        self.assertEqual((facts["height"], facts["width"]), (32, 24))
        self.assertEqual(tfsemcomp.decompress(path).shape, (32, 24, 3))

    def test_truncated_files_are_errors(self):
        for kind in ("JPEG", "PNG"):
            data = images.encode(IMAGE, kind)
            with self.assertRaises(errors.BitstreamError):
                tfsemcomp.info(data[:-3])

    def test_streams(self):
        header = bitstream.Header("layered", bytes(4), 32, 24)
        chunks = [
            bitstream.Chunk("text", b"a cat"),
            bitstream.Chunk("signal", bytes(300), layer=1),
            bitstream.Chunk("hyper", bytes(20), layer=1),
        ]
        data = bitstream.write(header, chunks)
        facts = tfsemcomp.info(data)
        self.assertEqual(facts["codec"], "layered")
        self.assertEqual(facts["layers"], 2)
        self.assertEqual(
            [(chunk["type"], chunk["layer"]) for chunk in facts["chunks"]],
            [("text", 0), ("signal", 1), ("hyper", 1)],
        )
        self.assertEqual(sum(facts["layer_bytes"]) + facts["header_bytes"], len(data))


class StreamTest(harness.SemCompTestCase):
    """Streams of a container codec that exists for the test only."""

    def setUp(self) -> None:
        super().setUp()

        class LayersCodec(base.Codec):
            name = SYSTEM
            summary = "For tests."
            suffix = ".tfsc"
            quality_range = (0, 1)
            default_quality = 1

            def _encode(self, image, quality, **settings):
                header = bitstream.Header(SYSTEM, bytes(4), *image.shape[1::-1])
                chunks = [
                    bitstream.Chunk("base", bytes(image[:1, :1].tobytes())),
                    bitstream.Chunk("signal", image.tobytes(), layer=1),
                ]
                return bitstream.write(header, chunks)

            def _decode(self, data, *, layers, limits):
                stream = bitstream.read(data, limits=limits)
                shape = (stream.header.height, stream.header.width, 3)
                chunk = stream.chunks[: layers or 2][-1]
                return np.resize(np.frombuffer(chunk.payload, np.uint8), shape)

        self.enter_context(mock.patch.dict(base._REGISTRY, {SYSTEM: LayersCodec}))

    def test_the_codec_is_found_by_the_header(self):
        data = tfsemcomp.compress(IMAGE, SYSTEM)
        np.testing.assert_array_equal(tfsemcomp.decompress(data), IMAGE)
        first = tfsemcomp.decompress(data, layers=1)
        np.testing.assert_array_equal(
            first, np.broadcast_to(IMAGE[:1, :1], first.shape)
        )

    def test_damage_and_unknown_codecs(self):
        data = tfsemcomp.compress(IMAGE, SYSTEM)
        for cut in range(4, len(data), 97):
            with self.assertRaises(errors.BitstreamError):
                tfsemcomp.decompress(data[:cut])
        with (
            mock.patch.object(base, "codec_names", return_value=["jpeg"]),
            self.assertRaisesRegex(errors.UnavailableError, SYSTEM),
        ):
            tfsemcomp.decompress(data)


class ModelTest(harness.SemCompTestCase):
    """Names of models, by a manifest of the test's own."""

    def setUp(self) -> None:
        super().setUp()
        from tfsemcomp.serving import manifest

        class NetworkCodec(base.Codec):
            name = "network"
            summary = "For tests."
            suffix = ".tfsc"
            quality_range = (0, 1)
            default_quality = 1
            uses_model = True

            def _encode(self, image, quality, **settings):
                return b""

            def _decode(self, data, *, layers, limits):
                return IMAGE

        self.enter_context(mock.patch.dict(base._REGISTRY, {"network": NetworkCodec}))
        for name, system in (("net-small", "network"), ("odd", "no_such_codec")):
            version = self.folder / name / "1"
            version.mkdir(parents=True)
            (version / "saved_model.pb").write_bytes(b"graph")
            card = {"name": name, "version": 1, "system": system}
            manifest.add(self.folder, card, default=True)
        self.enter_context(
            mock.patch.dict(os.environ, {"TFSEMCOMP_MODELS": str(self.folder)})
        )

    def test_models_are_listed_and_load_their_codec(self):
        self.assertEqual(
            [model.name for model in tfsemcomp.list_models()], ["net-small", "odd"]
        )
        codec = tfsemcomp.load("net-small", server="localhost:8500")
        self.assertEqual(codec.name, "network")
        self.assertEqual((codec.model, codec.server), ("net-small", "localhost:8500"))

    def test_a_path_of_a_model_loads_its_codec(self):
        path = self.folder / "net-small" / "1"
        self.assertEqual(tfsemcomp.load(path).name, "network")
        self.assertEqual(tfsemcomp.load(str(path)).model, str(path))

    def test_unknown_names_list_codecs_and_models(self):
        with self.assertRaisesRegex(ValueError, "nope.*jpeg.*net-small"):
            tfsemcomp.load("nope")

    def test_a_model_must_name_a_codec(self):
        with self.assertRaisesRegex(errors.SemCompError, "no_such_codec"):
            tfsemcomp.load("odd")
