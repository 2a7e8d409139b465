"""`hyperprior`: learned transform coding whose streams decode on any machine.

    x --pad, analyze--> y, z;  z --hyper_synthesis--> mu, scale index
    round(y - mu), z --entropy--> one `signal` chunk
    chunk --entropy--> z --hyper_synthesis--> index --entropy--> symbols
    symbols + mu --synthesize, crop--> x_hat

The scale index selects the table of every symbol, so it must come out alike for encoder
and decoder: `hyper_synthesis` runs in float64, where no two orders of summation differ
by anything that rounding to an index would show. A check of the decoded symbols turns
what is left of that risk into an error. The mean mu moves pixels only.

Payload of the chunk (docs/BITSTREAM.md is normative):

    quality 1 (many rates) | bytes of z varint | z | y | zeros | symbol check 2

Source: arXiv 1802.01436 (scale), arXiv 1809.02736 (mean and scale).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfsemcomp import bitstream, errors
from tfsemcomp.codecs import base, learned

if TYPE_CHECKING:
    import numpy as np

    from tfsemcomp.entropy.tables import Tables
    from tfsemcomp.serving.manifest import ModelInfo
    from tfsemcomp.serving.runner import Runner

# Qualities of a model of many rates are multiples of this, and so exact in float64.
QUALITY_STEP = 0.125


@dataclasses.dataclass(frozen=True)
class Model:
    """What the codec needs of a trained model.

    Attributes:
        fingerprint: of its files.
        runner: runs its signatures.
        tables: of `y` (one a scale, or of `factorized` one a channel) and of `z`.
        stride: pixels to a position of y.
        hyper_stride: positions of y to one of z; 0 without z.
        channels: of y.
        hyper_channels: of z.
        rates: qualities that it has; 1 for a model of one rate.
    """

    fingerprint: bytes
    runner: Runner
    tables: dict[str, Tables]
    stride: int
    hyper_stride: int
    channels: int
    hyper_channels: int
    rates: int

    @property
    def multiple(self) -> int:
        """Sides of padded pictures are multiples of this."""
        return self.stride * max(self.hyper_stride, 1)

    def latent_size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of y for a picture, after padding."""
        rows, columns = -(-height // self.multiple), -(-width // self.multiple)
        return (
            rows * self.multiple // self.stride,
            columns * self.multiple // self.stride,
        )


_CARD = {
    "stride": int,
    "hyper_stride": int,
    "channels": int,
    "hyper_channels": int,
    "rates": int,
}


@functools.lru_cache(maxsize=8)
def _load(info: ModelInfo) -> Model:
    """Makes the model of a folder."""
    from tfsemcomp.entropy import tables
    from tfsemcomp.serving import runner

    return Model(
        fingerprint=info.fingerprint,
        runner=runner.shared(info),
        tables=tables.load(info.path / tables.FILE_NAME),
        **learned.read_card(info, "latents", _CARD),
    )


@base.register("hyperprior")
class HyperpriorCodec(learned.LearnedCodec):
    """Codes pictures with a trained hyperprior model.

    Attributes:
        quality_range: 1 to the number of rates of the model, in steps of an eighth; a
            model of one rate has quality 1 only.

    Args, errors: see `LearnedCodec`; the default model has many rates.
    """

    summary = "Learned transform coding with a scale hyperprior."
    quality_range = (1, 8)
    default_quality = 4
    quality_step = QUALITY_STEP
    settings = (learned.VERIFY_SETTING,)

    def check_quality(self, quality: float) -> None:
        """Raises ValueError unless `quality` is on the model's grid."""
        super().check_quality(quality)
        if quality % QUALITY_STEP:
            raise ValueError(
                f"`quality` of {self.name} must be a multiple of {QUALITY_STEP}, "
                f"received {quality!r}"
            )

    def _load(self, info: ModelInfo) -> Model:
        return _load(info)

    def _best_quality(self, info: ModelInfo) -> int:
        return learned.read_card(info, "latents", _CARD)["rates"]

    def _encode_batch(
        self, images: np.ndarray, quality: float, *, verify: bool = True
    ) -> list[bytes]:
        return _encode(self._own_model(), images, quality, verify)

    def _parse(
        self, data: bytes, layers: int | None, limits: bitstream.Limits
    ) -> _Parsed:
        base.check_one_layer(self.name, layers)
        stream = self._read(data, limits)
        if [(chunk.type, chunk.layer) for chunk in stream.chunks] != [("signal", 0)]:
            raise errors.BitstreamError(
                f"a stream of {self.name} has one chunk `signal` of layer 0, this one "
                f"has {', '.join(f'{c.type} {c.layer}' for c in stream.chunks[:9])}"
            )
        header = stream.header
        return _parse_payload(
            self._model_of(header.fingerprint),
            stream.chunks[0].payload,
            header.height,
            header.width,
        )

    def _decode_batch(self, parsed: Sequence[_Parsed]) -> np.ndarray:
        return _decode(parsed)


@dataclasses.dataclass(frozen=True)
class _Parsed:
    """A payload taken apart, of a believable size."""

    model: Model
    size: tuple[int, int]
    quality: float
    z: bytes
    y: bytes
    check: bytes

    @property
    def alike(self) -> tuple:
        """What files that are decoded together have in common."""
        return self.model.fingerprint, self.size, self.quality


def _encode(
    model: Model, images: np.ndarray, quality: float, verify: bool
) -> list[bytes]:
    """Encodes uint8 [B,H,W,3] to B files."""
    import numpy as np

    from tfsemcomp.entropy import checks, range_coder

    count, height, width = images.shape[:3]
    extra = _quality_input(model, count, quality)
    padded = learned.pad(images, model.multiple).astype(np.float32)
    found = model.runner.call("analyze", images=padded, **extra)
    y = found["y"]
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
    header = bitstream.Header("hyperprior", model.fingerprint, width, height)
    quality_byte = _quality_byte(model, quality)
    files = []
    for number in range(count):
        check = checks.symbol_check(_ints(quality_byte), z[number], symbols[number])
        head = quality_byte + bitstream.varint(len(coded_z[number]))
        body = head + coded_z[number] + coded_y[number]
        body = body.ljust(learned.least_bytes(height, width) - len(check), b"\0")
        payload = body + check
        files.append(bitstream.write(header, [bitstream.Chunk("signal", payload)]))
    return files


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


def _parse_payload(model: Model, payload: bytes, height: int, width: int) -> _Parsed:
    from tfsemcomp.entropy.checks import SYMBOL_CHECK_BYTES

    learned.check_length(payload, height, width)
    offset, quality = 0, 1.0
    if model.rates > 1:
        if not payload:
            raise errors.BitstreamError("the payload ends before its quality")
        offset, quality = 1, 1 + payload[0] * QUALITY_STEP
        if quality > model.rates:
            raise errors.BitstreamError(
                f"the payload has quality {quality:g}, the model ends at {model.rates}"
            )
    length, offset = bitstream.read_varint(payload, offset, "length of z")
    end = len(payload) - SYMBOL_CHECK_BYTES
    if offset + length > end:
        raise errors.BitstreamError(
            f"the payload declares {length} bytes of z, it has {end - offset}"
        )
    return _Parsed(
        model=model,
        size=(height, width),
        quality=quality,
        z=payload[offset : offset + length],
        # The coder leaves out zeros at the end, so those that are there fill up.
        y=payload[offset + length : end].rstrip(b"\0"),
        check=payload[end:],
    )


def _decode(parsed: Sequence[_Parsed]) -> np.ndarray:
    """Decodes payloads of one size, model and quality: uint8 [B,H,W,3]."""
    import numpy as np

    from tfsemcomp.entropy import checks, range_coder

    model, quality = parsed[0].model, parsed[0].quality
    height, width = parsed[0].size
    count = len(parsed)
    extra = _quality_input(model, count, quality)
    rows, columns = model.latent_size(height, width)
    if model.hyper_stride:
        z = range_coder.decode_channels(
            model.tables["z"],
            [item.z for item in parsed],
            (
                rows // model.hyper_stride,
                columns // model.hyper_stride,
                model.hyper_channels,
            ),
        )
        told = model.runner.call("hyper_synthesis", z=z, **extra)
        index, mu = told["index"], told["mu"]
    else:
        if any(item.z for item in parsed):
            raise errors.BitstreamError("the payload has a z, its model has none")
        z, mu = np.zeros((count, 0), np.int32), np.float32(0)
        shape = (count, rows, columns, model.channels)
        index = range_coder.channel_indexes(model.tables["y"], shape)
    symbols = range_coder.decode(model.tables["y"], [i.y for i in parsed], index)
    quality_ints = _ints(_quality_byte(model, quality))
    for number, item in enumerate(parsed):
        found = checks.symbol_check(quality_ints, z[number], symbols[number])
        if found != item.check:
            raise errors.BitstreamError(
                "the decoded symbols do not match their check: the stream is damaged, "
                "or this machine computes its tables' indexes differently"
            )
    y_hat = symbols.astype(np.float32) + mu
    found = model.runner.call("synthesize", y_hat=y_hat, **extra)["images"]
    return learned.to_pixels(found, height, width)


def _quality_input(model: Model, count: int, quality: float) -> dict[str, np.ndarray]:
    """What models of many rates take beside their tensors."""
    import numpy as np

    if model.rates == 1:
        return {}
    return {"quality": np.full(count, quality, np.float32)}


def _ints(data: bytes) -> np.ndarray:
    """The bytes as int32 [len(data)], for the symbol check."""
    import numpy as np

    return np.frombuffer(data, np.uint8).astype(np.int32)


def _quality_byte(model: Model, quality: float) -> bytes:
    if model.rates == 1:
        return b""
    return bytes([int((quality - 1) / QUALITY_STEP)])
