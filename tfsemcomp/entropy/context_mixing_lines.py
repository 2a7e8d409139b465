"""The compiled model of planes of two symbols: edge maps and other lines.

A pixel is one decision. Ten contexts, which are patterns of the pixels before it and
distances to the lines around, choose two counters each: one goes on from what was
learnt from other planes, one begins anew with every plane, so that mixing can tell what
lines are like from what those of this plane are like. Four sets of weights mix them,
their results are averaged; a table of corrections (secondary estimation) has the last
word. The label model of `context_mixing_kernels` takes about 5 % more bytes for edge
maps.

As there, all is whole numbers, and `docs/BITSTREAM.md`, "Planes", is normative. Numba
is imported with this module, so it must be imported inside functions only.
"""

import numpy as np

from tfsemcomp.entropy.context_mixing_kernels import (
    CELLS,
    FINE,
    FRESH,
    LARGEST_STRETCHED,
    LARGEST_WEIGHT,
    POSITION,
    PROBABILITY_BITS,
    VISIT_BITS,
    WEIGHT_BITS,
    WRONG_LENGTH,
    code_bit,
    finish,
    hashed,
    side_number,
    start,
    update_counter,
    with_room,
)
from tfsemcomp.jit import jit

CONTEXTS = 10
# Of learnt counters, which are of many planes; new ones have as many as labels have.
LEARNT_CELLS = 1 << 20
_LEARNT_MASK = np.uint64(LEARNT_CELLS - 1)
_NEW_MASK = CELLS - 1
# A learnt and a new counter of each context, and a constant.
INPUTS = 2 * CONTEXTS + 1
MIXERS, SETS = 4, 64
CORRECTION_BITS = 16
CORRECTION_STEP = 192
CORRECTION_NODES = 2 * LARGEST_STRETCHED // CORRECTION_STEP + 1
LOWEST, HIGHEST = 16, 65520
_CONSTANT = 256
_TO_STRETCH = np.uint32(PROBABILITY_BITS - 2)
_LEARNING_RATE = 225
_CORRECTION_SHIFT = 6

# Rows above, and columns on either side, that patterns reach.
_ABOVE, _BESIDE = 5, 7
_WINDOW = 2 * _BESIDE + 1
_LONGEST = 31


@jit()
def _cell(first: int, second: int) -> int:
    """The cell of a context's learnt counter; its low bits are the new one's."""
    return np.int64(hashed(first, second) & _LEARNT_MASK)


@jit()
def _span(window: int, left: int, right: int) -> int:
    """Pixels x - left to x + right of a row's window, the leftmost one first."""
    return (window >> (_BESIDE - right)) & ((1 << (left + right + 1)) - 1)


@jit()
def _ones(number: int) -> int:
    """How many binary digits are 1."""
    count = 0
    while number:
        number &= number - 1
        count += 1
    return count


@jit()
def _place_number(side: np.ndarray, y: int, x: int, height: int, width: int) -> int:
    """What the side plane says; without one, which neighbours are in the plane."""
    if side.size:
        return side_number(side, y, x)
    return (x > 0) + 2 * (y > 0) + 4 * (x < width - 1) + 8 * (y < height - 1)


@jit()
def _pattern_cells(
    rows: np.ndarray, distances: int, place: int, number: int, cells: np.ndarray
) -> None:
    """The cells of a pixel's contexts.

    Args:
        rows: int64 [6], the pixels to the left, then the windows of the rows above.
        distances: to the last line in the three columns and in the row.
        place: floor(y / 16).
        number: of `_place_number`.
        cells: int64 [10], the result.
    """
    here, r1, r2, r3 = rows[0], rows[1], rows[2], rows[3]
    n6 = ((here & 3) << 3 | _span(r1, 1, 1)) << 1 | _span(r2, 0, 0)
    n11 = ((here & 7) << 5 | _span(r1, 2, 2)) << 3 | _span(r2, 1, 1)
    n16 = ((here & 15) << 7 | _span(r1, 3, 3)) << 5 | _span(r2, 2, 2)
    n22 = ((here & 31) << 7 | _span(r1, 3, 3)) << 7 | _span(r2, 3, 3)
    n22 = n22 << 3 | _span(r3, 1, 1)
    n32 = ((here & 63) << 9 | _span(r1, 4, 4)) << 9 | _span(r2, 4, 4)
    n32 = (n32 << 5 | _span(r3, 2, 2)) << 3 | _span(rows[4], 1, 1)
    n43 = ((here & 255) << 11 | _span(r1, 5, 5)) << 9 | _span(r2, 4, 4)
    n43 = (n43 << 7 | _span(r3, 3, 3)) << 5 | _span(rows[4], 2, 2)
    n43 = n43 << 3 | _span(rows[5], 1, 1)
    middle = (here & 3) << 3 | _span(r1, 1, 1)
    middle = (middle << 7 | _span(r2, 3, 3)) << 7 | _span(r3, 3, 3)
    right = (here & 1) << 9 | _span(r1, 1, 7)
    right = right << 7 | _span(r2, -1, 7)
    kind = 16 * number
    cells[0] = _cell(n6, kind)
    cells[1] = _cell(n11, kind + 1)
    cells[2] = _cell(n16, kind + 2)
    cells[3] = _cell(n22, kind + 3)
    cells[4] = _cell(n32, kind + 4)
    cells[5] = _cell(n43, kind + 5)
    cells[6] = _cell(distances, kind + 6)
    cells[7] = _cell(n6 + 64 * place, kind + 7)
    cells[8] = _cell(middle, kind + 8)
    cells[9] = _cell(right, kind + 9)


