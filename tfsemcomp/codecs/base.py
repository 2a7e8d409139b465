"""What every codec is: pixels to bytes and back, with one meaning of quality and rate.

A codec is a class that states its facts as class attributes, its flags as `Setting`s,
and implements `_encode` and `_decode`:

    @base.register("name")
    class NameCodec(base.Codec):
        summary = "One line."
        suffix = ".jpg"
        quality_range = (1, 100)
        default_quality = 75
        settings = (base.Setting("mode", int, "What it does.", choices=(1, 2)),)

        def _encode(self, image, quality, **settings): ...
        def _decode(self, data, *, layers, limits): ...

and a line in `_MODULES`, which keeps the list of codecs known without importing any.
Modules of codecs must be cheap to import, since the command reads its flags from them:
numpy and Pillow at most; TensorFlow, numba and the like belong inside functions.
"""

from __future__ import annotations

import abc
import dataclasses
import importlib
import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tfsemcomp import bitstream, deadline, errors

if TYPE_CHECKING:
    import numpy as np

_CLASSICAL = "tfsemcomp.codecs.classical"
# Where each codec of this package registers itself; imported when it is asked for.
_MODULES: dict[str, str] = {
    "msroi_jpeg": "tfsemcomp.codecs.msroi_jpeg",
    "rnn": "tfsemcomp.codecs.rnn",
    "hyperprior": "tfsemcomp.codecs.hyperprior",
    "layered": "tfsemcomp.codecs.layered",
    "conceptual": "tfsemcomp.codecs.conceptual",
    "semantic_enhanced": "tfsemcomp.codecs.semantic_enhanced",
    "jpeg": _CLASSICAL,
    "webp": _CLASSICAL,
    "jpeg2000": _CLASSICAL,
    "avif": _CLASSICAL,
    "heif": _CLASSICAL,
    "jxl": _CLASSICAL,
    "bpg": "tfsemcomp.codecs.bpg",
}
_REGISTRY: dict[str, type[Codec]] = {}
CodecClass = TypeVar("CodecClass", bound="type[Codec]")


@dataclasses.dataclass(frozen=True)
class Setting:
    """One keyword of a codec's `compress`, which is also a flag of the command.

    Attributes:
        name: the keyword, with underscores.
        type: bool, int, float or str; bytes and object take no flag of that type:
            bytes has none, object (anything; the codec checks it) is text there.
        help: one line, ends with a full stop.
        default: the value if nothing, or None, is given.
        choices: the values allowed; empty allows all of the type.
        low, high: the least and largest number allowed; None for no bound.
        target: the setting states the rate or the picture wanted in place of
            `quality`, `target_bpp` and `target_bytes` and excludes them. The codec
            then implements `_encode_to`.
    """

    name: str
    type: type
    help: str
    default: Any = None
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    target: bool = False

    def check(self, value: Any) -> Any:
        """Returns `value`, or the default for None; ValueError if it is not allowed."""
        if value is None:
            return self.default
        value = self._check_type(value)
        if self.choices and value not in self.choices:
            known = ", ".join(str(choice) for choice in self.choices)
            raise ValueError(
                f"`{self.name}` must be one of {known}, received {value!r}"
            )
        too_low = self.low is not None and value < self.low
        too_high = self.high is not None and value > self.high
        if too_low or too_high:
            raise ValueError(
                f"`{self.name}` must be {_bounds(self.low, self.high)}, "
                f"received {value!r}"
            )
        return value

    def _check_type(self, value: Any) -> Any:
        if self.type is object:
            return value
        if self.type is float:
            return _check_number(self.name, value)
        # A bool is an int to Python, but a slip to a user.
        is_bool = isinstance(value, bool)
        if self.type is int and isinstance(value, numbers.Integral) and not is_bool:
            return int(value)
        if isinstance(value, self.type) and is_bool == (self.type is bool):
            return value
        raise ValueError(
            f"`{self.name}` must be {self.type.__name__}, "
            f"received {value!r} ({type(value).__name__})"
        )


