"""`rnn`: progressive binary codes of a recurrent network, for people or for machines.

    x --pad, analyze--> codes [T,h,w,C] of -1 and 1 --bit_contexts--> T `codes` chunks
    chunks --bit_contexts--> the first q planes --synthesize, crop--> x_hat

Each iteration is a layer of the stream, so that a stream cut after q of them is the
file of quality q, byte for byte. Bits are coded under an exact integer network's
probabilities and decode alike everywhere; pixels may differ by a grey level between
machines.

**Adaptive files.** Each cell of 16x16 pixels takes part in as many iterations as make
its error, and a price for each iteration, least together. The price lets cells take
part in `quality` iterations on average, at most. With `adaptive="roi"` squared errors
count 4^(2 m - 1) times, m the mean of the ROI map in the cell: a quarter where nothing
matters, four times where all does.

Payload of a chunk (docs/BITSTREAM.md is normative):

    flags 1, machine_weight 1 (models with a dial): first chunk only | coded bits
    | zeros: first chunk only | symbol check 2

Source: arXiv 1910.03472.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tfsemcomp import bitstream, errors
from tfsemcomp.codecs import base, learned

if TYPE_CHECKING:
    import numpy as np

    from tfsemcomp.entropy.bit_contexts import BitModel
    from tfsemcomp.serving.manifest import ModelInfo
    from tfsemcomp.serving.runner import Runner

ADAPTIVE = ("none", "error", "roi")
# A squared error counts up to this factor more or less by the ROI map.
ROI_FACTOR = 4.0
# Halvings of the interval in which the price of an iteration lies.
_PRICE_STEPS = 40
_ADAPTIVE_FLAG = 1
# machine_weight travels as a byte.
_WEIGHT_STEPS = 255
_DEFAULT_WEIGHT = 0.0


@dataclasses.dataclass(frozen=True)
class Model:
    """What the codec needs of a trained model.

    Attributes:
        fingerprint: of its files.
        runner: runs its signatures.
        contexts: that its codes are coded with.
        stride: pixels to a cell, along each axis.
        iterations: T, its best quality.
        channels: C, bits of a cell in each iteration.
        machine_weight: 0 for people to 1 for machines; None for a model with a dial.
        server: where its networks and those of maps run; None for here.
    """

    fingerprint: bytes
    runner: Runner
    contexts: BitModel
    stride: int
    iterations: int
    channels: int
    machine_weight: float | None
    server: str | None

    @property
    def head_bytes(self) -> int:
        """What the first payload begins with."""
        return 1 if self.machine_weight is not None else 2


_CARD = {
    "stride": int,
    "iterations": int,
    "channels": int,
    "machine_weight": lambda value: None if value is None else float(value),
}


@functools.lru_cache(maxsize=8)
def _load(info: ModelInfo, server: str | None) -> Model:
    """Makes the model of a folder; a server may run it."""
    from tfsemcomp.entropy import bit_contexts
    from tfsemcomp.serving import runner

    model = Model(
        fingerprint=info.fingerprint,
        runner=runner.shared(info, server),
        contexts=bit_contexts.load(info.path / bit_contexts.FILE_NAME),
        server=server,
        **learned.read_card(info, "codes", _CARD),
    )
    contexts = model.contexts
    if (contexts.iterations, contexts.channels) != (model.iterations, model.channels):
        raise errors.ModelMismatchError(
            f"{info.path}: the contexts are of {contexts.iterations} iterations of "
            f"{contexts.channels} bits, the card tells {model.iterations} of "
            f"{model.channels}; export the model again"
        )
    return model


@base.register("rnn")
class RnnCodec(learned.LearnedCodec):
    """Codes pictures with a trained recurrent model; see the module.

    Attributes:
        quality_range: 1 to the iterations of the model. Every file holds the pictures
            of all lower qualities: `decompress(data, layers=quality)`.

    Args, errors: see `LearnedCodec`.
    """

    summary = "Progressive codes of a recurrent network, for people or for machines."
    quality_range = (1, 8)
    default_quality = 4
    settings = (
        base.Setting(
            "target_psnr",
            float,
            "Target: PSNR in dB, at least; the file is the smallest that has it.",
            low=0,
            target=True,
        ),
        base.Setting(
            "target_ms_ssim",
            float,
            "Target: MS-SSIM, at least; the file is the smallest that has it.",
            low=0,
            high=1,
            target=True,
        ),
        base.Setting(
            "machine_weight",
            float,
            "Whom the picture is for: 0 people to 1 machines; 0 if not given. Of "
            "models with a dial.",
            low=0,
            high=1,
        ),
        base.Setting(
            "adaptive",
            str,
            "Where bits go: everywhere alike (none), where errors are large (error), "
            "or where they are large and a map says that it matters (roi).",
            default="none",
            choices=ADAPTIVE,
        ),
        base.Setting(
            "map",
            object,
            "The map of `adaptive` roi, as msroi_jpeg takes it; that of its model if "
            "not given.",
        ),
        learned.VERIFY_SETTING,
    )

    def check_settings(self, **wishes: Any) -> dict[str, Any]:
        """Checks them against each other and against the model, too."""
        settings = super().check_settings(**wishes)
        if settings["map"] is not None and settings["adaptive"] != "roi":
            raise ValueError(
                "`map` is of `adaptive` roi, received `adaptive` "
                f"{settings['adaptive']!r}"
            )
        if settings["machine_weight"] is not None:
            own = _facts(self._find())["machine_weight"]
            if own is not None:
                raise ValueError(
                    "`machine_weight` is of models with a dial; this one was trained "
                    f"for {own:g}, leave it out"
                )
        return settings

    def search(self, encoder: Callable[[float], bytes], size: int) -> base.Encoded:
        """Finds the best file of at most `size` bytes; see `base.Codec.search`."""
        if isinstance(encoder, _Encoder):
            return encoder.to_size(size)
        return super().search(encoder, size)

    def _load(self, info: ModelInfo) -> Model:
        return _load(info, self.server)

    def _best_quality(self, info: ModelInfo) -> int:
        return _facts(info)["iterations"]

    def _encoder(self, image: np.ndarray, **settings: Any) -> _Encoder:
        return _Encoder(self._own_model(), image[None], settings)

    def _encode_to(
        self, image: np.ndarray, target: str, **settings: Any
    ) -> base.Encoded:
        encoder = self._encoder(image, **settings)
        return encoder.to_score(target.removeprefix("target_"), settings[target])

    def _encode_batch(
        self, images: np.ndarray, quality: float, **settings: Any
    ) -> list[bytes]:
        return _Encoder(self._own_model(), images, settings).files(int(quality))

    def _parse(
        self, data: bytes, layers: int | None, limits: bitstream.Limits
    ) -> _Parsed:
        stream = self._read(data, limits)
        found = [(chunk.type, chunk.layer) for chunk in stream.chunks]
        if found != [("codes", layer) for layer in range(len(found))]:
            raise errors.BitstreamError(
                f"a stream of {self.name} has one chunk `codes` for each layer, this "
                f"one has {', '.join(f'{kind} {layer}' for kind, layer in found[:17])}"
            )
        payloads = [chunk.payload for chunk in stream.chunks]
        model = self._model_of(stream.header.fingerprint)
        return _parse_payloads(model, stream.header, payloads, layers)

    def _decode_batch(self, parsed: Sequence[_Parsed]) -> np.ndarray:
        import numpy as np

        codes = np.stack([_decode_codes(item) for item in parsed])
        weights = [item.weight_byte for item in parsed]
        return _synthesize(parsed[0].model, codes, weights, parsed[0].size)


def _facts(info: ModelInfo) -> dict[str, Any]:
    """What the card tells of the codes."""
    return learned.read_card(info, "codes", _CARD)


@dataclasses.dataclass(frozen=True)
class _Codes:
    """What is coded of one picture.

    Attributes:
        planes: int8 [n,h,w,C], -1 or 1, 0 in cells that have stopped.
        stops: int32 [h,w], iterations that cells take part in; None for all.
    """

    planes: np.ndarray
    stops: np.ndarray | None


class _Encoder:
    """Makes files of pictures of one size; of a single one, `encoder(quality)`.

    The codes of all cells are kept, so that files of several qualities share them.

    Args:
        model: see there.
        images: uint8 [B,H,W,3].
        settings: of the codec, all present.
    """

    def __init__(
        self, model: Model, images: np.ndarray, settings: dict[str, Any]
    ) -> None:
        import numpy as np

        self._model, self._images = model, images
        self._verify = settings["verify"]
        self._adaptive = settings["adaptive"]
        self._map = settings["map"]
        weight = settings["machine_weight"]
        weight = _DEFAULT_WEIGHT if weight is None else weight
        self._weight_byte = round(weight * _WEIGHT_STEPS)
        self._padded = learned.pad(images, model.stride).astype(np.float32)
        rows, columns = (side // model.stride for side in self._padded.shape[1:3])
        self._grid = len(images), rows, columns
        # Codes int8 [B,n,h,w,C] and errors float32 [B,n,h,w] with no cell stopped.
        self._uniform: tuple[np.ndarray, np.ndarray] | None = None

    def __call__(self, quality: float) -> bytes:
        """The file of the only picture."""
        return self.files(int(quality))[0]

    def files(self, quality: int) -> list[bytes]:
        """The files of a quality."""
        return [self._file(codes) for codes in self._codes(quality)]

    def to_size(self, size: int) -> base.Encoded:
        """The best file of at most `size` bytes; SemCompError if there is none."""
        best = self._model.iterations
        if self._adaptive != "none":
            return base.search(self, range(1, best + 1), size, "rnn")
        whole = self(best)

        def cut(quality: float) -> bytes:
            return bitstream.truncate(whole, int(quality), limits=bitstream.NO_LIMITS)

        found = base.search(cut, range(1, best + 1), size, "rnn")
        return dataclasses.replace(found, encodes=1)

    def to_score(self, metric: str, goal: float) -> base.Encoded:
        """The file of the lowest quality whose picture reaches `goal`.

        Args:
            metric: a function of `metrics`; more is better.
            goal: that it must reach.
        Raises: SemCompError naming the best that was reached if none does.
        """
        from tfsemcomp import metrics

        measure = getattr(metrics, metric)
        best = self._model.iterations
        # All qualities will share these.
        self._run_uniform(best)
        scores = []
        for quality in range(1, best + 1):
            (codes,) = self._codes(quality)
            picture = _synthesize(
                self._model,
                codes.planes[None],
                [self._weight_byte],
                self._images.shape[1:3],
            )
            scores.append(measure(self._images[0], picture[0]))
            if scores[-1] >= goal:
                encodes = 1 if self._adaptive == "none" else quality
                return base.Encoded(self._file(codes), quality, encodes)
        raise errors.SemCompError(
            f"rnn reaches a {metric} of {max(scores):.4f} at most with this image, "
            f"`target_{metric}` asks for {goal:g}; ask for less or use another codec"
        )

    def _codes(self, quality: int) -> list[_Codes]:
        """The codes of each picture."""
        if self._adaptive == "none":
            planes, _ = self._run_uniform(quality)
            return [_Codes(item[:quality], None) for item in planes]
        import numpy as np

        _, found = self._run_uniform(self._model.iterations)
        weighted = found * self._error_weights[:, None]
        stops = np.stack([choose_stops(item, quality) for item in weighted])
        planes, _ = self._analyze(stops)
        return [
            _Codes(item[: own.max()], own)
            for item, own in zip(planes, stops, strict=True)
        ]

    @functools.cached_property
    def _error_weights(self) -> np.ndarray:
        """float32 [B,h,w], by what errors of cells are multiplied."""
        import numpy as np

        if self._adaptive != "roi":
            return np.ones(self._grid, np.float32)
        from tfsemcomp.semantics import roi

        server = self._model.server
        maps = np.stack(
            [roi.resolve_map(self._map, item, server=server) for item in self._images]
        )
        return roi_weights(maps, self._model.stride)

    def _run_uniform(self, quality: int) -> tuple[np.ndarray, np.ndarray]:
        """Codes and errors of `quality` iterations or more, with no cell stopped."""
        import numpy as np

        if self._uniform is None or self._uniform[0].shape[1] < quality:
            self._uniform = self._analyze(np.full(self._grid, quality, np.int32))
        return self._uniform

    def _analyze(self, stops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np

        found = self._model.runner.call(
            "analyze",
            images=self._padded,
            stops=stops,
            **_dial(self._model, [self._weight_byte] * len(stops)),
        )
        return found["codes"].astype(np.int8), found["errors"]

    def _file(self, codes: _Codes) -> bytes:
        from tfsemcomp.entropy import bit_contexts
        from tfsemcomp.entropy.checks import SYMBOL_CHECK_BYTES

        model = self._model
        payloads = bit_contexts.encode(model.contexts, codes.planes, codes.stops)
        if self._verify:
            _verify(model, payloads, codes)
        height, width = self._images.shape[1:3]
        head = bytes([_ADAPTIVE_FLAG if codes.stops is not None else 0])
        if model.machine_weight is None:
            head += bytes([self._weight_byte])
        coded, check = (
            payloads[0][:-SYMBOL_CHECK_BYTES],
            payloads[0][-SYMBOL_CHECK_BYTES:],
        )
        needed = learned.least_bytes(height, width) - len(check)
        payloads[0] = (head + coded).ljust(needed, b"\0") + check
        header = bitstream.Header("rnn", model.fingerprint, width, height)
        return bitstream.write(
            header,
            [
                bitstream.Chunk("codes", payload, layer)
                for layer, payload in enumerate(payloads)
            ],
        )


def stops_at(cell_errors: np.ndarray, price: float) -> np.ndarray:
    """Chooses in how many iterations each cell takes part, at a price for each.

    Args:
        cell_errors: float [T,h,w], mean squared error of each cell after each
            iteration, weighted or not.
        price: by how many grey levels an iteration must lower the root of it, >= 0.
    Returns: int32 [h,w], 1 to T: where root and price of all iterations together are
        least.
    """
    import numpy as np

    iterations = np.arange(1, len(cell_errors) + 1)[:, None, None]
    cost = np.sqrt(cell_errors) + price * iterations
    return 1 + cost.argmin(axis=0).astype(np.int32)


def choose_stops(cell_errors: np.ndarray, quality: float) -> np.ndarray:
    """Chooses in how many iterations each cell takes part.

    Args:
        cell_errors: as of `stops_at`.
        quality: at least 1.
    Returns: int32 [h,w] of `stops_at` at the lowest price at which cells take part in
        `quality` iterations on average, or fewer. What is left goes to cells that
        would go on for the least bit less, row by row: flat areas have many alike.
    """
    import numpy as np

    # Nobody gains so much.
    low, high = 0.0, 1.0 + float(np.sqrt(cell_errors.max()))
    for _ in range(_PRICE_STEPS):
        middle = (low + high) / 2
        if stops_at(cell_errors, middle).mean() <= quality:
            high = middle
        else:
            low = middle
    stops = stops_at(cell_errors, high)
    more = stops_at(cell_errors, low)
    left = quality * stops.size - stops.sum()
    return np.where(np.cumsum(more - stops).reshape(stops.shape) <= left, more, stops)


def roi_weights(maps: np.ndarray, stride: int) -> np.ndarray:
    """How much the errors of cells count: 4^(2 m - 1), m the mean of the map.

    Args:
        maps: float32 [B,H,W] in [0, 1].
        stride: pixels to a cell, along each axis.
    Returns: float32 [B,h,w], 1/4 to 4.
    """
    padded = learned.pad(maps[..., None], stride)[..., 0]
    count, height, width = padded.shape
    cells = padded.reshape(count, height // stride, stride, width // stride, stride)
    return ROI_FACTOR ** (2 * cells.mean(axis=(2, 4)) - 1)


def _verify(model: Model, payloads: Sequence[bytes], codes: _Codes) -> None:
    """Decodes what was coded; raises SemCompError unless it is what went in."""
    import numpy as np

    from tfsemcomp.entropy import bit_contexts

    size = codes.planes.shape[1:3]
    decoder = bit_contexts.Decoder(model.contexts, *size, codes.stops is not None)
    try:
        same = all(
            np.array_equal(decoder.take(payload), plane)
            for payload, plane in zip(payloads, codes.planes, strict=True)
        )
    except errors.BitstreamError:
        same = False
    learned.check_verified(same)


@dataclasses.dataclass(frozen=True)
class _Parsed:
    """Payloads of a believable number and size, without what fills them up."""

    model: Model
    size: tuple[int, int]
    adaptive: bool
    weight_byte: int
    payloads: tuple[bytes, ...]

    @property
    def alike(self) -> tuple:
        """What files that are decoded together have in common."""
        return self.model.fingerprint, self.size, len(self.payloads)


def _parse_payloads(
    model: Model,
    header: bitstream.Header,
    payloads: Sequence[bytes],
    layers: int | None,
) -> _Parsed:
    from tfsemcomp.entropy.checks import SYMBOL_CHECK_BYTES

    if len(payloads) > model.iterations:
        raise errors.BitstreamError(
            f"the stream has {len(payloads)} layers, its model {model.iterations} "
            "iterations"
        )
    first = payloads[0]
    learned.check_length(first, header.height, header.width)
    if len(first) < model.head_bytes + SYMBOL_CHECK_BYTES:
        raise errors.BitstreamError("the first payload ends before its check")
    if first[0] & ~_ADAPTIVE_FLAG:
        raise errors.BitstreamError(
            f"the stream has flags {first[0]:#04x}, of which some are unknown here; a "
            "newer tfsemcomp may be needed"
        )
    coded, check = (
        first[model.head_bytes : -SYMBOL_CHECK_BYTES],
        first[-SYMBOL_CHECK_BYTES:],
    )
    # The coder leaves out zeros at the end, so those that are there fill up.
    first_coded = coded.rstrip(b"\0") + check
    return _Parsed(
        model=model,
        size=(header.height, header.width),
        adaptive=bool(first[0] & _ADAPTIVE_FLAG),
        weight_byte=0 if model.machine_weight is not None else first[1],
        payloads=(first_coded, *payloads[1:])[:layers],
    )


def _decode_codes(parsed: _Parsed) -> np.ndarray:
    """int8 [n,h,w,C] of a file."""
    import numpy as np

    from tfsemcomp.entropy import bit_contexts

    model = parsed.model
    rows, columns = (-(-side // model.stride) for side in parsed.size)
    decoder = bit_contexts.Decoder(model.contexts, rows, columns, parsed.adaptive)
    return np.stack([decoder.take(payload) for payload in parsed.payloads])


def _synthesize(
    model: Model, codes: np.ndarray, weight_bytes: Sequence[int], size: tuple[int, int]
) -> np.ndarray:
    """Pictures of codes int8 [B,n,h,w,C]: uint8 [B,H,W,3]."""
    import numpy as np

    found = model.runner.call(
        "synthesize", codes=codes.astype(np.int32), **_dial(model, weight_bytes)
    )
    return learned.to_pixels(found["images"], *size)


def _dial(model: Model, weight_bytes: Sequence[int]) -> dict[str, np.ndarray]:
    """What models with a dial take beside their tensors."""
    import numpy as np

    if model.machine_weight is not None:
        return {}
    return {"machine_weight": np.float32(weight_bytes) / np.float32(_WEIGHT_STEPS)}