@jit()
def _trust(counter: int) -> int:
    """How much a counter has seen, in four classes."""
    visits = np.int64(counter) & ((1 << VISIT_BITS) - 1)
    if visits < 3:
        return 1 if visits else 0
    return 2 if visits < 12 else 3


@jit()
def _choose(
    rows: np.ndarray,
    row_distance: int,
    column_distance: int,
    counters: np.ndarray,
    cells: np.ndarray,
    chosen: np.ndarray,
) -> None:
    """Which set of weights each mixer takes at a pixel: int64 [4], rows of weights."""
    here, r1, r2 = rows[0], rows[1], rows[2]
    chosen[0] = ((here & 3) << 3 | _span(r1, 1, 1)) << 1 | _span(r2, 0, 0)
    trust = 0
    for i in range(3, 6):
        trust = 4 * trust + _trust(counters[i, cells[i]])
    chosen[1] = SETS + trust
    ones = _ones(here & 255) + _ones(r1) + _ones(r2) + _ones(rows[3]) + _ones(rows[4])
    chosen[2] = 2 * SETS + min(ones, SETS - 1)
    chosen[3] = 3 * SETS + row_distance // 2 + 16 * (min(column_distance, 15) // 4)


@jit()
def _mix_bit(
    bit: int,
    cells: np.ndarray,
    chosen: np.ndarray,
    slot: int,
    counters: np.ndarray,
    anew: np.ndarray,
    weights: np.ndarray,
    corrections: np.ndarray,
    inputs: np.ndarray,
    errors: np.ndarray,
    stretch: np.ndarray,
    squash: np.ndarray,
    rates: np.ndarray,
    coder: np.ndarray,
    data: np.ndarray,
    decoding: bool,
) -> int:
    """Codes one pixel: mixes, averages, corrects, codes, learns; returns it.

    Args:
        bit: the pixel.
        cells, chosen: of `_pattern_cells` and `_choose`.
        slot: row of `corrections`.
        counters, anew: uint32 [10,LEARNT_CELLS] and [10,CELLS], the learnt and the
            new ones.
        weights: int32 [256,21].
        corrections: uint16 [2**16,33], probabilities.
        inputs, errors: int64 [21] and [4], workspace.
        stretch, squash, rates: the constant tables.
        coder, data, decoding: of `code_bit`.
    """
    for i in range(CONTEXTS):
        inputs[i] = stretch[counters[i, cells[i]] >> _TO_STRETCH]
        inputs[CONTEXTS + i] = stretch[anew[i, cells[i] & _NEW_MASK] >> _TO_STRETCH]
    inputs[2 * CONTEXTS] = _CONSTANT
    average = np.int64(MIXERS // 2)
    for m in range(MIXERS):
        total = np.int64(1 << (WEIGHT_BITS - 1))
        for i in range(INPUTS):
            total += weights[chosen[m], i] * inputs[i]
        total >>= WEIGHT_BITS
        total = min(max(total, -LARGEST_STRETCHED), LARGEST_STRETCHED - 1)
        errors[m] = squash[total + LARGEST_STRETCHED]
        average += total
    average = average // MIXERS + LARGEST_STRETCHED
    node, rest = average // CORRECTION_STEP, average % CORRECTION_STEP
    lower, upper = np.int64(corrections[slot, node]), corrections[slot, node + 1]
    corrected = lower * (CORRECTION_STEP - rest) + upper * rest
    probability = (squash[average] + corrected // CORRECTION_STEP) >> 1
    probability = min(max(probability, LOWEST), HIGHEST)
    bit = code_bit(bit, probability, coder, data, decoding)
    if 2 * rest > CORRECTION_STEP:
        node += 1
    old = np.int64(corrections[slot, node])
    target = 65535 if bit else 0
    corrections[slot, node] = old + ((target - old) >> _CORRECTION_SHIFT)
    for m in range(MIXERS):
        error = ((bit << 16) - errors[m]) * _LEARNING_RATE
        for i in range(INPUTS):
            weight = weights[chosen[m], i] + ((error * inputs[i] + (1 << 23)) >> 24)
            weight = min(max(weight, -LARGEST_WEIGHT), LARGEST_WEIGHT)
            weights[chosen[m], i] = weight
    for i in range(CONTEXTS):
        counters[i, cells[i]] = update_counter(counters[i, cells[i]], bit, rates)
        place = cells[i] & _NEW_MASK
        anew[i, place] = update_counter(anew[i, place], bit, rates)
    return bit


@jit()
def code_lines(
    plane: np.ndarray,
    side: np.ndarray,
    counters: np.ndarray,
    weights: np.ndarray,
    corrections: np.ndarray,
    stretch: np.ndarray,
    squash: np.ndarray,
    rates: np.ndarray,
    data: np.ndarray,
    decoding: bool,
) -> tuple[int, np.ndarray]:
    """Codes a plane of zeros and ones, or decodes one.

    Args:
        plane: uint8 [H,W] of 0 and 1; written to when decoding.
        side: uint8 [H,W], or [0,0] for none.
        counters: uint32 [10,LEARNT_CELLS], learns.
        weights: int32 [256,21], learns.
        corrections: uint16 [2**16,33], learns.
        stretch: int64 [4096].
        squash: int64 [6144].
        rates: int64 [V], of `update_counter`.
        data: uint8, what to decode, or where to write.
        decoding: which of both.

    Returns: FINE or WRONG_LENGTH, and the bytes written or `data`.
    """
    height, width = plane.shape
    # The rows above, the newest one last, as far as patterns see beside the plane.
    margin = 2 * _BESIDE
    lines = np.zeros((_ABOVE + 1, width + 2 * margin), np.int64)
    distances = np.full(width + 2, _LONGEST, np.int64)
    rows = np.zeros(_ABOVE + 1, np.int64)
    cells, inputs = np.zeros(CONTEXTS, np.int64), np.zeros(INPUTS, np.int64)
    anew = np.full((CONTEXTS, CELLS), FRESH, np.uint32)
    chosen, errors = np.zeros(MIXERS, np.int64), np.zeros(MIXERS, np.int64)
    coder = start(decoding, data)
    for y in range(height):
        rows[:] = 0
        for k in range(1, _ABOVE + 1):
            above = lines[(y - k) % (_ABOVE + 1)]
            for j in range(_BESIDE):
                rows[k] = rows[k] << 1 | above[margin + j]
        here = lines[y % (_ABOVE + 1)]
        row_distance = _LONGEST
        for x in range(width):
            if decoding:
                if coder[POSITION] > data.size + 3:
                    return WRONG_LENGTH, data
            else:
                data = with_room(coder, data, 8)
            for k in range(1, _ABOVE + 1):
                above = lines[(y - k) % (_ABOVE + 1)]
                entering = above[margin + x + _BESIDE]
                rows[k] = (rows[k] << 1 | entering) & ((1 << _WINDOW) - 1)
            apart = distances[x + 1]
            around = (apart * 32 + distances[x]) * 32 + distances[x + 2]
            around = around * 32 + row_distance
            number = _place_number(side, y, x, height, width)
            _pattern_cells(rows, around, y // 16, number, cells)
            _choose(rows, row_distance, apart, counters, cells, chosen)
            slot = ((rows[0] & 15) << 7 | _span(rows[1], 3, 3)) << 5
            bit = _mix_bit(
                np.int64(plane[y, x]),
                cells,
                chosen,
                slot | _span(rows[2], 2, 2),
                counters,
                anew,
                weights,
                corrections,
                inputs,
                errors,
                stretch,
                squash,
                rates,
                coder,
                data,
                decoding,
            )
            plane[y, x] = bit
            here[margin + x] = bit
            rows[0] = (rows[0] << 1 | bit) & 255
            row_distance = 0 if bit else min(row_distance + 1, _LONGEST)
            distances[x + 1] = 0 if bit else min(apart + 1, _LONGEST)
    if decoding:
        whole = coder[POSITION] == data.size + 3
        return FINE if whole else WRONG_LENGTH, data
    return FINE, finish(coder, data)
