"""A web server of models on this machine, as bad as a test wants it."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import pathlib
import re
import threading
from collections.abc import Iterator


@dataclasses.dataclass
class Behaviour:
    """What the server does wrong, and what it was asked.

    Attributes:
        folder: what it serves.
        ranges: whether it heeds Range.
        cuts: bytes after which it hangs up, an answer each; then it answers in full.
        answers: status codes that it sends instead, an answer each.
        changed: paths whose last byte it sends wrong.
        shift: bytes by which it starts a range too late.
        stalls: paths of which it sends half, and then nothing until `goes_on` is set.
        goes_on: see there.
        moved: address to which it redirects everything.
        asked: path and Range of each request.
    """

    folder: pathlib.Path
    ranges: bool = True
    cuts: list[int] = dataclasses.field(default_factory=list)
    answers: list[int] = dataclasses.field(default_factory=list)
    changed: set[str] = dataclasses.field(default_factory=set)
    shift: int = 0
    stalls: set[str] = dataclasses.field(default_factory=set)
    goes_on: threading.Event = dataclasses.field(default_factory=threading.Event)
    moved: str = ""
    asked: list[tuple[str, str | None]] = dataclasses.field(default_factory=list)


class _Handler(http.server.BaseHTTPRequestHandler):
    behaviour: Behaviour

    def do_GET(self) -> None:  # noqa: N802
        behaviour = self.behaviour
        behaviour.asked.append((self.path, self.headers.get("Range")))
        path = behaviour.folder / self.path.lstrip("/")
        if behaviour.moved:
            self.send_response(302)
            self.send_header("Location", behaviour.moved + self.path)
            self.end_headers()
            return
        if behaviour.answers or not path.is_file():
            self.send_error(behaviour.answers.pop(0) if behaviour.answers else 404)
            return
        data = path.read_bytes()
        if self.path.lstrip("/") in behaviour.changed:
            data = data[:-1] + bytes([data[-1] ^ 1])
        self._send(data)

    def _send(self, data: bytes) -> None:
        behaviour = self.behaviour
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted and behaviour.ranges else None
        if start is not None and start >= len(data):
            self.send_error(416)
            return
        size = len(data)
        self.send_response(200 if start is None else 206)
        if start is not None:
            start += behaviour.shift
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            data = data[start:]
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.path.lstrip("/") in behaviour.stalls:
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            behaviour.goes_on.wait()
            return
        self.wfile.write(data[: behaviour.cuts.pop(0)] if behaviour.cuts else data)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def serve(behaviour: Behaviour) -> Iterator[str]:
    """Runs the server; gives its address."""
    handler = type("Handler", (_Handler,), {"behaviour": behaviour})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
