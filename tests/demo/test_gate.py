import asyncio
import json
import pathlib

from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.demo.gate import Gate

FOLDER = pathlib.Path("/tmp/x/cache")
UPLOAD_BYTES = 1000
_OPEN = {"type": "http.response.start", "status": 200, "headers": []}


def ask(
    path: str,
    method: str = "GET",
    body: bytes | None = None,
    host: str = "127.0.0.1:7860",
    local: bool = True,
    length: int | None = None,
) -> tuple[int, bytes, dict[str, str]]:
    """Status, the body that came through, and the headers of the answer."""
    came, sent = [], []

    async def behind(scope, receive, send):
        came.append((await receive())["body"] if scope["method"] == "POST" else b"")
        await send(_OPEN)
        await send({"type": "http.response.body", "body": b""})

    pieces = [body[:7], body[7:]] if body else [b""]

    async def receive():
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message):
        sent.append(message)

    headers = [(b"host", host.encode())]
    if body is not None or length is not None:
        size = len(body or b"") if length is None else length
        headers.append((b"content-length", str(size).encode()))
    scope = {"type": "http", "path": path, "method": method, "headers": headers}
    gate = Gate(behind, FOLDER, UPLOAD_BYTES, local)
    asyncio.run(gate(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], came[0] if came else b"", found


class GateTest(SemCompTestCase):
    @parameterized.parameters(
        "/",
        "/config",
        "/theme.css",
        "/assets/index-1.js",
        "/gradio_api/queue/data",
        "/gradio_api/heartbeat/abc",
        "/gradio_api/file=/tmp/x/cache/1/a photo.png",
    )
    def test_what_the_page_reads_passes(self, path):
        self.assertEqual(ask(path)[0], 200)

    @parameterized.parameters(
        "/gradio_api/proxy=http://example.com/",
        "/proxy=https://x.hf.space/",
        "/gradio_api/file=http://example.com/a.png",
        "/gradio_api/file=https:/example.com",
        "/gradio_api/file=//example.com/a.png",
        "/gradio_api/file=file:///etc/passwd",
        "/gradio_api/file=http%3A//example.com/a.png",
        "/gradio_api/file=http%253A//example.com/a.png",
        "/gradio_api/file=/tmp/../etc/passwd",
        "/gradio_api/file=/tmp/%2e%2e/etc/passwd",
        "/gradio_api/file=/tmp/x/cache/a\0.png",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=%2Fetc%2Fpasswd",
        "/gradio_api/file=/tmp/x/cache/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/gradio_api/file=/tmp/x/cache/..%5c..%5cetc",
        "/gradio_api/file=/tmp/x/cache",
        "/file=/etc/passwd",
        "/file/etc/passwd",
        "/assets/../../etc/passwd",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/monitoring",
        "/monitoring/summary",
        "/gradio_api/vibe-code",
        "/gradio_api/deep_link",
        "/gradio_api/token",
        "/dev/reload",
        "/login",
        "/docs",
    )
    def test_nothing_else_does(self, path):
        self.assertEqual(ask(path)[0], 404)

    @parameterized.parameters(
        ("/gradio_api/vibe-edit", "POST"),
        ("/gradio_api/process_recording", "POST"),
        ("/gradio_api/component_server", "POST"),
        ("/login", "POST"),
        ("/", "POST"),
        ("/", "PUT"),
        ("/gradio_api/upload", "DELETE"),
        ("/gradio_api/queue/join", "GET"),
    )
    def test_nor_by_another_method(self, path, method):
        self.assertEqual(ask(path, method, b"{}")[0], 404)

    def test_bodies_come_through_whole(self):
        body = json.dumps(
            {"data": [{"path": "/tmp/x/cache/a.png"}, "http://x"]}
        ).encode()
        status, came, _ = ask("/gradio_api/queue/join", "POST", body)
        self.assertEqual((status, came), (200, body))

    @parameterized.parameters(
        {"path": "http://example.com/a.png"},
        {"path": "https://169.254.169.254/", "meta": {"_type": "gradio.FileData"}},
        {"path": " FTP://example.com/"},
        {"path": "/etc/passwd"},
        {"path": "/tmp/x/cache/../a.png"},
        {"path": "/tmp/x/cache-of-another/a.png"},
        {"path": "a.png"},
        {"path": "/tmp/x/cache/a\0.png"},
    )
    def test_files_must_be_uploaded(self, **file):
        body = json.dumps({"data": [1, {"a": [file]}]}).encode()
        status, came, _ = ask("/gradio_api/queue/join", "POST", body)
        self.assertEqual((status, came), (403, b""))

    def test_lengths(self):
        join, upload = "/gradio_api/queue/join", "/gradio_api/upload"
        self.assertEqual(ask(join, "POST", b"{}" + b" " * 2**18)[0], 413)
        # What is longer than it says is not read on either.
        self.assertEqual(ask(join, "POST", b" " * 2**19, length=2)[0], 413)
        self.assertEqual(ask(join, "POST", b"{no json")[0], 400)
        self.assertEqual(ask(join, "POST", b"[" * 100_000)[0], 400)
        self.assertEqual(ask(join, "POST")[0], 411)
        self.assertEqual(ask(upload, "POST", b"x", length=UPLOAD_BYTES)[0], 200)
        self.assertEqual(ask(upload, "POST", b"x", length=10**6)[0], 413)

    def test_a_local_page_has_a_local_name(self):
        for host in ("localhost:1", "127.0.0.1", "[::1]:7860", "LOCALHOST"):
            self.assertEqual(ask("/", host=host)[0], 200)
        for host in ("evil.example", "127.0.0.1.evil.example:7860", ""):
            self.assertEqual(ask("/", host=host)[0], 403)
        self.assertEqual(ask("/", host="my.machine", local=False)[0], 200)

    def test_browsers_load_nothing_from_elsewhere(self):
        for path in ("/", "/nope"):
            policy = ask(path)[2]["content-security-policy"]
            self.assertStartsWith(policy, "default-src 'self'")
            self.assertNotIn("http", policy)
            self.assertNotIn("*", policy)

    def test_no_websockets(self):
        sent = []

        async def send(message):
            sent.append(message["type"])

        asyncio.run(Gate(None, FOLDER, 1, True)({"type": "websocket"}, None, send))
        self.assertEqual(sent, ["websocket.close"])
