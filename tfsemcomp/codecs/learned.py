"""What the codecs of trained models share: their model, batches, padding, limits.

pictures uint8 [B,H,W,3] --pad--> whole cells --the codec's networks--> B files
file --fingerprint--> model --networks--> crop, round --> uint8 [H,W,3]
"""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from tfsemcomp import bitstream, deadline, errors
from tfsemcomp.codecs import base

if TYPE_CHECKING:
    import numpy as np

    from tfsemcomp.serving.manifest import ModelInfo

# Pictures of one colour code to next to nothing. Their first payload is filled up with
# zeros to a byte for so many pixels, so that few bytes never claim a large picture.
PIXELS_PER_BYTE = 2**14


class Model(Protocol):
    """What every loaded model has."""

    fingerprint: bytes


# Rows over which what is not shown of a padded picture fades.
_FADE = 16


class Parsed(Protocol):
    """A file taken apart, of a believable size.

    Attributes:
        alike: files that can be decoded together have it in common.
    """

    alike: tuple


class LearnedCodec(base.Codec):
    """A codec whose networks come from a model folder; its files tell which one.

    Attributes:
        quality_range: begins at 1; where it ends is the model's own, as is the default,
            its middle. Without any model the class's own.

    Args:
        model: name or path; None for the default.
        server: that runs its networks, see `serving.addresses`; None runs them here.
            Tables and cards are read here.
    Raises:
        ValueError: if `server` is no address.
        SemCompError: if there is no such model, or its card lacks what must be known.
    """

    suffix = ".tfsc"
    source = "a trained model"
    uses_model = True

    def __init__(self, *, model: str | None = None, server: str | None = None) -> None:
        super().__init__(model=model, server=server)
        # Without a default model, files still find theirs.
        missing = contextlib.nullcontext()
        if model is None:
            missing = contextlib.suppress(errors.SemCompError)
        with missing:
            best = self._best_quality(self._find())
            self.quality_range = (1, best)
            self.default_quality = (best + 1) // 2

    def compress_batch(
        self,
        images: Sequence[np.ndarray],
        *,
        quality: float | None = None,
        **settings: Any,
    ) -> list[bytes]:
        """Encodes pictures of one size in one go.

        The files are those of `compress`, up to symbols that float32 sums in another
        order round differently; all decode alike.

        Args:
            images: uint8 [H,W,3] each.
            quality: as of `compress`.
            **settings: as of `compress`, but no targets.
        Raises: ValueError if an argument is wrong; SemCompError as `compress`.
        """
        import numpy as np

        from tfsemcomp import images as image_files

        known = [setting.name for setting in self.settings if not setting.target]
        for name in settings:
            if name not in known:
                raise ValueError(
                    f"`{name}` is no setting for batches of {self.name}; they have "
                    f"quality, {', '.join(known)}"
                )
        checked = self.check_settings(quality=quality, **settings)
        for image in images:
            image_files.check_pixels(image)
        if len({image.shape for image in images}) != 1:
            raise ValueError(
                "`images` must be at least one picture, all of one size, received "
                f"{[image.shape for image in images]}"
            )
        quality = self.default_quality if quality is None else quality
        settings = {name: checked[name] for name in known}
        return self._encode_batch(np.stack(images), quality, **settings)

    def decompress_batch(
        self, data: Sequence[bytes], *, limits: bitstream.Limits | None = None
    ) -> list[np.ndarray]:
        """Decodes files of one size, model and quality in one go.

        Args:
            data: whole files.
            limits: of each, and of the time for all; None stands for `Limits()`.
        Returns: uint8 [H,W,3] each, as `decompress` gives them.
        Raises: ValueError if they differ in size, model or quality; else as
            `decompress`.
        """
        limits = limits or bitstream.Limits()
        with deadline.within(limits.seconds):
            parsed = [self._parse(item, None, limits) for item in data]
            if len({item.alike for item in parsed}) != 1:
                raise ValueError(
                    "`data` must be at least one file, all of one size, model and "
                    "quality"
                )
            return list(self._decode_batch(parsed))

    def _encode(self, image: np.ndarray, quality: float, **settings: Any) -> bytes:
        return self._encode_batch(image[None], quality, **settings)[0]

    def _decode(
        self, data: bytes, *, layers: int | None, limits: bitstream.Limits
    ) -> np.ndarray:
        return self._decode_batch([self._parse(data, layers, limits)])[0]

    @abc.abstractmethod
    def _load(self, info: ModelInfo) -> Model:
        """The model of a folder, made once for each server."""

    @abc.abstractmethod
    def _best_quality(self, info: ModelInfo) -> int:
        """The highest quality of a model, from its card."""

    @abc.abstractmethod
    def _encode_batch(
        self, images: np.ndarray, quality: float, **settings: Any
    ) -> list[bytes]:
        """Encodes uint8 [B,H,W,3] to B files, all settings present."""

    @abc.abstractmethod
    def _parse(
        self, data: bytes, layers: int | None, limits: bitstream.Limits
    ) -> Parsed:
        """Takes a file apart, as far as can be told without a network."""

    @abc.abstractmethod
    def _decode_batch(self, parsed: Sequence[Any]) -> np.ndarray:
        """Decodes files that are alike: uint8 [B,H,W,3]."""

    def _own_model(self) -> Any:
        return self._load(self._find())

    def _model_of(self, fingerprint: bytes) -> Any:
        """The codec's own model, or without a named one, whichever made the stream."""
        from tfsemcomp.serving import manifest

        if self.model is None:
            return self._load(manifest.with_fingerprint(fingerprint, self.name))
        info = self._find()
        if info.fingerprint == fingerprint:
            return self._load(info)
        raise errors.ModelMismatchError(
            f"the stream was made with a model of fingerprint {fingerprint.hex()}, "
            f"`{self.model}` has {info.fingerprint.hex()}"
        )

    def _find(self) -> ModelInfo:
        from tfsemcomp.serving import manifest

        return manifest.choose(self.model, self.name)

    def _read(self, data: bytes, limits: bitstream.Limits) -> bitstream.Stream:
        """Header and chunks of a stream of this codec."""
        stream = bitstream.read(data, limits=limits)
        if stream.header.codec != self.name:
            raise errors.BitstreamError(
                f"the stream is of codec {stream.header.codec}, not of {self.name}"
            )
        return stream


