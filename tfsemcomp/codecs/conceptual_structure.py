"""The structure of `conceptual`: from a picture to the lines that are sent, and back.

    x or a given map --extract, leave short lines out--> lines [H,W] of 0 and 1
    lines --max-pool--> plane [ceil(H/s), ceil(W/s)] --context mixing--> payload
    payload --context mixing--> plane --nearest--> what the generator sees [H,W]

Payload (docs/BITSTREAM.md is normative):

    flags 1 | length of the coded plane, varint: if filled up | coded plane | zeros
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

from tfsemcomp import bitstream, errors
from tfsemcomp.codecs import learned

if TYPE_CHECKING:
    import numpy as np

    from tfsemcomp.entropy.context_mixing import Primed

SCALES = (1, 2, 4)
# Known without importing semantics/edges.py; a test compares.
METHODS = ("canny", "canny_opencv", "sobel", "learned")
# A plane holds lines, 1, and what is between them, 0.
_SYMBOLS = 2
_SCALE_BITS = 0b11
_PRIMED_FLAG = 0b100
_FILLED_FLAG = 0b1000
_KNOWN_FLAGS = _SCALE_BITS | _PRIMED_FLAG | _FILLED_FLAG
# Of files of drawings, whose lines may be smoothed.
_WHITE = 127


@dataclasses.dataclass(frozen=True)
class Step:
    """What a quality sends of the lines.

    Attributes:
        scale: 1, 2 or 4 pixels to a sample of the plane, along each axis.
        threshold: by what the method's own is multiplied; of the method learned,
            whose strengths end at 1, its odds t / (1 - t).
        component: connected lines of fewer pixels are left out.
    """

    scale: int
    threshold: float
    component: int


# By quality from 1 on, each 1.3 to 1.7 times the bytes of the one before on average; of
# a few pictures a step costs less than the one before.
STEPS: tuple[Step, ...] = (
    Step(4, 4.0, 32),
    Step(4, 2.0, 24),
    Step(4, 1.0, 8),
    Step(2, 1.5, 24),
    Step(2, 1.0, 16),
    Step(1, 1.5, 24),
    Step(1, 1.0, 16),
    Step(1, 0.7, 0),
)


@dataclasses.dataclass(frozen=True)
class Drawing:
    """Which lines of a picture are sent, in place of what the quality says.

    Attributes:
        given: bool or integer array [H,W], or the path of an image; None to find the
            lines in the picture.
        method: of `semantics.edges`.
        sigma, model: of that method, as `edges.extract` takes them.
        base_threshold: what qualities multiply; None for the method's default.
        scale, threshold, component: in place of the quality's; the threshold in the
            method's measure. None leaves each to the quality.
    """

    given: Any
    method: str
    sigma: float | None
    model: str | None
    base_threshold: float | None
    scale: int | None
    threshold: float | None
    component: int | None

    def at(self, step: Step, image: np.ndarray) -> tuple[np.ndarray, int]:
        """The plane to send of a picture, and its scale.

        Args:
            step: of the quality.
            image: uint8 [H,W,3].
        Returns: uint8 [ceil(H/s), ceil(W/s)] of 0 and 1, and s.
        Raises: ValueError if a given map does not fit the picture; as `images.load`
            and `edges.extract`.
        """
        from tfsemcomp.semantics import edges

        scale = step.scale if self.scale is None else self.scale
        component = step.component if self.component is None else self.component
        if self.given is not None:
            lines = read_lines(self.given, *image.shape[:2])
        else:
            threshold = self.threshold
            if threshold is None:
                threshold = self._scaled_threshold(step.threshold)
            lines = edges.extract(
                image,
                self.method,
                threshold=threshold,
                sigma=self.sigma,
                model=self.model,
            )
        if component > 1:
            lines = edges.remove_short(lines, component)
        return edges.downscale(lines, scale), scale

    def _scaled_threshold(self, factor: float) -> float:
        from tfsemcomp.semantics import edges

        threshold = self.base_threshold
        if self.method != "learned":
            return factor * (threshold or edges.THRESHOLDS[self.method])
        if threshold is None:
            from tfsemcomp.serving import manifest

            if self.model is None:
                info = manifest.default_model(edges.SYSTEM)
            else:
                info = manifest.find(self.model)
            threshold = info.card.get(edges.THRESHOLD, edges.THRESHOLDS[self.method])
        return factor * threshold / (1 + (factor - 1) * threshold)


def read_lines(given: Any, height: int, width: int) -> np.ndarray:
    """A map that somebody gives, as lines.

    Args:
        given: bool [H,W]; or integers [H,W], 0 and 1, or 0 to 255 with lines above
            127; or the path of an image, lines brighter than 127.
        height, width: that it must have.
    Returns: uint8 [H,W], 1 on lines.
    Raises:
        ValueError: if it is none of these or of another size.
        SemCompError: as `images.load`.
    """
    import numpy as np

    if isinstance(given, (str, os.PathLike)):
        from tfsemcomp import images

        given = images.read(given).max(axis=-1)
    if not isinstance(given, np.ndarray) or given.dtype.kind not in "biu":
        found = getattr(given, "dtype", type(given).__name__)
        raise ValueError(
            "`structure` must be a map [H,W] of bool or integers, or the path of an "
            f"image, received {found}"
        )
    if given.shape != (height, width):
        raise ValueError(
            f"`structure` must have the picture's size, {width}x{height}, received "
            f"the shape {list(given.shape)}"
        )
    if given.min() < 0 or given.max() > 255:
        raise ValueError(
            "`structure` must have values from 0 to 255, received "
            f"{given.min()} to {given.max()}"
        )
    is_drawn = given.dtype.kind != "b" and given.max() > 1
    return (given > (_WHITE if is_drawn else 0)).astype(np.uint8)


def encode(
    plane: np.ndarray,
    scale: int,
    primed: Primed | None,
    height: int,
    width: int,
    verify: bool,
) -> bytes:
    """Makes the payload of a `structure` chunk, the shorter of primed and cold.

    Args:
        plane: uint8 [ceil(H/s), ceil(W/s)] of 0 and 1.
        scale: s.
        primed: of the model; None without.
        height, width: H and W.
        verify: whether the plane is decoded again.
    Raises: SemCompError if it does not decode to what it was.
    """
    from tfsemcomp.entropy import context_mixing

    flags = SCALES.index(scale)
    coded = context_mixing.encode(plane, _SYMBOLS)
    if primed is not None:
        better = context_mixing.encode(plane, _SYMBOLS, primed=primed)
        if len(better) < len(coded):
            coded, flags = better, flags | _PRIMED_FLAG
    head = b""
    needed = learned.least_bytes(height, width)
    if 1 + len(coded) < needed:
        flags |= _FILLED_FLAG
        head = bitstream.varint(len(coded))
    payload = (bytes([flags]) + head + coded).ljust(needed, b"\0")
    if verify:
        import numpy as np

        again = parse(payload, height, width).decode(primed)
        learned.check_verified(np.array_equal(again, plane))
    return payload


@dataclasses.dataclass(frozen=True)
class Parsed:
    """A payload taken apart.

    Attributes:
        scale: 1, 2 or 4.
        primed: whether the model's statistics were used.
        coded: the plane.
        size: H and W of the picture.
    """

    scale: int
    primed: bool
    coded: bytes
    size: tuple[int, int]

    def decode(self, primed: Primed | None) -> np.ndarray:
        """The plane: uint8 [ceil(H/s), ceil(W/s)] of 0 and 1.

        Args:
            primed: of the model; None if it has none.
        Raises: BitstreamError if the bytes are no such plane.
        """
        from tfsemcomp.entropy import context_mixing

        if self.primed and primed is None:
            raise errors.BitstreamError(
                "the structure was coded with statistics that its model does not have"
            )
        rows, columns = (-(-side // self.scale) for side in self.size)
        return context_mixing.decode(
            self.coded, rows, columns, _SYMBOLS, primed=primed if self.primed else None
        )

    def lines(self, primed: Primed | None) -> np.ndarray:
        """What the generator sees: uint8 [H,W] of 0 and 1."""
        from tfsemcomp.semantics import edges

        return edges.upscale(self.decode(primed), self.scale, *self.size)


def parse(payload: bytes, height: int, width: int) -> Parsed:
    """Takes the payload of a `structure` chunk apart.

    Raises: BitstreamError if it is too short for its picture, or says what this
        version does not know.
    """
    learned.check_length(payload, height, width)
    flags = payload[0]
    index = flags & _SCALE_BITS
    if flags & ~_KNOWN_FLAGS or index >= len(SCALES):
        raise errors.BitstreamError(
            f"the structure has flags {flags:#04x}, of which some are unknown here; a "
            "newer tfsemcomp may be needed"
        )
    coded = payload[1:]
    if flags & _FILLED_FLAG:
        length, start = bitstream.read_varint(payload, 1, "length of the plane")
        coded, rest = payload[start : start + length], payload[start + length :]
        if len(coded) < length or rest.strip(b"\0"):
            raise errors.BitstreamError(
                f"the structure declares {length} bytes of its plane and zeros after "
                "them, it has others"
            )
    return Parsed(SCALES[index], bool(flags & _PRIMED_FLAG), coded, (height, width))
