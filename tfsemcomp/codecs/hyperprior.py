"""`hyperprior`: learned transform coding whose streams decode on any machine.

    x --pad, analyze--> y, z;  z --hyper_synthesis--> mu, scale index
    round(y - mu), z --entropy--> one `signal` chunk
    chunk --entropy--> z --hyper_synthesis--> index --entropy--> symbols
    symbols + mu --synthesize, crop--> x_hat

Coding is that of codecs/latents.py. Payload of the chunk (docs/BITSTREAM.md is
normative):

    quality 1 (many rates) | bytes of z varint | z | y | zeros | symbol check 2

Source: arXiv 1802.01436 (scale), arXiv 1809.02736 (mean and scale).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfsemcomp import bitstream, errors
from tfsemcomp.codecs import base, latents, learned

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


_CARD = {**latents.CARD, "rates": int}


@functools.lru_cache(maxsize=8)
def _load(info: ModelInfo, server: str | None) -> Model:
    """Makes the model of a folder; a server may run it."""
    from tfsemcomp.entropy import tables
    from tfsemcomp.serving import runner

    return Model(
        fingerprint=info.fingerprint,
        runner=runner.shared(info, server),
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
        return _load(info, self.server)

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
    body: latents.Body

    @property
    def alike(self) -> tuple:
        """What files that are decoded together have in common."""
        return self.model.fingerprint, self.size, self.quality


def _encode(
    model: Model, images: np.ndarray, quality: float, verify: bool
) -> list[bytes]:
    """Encodes uint8 [B,H,W,3] to B files."""
    height, width = images.shape[1:3]
    extra = _quality_input(model, len(images), quality)
    padded = learned.pad_for_coding(images, model.multiple, model.stride)
    found = model.runner.call("analyze", images=padded, **extra)
    least = learned.least_bytes(height, width)
    head = _quality_byte(model, quality)
    payloads = latents.encode(model, found, head, extra, least, verify)
    header = bitstream.Header("hyperprior", model.fingerprint, width, height)
    return [
        bitstream.write(header, [bitstream.Chunk("signal", payload)])
        for payload in payloads
    ]


def _parse_payload(model: Model, payload: bytes, height: int, width: int) -> _Parsed:
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
    body = latents.parse(payload, offset)
    return _Parsed(model, (height, width), quality, body)


def _decode(parsed: Sequence[_Parsed]) -> np.ndarray:
    """Decodes payloads of one size, model and quality: uint8 [B,H,W,3]."""
    model, quality = parsed[0].model, parsed[0].quality
    height, width = parsed[0].size
    extra = _quality_input(model, len(parsed), quality)
    y_hat = latents.decode(
        model,
        [item.body for item in parsed],
        model.latent_size(height, width),
        _quality_byte(model, quality),
        extra,
    )
    found = model.runner.call("synthesize", y_hat=y_hat, **extra)["images"]
    return learned.to_pixels(found, height, width)


def _quality_input(model: Model, count: int, quality: float) -> dict[str, np.ndarray]:
    """What models of many rates take beside their tensors."""
    import numpy as np

    if model.rates == 1:
        return {}
    return {"quality": np.full(count, quality, np.float32)}


def _quality_byte(model: Model, quality: float) -> bytes:
    if model.rates == 1:
        return b""
    return bytes([int((quality - 1) / QUALITY_STEP)])
