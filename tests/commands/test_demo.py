"""The command `demo`: what it takes, what it warns of, and what it cannot do."""

import contextlib
import os
import signal
import socket
import unittest
from unittest import mock

from tests.demo import clients
from tests.test_cli import CliTestCase
from tfsemcomp.demo import server
from tfsemcomp.demo.bounds import Bounds


class DemoCommandTest(CliTestCase):
    def serve(self, *flags: str) -> tuple[Bounds, str, int, str, str]:
        """Bounds, host and port that are served, stdout and stderr."""
        found = []

        @contextlib.contextmanager
        def served(bounds, host, port):
            found.extend((bounds, host, port))
            yield mock.Mock(url="http://127.0.0.1:1", wait=lambda: None)

        with mock.patch.object(server, "serve", served):
            status, out, err = self.run_cli("demo", *flags)
        self.assertEqual(status, 0, err)
        return *found, out, err

    def test_this_machine_alone_unless_told(self):
        bounds, host, port, out, err = self.serve()
        self.assertEqual((host, port), (server.DEFAULT_HOST, server.DEFAULT_PORT))
        self.assertEqual(bounds, Bounds())
        self.assertStartsWith(out, "http://127.0.0.1:1 ")
        self.assertEqual(err, "")

    def test_others_are_let_in_with_a_warning(self):
        _, host, port, _, err = self.serve("--host=0.0.0.0", "--port=0")
        self.assertEqual((host, port), ("0.0.0.0", 0))
        self.assertLen(err.splitlines(), 1)
        self.assertRegex(err, "^note: others reach the page at 0.0.0.0, without a pass")

    def test_bounds(self):
        flags = ("--max_pixels=1000", "--max_side=50", "--work_pixels=900")
        flags += ("--max_upload=7000", "--seconds=3", "--workers=1")
        bounds, *_ = self.serve(*flags)
        self.assertEqual((bounds.limits.pixels, bounds.limits.side), (1000, 50))
        self.assertEqual((bounds.work_pixels, bounds.upload_bytes), (900, 7000))
        self.assertEqual((bounds.seconds, bounds.workers), (3, 1))
        self.refuse(2, "`workers`", "demo", "--workers=0")
        self.refuse(2, "`pixels`", "demo", "--max_pixels=-1")

    def test_the_signal_of_service_managers_ends_it_tidily(self):
        before = signal.getsignal(signal.SIGTERM)
        left = []

        @contextlib.contextmanager
        def served(*_):
            try:
                yield mock.Mock(
                    url="x", wait=lambda: os.kill(os.getpid(), signal.SIGTERM)
                )
            finally:
                left.append(True)

        with mock.patch.object(server, "serve", served):
            status, _, err = self.run_cli("demo")
        self.assertEqual((status, err), (130, "error: interrupted\n"))
        self.assertEqual(left, [True])
        self.assertEqual(signal.getsignal(signal.SIGTERM), before)

    def test_without_gradio(self):
        with mock.patch.dict("sys.modules", {"gradio": None}):
            self.refuse(1, r"pip install 'tfsemcomp\[demo\]'", "demo", "--port=0")

    @unittest.skipIf(clients.MISSING, clients.MISSING)
    def test_a_port_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            self.refuse(1, f"port {port}.*--port", "demo", f"--port={port}")
        self.refuse(1, "--host", "demo", "--port=70000")
