"""The labels of `semantic_enhanced`: who says what is where, and its bytes.

    a given map, or x --segmenter--> labels --majority filter, halve--> plane
    plane --context mixing--> `labels` chunk;  plane --nearest--> labels that all see
    x_b --segmenter--> labels that need no bytes, or what such a plane is coded with
    instances --borders--> plane --context mixing, given those of labels--> `boundaries`

Payload of labels (docs/BITSTREAM.md is normative):

    flags 1 | of sent labels: symbols - 1, 1 | plane
            | of derived ones: fingerprint of the segmenter 4
            | of corrected ones: symbols - 1, 1 | fingerprint 4 | check 2 | plane
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

from tfsemcomp import errors
from tfsemcomp.codecs import learned
from tfsemcomp.codecs.semantic_model import UNLABELLED

if TYPE_CHECKING:
    import numpy as np

    from tfsemcomp.entropy.context_mixing import Primed
    from tfsemcomp.serving.manifest import ModelInfo

# What a payload says of its labels, by numbers in the flags.
SOURCES = ("none", "sent", "derived", "corrected")
SCALES = (1, 2)
SMOOTHINGS = (0, 3, 5, 9)
_SOURCE_BITS = 0b11
_HALF_FLAG = 0b100
_PRIMED_FLAG = 0b1000
# Flags beside the source, by source.
_FLAGS = dict.fromkeys(("sent", "corrected"), _HALF_FLAG | _PRIMED_FLAG)
_FINGERPRINT_BYTES = 4
_CHECK_BYTES = 2


def read(given: Any, height: int, width: int, classes: int) -> np.ndarray:
    """A label map that somebody gives.

    Args:
        given: integers [H,W], or the path of a grey or indexed PNG.
        height, width: that it must have.
        classes: of the model; 255 is no class.
    Returns: uint8 [H,W].
    Raises:
        ValueError: if it is no such map, or has a class that the model does not have.
        SemCompError: if the file cannot be read.
    """
    import numpy as np

    if isinstance(given, (str, os.PathLike)):
        from tfsemcomp.data import label_maps

        given = label_maps.read(given)
    _check_map(given, "labels", height, width)
    wrong = np.unique(given[(given != UNLABELLED) & ((given < 0) | (given >= classes))])
    if len(wrong):
        raise ValueError(
            f"`labels` must be below {classes}, the model's number of classes, or "
            f"{UNLABELLED} for none, received {wrong[:5].tolist()}"
        )
    return given.astype(np.uint8)


def read_instances(given: Any, height: int, width: int) -> np.ndarray:
    """A map of instances that somebody gives.

    Args:
        given: integers [H,W], another one for each instance, or the path of a grey PNG
            of 8 or 16 bits.
        height, width: that it must have.
    Returns: integers [H,W].
    Raises: ValueError, SemCompError as `read`.
    """
    if isinstance(given, (str, os.PathLike)):
        from tfsemcomp.data import planes

        given = planes.read_instances(os.fspath(given))
    _check_map(given, "instances", height, width)
    return given


def _check_map(given: Any, name: str, height: int, width: int) -> None:
    import numpy as np

    if not isinstance(given, np.ndarray) or given.dtype.kind not in "iu":
        found = getattr(given, "dtype", type(given).__name__)
        raise ValueError(
            f"`{name}` must be a map [H,W] of integers, or the path of a PNG file, "
            f"received {found}"
        )
    if given.shape != (height, width):
        raise ValueError(
            f"`{name}` must have the picture's size, {width}x{height}, received the "
            f"shape {list(given.shape)}"
        )


def segment(
    picture: np.ndarray, info: ModelInfo, classes: int, server: str | None = None
) -> np.ndarray:
    """Labels that a network finds.

    Args:
        picture: uint8 [H,W,3].
        info: of the segmenter.
        classes: of the model that takes the labels.
        server: that runs the segmenter; None runs it here.
    Returns: uint8 [H,W].
    Raises: ModelMismatchError if the segmenter finds a class that the model does not
        have.
    """
    from tfsemcomp.semantics import segmentation
    from tfsemcomp.serving import runner

    labels = segmentation.segment(picture, runner.shared(info, server))
    if labels.max() >= classes:
        raise errors.ModelMismatchError(
            f"the segmenter {info.name} found class {labels.max()}, the model has "
            f"classes 0 to {classes - 1}; use a segmenter of the same classes"
        )
    return labels


def predict(
    picture: np.ndarray, info: ModelInfo, classes: int, server: str | None
) -> Prediction:
    """What coder and decoder find in a base picture; arguments as of `segment`."""
    return Prediction(info.fingerprint, segment(picture, info, classes, server))


def smooth(labels: np.ndarray, side: int) -> np.ndarray:
    """Each pixel's most frequent label around it; of equally many, its own one.

    Ragged borders cost most of a map's bytes.

    Args:
        labels: uint8 [H,W].
        side: of the square around a pixel, odd; 0 leaves all as it is.
    Returns: uint8 [H,W].
    """
    import numpy as np

    if not side:
        return labels
    best = np.zeros(labels.shape, np.int32)
    found = labels.copy()
    for label in np.unique(labels):
        mask = labels == label
        # Twice the count, so that one more decides between equal ones.
        votes = 2 * _box_sum(mask, side) + mask
        better = votes > best
        best[better], found[better] = votes[better], label
    return found


def _box_sum(mask: np.ndarray, side: int) -> np.ndarray:
    """How many pixels of each square are set: int32 [H,W]; none are outside."""
    import numpy as np

    radius = side // 2
    sums = mask.astype(np.int32)
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (radius + 1, radius)
        running = np.pad(sums, pad).cumsum(axis=axis, dtype=np.int32)
        size = mask.shape[axis]
        upper = np.take(running, range(side, side + size), axis=axis)
        sums = upper - np.take(running, range(size), axis=axis)
    return sums


def corrected(labels: np.ndarray, predicted: np.ndarray, area: int) -> np.ndarray:
    """Predicted labels, of which the larger pieces of wrong ones are put right.

    Most of a map's bytes tell where exactly borders run. What is off by a pixel or two
    along them hardly matters to the picture.

    Args:
        labels: uint8 [H,W].
        predicted: uint8 [H,W].
        area: of a piece, pixels; smaller ones stay as predicted. 0 and 1 leave none.
    Returns: uint8 [H,W].
    """
    import numpy as np

    from tfsemcomp.semantics import edges

    wrong = edges.remove_short((labels != predicted).astype(np.uint8), area)
    return np.where(wrong, labels, predicted)


def borders(labels: np.ndarray) -> np.ndarray:
    """Pixels with another label, or instance, at one of their four neighbours.

    Args:
        labels: integers [H,W].
    Returns: uint8 [H,W], 1 on a border, which is two pixels wide.
    """
    from tfsemcomp.semantics import edges

    upper = edges.label_boundaries(labels)
    return upper | edges.label_boundaries(labels[::-1, ::-1])[::-1, ::-1]


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What coder and decoder find in the base picture.

    Attributes:
        segmenter: fingerprint of who finds it.
        labels: uint8 [H,W].
    """

    segmenter: bytes
    labels: np.ndarray

    def side(self, scale: int) -> np.ndarray:
        """The plane beside that of the labels: uint8 [ceil(H/scale),ceil(W/scale)]."""
        return self.labels[::scale, ::scale]

    def check(self, scale: int) -> bytes:
        """What tells it from other predictions."""
        from tfsemcomp.entropy import checks

        return checks.symbol_check(self.side(scale).astype("int32"))


