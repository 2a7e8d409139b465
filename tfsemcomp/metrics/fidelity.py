"""Peak signal-to-noise ratios: whole picture, luma, region of interest, weighted."""

import numpy as np

from tfsemcomp.metrics import inputs

ROI_SHARE = 0.2


def _squared_error(reference: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Squared differences averaged over the channels, float64 [H,W]."""
    difference = reference.astype(np.float64) - image
    return np.einsum("hwc,hwc->hw", difference, difference) / 3.0


def _luma_squared_error(reference: np.ndarray, image: np.ndarray) -> np.ndarray:
    return np.square(inputs.luma(reference) - inputs.luma(image))


def psnr(reference: np.ndarray, image: np.ndarray) -> float:
    """PSNR over all RGB samples.

    10 log10(255^2 / MSE), MSE over H x W x 3 samples.

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.

    Returns:
        dB, >= 0; inf for equal pictures.

    Raises:
        ValueError: inputs of another type or of two sizes.
    """
    inputs.check_pair(reference, image)
    return inputs.decibels(float(_squared_error(reference, image).mean()))


def psnr_y(reference: np.ndarray, image: np.ndarray) -> float:
    """PSNR of the luma (full-range BT.601, not rounded).

    Args, returns and errors as `psnr`.
    """
    inputs.check_pair(reference, image)
    return inputs.decibels(float(_luma_squared_error(reference, image).mean()))


def weighted_psnr(
    reference: np.ndarray, image: np.ndarray, weights: np.ndarray
) -> float:
    """PSNR over all RGB samples, each pixel's squared error times its weight.

    10 log10(255^2 / (sum w e^2 / sum w)); the plain PSNR where all weights are equal,
    or all 0.

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.
        weights: float [H,W] in [0, 1].

    Returns:
        dB; inf where no weighted sample differs.

    Raises:
        ValueError: inputs of another type, size or range.
    """
    inputs.check_pair(reference, image)
    weights = inputs.check_weights(weights, reference.shape[:2], "weights")
    error = _squared_error(reference, image)
    return inputs.decibels(inputs.weighted_mean(error, weights))


def weighted_psnr_y(
    reference: np.ndarray, image: np.ndarray, weights: np.ndarray
) -> float:
    """`psnr_y`, weighted as `weighted_psnr`."""
    inputs.check_pair(reference, image)
    weights = inputs.check_weights(weights, reference.shape[:2], "weights")
    error = _luma_squared_error(reference, image)
    return inputs.decibels(inputs.weighted_mean(error, weights))


def psnr_s(reference: np.ndarray, image: np.ndarray, roi_map: np.ndarray) -> float:
    """PSNR-S, the salient PSNR: `weighted_psnr` under the ROI map.

    The MSROI paper (arXiv 1612.08712) reports a PSNR-S whose formula neither the paper
    nor its code gives; this is our definition, so values are not to be compared with
    the paper's.

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.
        roi_map: float [H,W] in [0, 1], 1 = most important.

    Returns:
        dB; inf where no weighted sample differs.

    Raises:
        ValueError: inputs of another type, size or range.
    """
    return weighted_psnr(reference, image, roi_map)


def roi_mask(roi_map: np.ndarray, share: float = ROI_SHARE) -> np.ndarray:
    """The `share` of the pixels with the highest map values.

    Pixels are ranked by value, equal ones in reading order (row by row, from the left),
    so the count is exact and the choice the same everywhere: round(share x H x W),
    at least 1 and at most H x W - 1.

    Args:
        roi_map: float [H,W] in [0, 1].
        share: of the pixels, in (0, 1).

    Returns:
        bool [H,W].

    Raises:
        ValueError: a map of another type or range, or `share` outside (0, 1).
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"`share` must lie between 0 and 1, not {share}.")
    if not isinstance(roi_map, np.ndarray) or roi_map.ndim != 2 or not roi_map.size:
        found = getattr(roi_map, "shape", type(roi_map).__name__)
        raise ValueError(f"`roi_map` must be an array [H,W], not {found}.")
    values = inputs.check_weights(roi_map, roi_map.shape, "roi_map")
    count = max(1, min(round(share * values.size), values.size - 1))
    ranked = np.argsort(-values, axis=None, kind="stable")
    mask = np.zeros(values.size, dtype=bool)
    mask[ranked[:count]] = True
    return mask.reshape(values.shape)


def roi_psnr(
    reference: np.ndarray,
    image: np.ndarray,
    roi_map: np.ndarray,
    share: float = ROI_SHARE,
) -> float:
    """PSNR over the RGB samples of the region of interest.

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.
        roi_map: float [H,W] in [0, 1]; the region is `roi_mask(roi_map, share)`.
        share: of the pixels, in (0, 1).

    Returns:
        dB; inf where the region is unchanged.

    Raises:
        ValueError: inputs of another type, size or range.
    """
    inputs.check_pair(reference, image)
    inputs.check_weights(roi_map, reference.shape[:2], "roi_map")
    error = _squared_error(reference, image)
    return inputs.decibels(float(error[roi_mask(roi_map, share)].mean()))


def background_psnr(
    reference: np.ndarray,
    image: np.ndarray,
    roi_map: np.ndarray,
    share: float = ROI_SHARE,
) -> float:
    """PSNR over the RGB samples outside the region of interest.

    Args, returns and errors as `roi_psnr`. A picture of one pixel has no outside: that
    pixel counts.
    """
    inputs.check_pair(reference, image)
    inputs.check_weights(roi_map, reference.shape[:2], "roi_map")
    outside = ~roi_mask(roi_map, share)
    error = _squared_error(reference, image)
    return inputs.decibels(float(error[outside if outside.any() else ...].mean()))
