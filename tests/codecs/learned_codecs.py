"""What the tests of codecs of trained models share: models, and damaged streams."""

import functools
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable
from unittest import mock

from tests.harness import SemCompTestCase
from tfsemcomp import bitstream
from tfsemcomp.serving import manifest


def made_once(write: Callable[[pathlib.Path], None]) -> Callable[[], pathlib.Path]:
    """The folder that `write` fills: at the first call, gone with the process."""

    @functools.cache
    def made() -> tempfile.TemporaryDirectory:
        folder = tempfile.TemporaryDirectory()
        write(pathlib.Path(folder.name))
        return folder

    return lambda: pathlib.Path(made().name)


def payloads_of(data: bytes) -> list[bytes]:
    """Of the chunks of a stream."""
    return [chunk.payload for chunk in bitstream.read(data).chunks]


def with_payloads(data: bytes, payloads: list[bytes], **header) -> bytes:
    """The stream with other payloads, its CRCs repaired, or other header fields."""
    before = bitstream.read(data)
    fields = {
        "codec": before.header.codec,
        "fingerprint": before.header.fingerprint,
        "width": before.header.width,
        "height": before.header.height,
        **header,
    }
    kind = before.chunks[0].type
    chunks = [bitstream.Chunk(kind, p, layer) for layer, p in enumerate(payloads)]
    return bitstream.write(bitstream.Header(**fields), chunks)


class LearnedCodecTestCase(SemCompTestCase):
    """Has a folder of tiny models in place of the package's own.

    Attributes:
        models: makes that folder.
    """

    models: Callable[[], pathlib.Path]

    def setUp(self) -> None:
        super().setUp()
        self.root = type(self).models()
        self.use_models(self.root)

    def use_models(self, root: pathlib.Path) -> None:
        """Lets this folder be that of the models, until the test ends."""
        named = {manifest.ENVIRONMENT_VARIABLE: str(root)}
        self.enter_context(mock.patch.dict(os.environ, named))

    def copy_models(self) -> pathlib.Path:
        """A copy of the folder that a test may change."""
        return pathlib.Path(shutil.copytree(self.root, self.folder / "models"))

    def change_copy(self, name: str, file: str) -> pathlib.Path:
        """Copies the models, flips a bit in a file of one; returns its folder."""
        path = self.copy_models() / name / "1"
        changed = bytearray((path / file).read_bytes())
        changed[len(changed) // 2] ^= 1
        (path / file).write_bytes(changed)
        return path