def read_card(
    info: ModelInfo, part: str, kinds: dict[str, Callable[[Any], Any]]
) -> dict[str, Any]:
    """What a codec must know of a model, from its card.json.

    Args:
        info: of the model.
        part: of the card.
        kinds: name of a fact in that part -> what makes it of its type.
    Raises: ModelMismatchError if the card has no such facts.
    """
    try:
        facts = info.card[part]
        return {name: kind(facts[name]) for name, kind in kinds.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise errors.ModelMismatchError(
            f"{info.path.parent}: its card.json does not describe the {part} of the "
            "model; export the model again"
        ) from error


def pad(images: np.ndarray, multiple: int) -> np.ndarray:
    """Mirrors pictures [B,H,W,C] at their lower and right edge to whole multiples."""
    import numpy as np

    rows, columns = (-side % multiple for side in images.shape[1:3])
    if not rows and not columns:
        return images
    return np.pad(images, ((0, 0), (0, rows), (0, columns), (0, 0)), mode="reflect")


def pad_for_coding(images: np.ndarray, multiple: int, block: int) -> np.ndarray:
    """Pads pictures as `pad` does, with little to code where nothing will be shown.

    The block that holds the last row is mirrored. Below it each column fades to the
    mean of that row, and what is right of the picture likewise.

    Args:
        images: uint8 [B,H,W,C].
        multiple: sides of the result are whole multiples of it.
        block: side of what a latent stands for, pixels; it divides `multiple`.
    Returns: float32 [B,H',W',C].
    """
    import numpy as np

    padded = pad(images, multiple).astype(np.float32)
    for axis, side in ((1, images.shape[1]), (2, images.shape[2])):
        shown = -(-side // block) * block
        lines = np.moveaxis(padded, axis, 1)
        if shown == lines.shape[1]:
            continue
        last = lines[:, shown - 1 : shown]
        mean = last.mean(axis=2, keepdims=True)
        share = np.arange(1, lines.shape[1] - shown + 1, dtype=np.float32) / _FADE
        share = np.minimum(share, 1)[None, :, None, None]
        lines[:, shown:] = last + share * (mean - last)
    return padded


def to_pixels(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Crops and rounds what networks give: float [B,H',W',3] -> uint8 [B,H,W,3]."""
    import numpy as np

    return np.rint(np.clip(images[:, :height, :width], 0, 255)).astype(np.uint8)


def least_bytes(height: int, width: int) -> int:
    """Of the first payload of a picture of this size."""
    return -(-height * width // PIXELS_PER_BYTE)


def check_length(payload: bytes, height: int, width: int) -> None:
    """Raises BitstreamError if a first payload is too short for its picture."""
    needed = least_bytes(height, width)
    if len(payload) < needed:
        raise errors.BitstreamError(
            f"the stream declares {width}x{height}, for which its payload needs at "
            f"least {needed} bytes; it has {len(payload)}"
        )


def check_verified(same: bool) -> None:
    """Raises SemCompError unless decoding gave what was coded."""
    if not same:
        raise errors.SemCompError(
            "the coded symbols did not decode to what was coded; nothing was written. "
            "Please report this with the image"
        )


# Of codecs that can look at their own work.
VERIFY_SETTING = base.Setting(
    "verify",
    bool,
    "Decode the coded symbols again before the file is given out.",
    default=True,
)
