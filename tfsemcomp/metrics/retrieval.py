"""Whether drawn pictures are found by the sentences that they were drawn of.

Source: Xu et al., AttnGAN, CVPR 2018, arXiv 1711.10485, section 4 (R-precision, R = 1).
"""

import numpy as np

# As published: the right sentence among 99 others.
CANDIDATES = 100


def r_precision(
    pictures: np.ndarray,
    sentences: np.ndarray,
    candidates: int = CANDIDATES,
    seed: int = 1,
) -> float:
    """Share of pictures whose own sentence is nearer than all others drawn for it.

    Args:
        pictures: float [N,D], a vector of each picture.
        sentences: float [N,D], of its sentence in the same space.
        candidates: sentences that each picture chooses from, its own and others drawn
            without replacement; 2 to N.
        seed: of what is drawn.

    Returns:
        In [0, 1]; 1 / candidates is chance. Ties are lost.

    Raises:
        ValueError: the arrays do not match, or there are fewer sentences than
            candidates.
    """
    pictures = np.asarray(pictures, np.float64)
    sentences = np.asarray(sentences, np.float64)
    if pictures.ndim != 2 or pictures.shape != sentences.shape:
        raise ValueError(
            "`pictures` and `sentences` must be [N,D], a row each for every picture; "
            f"got {pictures.shape} and {sentences.shape}."
        )
    count = len(pictures)
    if not 2 <= candidates <= count:
        raise ValueError(
            f"`candidates` must be 2 to the number of pictures, {count}; got "
            f"{candidates}."
        )
    cosines = _unit(pictures) @ _unit(sentences).T
    rng = np.random.default_rng(seed)
    found = 0
    for number, row in enumerate(cosines):
        others = rng.choice(count - 1, candidates - 1, replace=False)
        # Number k of the others is k, or k + 1 from the picture's own on.
        others += others >= number
        found += row[number] > row[others].max()
    return found / count


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)
