"""`semantic_enhanced`: any codec, a coded label map, and a network that adds details.

    x --base codec--> file --------------------> `base` chunk, layer 0, the picture x_b
    labels --smooth, halve, context mixing-----> `labels` chunk, layer 1
    instances --borders, given the labels' own-> `boundaries` chunk, layer 2
    x_b, labels, borders, codec, rate --synthesize--> x_hat

Labels are a given map, or what a segmenter finds in the original (both are sent), or
what it finds in x_b (no bytes but its fingerprint), or missing. Sent labels may be
coded with what it finds in x_b as side plane: then only what is wrong there costs much.
After layer 0 the file is that of the base codec, whose picture needs no model. Where
pictures drift, derived labels move pixels only. Corrected ones need a segmenter that
finds the same everywhere (serving/exact.py) and base pictures that are, and are
checked: no other result of a network selects a table.

Source: *JPD-SE: High-Level Semantics for Joint Perception-Distortion Enhancement in
Image Compression*, arXiv 2005.12810. There neither labels nor borders are coded or
counted. The coders, the derived labels, the conditions and the dial are ours.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfsemcomp import bitstream, errors
from tfsemcomp.codecs import (
    base,
    learned,
    nested,
    semantic_labels,
    semantic_model,
)
from tfsemcomp.codecs.semantic_model import Model

if TYPE_CHECKING:
    import numpy as np

    from tfsemcomp.serving.manifest import ModelInfo

BASES = (
    "jpeg",
    "webp",
    "jpeg2000",
    "avif",
    "heif",
    "jxl",
    "bpg",
    "msroi_jpeg",
    "hyperprior",
    "rnn",
)
MODES = ("given", "segment", "derived", "corrected", "none")
# Those that send labels, and those that segment.
_SENT = ("given", "segment", "corrected")
_SEGMENTING = ("segment", "derived", "corrected")
# Codecs that every decoder decodes in the same whole numbers.
EXACT_BASES = ("jpeg", "webp", "msroi_jpeg")
# Of a file, layer by layer.
_CHUNKS = ("base", "labels", "boundaries")
_BEST_QUALITY = 100
# Details are missing at low rates most.
_DEFAULT_QUALITY = 20
_MASKED_BASE = "msroi_jpeg"
# Smaller errors cost more bytes than they are worth to the picture.
_CORRECTED_AREA = 200


@base.register("semantic_enhanced")
class SemanticEnhancedCodec(learned.LearnedCodec):
    """Improves the pictures of other codecs by labels; see the module.

    Attributes:
        quality_range: 1 to 100, evenly spread over the qualities of the base codec:
            where that has 1 to 100, too, they are the same.

    Args, errors: see `LearnedCodec`.
    """

    summary = "Any codec, a coded label map, and a network that adds details."
    quality_range = (1, _BEST_QUALITY)
    default_quality = _DEFAULT_QUALITY
    settings = (
        base.Setting(
            "base", str, "Codec of the base picture.", default="jpeg", choices=BASES
        ),
        base.Setting(
            "base_quality",
            float,
            "Quality of the base codec, on its own scale.",
            target=True,
        ),
        base.Setting(
            "mode",
            # As of msroi_jpeg, whose modes have numbers, too.
            object,
            "Where labels come from: given, or segmented from the original, both sent; "
            "derived from the base picture, not sent; corrected: given or segmented, "
            "and sent as what differs from derived ones; or none. Default: given with "
            "`labels`, else segment.",
            choices=MODES,
        ),
        base.Setting(
            "labels", object, "Map of classes to send: a grey or indexed PNG file."
        ),
        base.Setting("segmenter", str, "Name or path of what finds labels."),
        base.Setting(
            "label_smoothing",
            int,
            "Side of the square whose most frequent label each pixel takes.",
            default=0,
            choices=semantic_labels.SMOOTHINGS,
        ),
        base.Setting(
            "label_scale",
            int,
            "Pixels to a sample of the labels, along each axis.",
            default=1,
            choices=semantic_labels.SCALES,
        ),
        base.Setting(
            "corrected_area",
            int,
            "Of mode corrected: pieces of wrong labels of fewer pixels stay as they "
            "are; 0 corrects all.",
            default=_CORRECTED_AREA,
            low=0,
        ),
        base.Setting(
            "instances",
            object,
            "Map of instances whose borders to send, too: a grey PNG file.",
        ),
        base.Setting(
            "importance",
            str,
            "How much classes matter to the base msroi_jpeg, such as 8:1,9:1,0:.2; "
            "those that are not named: 0.",
        ),
        learned.VERIFY_SETTING,
    )
    decode_settings = (
        base.Setting(
            "perception",
            float,
            "Of models with a dial: from 0, true to the original, to 1, pleasing.",
            default=0.0,
            low=0.0,
            high=1.0,
        ),
        base.Setting(
            "segmenter",
            str,
            "Name or path of the network that finds derived labels; default: the "
            "installed one that the file names.",
        ),
    )

    def __init__(self, *, model: str | None = None, server: str | None = None) -> None:
        super().__init__(model=model, server=server)
        self.default_quality = _DEFAULT_QUALITY

    def check_settings(self, **wishes: Any) -> dict[str, Any]:
        """Checks them against each other, too."""
        settings = super().check_settings(**wishes)
        settings["mode"] = _mode(settings)
        _check_together(settings)
        codec = base.get_codec_on(settings["base"], self.server)
        codec.check_available()
        if settings["base_quality"] is not None:
            codec.check_quality(settings["base_quality"])
        if settings["importance"] is not None:
            _importance(settings["importance"])
        return settings

    def base_quality(self, name: str, quality: float) -> float:
        """The quality of a base codec that one of ours stands for.

        Args:
            name: of the base codec.
            quality: 1 to 100.
        """
        low, high = self.quality_range
        found = base.get_codec(name).qualities()
        return found[round((quality - low) / (high - low) * (len(found) - 1))]

    def labels(
        self,
        data: bytes,
        *,
        segmenter: str | None = None,
        limits: bitstream.Limits | None = None,
    ) -> np.ndarray | None:
        """The labels of a file, None if it has none; a network only for derived ones.

        Args:
            data: a file, or the first layers of one.
            segmenter: as of `decompress`.
            limits: as of `decompress`.
        Returns: uint8 [H,W], 255 where there is no class.
        Raises: as `decompress`.
        """
        parsed = self._parse(data, None, limits or bitstream.Limits())
        if parsed.labels is None or parsed.labels.source == "none":
            return None
        return parsed.seen_labels(parsed.picture(), segmenter)

    def _load(self, info: ModelInfo) -> Model:
        return semantic_model.load(info, self.server)

    def _best_quality(self, info: ModelInfo) -> int:
        semantic_model.read_card(info)
        return _BEST_QUALITY

    def _encoder(self, image: np.ndarray, **settings: Any) -> _Encoder:
        return _Encoder(self, self._own_model(), image, settings)

    def _encode_batch(
        self, images: np.ndarray, quality: float, **settings: Any
    ) -> list[bytes]:
        return [self._encoder(image, **settings)(quality) for image in images]

    def _encode_to(
        self, image: np.ndarray, target: str, **settings: Any
    ) -> base.Encoded:
        encoder = self._encoder(image, **settings)
        return base.Encoded(encoder.file(settings[target]), None)

    def _decode(
        self,
        data: bytes,
        *,
        layers: int | None,
        limits: bitstream.Limits,
        perception: float = 0.0,
        segmenter: str | None = None,
    ) -> np.ndarray:
        parsed = self._parse(data, layers, limits)
        return _decode_alike([parsed], perception, segmenter)[0]

    def _decode_batch(self, parsed: Sequence[_Parsed]) -> np.ndarray:
        return _decode_alike(parsed, 0.0, None)

    def _parse(
        self, data: bytes, layers: int | None, limits: bitstream.Limits
    ) -> _Parsed:
        stream = self._read(data, limits)
        found = tuple((chunk.type, chunk.layer) for chunk in stream.chunks)
        if found != tuple((kind, i) for i, kind in enumerate(_CHUNKS))[: len(found)]:
            raise errors.BitstreamError(
                f"a stream of {self.name} has the chunks {', '.join(_CHUNKS)}, one a "
                f"layer, or the first of them; this one has "
                f"{', '.join(f'{kind} {layer}' for kind, layer in found[:9])}"
            )
        header = stream.header
        payloads = [chunk.payload for chunk in stream.chunks]
        labels = semantic_labels.parse(payloads[1]) if len(payloads) > 1 else None
        if len(payloads) > 2 and labels.source not in ("sent", "corrected"):
            raise errors.BitstreamError(
                "the stream has borders between instances without labels that were sent"
            )
        kept = payloads[:layers]
        return _Parsed(
            # The base picture needs no model.
            self._model_of(header.fingerprint) if len(kept) > 1 else None,
            (header.height, header.width),
            kept[0],
            labels if len(kept) > 1 else None,
            kept[2] if len(kept) > 2 else None,
            self.server,
        )


@dataclasses.dataclass(frozen=True)
class _Parsed:
    """A file taken apart.

    Attributes:
        model: that made it; None if there are only its bases.
        size: H and W.
        base: payload of its base picture.
        labels: None if the picture stays as it is.
        boundaries: payload of its borders; None without.
        server: where networks run; None for here.
    """

    model: Model | None
    size: tuple[int, int]
    base: bytes
    labels: semantic_labels.Parsed | None = None
    boundaries: bytes | None = None
    server: str | None = None

    @property
    def alike(self) -> tuple:
        """What files that are decoded together have in common."""
        return self.model and self.model.fingerprint, self.size

    def picture(self) -> np.ndarray:
        """The base picture: uint8 [H,W,3]."""
        return nested.decode(self.base, BASES, "base", *self.size, self.server)

    def seen_labels(self, picture: np.ndarray, segmenter: str | None) -> np.ndarray:
        """Its labels, uint8 [H,W], given the base picture."""
        import numpy as np

        classes = self.model.classes
        if self.labels.source == "none":
            return np.full(self.size, semantic_model.UNLABELLED, np.uint8)
        prediction = None
        if self.labels.source != "sent":
            info = semantic_labels.segmenter_of(self.labels.segmenter, segmenter)
            prediction = semantic_labels.predict(picture, info, classes, self.server)
            if self.labels.source == "derived":
                return prediction.labels
        return self.labels.decode(*self.size, classes, self.model.primed, prediction)

    def seen(self, segmenter: str | None) -> semantic_model.Seen:
        """What the network sees of the file."""
        picture = self.picture()
        labels = self.seen_labels(picture, segmenter)
        boundaries = semantic_labels.borders(labels)
        if self.boundaries is not None:
            boundaries = semantic_labels.decode_boundaries(self.boundaries, boundaries)
        codec, data = nested.unpack(self.base, BASES, "base")
        rate = 8 * len(data) / (self.size[0] * self.size[1])
        return semantic_model.Seen(picture, codec, rate, labels, boundaries)


def _decode_alike(
    parsed: Sequence[_Parsed], perception: float, segmenter: str | None
) -> np.ndarray:
    """Pictures of files that are alike: uint8 [B,H,W,3]."""
    import numpy as np

    model = parsed[0].model
    if model is None:
        return np.stack([item.picture() for item in parsed])
    seen = [item.seen(segmenter) for item in parsed]
    return semantic_model.enhance(model, seen, perception)


class _Encoder:
    """Makes files of a picture; labels are coded once for all qualities.

    Args:
        codec: whose qualities count.
        model: see there.
        image: uint8 [H,W,3].
        settings: of the codec, all present.
    """

    def __init__(
        self,
        codec: SemanticEnhancedCodec,
        model: Model,
        image: np.ndarray,
        settings: dict[str, Any],
    ) -> None:
        self._codec, self._model, self._image = codec, model, image
        self._settings = settings
        self._base = base.get_codec_on(settings["base"], codec.server)

    def __call__(self, quality: float) -> bytes:
        """The file of a quality."""
        return self.file(self._codec.base_quality(self._base.name, quality))

    def file(self, base_quality: float) -> bytes:
        """The file of a quality of the base codec."""
        # The size was checked with the image's.
        limits = bitstream.NO_LIMITS
        data = self._base.compress(
            self._image, quality=base_quality, limits=limits, **self._base_settings
        )
        height, width = self._image.shape[:2]
        header = bitstream.Header(
            self._codec.name, self._model.fingerprint, width, height
        )
        packed = nested.pack(self._base.name, data)
        payloads = [packed, *self._semantics(packed)]
        chunks = [
            bitstream.Chunk(kind, payload, layer)
            for layer, (kind, payload) in enumerate(
                zip(_CHUNKS, payloads, strict=False)
            )
        ]
        return bitstream.write(header, chunks)

    @functools.cached_property
    def _labels(self) -> np.ndarray:
        """Labels to send, before they are halved."""
        settings, classes = self._settings, self._model.classes
        if settings["labels"] is not None:
            size = self._image.shape[:2]
            labels = semantic_labels.read(settings["labels"], *size, classes)
        else:
            labels = semantic_labels.segment(
                self._image, self._segmenter, classes, self._codec.server
            )
        return semantic_labels.smooth(labels, settings["label_smoothing"])

    @functools.cached_property
    def _segmenter(self) -> ModelInfo:
        exact = self._settings["mode"] == "corrected"
        return semantic_labels.find_segmenter(self._settings["segmenter"], exact)

    def _semantics(self, packed: bytes) -> list[bytes]:
        """The payloads after that of the base picture, which is given."""
        mode = self._settings["mode"]
        if mode == "none":
            return [semantic_labels.NO_LABELS]
        if mode == "derived":
            return [semantic_labels.derived_payload(self._segmenter)]
        if mode == "corrected":
            return self._encode_labels(self._predict(packed))
        return self._sent

    @functools.cached_property
    def _sent(self) -> list[bytes]:
        """The payloads of labels that do not depend on the base picture."""
        return self._encode_labels(None)

    def _predict(self, packed: bytes) -> semantic_labels.Prediction:
        """What a decoder finds in the base picture."""
        info, server = self._segmenter, self._codec.server
        size = self._image.shape[:2]
        picture = nested.decode(packed, BASES, "base", *size, server)
        return semantic_labels.predict(picture, info, self._model.classes, server)

    def _encode_labels(
        self, prediction: semantic_labels.Prediction | None
    ) -> list[bytes]:
        """The payloads of labels and borders that are sent."""
        settings, model = self._settings, self._model
        labels = self._labels
        if prediction is not None:
            labels = semantic_labels.corrected(
                labels, prediction.labels, settings["corrected_area"]
            )
        payload, seen = semantic_labels.encode(
            labels,
            settings["label_scale"],
            model.classes,
            model.primed,
            settings["verify"],
            prediction,
        )
        if settings["instances"] is None:
            return [payload]
        if not model.boundaries:
            raise ValueError(
                "`instances` needs a model that looks at borders; this one does not"
            )
        instances = semantic_labels.read_instances(
            settings["instances"], *self._image.shape[:2]
        )
        drawn = semantic_labels.encode_boundaries(
            semantic_labels.borders(instances),
            semantic_labels.borders(seen),
            settings["verify"],
        )
        return [payload, drawn]

    @functools.cached_property
    def _base_settings(self) -> dict[str, Any]:
        """Settings of the base codec: where its bytes go."""
        import numpy as np

        if self._settings["importance"] is None:
            return {}
        table = np.zeros(256, np.float32)
        for label, value in _importance(self._settings["importance"]).items():
            if label >= self._model.classes:
                raise ValueError(
                    f"`importance` names the class {label}, the model has classes 0 to "
                    f"{self._model.classes - 1}"
                )
            table[label] = value
        return {"map": table[self._labels]}


def _mode(settings: dict[str, Any]) -> str:
    if settings["mode"] is not None:
        return settings["mode"]
    return "segment" if settings["labels"] is None else "given"


def _check_together(settings: dict[str, Any]) -> None:
    """Raises ValueError if settings contradict each other; all are present."""
    mode = settings["mode"]
    has_labels = settings["labels"] is not None
    if mode != "corrected" and (mode == "given") != has_labels:
        raise ValueError(
            f"`labels` is the map of `mode` given; give both or neither, received "
            f"`mode` {mode!r}"
        )
    if settings["segmenter"] is not None and mode not in _SEGMENTING:
        raise ValueError(
            f"`segmenter` is of `mode` {', '.join(_SEGMENTING)}, received {mode!r}"
        )
    if settings["corrected_area"] != _CORRECTED_AREA and mode != "corrected":
        raise ValueError(f"`corrected_area` is of `mode` corrected, received {mode!r}")
    if mode == "corrected" and settings["base"] not in EXACT_BASES:
        raise ValueError(
            "`mode` corrected needs a base whose pictures are the same on every "
            f"machine: {', '.join(EXACT_BASES)}; received {settings['base']!r}"
        )
    unused = {
        "label_smoothing": settings["label_smoothing"] == 0,
        "label_scale": settings["label_scale"] == 1,
        "instances": settings["instances"] is None,
        "importance": settings["importance"] is None,
    }
    for name, is_unused in unused.items():
        if not is_unused and mode not in _SENT:
            raise ValueError(f"`{name}` needs labels that are sent, `mode` is {mode!r}")
    if settings["importance"] is not None and settings["base"] != _MASKED_BASE:
        raise ValueError(
            f"`importance` needs the base {_MASKED_BASE}, which can spend its bytes "
            f"where a map says, received base {settings['base']!r}"
        )


def _importance(text: str) -> dict[int, float]:
    """Importance in [0, 1] by class.

    Raises: ValueError if the text does not tell it.
    """
    found: dict[int, float] = {}
    try:
        for part in text.split(","):
            label, value = part.split(":")
            found[int(label)] = float(value)
    except ValueError:
        found = {}
    if not found or min(found) < 0 or not all(0 <= v <= 1 for v in found.values()):
        raise ValueError(
            "`importance` must be classes with numbers from 0 to 1, such as "
            f"8:1,9:1,0:.2, received {text!r}"
        )
    return found
