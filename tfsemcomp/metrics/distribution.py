"""Distances between two sets of pictures: FID and KID on features of patches.

Sources: Heusel et al., "GANs trained by a two time-scale update rule converge to a
local Nash equilibrium", NeurIPS 2017 (FID); Binkowski, Sutherland, Arbel, Gretton,
"Demystifying MMD GANs", ICLR 2018 (KID); Mentzer, Toderici, Tschannen, Agustsson,
"High-fidelity generative image compression", NeurIPS 2020, appendix (patches).
"""

import numpy as np

from tfsemcomp.metrics import inputs

PATCH_SIZE = 256
# Rows of the kernel matrix held at once.
_ROWS = 1024


def patches(image: np.ndarray, size: int = PATCH_SIZE) -> np.ndarray:
    """Cuts a picture into the patches on which compression is judged.

    All whole patches of a grid from the upper left corner, then, one fewer each way,
    those of the same grid shifted by size // 2 down and right, so that seams of the
    first grid count too. A side below `size` is mirrored until it has `size`.

    Args:
        image: uint8 [H,W,3].
        size: side of a patch in px, at least 2.

    Returns:
        uint8 [N,size,size,3], N = r c + (r - 1) (c - 1) with r = floor(H / size) and
        c = floor(W / size).

    Raises:
        ValueError: a picture of another type or shape, or a wrong `size`.
    """
    inputs.check_pair(image, image)
    if not isinstance(size, (int, np.integer)) or size < 2:
        raise ValueError(f"`size` must be an integer of at least 2, not {size!r}.")
    image = inputs.extend(image, size, size)
    grids = []
    for fewer, start in ((0, 0), (1, size // 2)):
        rows, columns = (side // size - fewer for side in image.shape[:2])
        grid = image[start : start + rows * size, start : start + columns * size]
        grid = grid.reshape(rows, size, columns, size, 3).swapaxes(1, 2)
        grids.append(grid.reshape(-1, size, size, 3))
    return np.concatenate(grids)


def _check_features(
    features_a: np.ndarray, features_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    for name, features in (("features_a", features_a), ("features_b", features_b)):
        if not isinstance(features, np.ndarray) or features.dtype.kind != "f":
            found = getattr(features, "dtype", type(features).__name__)
            raise ValueError(f"`{name}` must be a float array [N,D], not {found}.")
        if features.ndim != 2 or features.shape[0] < 2 or features.shape[1] < 1:
            raise ValueError(
                f"`{name}` must have the shape [N,D] with N >= 2, not "
                f"{list(features.shape)}: one row a patch."
            )
        if not np.isfinite(features).all():
            raise ValueError(f"`{name}` must be finite.")
    if features_a.shape[1] != features_b.shape[1]:
        raise ValueError(
            f"`features_b` must have the {features_a.shape[1]} columns of "
            f"`features_a`, not {features_b.shape[1]}: take one backbone for both."
        )
    return features_a.astype(np.float64), features_b.astype(np.float64)


def _root(features: np.ndarray) -> np.ndarray:
    """A matrix R [r,D], r <= D, with R^T R the sample covariance of the rows."""
    centred = features - features.mean(axis=0)
    centred /= np.sqrt(len(features) - 1.0)
    if len(features) <= features.shape[1]:
        return centred
    return np.linalg.qr(centred, mode="r")


def fid(features_a: np.ndarray, features_b: np.ndarray) -> float:
    """Frechet distance of the Gaussians fitted to two sets of features.

    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), with sample means and unbiased
    covariances. With C = R^T R the trace of the root is the sum of the singular values
    of R_a R_b^T: no root of a matrix is taken, and nothing is added to a diagonal.

    The estimate is biased upwards, the more the fewer patches: compare values of equal
    N only, and few thousand patches at least (Kodak has 192 of 256 px). The published
    FID takes InceptionV3 features: values from other backbones do not compare with it.

    Args:
        features_a: float [N,D], finite, a row a patch, as `Backbone.embed` gives them;
            N >= 2.
        features_b: float [M,D], likewise.

    Returns:
        >= 0, in squared feature units; 0 for equal sets (to rounding).

    Raises:
        ValueError: inputs of another type, shape or range.
    """
    a, b = _check_features(features_a, features_b)
    shift = a.mean(axis=0) - b.mean(axis=0)
    root_a, root_b = _root(a), _root(b)
    overlap = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    spread = np.sum(root_a**2) + np.sum(root_b**2) - 2.0 * overlap
    return max(0.0, float(shift @ shift + spread))


def _kernel_sum(a: np.ndarray, b: np.ndarray) -> float:
    """Sum of the polynomial kernel of degree 3 over all pairs of rows."""
    width = a.shape[1]
    return sum(
        float(((a[start : start + _ROWS] @ b.T / width + 1.0) ** 3).sum())
        for start in range(0, len(a), _ROWS)
    )


def _own_kernel_sum(a: np.ndarray) -> float:
    """The same over the pairs of two different rows of one set."""
    itself = (np.einsum("nd,nd->n", a, a) / a.shape[1] + 1.0) ** 3
    return _kernel_sum(a, a) - float(itself.sum())


def kid(features_a: np.ndarray, features_b: np.ndarray) -> float:
    """Kernel distance: the unbiased estimate of the squared MMD of two sets.

    Kernel (x.y / D + 1)^3, over all pairs; no subsets are drawn. Unlike the FID it has
    no bias at any N, and so may be negative where both sets are alike.

    Args:
        features_a: float [N,D], finite, a row a patch; N >= 2.
        features_b: float [M,D], likewise.

    Returns:
        Unitless; around 0 for sets of one distribution.

    Raises:
        ValueError: inputs of another type, shape or range.
    """
    a, b = _check_features(features_a, features_b)
    n, m = len(a), len(b)
    within = _own_kernel_sum(a) / (n * (n - 1.0)) + _own_kernel_sum(b) / (m * (m - 1.0))
    return within - 2.0 * _kernel_sum(a, b) / (n * m)
