"""Producers: picture -> named values, to be stored beside it for training.

A producer is written KIND:NAME, with options behind semicolons:

| producer | options | planes |
|---|---|---|
| codec:CODEC_OR_MODEL | quality, layers, the codec's settings | picture, stream |
| roi:METHOD | model | map |
| edges:METHOD | threshold, sigma, model | map |

`codec` compresses the picture; `stream` is the file, cut to its first `layers` layers,
and `picture` what these decode to. So the lower layers of any layered codec are
there as the layers above them will see them: `codec:layered;quality=3;layers=2`. `roi`
takes the methods of semantics/roi.py, `edges` those of semantics/edges.py.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from tfsemcomp import api, bitstream
from tfsemcomp.codecs import base
from tfsemcomp.data import compressed
from tfsemcomp.errors import ModelMismatchError
from tfsemcomp.semantics import edges, roi
from tfsemcomp.serving import manifest

# What a plane may be.
PICTURE = "picture"  # uint8 [H,W,3], of the picture's size
MAP = "map"  # uint8 [H,W], of the picture's size
BYTES = "bytes"
Values = Mapping[str, np.ndarray | bytes]


class Producer(Protocol):
    """Makes named values of a picture. It can be sent to another process.

    Attributes:
        planes: what each value is: PICTURE, MAP or BYTES, by its name.
        fingerprint: of the model that makes them, in hexadecimal; empty without one.
    """

    planes: Mapping[str, str]
    fingerprint: str

    def __call__(self, pixels: np.ndarray) -> Values:
        """The values of a picture, uint8 [H,W,3].

        Raises:
            SemCompError: they cannot be made.
        """


def parse(text: str) -> Producer:
    """The producer that a text names; see this module.

    Raises:
        ValueError: an unknown kind, name or option.
        SemCompError: a model that is missing.
    """
    head, *options = text.split(";")
    kind, _, name = head.partition(":")
    if kind not in _KINDS or not name:
        raise ValueError(
            f"a producer is {', '.join(f'{known}:NAME' for known in _KINDS)}, with "
            f"options as ;quality=3; got '{text}'."
        )
    return _KINDS[kind](name, _parse_pairs(options))


def codec_of(text: str) -> str | None:
    """The codec that a producer's text names, itself or by a model; None for others.

    A codec need not run here.

    Raises:
        SemCompError: a model that is missing.
    """
    kind, _, name = text.partition(";")[0].partition(":")
    if kind != "codec":
        return None
    return name if name in base.codec_names() else api.load(name).name


def parse_settings(codec: base.Codec, texts: Iterable[str]) -> dict[str, Any]:
    """Settings of a codec from NAME=VALUE texts.

    Raises:
        ValueError: an unknown setting, or a value of another type.
    """
    return _parse_settings(codec, _parse_pairs(texts))


@dataclasses.dataclass(frozen=True)
class CodecProducer:
    """What a codec, or its first layers, makes of a picture.

    Attributes:
        sent: the codec.
        arguments: what `codec.encode` takes beside the picture.
        layers: how many to keep; None for all.
        fingerprint: of its model.
    """

    sent: compressed.SentCodec
    arguments: Mapping[str, Any]
    layers: int | None
    fingerprint: str
    planes = {"picture": PICTURE, "stream": BYTES}

    def __call__(self, pixels: np.ndarray) -> Values:
        """See `Producer`."""
        codec = self.sent.codec
        stream = codec.compress(pixels, **self.arguments)
        if bitstream.is_container(stream):
            self._check(stream)
            if self.layers is not None:
                stream = bitstream.truncate(stream, self.layers)
        picture = codec.decompress(stream, layers=self.layers)
        compressed.check_size(picture, pixels)
        return {"picture": picture, "stream": stream}

    def _check(self, stream: bytes) -> None:
        found = bitstream.read(stream).header.fingerprint.hex()
        if self.fingerprint and found != self.fingerprint:
            raise ModelMismatchError(
                f"the stream is of model {found}, not of {self.fingerprint}; load the "
                "model again."
            )


@dataclasses.dataclass(frozen=True)
class RoiProducer:
    """The map of what matters in a picture, 0..255.

    Attributes:
        method: one of `roi.METHODS`.
        model: of the network methods; None for the default.
        fingerprint: of the model.
    """

    method: str
    model: str | None
    fingerprint: str
    planes = {"map": MAP}

    def __call__(self, pixels: np.ndarray) -> Values:
        """See `Producer`."""
        found = roi.roi_map(pixels, self.method, self.model)
        return {"map": np.rint(255 * found).astype(np.uint8)}


@dataclasses.dataclass(frozen=True)
class EdgeProducer:
    """The edges of a picture, 255 on one.

    Attributes:
        method: one of `edges.METHODS`.
        options: of `edges.extract`.
        fingerprint: of the model; empty for the methods without one.
    """

    method: str
    options: Mapping[str, float | str]
    fingerprint: str
    planes = {"map": MAP}

    def __call__(self, pixels: np.ndarray) -> Values:
        """See `Producer`."""
        return {"map": edges.extract(pixels, self.method, **self.options) * 255}


def _codec(name: str, options: dict[str, str]) -> CodecProducer:
    codec = api.load(name)
    layers = options.pop("layers", None)
    if layers is not None:
        layers = base.Setting("layers", int, "", low=1).check(_number(int, layers))
    quality = options.pop("quality", None)
    arguments = _parse_settings(codec, options)
    if quality is not None:
        arguments["quality"] = _number(float, quality)
    codec.check_settings(**arguments)
    return CodecProducer(
        compressed.SentCodec(codec),
        arguments,
        layers,
        compressed.model_fingerprint(codec),
    )


def _roi(name: str, options: dict[str, str]) -> RoiProducer:
    if name not in roi.METHODS:
        raise ValueError(
            f"`roi` must be one of {', '.join(roi.METHODS)}; got '{name}'."
        )
    _check_names(options, ("model",) if name in roi.NETWORK_METHODS else ())
    model, fingerprint = options.get("model"), ""
    if name in roi.NETWORK_METHODS:
        info = manifest.choose(model or None, "msroi_jpeg")
        fingerprint = info.fingerprint.hex()
    return RoiProducer(name, model, fingerprint)


def _edges(name: str, options: dict[str, str]) -> EdgeProducer:
    if name not in edges.METHODS:
        raise ValueError(
            f"`edges` must be one of {', '.join(edges.METHODS)}; got '{name}'."
        )
    _check_names(options, ("threshold", "sigma", "model"))
    arguments = {
        key: text if key == "model" else _number(float, text)
        for key, text in options.items()
    }
    edges.check_options(name, **arguments)
    fingerprint = ""
    if name == "learned":
        fingerprint = edges.find_model(options.get("model")).fingerprint.hex()
    return EdgeProducer(name, arguments, fingerprint)


_KINDS: dict[str, Callable[[str, dict[str, str]], Producer]] = {
    "codec": _codec,
    "roi": _roi,
    "edges": _edges,
}


def _parse_pairs(texts: Iterable[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ValueError(f"settings are NAME=VALUE; got '{text}'.")
        pairs[name] = value
    return pairs


def _parse_settings(codec: base.Codec, options: Mapping[str, str]) -> dict[str, Any]:
    types = {setting.name: setting.type for setting in codec.settings}
    _check_names(options, [name for name in types if types[name] is not bytes])
    return {name: _typed(types[name], text) for name, text in options.items()}


def _typed(kind: type, text: str) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"a switch is true or false; got '{text}'.")
        return text.lower() == "true"
    return _number(kind, text) if kind in (int, float) else text


def _number(kind: type, text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(
            f"expected a number ({kind.__name__}); got '{text}'."
        ) from None


def _check_names(options: Iterable[str], known: Iterable[str]) -> None:
    for name in options:
        if name not in known:
            raise ValueError(
                f"`{name}` is no option here; there is {', '.join(known) or 'none'}."
            )
