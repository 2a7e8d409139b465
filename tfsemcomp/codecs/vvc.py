"""Grey planes as single pictures of VVC, by external programs.

| programs on PATH | from | takes |
|---|---|---|
| vvencapp, vvdecapp | Fraunhofer's VVenC and VVdeC | 4:2:0 with flat chroma |
| EncoderApp, DecoderApp | the reference software VTM | 4:0:0, `TFSEMCOMP_VTM_CONFIG` |

VTM has no defaults of its own: that variable names its configuration file, such as
encoder_intra_vtm.cfg. What one of them wrote the other one reads.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile
from typing import TYPE_CHECKING

from tfsemcomp import errors
from tfsemcomp.codecs import programs

if TYPE_CHECKING:
    import numpy as np

ENCODERS = ("vvencapp", "EncoderApp")
DECODERS = ("vvdecapp", "DecoderApp")
VTM_CONFIG = "TFSEMCOMP_VTM_CONFIG"
TIMEOUT = 600.0
INSTALL = (
    "install VVenC and VVdeC (https://github.com/fraunhoferhhi) so that vvencapp and "
    "vvdecapp are on PATH, or put EncoderApp and DecoderApp of VTM there and name its "
    f"configuration file in {VTM_CONFIG}"
)
# Both encoders want whole coding units.
_MULTIPLE = 8
_SHORTEST = 64
_GREY = 128


def unavailable_reason() -> str | None:
    """Says what is missing and how to install it; None if both programs are there."""
    missing = [
        " and ".join(names)
        for names, found in ((ENCODERS, _encoder()), (DECODERS, _decoder()))
        if found is None
    ]
    if missing:
        return f"neither of {', nor of '.join(missing)} can be run; {INSTALL}"
    return None


def encode(plane: np.ndarray, quantiser: int) -> bytes:
    """Codes a plane as an intra picture.

    Args:
        plane: uint8 [H,W].
        quantiser: QP, 0 to 63; higher is smaller.
    Returns: the elementary stream.
    Raises: UnavailableError, SemCompError.
    """
    import numpy as np

    name = _encoder()
    if name is None:
        raise errors.UnavailableError(f"no encoder of VVC; {INSTALL}")
    height, width = _padded(*plane.shape)
    missing = (height - plane.shape[0], width - plane.shape[1])
    padded = np.pad(plane, tuple((0, more) for more in missing), mode="edge")
    with tempfile.TemporaryDirectory(prefix="tfsemcomp-") as folder:
        source, target = pathlib.Path(folder, "a.yuv"), pathlib.Path(folder, "a.266")
        frame = padded.tobytes()
        if name == "vvencapp":
            frame += bytes([_GREY]) * (height * width // 2)
        source.write_bytes(frame)
        arguments = _arguments(name, source, target, height, width, quantiser)
        reason = programs.run(name, arguments, TIMEOUT, INSTALL)
        if reason is None and target.is_file():
            return target.read_bytes()
    raise errors.SemCompError(f"{name} failed: {reason or 'it wrote no file'}")


def _arguments(
    name: str,
    source: pathlib.Path,
    target: pathlib.Path,
    height: int,
    width: int,
    quantiser: int,
) -> list[str]:
    if name == "vvencapp":
        return [
            *("-i", str(source), "-s", f"{width}x{height}", "-c", "yuv420"),
            *("--frames", "1", "--preset", "slower", "-q", str(quantiser)),
            *("-o", str(target)),
        ]
    return [
        *("-c", os.environ[VTM_CONFIG], "-i", str(source), "-b", str(target)),
        *("-wdt", str(width), "-hgt", str(height), "-fr", "1", "-f", "1"),
        *("-q", str(quantiser), "--InputBitDepth=8", "--InputChromaFormat=400"),
    ]


def decode(data: bytes, height: int, width: int) -> np.ndarray:
    """The inverse of `encode`, with what the quantiser took.

    Args:
        data: the elementary stream.
        height, width: of the plane.
    Returns: uint8 [height,width].
    Raises:
        UnavailableError: if no decoder is here.
        BitstreamError: if the decoder refuses the data or gives another size.
    """
    name = _decoder()
    if name is None:
        raise errors.UnavailableError(f"no decoder of VVC; {INSTALL}")
    with tempfile.TemporaryDirectory(prefix="tfsemcomp-") as folder:
        source, target = pathlib.Path(folder, "a.266"), pathlib.Path(folder, "a.yuv")
        source.write_bytes(data)
        reason = programs.run(
            name, ("-b", str(source), "-o", str(target)), TIMEOUT, INSTALL
        )
        if reason is None and target.is_file():
            return _luma(target, *_padded(height, width))[:height, :width]
    raise errors.BitstreamError(
        f"{name} cannot decode the data: {reason or 'it wrote no file'}"
    )


def _luma(path: pathlib.Path, height: int, width: int) -> np.ndarray:
    """The luma of a file of one picture, in 8 bits or 10, with or without chroma."""
    import numpy as np

    samples = height * width
    size = path.stat().st_size
    if size in (samples, samples * 3 // 2):
        luma = np.fromfile(path, np.uint8, samples)
    elif size in (2 * samples, 3 * samples):
        ten_bits = np.fromfile(path, "<u2", samples)
        luma = np.clip((ten_bits + 2) >> 2, 0, 255).astype(np.uint8)
    else:
        raise errors.BitstreamError(
            f"the picture of VVC should have {width}x{height} samples, its decoder "
            f"wrote {size} bytes"
        )
    return luma.reshape(height, width)


def _padded(height: int, width: int) -> tuple[int, int]:
    rows, columns = (-(-side // _MULTIPLE) * _MULTIPLE for side in (height, width))
    return max(rows, _SHORTEST), max(columns, _SHORTEST)


def _encoder() -> str | None:
    for name in ENCODERS:
        ready = name == "vvencapp" or os.environ.get(VTM_CONFIG)
        if ready and shutil.which(name) is not None:
            return name
    return None


def _decoder() -> str | None:
    return next((name for name in DECODERS if shutil.which(name)), None)
