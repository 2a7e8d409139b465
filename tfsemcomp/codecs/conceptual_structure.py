"""The structure of `conceptual` and `layered`: from a picture to lines, and back.

    x or a given map --extract, leave short lines out--> lines [H,W] of 0 and 1
    lines --max-pool--> plane [ceil(H/s), ceil(W/s)] --a coder of planes--> payload
    payload --coder--> plane --nearest--> what the generator sees [H,W]

The coder is context mixing; others are there to compare with. Of those, heic and vvc
lose something, and what they make brighter than middle grey is a line.

Payload (docs/BITSTREAM.md is normative):

    flags 1 | length of the coded plane, varint: if filled up | coded plane | zeros
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfsemcomp import bitstream, errors
from tfsemcomp.codecs import base, learned

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
_CODER_SHIFT = 4
# By their numbers in the flags.
CODERS = ("mixing", "vvc", "heic", "jxl", "webp")
_LOSSY_CODERS = ("vvc", "heic")
# Coders that write standard files: their codec, and its format in `images`.
_FILES = {"heic": ("heif", "HEIF"), "jxl": ("jxl", "JXL"), "webp": ("webp", "WEBP")}
# As in the paper's experiments; the other one gives about as many bits.
_VVC_QUANTISER = 50
_HEIC_QUALITY = 15
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
        server: that runs the model; None for here.
        base_threshold: what qualities multiply; None for the method's default.
        scale, threshold, component: in place of the quality's; the threshold in the
            method's measure. None leaves each to the quality.
    """

    given: Any
    method: str
    sigma: float | None
    model: str | None
    server: str | None
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
                model=self._network,
            )
        if component > 1:
            lines = edges.remove_short(lines, component)
        return edges.downscale(lines, scale), scale

    @property
    def _network(self) -> Any:
        """What finds lines, as `edges.extract` takes it."""
        if self.server is None or self.method != "learned":
            return self.model
        from tfsemcomp.semantics import edges
        from tfsemcomp.serving import runner

        return runner.shared(edges.find_model(self.model), self.server)

    def _scaled_threshold(self, factor: float) -> float:
        from tfsemcomp.semantics import edges

        threshold = self.base_threshold
        if self.method != "learned":
            return factor * (threshold or edges.THRESHOLDS[self.method])
        if threshold is None:
            info = edges.find_model(self.model)
            threshold = info.card.get(edges.THRESHOLD, edges.THRESHOLDS[self.method])
        return factor * threshold / (1 + (factor - 1) * threshold)


SETTINGS = (
    base.Setting(
        "structure",
        object,
        "Map of the lines to send, lines white; default: those of the picture.",
    ),
    base.Setting(
        "structure_method",
        str,
        "What finds the lines; default: what the model was trained with.",
        choices=METHODS,
    ),
    base.Setting("structure_model", str, "Name or path of the model of learned lines."),
    base.Setting(
        "structure_scale",
        int,
        "Pixels to a sample of the lines, along each axis; default: the quality's, or "
        "of layered the model's.",
        choices=SCALES,
    ),
    base.Setting(
        "structure_threshold",
        float,
        "Strength that lines need, in the method's measure; default: the quality's, or "
        "of layered the model's.",
        low=0,
    ),
    base.Setting(
        "structure_component",
        int,
        "Leave out connected lines of fewer pixels; default: the quality's, or of "
        "layered 16.",
        low=0,
    ),
    base.Setting(
        "structure_codec",
        str,
        "What codes the lines; heic and vvc lose something.",
        default=CODERS[0],
        choices=CODERS,
    ),
)


def check_settings(settings: Mapping[str, Any]) -> None:
    """Checks these settings, all present, against each other.

    Raises: ValueError if two of them exclude each other; UnavailableError if the codec
        of the lines cannot run here.
    """
    if settings["structure"] is not None:
        for name in ("method", "model", "threshold"):
            if settings[f"structure_{name}"] is not None:
                raise ValueError(
                    f"`structure_{name}` is of lines that are found in the "
                    "picture; `structure` gives them, leave one out"
                )
    method = settings["structure_method"]
    if settings["structure_model"] is not None and method != "learned":
        raise ValueError(
            "`structure_model` is of `structure_method` learned, received "
            f"`structure_method` {method!r}"
        )
    check_coder(settings["structure_codec"])


def read_card(value: Any) -> dict[str, Any]:
    """What a card says of the lines that its model was trained for.

    Raises: ValueError, TypeError or KeyError if that is not a known method with its
        options.
    """
    if value["method"] not in METHODS:
        raise ValueError(value["method"])
    if value.get("scale") not in (None, *SCALES):
        raise ValueError(value["scale"])
    return dict(value)


def drawing(
    card: Mapping[str, Any], settings: Mapping[str, Any], server: str | None
) -> Drawing:
    """Which lines to send, by the settings and else by the model's card.

    Args:
        card: what it tells of lines.
        settings: of the codec, all present.
        server: that runs what finds lines; None for here.
    """
    method = settings["structure_method"] or card["method"]
    # The card's options are of its own method.
    options = card if method == card["method"] else {}
    model_name = settings["structure_model"] or options.get("model")
    return Drawing(
        given=settings["structure"],
        method=method,
        sigma=options.get("sigma"),
        model=model_name,
        server=server,
        base_threshold=options.get("threshold"),
        scale=settings["structure_scale"] or card.get("scale"),
        threshold=settings["structure_threshold"],
        component=settings["structure_component"],
    )


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


def check_coder(coder: str) -> None:
    """Raises UnavailableError if a coder of `CODERS` cannot run here."""
    if coder == "vvc":
        from tfsemcomp.codecs import vvc

        reason = vvc.unavailable_reason()
        if reason is not None:
            raise errors.UnavailableError(f"vvc is not available: {reason}")
    elif coder in _FILES:
        base.codec_class(_FILES[coder][0]).check_available()


