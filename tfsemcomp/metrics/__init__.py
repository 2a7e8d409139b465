"""Picture quality metrics: NumPy functions on uint8 [H,W,3], defined in METRICS.md."""

from tfsemcomp.metrics.features import (
    feature_dists,
    feature_lpips,
    weighted_feature_lpips,
)
from tfsemcomp.metrics.fidelity import (
    background_psnr,
    psnr,
    psnr_s,
    psnr_y,
    roi_mask,
    roi_psnr,
    weighted_psnr,
)
from tfsemcomp.metrics.hvs import (
    psnr_hvs,
    psnr_hvsm,
    weighted_psnr_hvs,
    weighted_psnr_hvsm,
)
from tfsemcomp.metrics.registry import (
    FAMILIES,
    METRICS,
    Metric,
    columns,
    get,
    measure,
    select,
)
from tfsemcomp.metrics.structural import (
    ms_ssim,
    ms_ssim_y,
    ssim,
    ssim_y,
    weighted_ssim,
)
from tfsemcomp.metrics.vif import vifp

__all__ = [
    "FAMILIES",
    "METRICS",
    "Metric",
    "background_psnr",
    "columns",
    "feature_dists",
    "feature_lpips",
    "get",
    "measure",
    "ms_ssim",
    "ms_ssim_y",
    "psnr",
    "psnr_hvs",
    "psnr_hvsm",
    "psnr_s",
    "psnr_y",
    "roi_mask",
    "roi_psnr",
    "select",
    "ssim",
    "ssim_y",
    "vifp",
    "weighted_feature_lpips",
    "weighted_psnr",
    "weighted_psnr_hvs",
    "weighted_psnr_hvsm",
    "weighted_ssim",
]
