"""A linear classifier on frozen features, fitted in closed form plus calibration."""

import numpy as np


def fit_ridge(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    l2: float = 1.0,
    bias: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Fits one-against-all ridge regression on standardised features.

    Args:
        features: float [N,J].
        labels: int [N] in [0, classes).
        classes: number of classes.
        l2: weight of the penalty, for each example.
        bias: whether the classifier has one; without it features are not centred.
    Returns: kernel float32 [J,classes] and bias float32 [classes] for raw features,
        scaled so that their softmax has the least cross-entropy on held-out folds.
    Raises:
        ValueError: if a label is out of range or shapes differ.
    """
    if len(features) != len(labels) or not len(labels):
        raise ValueError(
            f"`features` and `labels` must have one length; got {len(features)} "
            f"and {len(labels)}."
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"`labels` must be in [0, {classes}).")
    mean = features.mean(axis=0) * bias
    deviation = features.std(axis=0) + 1e-3
    x = ((features - mean) / deviation).astype(np.float64)
    target = np.eye(classes)[labels] - 1 / classes
    # Leave-one-out predictions follow from the hat matrix, without further fits.
    gram = x.T @ x + l2 * len(x) * np.eye(x.shape[1])
    kernel = np.linalg.solve(gram, x.T @ target)
    leverage = np.einsum("nj,jn->n", x, np.linalg.solve(gram, x.T))
    fitted = x @ kernel
    held_out = target - (target - fitted) / (1 - leverage)[:, None]
    scale = min(np.geomspace(1, 100, 41), key=lambda s: _entropy(s * held_out, labels))
    kernel = scale * kernel / deviation[:, None]
    return kernel.astype(np.float32), (-mean @ kernel).astype(np.float32)


def _entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    logits = logits - logits.max(axis=1, keepdims=True)
    normaliser = np.log(np.exp(logits).sum(axis=1))
    return float(np.mean(normaliser - logits[np.arange(len(labels)), labels]))