def encode(
    plane: np.ndarray,
    scale: int,
    primed: Primed | None,
    height: int,
    width: int,
    verify: bool,
    coder: str = CODERS[0],
) -> bytes:
    """Makes the payload of a `structure` chunk; of mixing the shorter of two.

    Args:
        plane: uint8 [ceil(H/s), ceil(W/s)] of 0 and 1.
        scale: s.
        primed: of the model; None without.
        height, width: H and W.
        verify: whether the plane is decoded again.
        coder: one of `CODERS`; some lose something.
    Raises:
        SemCompError: if it does not decode to what it was.
        UnavailableError: if the coder cannot run here.
    """
    flags = SCALES.index(scale) | CODERS.index(coder) << _CODER_SHIFT
    if coder == "mixing":
        coded, is_primed = _mix(plane, primed)
        flags |= _PRIMED_FLAG * is_primed
    else:
        coded = _encode_picture(plane, coder)
    head = b""
    needed = learned.least_bytes(height, width)
    if 1 + len(coded) < needed:
        flags |= _FILLED_FLAG
        head = bitstream.varint(len(coded))
    payload = (bytes([flags]) + head + coded).ljust(needed, b"\0")
    if verify and coder not in _LOSSY_CODERS:
        import numpy as np

        again = parse(payload, height, width).decode(primed)
        learned.check_verified(np.array_equal(again, plane))
    return payload


def seen_lines(
    payload: bytes,
    plane: np.ndarray,
    scale: int,
    primed: Primed | None,
    height: int,
    width: int,
) -> np.ndarray:
    """What a decoder makes of a payload of this plane: uint8 [H,W] of 0 and 1."""
    from tfsemcomp.semantics import edges

    parsed = parse(payload, height, width)
    if parsed.coder in _LOSSY_CODERS:
        return parsed.lines(primed)
    return edges.upscale(plane, scale, height, width)


def _mix(plane: np.ndarray, primed: Primed | None) -> tuple[bytes, bool]:
    """The plane by context mixing, and whether from the model's statistics."""
    from tfsemcomp.entropy import context_mixing

    cold = context_mixing.encode(plane, _SYMBOLS)
    if primed is None:
        return cold, False
    warm = context_mixing.encode(plane, _SYMBOLS, primed=primed)
    return min((cold, False), (warm, True), key=lambda found: len(found[0]))


def _encode_picture(plane: np.ndarray, coder: str) -> bytes:
    """The plane as a picture of black and white."""
    import numpy as np

    grey = 255 * plane
    if coder == "vvc":
        from tfsemcomp.codecs import vvc

        return vvc.encode(grey, _VVC_QUANTISER)
    from tfsemcomp import images

    check_coder(coder)
    pixels = np.repeat(grey[..., None], 3, axis=-1)
    quality = _HEIC_QUALITY if coder == "heic" else None
    return images.encode(pixels, _FILES[coder][1], quality=quality)


def _decode_picture(coded: bytes, coder: str, rows: int, columns: int) -> np.ndarray:
    """The plane of a picture: uint8 [rows,columns] of 0 and 1."""
    import numpy as np

    if coder == "vvc":
        from tfsemcomp.codecs import vvc

        return (vvc.decode(coded, rows, columns) > _WHITE).astype(np.uint8)
    from tfsemcomp import image_headers, images

    check_coder(coder)
    if image_headers.sniff(coded) != _FILES[coder][1]:
        raise errors.BitstreamError(f"the plane should be a file of {coder}, it is not")
    # Nothing larger is decoded, whatever the file declares.
    limits = bitstream.Limits(pixels=rows * columns, side=max(rows, columns))
    try:
        pixels = images.load_bytes(coded, name="the plane", limits=limits).pixels
    except errors.LimitError as error:
        raise errors.BitstreamError(f"the plane is too large: {error}") from error
    if pixels.shape[:2] != (rows, columns):
        raise errors.BitstreamError(
            f"the plane should have {columns}x{rows} samples, its file has "
            f"{pixels.shape[1]}x{pixels.shape[0]}"
        )
    return (pixels[..., 1] > _WHITE).astype(np.uint8)


@dataclasses.dataclass(frozen=True)
class Parsed:
    """A payload taken apart.

    Attributes:
        scale: 1, 2 or 4.
        primed: whether the model's statistics were used.
        coded: the plane.
        size: H and W of the picture.
        coder: one of `CODERS`.
    """

    scale: int
    primed: bool
    coded: bytes
    size: tuple[int, int]
    coder: str = CODERS[0]

    def decode(self, primed: Primed | None) -> np.ndarray:
        """The plane: uint8 [ceil(H/s), ceil(W/s)] of 0 and 1.

        Args:
            primed: of the model; None if it has none.
        Raises: BitstreamError if the bytes are no such plane; UnavailableError if its
            coder cannot run here.
        """
        from tfsemcomp.entropy import context_mixing

        rows, columns = (-(-side // self.scale) for side in self.size)
        if self.coder != "mixing":
            return _decode_picture(self.coded, self.coder, rows, columns)
        if self.primed and primed is None:
            raise errors.BitstreamError(
                "the structure was coded with statistics that its model does not have"
            )
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
    index, number = flags & _SCALE_BITS, flags >> _CODER_SHIFT
    known = index < len(SCALES) and number < len(CODERS)
    if not known or (number and flags & _PRIMED_FLAG):
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
    primed = bool(flags & _PRIMED_FLAG)
    return Parsed(SCALES[index], primed, coded, (height, width), CODERS[number])
