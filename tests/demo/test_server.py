"""The page over HTTP: photos in, files out, and what it refuses."""

import concurrent.futures
import os
import pathlib
import socket
import tempfile
import time
import unittest
from unittest import mock

import numpy as np
from absl.testing import parameterized

import tfsemcomp
from tests.codecs import layered_models
from tests.demo import clients, pictures
from tests.harness import SemCompTestCase
from tfsemcomp import bitstream, errors
from tfsemcomp.codecs import hyperprior
from tfsemcomp.demo import catalogue, maps, server, studio
from tfsemcomp.demo.bounds import Bounds
from tfsemcomp.serving import manifest, runner

SHIPPED = [entry.name for entry in catalogue.entries() if entry.models]


@unittest.skipIf(clients.MISSING, clients.MISSING)
class PageTest(clients.PageTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.client = self.enter_context(clients.client_of(self.url))

    def refuse(self, pattern: str, button: str, *values) -> None:
        """The page tells an error in one line."""
        from gradio_client.exceptions import AppError

        with self.assertRaisesRegex(AppError, pattern) as caught:
            self.client.press(button, *values)
        self.assertNotIn("\n", str(caught.exception))

    def refuse_photo(self, pattern: str, data: bytes) -> None:
        import gradio_client

        path = self.file(data, "wrong.png")
        self.refuse(pattern, "open", gradio_client.handle_file(path))

    @parameterized.parameters(*SHIPPED, "jpeg", "webp")
    def test_upload_compress_download(self, codec):
        path = self.file(pictures.png())
        slider, *_, line = self.client.open(path)
        opened = pictures.pixels_of(pathlib.Path(slider[0]).read_bytes())
        np.testing.assert_array_equal(opened, pictures.photo().pixels)
        self.assertIn("96\u00d764", line)
        shown = self.client.compress(codec)
        data = shown.file.read_bytes()
        self.assertEqual(shown.file.stem, f"a photo-{codec}")
        self.assertIn(f"<b>{len(data):,}</b>", shown.tiles)
        decoded = tfsemcomp.decompress(data)
        seen = pictures.pixels_of(shown.picture.read_bytes())
        np.testing.assert_array_equal(seen, decoded)

    def test_layers(self):
        self.client.open(self.file(pictures.png()))
        whole = self.client.compress("rnn", amount=3)
        self.assertEqual(whole.layers, (3, 3))
        first = self.client.show(1)
        self.assertEqual(first.layers, (1, 3))
        cut = bitstream.truncate(whole.file.read_bytes(), 1)
        self.assertEqual(first.file.read_bytes(), cut)
        self.assertIn("1 of 3", first.layer_line)
        self.refuse("greater than maximum value 3", "show", 9)

    def test_painted_maps_reach_the_codec(self):
        self.client.open(self.file(pictures.png()))
        drawn = self.client.press("draw_map", "centre")["props"]
        self.assertStartsWith(drawn["photo"], "data:image/jpeg;base64,")
        begin = maps.from_text(drawn["start"], pictures.photo().pixels)
        self.assertGreater(begin[32, 48], begin[0, 0])
        painted = np.zeros((64, 96), np.float32)
        painted[16:48, 16:48] = 1
        files = [
            self.client.compress("msroi_jpeg", amount=30, painted=text).file
            for text in ("", maps.to_text(painted))
        ]
        expected = tfsemcomp.load("msroi_jpeg").compress(
            pictures.photo().pixels, quality=30, map=painted
        )
        self.assertEqual(files[1].read_bytes(), expected)
        self.assertNotEqual(files[0].read_bytes(), expected)

    def test_textures_are_swapped(self):
        import gradio_client

        self.client.open(self.file(pictures.png()))
        mine = self.client.compress("conceptual").file.read_bytes()
        other = gradio_client.handle_file(self.file(pictures.png(seed=9), "b.png"))
        shown = clients.Shown(self.client.press("swap_texture", other))
        codec = tfsemcomp.load("conceptual")
        swapped = shown.file.read_bytes()
        np.testing.assert_array_equal(codec.structure(swapped), codec.structure(mine))

    def test_wrong_files(self):
        self.refuse_photo("no image", b"#!/bin/sh\nexit\n" * 20)
        self.refuse_photo("truncated|damaged", pictures.png()[:-40])
        self.refuse_photo("30000x30000", pictures.bomb())
        self.refuse("drop a photo first", "show", 1)
        # The page goes on.
        self.client.open(self.file(pictures.png()))
        self.refuse("press Compress first", "show", 1)
        self.assertGreater(len(self.client.compress("jpeg").file.read_bytes()), 100)

    def test_wrong_wishes(self):
        self.client.open(self.file(pictures.png()))
        for pattern, values in (
            ("smallest", ("jpeg", None, "bytes", 1, 5, 1, "", "uniform")),
            ("greater than", ("jpeg", None, "quality", 999, 1, 1, "", "uniform")),
            (
                "`map`",
                ("msroi_jpeg", None, "quality", 9, 1, 1, "/etc/hosts", "uniform"),
            ),
            ("choices", ("msroi_jpeg", None, "quality", 9, 1, 1, "", "/etc/hosts")),
            ("choices", ("rnn", "/etc", "quality", 2, 1, 1, "", "uniform")),
        ):
            with self.subTest(pattern):
                self.refuse(pattern, "compress", *values)

    def test_files_that_are_too_long(self):
        data = pictures.png() + bytes(self.bounds.upload_bytes)
        with self.assertRaisesRegex(Exception, "413|size|exceed"):
            self.client.open(self.file(data))

    def test_ten_users_at_once_get_their_own(self):
        def user(number: int) -> None:
            path = self.folder / f"{number}.png"
            path.write_bytes(pictures.png(seed=number))
            codec = ("jpeg", "rnn")[number % 2]
            with clients.client_of(self.url) as client:
                client.open(str(path))
                shown = client.compress(codec)
                pixels = pictures.photo(seed=number).pixels
                expected = tfsemcomp.load(codec).compress(pixels)
                self.assertEqual(shown.file.read_bytes(), expected)
                self.assertEqual(shown.file.stem, f"{number}-{codec}")

        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            list(pool.map(user, range(10)))

    def test_users_share_one_copy_of_a_model(self):
        made = []
        real = runner.LocalRunner

        def counted(model):
            made.append(model.name)
            return real(model)

        model = manifest.default_model("hyperprior")
        hyperprior._load.cache_clear()
        runner._cached.cache_clear()
        with mock.patch.object(runner, "LocalRunner", counted):
            for number in range(2):
                with clients.client_of(self.url) as client:
                    client.open(self.file(pictures.png(seed=number)))
                    client.compress("hyperprior")
        self.assertEqual(made, [model.name])

    def test_files_of_the_machine_are_refused(self):
        secret = self.file(b"secret", "secret.txt")
        beside = pathlib.Path(tempfile.gettempdir()) / "secret.txt"
        for path in ("/etc/passwd", secret, str(beside), __file__, "~/.bashrc"):
            for route in ("/gradio_api/file=", "/file=", "/gradio_api/file/"):
                status, body = clients.get(f"{self.url}{route}{path}")
                self.assertIn(status, (403, 404), f"{route}{path}")
                self.assertNotEqual(body, b"secret")
        for path in (
            "/gradio_api/file=../../../../etc/passwd",
            "/gradio_api/file=%2e%2e/%2e%2e/%2e%2e/etc/passwd",
            "/gradio_api/file=/proc/self/environ",
            "/assets/../../../../etc/passwd",
            "/static/..%2f..%2f..%2f..%2fetc/passwd",
        ):
            status, body = clients.get(self.url + path)
            self.assertIn(status, (403, 404), path)
            self.assertNotIn(b"root:", body)

    def test_files_of_the_machine_are_no_photos(self):
        secret = self.file(pictures.png(), "secret.png")
        for path in (secret, "/etc/passwd", f"{self.url}/favicon.ico"):
            file = {"path": path, "meta": {"_type": "gradio.FileData"}}
            status, body = clients.post(
                f"{self.url}/gradio_api/run/open", {"data": [file]}
            )
            self.assertGreaterEqual(status, 400, path)
            self.assertNotIn(b"96\u00d764", body)

    def test_other_hosts_are_not_asked(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(0.5)
            other = f"http://127.0.0.1:{listener.getsockname()[1]}/a.png"
            for path in (f"/gradio_api/file={other}", f"/gradio_api/proxy={other}"):
                self.assertEqual(clients.get(self.url + path)[0], 404)
            file = {"path": other, "meta": {"_type": "gradio.FileData"}}
            for data in ([file], [{"a": file}]):
                status, _ = clients.post(
                    f"{self.url}/gradio_api/run/open", {"data": data}
                )
                self.assertEqual(status, 403)
            with self.assertRaises(TimeoutError):
                listener.accept()

    def test_the_page_names_no_other_host(self):
        status, body = clients.get(self.url)
        self.assertEqual(status, 200)
        self.assertNotIn(b"fonts.googleapis", body)
        self.assertNotIn(b"cdnjs", body)
        self.assertIn(b'"analytics_enabled":false', body.replace(b" ", b""))
        status, body = clients.get(self.url + "/theme.css")
        self.assertEqual(status, 200)
        self.assertNotIn(b"http", body.replace(b"http://www.w3.org", b""))

    def test_pages_from_elsewhere_do_not_reach_it(self):
        self.assertEqual(clients.get(self.url, Host="evil.example")[0], 403)


@unittest.skipIf(clients.MISSING, clients.MISSING)
class LayeredPageTest(clients.PageTestCase):
    """A page whose only models are tiny ones of layered."""

    @classmethod
    def setUpClass(cls) -> None:
        folder = {manifest.ENVIRONMENT_VARIABLE: str(layered_models.folder())}
        cls.enterClassContext(mock.patch.dict(os.environ, folder))
        super().setUpClass()

    def test_captions(self):
        client = self.enter_context(clients.client_of(self.url))
        client.open(self.file(pictures.png()))
        said = client.compress("layered")
        self.assertTrue(said.caption)
        text = "A white dog runs."
        changed = clients.Shown(client.press("recaption", text))
        self.assertEqual(changed.caption, text)
        data = changed.file.read_bytes()
        self.assertEqual(tfsemcomp.load("layered").caption(data), text)
        self.assertEqual(client.show(1).layers, (1, 3))

    def test_a_codec_without_a_model(self):
        from gradio_client.exceptions import AppError

        client = self.enter_context(clients.client_of(self.url))
        client.open(self.file(pictures.png()))
        with self.assertRaisesRegex(AppError, "not available"):
            client.press("compress", "rnn", None, "quality", 1, 1, 1, "", "uniform")


@unittest.skipIf(clients.MISSING, clients.MISSING)
class ServerTest(SemCompTestCase):
    def test_nothing_is_left_behind(self):
        before = set(pathlib.Path(tempfile.gettempdir()).glob("tfsemcomp-demo-*"))
        with server.serve(Bounds(), port=0) as running:
            self.assertStartsWith(running.url, "http://127.0.0.1:")
            self.assertEqual(clients.get(running.url)[0], 200)
        after = set(pathlib.Path(tempfile.gettempdir()).glob("tfsemcomp-demo-*"))
        self.assertEqual(after - before, set())
        with self.assertRaises(OSError):
            clients.get(running.url)

    def test_slow_answers_are_given_up(self):
        from gradio_client.exceptions import AppError

        path = self.folder / "a.png"
        path.write_bytes(pictures.png())
        opened = studio.open_photo

        def slow(*args):
            time.sleep(1)
            return opened(*args)

        with (
            mock.patch.object(studio, "open_photo", slow),
            server.serve(Bounds(seconds=0.0), port=0) as running,
            clients.client_of(running.url) as client,
            self.assertRaisesRegex(AppError, "takes longer than 0 s"),
        ):
            client.open(str(path))


class AddressTest(SemCompTestCase):
    def test_local_addresses(self):
        for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8"):
            self.assertTrue(server.is_local(host))
        for host in ("0.0.0.0", "::", "192.168.0.1", "my.machine"):
            self.assertFalse(server.is_local(host))

    def test_without_gradio(self):
        with (
            mock.patch.dict("sys.modules", {"gradio": None}),
            self.assertRaisesRegex(errors.UnavailableError, r"tfsemcomp\[demo\]"),
            server.serve(Bounds(), port=0),
        ):
            pass
