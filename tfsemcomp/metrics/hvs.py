"""PSNR-HVS and PSNR-HVS-M: squared errors as the eye weighs 8x8 DCT coefficients.

Sources: Egiazarian et al., "New full-reference quality metrics based on HVS", VPQM
2006 (PSNR-HVS); Ponomarenko et al., "On between-coefficient contrast masking of DCT
basis functions", VPQM 2007 (PSNR-HVS-M).
"""

import numpy as np

from tfsemcomp.metrics import inputs

_SIDE = 8
# Luminance table of ITU-T T.81, annex K: both weightings are functions of it.
_JPEG_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=np.float64,
)
# Contrast sensitivity: the published weights are these to their six decimals.
_SENSITIVITY = 25.735094 / _JPEG_LUMINANCE
_MASKING = (10.0 / _JPEG_LUMINANCE) ** 2
_MASKING[0, 0] = 0.0  # the mean of a block masks nothing


def _dct_matrix() -> np.ndarray:
    """Orthonormal DCT-II, float64 [8,8], a row a frequency."""
    frequency, position = np.mgrid[:_SIDE, :_SIDE]
    matrix = np.cos(np.pi * (2 * position + 1) * frequency / (2 * _SIDE))
    matrix *= np.sqrt(2.0 / _SIDE)
    matrix[0] /= np.sqrt(2.0)
    return matrix


_DCT = _dct_matrix()


def _blocks(plane: np.ndarray) -> np.ndarray:
    """Cuts [H,W] into [H/8, W/8, 8, 8], mirroring to fill the last blocks."""
    rows, columns = (-(-side // _SIDE) for side in plane.shape)
    whole = inputs.extend(plane, rows * _SIDE, columns * _SIDE)
    return whole.reshape(rows, _SIDE, columns, _SIDE).swapaxes(1, 2)


def _spread(blocks: np.ndarray) -> np.ndarray:
    """Sample variance times the number of samples, over the last two axes."""
    count = blocks.shape[-1] * blocks.shape[-2]
    return np.var(blocks, axis=(-2, -1)) * (count * count / (count - 1.0))


def _masking_strength(blocks: np.ndarray, spectrum: np.ndarray) -> np.ndarray:
    """How much error each block hides: texture hides it, one sharp edge does not."""
    energy = np.einsum("rcuv,rcuv,uv->rc", spectrum, spectrum, _MASKING)
    half = _SIDE // 2
    quarters = sum(
        _spread(blocks[..., top : top + half, left : left + half])
        for top in (0, half)
        for left in (0, half)
    )
    whole = _spread(blocks)
    flat = whole == 0.0
    evenness = np.where(flat, 0.0, quarters / np.where(flat, 1.0, whole))
    return np.sqrt(energy * evenness) / 32.0


def block_errors(
    reference: np.ndarray, image: np.ndarray, *, masking: bool
) -> np.ndarray:
    """The weighted squared error of each 8x8 luma block.

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.
        masking: subtract what contrast masking hides (PSNR-HVS-M), or not (PSNR-HVS).

    Returns:
        float64 [ceil(H/8), ceil(W/8)]: per pixel, in squared 8-bit steps. Blocks that
        reach over the edge are filled by mirroring.

    Raises:
        ValueError: inputs of another type or of two sizes.
    """
    inputs.check_pair(reference, image)
    x, y = _blocks(inputs.luma(reference)), _blocks(inputs.luma(image))
    spectrum_x, spectrum_y = (_DCT @ blocks @ _DCT.T for blocks in (x, y))
    difference = np.abs(spectrum_x - spectrum_y)
    if masking:
        strength = np.maximum(
            _masking_strength(x, spectrum_x), _masking_strength(y, spectrum_y)
        )
        # Nothing hides an error of the block's mean: its weight of 0 gives 0 here.
        hidden = strength[..., None, None] / np.where(_MASKING == 0, np.inf, _MASKING)
        difference = np.maximum(difference - hidden, 0.0)
    difference *= _SENSITIVITY
    return np.einsum("rcuv,rcuv->rc", difference, difference) / _SIDE**2


def psnr_hvs(reference: np.ndarray, image: np.ndarray) -> float:
    """PSNR-HVS on luma (full-range BT.601, not rounded).

    10 log10(255^2 / E), E the mean over 8x8 blocks of the squared DCT differences,
    each times the eye's contrast sensitivity at its frequency.

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.

    Returns:
        dB; inf for equal luma. The published code caps at 100 dB, this does not.

    Raises:
        ValueError: inputs of another type or of two sizes.
    """
    errors = block_errors(reference, image, masking=False)
    return inputs.decibels(float(errors.mean()))


def psnr_hvsm(reference: np.ndarray, image: np.ndarray) -> float:
    """PSNR-HVS-M on luma: PSNR-HVS less what contrast masking hides.

    Args, returns and errors as `psnr_hvs`; inf also where all error is hidden.
    """
    errors = block_errors(reference, image, masking=True)
    return inputs.decibels(float(errors.mean()))


def _weighted(
    reference: np.ndarray, image: np.ndarray, weights: np.ndarray, *, masking: bool
) -> float:
    errors = block_errors(reference, image, masking=masking)
    weights = inputs.check_weights(weights, reference.shape[:2], "weights")
    means = _blocks(weights).mean(axis=(-2, -1))
    return inputs.decibels(inputs.weighted_mean(errors, means))


def weighted_psnr_hvs(
    reference: np.ndarray, image: np.ndarray, weights: np.ndarray
) -> float:
    """PSNR-HVS, each block's error times the mean weight of its pixels.

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.
        weights: float [H,W] in [0, 1]; all 0 counts as all equal.

    Returns:
        dB; inf where no weighted block differs.

    Raises:
        ValueError: inputs of another type, size or range.
    """
    return _weighted(reference, image, weights, masking=False)


def weighted_psnr_hvsm(
    reference: np.ndarray, image: np.ndarray, weights: np.ndarray
) -> float:
    """PSNR-HVS-M, weighted as `weighted_psnr_hvs`."""
    return _weighted(reference, image, weights, masking=True)
