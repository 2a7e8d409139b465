"""The metrics by name, with what a table or a plot must know of each.

A name is a key of METRICS, or a key of FAMILIES, "@" and what the value depends on: the
backbone of a feature distance, the observer of an accuracy.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable

import numpy as np

from tfsemcomp.errors import SemCompError
from tfsemcomp.metrics import (
    backbones,
    edges,
    features,
    fidelity,
    hvs,
    structural,
    vif,
)


@dataclasses.dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: its column in tables.
        function: `f(reference, image) -> float`, both uint8 [H,W,3]; with `needs_map`
            `f(reference, image, roi_map)`, `roi_map` float [H,W] in [0, 1]. None where
            pictures alone do not give the value: an observer's columns, and feature
            distances whose backbone's file is not here.
        unit: "dB" or "" (unitless).
        higher_is_better: whether more is better.
        needs_map: whether it takes a ROI map.
        label: how plots and tables write its name.
    """

    name: str
    function: Callable[..., float] | None
    unit: str
    higher_is_better: bool
    needs_map: bool
    label: str


def _mapped(name: str, function: Callable[..., float], unit: str, label: str) -> Metric:
    return Metric(name, function, unit, True, True, label)


def _table(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


METRICS: dict[str, Metric] = _table(
    Metric("psnr", fidelity.psnr, "dB", True, False, "PSNR"),
    Metric("psnr_y", fidelity.psnr_y, "dB", True, False, "PSNR-Y"),
    Metric("ssim", structural.ssim, "", True, False, "SSIM"),
    Metric("ssim_y", structural.ssim_y, "", True, False, "SSIM-Y"),
    Metric("ms_ssim", structural.ms_ssim, "", True, False, "MS-SSIM"),
    Metric("ms_ssim_y", structural.ms_ssim_y, "", True, False, "MS-SSIM-Y"),
    Metric("ms_ssim_db", structural.ms_ssim_db, "dB", True, False, "MS-SSIM-dB"),
    Metric("vifp", vif.vifp, "", True, False, "VIFp"),
    Metric("psnr_hvs", hvs.psnr_hvs, "dB", True, False, "PSNR-HVS"),
    Metric("psnr_hvsm", hvs.psnr_hvsm, "dB", True, False, "PSNR-HVS-M"),
    Metric("edge_f1", edges.edge_f1, "", True, False, "Edge F1"),
    _mapped("roi_psnr", fidelity.roi_psnr, "dB", "ROI PSNR"),
    _mapped("background_psnr", fidelity.background_psnr, "dB", "Background PSNR"),
    _mapped("psnr_s", fidelity.psnr_s, "dB", "PSNR-S"),
    _mapped("weighted_psnr_y", fidelity.weighted_psnr_y, "dB", "Weighted PSNR-Y"),
    _mapped("weighted_ssim", structural.weighted_ssim, "", "Weighted SSIM"),
    _mapped("weighted_ssim_y", structural.weighted_ssim_y, "", "Weighted SSIM-Y"),
    _mapped("weighted_ms_ssim", structural.weighted_ms_ssim, "", "Weighted MS-SSIM"),
    _mapped(
        "weighted_ms_ssim_y", structural.weighted_ms_ssim_y, "", "Weighted MS-SSIM-Y"
    ),
    _mapped("weighted_vifp", vif.weighted_vifp, "", "Weighted VIFp"),
    _mapped("weighted_psnr_hvs", hvs.weighted_psnr_hvs, "dB", "Weighted PSNR-HVS"),
    _mapped("weighted_psnr_hvsm", hvs.weighted_psnr_hvsm, "dB", "Weighted PSNR-HVS-M"),
    _mapped("weighted_edge_f1", edges.weighted_edge_f1, "", "Weighted edge F1"),
)

# By the part of a name before "@"; `_resolve` completes them.
FAMILIES: dict[str, Metric] = _table(
    Metric("feature_lpips", features.feature_lpips, "", False, False, "Feature LPIPS"),
    Metric("feature_dists", features.feature_dists, "", False, False, "Feature DISTS"),
    Metric(
        "weighted_feature_lpips",
        features.weighted_feature_lpips,
        "",
        False,
        True,
        "Weighted feature LPIPS",
    ),
    Metric("top1", None, "", True, False, "Top-1 accuracy"),
    Metric("top5", None, "", True, False, "Top-5 accuracy"),
    Metric("preserved", None, "", True, False, "Preserved accuracy"),
    Metric("confidence", None, "", True, False, "Confidence change"),
    Metric("miou", None, "", True, False, "Mean IoU"),
    Metric("preserved_miou", None, "", True, False, "Preserved mean IoU"),
)


def _feature_families() -> list[str]:
    return [name for name, family in FAMILIES.items() if family.function is not None]


def get(name: str) -> Metric:
    """Finds a metric by name.

    Args:
        name: a key of METRICS, as "psnr"; or a family, "@" and a backbone as
            `backbones.load` takes it ("feature_lpips@mobilenet", or a path); or a
            column of a table, with a backbone's or an observer's name after the "@".

    Returns:
        The metric; its `name` is the column, with the backbone's own name. No network
        is loaded before its function is called.

    Raises:
        ValueError: no metric has this name.
    """
    if name in METRICS:
        return METRICS[name]
    family, _, argument = name.partition("@")
    if family not in FAMILIES:
        raise ValueError(
            f"`metrics` names {name!r}, which is not here: choose from "
            f"{', '.join(METRICS)}, {'@BACKBONE, '.join(_feature_families())}@BACKBONE."
        )
    if not argument:
        raise ValueError(
            f"`metrics` names {name!r}: {family} needs a name after an `@`, as in "
            f"'{family}@mobilenet'."
        )
    return _resolve(FAMILIES[family], argument)


def _resolve(family: Metric, argument: str) -> Metric:
    """A family's metric for one backbone or observer."""
    function = None
    if family.function is not None:
        try:
            shown = backbones.resolve_name(argument)
            function = functools.partial(_with_backbone, family.function, argument)
            argument = shown
        except SemCompError:
            pass  # a column measured elsewhere: it has a label, `select` refuses it
    return dataclasses.replace(
        family,
        name=f"{family.name}@{argument}",
        function=function,
        label=f"{family.label} ({argument})",
    )


def _with_backbone(
    function: Callable[..., float], backbone: str, *arguments: np.ndarray
) -> float:
    return function(*arguments, backbone=backbones.load(backbone))


def select(names: Iterable[str] | None, *, has_map: bool) -> tuple[str, ...]:
    """Checks metric names, or takes all that can be measured.

    Args:
        names: as `get` takes them, or None for all of METRICS (without a map: all that
            need none).
        has_map: whether a ROI map will be there.

    Returns:
        The names, in the order given, without repetition. No network is loaded: call
        `backbones.load` to learn early whether its weights can be had.

    Raises:
        ValueError: an unknown name, or one that needs a map where there is none, or
            whose values come from an observer.
        SemCompError: a backbone that is not here.
    """
    if names is None:
        return tuple(n for n, m in METRICS.items() if has_map or not m.needs_map)
    chosen = {name: get(name) for name in names}
    for name, metric in chosen.items():
        if metric.function is None:
            _refuse(name)
    blind = [name for name, m in chosen.items() if m.needs_map and not has_map]
    if blind:
        raise ValueError(
            f"`metrics` names {', '.join(blind)}, which need a ROI map: give one, or "
            "leave them out."
        )
    return tuple(chosen)


def _refuse(name: str) -> None:
    family, _, argument = name.partition("@")
    if FAMILIES[family].function is None:
        raise ValueError(
            f"`metrics` names {name!r}, whose values come from an observer: name it "
            "in `observers`."
        )
    backbones.resolve_name(argument)  # raises, and says what is wrong with it


def columns(names: Iterable[str]) -> tuple[str, ...]:
    """The columns in which `measure` returns the metrics of these names.

    Args:
        names: as `get` takes them.

    Returns:
        A column each: the name itself, with a backbone's own name after the "@".

    Raises:
        ValueError: an unknown name.
    """
    return tuple(get(name).name for name in names)


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
        names: as `get` takes them; None for all of METRICS (without a map: all that
            need none).
        roi_map: float [H,W] in [0, 1], or None.

    Returns:
        The value of each metric by its column (`columns`).

    Raises:
        ValueError: an unknown metric, one that needs a map where there is none, or
            inputs of another type, size or range.
        SemCompError: a backbone that is not here or cannot be loaded.
    """
    values = {}
    for name in select(names, has_map=roi_map is not None):
        metric = get(name)
        extra = (roi_map,) if metric.needs_map else ()
        values[metric.name] = float(metric.function(reference, image, *extra))
    return values
