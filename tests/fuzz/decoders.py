"""The decoders that a fuzzer searches by the branches that its inputs reach.

Each takes any bytes. It returns, or raises an error of the package; anything else is a
finding. `make fuzz-deep` (deep.py) searches, test_decoders.py tries the seeds.
"""

from collections.abc import Callable

import numpy as np

from tests.harness import smooth_image
from tfsemcomp import bitstream
from tfsemcomp.codecs import conceptual_structure
from tfsemcomp.entropy import context_mixing, text
from tfsemcomp.semantics import edges, vocabulary

_CAPTIONS = ("A black dog runs through snow.", "Two men, running.", "A red car.")
_WORDS = text.build(_CAPTIONS, vocabulary.build(_CAPTIONS, least=1))
_HEIGHT, _WIDTH, _CLASSES = 24, 32, 4
_LIMITS = bitstream.Limits(pixels=2**16, side=1024)
_ROWS, _COLUMNS = np.mgrid[:_HEIGHT, :_WIDTH]
_LABELS = [
    ((_ROWS // 8 + _COLUMNS // 8) % _CLASSES).astype(np.uint8),
    (_ROWS * _COLUMNS % 3).astype(np.uint8),
]


def container(data: bytes) -> None:
    """Header, chunks and checks, at once and byte by byte, and what truncate makes."""
    stream = bitstream.read(data, limits=_LIMITS, allow_torn=True)
    cut = bitstream.truncate(data, 1, limits=_LIMITS, allow_torn=True)
    bitstream.read(cut, limits=_LIMITS)
    reader = bitstream.Reader(_LIMITS)
    for start in range(0, len(data), 7):
        reader.feed(data[start : start + 7])
    bitstream.write(stream.header, stream.chunks)


def mixing(data: bytes) -> None:
    """Planes of labels, beside another one if the first byte is odd."""
    side = _LABELS[0] if data[:1] and data[0] % 2 else None
    plane = context_mixing.decode(data[1:], _HEIGHT, _WIDTH, _CLASSES, side)
    if plane.shape != (_HEIGHT, _WIDTH) or plane.max() >= _CLASSES:
        raise AssertionError("a plane of another shape or with labels that are none")


def caption(data: bytes) -> None:
    """Texts, which must code to something that gives them back."""
    found = text.decode(data, _WORDS)
    if text.decode(text.encode(found, _WORDS), _WORDS) != found:
        raise AssertionError("a text that does not come back")


def structure(data: bytes) -> None:
    """Payloads of lines, with any of their coders but programs of others."""
    parsed = conceptual_structure.parse(data, _HEIGHT, _WIDTH)
    if parsed.coder != "vvc":
        parsed.lines(None)


def _streams() -> list[bytes]:
    header = bitstream.Header("layered", b"abcd", 40, 30)
    kinds = ("text", "structure", "signal")
    chunks = [bitstream.Chunk(k, bytes(range(9)), n) for n, k in enumerate(kinds)]
    return [bitstream.write(header, chunks[: n + 1]) for n in range(3)]


def _planes() -> list[bytes]:
    alone = [b"\0" + context_mixing.encode(plane, _CLASSES) for plane in _LABELS]
    beside = context_mixing.encode(_LABELS[1], _CLASSES, _LABELS[0])
    return [*alone, b"\1" + beside]


def _structures() -> list[bytes]:
    lines = edges.extract(smooth_image(_HEIGHT, _WIDTH, 3), threshold=0.02)
    found = []
    for scale, coder in ((1, "mixing"), (2, "mixing"), (1, "webp")):
        plane = edges.downscale(lines, scale)
        options = (scale, None, _HEIGHT, _WIDTH, True, coder)
        found.append(conceptual_structure.encode(plane, *options))
    return found


TARGETS: dict[str, Callable[[bytes], None]] = {
    "container": container,
    "mixing": mixing,
    "caption": caption,
    "structure": structure,
}
SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "container": _streams,
    "mixing": _planes,
    "caption": lambda: [text.encode(one, _WORDS) for one in (*_CAPTIONS, "Schnée!")],
    "structure": _structures,
}
