"""Seeded damage of files: what accidents and attackers make of them.

A mutant is either as damage leaves it, its checks broken (`sealed` false), or made by
somebody who knows the format and mends the checks, so that decoders behind them see it.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tfsemcomp import bitstream

# Sizes that headers of mutants declare: nothing, one pixel, bombs.
_SIDES = (1, 2, 63, 64, 65, 1000, 4096, 32768, 32769, 2**16, 2**31, 2**32 - 1)
_LONGEST = 400


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A damaged file.

    Attributes:
        kind: how it was made.
        data: its bytes.
        sealed: whether its checks are right.
    """

    kind: str
    data: bytes
    sealed: bool = False


@dataclasses.dataclass(frozen=True)
class _Draw:
    """What all kinds of damage draw from."""

    rng: np.random.Generator
    files: Sequence[bytes]

    def file(self) -> bytes:
        return self.files[self.below(len(self.files))]

    def below(self, number: int) -> int:
        return int(self.rng.integers(max(number, 1)))

    def noise(self, most: int = _LONGEST) -> bytes:
        return self.rng.bytes(1 + self.below(most))

    def stream(self) -> bitstream.Stream:
        return bitstream.read(self.file())


def mutants(files: Sequence[bytes], count: int, seed: int) -> Iterator[Mutant]:
    """Damaged versions of files, all kinds in turn.

    Args:
        files: of one codec; those of the container are also taken apart by chunks.
        count: how many.
        seed: of all choices.
    """
    kinds = dict(_OF_BYTES)
    if all(bitstream.is_container(data) for data in files):
        kinds |= _OF_CHUNKS
    names = list(kinds)
    for number in range(count):
        name = names[number % len(names)]
        draw = _Draw(np.random.default_rng((seed, number)), files)
        made = kinds[name](draw)
        yield made if isinstance(made, Mutant) else Mutant(name, made)


def cuts(data: bytes) -> Iterator[Mutant]:
    """Every proper prefix."""
    for size in range(len(data)):
        yield Mutant(f"cut at {size}", data[:size])


def _flip_bits(draw: _Draw) -> bytes:
    data = bytearray(draw.file())
    for _ in range(1 + draw.below(8)):
        data[draw.below(len(data))] ^= 1 << draw.below(8)
    return bytes(data)


def _set_bytes(draw: _Draw) -> bytes:
    data = bytearray(draw.file())
    start = draw.below(len(data))
    for index in range(start, min(start + 1 + draw.below(8), len(data))):
        data[index] = draw.below(256)
    return bytes(data)


def _cut(draw: _Draw) -> bytes:
    data = draw.file()
    return data[: draw.below(len(data))]


def _remove(draw: _Draw) -> bytes:
    data = draw.file()
    start = draw.below(len(data))
    return data[:start] + data[start + 1 + draw.below(_LONGEST) :]


def _insert(draw: _Draw) -> bytes:
    data = draw.file()
    start = draw.below(len(data) + 1)
    return data[:start] + draw.noise() + data[start:]


def _splice(draw: _Draw) -> bytes:
    first, second = draw.file(), draw.file()
    return first[: draw.below(len(first))] + second[draw.below(len(second)) :]


def _repeat(draw: _Draw) -> bytes:
    data = draw.file()
    start = draw.below(len(data))
    end = start + 1 + draw.below(_LONGEST)
    return data[:end] + data[start:end] * (1 + draw.below(3)) + data[end:]


def _random_tail(draw: _Draw) -> bytes:
    data = draw.file()
    return data[: draw.below(len(data))] + draw.noise()


def _random(draw: _Draw) -> bytes:
    return draw.noise()


def _append(draw: _Draw) -> bytes:
    return draw.file() + draw.noise()


_OF_BYTES: dict[str, Callable[[_Draw], bytes | Mutant]] = {
    "bits flipped": _flip_bits,
    "bytes set": _set_bytes,
    "cut": _cut,
    "bytes removed": _remove,
    "bytes inserted": _insert,
    "spliced": _splice,
    "bytes repeated": _repeat,
    "random tail": _random_tail,
    "random": _random,
    "appended": _append,
}


def _sealed(
    kind: str, stream: bitstream.Stream, chunks: Sequence[bitstream.Chunk], **header
) -> Mutant:
    """The stream of these chunks with right checks, in order of their layers."""
    head = dataclasses.replace(stream.header, **header)
    ordered = sorted(chunks, key=lambda chunk: chunk.layer)
    return Mutant(kind, bitstream.write(head, ordered or stream.chunks), True)


def _changed(draw: _Draw, change: Callable[[bytes], bytes], kind: str) -> Mutant:
    """A stream with one payload changed."""
    stream = draw.stream()
    chunks = list(stream.chunks)
    index = draw.below(len(chunks))
    payload = change(chunks[index].payload)
    chunks[index] = dataclasses.replace(chunks[index], payload=payload)
    return _sealed(kind, stream, chunks)


