"""`layered`: a caption, lines and latents in one stream, each a better picture.

    x --captioner--> text --entropy/text.py--> `text` chunk, layer 0
    text, noise --synthesize_text--> 128x128 --resize--> base1, the picture of layer 0
    x --means--> 8x8 colours --> `colour` chunk, layer 1, where asked for
    x --edges, max-pool--> plane --context mixing--> `structure` chunk, layer 1
    plane, base1, text --synthesize_structure--> base2, the picture of layer 1
    x, base2, plane --analyze--> y, z --latents.py--> `signal` chunk, layer 2
    y_hat, base2, plane --synthesize--> x_hat

Any layer may be missing and any prefix of whole chunks decodes: what a missing layer
would have painted is the picture of the layer before, middle grey before the first.
Colours correct base1 and base2. Text, lines and colours decode alike everywhere and the
tables of y depend on z alone, so a base picture that drifts moves pixels and never
breaks a stream.

Source: Zhang, S. Wang, M. Wang, J. Li, X. Wang, Kwong, *Rethinking Semantic Image
Compression: Scalable Representation with Cross-Modality Transfer*, IEEE TCSVT 33(8),
2023. The coder of the text, that of the lines, the colours, the base picture in the
analysis, the order of bytes and the search of seeds are ours.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tfsemcomp import bitstream, errors
from tfsemcomp.codecs import (
    base,
    conceptual_structure,
    latents,
    layered_model,
    layered_painting,
    learned,
)
from tfsemcomp.codecs.layered_model import Model
from tfsemcomp.codecs.layered_painting import Text

if TYPE_CHECKING:
    import numpy as np

    from tfsemcomp.serving.manifest import ModelInfo

PARTS = ("text", "structure", "signal")
# What a stream may hold, in this order.
_CHUNKS = (("text", 0), ("colour", 1), ("structure", 1), ("signal", 2))
# Chunks that a `meta` chunk of zeros fills up where they come first.
_SHORT = ("text", "colour")
# Lines are those of this step, at the scale that the model was trained with.
_STEP = conceptual_structure.Step(2, 1.0, 16)
MAX_SEEDS = 256
# Of a chunk's overhead, at least.
_CHUNK_BYTES = 6


@base.register("layered")
class LayeredCodec(learned.LearnedCodec):
    """Codes pictures as text, lines and latents; see the module.

    Attributes:
        quality_range: 1 to the number of the model's weights of the signal's error.

    Args, errors: see `LearnedCodec`.
    """

    summary = "A caption, lines and latents, each layer a better picture."
    quality_range = (1, 4)
    default_quality = 2
    settings = (
        base.Setting(
            "caption", str, "Text to send; default: what the model says of the picture."
        ),
        base.Setting(
            "caption_rate_weight",
            float,
            "Nats that a bit of the model's text must be worth; more gives less text.",
            default=0.0,
            low=0,
        ),
        base.Setting(
            "seeds",
            int,
            "How many seeds to paint the text with; the best one is sent.",
            default=1,
            low=1,
            high=MAX_SEEDS,
        ),
        base.Setting(
            "send",
            str,
            "Layers to send, between commas; default: text,structure,signal.",
        ),
        base.Setting(
            "colour", bool, "Send a thumbnail of 8x8 colours, too.", default=False
        ),
        *conceptual_structure.SETTINGS,
        base.Setting(
            "lmbda",
            int,
            "Quality by the lambda of the paper.",
            choices=tuple(layered_model.PRESETS),
            target=True,
        ),
        learned.VERIFY_SETTING,
    )

    def check_settings(self, **wishes: Any) -> dict[str, Any]:
        """Checks them against each other, too."""
        settings = super().check_settings(**wishes)
        parts = _parts(settings["send"])
        conceptual_structure.check_settings(settings)
        owners = dict.fromkeys(("caption", "caption_rate_weight"), "text")
        owners |= dict.fromkeys(("quality", "lmbda"), "signal")
        lines = (setting.name for setting in conceptual_structure.SETTINGS)
        owners |= dict.fromkeys(lines, "structure")
        for name, owner in owners.items():
            if owner not in parts and wishes.get(name) is not None:
                raise ValueError(
                    f"`{name}` is of the layer {owner}, which `send` leaves out"
                )
        if settings["seeds"] > 1 and "text" not in parts:
            raise ValueError("`seeds` is of the layer text, which `send` leaves out")
        if settings["caption"] is not None:
            _check_caption(settings["caption"])
        return settings

    def search(self, encoder: Callable[[float], bytes], size: int) -> base.Encoded:
        """Finds the best file of at most `size` bytes; see `base.Codec.search`.

        Where even the lowest quality is larger, layers are left off from the last on;
        the file has no quality then.
        """
        least = encoder(self.qualities()[0])
        if len(least) <= size:
            return super().search(encoder, size)
        facts = bitstream.describe(least, limits=bitstream.NO_LIMITS)
        smallest = facts["header_bytes"] + sum(
            chunk["bytes"]
            for chunk in facts["chunks"]
            if chunk["layer"] == facts["chunks"][0]["layer"]
        )
        if smallest > size:
            raise errors.SemCompError(
                f"{self.name} cannot make this image as small as {size} bytes; its "
                f"smallest file has {smallest} bytes, so ask for at least that"
            )
        cut = bitstream.truncate(least, max_bytes=size, limits=bitstream.NO_LIMITS)
        return base.Encoded(cut, None)

    def caption(
        self, data: bytes, *, limits: bitstream.Limits | None = None
    ) -> str | None:
        """The text of a file, None if it has none; runs no network.

        Args:
            data: a file, or the first layers of one.
            limits: as of `decompress`.
        Raises: as `decompress`.
        """
        parsed = self._parse(data, None, limits or bitstream.Limits())
        return None if parsed.text is None else parsed.text.caption

    def structure(
        self, data: bytes, *, limits: bitstream.Limits | None = None
    ) -> np.ndarray | None:
        """The lines of a file at the size of its picture, None if it has none.

        Args:
            data: a file, or the first layers of one.
            limits: as of `decompress`.
        Returns: uint8 [H,W] of 0 and 1, 1 on lines.
        Raises: as `decompress`.
        """
        parsed = self._parse(data, None, limits or bitstream.Limits())
        return None if parsed.structure is None else parsed.lines()

    @classmethod
    def ends_layer(cls, chunk: bitstream.Chunk) -> bool:
        """Colours come before the lines of their layer, and zeros before all else."""
        return chunk.type in PARTS

    def _load(self, info: ModelInfo) -> Model:
        return layered_model.load(info, self.server)

    def _best_quality(self, info: ModelInfo) -> int:
        return layered_model.count_qualities(info)

    def _encoder(self, image: np.ndarray, **settings: Any) -> _Encoder:
        return _Encoder(self._own_model(), image[None], settings)

    def _encode_batch(
        self, images: np.ndarray, quality: float, **settings: Any
    ) -> list[bytes]:
        return _Encoder(self._own_model(), images, settings).files(int(quality))

    def _encode_to(
        self, image: np.ndarray, target: str, **settings: Any
    ) -> base.Encoded:
        quality = layered_model.quality_of(settings[target], self._own_model().lmbdas)
        return base.Encoded(self._encoder(image, **settings)(quality), quality)

    def _parse(
        self, data: bytes, layers: int | None, limits: bitstream.Limits
    ) -> _Parsed:
        stream = self._read(data, limits)
        filling, chunks = _split(stream)
        _check_filling(stream.header, filling, chunks)
        kept = {c.type: c.payload for c in chunks if c.layer < (layers or 16)}
        if not kept:
            raise errors.SemCompError(
                f"`layers` must be at least {chunks[0].layer + 1} for this "
                f"stream, whose first layers are left out; received {layers}"
            )
        header = stream.header
        size = header.height, header.width
        model = self._model_of(header.fingerprint)
        text, structure, signal = (kept.get(name) for name in PARTS)
        return _Parsed(
            model=model,
            size=size,
            text=None if text is None else _parse_text(model, text),
            colour=kept.get("colour"),
            structure=None
            if structure is None
            else conceptual_structure.parse(structure, *size),
            signal=None if signal is None else _parse_signal(model, signal, *size),
        )

    def _decode_batch(self, parsed: Sequence[_Parsed]) -> np.ndarray:
        import numpy as np

        from tfsemcomp.codecs import layered_colour

        model, size = parsed[0].model, parsed[0].size
        texts = [item.text for item in parsed]
        colours = [
            None if item.colour is None else layered_colour.decode(item.colour)
            for item in parsed
        ]
        lines = None
        if parsed[0].structure is not None:
            lines = np.stack([item.lines() for item in parsed])
        picture = layered_painting.paint(model, texts, colours, lines, size)
        if parsed[0].signal is not None:
            signals = [item.signal for item in parsed]
            picture = _decode_signals(model, signals, picture, lines)
        return learned.to_pixels(picture, *size)


@dataclasses.dataclass(frozen=True)
class _Signal:
    """A payload of the last layer: its quality, from 0, and its latents."""

    quality: int
    body: latents.Body


@dataclasses.dataclass(frozen=True)
class _Parsed:
    """A file taken apart; None stands for what it does not have.

    Attributes:
        model: that made it.
        size: H and W.
        text: its caption.
        colour: payload of its colours.
        structure: its lines.
        signal: its latents.
    """

    model: Model
    size: tuple[int, int]
    text: Text | None
    colour: bytes | None
    structure: conceptual_structure.Parsed | None
    signal: _Signal | None

    @property
    def alike(self) -> tuple:
        """What files that are decoded together have in common."""
        return (
            self.model.fingerprint,
            self.size,
            self.text is None,
            self.structure is None,
            self.signal and self.signal.quality,
        )

    def lines(self) -> np.ndarray:
        """uint8 [H,W] of 0 and 1."""
        return self.structure.lines(self.model.primed)


class _Encoder:
    """Makes files of pictures of one size; of a single one, `encoder(quality)`.

    All but the latents is made once for all qualities.

    Args:
        model: see there.
        images: uint8 [B,H,W,3].
        settings: of the codec, all present.
    Raises: ValueError if more than one seed is wanted of a model without.
    """

    def __init__(
        self, model: Model, images: np.ndarray, settings: dict[str, Any]
    ) -> None:
        if settings["seeds"] > 1 and not model.text_seed:
            raise ValueError(
                "`seeds` above 1 needs a model that sends a seed with the text; this "
                "one does not"
            )
        self._model, self._images, self._settings = model, images, settings
        self._size = images.shape[1:3]
        self._parts = _parts(settings["send"])
        self._verify = settings["verify"]
        self._signals_of: dict[int, list[bytes]] = {}

    def __call__(self, quality: float) -> bytes:
        """The file of the only picture."""
        return self.files(int(quality))[0]

    def files(self, quality: int) -> list[bytes]:
        """The files of a quality."""
        columns: list[tuple[str, list[bytes]]] = []
        if "text" in self._parts:
            columns.append(("text", self._text_payloads))
        if self._settings["colour"]:
            columns.append(("colour", self._colour_payloads))
        if "structure" in self._parts:
            columns.append(("structure", self._structure_payloads))
        if "signal" in self._parts:
            columns.append(("signal", self._signals(quality)))
        kinds = [kind for kind, _ in columns]
        rows = zip(*(payloads for _, payloads in columns), strict=True)
        return [
            _write(self._model, self._size, list(zip(kinds, row, strict=True)))
            for row in rows
        ]

    @functools.cached_property
    def _texts(self) -> list[Text | None]:
        if "text" not in self._parts:
            return [None] * len(self._images)
        return [self._text_of(image) for image in self._images]

    def _text_of(self, image: np.ndarray) -> Text:
        model, caption = self._model, self._settings["caption"]
        if caption is None:
            from tfsemcomp.semantics import captions

            found = captions.describe(
                image,
                model.runner,
                model.vocabulary,
                text_model=model.text_model,
                rate_weight=self._settings["caption_rate_weight"],
            )
            caption = found[0][0]
        if not model.text_seed:
            return Text(caption, None)
        count = self._settings["seeds"]
        return layered_painting.best_seed(model, image, caption, count)

    @functools.cached_property
    def _text_payloads(self) -> list[bytes]:
        from tfsemcomp.entropy import text

        payloads = []
        for item in self._texts:
            coded = text.encode(item.caption, self._model.text_model)
            if self._verify:
                again = text.decode(coded, self._model.text_model)
                learned.check_verified(again == item.caption)
            payloads.append((b"" if item.seed is None else bytes([item.seed])) + coded)
        return payloads

    @functools.cached_property
    def _colour_payloads(self) -> list[bytes]:
        from tfsemcomp.codecs import layered_colour

        return [layered_colour.encode(image) for image in self._images]

    @functools.cached_property
    def _colours(self) -> list[np.ndarray | None]:
        from tfsemcomp.codecs import layered_colour

        if not self._settings["colour"]:
            return [None] * len(self._images)
        return [layered_colour.decode(payload) for payload in self._colour_payloads]

    @functools.cached_property
    def _planes(self) -> list[tuple[np.ndarray, int]]:
        """The lines of each picture as they are sent, and their scale."""
        model = self._model
        drawing = conceptual_structure.drawing(
            model.structure, self._settings, model.server
        )
        return [drawing.at(_STEP, image) for image in self._images]

    @functools.cached_property
    def _structure_payloads(self) -> list[bytes]:
        return [
            conceptual_structure.encode(
                plane,
                scale,
                self._model.primed,
                *self._size,
                self._verify,
                self._settings["structure_codec"],
            )
            for plane, scale in self._planes
        ]

    @functools.cached_property
    def _lines(self) -> np.ndarray | None:
        """What the networks see: uint8 [B,H,W]."""
        import numpy as np

        if "structure" not in self._parts:
            return None
        pairs = zip(self._structure_payloads, self._planes, strict=True)
        return np.stack(
            [
                conceptual_structure.seen_lines(
                    payload, *drawn, self._model.primed, *self._size
                )
                for payload, drawn in pairs
            ]
        )

    @functools.cached_property
    def _base(self) -> np.ndarray:
        """The picture of the layers before the signal: float32 [B,H,W,3]."""
        return layered_painting.paint(
            self._model, self._texts, self._colours, self._lines, self._size
        )

    def _signals(self, quality: int) -> list[bytes]:
        """The payloads of the latents of a quality."""
        if quality not in self._signals_of:
            model = self._model
            index = quality - 1
            found = model.runner.call(
                "analyze",
                images=learned.pad_for_coding(
                    self._images, model.multiple, model.stride
                ),
                **layered_painting.conditions(model, self._base, self._lines),
                **_quality(index, len(self._images)),
            )
            self._signals_of[quality] = latents.encode(
                model,
                found,
                bytes([index]),
                _quality(index, len(self._images)),
                learned.least_bytes(*self._size),
                self._verify,
            )
        return self._signals_of[quality]


def _quality(index: int, count: int) -> dict[str, np.ndarray]:
    """Which weight the latents are of, for networks."""
    import numpy as np

    return {"quality": np.full(count, index, np.int32)}


def _decode_signals(
    model: Model,
    signals: Sequence[_Signal],
    pictures: np.ndarray,
    lines: np.ndarray | None,
) -> np.ndarray:
    """The pictures of layer 2, float32 [B,H',W',3], not clipped."""
    index, size = signals[0].quality, pictures.shape[1:3]
    quality = _quality(index, len(signals))
    bodies = [signal.body for signal in signals]
    y_hat = latents.decode(
        model, bodies, model.latent_size(*size), bytes([index]), quality
    )
    conditions = layered_painting.conditions(model, pictures, lines)
    found = model.runner.call("synthesize", y_hat=y_hat, **conditions, **quality)
    return found["images"]


def _parts(send: str | None) -> tuple[str, ...]:
    """The layers that the setting `send` names.

    Raises: ValueError if they are none of them.
    """
    if send is None:
        return PARTS
    found = [name.strip() for name in send.split(",")]
    if not set(found) <= set(PARTS) or len(set(found)) != len(found):
        raise ValueError(
            f"`send` must name some of {', '.join(PARTS)}, each once and between "
            f"commas, received {send!r}"
        )
    return tuple(name for name in PARTS if name in found)


def _check_caption(caption: str) -> None:
    """Raises ValueError unless a text can be sent and says something."""
    from tfsemcomp.entropy.text import MOST_BYTES

    if not caption.strip():
        raise ValueError(
            "`caption` must hold a word; leave text out of `send` for none"
        )
    try:
        size = len(caption.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"`caption` must be valid Unicode: {error}") from error
    if size > MOST_BYTES:
        raise ValueError(
            f"`caption` must have at most {MOST_BYTES} bytes of UTF-8, received {size}"
        )


def _write(
    model: Model, size: tuple[int, int], payloads: Sequence[tuple[str, bytes]]
) -> bytes:
    """A file of payloads by their kinds, in order."""
    height, width = size
    header = bitstream.Header("layered", model.fingerprint, width, height)
    layers = dict(_CHUNKS)
    chunks = [
        bitstream.Chunk(kind, payload, layers[kind]) for kind, payload in payloads
    ]
    first = chunks[0]
    if first.type in _SHORT:
        found = len(bitstream.write(header, [first]))
        missing = learned.least_bytes(height, width) - found
        if missing > 0:
            zeros = bytes(max(missing - _CHUNK_BYTES, 0))
            chunks.insert(0, bitstream.Chunk("meta", zeros, first.layer))
    return bitstream.write(header, chunks)


def _split(
    stream: bitstream.Stream,
) -> tuple[tuple[bitstream.Chunk, ...], tuple[bitstream.Chunk, ...]]:
    """The chunk that fills a stream up, if there is one, and the others.

    Raises: BitstreamError unless these are chunks of `layered` in their order.
    """
    chunks = stream.chunks
    start = int(chunks[0].type == "meta")
    found = [(chunk.type, chunk.layer) for chunk in chunks[start:]]
    order = [_CHUNKS.index(kind) for kind in found if kind in _CHUNKS]
    if not found or len(order) < len(found) or order != sorted(set(order)):
        raise errors.BitstreamError(
            "a stream of layered has one chunk a layer, text, structure and signal, or "
            "some of them, and colour before structure; this one has "
            f"{', '.join(f'{c.type} {c.layer}' for c in chunks[:9])}"
        )
    return chunks[:start], chunks[start:]


def _check_filling(
    header: bitstream.Header,
    filling: Sequence[bitstream.Chunk],
    chunks: Sequence[bitstream.Chunk],
) -> None:
    """Refuses few bytes that claim a large picture.

    Raises: BitstreamError if the stream is shorter, up to its first chunk of content,
        than its picture asks for, or is filled up with something else than zeros.
    """
    first = chunks[0]
    if filling and (
        first.type not in _SHORT
        or filling[0].layer != first.layer
        or filling[0].payload.strip(b"\0")
    ):
        raise errors.BitstreamError(
            "a chunk meta of layered holds zeros, before a first chunk text or colour "
            "of its layer; this one does not"
        )
    needed = learned.least_bytes(header.height, header.width)
    found = len(bitstream.write(header, [*filling, first]))
    if first.type in _SHORT and found < needed:
        raise errors.BitstreamError(
            f"the stream declares {header.width}x{header.height}, for which it needs "
            f"at least {needed} bytes up to the end of its {first.type}; it has {found}"
        )


def _parse_text(model: Model, payload: bytes) -> Text:
    """Text and seed of a payload.

    Raises: BitstreamError if it is damaged, as far as can be seen.
    """
    from tfsemcomp.entropy import text

    seed = None
    if model.text_seed:
        if not payload:
            raise errors.BitstreamError("the text ends before its seed")
        seed, payload = payload[0], payload[1:]
    return Text(text.decode(payload, model.text_model), seed)


def _parse_signal(model: Model, payload: bytes, height: int, width: int) -> _Signal:
    """Quality and latents of a payload.

    Raises: BitstreamError if it is cut or of a quality that the model does not have.
    """
    learned.check_length(payload, height, width)
    if not payload or payload[0] >= len(model.lmbdas):
        raise errors.BitstreamError(
            f"the signal has quality {payload[:1].hex() or 'nothing'}, its model has 0 "
            f"to {len(model.lmbdas) - 1}"
        )
    return _Signal(payload[0], latents.parse(payload, 1))
