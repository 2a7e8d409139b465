"""Latents with a hyperprior as bytes: what `hyperprior` and `layered` have in common.

    y, z;  z --hyper_synthesis--> mu, scale index;  round(y - mu), z --entropy--> body
    body --entropy--> z --hyper_synthesis--> index --entropy--> symbols;  + mu --> y_hat

The scale index selects the table of every symbol, so it must come out alike for encoder
and decoder: `hyper_synthesis` runs in float64, where no two orders of summation differ
by anything that rounding to an index would show. A check of the decoded symbols turns
what is left of that risk into an error. The mean mu moves pixels only.

Body (docs/BITSTREAM.md is normative), behind a head that is the codec's own:

    bytes of z varint | z | y | zeros | symbol check 2
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from tfsemcomp import bitstream, errors
from tfsemcomp.codecs import learned

if TYPE_CHECKING:
    import numpy as np

    from tfsemcomp.entropy.tables import Tables
    from tfsemcomp.serving.runner import Runner

# Facts of a card's latents that coding needs, beside their types.
CARD = {"stride": int, "hyper_stride": int, "channels": int, "hyper_channels": int}


class Model(Protocol):
    """What coding needs of a model.

    Attributes:
        runner: runs its signature `hyper_synthesis`.
        tables: of `y` (one a scale, or without z one a channel) and of `z`.
        hyper_stride: positions of y to one of z; 0 without z.
        channels: of y.
        hyper_channels: of z.
    """

    runner: Runner
    tables: dict[str, Tables]
    hyper_stride: int
    channels: int
    hyper_channels: int


@dataclasses.dataclass(frozen=True)
class Body:
    """A payload behind its head, taken apart."""

    z: bytes
    y: bytes
    check: bytes


def encode(
    model: Model,
    found: dict[str, np.ndarray],
    head: bytes,
    extra: dict[str, np.ndarray],
    least: int,
    verify: bool,
) -> list[bytes]:
    """Codes the latents of B pictures.

    Args:
        model: see there.
        found: y float32 [B,h,w,C] and, of models that have it, z int32.
        head: the first bytes of each payload, which the symbol check covers.
        extra: what `hyper_synthesis` takes beside z.
        least: bytes that each payload has at least, filled up with zeros.
        verify: whether the symbols are decoded again.
    Returns: B payloads.
    Raises: SemCompError if the symbols do not decode to what they were.
    """
    import numpy as np

    from tfsemcomp.entropy import checks, range_coder

    y = found["y"]
    count = len(y)
    if model.hyper_stride:
        z = found["z"]
        coded_z = range_coder.encode_channels(model.tables["z"], z)
        told = model.runner.call("hyper_synthesis", z=z, **extra)
        index, mu = told["index"], told["mu"]
    else:
        z, coded_z = np.zeros((count, 0), np.int32), [b""] * count
        index, mu = range_coder.channel_indexes(model.tables["y"], y.shape), 0.0
    symbols = np.rint(y - mu).astype(np.int32)
    coded_y = range_coder.encode(model.tables["y"], symbols, index)
    if verify:
        _verify(model, coded_z, coded_y, z, symbols, index)
    payloads = []
    for number in range(count):
        check = checks.symbol_check(_ints(head), z[number], symbols[number])
        start = head + bitstream.varint(len(coded_z[number]))
        body = start + coded_z[number] + coded_y[number]
        payloads.append(body.ljust(least - len(check), b"\0") + check)
    return payloads


def _verify(
    model: Model,
    coded_z: list[bytes],
    coded_y: list[bytes],
    z: np.ndarray,
    symbols: np.ndarray,
    index: np.ndarray,
) -> None:
    """Decodes what was coded; raises SemCompError unless it is what went in."""
    import numpy as np

    from tfsemcomp.entropy import range_coder

    same = np.array_equal(
        range_coder.decode(model.tables["y"], coded_y, index), symbols
    )
    if model.hyper_stride:
        again = range_coder.decode_channels(model.tables["z"], coded_z, z.shape[1:])
        same = same and np.array_equal(again, z)
    learned.check_verified(same)


def parse(payload: bytes, offset: int) -> Body:
    """Takes a payload apart behind its head of `offset` bytes.

    Raises: BitstreamError if it is cut.
    """
    from tfsemcomp.entropy.checks import SYMBOL_CHECK_BYTES

    length, offset = bitstream.read_varint(payload, offset, "length of z")
    end = len(payload) - SYMBOL_CHECK_BYTES
    if offset + length > end:
        raise errors.BitstreamError(
            f"the payload declares {length} bytes of z, it has {end - offset}"
        )
    return Body(
        z=payload[offset : offset + length],
        # The coder leaves out zeros at the end, so those that are there fill up.
        y=payload[offset + length : end].rstrip(b"\0"),
        check=payload[end:],
    )


def decode(
    model: Model,
    bodies: Sequence[Body],
    size: tuple[int, int],
    head: bytes,
    extra: dict[str, np.ndarray],
) -> np.ndarray:
    """The latents of bodies of one size and head: y_hat float32 [B,h,w,C].

    Args:
        model: see there.
        bodies: of B payloads.
        size: h and w.
        head: of all of them.
        extra: as of `encode`.
    Raises: BitstreamError if a body is damaged, or does not match its check.
    """
    import numpy as np

    from tfsemcomp.entropy import checks, range_coder

    count = len(bodies)
    rows, columns = size
    if model.hyper_stride:
        z = range_coder.decode_channels(
            model.tables["z"],
            [body.z for body in bodies],
            (
                rows // model.hyper_stride,
                columns // model.hyper_stride,
                model.hyper_channels,
            ),
        )
        told = model.runner.call("hyper_synthesis", z=z, **extra)
        index, mu = told["index"], told["mu"]
    else:
        if any(body.z for body in bodies):
            raise errors.BitstreamError("the payload has a z, its model has none")
        z, mu = np.zeros((count, 0), np.int32), np.float32(0)
        shape = (count, rows, columns, model.channels)
        index = range_coder.channel_indexes(model.tables["y"], shape)
    symbols = range_coder.decode(model.tables["y"], [b.y for b in bodies], index)
    for number, body in enumerate(bodies):
        found = checks.symbol_check(_ints(head), z[number], symbols[number])
        if found != body.check:
            raise errors.BitstreamError(
                "the decoded symbols do not match their check: the stream is damaged, "
                "or this machine computes its tables' indexes differently"
            )
    return symbols.astype(np.float32) + mu


def _ints(data: bytes) -> np.ndarray:
    """The bytes as int32 [len(data)], for the symbol check."""
    import numpy as np

    return np.frombuffer(data, np.uint8).astype(np.int32)
