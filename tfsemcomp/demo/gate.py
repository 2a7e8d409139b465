"""Who may ask the page's server for what: a filter in front of Gradio.

Gradio's server has many more routes than the page needs: it fetches addresses for its
callers, records screens, edits its own source. Here only those that the page uses pass,
they name no files but those that were uploaded or made, requests are short, and
browsers are told to load nothing from anywhere else.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import urllib.parse
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

_Scope = MutableMapping[str, Any]
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Scope, _Receive, _Send], Awaitable[None]]

_API = "/gradio_api"
_READ = re.compile(
    r"/|/config/?|/theme\.css|/favicon\.ico|/manifest\.json|/robots\.txt"
    r"|/(?:assets|static|svelte)/[^\\]+"
    rf"|{_API}/(?:info|startup-events|theme\.css|app_id|queue/data|queue/status"
    r"|upload_progress|heartbeat/\w+|file=[^\\]+|call/\w+/\w+)/?"
)
_WRITE = re.compile(
    rf"{_API}/(?:queue/join|upload|reset|cancel|run/\w+|api/\w+|call/\w+)/?"
)
_UPLOAD = f"{_API}/upload"
# Of a request that is no upload; a painted map is its longest part.
_MOST_BYTES = 2**18
# What surrounds the file in the body of an upload.
_FORM_BYTES = 2**16
_LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
_HEADERS = {
    "content-security-policy": "default-src 'self' data: blob:; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; form-action 'self'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Gate:
    """An ASGI application that lets pass what the page needs.

    Args:
        app: the one behind it.
        folder: of the files that were uploaded or made; no others are named.
        upload_bytes: of an uploaded file, at most.
        local: whether requests must name this machine by one of its loopback names, so
            that no page from elsewhere reaches it under a name of its own.
    """

    def __init__(
        self, app: _App, folder: pathlib.Path, upload_bytes: int, local: bool
    ) -> None:
        self._app, self._local = app, local
        self._folder = os.path.realpath(folder)
        self._upload_bytes = upload_bytes

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Answers a request, or hands it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(scope)
        if refusal is None and scope["method"] == "POST" and not _is_upload(scope):
            body = await _read(receive)
            refusal = self._body_refusal(body)
            receive = _again(body, receive)
        if refusal is not None:
            await _refuse(send, *refusal)
            return
        await self._app(scope, receive, _with_headers(send))

    def _refusal(self, scope: _Scope) -> tuple[int, str] | None:
        """Status and reason, if a request must not pass."""
        path, method = scope["path"], scope["method"]
        headers = dict(scope["headers"])
        if self._local and _host(headers) not in _LOCAL_NAMES:
            return 403, "this page is for this machine alone"
        pattern = {"GET": _READ, "HEAD": _READ, "POST": _WRITE}.get(method)
        if pattern is None or not pattern.fullmatch(path) or _climbs(path):
            return 404, "there is no such page"
        _, is_file, name = path.partition("/file=")
        if is_file and not all(map(self._is_own, _decoded(name))):
            return 404, "there is no such file"
        if method != "POST":
            return None
        length = headers.get(b"content-length", b"")
        if not length.isdigit():
            return 411, "the length of the request is missing"
        most = self._upload_bytes + _FORM_BYTES if _is_upload(scope) else _MOST_BYTES
        if int(length) > most:
            return 413, f"the request has {int(length)} bytes, the limit is {most}"
        return None

    def _body_refusal(self, body: bytes | None) -> tuple[int, str] | None:
        """Status and reason, if a body of JSON must not pass."""
        if body is None:
            return 413, f"the request has more than {_MOST_BYTES} bytes"
        if not body:
            return None
        try:
            parts = [json.loads(body)]
        except (ValueError, RecursionError):
            return 400, "the request is no JSON"
        while parts:
            part = parts.pop()
            if isinstance(part, dict):
                path = part.get("path")
                if isinstance(path, str) and not self._is_own(path):
                    return 403, "files must be uploaded"
                parts.extend(part.values())
            elif isinstance(part, list):
                parts.extend(part)
        return None

    def _is_own(self, path: str) -> bool:
        """Whether a path is that of a file below the folder."""
        try:
            real = os.path.realpath(path)
        except ValueError:
            return False
        return os.path.isabs(path) and real.startswith(self._folder + os.sep)


def _is_upload(scope: _Scope) -> bool:
    return scope["path"].rstrip("/") == _UPLOAD


def _host(headers: dict[bytes, bytes]) -> str:
    """The name that a request was sent to, without its port."""
    return re.sub(r":\d+$", "", headers.get(b"host", b"").decode("latin-1").lower())


def _climbs(path: str) -> bool:
    """Whether a path has a step to a parent, encoded or not."""
    return any(
        ".." in step.replace("\\", "/").split("/") or "\0" in step
        for step in _decoded(path)
    )


def _decoded(path: str) -> list[str]:
    """A path as it is, and as those read it who decode it once more."""
    found = [path]
    while (path := urllib.parse.unquote(path)) != found[-1]:
        found.append(path)
    return found


async def _read(receive: _Receive) -> bytes | None:
    """The body of a request; None if it is longer than it may be."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _MOST_BYTES:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _again(body: bytes | None, receive: _Receive) -> _Receive:
    """Gives a body that was read once more, then what follows it."""
    waiting = [{"type": "http.request", "body": body or b"", "more_body": False}]

    async def replay() -> _Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _with_headers(send: _Send) -> _Send:
    """Adds what browsers must keep to."""
    own = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]

    async def decorated(message: _Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *own]}
        await send(message)

    return decorated


async def _refuse(send: _Send, status: int, text: str) -> None:
    body = json.dumps({"detail": text}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await _with_headers(send)(
        {"type": "http.response.start", "status": status, "headers": headers}
    )
    await send({"type": "http.response.body", "body": body})
