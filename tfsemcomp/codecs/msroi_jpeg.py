"""`msroi_jpeg`: ordinary JPEG files whose bits go where a map says the meaning is.

    x uint8 [H,W,3] --semantics.roi--> map [H,W] --allocator--> JPEG file
                    `------------------------------^
    file --any JPEG decoder--> x_hat uint8 [H,W,3]

The file holds no sign of the map; any decoder opens it. Allocators:

    rdoq       picks DCT levels by weighted error and rate; the default
    dead_zone  zeroes small DCT levels where the map is low
    mosaic     the published code: mixes pixels of several JPEGs, in six modes
    levels     the published paper: likewise, by 8x8 block

The first two are in `msroi_allocator`, the others in `mosaic`.

**Quality.** The file at quality Q takes the bytes that libjpeg-turbo takes for the same
image at its quality Q, with the same subsampling and optimised Huffman codes (plus
`threshold_pct` per cent, plus metadata): never more, with rdoq mostly 0.0 to 0.2 %
less. What the map changes is where they go. Images of a few pixels, which cannot be
made smaller than plain JPEG, come out as plain JPEG. With `find_best` off, mosaic and
levels are encoded at libjpeg's quality Q without a search.

Source: arXiv 1612.08712 for the idea, the network and the last two allocators.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tfsemcomp import bitstream, errors
from tfsemcomp.codecs import base

if TYPE_CHECKING:
    import numpy as np

    from tfsemcomp.codecs.jpeg_coefficients import Coefficients

_MAP_METHODS = "cam_topk, class_features, contrast, spectral_residual, centre, uniform"
_MAX_SIDE = 65500  # of libjpeg
# PSNR-HVS counts as equal above this, as in its published code.
_MAX_SCORE = 100.0

SETTINGS = (
    base.Setting(
        "map",
        object,
        f"What matters: a file, a method ({_MAP_METHODS}) or a mixture such as "
        "0.7*cam_topk+0.3*mask.png; an array [H,W] in [0, 1] from Python. "
        "The model's map if not given.",
    ),
    base.Setting(
        "strength",
        float,
        "How strongly the map acts, in octaves of error weight between its least and "
        "most important block; 0 ignores it.",
        default=4.0,
        low=0.0,
        high=12.0,
    ),
    base.Setting(
        "tune",
        str,
        "What counts as a good picture beside the map: PSNR, the eye's sensitivity "
        "(hvs) or both (balanced). Of the allocator rdoq.",
        default="balanced",
        choices=("balanced", "psnr", "hvs"),
    ),
    base.Setting(
        "subsampling",
        str,
        "Resolution of the colour planes; auto is gray for a grey picture, else 4:2:0.",
        default="auto",
        choices=("auto", "4:2:0", "4:4:4", "gray"),
    ),
    base.Setting(
        "progressive",
        bool,
        "Write a progressive file, mostly 1 to 3 per cent smaller at the same picture.",
        default=False,
    ),
    base.Setting(
        "allocator",
        str,
        "How bits are allocated; rdoq unless `mode` is given, then mosaic.",
        choices=("rdoq", "dead_zone", "mosaic", "levels"),
    ),
    base.Setting(
        "mode",
        object,
        "Mixing rule of the allocator mosaic: 1 binary, 2 linear, 3 decile, "
        "4 four_level, 5 strong, 6 gentle; 3 if not given.",
    ),
    base.Setting(
        "find_best",
        bool,
        "Search the encoding that fits the bytes; without, mosaic and levels are "
        "encoded at libjpeg's quality itself.",
        default=True,
    ),
    base.Setting(
        "threshold_pct",
        float,
        "Per cent by which the file may exceed plain JPEG at the quality.",
        default=0.0,
        low=-90.0,
        high=1000.0,
    ),
    base.Setting(
        "ratio_to_jpeg",
        float,
        "Target: bytes as a factor of those of plain JPEG at `reference_quality`.",
        low=0.001,
        target=True,
    ),
    base.Setting(
        "reference_quality",
        int,
        "Quality of the plain JPEG that `ratio_to_jpeg` refers to.",
        default=50,
        low=1,
        high=100,
    ),
    base.Setting(
        "same_quality",
        int,
        "Target: fewest bytes whose PSNR-HVS, weighted by the map, is that of plain "
        "JPEG at this quality.",
        low=1,
        high=100,
        target=True,
    ),
    *base.METADATA_SETTINGS,
)


@base.register("msroi_jpeg")
class MsroiJpegCodec(base.Codec):
    """Content-aware JPEG; see the module.

    Args:
        model: name or path of the network that makes maps, or None for the default.
            Maps that need no network (`map`) work without any.
        server: that runs this network, see `serving.addresses`; None runs it here.

    Raises: ValueError if `server` is no address.
    """

    summary = "Content-aware JPEG: opens everywhere, spends its bytes where it matters."
    suffix = ".jpg"
    quality_range = (1, 100)
    default_quality = 75
    max_side = _MAX_SIDE
    source = "jpeglib (libjpeg), mozjpeg"
    settings = SETTINGS
    uses_model = True

    def search(self, encoder: Callable[[float], bytes], size: int) -> base.Encoded:
        """Makes the largest file of at most `size` bytes; see `base.Codec.search`."""
        if isinstance(encoder, _Composer):
            return encoder.to_size(size)
        return super().search(encoder, size)

    def _encoder(self, image: np.ndarray, **settings: Any) -> _Composer:
        return self._composer(image, self._roi_map(image, settings["map"]), settings)

    def _encode(self, image: np.ndarray, quality: float, **settings: Any) -> bytes:
        return self._encoder(image, **settings)(quality)

    def _encode_to(
        self, image: np.ndarray, target: str, **settings: Any
    ) -> base.Encoded:
        roi_map = self._roi_map(image, settings["map"])
        composer = self._composer(image, roi_map, settings)
        if target == "ratio_to_jpeg":
            reference = composer.plain_size(settings["reference_quality"])
            size = composer.with_metadata(settings["ratio_to_jpeg"] * reference)
            return composer.to_size(size)
        return _to_same_quality(composer, image, roi_map, settings["same_quality"])

    def _decode(
        self, data: bytes, *, layers: int | None, limits: bitstream.Limits
    ) -> np.ndarray:
        from tfsemcomp import image_headers, images

        base.check_one_layer(self.name, layers)
        found = image_headers.sniff(data)
        if found not in (None, "JPEG"):
            raise errors.BitstreamError(
                f"the data are no JPEG file, as {self.name} reads, but {found}"
            )
        return images.load_bytes(data, name=f"{self.name} file", limits=limits).pixels

    def _roi_map(self, image: np.ndarray, spec: Any) -> np.ndarray:
        from tfsemcomp.semantics import roi

        return roi.resolve_map(spec, image, self.model, server=self.server)

    def _composer(
        self, image: np.ndarray, roi_map: np.ndarray, settings: dict[str, Any]
    ) -> _Composer:
        allocator, mode = _check_allocator(settings)
        if allocator in ("mosaic", "levels"):
            return _MosaicComposer(image, roi_map, mode, settings)
        return _LevelsComposer(image, roi_map, allocator, settings)


def _check_allocator(settings: dict[str, Any]) -> tuple[str, int | None]:
    """The allocator and, for mosaic, its mode.

    Raises: ValueError if settings contradict each other.
    """
    from tfsemcomp.codecs import mosaic

    allocator, mode = settings["allocator"], settings["mode"]
    if allocator is None:
        allocator = "rdoq" if mode is None else "mosaic"
    if mode is not None and allocator != "mosaic":
        raise ValueError(
            f"`mode` is of the allocator mosaic, received allocator {allocator!r}"
        )
    if not settings["find_best"] and allocator not in ("mosaic", "levels"):
        raise ValueError(
            "`find_best` can be off with the allocators mosaic and levels only, "
            f"received allocator {allocator!r}"
        )
    if allocator != "mosaic":
        return allocator, None
    return allocator, mosaic.resolve_mode(mosaic.DEFAULT_MODE if mode is None else mode)


class _Composer(abc.ABC):
    """Makes files of one image; calling it gives the file of a quality."""

    def __init__(self, image: np.ndarray, settings: dict[str, Any]) -> None:
        from tfsemcomp.codecs import jpeg_coefficients

        self.image = image
        self.subsampling = jpeg_coefficients.resolve_subsampling(
            image, settings["subsampling"]
        )
        self.excess = 1 + settings["threshold_pct"] / 100
        self._progressive = settings["progressive"]
        self._segments = jpeg_coefficients.metadata_segments(
            settings["exif"], settings["icc"]
        )

    @abc.abstractmethod
    def __call__(self, quality: float) -> bytes:
        """The file of a quality."""

    @abc.abstractmethod
    def to_size(self, size: int) -> base.Encoded:
        """The largest file of at most `size` bytes; SemCompError if there is none."""

    @abc.abstractmethod
    def to_score(
        self, goal: float, score: Callable[[bytes], float], guess: int
    ) -> base.Encoded:
        """The smallest file whose score is at least `goal` dB; likewise."""

    def plain_size(self, quality: float) -> int:
        """Bytes of plain JPEG at a quality, without metadata."""
        return len(self.plain(quality))

    def plain(self, quality: float) -> bytes:
        """Plain JPEG at a quality, without metadata."""
        from tfsemcomp.codecs import jpeg_coefficients

        return jpeg_coefficients.plain(self.image, int(quality), self.subsampling)

    def with_metadata(self, size: float) -> int:
        """Adds the bytes of the metadata to those of a picture."""
        return max(math.floor(size), 1) + len(self._segments)

    def finish(self, data: bytes) -> bytes:
        """Makes a baseline file what the settings ask for."""
        from tfsemcomp.codecs import jpeg_coefficients

        if self._progressive:
            data = jpeg_coefficients.to_progressive(data)
        return jpeg_coefficients.insert_segments(data, self._segments)


class _LevelsComposer(_Composer):
    """Chooses quantised levels: the allocators rdoq and dead_zone."""

    def __init__(
        self,
        image: np.ndarray,
        roi_map: np.ndarray,
        allocator: str,
        settings: dict[str, Any],
    ) -> None:
        super().__init__(image, settings)
        from tfsemcomp.codecs import jpeg_coefficients, msroi_allocator

        strength = settings["strength"]
        spectrum = jpeg_coefficients.analyse(image, self.subsampling, fit_chroma=True)
        if allocator == "dead_zone":
            self._allocator = msroi_allocator.DeadZone(spectrum, roi_map, strength)
            return
        tuning = msroi_allocator.TUNINGS[settings["tune"]]
        weights = msroi_allocator.block_weights(roi_map, spectrum, strength, tuning)
        self._allocator = msroi_allocator.Trellis(spectrum, weights, tuning)

    def __call__(self, quality: float) -> bytes:
        plain = self.plain(quality)
        try:
            size = self.with_metadata(self.excess * len(plain))
            return self.to_size(size).data
        except errors.SemCompError:
            return self.finish(plain)

    def to_size(self, size: int) -> base.Encoded:
        from tfsemcomp.codecs import msroi_allocator

        return _checked(msroi_allocator.fit_size(self._allocator, size, self._file))

    def to_score(
        self, goal: float, score: Callable[[bytes], float], guess: int
    ) -> base.Encoded:
        from tfsemcomp.codecs import msroi_allocator

        return _checked(
            msroi_allocator.fit_score(self._allocator, goal, score, self._file, guess)
        )

    def _file(self, coefficients: Coefficients) -> bytes:
        from tfsemcomp.codecs import jpeg_coefficients

        return self.finish(jpeg_coefficients.write(coefficients))


class _MosaicComposer(_Composer):
    """Mixes pixels and encodes the mixture: the allocators mosaic and levels."""

    def __init__(
        self,
        image: np.ndarray,
        roi_map: np.ndarray,
        mode: int | None,
        settings: dict[str, Any],
    ) -> None:
        super().__init__(image, settings)
        from tfsemcomp.codecs import mosaic

        if mode is None:
            qualities = mosaic.level_qualities(roi_map)
        else:
            qualities = mosaic.mode_qualities(roi_map, mode)
        self._mosaic = mosaic.mix(image, qualities, self.subsampling)
        self._find_best = settings["find_best"]

    def __call__(self, quality: float) -> bytes:
        if not self._find_best:
            return self._file(quality)
        size = self.with_metadata(self.excess * self.plain_size(quality))
        return self.to_size(size).data

    def to_size(self, size: int) -> base.Encoded:
        return base.search(self._file, range(1, 101), size, "msroi_jpeg")

    def to_score(
        self, goal: float, score: Callable[[bytes], float], guess: int
    ) -> base.Encoded:
        del guess
        low, high, encodes, best = 1, 100, 0, None
        while low <= high:
            middle = (low + high) // 2
            data = self._file(middle)
            encodes += 1
            if score(data) >= goal:
                best, high = (data, middle), middle - 1
            else:
                low = middle + 1
        if best is None:
            raise errors.SemCompError(
                f"this allocator reaches no {goal:.2f} dB with this image; use rdoq, "
                "or ask for less"
            )
        return base.Encoded(*best, encodes)

    def _file(self, quality: float) -> bytes:
        from tfsemcomp.codecs import jpeg_coefficients

        return self.finish(
            jpeg_coefficients.plain(self._mosaic, int(quality), self.subsampling)
        )


def _checked(allocation: Any) -> base.Encoded:
    """Reads the levels back from a file before anybody relies on it."""
    from tfsemcomp.codecs import jpeg_coefficients

    jpeg_coefficients.verify(allocation.data, allocation.coefficients)
    return base.Encoded(allocation.data, None, allocation.allocations)


def _to_same_quality(
    composer: _Composer, image: np.ndarray, roi_map: np.ndarray, quality: int
) -> base.Encoded:
    """Fewest bytes whose PSNR-HVS under the map is that of plain JPEG."""
    from tfsemcomp import metrics
    from tfsemcomp.codecs import jpeg_coefficients

    def score(data: bytes) -> float:
        decoded = jpeg_coefficients.decode(data)
        return min(metrics.weighted_psnr_hvs(image, decoded, roi_map), _MAX_SCORE)

    plain = composer.plain(quality)
    guess = composer.with_metadata(0.85 * len(plain))
    return composer.to_score(score(plain), score, guess)
