"""What the page takes: sizes, bytes, seconds and how much at a time."""

from __future__ import annotations

import dataclasses

from tfsemcomp import bitstream
from tfsemcomp.codecs import base


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What the page takes.

    Attributes:
        limits: of the photo's size, checked before a pixel is decoded.
        work_pixels: a photo with more is scaled down to so many before anything else,
            so that answers come soon.
        upload_bytes: of a file.
        seconds: that an answer may take.
        workers: answers that are made at a time.
    """

    limits: bitstream.Limits = bitstream.Limits(pixels=2**26, side=2**14, seconds=120.0)
    work_pixels: int = 2**20
    upload_bytes: int = 2**25
    seconds: float = 120.0
    workers: int = 2

    def __post_init__(self) -> None:
        for name in ("work_pixels", "upload_bytes", "workers"):
            base.Setting(name, int, "", low=1).check(getattr(self, name))
        base.Setting("seconds", float, "", low=0).check(self.seconds)