@dataclasses.dataclass(frozen=True)
class Parsed:
    """A payload of labels taken apart.

    Attributes:
        source: one of `SOURCES`.
        scale: pixels to a sample, along each axis.
        primed: whether the model's statistics were used.
        symbols: of the plane of sent or corrected labels.
        coded: that plane.
        segmenter: fingerprint of the segmenter of derived or corrected labels.
        check: of the prediction that is corrected.
    """

    source: str
    scale: int = 1
    primed: bool = False
    symbols: int = 0
    coded: bytes = b""
    segmenter: bytes = b""
    check: bytes = b""

    def decode(
        self,
        height: int,
        width: int,
        classes: int,
        primed: Primed | None,
        prediction: Prediction | None = None,
    ) -> np.ndarray:
        """Labels that were sent, or corrected: uint8 [H,W].

        Args:
            height, width: of the picture.
            classes: of the model.
            primed: of the model; None if it has none.
            prediction: that is corrected; None for labels that were sent.
        Raises:
            BitstreamError: if the bytes are no such labels.
            ModelMismatchError: if the prediction is not the coder's.
        """
        import numpy as np

        from tfsemcomp.entropy import context_mixing

        if self.primed and (primed is None or primed.symbols != self.symbols):
            raise errors.BitstreamError(
                "the labels were coded with statistics that their model does not have"
            )
        if self.symbols > max(classes + 1, context_mixing.MIN_SYMBOLS):
            raise errors.BitstreamError(
                f"the labels have {self.symbols} symbols, their model has {classes} "
                "classes"
            )
        if prediction is not None and prediction.check(self.scale) != self.check:
            raise errors.ModelMismatchError(
                "the labels correct others than those that are found in the base "
                "picture here, which another version of its codec may decode "
                "differently; the first layer alone is the base picture"
            )
        plane = context_mixing.decode(
            self.coded,
            -(-height // self.scale),
            -(-width // self.scale),
            self.symbols,
            None if prediction is None else prediction.side(self.scale),
            primed=primed if self.primed else None,
        )
        plane[plane >= classes] = UNLABELLED
        full = plane.repeat(self.scale, axis=0).repeat(self.scale, axis=1)
        return np.ascontiguousarray(full[:height, :width])


def encode(
    labels: np.ndarray,
    scale: int,
    classes: int,
    primed: Primed | None,
    verify: bool,
    prediction: Prediction | None = None,
) -> tuple[bytes, np.ndarray]:
    """Makes the payload of labels that are sent or corrected, the shorter one of two.

    Args:
        labels: uint8 [H,W].
        scale: one of `SCALES`.
        classes: of the model.
        primed: of the model; None without.
        verify: whether the labels are decoded again.
        prediction: that is corrected; None to send the labels alone.
    Returns: the payload, and the labels that a decoder sees, uint8 [H,W].
    Raises: SemCompError if they do not decode to what they were.
    """
    import numpy as np

    from tfsemcomp.entropy import context_mixing

    height, width = labels.shape
    plane = labels[::scale, ::scale]
    unlabelled = plane == UNLABELLED
    symbols = max(classes + bool(unlabelled.any()), context_mixing.MIN_SYMBOLS)
    plane = np.where(unlabelled, symbols - 1, plane).astype(np.uint8)
    source, side, fields = "sent", None, b""
    if prediction is not None:
        source, side = "corrected", prediction.side(scale)
        fields = prediction.segmenter + prediction.check(scale)
    coded, flags = context_mixing.encode(plane, symbols, side), 0
    if primed is not None and primed.symbols == symbols:
        warm = context_mixing.encode(plane, symbols, side, primed)
        if len(warm) < len(coded):
            coded, flags = warm, _PRIMED_FLAG
    flags |= SOURCES.index(source) | _HALF_FLAG * SCALES.index(scale)
    payload = bytes([flags, symbols - 1]) + fields + coded
    seen = labels[::scale, ::scale].repeat(scale, axis=0).repeat(scale, axis=1)
    seen = np.ascontiguousarray(seen[:height, :width])
    if verify:
        again = parse(payload).decode(height, width, classes, primed, prediction)
        learned.check_verified(np.array_equal(again, seen))
    return payload, seen


def derived_payload(info: ModelInfo) -> bytes:
    """The payload of labels that this segmenter finds in the base picture."""
    return bytes([SOURCES.index("derived")]) + info.fingerprint


NO_LABELS = bytes([SOURCES.index("none")])


def parse(payload: bytes) -> Parsed:
    """Takes the payload of labels apart.

    Raises: BitstreamError if it is cut, or says what this version does not know.
    """
    flags = payload[0] if payload else 0
    source = SOURCES[flags & _SOURCE_BITS]
    if not payload or flags & ~_SOURCE_BITS & ~_FLAGS.get(source, 0):
        raise errors.BitstreamError(
            f"the labels have flags {payload[:1].hex() or 'none'}, of which some are "
            "unknown here; a newer tfsemcomp may be needed"
        )
    rest = payload[1:]
    lengths = {"none": 0, "derived": _FINGERPRINT_BYTES}
    if source in lengths:
        if len(rest) != lengths[source]:
            raise errors.BitstreamError(
                f"labels of source {source} have {lengths[source]} bytes, these have "
                f"{len(rest)}"
            )
        return Parsed(source, segmenter=rest)
    if not rest or not rest[0]:
        raise errors.BitstreamError("the labels must have 2 to 256 symbols")
    scale = SCALES[bool(flags & _HALF_FLAG)]
    primed = bool(flags & _PRIMED_FLAG)
    symbols, coded = rest[0] + 1, rest[1:]
    if source == "sent":
        return Parsed(source, scale, primed, symbols, coded)
    segmenter, coded = coded[:_FINGERPRINT_BYTES], coded[_FINGERPRINT_BYTES:]
    check, coded = coded[:_CHECK_BYTES], coded[_CHECK_BYTES:]
    if len(check) < _CHECK_BYTES:
        raise errors.BitstreamError(
            "corrected labels need the fingerprint and the check of a prediction; "
            "these end before"
        )
    return Parsed(source, scale, primed, symbols, coded, segmenter, check)


def encode_boundaries(
    plane: np.ndarray, label_borders: np.ndarray, verify: bool
) -> bytes:
    """Makes the payload of borders between instances.

    Args:
        plane: uint8 [H,W] of 0 and 1.
        label_borders: those of the labels that a decoder sees.
        verify: whether the borders are decoded again.
    Raises: SemCompError if they do not decode to what they were.
    """
    import numpy as np

    from tfsemcomp.entropy import context_mixing

    payload = context_mixing.encode(plane, 2, label_borders)
    if verify:
        again = decode_boundaries(payload, label_borders)
        learned.check_verified(np.array_equal(again, plane))
    return payload


def decode_boundaries(payload: bytes, label_borders: np.ndarray) -> np.ndarray:
    """Borders between instances: uint8 [H,W] of 0 and 1.

    Raises: BitstreamError if the bytes are no such plane.
    """
    from tfsemcomp.entropy import context_mixing

    return context_mixing.decode(payload, *label_borders.shape, 2, label_borders)


def find_segmenter(name: str | None, exact: bool = False) -> ModelInfo:
    """The segmenter of this name or path; None for the default.

    Args:
        name: see above.
        exact: whether it must find the same on every machine.
    Raises: SemCompError if there is none; ValueError if it does not.
    """
    from tfsemcomp.semantics import segmentation

    info = segmentation.find_model(name)
    if exact and not info.card.get("exact"):
        raise ValueError(
            f"`mode` corrected needs a segmenter that finds the same on every machine; "
            f"`{info.name}` was not exported with --exact"
        )
    return info


def segmenter_of(fingerprint: bytes, name: str | None) -> ModelInfo:
    """The segmenter that a file's labels are derived with.

    Args:
        fingerprint: of the file.
        name: name or path; None to find it among the installed ones.
    Raises: ModelMismatchError if it is not here, or the named one is another;
        SemCompError if there is none of that name.
    """
    from tfsemcomp.semantics import segmentation
    from tfsemcomp.serving import manifest

    if name is None:
        return manifest.with_fingerprint(fingerprint, segmentation.SYSTEM)
    info = manifest.find(name)
    if info.fingerprint != fingerprint:
        raise errors.ModelMismatchError(
            "the labels are derived with a segmenter of fingerprint "
            f"{fingerprint.hex()}, `{name}` has {info.fingerprint.hex()}"
        )
    return info
