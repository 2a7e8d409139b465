"""A server of the page on a free port, and what talks to it over HTTP."""

import contextlib
import importlib.util
import json
import pathlib
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from tests.harness import SemCompTestCase
from tfsemcomp.demo import server
from tfsemcomp.demo.bounds import Bounds

MISSING = (
    ""
    if importlib.util.find_spec("gradio")
    else "needs Gradio: pip install 'tfsemcomp[demo]'"
)


class PageTestCase(SemCompTestCase):
    """Tests of one running page, `url`."""

    # Not what is tested here, however busy the machine is.
    bounds = Bounds(upload_bytes=2**20, seconds=3600)

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        running = cls.enterClassContext(server.serve(cls.bounds, port=0))
        cls.url = running.url

    @classmethod
    def enterClassContext(cls, context):  # noqa: N802
        """As of Python 3.11."""
        value = context.__enter__()
        cls.addClassCleanup(context.__exit__, None, None, None)
        return value

    def file(self, data: bytes, name: str = "a photo.png") -> str:
        """Path of a file with this content."""
        path = self.folder / name
        path.write_bytes(data)
        return str(path)


@contextlib.contextmanager
def client_of(url: str) -> Iterator["Client"]:
    """One user of a page."""
    import gradio_client

    with tempfile.TemporaryDirectory() as folder:
        client = gradio_client.Client(
            url, verbose=False, download_files=folder, analytics_enabled=False
        )
        yield Client(client)


class Client:
    """Opens photos and presses buttons, as the page does."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def open(self, path: str) -> list[Any]:
        """Uploads a photo; returns what the page shows of it."""
        import gradio_client

        return self.press("open", gradio_client.handle_file(path))

    def compress(
        self,
        codec: str,
        *,
        rate: str = "quality",
        amount: float | None = None,
        model: str | None = None,
        painted: str = "",
        method: str = "uniform",
    ) -> "Shown":
        """Compresses the photo; the default quality without `amount`."""
        if amount is None:
            _, _, quality = self.press("choose", codec)
            amount = quality["value"]
        amounts = {"quality": 1, "bytes": 1, "bpp": 1, rate: amount}
        return Shown(
            self.press(
                "compress", codec, model, rate, *amounts.values(), painted, method
            )
        )

    def show(self, layers: int) -> "Shown":
        """Shows the first layers."""
        return Shown(self.press("show", layers))

    def press(self, button: str, *values: Any) -> Any:
        """Calls what a button calls."""
        return self._client.predict(*values, api_name=f"/{button}")


class Shown:
    """What the page shows of a result.

    Attributes:
        tiles, chunks, layer_line, caption: as text.
        file, picture: the downloads.
        layers: of the slider: its value and its maximum.
    """

    def __init__(self, values: list[Any]) -> None:
        _, self.tiles, self.chunks, layers, line, self.caption, file, picture = values
        self.layer_line = line["value"]
        self.layers = layers["value"], layers["maximum"]
        self.file = pathlib.Path(file["value"])
        self.picture = pathlib.Path(picture["value"])


def get(url: str, **headers: str) -> tuple[int, bytes]:
    """Status and body of a GET, the address as it is."""
    return _ask(urllib.request.Request(url, headers=headers))


def post(url: str, value: Any) -> tuple[int, bytes]:
    """Status and body of a POST of JSON."""
    headers = {"Content-Type": "application/json"}
    body = json.dumps(value).encode()
    return _ask(urllib.request.Request(url, data=body, headers=headers))


def _ask(request: urllib.request.Request) -> tuple[int, bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