# The blocks that a file may carry beside its pixels, for codecs that can keep them.
METADATA_SETTINGS = (
    Setting("exif", bytes, "EXIF block to write into the file."),
    Setting("icc", bytes, "ICC profile to write into the file."),
)


@dataclasses.dataclass(frozen=True)
class CodecInfo:
    """A line of `list_codecs`.

    Attributes:
        name: what `get_codec` takes.
        summary: one line.
        quality_range: the lowest and highest quality.
        suffix: of the files it writes, with the dot.
        available: whether it can run here.
        reason: why not, and what to install; empty if available.
        source: the library or model behind it.
        default_quality: used if neither quality nor target is given.
        settings: the further keywords of `compress`.
    """

    name: str
    summary: str
    quality_range: tuple[float, float]
    suffix: str
    available: bool
    reason: str
    source: str
    default_quality: float
    settings: tuple[Setting, ...] = ()


@dataclasses.dataclass(frozen=True)
class Encoded:
    """What encoding gave.

    Attributes:
        data: the whole file.
        quality: the quality it was encoded with; None if the codec has none then.
        encodes: how often the image was encoded to find it.
    """

    data: bytes
    quality: float | None
    encodes: int = 1


class Codec(abc.ABC):
    """Turns uint8 RGB images into the bytes of a file and back.

    Objects hold no state of a call: threads may share one.

    Attributes:
        name: in the registry.
        summary: one line for lists.
        suffix: of the files it writes, with the dot; ".tfsc" for the container.
        other_suffixes: that such files may have too.
        quality_range: lowest and highest quality. Higher is always a bigger file and a
            better picture, whatever the system behind counts.
        default_quality: used if neither quality nor target is given.
        quality_step: grid of the search for a target; 1 means that only whole
            qualities exist. Range, default and step may be a model's own: then objects
            have values that differ from the class's.
        max_side: largest width and height that the format holds; None for no bound.
        source: the library or the model behind it.
        settings: the further keywords of `compress`.
        decode_settings: those of `decompress`; `_decode` takes them.
        uses_model: whether the constructor takes `model` and `server`.

    Args:
        model: name or path of a model, for codecs that run one; None for the default.
        server: of a TF Serving that hosts it, and all other models that the codec
            runs; see `serving.addresses`. None runs them here.

    Raises: ValueError if `model` or `server` is given to a codec without a model, or
        `server` is no address.
    """

    name: str
    summary: str
    suffix: str
    quality_range: tuple[float, float]
    default_quality: float
    other_suffixes: tuple[str, ...] = ()
    quality_step: float = 1
    max_side: int | None = None
    source: str = ""
    settings: tuple[Setting, ...] = ()
    decode_settings: tuple[Setting, ...] = ()
    uses_model: bool = False

    def __init__(self, *, model: str | None = None, server: str | None = None) -> None:
        if not self.uses_model and (model is not None or server is not None):
            given = "model" if model is not None else "server"
            raise ValueError(f"`{given}` was given, but {self.name} runs no model")
        if server is not None:
            from tfsemcomp.serving import addresses

            addresses.parse(server)
        self.model = model
        self.server = server

    @classmethod
    def unavailable_reason(cls) -> str | None:
        """Says what is missing and how to install it; None if the codec can run."""
        return None

    @classmethod
    def check_available(cls) -> None:
        """Raises UnavailableError if the codec cannot run here."""
        reason = cls.unavailable_reason()
        if reason is not None:
            raise errors.UnavailableError(f"{cls.name} is not available: {reason}")

    def check_settings(
        self,
        *,
        quality: float | None = None,
        target_bpp: float | None = None,
        target_bytes: int | None = None,
        **settings: Any,
    ) -> dict[str, Any]:
        """Checks the keywords of `compress` before any work is done.

        Returns: all settings of the codec, defaults filled in.
        Raises: ValueError if one is unknown or out of range, or if more than one of
            quality and targets is given.
        """
        checked = _check_settings(self.settings, settings, f"of {self.name}")
        wishes = {
            "quality": quality,
            "target_bpp": target_bpp,
            "target_bytes": target_bytes,
        }
        for setting in self.settings:
            if setting.target:
                wishes[setting.name] = settings.get(setting.name)
        given = [name for name, value in wishes.items() if value is not None]
        if len(given) > 1:
            names = " and ".join(f"`{name}`" for name in given)
            raise ValueError(f"{names} exclude each other; give one of them")
        if quality is not None:
            self.check_quality(quality)
        if target_bpp is not None and not _check_number("target_bpp", target_bpp) > 0:
            raise ValueError(f"`target_bpp` must be above 0, received {target_bpp!r}")
        if target_bytes is not None:
            Setting("target_bytes", int, "", low=1).check(target_bytes)
        return checked

    def check_quality(self, quality: float) -> None:
        """Raises ValueError unless `quality` is one of this codec."""
        low, high = self.quality_range
        value = _check_number("quality", quality)
        if not low <= value <= high:
            raise ValueError(
                f"`quality` of {self.name} must be {_bounds(low, high)}, "
                f"received {quality!r}"
            )
        if self.quality_step == 1 and value != int(value):
            raise ValueError(
                f"`quality` of {self.name} must be a whole number, received {quality!r}"
            )

    def qualities(self) -> list[float]:
        """All qualities that the search for a target may pick, rising."""
        low, high = self.quality_range
        count = int(round((high - low) / self.quality_step))
        return [low + self.quality_step * index for index in range(count + 1)]

    def compress(
        self,
        image: np.ndarray,
        *,
        quality: float | None = None,
        target_bpp: float | None = None,
        target_bytes: int | None = None,
        limits: bitstream.Limits | None = None,
        **settings: Any,
    ) -> bytes:
        """Encodes an image.

        Args:
            image: uint8 [H,W,3], RGB.
            quality: within `quality_range`; the default without it and without target.
            target_bpp: bits of the whole file per pixel, at most; the file is that of
                the highest quality that stays within.
            target_bytes: size of the whole file in bytes, at most, likewise.
            limits: of the image's size; None stands for `Limits()`.
            **settings: those of `settings`.

        Returns: the whole file.
        Raises:
            ValueError: if an argument is wrong.
            LimitError: if the image is larger than the limits or the format allow.
            UnavailableError: if a plug-in, program or model is missing.
            SemCompError: if no quality reaches the target.
        """
        return self.encode(
            image,
            quality=quality,
            target_bpp=target_bpp,
            target_bytes=target_bytes,
            limits=limits,
            **settings,
        ).data

    def encode(
        self,
        image: np.ndarray,
        *,
        quality: float | None = None,
        target_bpp: float | None = None,
        target_bytes: int | None = None,
        limits: bitstream.Limits | None = None,
        **settings: Any,
    ) -> Encoded:
        """Does what `compress` does and also tells the quality that was picked."""
        from tfsemcomp import images

        targets = {"target_bpp": target_bpp, "target_bytes": target_bytes}
        settings = self.check_settings(quality=quality, **targets, **settings)
        images.check_pixels(image)
        height, width = image.shape[:2]
        (limits or bitstream.Limits()).check_size(width, height)
        self._check_side(width, height)
        self.check_available()
        for setting in self.settings:
            if setting.target and settings[setting.name] is not None:
                return self._encode_to(image, setting.name, **settings)
        if target_bpp is not None:
            target_bytes = int(target_bpp * width * height / 8)
        encoder = self._encoder(image, **settings)
        if target_bytes is not None:
            return self.search(encoder, target_bytes)
        quality = self.default_quality if quality is None else quality
        return Encoded(encoder(quality), quality)

    def decompress(
        self,
        data: bytes,
        *,
        layers: int | None = None,
        limits: bitstream.Limits | None = None,
        allow_torn: bool = False,
        **settings: Any,
    ) -> np.ndarray:
        """Decodes a file.

        Args:
            data: the whole file.
            layers: how many layers of a layered stream to decode; None for all.
            limits: checked before anything is allocated; None stands for `Limits()`.
            allow_torn: decode what is whole of a container that is cut or damaged; it
                must be whole up to the end of a layer that the codec can decode. Other
                files must be whole.
            **settings: those of `decode_settings`.

        Returns: uint8 [H,W,3], RGB.
        Raises:
            ValueError: if an argument is wrong.
            BitstreamError: if the data are not a whole file of this codec.
            LimitError: if the image is larger than the limits allow, or decoding it
                takes longer.
            ModelMismatchError: if the file was made with another model.
            UnavailableError: if a plug-in, program or model is missing.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise ValueError(f"`data` must be bytes, received {type(data).__name__}")
        if layers is not None:
            Setting("layers", int, "", low=1).check(layers)
        checked = _check_settings(
            self.decode_settings, settings, f"for decoding files of {self.name}"
        )
        self.check_available()
        limits = limits or bitstream.Limits()
        data = bytes(data)
        if allow_torn and bitstream.is_container(data):
            data = bitstream.truncate(data, limits=limits, allow_torn=True)
        with deadline.within(limits.seconds):
            return self._decode(data, layers=layers, limits=limits, **checked)

    def search(self, encoder: Callable[[float], bytes], size: int) -> Encoded:
        """Finds the highest quality whose file is at most `size` bytes, by bisection.

        Args:
            encoder: quality -> file, as `_encoder` gives.
            size: in bytes.

        Returns: that file; 7 encodes for 100 qualities, 8 for 200.
        Raises: SemCompError naming the smallest size if even that is above.
        """
        return search(encoder, self.qualities(), size, self.name)

    @classmethod
    def ends_layer(cls, chunk: bitstream.Chunk) -> bool:
        """Whether a chunk of a stream is the last one of its layer."""
        del chunk
        return True

    def _check_side(self, width: int, height: int) -> None:
        if self.max_side is not None and max(width, height) > self.max_side:
            raise errors.LimitError(
                f"{self.name} holds at most {self.max_side} pixels a side, "
                f"the image has {width}x{height}; use another codec or a smaller image"
            )

    def _encoder(self, image: np.ndarray, **settings: Any) -> Callable[[float], bytes]:
        """Returns quality -> file; to be overridden where encodes can share work."""
        return lambda quality: self._encode(image, quality, **settings)

    @abc.abstractmethod
    def _encode(self, image: np.ndarray, quality: float, **settings: Any) -> bytes:
        """Encodes a checked image with all settings present."""

    def _encode_to(self, image: np.ndarray, target: str, **settings: Any) -> Encoded:
        """Encodes to the setting `target`, one of those declared with `target=True`."""
        raise NotImplementedError(
            f"{self.name} declares `{target}` without reaching it"
        )

    @abc.abstractmethod
    def _decode(
        self,
        data: bytes,
        *,
        layers: int | None,
        limits: bitstream.Limits,
        **settings: Any,
    ) -> np.ndarray:
        """Decodes checked arguments to uint8 [H,W,3].

        The settings are those of `decode_settings`, all present; codecs without any
        need not take them.
        """


def search(
    encoder: Callable[[float], bytes],
    qualities: Sequence[float],
    size: int,
    name: str = "the codec",
) -> Encoded:
    """Finds by bisection the highest quality whose file is at most `size` bytes.

    Args:
        encoder: quality -> file; sizes should rise with the quality. Where they do not
            quite, the file still is within `size`, and a slightly better one may exist.
        qualities: the candidates, rising.
        size: in bytes.
        name: of the codec, for the message.

    Returns: file and quality after at most floor(log2(len(qualities))) + 1 encodes.
    Raises: SemCompError naming the smallest size seen if all that was seen is above.
    """
    low, high = 0, len(qualities) - 1
    encodes, best, smallest = 0, None, None
    while low <= high:
        middle = (low + high) // 2
        data = encoder(qualities[middle])
        encodes += 1
        if smallest is None or len(data) < smallest:
            smallest = len(data)
        if len(data) <= size:
            best = data, qualities[middle]
            low = middle + 1
        else:
            high = middle - 1
    if best is None:
        raise errors.SemCompError(
            f"{name} cannot make this image as small as {size} bytes; its smallest "
            f"file has {smallest} bytes, so ask for at least that"
        )
    return Encoded(*best, encodes)


def check_one_layer(name: str, layers: int | None) -> None:
    """Raises ValueError if `layers` is not that of a codec without layers."""
    if layers not in (None, 1):
        raise ValueError(
            f"`layers` must be None or 1 for {name}, whose files have no layers, "
            f"received {layers}"
        )


def check_no_settings(name: str, settings: Mapping[str, Any]) -> None:
    """Raises ValueError if there are settings for decoding what has none."""
    _check_settings((), settings, f"for decoding {name}")


def register(name: str) -> Callable[[CodecClass], CodecClass]:
    """Class decorator that makes a codec known under `name`.

    Raises: ValueError if another class has the name.
    """

    def decorate(codec: CodecClass) -> CodecClass:
        known = _REGISTRY.get(name)
        if known is not None and known.__qualname__ != codec.__qualname__:
            raise ValueError(f"`name` {name!r} is taken by {known.__qualname__}")
        codec.name = name
        _REGISTRY[name] = codec
        return codec

    return decorate


def codec_names() -> list[str]:
    """Names of all codecs, without importing any."""
    return [*_MODULES, *(name for name in _REGISTRY if name not in _MODULES)]


def check_known(name: str) -> None:
    """Raises UnavailableError if the codec of a stream is not in this version."""
    if name not in codec_names():
        raise errors.UnavailableError(
            f"the stream was written by the codec {name}, which this tfsemcomp does "
            "not have; install a newer one: pip install --upgrade tfsemcomp"
        )


def codec_class(name: str) -> type[Codec]:
    """The class registered under `name`.

    Raises: ValueError, listing the names, if there is none.
    """
    if name not in _REGISTRY and name in _MODULES:
        importlib.import_module(_MODULES[name])
    if name not in _REGISTRY:
        raise ValueError(
            f"`codec` must be one of {', '.join(codec_names())}, received {name!r}"
        )
    return _REGISTRY[name]


def get_codec(name: str, **options: Any) -> Codec:
    """Makes a codec.

    Args:
        name: one of `codec_names()`.
        **options: of its constructor: `model` and `server` where it runs a model.

    Raises: ValueError if the name or an option is unknown.
    """
    return codec_class(name)(**options)


def get_codec_on(name: str, server: str | None) -> Codec:
    """Makes a codec with its default model, which runs on a server if it has any.

    Args:
        name: one of `codec_names()`.
        server: as of its constructor.
    """
    given = server is not None and codec_class(name).uses_model
    return get_codec(name, **({"server": server} if given else {}))


def list_codecs(names: Iterable[str] | None = None) -> list[CodecInfo]:
    """Describes the codecs, also those that cannot run here.

    Args:
        names: which; None for all.
    """
    return [_describe(codec_class(name)) for name in names or codec_names()]


def _describe(codec: type[Codec]) -> CodecInfo:
    reason = codec.unavailable_reason()
    return CodecInfo(
        name=codec.name,
        summary=codec.summary,
        quality_range=codec.quality_range,
        suffix=codec.suffix,
        available=reason is None,
        reason=reason or "",
        source=codec.source,
        default_quality=codec.default_quality,
        settings=codec.settings,
    )


def _check_settings(
    known: Iterable[Setting], given: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """All of the known settings, defaults filled in.

    Raises: ValueError if a given one is unknown or out of range.
    """
    settings = {setting.name: setting for setting in known}
    for name in given:
        if name not in settings:
            raise ValueError(
                f"`{name}` is no setting {where}; there are "
                f"{', '.join(settings) or 'none'}"
            )
    return {name: s.check(given.get(name)) for name, s in settings.items()}


def _check_number(name: str, value: Any) -> float:
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        raise ValueError(f"`{name}` must be a finite number, received {value!r}")
    return float(value)


def _bounds(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high}"
    if high is None:
        return f"at least {low}"
    return f"from {low} to {high}"
