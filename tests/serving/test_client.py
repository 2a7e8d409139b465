"""Codecs whose networks run on a server: the same files, and clear errors."""

import concurrent.futures
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from unittest import mock

import grpc
import numpy as np
import tensorflow as tf
import trustme
from absl.testing import parameterized

import tfsemcomp
from tests.codecs.learned_codecs import LearnedCodecTestCase
from tests.harness import smooth_image
from tests.serving import processes, served_models
from tests.serving.processes import ModelServer, free_port
from tests.serving.proxies import GrpcProxy, RestProxy
from tests.test_cli import CliTestCase
from tfsemcomp import bitstream, images
from tfsemcomp.errors import (
    LimitError,
    ModelMismatchError,
    SemCompError,
    ServerError,
    UnavailableError,
)
from tfsemcomp.serving import (
    addresses,
    client,
    export,
    hosting,
    manifest,
    runner,
    transports,
)

IMAGE = smooth_image(64, 64)
ODD = smooth_image(37, 70, 1)
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
# Model or codec -> settings, of every codec that runs a network, and of every network
# that one runs besides its own.
CASES = {
    "hyperprior": ("hyperprior-small", {"quality": 3.5}),
    "hyperprior, tiny": ("mean", {}),
    "hyperprior, no z": ("factorized", {}),
    "rnn": ("dial", {"quality": 3, "machine_weight": 0.3}),
    "rnn by a map": ("dial", {"quality": 2, "adaptive": "roi"}),
    "msroi_jpeg": ("msroi_jpeg", {"quality": 40}),
    "conceptual": ("conceptual", {"residual": "jpeg"}),
    "conceptual, learned lines": ("conceptual", {"structure_method": "learned"}),
    "layered": ("layered", {"quality": 2, "seeds": 3}),
    "semantic_enhanced": ("semantic_enhanced", {"base": "rnn"}),
    "semantic_enhanced, derived": ("semantic_enhanced", {"mode": "derived"}),
    "semantic_enhanced, corrected": ("semantic_enhanced", {"mode": "corrected"}),
}
INTERFACES = ("grpc", "http")


def setUpModule():  # noqa: N802
    global SERVER, _FOLDER
    _FOLDER = tempfile.TemporaryDirectory()
    folder = pathlib.Path(_FOLDER.name)
    root = folder / "models"
    shutil.copytree(served_models.folder(), root)
    # A model of that name, of which the tests have other files.
    export.export({"analyze": _other()}, root / "other")
    config, models = hosting.write_config(root, str(root))
    names = [model.name for model in models]
    SERVER = ModelServer(config, names, folder / "log.txt")


def tearDownModule():  # noqa: N802
    SERVER.close()
    _FOLDER.cleanup()


def _other(channels=1):
    spec = tf.TensorSpec([None, None, None, 3], tf.float32, name="images")

    @tf.function(input_signature=[spec])
    def analyze(images):
        return {"y": tf.reduce_mean(images, -1, keepdims=True) + tf.zeros([channels])}

    return analyze


def place(interface: str) -> str:
    return SERVER.grpc if interface == "grpc" else f"http://{SERVER.rest}"


def nothing_here(*_arguments, **_inputs):
    raise AssertionError("a network ran in this process")


class ServedTestCase(LearnedCodecTestCase):
    models = served_models.folder

    def proxy(self, *faults, **options) -> GrpcProxy:
        """Faults of Predict, before the server."""
        proxy = GrpcProxy(SERVER.grpc, {"Predict": list(faults)}, **options)
        self.addCleanup(proxy.close)
        return proxy

    def rest_proxy(self, *faults, **options) -> RestProxy:
        proxy = RestProxy(SERVER.rest, list(faults), **options)
        self.addCleanup(proxy.close)
        return proxy

    def runner(self, server: str, name: str = "mean") -> client.ServingRunner:
        return client.ServingRunner(manifest.find(name), server)

    def analyze(self, server: str, name: str = "mean") -> dict:
        batch = IMAGE[None].astype(np.float32)
        return self.runner(server, name).call("analyze", images=batch)

    def assert_fails(self, kind, pattern, server, name="mean", seconds=15.0):
        """One clear line, of this type, in bounded time."""
        start = time.monotonic()
        with self.assertRaisesRegex(kind, pattern) as caught:
            self.analyze(server, name)
        self.assertLess(time.monotonic() - start, seconds)
        self.assertNotIn("\n", str(caught.exception))


