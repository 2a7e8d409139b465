"""Compiled loops over edge maps.

All functions touch nothing but their arguments and give the same result on every call.
Numba is imported with this module, so it must be imported inside functions only.
"""

import numpy as np

from tfsemcomp.jit import jit


@jit()
def without_small(edges: np.ndarray, size: int) -> np.ndarray:
    """Drops the 8-connected components of fewer than `size` pixels.

    Args:
        edges: bool [H,W].
        size: pixels of the smallest component that stays.

    Returns: bool [H,W].
    """
    height, width = edges.shape
    kept = edges.copy()
    seen = np.zeros((height, width), np.bool_)
    # The pixels of the component at hand; those before `done` have been looked around.
    found = np.empty((edges.sum() + 1, 2), np.int64)
    for top in range(height):
        for left in range(width):
            if not edges[top, left] or seen[top, left]:
                continue
            seen[top, left] = True
            found[0] = top, left
            count, done = 1, 0
            while done < count:
                i, j = found[done]
                done += 1
                for p in range(max(i - 1, 0), min(i + 2, height)):
                    for q in range(max(j - 1, 0), min(j + 2, width)):
                        if edges[p, q] and not seen[p, q]:
                            seen[p, q] = True
                            found[count] = p, q
                            count += 1
            if count < size:
                for k in range(count):
                    kept[found[k, 0], found[k, 1]] = False
    return kept
