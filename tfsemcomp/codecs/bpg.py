"""BPG by the external programs bpgenc and bpgdec."""

from __future__ import annotations

import pathlib
import shutil
import tempfile
from typing import TYPE_CHECKING

from tfsemcomp import bitstream, errors
from tfsemcomp.codecs import base, classical, programs

if TYPE_CHECKING:
    import numpy as np

BPG_MAGIC = b"BPG\xfb"
_INSTALL_BPG = "install libbpg from https://bellard.org/bpg so that it is on PATH"


@base.register("bpg")
class BpgCodec(base.Codec):
    """BPG, with quality 51 minus the quantiser of bpgenc.

    The programs run as argument lists without a shell, on files in a temporary folder,
    and are stopped after `timeout` seconds.

    Source: https://bellard.org/bpg, version 0.9.8; header as of its bpg_spec.
    """

    summary = "BPG, a frame of HEVC, by external programs."
    suffix = ".bpg"
    quality_range = (0, 51)
    default_quality = 22
    source = "bpgenc and bpgdec on PATH"
    settings = (classical.SUBSAMPLING, classical.effort_setting(8, 1, 9))
    timeout = 600.0

    @classmethod
    def unavailable_reason(cls) -> str | None:
        """Says what is missing and how to install it; None if the codec can run."""
        missing = [name for name in ("bpgenc", "bpgdec") if shutil.which(name) is None]
        if missing:
            return f"{' and '.join(missing)} not found; {_INSTALL_BPG}"
        return None

    def _encode(
        self, image: np.ndarray, quality: float, *, subsampling: str, effort: int
    ) -> bytes:
        from tfsemcomp import images

        with tempfile.TemporaryDirectory(prefix="tfsemcomp-") as folder:
            source = pathlib.Path(folder, "image.png")
            target = pathlib.Path(folder, "image.bpg")
            source.write_bytes(images.encode(image, "PNG", compress_level=1))
            reason = self._run(
                "bpgenc",
                *("-q", str(51 - int(quality))),
                *("-f", subsampling.replace(":", "")),
                *("-m", str(effort)),
                *("-o", str(target), str(source)),
            )
            if reason is None and target.is_file():
                return target.read_bytes()
        raise errors.SemCompError(f"bpgenc failed: {reason or 'it wrote no file'}")

    def _decode(
        self, data: bytes, *, layers: int | None, limits: bitstream.Limits
    ) -> np.ndarray:
        from tfsemcomp import images

        base.check_one_layer(self.name, layers)
        limits.check_size(*bpg_size(data), len(data))
        with tempfile.TemporaryDirectory(prefix="tfsemcomp-") as folder:
            source = pathlib.Path(folder, "image.bpg")
            target = pathlib.Path(folder, "image.png")
            source.write_bytes(data)
            reason = self._run("bpgdec", "-o", str(target), str(source))
            if reason is None and target.is_file():
                return images.read(target, limits=limits)
        raise errors.BitstreamError(
            f"bpgdec cannot decode the data: {reason or 'it wrote no file'}"
        )

    def _run(self, name: str, *arguments: str) -> str | None:
        """Runs a program; returns why it failed, or None."""
        return programs.run(name, arguments, self.timeout, _INSTALL_BPG)


def bpg_size(data: bytes) -> tuple[int, int]:
    """Width and height that a BPG file declares.

    Raises: BitstreamError if it is no BPG file or truncated.
    """
    if data[:4] != BPG_MAGIC:
        raise errors.BitstreamError("the data are no BPG file")
    # Magic, pixel format and depth, colour space and flags: 6 bytes.
    width, at = _read_ue7(data, 6)
    height, at = _read_ue7(data, at)
    length, at = _read_ue7(data, at)
    if data[5:6] and data[5] & 0x08:
        extension, at = _read_ue7(data, at)
        at += extension
    # Length 0 means that the picture goes on to the end of the file.
    if at + max(length, 1) > len(data):
        raise errors.BitstreamError("the BPG file is truncated: its picture ends early")
    if width < 1 or height < 1:
        raise errors.BitstreamError(f"the BPG file declares a size of {width}x{height}")
    return width, height


def _read_ue7(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of 7 bits, highest first, and the offset after it."""
    value = 0
    for index in range(5):
        if at + index >= len(data):
            break
        byte = data[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    raise errors.BitstreamError("the BPG file is truncated or damaged in its header")
