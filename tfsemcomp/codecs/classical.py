"""The classical codecs that Pillow and its plug-ins write, each a row of a table.

They are anchors to compare with and bases to build on. `FORMATS` is the whole list; one
codec class is made from each row. `bpg`, by external programs, is in bpg.py.

| codec    | quality                                         | encoder                 |
|----------|-------------------------------------------------|-------------------------|
| jpeg     | 1..100, as of libjpeg                           | libjpeg-turbo           |
| webp     | 1..100, as of libwebp, lossy at 100 too         | libwebp                 |
| jpeg2000 | 1..100, aims at a PSNR of 20 + 0.3 quality dB   | OpenJPEG                |
| avif     | 1..100, as of libavif                           | libaom                  |
| heif     | 1..100, as of libheif                           | x265                    |
| jxl      | 1..99, from 20 on as of libjxl, see `_jxl`      | libjxl                  |

JPEG 2000 has no quality of its own: its encoder cuts the stream where a rate or a PSNR
is reached. A PSNR makes equal qualities look alike on all images, as with the others.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tfsemcomp import bitstream, errors
from tfsemcomp.codecs import base

if TYPE_CHECKING:
    import numpy as np

Options = dict[str, Any]

_INSTALL_BENCH = "pip install 'tfsemcomp[bench]'"
_INSTALL_PILLOW = "pip install --force-reinstall 'pillow>=11.3'"
SUBSAMPLING = base.Setting(
    "subsampling",
    str,
    "Resolution of the colour planes: 4:4:4 is that of the image.",
    default="4:2:0",
    choices=("4:2:0", "4:2:2", "4:4:4"),
)
# OpenJPEG does not reach the PSNR asked for on fewer pixels than a code block has rows.
_MIN_JPEG2000_PIXELS = 64
_MAX_JPEG2000_RESOLUTIONS = 6


def effort_setting(default: int, low: int, high: int) -> base.Setting:
    """The setting `effort` of an encoder with these levels."""
    return base.Setting(
        "effort",
        int,
        "Time spent on smaller files, the lowest is fastest.",
        default=default,
        low=low,
        high=high,
    )


def _jpeg(_shape: tuple[int, ...], quality: float, settings: Options) -> Options:
    return {
        "quality": int(quality),
        "subsampling": settings["subsampling"],
        "progressive": settings["progressive"],
        "optimize": True,
    }


def _webp(_shape: tuple[int, ...], quality: float, settings: Options) -> Options:
    return {"lossless": False, "quality": quality, "method": settings["effort"]}


def _jpeg2000(shape: tuple[int, ...], quality: float, _settings: Options) -> Options:
    if shape[0] * shape[1] < _MIN_JPEG2000_PIXELS:
        # Hardly larger than the headers, and the best picture at any quality.
        return {"quality": None, "num_resolutions": 1}
    resolutions = min(shape[0], shape[1]).bit_length()
    return {
        "quality": quality,
        "irreversible": True,
        "quality_mode": "dB",
        "quality_layers": [20 + 0.3 * quality],
        "num_resolutions": min(_MAX_JPEG2000_RESOLUTIONS, resolutions),
    }


def _avif(_shape: tuple[int, ...], quality: float, settings: Options) -> Options:
    return {
        "quality": int(quality),
        "subsampling": settings["subsampling"],
        "speed": 10 - settings["effort"],
        # The bytes would depend on the number of processor cores.
        "autotiling": False,
        "max_threads": 1,
    }


def _heif(_shape: tuple[int, ...], quality: float, settings: Options) -> Options:
    chroma = int(settings["subsampling"].replace(":", ""))
    return {"quality": int(quality), "chroma": chroma}


def _jxl(_shape: tuple[int, ...], quality: float, settings: Options) -> Options:
    # At distances from 10 on, qualities below 20, libjxl halves the resolution, and at
    # 10 its files are larger than just before: 1 to 20 stand for 1 to 10 of libjxl, so
    # that sizes rise with the quality throughout.
    quality = quality if quality >= 20 else (quality + 1) / 2
    return {"lossless": False, "quality": quality, "effort": settings["effort"]}


@dataclasses.dataclass(frozen=True)
class Format:
    """One row of the table: a codec that `images.encode` can run.

    Attributes:
        name, summary, suffix, other_suffixes, quality_range, default_quality,
            quality_step, max_side, source, settings: as of `base.Codec`.
        format: name of the format in `images`.
        options: image shape, quality and settings -> options of the encoder.
        feature: of Pillow, that must be compiled in; None for plug-ins.
        package: the plug-in's import name; None for Pillow's own formats.
    """

    name: str
    summary: str
    format: str
    suffix: str
    options: Callable[[tuple[int, ...], float, Options], Options]
    source: str
    quality_range: tuple[float, float] = (1, 100)
    default_quality: float = 75
    quality_step: float = 1
    settings: tuple[base.Setting, ...] = ()
    other_suffixes: tuple[str, ...] = ()
    max_side: int | None = None
    feature: str | None = None
    package: str | None = None


FORMATS: tuple[Format, ...] = (
    Format(
        name="jpeg",
        summary="JPEG with optimised Huffman tables.",
        format="JPEG",
        suffix=".jpg",
        other_suffixes=(".jpeg", ".jpe", ".jfif"),
        options=_jpeg,
        source="libjpeg-turbo by Pillow",
        max_side=65500,
        settings=(
            SUBSAMPLING,
            base.Setting(
                "progressive",
                bool,
                "Write a progressive JPEG, mostly smaller.",
                default=False,
            ),
            *base.METADATA_SETTINGS,
        ),
        feature="jpg",
    ),
    Format(
        name="webp",
        summary="WebP, lossy.",
        format="WEBP",
        suffix=".webp",
        options=_webp,
        source="libwebp by Pillow",
        quality_step=0.5,
        max_side=16383,
        settings=(effort_setting(4, 0, 6), *base.METADATA_SETTINGS),
        feature="webp",
    ),
    Format(
        name="jpeg2000",
        summary="JPEG 2000 with the 9/7 wavelet.",
        format="JPEG2000",
        suffix=".jp2",
        options=_jpeg2000,
        source="OpenJPEG by Pillow",
        default_quality=50,
        quality_step=0.5,
        feature="jpg_2000",
    ),
    Format(
        name="avif",
        summary="AVIF, a frame of AV1.",
        format="AVIF",
        suffix=".avif",
        options=_avif,
        source="libavif and libaom by Pillow",
        default_quality=60,
        max_side=65536,
        settings=(SUBSAMPLING, effort_setting(4, 0, 10), *base.METADATA_SETTINGS),
        feature="avif",
    ),
    Format(
        name="heif",
        summary="HEIC, a frame of HEVC.",
        format="HEIF",
        suffix=".heic",
        other_suffixes=(".heif", ".hif"),
        options=_heif,
        source="libheif and x265 by pillow-heif",
        default_quality=50,
        settings=(SUBSAMPLING, *base.METADATA_SETTINGS),
        package="pillow_heif",
    ),
    Format(
        name="jxl",
        summary="JPEG XL, lossy.",
        format="JXL",
        suffix=".jxl",
        options=_jxl,
        source="libjxl by pillow-jxl-plugin",
        quality_range=(1, 99),
        quality_step=0.5,
        # The plug-in writes no ICC profile.
        settings=(effort_setting(7, 1, 9), base.METADATA_SETTINGS[0]),
        package="pillow_jxl",
    ),
)


class PillowCodec(base.Codec):
    """A codec whose files `images` reads and writes; a row of `FORMATS` says which.

    x uint8 [H,W,3] --images.encode--> standard file --images.load_bytes--> x_hat
    """

    row: Format

    @classmethod
    def unavailable_reason(cls) -> str | None:
        """Says what is missing and how to install it; None if the codec can run."""
        package = cls.row.package
        if package is not None and importlib.util.find_spec(package) is None:
            return f"it needs the package {package}; {_INSTALL_BENCH}"
        if cls.row.feature is not None:
            from PIL import features

            if not features.check(cls.row.feature):
                return f"the installed Pillow lacks it; {_INSTALL_PILLOW}"
        return None

    def _encode(
        self,
        image: np.ndarray,
        quality: float,
        exif: bytes | None = None,
        icc: bytes | None = None,
        **settings: Any,
    ) -> bytes:
        from tfsemcomp import images

        options = self.row.options(image.shape, quality, settings)
        return images.encode(image, self.row.format, exif=exif, icc=icc, **options)

    def _decode(
        self, data: bytes, *, layers: int | None, limits: bitstream.Limits
    ) -> np.ndarray:
        from tfsemcomp import image_headers, images

        base.check_one_layer(self.name, layers)
        found = image_headers.sniff(data)
        if found not in (None, self.row.format):
            raise errors.BitstreamError(
                f"the data are no {self.row.format} file, as {self.name} reads, but "
                f"{found}"
            )
        name = f"{self.name} file"
        return images.load_bytes(data, name=name, limits=limits).pixels


def _codec_of(row: Format) -> type[PillowCodec]:
    facts = {
        field.name: getattr(row, field.name)
        for field in dataclasses.fields(row)
        if hasattr(base.Codec, field.name) or field.name in base.Codec.__annotations__
    }
    title = "".join(part.capitalize() for part in row.name.split("_"))
    body = facts | {"row": row, "__doc__": row.summary, "__module__": __name__}
    return base.register(row.name)(type(f"{title}Codec", (PillowCodec,), body))


for _row in FORMATS:
    _codec_of(_row)
