"""The server of the page: bound to one address, gone without a trace when it stops."""

from __future__ import annotations

import contextlib
import ipaddress
import pathlib
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

from tfsemcomp import environment, errors
from tfsemcomp.demo.bounds import Bounds

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 7860
_START_SECONDS = 60
_POLL_SECONDS = 0.05
_CACHE = "cache"
_PRIVATE = ("/etc", "/proc", "/sys", "/var/log")


class Server:
    """A running page.

    Attributes:
        url: of the page.
    """

    def __init__(self, url: str, thread: threading.Thread) -> None:
        self.url = url
        self._thread = thread

    def wait(self) -> None:
        """Returns when the server stops; Ctrl-C interrupts it."""
        while self._thread.is_alive():
            self._thread.join(1)


def check_installed() -> None:
    """Raises UnavailableError unless the extra `demo` is installed."""
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise errors.UnavailableError(
            "the page needs Gradio; install it with: pip install 'tfsemcomp[demo]'"
        ) from error


def is_local(host: str) -> bool:
    """Whether only this machine reaches an address."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


@contextlib.contextmanager
def serve(
    bounds: Bounds, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT
) -> Iterator[Server]:
    """Serves the page while the context lasts.

    Args:
        bounds: of what it takes.
        host: address to listen at.
        port: 0 for any that is free.
    Raises:
        UnavailableError: without the extra `demo`.
        SemCompError: if the address cannot be had, or the server does not start.
    """
    with contextlib.ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(
            prefix="tfsemcomp-demo-", ignore_cleanup_errors=True
        )
        folder = pathlib.Path(stack.enter_context(temporary))
        # Some are read when Gradio is imported.
        stack.enter_context(environment.changed(_gradio_settings(folder / _CACHE)))
        check_installed()
        listener = stack.enter_context(_listen(host, port))
        server, thread = _start(bounds, folder, listener, is_local(host), stack)
        stack.callback(thread.join)
        stack.callback(setattr, server, "should_exit", True)
        name = f"[{host}]" if ":" in host else host
        yield Server(f"http://{name}:{listener.getsockname()[1]}", thread)


def _start(
    bounds: Bounds,
    folder: pathlib.Path,
    listener: socket.socket,
    local: bool,
    stack: contextlib.ExitStack,
) -> tuple[Any, threading.Thread]:
    """Lays out the page and runs its server in a thread."""
    import fastapi
    import gradio
    import uvicorn

    from tfsemcomp.demo import gate, page, shelf, work

    files = folder / "files"
    files.mkdir()
    workers = work.Work(bounds.workers, bounds.seconds)
    stack.callback(workers.close)
    blocks = page.build(bounds, shelf.Shelf(files), workers)
    app = gradio.mount_gradio_app(
        fastapi.FastAPI(openapi_url=None),
        blocks,
        path="/",
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        blocked_paths=_blocked(folder),
        show_error=True,
        max_file_size=bounds.upload_bytes,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=page.theme(),
        css=page.style(),
    )
    # Without it Gradio takes any file of this machine for an uploaded one.
    blocks.has_launched = True
    server = uvicorn.Server(
        uvicorn.Config(
            gate.Gate(app, folder / _CACHE, bounds.upload_bytes, local),
            log_level="error",
            ws="none",
            timeout_graceful_shutdown=1,
        )
    )
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, daemon=True
    )
    thread.start()
    end = time.monotonic() + _START_SECONDS
    while not server.started and thread.is_alive() and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
    if not server.started:
        raise errors.SemCompError("the page's server did not start; see --verbose")
    return server, thread


def _blocked(folder: pathlib.Path) -> list[str]:
    """Folders that Gradio hands nothing out from, whatever else it would allow."""
    folders = [pathlib.Path.cwd(), pathlib.Path.home(), *map(pathlib.Path, _PRIVATE)]
    own = folder.resolve()
    return [str(path) for path in folders if not own.is_relative_to(path.resolve())]


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port),
            family=socket.AF_INET6 if ":" in host else socket.AF_INET,
        )
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise errors.SemCompError(
            f"cannot listen at {host}, port {port}: {reason}; choose others with "
            "--host and --port"
        ) from error


def _gradio_settings(cache: pathlib.Path) -> dict[str, str]:
    """Keeps Gradio's files in a folder, and Gradio from telling anybody of them."""
    return {
        "GRADIO_TEMP_DIR": str(cache),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