class SameFilesTest(ServedTestCase):
    @parameterized.product(case=tuple(CASES), interface=INTERFACES)
    def test_files_and_pictures_are_those_of_local_networks(self, case, interface):
        name, settings = CASES[case]
        here = tfsemcomp.load(name)
        there = tfsemcomp.load(name, server=place(interface))
        for image in (IMAGE, ODD):
            expected = here.compress(image, **settings)
            shown = here.decompress(expected)
            with mock.patch.object(runner.LocalRunner, "call", nothing_here):
                self.assertEqual(there.compress(image, **settings), expected)
                np.testing.assert_array_equal(there.decompress(expected), shown)
                if bitstream.is_container(expected):
                    found = tfsemcomp.decompress(expected, server=place(interface))
                    np.testing.assert_array_equal(found, shown)

    @parameterized.parameters(*INTERFACES)
    def test_indexes_of_wide_latents_in_double_precision(self, interface):
        rng = np.random.default_rng(1)
        z = rng.integers(-9, 10, (2, 7, 6, 64), dtype=np.int32)
        model = manifest.find("hyperprior-small")
        inputs = {"z": z, "quality": np.float32([1, 6.5])}
        here = runner.shared(model).call("hyper_synthesis", **inputs)
        there = runner.shared(model, place(interface)).call("hyper_synthesis", **inputs)
        self.assertGreater(len(np.unique(here["index"])), 20)
        self.assertEqual(there["index"].dtype, np.int32)
        for name in ("index", "mu"):
            np.testing.assert_array_equal(there[name], here[name])

    @parameterized.parameters(*INTERFACES)
    def test_many_pictures_in_one_request(self, interface):
        pictures = [smooth_image(48, 80, seed) for seed in range(6)]
        for name in ("mean", "dial"):
            here = tfsemcomp.load(name)
            there = tfsemcomp.load(name, server=place(interface))
            calls = mock.patch.object(
                client.ServingRunner, "call", autospec=True, side_effect=_REAL_CALL
            )
            with calls as called:
                files = there.compress_batch(pictures)
                found = there.decompress_batch(files)
            signatures = [call.args[1] for call in called.mock_calls]
            self.assertEqual(signatures.count("analyze"), 1)
            self.assertEqual(signatures.count("synthesize"), 1)
            self.assertEqual(files, here.compress_batch(pictures))
            np.testing.assert_array_equal(found, here.decompress_batch(files))

    @parameterized.parameters(*INTERFACES)
    def test_encoded_pictures(self, interface):
        model = manifest.find("mean")
        data = images.encode(ODD, "PNG")
        inputs = {"encoded": np.array([data, data], object)}
        here = runner.shared(model).call("analyze_bytes", **inputs)
        there = self.runner(place(interface)).call("analyze_bytes", **inputs)
        self.assertEqual(there["size"].tolist(), [[37, 70]] * 2)
        for name in ("y", "z", "size"):
            np.testing.assert_array_equal(there[name], here[name])

    def test_threads_share_a_codec(self):
        here = tfsemcomp.load("mean")
        there = tfsemcomp.load("mean", server=SERVER.grpc)
        pictures = [smooth_image(64, 64, seed) for seed in range(8)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            files = list(pool.map(there.compress, pictures))
        self.assertEqual(files, [here.compress(picture) for picture in pictures])

    def test_maps_without_a_network_need_no_server(self):
        codec = tfsemcomp.load("msroi_jpeg", server="127.0.0.1:1")
        data = codec.compress(IMAGE, map="contrast")
        expected = tfsemcomp.load("msroi_jpeg").compress(IMAGE, map="contrast")
        self.assertEqual(data, expected)

    def test_codecs_without_a_model_take_no_server(self):
        with self.assertRaisesRegex(ValueError, "`server`.*jpeg runs no model"):
            tfsemcomp.load("jpeg", server=SERVER.grpc)
        with self.assertRaisesRegex(ValueError, "`server`"):
            tfsemcomp.load("hyperprior", server="nowhere://x")


_REAL_CALL = client.ServingRunner.call


class FaultsTest(ServedTestCase):
    def setUp(self):
        super().setUp()
        self.expected = self.analyze(SERVER.grpc)["y"]

    def test_unavailable_twice(self):
        proxy = self.proxy(UNAVAILABLE, UNAVAILABLE)
        found = self.analyze(proxy.address)
        np.testing.assert_array_equal(found["y"], self.expected)
        # After each failure the model is compared again.
        self.assertEqual(proxy.calls, ["GetModelMetadata", "Predict"] * 3)

    def test_attempts_are_bounded(self):
        proxy = self.proxy(*[UNAVAILABLE] * 9)
        server = f"{proxy.address}?attempts=3"
        self.assert_fails(ServerError, "not available.*tried 3 times", server)
        self.assertEqual(proxy.calls.count("Predict"), 3)

    def test_other_failures_are_not_tried_again(self):
        proxy = self.proxy(grpc.StatusCode.INTERNAL)
        self.assert_fails(ServerError, "INTERNAL: a planned fault", proxy.address)
        self.assertEqual(proxy.calls.count("Predict"), 1)

    def test_rest_is_tried_again(self):
        for faults in (
            (503, 503),
            (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"),
        ):
            server = f"http://{self.rest_proxy(*faults).address}"
            found = self.analyze(server)
            np.testing.assert_array_equal(found["y"], self.expected)

    def test_rest_failures(self):
        for faults, pattern in (
            ((500,), "HTTP 500: a planned fault"),
            ((b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntext",), "no JSON"),
            ((b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",), "tells no signat"),
            ((b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",), "tells no signat"),
        ):
            server = f"http://{self.rest_proxy(*faults).address}"
            self.assert_fails(ServerError, pattern, server)

    def test_deadline(self):
        proxy = self.proxy(5.0)
        server = f"{proxy.address}?timeout=0.7"
        self.assert_fails(ServerError, "no answer within 0.7 s", server, seconds=3)
        server = f"http://{self.rest_proxy(5.0).address}?timeout=0.7"
        self.assert_fails(ServerError, "no answer within 0.7 s", server, seconds=3)

    def test_attempts_share_the_deadline(self):
        proxy = self.proxy(*[UNAVAILABLE] * 99)
        server = f"{proxy.address}?timeout=1&attempts=99"
        self.assert_fails(ServerError, "not available|no answer", server, seconds=3)

    @parameterized.parameters("", "http://")
    def test_no_server(self, scheme):
        server = f"{scheme}127.0.0.1:{free_port()}?attempts=2"
        self.assert_fails(ServerError, "not available.*tried 2 times", server)

    def test_a_server_that_dies_in_a_request(self):
        port = free_port()
        proxy = self._hanging_proxy(port)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            server = f"127.0.0.1:{port}?attempts=3"
            failed = pool.submit(
                self.assert_fails, ServerError, "not available", server
            )
            self.assertEqual(proxy.stdout.readline().strip(), "Predict")
            proxy.kill()
            failed.result(timeout=20)

    def test_a_server_that_dies_and_comes_back(self):
        port = free_port()
        proxy = self._hanging_proxy(port)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            going = pool.submit(self.analyze, f"127.0.0.1:{port}?attempts=20")
            self.assertEqual(proxy.stdout.readline().strip(), "Predict")
            proxy.kill()
            proxy.wait()
            again = GrpcProxy(SERVER.grpc, port=port)
            self.addCleanup(again.close)
            found = going.result(timeout=30)
        np.testing.assert_array_equal(found["y"], self.expected)

    @parameterized.parameters("", "http://")
    def test_a_server_that_comes_back_after_errors(self, scheme):
        first = self.rest_proxy() if scheme else self.proxy()
        port = int(first.address.rpartition(":")[2])
        # One connection throughout.
        called = self.runner(f"{scheme}127.0.0.1:{port}")
        batch = {"images": IMAGE[None].astype(np.float32)}
        called.call("analyze", **batch)
        first.close()
        with self.assertRaisesRegex(ServerError, "not available"):
            called.call("analyze", **batch)
        kind, target = (RestProxy, SERVER.rest) if scheme else (GrpcProxy, SERVER.grpc)
        again = kind(target, port=port)
        self.addCleanup(again.close)
        found = called.call("analyze", **batch)
        np.testing.assert_array_equal(found["y"], self.expected)

    def _hanging_proxy(self, port: int) -> subprocess.Popen:
        command = [sys.executable, "-m", "tests.serving.proxies", str(port)]
        proxy = subprocess.Popen(
            [*command, SERVER.grpc, "Predict"],
            stdout=subprocess.PIPE,
            text=True,
            env=processes.environment(),
            cwd=processes.ROOT,
        )
        self.addCleanup(proxy.stdout.close)
        self.addCleanup(proxy.wait)
        self.addCleanup(proxy.kill)
        self.assertEqual(proxy.stdout.readline().strip(), f"127.0.0.1:{port}")
        return proxy


class WrongModelsTest(ServedTestCase):
    """What the server hosts is not what the client has."""

    def _rename(self, old: str, new: str, version: int = 1) -> None:
        """Lets the model `old` be called `new` here."""
        info = manifest.find(old)
        root = self.folder / "models"
        shutil.copytree(info.path, root / new / str(version))
        manifest.add(root, {**info.card, "name": new, "version": version}, True)
        self.use_models(root)

    @parameterized.parameters(*INTERFACES)
    def test_no_such_model(self, interface):
        self._rename("mean", "unheard-of")
        pattern = "hosts no model `unheard-of`"
        self.assert_fails(UnavailableError, pattern, place(interface), "unheard-of")

    @parameterized.parameters(*INTERFACES)
    def test_no_such_version(self, interface):
        self._rename("mean", "mean", version=7)
        pattern = r"not version 7, only 1 \(AVAILABLE\)"
        self.assert_fails(UnavailableError, pattern, place(interface))

    @parameterized.parameters(*INTERFACES)
    def test_no_such_signature(self, interface):
        self._rename("mean", "other")
        pattern = "has no signature `analyze_bytes`, only analyze"
        self.assert_fails(ModelMismatchError, pattern, place(interface), "other")

    @parameterized.parameters(*INTERFACES)
    def test_another_signature(self, interface):
        path = export.export({"analyze": _other(4)}, self.folder / "other")
        pattern = r"its `analyze` is .*\[\?, \?, \?, 1\], that of the local .* 4\]"
        self.assert_fails(ModelMismatchError, pattern, place(interface), path)

    @parameterized.parameters(*INTERFACES)
    def test_another_graph(self, interface):
        calls = {"above": _other(2), "analyze": _other(1)}
        path = export.export(calls, self.folder / "other")
        found = client.signature_files.read(path)
        del found["above"]
        with mock.patch.object(client.signature_files, "read", return_value=found):
            self.assert_fails(
                ModelMismatchError, "another graph", place(interface), path
            )

    def test_a_signature_that_the_local_model_lacks(self):
        with self.assertRaisesRegex(ModelMismatchError, "no signature `paint`"):
            self.runner(SERVER.grpc).call("paint", x=np.zeros(1))

    def test_inputs_that_the_server_refuses(self):
        for server in map(place, INTERFACES):
            with self.assertRaisesRegex(ServerError, "refused"):
                self.runner(server).call("analyze", pictures=np.zeros(1, np.float32))

    def test_changed_local_files(self):
        self.change_copy("mean", "tables.npz")
        self.use_models(self.folder / "models")
        self.assert_fails(ModelMismatchError, "tables.npz", SERVER.grpc)

    @parameterized.parameters(*INTERFACES)
    def test_messages_that_are_too_large(self, interface):
        server = f"{place(interface)}?megabytes=1"
        big = np.zeros([1, 512, 512, 3], np.float32)
        with self.assertRaisesRegex(LimitError, "too large"):
            self.runner(server).call("analyze", images=big)
        # A megabyte of latents makes more of pixels.
        y_hat = np.ones([1, 32, 32, 64], np.float32)
        channels = manifest.find("mean").card["latents"]["channels"]
        with self.assertRaisesRegex(LimitError, "too large"):
            self.runner(server).call("synthesize", y_hat=y_hat[..., :channels])

    @parameterized.parameters(*INTERFACES)
    def test_weights_are_compared_by_their_label(self, interface):
        server = f"{place(interface)}?check=fingerprint"
        expected = self.analyze(place(interface))["y"]
        np.testing.assert_array_equal(self.analyze(server)["y"], expected)
        # The same network with other tables: its signatures are the same.
        path = self.copy_models() / "mean" / "1"
        (path / "notes.txt").write_text("another model")
        manifest.add(path.parents[1], manifest.find(path).card, default=False)
        self.use_models(path.parents[1])
        np.testing.assert_array_equal(self.analyze(place(interface))["y"], expected)
        name = manifest.find("mean").fingerprint.hex()
        pattern = rf"label fingerprint-{name}, only 1 \(AVAILABLE\)"
        self.assert_fails(UnavailableError, pattern, server)

    def test_the_package_is_missing(self):
        missing = {"tensorflow_serving.apis": None}
        with (
            mock.patch.dict(sys.modules, missing),
            self.assertRaisesRegex(UnavailableError, r"tfsemcomp\[serving\]"),
        ):
            transports.connect(addresses.parse("127.0.0.1:8500"))


class TlsTest(ServedTestCase):
    def setUp(self):
        super().setUp()
        authority = trustme.CA()
        own = authority.issue_cert("127.0.0.1")
        self.server_parts = (
            own.private_key_pem.bytes(),
            b"".join(blob.bytes() for blob in own.cert_chain_pems),
        )
        self.root = authority.cert_pem.bytes()
        me = authority.issue_cert("client.example")
        for name, data in {
            "ca.pem": self.root,
            "other.pem": trustme.CA().cert_pem.bytes(),
            "me.key": me.private_key_pem.bytes(),
            "me.pem": b"".join(blob.bytes() for blob in me.cert_chain_pems),
            "server.key": self.server_parts[0],
            "server.pem": self.server_parts[1],
        }.items():
            (self.folder / name).write_bytes(data)
        self.expected = self.analyze(SERVER.grpc)["y"]

    def options(self, root="ca.pem", me=False) -> str:
        text = f"?attempts=2&root={self.folder / root}"
        if me:
            text += (
                f"&certificate={self.folder / 'me.pem'}&key={self.folder / 'me.key'}"
            )
        return text

    def check(self, address: str, client_needed: bool) -> None:
        found = self.analyze(address + self.options(me=client_needed))
        np.testing.assert_array_equal(found["y"], self.expected)
        self.assert_fails(
            ServerError, "not available", address + self.options("other.pem", True)
        )
        if client_needed:
            self.assert_fails(ServerError, "not available", address + self.options())

    @parameterized.parameters(False, True)
    def test_grpc(self, client_needed):
        credentials = grpc.ssl_server_credentials(
            [self.server_parts], self.root, client_needed
        )
        proxy = self.proxy(credentials=credentials)
        self.check(f"grpcs://{proxy.address}", client_needed)
        self.assert_fails(ServerError, "not avail", f"{proxy.address}?attempts=2")

    @parameterized.parameters(False, True)
    def test_rest(self, client_needed):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.pem", self.folder / "server.key")
        if client_needed:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.folder / "ca.pem")
        proxy = self.rest_proxy(context=context)
        self.check(f"https://{proxy.address}", client_needed)

    @parameterized.parameters("grpcs", "https")
    def test_files_that_are_not_there(self, scheme):
        server = f"{scheme}://127.0.0.1:1?root=nowhere.pem"
        self.assert_fails(SemCompError, "certificate `nowhere.pem`", server)


class CommandTest(CliTestCase, ServedTestCase):
    def test_compress_and_decompress(self):
        coded, back = self.folder / "a.tfsc", self.folder / "back.png"
        for server in map(place, INTERFACES):
            with mock.patch.object(runner.LocalRunner, "call", nothing_here):
                self.succeed(
                    *("compress", self.picture, coded, "--model=mean"),
                    f"--server={server}",
                )
                self.succeed("decompress", coded, back, f"--server={server}")
            codec = tfsemcomp.load("mean")
            pixels = images.read(self.picture)
            self.assertEqual(coded.read_bytes(), codec.compress(pixels))
            np.testing.assert_array_equal(
                images.read(back), codec.decompress(coded.read_bytes())
            )

    def test_pyramid_interpolate_and_evaluate(self):
        server = f"--server={SERVER.grpc}"
        coded, frames = self.folder / "a.tfsc", self.folder / "frames"
        codec = tfsemcomp.load("conceptual")
        coded.write_bytes(codec.compress(images.read(self.picture)))
        photos, out = self.folder / "photos", self.folder / "out"
        photos.mkdir()
        shutil.copy(self.picture, photos / "a.png")
        with mock.patch.object(runner.LocalRunner, "call", nothing_here):
            self.succeed("pyramid", coded, self.folder / "stages", server)
            self.succeed("interpolate", coded, coded, frames, "--frames=2", server)
            self.succeed(
                *("evaluate", "--codecs=mean,jpeg", f"--images={photos}"),
                *(f"--out={out}", "--qualities=1", "--repeats=1", server),
            )
        np.testing.assert_array_equal(
            images.read(frames / "frame-0.png"), codec.decompress(coded.read_bytes())
        )
        rows = (out / "results.csv").read_text()
        self.assertIn("hyperprior", rows)
        self.assertIn("jpeg", rows)

    def test_errors_are_one_line(self):
        target = self.folder / "a.tfsc"
        server = f"--server=127.0.0.1:{free_port()}?attempts=1"
        command = ("compress", self.picture, target, "--model=mean")
        self.refuse(1, "not available", *command, server)
        self.refuse(2, "`server`", *command, "--server=http://")
        self.refuse(
            2, "`server`", "compress", self.picture, target, "--codec=webp", server
        )
        back = self.folder / "back.png"
        self.refuse(2, "`server`", "decompress", self.picture, back, server)