def _payload_flipped(draw: _Draw) -> Mutant:
    def change(payload: bytes) -> bytes:
        data = bytearray(payload or b"\0")
        for _ in range(1 + draw.below(4)):
            data[draw.below(len(data))] ^= 1 << draw.below(8)
        return bytes(data)

    return _changed(draw, change, "payload flipped")


def _payload_start(draw: _Draw) -> Mutant:
    """What a payload says first is its own header."""

    def change(payload: bytes) -> bytes:
        data = bytearray(payload or b"\0")
        data[draw.below(min(len(data), 6))] = draw.below(256)
        return bytes(data)

    return _changed(draw, change, "start of payload set")


def _payload_cut(draw: _Draw) -> Mutant:
    return _changed(draw, lambda p: p[: draw.below(len(p))], "payload cut")


def _payload_longer(draw: _Draw) -> Mutant:
    return _changed(draw, lambda p: p + draw.noise(64), "payload longer")


def _payload_random(draw: _Draw) -> Mutant:
    return _changed(draw, lambda p: draw.noise(), "payload random")


def _payload_zero(draw: _Draw) -> Mutant:
    value = (0, 255)[draw.below(2)]
    return _changed(draw, lambda p: bytes([value]) * len(p), "payload constant")


def _chunk_twice(draw: _Draw) -> Mutant:
    stream = draw.stream()
    chunk = stream.chunks[draw.below(len(stream.chunks))]
    return _sealed("chunk twice", stream, [*stream.chunks, chunk])


def _chunk_left_out(draw: _Draw) -> Mutant:
    stream = draw.stream()
    left_out = draw.below(len(stream.chunks))
    kept = [c for index, c in enumerate(stream.chunks) if index != left_out]
    return _sealed("chunk left out", stream, kept)


def _chunk_of_another(draw: _Draw) -> Mutant:
    stream, other = draw.stream(), draw.stream()
    chunks = list(stream.chunks)
    taken = other.chunks[draw.below(len(other.chunks))]
    chunks[draw.below(len(chunks))] = taken
    return _sealed("chunk of another file", stream, chunks)


def _chunk_inserted(draw: _Draw) -> Mutant:
    stream = draw.stream()
    kinds = sorted(bitstream.CHUNK_TYPES)
    kind = kinds[draw.below(len(kinds))]
    chunk = bitstream.Chunk(kind, draw.noise(64), draw.below(bitstream.MAX_LAYERS))
    return _sealed("chunk inserted", stream, [*stream.chunks, chunk])


def _chunk_renamed(draw: _Draw) -> Mutant:
    stream = draw.stream()
    kinds, chunks = sorted(bitstream.CHUNK_TYPES), list(stream.chunks)
    index = draw.below(len(chunks))
    chunks[index] = dataclasses.replace(
        chunks[index],
        type=kinds[draw.below(len(kinds))],
        layer=draw.below(bitstream.MAX_LAYERS),
    )
    return _sealed("chunk renamed", stream, chunks)


def _chunks_swapped_unsealed(draw: _Draw) -> bytes:
    """Whole chunks of two files in one, checks as they were."""
    first, second = draw.file(), draw.file()
    return first[: _chunk_end(draw, first)] + second[_chunk_end(draw, second) :]


def _chunk_end(draw: _Draw, data: bytes) -> int:
    facts = bitstream.describe(data)
    sizes = [chunk["bytes"] for chunk in facts["chunks"]]
    return facts["header_bytes"] + sum(sizes[: draw.below(len(sizes) + 1)])


def _fingerprint(draw: _Draw) -> Mutant:
    stream = draw.stream()
    other = (draw.stream().header.fingerprint, draw.rng.bytes(4), bytes(4))
    chosen = other[draw.below(3)]
    return _sealed("other fingerprint", stream, stream.chunks, fingerprint=chosen)


def _size(draw: _Draw) -> Mutant:
    stream = draw.stream()
    width, height = (_SIDES[draw.below(len(_SIDES))] for _ in range(2))
    return _sealed("other size", stream, stream.chunks, width=width, height=height)


def _codec(draw: _Draw) -> Mutant:
    stream = draw.stream()
    names = sorted(bitstream.CONTAINER_CODECS)
    name = names[draw.below(len(names))]
    return _sealed("other codec", stream, stream.chunks, codec=name)


_OF_CHUNKS: dict[str, Callable[[_Draw], bytes | Mutant]] = {
    "payload flipped": _payload_flipped,
    "start of payload set": _payload_start,
    "payload cut": _payload_cut,
    "payload longer": _payload_longer,
    "payload random": _payload_random,
    "payload constant": _payload_zero,
    "chunk twice": _chunk_twice,
    "chunk left out": _chunk_left_out,
    "chunk of another file": _chunk_of_another,
    "chunk inserted": _chunk_inserted,
    "chunk renamed": _chunk_renamed,
    "chunks of two files": _chunks_swapped_unsealed,
    "other fingerprint": _fingerprint,
    "other size": _size,
    "other codec": _codec,
}
