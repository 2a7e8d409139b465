"""Compiled loops of the JPEG encoder: transform, symbol statistics, optimal choices.

Blocks are rows of 64 coefficients in zigzag order. All functions release the GIL, touch
nothing but their arguments and give the same result on every call. They are compiled
at the first call on a machine (`tfsemcomp.jit`); as that imports Numba, this module
must be imported inside functions only.
"""

import numpy as np

from tfsemcomp.jit import jit

ZERO_RUN = 0xF0
END_OF_BLOCK = 0x00
MAX_AC = 1023
LOWEST_DC, HIGHEST_DC = -1024, 1023
_MAX_CODE_LENGTH = 16


@jit()
def to_planes(pixels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """JFIF YCbCr, luma shifted to -128..127, the last row and column repeated.

    Args:
        pixels: uint8 [H,W,3], RGB.
        rows, columns: size of the result, at least H and W.

    Returns: float32 [3,rows,columns].
    Source: ITU-T T.871, section 7.
    """
    height, width = pixels.shape[0], pixels.shape[1]
    planes = np.empty((3, rows, columns), np.float32)
    for i in range(rows):
        source = pixels[min(i, height - 1)]
        for j in range(width):
            red = np.float32(source[j, 0])
            green = np.float32(source[j, 1])
            blue = np.float32(source[j, 2])
            luma = (
                np.float32(0.299) * red
                + np.float32(0.587) * green
                + np.float32(0.114) * blue
            )
            planes[0, i, j] = luma - np.float32(128)
            planes[1, i, j] = (blue - luma) * np.float32(0.5 / 0.886)
            planes[2, i, j] = (red - luma) * np.float32(0.5 / 0.701)
        for j in range(width, columns):
            for c in range(3):
                planes[c, i, j] = planes[c, i, width - 1]
    return planes


@jit()
def halve(plane: np.ndarray, fit: bool) -> np.ndarray:
    """Means of 2x2 samples, sharpened if `fit`, clipped to -128..127.

    Upsampling with the triangle filter (3/4, 1/4) and taking means again is a blur
    with (1/8, 6/8, 1/8); one step of fixed-point iteration undoes most of it.

    Args:
        plane: float32 [2h,2w].
        fit: whether to sharpen.

    Returns: float32 [h,w].
    """
    rows, columns = plane.shape[0] // 2, plane.shape[1] // 2
    small = np.empty((rows, columns), np.float32)
    quarter = np.float32(0.25)
    for i in range(rows):
        for j in range(columns):
            upper = plane[2 * i, 2 * j] + plane[2 * i, 2 * j + 1]
            lower = plane[2 * i + 1, 2 * j] + plane[2 * i + 1, 2 * j + 1]
            small[i, j] = (upper + lower) * quarter
    if not fit:
        return small
    centre, side = np.float32(0.75), np.float32(0.125)
    blurred = np.empty_like(small)
    for i in range(rows):
        above, below = max(i - 1, 0), min(i + 1, rows - 1)
        for j in range(columns):
            beside = small[above, j] + small[below, j]
            blurred[i, j] = centre * small[i, j] + side * beside
    sharp = np.empty_like(small)
    for i in range(rows):
        for j in range(columns):
            beside = blurred[i, max(j - 1, 0)] + blurred[i, min(j + 1, columns - 1)]
            value = 2 * small[i, j] - centre * blurred[i, j] - side * beside
            sharp[i, j] = min(max(value, np.float32(-128)), np.float32(127))
    return sharp


@jit()
def to_blocks(
    plane: np.ndarray, rows: int, columns: int, basis: np.ndarray, zigzag: np.ndarray
) -> np.ndarray:
    """Orthonormal 8x8 DCT-II of a plane's first rows x columns blocks.

    Args:
        plane: float32, at least [8 rows, 8 columns].
        rows, columns: in blocks.
        basis: float32 [8,8], a row a frequency.
        zigzag: int64 [64], natural position of each coefficient in zigzag order.

    Returns: float32 [rows * columns, 64].
    """
    blocks = np.empty((rows * columns, 64), np.float32)
    half = np.empty((8, 8), np.float32)
    whole = np.empty(64, np.float32)
    transposed = np.ascontiguousarray(basis.T)
    for i in range(rows):
        for j in range(columns):
            half[:] = 0
            for u in range(8):
                for y in range(8):
                    factor = basis[u, y]
                    for x in range(8):
                        half[u, x] += factor * plane[8 * i + y, 8 * j + x]
            whole[:] = 0
            for u in range(8):
                for x in range(8):
                    value = half[u, x]
                    for v in range(8):
                        whole[8 * u + v] += value * transposed[x, v]
            block = blocks[i * columns + j]
            for k in range(64):
                block[k] = whole[zigzag[k]]
    return blocks


@jit()
def bit_length(value: int) -> int:
    """Number of bits of a value >= 0; JPEG's size category of a magnitude."""
    bits = 0
    while value > 0:
        value >>= 1
        bits += 1
    return bits


@jit()
def round_blocks(
    blocks: np.ndarray, steps: np.ndarray, thresholds: np.ndarray, levels: np.ndarray
) -> None:
    """Rounds coefficients to levels, and those below a threshold to 0.

    Args:
        blocks: float32 [n,64].
        steps: float32 [64], the quantisation table.
        thresholds: float32 [n,64] or [1,64], in steps; 0.5 is plain rounding.
        levels: int16 [n,64], the result.
    """
    shared = thresholds.shape[0] == 1
    for b in range(blocks.shape[0]):
        row = thresholds[0 if shared else b]
        for k in range(64):
            scaled = blocks[b, k] / steps[k]
            size = abs(scaled)
            level = np.int32(np.floor(size + np.float32(0.5)))
            if size < row[k]:
                level = 0
            if k == 0:
                signed = level if scaled >= 0 else -level
                levels[b, 0] = min(max(signed, LOWEST_DC), HIGHEST_DC)
            else:
                level = min(level, MAX_AC)
                levels[b, k] = level if scaled >= 0 else -level


@jit()
def count_ac(levels: np.ndarray, counts: np.ndarray) -> None:
    """Adds the AC symbols of sequential blocks to `counts`.

    Args:
        levels: int16 [n,64].
        counts: int64 [256], by symbol (16 * run + size).
    """
    for b in range(levels.shape[0]):
        run = 0
        for k in range(1, 64):
            level = levels[b, k]
            if level == 0:
                run += 1
                continue
            while run > 15:
                counts[ZERO_RUN] += 1
                run -= 16
            counts[16 * run + bit_length(abs(level))] += 1
            run = 0
        if run > 0:
            counts[END_OF_BLOCK] += 1


@jit()
def count_dc(levels: np.ndarray, order: np.ndarray, counts: np.ndarray) -> None:
    """Adds the DC symbols of blocks, visited in `order`, to `counts`.

    Args:
        levels: int16 [n,64].
        order: int64 [n], block indices as the scan visits them.
        counts: int64 [256], by symbol (size of the difference).
    """
    last = 0
    for b in order:
        level = levels[b, 0]
        counts[bit_length(abs(level - last))] += 1
        last = level


@jit()
def code_lengths(counts: np.ndarray, lengths: np.ndarray) -> None:
    """Lengths of the optimal Huffman codes of at most 16 bits, as libjpeg makes them.

    A further symbol of count 1 keeps the code of all ones free; codes that are too long
    are shortened by the procedure of the standard.

    Args:
        counts: int64 [256], by symbol.
        lengths: int64 [256], the result in bits; 0 where the count is 0.

    Source: ITU-T T.81, annex K.2.
    """
    weights = np.zeros(257, np.int64)
    weights[:256] = counts
    weights[256] = 1
    depths = np.zeros(257, np.int64)
    chain = np.full(257, -1, np.int64)
    while True:
        # The two rarest trees; of equal ones the last.
        first, second = -1, -1
        for i in range(257):
            if weights[i] == 0:
                continue
            if first < 0 or weights[i] <= weights[first]:
                second = first
                first = i
            elif second < 0 or weights[i] <= weights[second]:
                second = i
        if second < 0:
            break
        weights[first] += weights[second]
        weights[second] = 0
        depths[first] += 1
        i = first
        while chain[i] >= 0:
            i = chain[i]
            depths[i] += 1
        chain[i] = second
        i = second
        depths[i] += 1
        while chain[i] >= 0:
            i = chain[i]
            depths[i] += 1
    by_length = np.zeros(260, np.int64)
    for i in range(257):
        by_length[depths[i]] += 1
    by_length[0] = 0
    _shorten(by_length)
    # The shortest codes go to the symbols that lay highest in the tree.
    lengths[:] = 0
    length = 1
    for depth in range(1, 258):
        for symbol in range(256):
            if depths[symbol] != depth:
                continue
            while by_length[length] == 0:
                length += 1
            lengths[symbol] = length
            by_length[length] -= 1


@jit()
def _shorten(by_length: np.ndarray) -> None:
    """Limits the number of codes of each length to 16 bits, and frees one code."""
    for length in range(by_length.shape[0] - 1, _MAX_CODE_LENGTH, -1):
        while by_length[length] > 0:
            shorter = length - 2
            while by_length[shorter] == 0:
                shorter -= 1
            by_length[length] -= 2
            by_length[length - 1] += 1
            by_length[shorter + 1] += 2
            by_length[shorter] -= 1
    longest = _MAX_CODE_LENGTH
    while by_length[longest] == 0:
        longest -= 1
    by_length[longest] -= 1


@jit()
def choose_ac(
    blocks: np.ndarray,
    steps: np.ndarray,
    error_bits: np.ndarray,
    weights: np.ndarray,
    symbol_bits: np.ndarray,
    levels: np.ndarray,
) -> None:
    """Chooses the AC levels of each block with the least weighted error plus rate.

    Exact for the candidates {rounded level, the one below, 0} of every coefficient:
    dynamic programming over the last nonzero position, which accounts for the zero runs
    and the end of block that a choice causes.

    Args:
        blocks: float32 [n,64].
        steps: float32 [64], the quantisation table.
        error_bits: float32 [64], what a squared error of one step is worth, in bits.
        weights: float32 [n], by which `error_bits` are multiplied in each block.
        symbol_bits: float32 [256], length of code and magnitude of each AC symbol.
        levels: int16 [n,64], the result; position 0 is left alone.
    """
    # Node 0 is the DC coefficient; node m > 0 the m-th that may become nonzero.
    places = np.zeros(65, np.int32)
    sizes = np.zeros(65, np.float32)
    # Least cost up to and with a node, less that of zeroing all up to it; and the
    # least of these among the nodes before and with it.
    gains = np.zeros(65, np.float32)
    best_gains = np.zeros(65, np.float32)
    origins = np.zeros(65, np.int32)
    chosen = np.zeros(65, np.int32)
    # Error bits of zeroing all of positions 1..k.
    zeroed = np.zeros(64, np.float32)
    inverse = (np.float32(1) / steps).astype(np.float32)
    half = np.float32(0.5)
    run_bits = symbol_bits[ZERO_RUN]
    end_bits = symbol_bits[END_OF_BLOCK]
    for b in range(blocks.shape[0]):
        weight = weights[b]
        nodes = 1
        for k in range(1, 64):
            levels[b, k] = 0
            size = abs(blocks[b, k]) * inverse[k]
            zeroed[k] = zeroed[k - 1] + error_bits[k] * weight * size * size
            if size >= half:
                places[nodes] = k
                sizes[nodes] = min(size, np.float32(MAX_AC))
                nodes += 1
        best_total = zeroed[63] + end_bits
        best_last = 0
        for m in range(1, nodes):
            k, size = places[m], sizes[m]
            cost = error_bits[k] * weight
            nearest = np.int32(size + half)
            best = np.float32(np.inf)
            for level in range(nearest, max(nearest - 2, 0), -1):
                category = bit_length(level)
                base = cost * (size - level) * (size - level) + zeroed[k - 1]
                for p in range(m - 1, -1, -1):
                    if best_gains[p] + base >= best:
                        break
                    total = gains[p] + base
                    run = k - places[p] - 1
                    while run > 15:
                        total += run_bits
                        run -= 16
                    total += symbol_bits[16 * run + category]
                    if total < best:
                        best = total
                        origins[m] = p
                        chosen[m] = level
            gains[m] = best - zeroed[k]
            best_gains[m] = min(best_gains[m - 1], gains[m])
            total = best + zeroed[63] - zeroed[k]
            if k < 63:
                total += end_bits
            if total < best_total:
                best_total = total
                best_last = m
        while best_last > 0:
            k = places[best_last]
            level = chosen[best_last]
            levels[b, k] = level if blocks[b, k] > 0 else -level
            best_last = origins[best_last]


@jit()
def choose_dc(
    values: np.ndarray,
    step: float,
    error_bits: np.ndarray,
    symbol_bits: np.ndarray,
    chosen: np.ndarray,
) -> None:
    """Chooses DC levels with the least weighted error plus rate of their differences.

    Exact for the candidates {rounded level, one below, one above} along the whole scan.

    Args:
        values: float32 [n], DC coefficients as the scan visits them.
        step: of the quantisation table.
        error_bits: float32 [n], what a squared error of one step is worth, in bits.
        symbol_bits: float32 [256], length of code and magnitude of each DC symbol.
        chosen: int16 [n], the result.
    """
    count = values.shape[0]
    origins = np.zeros((count, 3), np.int8)
    costs = np.zeros(3, np.float64)
    new_costs = np.zeros(3, np.float64)
    last_middle = 0
    for n in range(count):
        scaled = values[n] / step
        middle = np.int64(np.floor(scaled + 0.5))
        middle = min(max(middle, LOWEST_DC + 1), HIGHEST_DC - 1)
        for a in range(3):
            level = middle + a - 1
            best, origin = np.inf, 0
            # The first difference is taken from 0, whatever the state.
            for p in range(3 if n > 0 else 1):
                last = last_middle + p - 1 if n > 0 else 0
                total = costs[p] + symbol_bits[bit_length(abs(level - last))]
                if total < best:
                    best, origin = total, p
            new_costs[a] = best + error_bits[n] * (scaled - level) ** 2
            origins[n, a] = origin
        costs[:] = new_costs
        last_middle = middle
    state = 0
    for a in range(3):
        if costs[a] < costs[state]:
            state = a
    for n in range(count - 1, -1, -1):
        middle = np.int64(np.floor(values[n] / step + 0.5))
        middle = min(max(middle, LOWEST_DC + 1), HIGHEST_DC - 1)
        chosen[n] = middle + state - 1
        state = origins[n, state]
