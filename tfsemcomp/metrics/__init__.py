"""Picture quality metrics: NumPy functions on uint8 [H,W,3], defined in METRICS.md.

Beside those that compare two pictures: `backbones` (networks whose features count),
`distribution` (FID, KID), `recognition` (top-k, mean IoU), `captions` (BLEU-4) and
`saliency` (AUC, NSS, CC).
"""

from tfsemcomp.metrics.captions import bleu4, caption_bleu4
from tfsemcomp.metrics.distribution import fid, kid, patches
from tfsemcomp.metrics.edges import (
    canny,
    edge_f1,
    edge_map_f1,
    weighted_edge_f1,
)
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
    weighted_psnr_y,
)
from tfsemcomp.metrics.hvs import (
    psnr_hvs,
    psnr_hvsm,
    weighted_psnr_hvs,
    weighted_psnr_hvsm,
)
from tfsemcomp.metrics.recognition import confusion, miou, top_k
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
    ms_ssim_db,
    ms_ssim_y,
    ssim,
    ssim_y,
    weighted_ms_ssim,
    weighted_ms_ssim_y,
    weighted_ssim,
    weighted_ssim_y,
)
from tfsemcomp.metrics.vif import vifp, weighted_vifp

__all__ = [
    "FAMILIES",
    "METRICS",
    "Metric",
    "background_psnr",
    "bleu4",
    "canny",
    "caption_bleu4",
    "columns",
    "confusion",
    "edge_f1",
    "edge_map_f1",
    "feature_dists",
    "feature_lpips",
    "fid",
    "get",
    "kid",
    "measure",
    "miou",
    "ms_ssim",
    "ms_ssim_db",
    "ms_ssim_y",
    "patches",
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
    "top_k",
    "vifp",
    "weighted_edge_f1",
    "weighted_feature_lpips",
    "weighted_ms_ssim",
    "weighted_ms_ssim_y",
    "weighted_psnr",
    "weighted_psnr_hvs",
    "weighted_psnr_hvsm",
    "weighted_psnr_y",
    "weighted_ssim",
    "weighted_ssim_y",
    "weighted_vifp",
]
