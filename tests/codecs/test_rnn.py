import contextlib
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
import tracemalloc
from unittest import mock

import numpy as np
from absl.testing import parameterized
from PIL import Image

import tfsemcomp
from tests.codecs import rnn_models
from tests.codecs.learned_codecs import (
    LearnedCodecTestCase,
    payloads_of,
    with_payloads,
)
from tests.harness import SemCompTestCase, noise_image, smooth_image
from tfsemcomp import bitstream, cli, images
from tfsemcomp.codecs import learned, rnn
from tfsemcomp.entropy import bit_contexts
from tfsemcomp.errors import (
    BitstreamError,
    LimitError,
    ModelMismatchError,
    SemCompError,
)
from tfsemcomp.metrics import fidelity, structural
from tfsemcomp.semantics import roi
from tfsemcomp.serving import runner

IMAGE = smooth_image(70, 90)
T = rnn_models.ITERATIONS


def half_flat(height: int, width: int) -> np.ndarray:
    """Grey on the left, blots on the right."""
    grain = np.random.default_rng(0).normal(size=(height, width)).astype(np.float32)
    blots = roi.blur(grain, 2)
    image = 120 + 50 * blots / blots.std()
    image[:, : width // 2] = 120
    image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return np.repeat(image[..., None], 3, axis=-1)


def stops_of(codec, data: bytes) -> np.ndarray:
    """Iterations that the cells of a file take part in."""
    parsed = codec._parse(data, None, bitstream.Limits())
    return rnn._decode_codes(parsed).any(axis=-1).sum(axis=0)


class RnnCodecTestCase(LearnedCodecTestCase):
    models = rnn_models.folder


class RnnCodecTest(RnnCodecTestCase):
    def test_keeps_a_codecs_promises(self):
        self.run_codec_test("rnn", max_bpp=0.4, min_psnr=18)

    @parameterized.parameters(*rnn_models.MODELS)
    def test_every_size_comes_back(self, name):
        codec = tfsemcomp.load(name)
        for size in ((1, 1), (15, 17), (16, 16), (1, 40), (33, 5)):
            image = smooth_image(*size)
            for adaptive in ("none", "error"):
                data = codec.compress(image, adaptive=adaptive)
                picture = codec.decompress(data)
                self.assertEqual(picture.shape, image.shape)
                np.testing.assert_array_equal(tfsemcomp.decompress(data), picture)

    @parameterized.parameters(*rnn_models.MODELS)
    def test_the_decoder_sees_what_the_encoder_saw(self, name):
        codec = tfsemcomp.load(name)
        model = rnn_models.a_model(name)
        image = smooth_image(48, 64)
        found = model(image[None].astype(np.float32))
        for quality in (1, T):
            data = codec.compress(image, quality=quality)
            parsed = codec._parse(data, None, bitstream.Limits())
            np.testing.assert_array_equal(
                rnn._decode_codes(parsed), found["codes"].numpy()[:quality, 0]
            )
            expected = np.clip(found["x_hat"][quality - 1, 0], 0, 255)
            # Another graph may sum in another order.
            difference = abs(np.rint(expected) - codec.decompress(data).astype(int))
            self.assertLessEqual(difference.max(), 1)
            self.assertLess(np.mean(difference), 1e-3)

    @parameterized.parameters(("none",), ("error",))
    def test_errors_of_cells_are_those_of_the_picture(self, adaptive):
        # So the encoder's own picture is that of the file, to the last bit.
        codec = tfsemcomp.load("dct")
        image = half_flat(64, 96)
        told = []
        call = runner.LocalRunner.call

        def spy(self, signature, **inputs):
            results = call(self, signature, **inputs)
            if signature == "analyze":
                told.append(results["errors"][0])
            return results

        with mock.patch.object(runner.LocalRunner, "call", spy):
            data = codec.compress(image, quality=3, adaptive=adaptive)
        decoded = codec.decompress(data).astype(np.float64)
        squared = ((decoded - image) ** 2).mean(axis=-1)
        cells = squared.reshape(4, 16, 6, 16).mean(axis=(1, 3))
        np.testing.assert_allclose(cells, told[-1][-1], rtol=1e-5)

    def test_files_of_every_kind_of_picture(self):
        rng = np.random.default_rng(0)
        pixels = {
            "grey": Image.fromarray(IMAGE[..., 0]),
            "rgba": Image.fromarray(np.dstack([IMAGE, IMAGE[..., 0]])),
            "deep": Image.fromarray(rng.integers(0, 65536, (20, 30)).astype(np.uint16)),
        }
        for name, image in pixels.items():
            path = self.folder / f"{name}.png"
            image.save(path)
            data = tfsemcomp.compress(path, "rnn", quality=1)
            self.assertEqual(tfsemcomp.decompress(data).shape, images.read(path).shape)

    def test_names_and_paths_find_models(self):
        data = tfsemcomp.load("rnn").compress(IMAGE, quality=3)
        info = tfsemcomp.info(data)
        self.assertEqual((info["codec"], info["model"]), ("rnn", "dct"))
        self.assertEqual(info["layers"], 3)
        self.assertEqual([chunk["type"] for chunk in info["chunks"]], ["codes"] * 3)
        self.assertEqual(sum(info["layer_bytes"]) + info["header_bytes"], len(data))
        for name in ("rnn", "dct", str(self.root / "dct" / "1")):
            codec = tfsemcomp.load(name)
            self.assertEqual(codec.quality_range, (1, T))
            self.assertEqual(codec.default_quality, 2)
            np.testing.assert_array_equal(
                codec.decompress(data), tfsemcomp.decompress(data)
            )

    def test_files_find_their_model_where_there_is_no_default(self):
        data = tfsemcomp.load("conv").compress(IMAGE)
        expected = tfsemcomp.decompress(data)
        root = self.copy_models()
        path = root / "MANIFEST.json"
        path.write_text(path.read_text().replace('"default": true', '"default": false'))
        self.use_models(root)
        np.testing.assert_array_equal(tfsemcomp.decompress(data), expected)
        with self.assertRaisesRegex(SemCompError, "no model is shipped for `rnn`"):
            tfsemcomp.compress(IMAGE, "rnn")

    def test_another_process_decodes_it(self):
        path = self.folder / "a.tfsc"
        data = tfsemcomp.compress(IMAGE, "rnn", adaptive="error", model="dial")
        path.write_bytes(data)
        target = self.folder / "a.png"
        subprocess.run(
            [sys.executable, "-m", "tfsemcomp", "decompress", path, target],
            env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"},
            check=True,
            capture_output=True,
        )
        # With other kernels, which may round a pixel the other way.
        difference = abs(images.read(target).astype(int) - tfsemcomp.decompress(data))
        self.assertLessEqual(difference.max(), 1)
        self.assertLess(np.mean(difference), 1e-3)


class LayersTest(RnnCodecTestCase):
    @parameterized.parameters("dct", "conv")
    def test_a_prefix_is_the_file_of_its_quality(self, name):
        codec = tfsemcomp.load(name)
        whole = codec.compress(IMAGE, quality=T)
        sizes, scores = [], []
        for quality in range(1, T + 1):
            data = codec.compress(IMAGE, quality=quality)
            self.assertEqual(bitstream.truncate(whole, quality), data)
            picture = codec.decompress(data)
            np.testing.assert_array_equal(
                codec.decompress(whole, layers=quality), picture
            )
            sizes.append(len(data))
            scores.append(fidelity.psnr(IMAGE, picture))
        self.assertEqual(sizes, sorted(set(sizes)))
        if name == rnn_models.DEFAULT:
            self.assertEqual(scores, sorted(set(scores)))

    def test_contexts_make_files_shorter(self):
        codec = tfsemcomp.load("dct")
        image = smooth_image(256, 256)
        data = codec.compress(image, quality=T)
        self.assertLess(len(data), T * 256 * 256 // 64)
        # The others know nothing, and cost a byte and a check more than packed bits.
        for name in ("conv", "dial"):
            payloads = payloads_of(tfsemcomp.load(name).compress(image, quality=T))
            for payload in payloads:
                self.assertLessEqual(len(payload), 256 * 256 // 64 + 5)

    @parameterized.parameters("none", "error")
    def test_cuts_are_legal_after_whole_chunks_only(self, adaptive):
        codec = tfsemcomp.load("dct")
        data = codec.compress(half_flat(40, 60), quality=3, adaptive=adaptive)
        layers = bitstream.read(data).layers
        ends = [len(bitstream.truncate(data, k)) for k in range(1, layers + 1)]
        pictures = {
            end: codec.decompress(data, layers=k) for k, end in enumerate(ends, 1)
        }
        for end in range(len(data)):
            if end in ends:
                np.testing.assert_array_equal(
                    codec.decompress(data[:end]), pictures[end]
                )
                continue
            with self.assertRaises(BitstreamError):
                codec.decompress(data[:end])
        for end in {1, *(e - 1 for e in ends), *(e + 9 for e in ends[:-1])}:
            whole = [e for e in ends if e <= end]
            if not whole:
                with self.assertRaises(BitstreamError):
                    tfsemcomp.decompress(data[:end], allow_torn=True)
                continue
            for decode in (codec.decompress, tfsemcomp.decompress):
                np.testing.assert_array_equal(
                    decode(data[:end], allow_torn=True), pictures[whole[-1]]
                )

    def test_damage_in_a_late_layer(self):
        codec = tfsemcomp.load("dct")
        data = bytearray(codec.compress(IMAGE, quality=3))
        data[-1] ^= 1
        with self.assertRaises(BitstreamError):
            codec.decompress(data)
        np.testing.assert_array_equal(
            codec.decompress(data, allow_torn=True),
            codec.decompress(codec.compress(IMAGE, quality=2)),
        )

    def test_more_layers_than_there_are(self):
        codec = tfsemcomp.load("dct")
        data = codec.compress(IMAGE, quality=2)
        np.testing.assert_array_equal(
            codec.decompress(data, layers=9), codec.decompress(data)
        )


class TargetsTest(RnnCodecTestCase):
    def count_calls(self) -> mock.Mock:
        call = runner.LocalRunner.call
        spy = mock.Mock(side_effect=call)
        patch = mock.patch.object(
            runner.LocalRunner, "call", lambda *a, **k: spy(*a, **k)
        )
        patch.start()
        self.addCleanup(patch.stop)
        return spy

    def analyses(self, spy) -> int:
        return sum(call.args[1] == "analyze" for call in spy.call_args_list)

    def test_bytes_are_a_cut_of_one_encode(self):
        codec = tfsemcomp.load("dct")
        files = [codec.compress(IMAGE, quality=q) for q in range(1, T + 1)]
        spy = self.count_calls()
        for quality, data in enumerate(files, 1):
            encoded = codec.encode(IMAGE, target_bytes=len(data) + 1)
            self.assertEqual(
                (encoded.data, encoded.quality, encoded.encodes), (data, quality, 1)
            )
        self.assertEqual(self.analyses(spy), T)

    @parameterized.parameters(
        ("target_psnr", fidelity.psnr), ("target_ms_ssim", structural.ms_ssim)
    )
    def test_scores_are_reached_by_the_lowest_quality(self, target, measure):
        codec = tfsemcomp.load("dct")
        files = [codec.compress(IMAGE, quality=q) for q in range(1, T + 1)]
        scores = [measure(IMAGE, codec.decompress(data)) for data in files]
        self.assertEqual(scores, sorted(set(scores)))
        spy = self.count_calls()
        for quality, score in enumerate(scores, 1):
            encoded = codec.encode(IMAGE, **{target: score})
            self.assertEqual(
                (encoded.data, encoded.quality, encoded.encodes),
                (files[quality - 1], quality, 1),
            )
        self.assertEqual(self.analyses(spy), T)
        self.assertEqual(codec.compress(IMAGE, **{target: 0}), files[0])
        goal = np.nextafter(scores[-1], np.inf)
        with self.assertRaisesRegex(SemCompError, f"{scores[-1]:.4f} at most"):
            codec.compress(IMAGE, **{target: goal})

    def test_adaptive_files_reach_targets(self):
        codec = tfsemcomp.load("dct")
        image = half_flat(64, 96)
        for quality in (2, 3):
            data = codec.compress(image, quality=quality, adaptive="error")
            score = fidelity.psnr(image, codec.decompress(data))
            encoded = codec.encode(image, target_psnr=score, adaptive="error")
            self.assertEqual((encoded.data, encoded.quality), (data, quality))
            encoded = codec.encode(image, target_bytes=len(data), adaptive="error")
            self.assertEqual((encoded.data, encoded.quality), (data, quality))

    def test_wrong_targets(self):
        codec = tfsemcomp.load("dct")
        for wrong in (
            {"target_psnr": -1},
            {"target_ms_ssim": 1.1},
            {"target_psnr": 30.0, "quality": 2},
            {"target_psnr": 30.0, "target_ms_ssim": 0.9},
        ):
            with self.assertRaises(ValueError):
                codec.compress(IMAGE, **wrong)


class DialTest(RnnCodecTestCase):
    def test_pictures_depend_on_it(self):
        codec = tfsemcomp.load("dial")
        decoded = []
        for weight, byte in ((0.0, 0), (0.502, 128), (1.0, 255)):
            data = codec.compress(IMAGE, machine_weight=weight)
            self.assertEqual(payloads_of(data)[0][:2], bytes([0, byte]))
            decoded.append(codec.decompress(data))
            near = codec.compress(IMAGE, machine_weight=abs(weight - 0.0015))
            self.assertEqual(near, data)
        self.assertEqual(codec.compress(IMAGE), codec.compress(IMAGE, machine_weight=0))
        self.assertFalse(np.array_equal(decoded[0], decoded[1]))
        self.assertFalse(np.array_equal(decoded[1], decoded[2]))

    def test_the_networks_get_the_byte(self):
        codec = tfsemcomp.load("dial")
        data = codec.compress(IMAGE, quality=2, machine_weight=0.3)
        model = rnn_models.a_model("dial")
        padded = learned.pad(IMAGE[None], 16).astype(np.float32)
        found = model(padded, np.float32([round(0.3 * 255) / 255]))
        expected = np.rint(np.clip(found["x_hat"][1, 0, :70, :90], 0, 255))
        difference = abs(expected - codec.decompress(data).astype(int))
        self.assertLess(np.mean(difference > 1), 1e-3)

    def test_models_without_one_refuse_it(self):
        for name, own in (("dct", "0"), ("conv-lstm", "0.5"), ("rnn", "0")):
            with self.assertRaisesRegex(ValueError, f"`machine_weight`.*for {own},"):
                tfsemcomp.load(name).compress(IMAGE, machine_weight=0.5)
        for wrong in (-0.1, 1.1, "1"):
            with self.assertRaisesRegex(ValueError, "`machine_weight`"):
                tfsemcomp.load("dial").compress(IMAGE, machine_weight=wrong)


class CommandTest(RnnCodecTestCase):
    def run_cli(self, *argv) -> dict:
        """The result of a command that succeeds."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertEqual(cli.main([str(word) for word in (*argv, "--json")]), 0)
        return json.loads(out.getvalue())

    def test_settings_are_flags(self):
        source, target = self.folder / "a.png", self.folder / "a.tfsc"
        images.write(source, IMAGE)
        for flags, settings in (
            (["--codec=rnn"], {"codec": "rnn"}),
            (
                ["--model=dial", "--machine_weight=0.4", "--quality=3"],
                {"codec": "rnn", "model": "dial", "machine_weight": 0.4, "quality": 3},
            ),
            (
                ["--codec=rnn", "--adaptive=roi", "--map=centre"],
                {"codec": "rnn", "adaptive": "roi", "map": "centre"},
            ),
            (
                ["--codec=rnn", "--target_psnr=18", "--noverify"],
                {"codec": "rnn", "target_psnr": 18.0},
            ),
        ):
            facts = self.run_cli("compress", source, target, *flags)
            self.assertEqual(facts["codec"], "rnn")
            self.assertEqual(target.read_bytes(), tfsemcomp.compress(IMAGE, **settings))

    def test_torn_streams(self):
        whole, torn = self.folder / "a.tfsc", self.folder / "torn.tfsc"
        mended, picture = self.folder / "mended.tfsc", self.folder / "a.png"
        data = tfsemcomp.compress(IMAGE, "rnn", quality=3)
        whole.write_bytes(data)
        torn.write_bytes(data[:-1])
        facts = self.run_cli("info", whole)
        self.assertLen(facts["layer_bytes"], 3)
        expected = tfsemcomp.decompress(data, layers=2)
        for source, flags in ((whole, ["--layers=2"]), (torn, ["--allow_torn"])):
            self.run_cli("decompress", source, picture, *flags)
            np.testing.assert_array_equal(images.read(picture), expected)
        self.run_cli("truncate", torn, mended, "--layers=16", "--allow_torn")
        self.assertEqual(mended.read_bytes(), bitstream.truncate(data, 2))
        picture.unlink()
        with contextlib.redirect_stderr(io.StringIO()):
            status = cli.main(["decompress", str(torn), str(picture)])
        self.assertEqual(status, 1)
        self.assertFalse(picture.exists())


class StopsTest(SemCompTestCase):
    def test_no_other_stops_are_better_at_the_price(self):
        rng = np.random.default_rng(3)
        errors = rng.gamma(1.0, 100.0, (4, 1, 2))
        for price in (0, 0.5, 2, 5, 100):
            stops = rnn.stops_at(errors, price)
            self.assertEqual(stops.dtype, np.int32)
            costs = {
                (one, two): errors[one - 1, 0, 0] ** 0.5
                + errors[two - 1, 0, 1] ** 0.5
                + price * (one + two)
                for one, two in itertools.product(range(1, 5), repeat=2)
            }
            self.assertEqual(tuple(stops[0]), min(costs, key=costs.get))

    def test_the_lowest_price_within_the_quality(self):
        rng = np.random.default_rng(3)
        prices = np.linspace(0, 50, 200)
        for seed in range(12):
            errors = rng.gamma(1.0, 100.0, (5, 4, 6)).astype(np.float32)
            if seed % 2:
                errors = np.sort(errors, axis=0)[::-1]
            if seed % 3 == 0:
                errors[:, :2] = 0
            for quality in (1, 1.5, 2, 3, 4, 5):
                found = rnn.choose_stops(errors, quality)
                self.assertLessEqual(found.mean(), quality)
                means = [rnn.stops_at(errors, price).mean() for price in prices]
                within = [mean for mean in means if mean <= quality]
                self.assertGreaterEqual(found.mean(), max(within))

    def test_quality_raises_every_stop(self):
        errors = np.random.default_rng(1).gamma(1.0, 100.0, (8, 5, 7))
        errors = np.sort(errors, axis=0)[::-1]
        before = np.zeros((5, 7))
        for quality in range(1, 9):
            stops = rnn.choose_stops(errors, quality)
            self.assertTrue((stops >= before).all())
            before = stops
        self.assertTrue((before == 8).all())
        self.assertTrue((rnn.choose_stops(errors, 1) == 1).all())

    def test_one_iteration(self):
        np.testing.assert_array_equal(
            rnn.choose_stops(np.ones((1, 2, 3)), 1), np.ones((2, 3))
        )

    def test_cells_that_are_alike_share_what_is_left(self):
        errors = np.float32([90, 50, 20, 10])[:, None, None] * np.ones((1, 3, 5))
        for quality in (1, 1.4, 2, 2.5, 3.99, 4):
            stops = rnn.choose_stops(errors, quality)
            # One more would be a whole step of the hull too many.
            self.assertBetween(stops.sum(), 15 * quality - 3, 15 * quality)

    def test_nothing_to_gain(self):
        for value in (0, 7):
            stops = rnn.choose_stops(np.full((4, 2, 3), value, np.float32), 3)
            self.assertTrue((stops == 1).all())

    def test_weights_of_maps(self):
        maps = np.zeros((1, 16, 48), np.float32)
        maps[:, :, 16:32] = 1
        maps[:, :8, 32:] = 1
        np.testing.assert_allclose(rnn.roi_weights(maps, 16), [[[0.25, 4, 1]]])
        # Padded by mirroring, as the picture.
        np.testing.assert_allclose(rnn.roi_weights(maps[:, :, :31], 16), [[[0.25, 4]]])
        errors = np.float32([40, 20, 10, 5])[:, None, None] * np.ones((1, 3))
        stops = rnn.choose_stops(errors * rnn.roi_weights(maps, 16), 2)
        self.assertGreater(stops[0, 1], stops[0, 2])
        self.assertGreaterEqual(stops[0, 2], stops[0, 0])


class AdaptiveTest(RnnCodecTestCase):
    def test_bits_go_where_errors_are(self):
        codec = tfsemcomp.load("dct")
        image = half_flat(96, 128)
        files = [codec.compress(image, quality=q) for q in range(1, T + 1)]
        sizes = [len(data) for data in files]
        scores = [fidelity.psnr(image, codec.decompress(data)) for data in files]
        for quality in (2, 3):
            data = codec.compress(image, quality=quality, adaptive="error")
            self.assertEqual(payloads_of(data)[0][0], 1)
            stops = stops_of(codec, data)
            self.assertBetween(stops.mean(), quality - 0.05, quality)
            self.assertLess(stops[:, :4].mean(), stops[:, 4:].mean() - 0.5)
            # The continue bits of a few cells count here; better at equal bytes.
            self.assertLess(len(data), 1.1 * sizes[quality - 1])
            score = fidelity.psnr(image, codec.decompress(data))
            self.assertGreater(score, np.interp(len(data), sizes, scores) + 0.2)

    def test_quality_counts(self):
        codec = tfsemcomp.load("dct")
        image = half_flat(96, 128)
        files = [
            codec.compress(image, quality=q, adaptive="error") for q in range(1, T + 1)
        ]
        sizes = [len(data) for data in files]
        self.assertEqual(sizes, sorted(set(sizes)))
        # All cells take part once, as in the uniform file.
        np.testing.assert_array_equal(
            codec.decompress(files[0]),
            codec.decompress(codec.compress(image, quality=1)),
        )

    def test_maps_move_bits(self):
        codec = tfsemcomp.load("dct")
        image = smooth_image(96, 128)
        right_half = np.zeros((96, 128), np.float32)
        right_half[:, 64:] = 1
        path = self.folder / "map.npy"
        np.save(path, right_half)
        right = codec.compress(image, adaptive="roi", map=right_half)
        self.assertEqual(codec.compress(image, adaptive="roi", map=str(path)), right)
        left = codec.compress(image, adaptive="roi", map=1 - right_half)
        stops = stops_of(codec, right)
        self.assertGreater(stops[:, 4:].mean(), stops[:, :4].mean() + 0.5)
        stops = stops_of(codec, left)
        self.assertGreater(stops[:, :4].mean(), stops[:, 4:].mean() + 0.5)
        flat = codec.compress(image, adaptive="roi", map="uniform")
        self.assertEqual(flat, codec.compress(image, adaptive="error"))

    def test_wrong_maps(self):
        codec = tfsemcomp.load("dct")
        for wrong in ({"adaptive": "error"}, {}):
            with self.assertRaisesRegex(ValueError, "`map` is of `adaptive` roi"):
                codec.compress(IMAGE, map="centre", **wrong)
        with self.assertRaisesRegex(ValueError, "`map`"):
            codec.compress(IMAGE, adaptive="roi", map=np.zeros((3, 3)))
        with self.assertRaisesRegex(SemCompError, "nope"):
            codec.compress(IMAGE, adaptive="roi", map="nope.png")
        with self.assertRaisesRegex(ValueError, "`adaptive`"):
            codec.compress(IMAGE, adaptive="sometimes")


class BatchTest(RnnCodecTestCase):
    @parameterized.parameters(
        ("dct", {"adaptive": "error"}),
        ("dial", {"machine_weight": 0.7}),
        ("conv", {"adaptive": "roi", "map": "centre"}),
        ("conv-lstm", {}),
    )
    def test_batches_are_what_single_calls_give(self, name, settings):
        codec = tfsemcomp.load(name)
        pictures = [smooth_image(40, 50, seed) for seed in range(3)]
        files = codec.compress_batch(pictures, quality=2, **settings)
        layers = {bitstream.read(data).layers for data in files}
        groups = [
            [data for data in files if bitstream.read(data).layers == count]
            for count in layers
        ]
        for group in groups:
            decoded = codec.decompress_batch(group)
            for data, picture in zip(group, decoded, strict=True):
                alone = codec.decompress(data).astype(int)
                # Sums in another order may round a pixel the other way.
                self.assertLessEqual(abs(alone - picture).max(), 1)
                self.assertLess(np.mean(alone != picture), 1e-3)
        for picture, data in zip(pictures, files, strict=True):
            alone = codec.compress(picture, quality=2, **settings)
            self.assertAlmostEqual(len(data), len(alone), delta=8)
        self.assertLen(set(files), 3)

    def test_one_batch_of_several_dials(self):
        codec = tfsemcomp.load("dial")
        files = [codec.compress(IMAGE, machine_weight=w) for w in (0, 1)]
        for data, picture in zip(files, codec.decompress_batch(files), strict=True):
            alone = codec.decompress(data).astype(int)
            self.assertLess(np.mean(alone != picture), 1e-3)

    def test_wrong_batches(self):
        codec = tfsemcomp.load("dct")
        for batch in ([], [IMAGE, IMAGE[1:]], [IMAGE.astype(float)], [IMAGE[..., 0]]):
            with self.assertRaises(ValueError):
                codec.compress_batch(batch)
        for settings in (
            {"quality": 9},
            {"quality": 1.5},
            {"verify": 1},
            {"target_psnr": 30.0},
            {"target_bytes": 900},
        ):
            with self.assertRaises(ValueError):
                codec.compress_batch([IMAGE], **settings)
        one, two = (codec.compress(IMAGE, quality=quality) for quality in (1, 2))
        small = codec.compress(IMAGE[1:], quality=1)
        for data in ([], [one, two], [one, small]):
            with self.assertRaisesRegex(ValueError, "`data`"):
                codec.decompress_batch(data)


class VerifyTest(RnnCodecTestCase):
    @parameterized.parameters("none", "error")
    def test_a_broken_coder_is_caught(self, adaptive):
        codec = tfsemcomp.load("dct")
        real = bit_contexts.encode

        def broken(*args):
            first, second, *rest = real(*args)
            return [first, bytes([second[0] ^ 1]) + second[1:], *rest]

        with mock.patch.object(bit_contexts, "encode", broken):
            with self.assertRaisesRegex(SemCompError, "did not decode"):
                codec.compress(half_flat(64, 64), quality=3, adaptive=adaptive)
            with self.assertRaisesRegex(SemCompError, "did not decode"):
                codec.compress_batch([IMAGE, IMAGE])
            data = codec.compress(IMAGE, verify=False)
        with self.assertRaises(BitstreamError):
            codec.decompress(data)

    def test_verify_changes_no_byte(self):
        codec = tfsemcomp.load("dct")
        self.assertEqual(codec.compress(IMAGE, verify=False), codec.compress(IMAGE))


class WrongModelTest(RnnCodecTestCase):
    def test_streams_find_their_model(self):
        data = tfsemcomp.load("conv").compress(IMAGE)
        with self.assertRaisesRegex(ModelMismatchError, "`dct` has"):
            tfsemcomp.load("dct").decompress(data)
        other = with_payloads(data, payloads_of(data), fingerprint=b"\1\2\3\4")
        for name in ("rnn", "conv"):
            with self.assertRaisesRegex(ModelMismatchError, "01020304"):
                tfsemcomp.load(name).decompress(other)

    @parameterized.parameters("saved_model.pb", "contexts.npz")
    def test_one_changed_file_is_found(self, file):
        data = tfsemcomp.load("conv").compress(IMAGE)
        path = self.change_copy("conv", file)
        with self.assertRaises(ModelMismatchError):
            tfsemcomp.load(str(path)).decompress(data)
        self.use_models(path.parents[1])
        with self.assertRaises(ModelMismatchError):
            tfsemcomp.load("conv").decompress(data)

    def test_cards_and_contexts_that_do_not_fit(self):
        card = (self.root / "conv" / "card.json").read_text()
        wrong = {
            "empty": "{}",
            "text": '{"codes": {"stride": "x"}}',
            "list": '{"codes": []}',
        }
        for name, text in wrong.items():
            shutil.copytree(self.root / "conv", self.folder / name)
            (self.folder / name / "card.json").write_text(text)
            with self.assertRaisesRegex(ModelMismatchError, "card.json"):
                rnn.RnnCodec(model=str(self.folder / name / "1"))
        folder = self.folder / "other"
        shutil.copytree(self.root / "conv", folder)
        text = card.replace('"iterations": 4', '"iterations": 5')
        (folder / "card.json").write_text(text)
        codec = rnn.RnnCodec(model=str(folder / "1"))
        with self.assertRaisesRegex(ModelMismatchError, "5 of 32"):
            codec.compress(IMAGE)


class DamageTest(RnnCodecTestCase):
    """Whatever the payloads hold, with CRCs in order: an error, no wrong picture."""

    def setUp(self):
        super().setUp()
        self.codec = tfsemcomp.load("dct")
        self.image = half_flat(64, 80)

    @parameterized.parameters("none", "error")
    def test_flipped_bits(self, adaptive):
        data = self.codec.compress(self.image, quality=3, adaptive=adaptive)
        payloads = payloads_of(data)
        rng = np.random.default_rng(0)
        for trial in range(150):
            layer = int(rng.integers(len(payloads)))
            damaged = bytearray(payloads[layer])
            place = trial % 32 if trial < 64 else int(rng.integers(8 * len(damaged)))
            damaged[place // 8] ^= 1 << place % 8
            changed = [*payloads]
            changed[layer] = bytes(damaged)
            at = self.subTest(layer=layer, bit=place)
            with at, self.assertRaises(BitstreamError):
                self.codec.decompress(with_payloads(data, changed))

    @parameterized.parameters("none", "error")
    def test_foreign_payloads(self, adaptive):
        data = self.codec.compress(self.image, quality=3, adaptive=adaptive)
        payloads = payloads_of(data)
        other = payloads_of(self.codec.compress(noise_image(64, 80), quality=T))
        rng = np.random.default_rng(1)
        foreign = {
            "empty": b"",
            "one byte": b"\0",
            "two bytes": b"\0\0",
            "three bytes": b"\0\0\0",
            "zeros": bytes(300),
            "ones": b"\xff" * 300,
            **{f"random {i}": rng.bytes(int(rng.integers(1, 900))) for i in range(60)},
        }
        for layer, own in enumerate(payloads):
            cases = {
                **foreign,
                "cut": own[:-1],
                "longer": own + b"\1",
                "turned": own[::-1],
                "spliced": own[: len(own) // 2] + other[layer][len(own) // 2 :],
            }
            for what, wrong in cases.items():
                changed = [*payloads]
                changed[layer] = wrong
                at = self.subTest(what, layer=layer)
                with at, self.assertRaises(BitstreamError):
                    self.codec.decompress(with_payloads(data, changed))

    def test_bytes_anywhere(self):
        data = self.codec.compress(self.image, quality=3)
        rng = np.random.default_rng(2)
        for _ in range(200):
            damaged = bytearray(data)
            for place in rng.integers(0, len(data), int(rng.integers(1, 4))):
                damaged[place] ^= int(rng.integers(1, 256))
            with self.assertRaises(SemCompError):
                self.codec.decompress(bytes(damaged))

    def test_other_sizes(self):
        data = self.codec.compress(self.image)
        for size in ((80, 640), (30, 30), (800, 64), (80, 65)):
            wrong = with_payloads(
                data, payloads_of(data), width=size[0], height=size[1]
            )
            with self.subTest(size=size), self.assertRaises(BitstreamError):
                self.codec.decompress(wrong)

    def test_other_chunks(self):
        stream = bitstream.read(self.codec.compress(self.image, quality=2))
        first, second = stream.chunks
        for chunks in (
            [first, first],
            [second],
            [first, bitstream.Chunk("codes", second.payload, 2)],
            [bitstream.Chunk("signal", first.payload)],
            [bitstream.Chunk("meta", b""), first],
            [first, second, bitstream.Chunk("text", b"", 1)],
        ):
            with self.assertRaisesRegex(BitstreamError, "one chunk `codes`"):
                self.codec.decompress(bitstream.write(stream.header, chunks))
        data = self.codec.compress(self.image, quality=T)
        payloads = payloads_of(data)
        with self.assertRaisesRegex(BitstreamError, "5 layers, its model 4"):
            self.codec.decompress(with_payloads(data, [*payloads, payloads[-1]]))
        with self.assertRaisesRegex(BitstreamError, "of codec hyperprior"):
            self.codec.decompress(with_payloads(data, payloads, codec="hyperprior"))

    def test_unknown_flags(self):
        data = self.codec.compress(self.image)
        first, *rest = payloads_of(data)
        with self.assertRaisesRegex(BitstreamError, "flags 0x82.*newer"):
            self.codec.decompress(with_payloads(data, [b"\x82" + first[1:], *rest]))


class DeclaredSizeTest(RnnCodecTestCase):
    def test_few_bytes_claim_no_large_picture(self):
        codec = tfsemcomp.load("dct")
        data = codec.compress(smooth_image(64, 64))
        codec.decompress(data)
        bomb = with_payloads(
            data, [payloads_of(data)[0][:30]], width=30000, height=8000
        )
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        start = time.monotonic()
        with self.assertRaisesRegex(
            BitstreamError, "30000x8000.* at least 14649 bytes"
        ):
            codec.decompress(bomb, limits=bitstream.Limits(pixels_per_byte=None))
        with self.assertRaises(LimitError):
            codec.decompress(bomb)
        self.assertLess(time.monotonic() - start, 2)
        self.assertLess(tracemalloc.get_traced_memory()[1], 1 << 20)

    def test_predictable_pictures_are_filled_up(self):
        codec = tfsemcomp.load("dct")
        real = bit_contexts.encode

        def short(model, codes, stops):
            # Nothing takes part: the shortest that a file can be.
            del stops
            return real(model, 0 * codes, np.zeros(codes.shape[1:3], int))

        with (
            mock.patch.object(learned, "PIXELS_PER_BYTE", 2**8),
            mock.patch.object(bit_contexts, "encode", short),
        ):
            data = codec.compress(IMAGE, quality=2, adaptive="error", verify=False)
        first, second, *_ = payloads_of(data)
        least = -(-70 * 90 // 2**8)
        self.assertLen(first, least)
        self.assertLess(len(second), least)
        self.assertEqual(codec.decompress(data).shape, IMAGE.shape)
        cut = with_payloads(data, [first[:9] + first[10:], second])
        with mock.patch.object(learned, "PIXELS_PER_BYTE", 2**8):
            self.assert_too_short(codec, cut, least)

    def assert_too_short(self, codec, data, least):
        with self.assertRaisesRegex(BitstreamError, f"at least {least} bytes"):
            codec.decompress(data)
