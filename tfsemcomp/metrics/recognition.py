"""How well classes are recognised: top-k accuracy, confusion, mean IoU.

Sources: Russakovsky et al., "ImageNet large scale visual recognition challenge", IJCV
2015 (top-k); Everingham et al., "The PASCAL visual object classes challenge", IJCV 2010
(intersection over union).
"""

import numpy as np

IGNORE = 255


def top_k(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Share of the pictures whose label is among the k classes of highest score.

    Args:
        scores: float [N,C], N >= 1, a row a picture; any monotone score will do. Of
            equal scores the lower class comes first.
        labels: integers [N] in 0..C-1.
        k: in 1..C.

    Returns:
        In [0, 1].

    Raises:
        ValueError: inputs of another type, shape or range.
    """
    if not isinstance(scores, np.ndarray) or scores.dtype.kind != "f":
        found = getattr(scores, "dtype", type(scores).__name__)
        raise ValueError(f"`scores` must be a float array [N,C], not {found}.")
    if scores.ndim != 2 or 0 in scores.shape or np.isnan(scores).any():
        raise ValueError(
            "`scores` must have the shape [N,C], N and C >= 1, and no NaN; got "
            f"{list(scores.shape)}."
        )
    count, classes = scores.shape
    if not isinstance(k, (int, np.integer)) or not 1 <= k <= classes:
        raise ValueError(f"`k` must be an integer in 1..{classes}, not {k!r}.")
    labels = _check_classes(labels, "labels")
    if labels.shape != (count,):
        raise ValueError(f"`labels` must have the shape [{count}], not {labels.shape}.")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"`labels` must lie in 0..{classes - 1}; they span "
            f"{labels.min()}..{labels.max()}."
        )
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


def _check_classes(values: np.ndarray, name: str) -> np.ndarray:
    """Refuses anything but integers, and returns them as int64."""
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iu":
        found = getattr(values, "dtype", type(values).__name__)
        raise ValueError(f"`{name}` must be an array of integers, not {found}.")
    return values.astype(np.int64)


def confusion(
    reference: np.ndarray,
    predicted: np.ndarray,
    classes: int,
    ignore: int | None = IGNORE,
) -> np.ndarray:
    """Counts the pixels of each pair of classes.

    Args:
        reference: integers [H,W] (or any shape), the true label map.
        predicted: integers of that shape.
        classes: their number; labels are 0..classes-1.
        ignore: pixels with this label in `reference` are not counted; None for none.

    Returns:
        int64 [classes,classes], a row a class of `reference`. Confusions of several
        pictures add up.

    Raises:
        ValueError: inputs of another type, shape or range.
    """
    if not isinstance(classes, (int, np.integer)) or classes < 1:
        raise ValueError(
            f"`classes` must be an integer of at least 1, not {classes!r}."
        )
    reference = _check_classes(reference, "reference")
    predicted = _check_classes(predicted, "predicted")
    if reference.shape != predicted.shape:
        raise ValueError(
            f"`predicted` must have the shape of `reference`, {list(reference.shape)}, "
            f"not {list(predicted.shape)}."
        )
    if ignore is not None:
        counted = reference != ignore
        reference, predicted = reference[counted], predicted[counted]
    for name, values in (("reference", reference), ("predicted", predicted)):
        if values.size and (values.min() < 0 or values.max() >= classes):
            raise ValueError(
                f"`{name}` must hold labels in 0..{classes - 1}; it spans "
                f"{values.min()}..{values.max()}."
            )
    pairs = (reference * classes + predicted).ravel()
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def miou(counts: np.ndarray) -> float:
    """Mean over classes of intersection over union.

    A class counts where it occurs in either map. With the confusion of one picture it
    is that picture's value; with the sum over pictures the data set's, which is what
    papers report.

    Args:
        counts: int64 [C,C], as `confusion` gives it.

    Returns:
        In [0, 1]; NaN where no pixel was counted.

    Raises:
        ValueError: counts of another type, shape or range.
    """
    counts = _check_classes(counts, "counts")
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.min() < 0:
        raise ValueError(
            f"`counts` must be a confusion [C,C] without negative counts, not of shape "
            f"{list(counts.shape)}."
        )
    hits = np.diagonal(counts)
    unions = counts.sum(axis=0) + counts.sum(axis=1) - hits
    there = unions > 0
    if not there.any():
        return float("nan")
    return float((hits[there] / unions[there]).mean())
