"""The metrics by name, with what a table or a plot must know of each."""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from tfsemcomp.metrics import fidelity, hvs, structural, vif


@dataclasses.dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: its key and its column in tables.
        function: `f(reference, image) -> float`, both uint8 [H,W,3]; with `needs_map`
            `f(reference, image, roi_map)`, `roi_map` float [H,W] in [0, 1].
        unit: "dB" or "" (unitless).
        higher_is_better: whether more is better.
        needs_map: whether it takes a ROI map.
        label: how plots and tables write its name.
    """

    name: str
    function: Callable[..., float]
    unit: str
    higher_is_better: bool
    needs_map: bool
    label: str


def _table(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


METRICS: dict[str, Metric] = _table(
    Metric("psnr", fidelity.psnr, "dB", True, False, "PSNR"),
    Metric("psnr_y", fidelity.psnr_y, "dB", True, False, "PSNR-Y"),
    Metric("ssim", structural.ssim, "", True, False, "SSIM"),
    Metric("ssim_y", structural.ssim_y, "", True, False, "SSIM-Y"),
    Metric("ms_ssim", structural.ms_ssim, "", True, False, "MS-SSIM"),
    Metric("ms_ssim_y", structural.ms_ssim_y, "", True, False, "MS-SSIM-Y"),
    Metric("vifp", vif.vifp, "", True, False, "VIFp"),
    Metric("psnr_hvs", hvs.psnr_hvs, "dB", True, False, "PSNR-HVS"),
    Metric("psnr_hvsm", hvs.psnr_hvsm, "dB", True, False, "PSNR-HVS-M"),
    Metric("roi_psnr", fidelity.roi_psnr, "dB", True, True, "ROI PSNR"),
    Metric(
        "background_psnr",
        fidelity.background_psnr,
        "dB",
        True,
        True,
        "Background PSNR",
    ),
    Metric("psnr_s", fidelity.psnr_s, "dB", True, True, "PSNR-S"),
    Metric("weighted_ssim", structural.weighted_ssim, "", True, True, "Weighted SSIM"),
    Metric(
        "weighted_psnr_hvs",
        hvs.weighted_psnr_hvs,
        "dB",
        True,
        True,
        "Weighted PSNR-HVS",
    ),
    Metric(
        "weighted_psnr_hvsm",
        hvs.weighted_psnr_hvsm,
        "dB",
        True,
        True,
        "Weighted PSNR-HVS-M",
    ),
)


def select(names: Iterable[str] | None, *, has_map: bool) -> tuple[str, ...]:
    """Checks metric names, or takes all that can be measured.

    Args:
        names: keys of METRICS, or None for all of them (without a map: all that need
            none).
        has_map: whether a ROI map will be there.

    Returns:
        The names, in the order given, without repetition.

    Raises:
        ValueError: an unknown name, or one that needs a map where there is none.
    """
    if names is None:
        return tuple(n for n, m in METRICS.items() if has_map or not m.needs_map)
    chosen = tuple(dict.fromkeys(names))
    unknown = [name for name in chosen if name not in METRICS]
    if unknown:
        raise ValueError(
            f"`metrics` names {', '.join(map(repr, unknown))}, which is not here: "
            f"choose from {', '.join(METRICS)}."
        )
    blind = [name for name in chosen if METRICS[name].needs_map and not has_map]
    if blind:
        raise ValueError(
            f"`metrics` names {', '.join(blind)}, which need a ROI map: give one, or "
            "leave them out."
        )
    return chosen


def measure(
    reference: np.ndarray,
    image: np.ndarray,
    names: Iterable[str] | None = None,
    roi_map: np.ndarray | None = None,
) -> dict[str, float]:
    """Measures one picture with several metrics.

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.
        names: keys of METRICS; None for all (without a map: all that need none).
        roi_map: float [H,W] in [0, 1], or None.

    Returns:
        The value of each metric by its name.

    Raises:
        ValueError: an unknown metric, one that needs a map where there is none, or
            inputs of another type, size or range.
    """
    values = {}
    for name in select(names, has_map=roi_map is not None):
        metric = METRICS[name]
        extra = (roi_map,) if metric.needs_map else ()
        values[name] = float(metric.function(reference, image, *extra))
    return values
