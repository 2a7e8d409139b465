"""Compiled parts of the context-mixing coder: bits, counters and the model of labels.

Everything is whole numbers of a fixed width, so that every machine and every version of
Numba computes the same. All functions release the GIL and touch nothing but their
arguments. Numba is imported with this module, so it must be imported inside functions
only. `docs/BITSTREAM.md`, "Planes", says the same in words and is normative.
"""

import numpy as np

from tfsemcomp.jit import jit

# What a kernel found.
FINE, BAD_SYMBOL, WRONG_LENGTH = 0, 1, 2

CELL_BITS = 18
CELLS = 1 << CELL_BITS
_CELL_MASK = np.uint64(CELLS - 1)

# A counter is a probability of 22 bits above a number of visits of 10 bits.
VISIT_BITS = 10
PROBABILITY_BITS = 22
ONE = 1 << PROBABILITY_BITS
FRESH = np.uint32(ONE // 2 << VISIT_BITS)
LOWEST_PROBABILITY, HIGHEST_PROBABILITY = 419, ONE - 419
_VISIT_MASK = (1 << VISIT_BITS) - 1

# Stretched probabilities are natural logarithms of odds, in 256ths.
LARGEST_STRETCHED = 3072
WEIGHT_BITS = 16
LARGEST_WEIGHT = 1 << 23
_LEARNING_RATE = 1311

# Tables of the model of labels, in the order of BITSTREAM.md.
LABEL_TABLES = 7
ESCAPE_TABLES = 5
LABEL_SETS = 80
_ESCAPE_SET = 70
# Further ones with a side plane, and sets that count on it.
_SIDE_TABLES = 3
_TRUSTING_SETS = 32
FRESH_WEIGHT = 19661
_CANDIDATES = 4
_FLAGS = 3
_LONGEST_RUN, _LONGEST_RISE = 12, 8
# Rows above the plane and columns beside it that neighbours reach.
TOP, LEFT, RIGHT = 3, 3, 3

# The state of the arithmetic coder: both ends of the interval, the value that a decoder
# compares with, bytes read or written.
LOW, HIGH, VALUE, POSITION = 0, 1, 2, 3


@jit()
def start(decoding: bool, data: np.ndarray) -> np.ndarray:
    """The arithmetic coder's state at the beginning of a payload: int64 [4]."""
    coder = np.zeros(4, np.int64)
    coder[HIGH] = 0xFFFFFFFF
    if decoding:
        for _ in range(4):
            _shift_in(coder, data)
    return coder


@jit()
def _shift_in(coder: np.ndarray, data: np.ndarray) -> None:
    """Reads the next byte; beyond the end there are zeros."""
    position = coder[POSITION]
    byte = np.int64(data[position]) if position < data.size else 0
    coder[VALUE] = (coder[VALUE] << 8 | byte) & 0xFFFFFFFF
    coder[POSITION] = position + 1


@jit()
def code_bit(
    bit: int, probability: int, coder: np.ndarray, data: np.ndarray, decoding: bool
) -> int:
    """Codes one bit, or decodes it.

    Args:
        bit: to be coded; not looked at when decoding.
        probability: of a 1, in 65536ths, 1 to 65535.
        coder: of `start`.
        data: uint8, read from, or written to with room for 4 more bytes.
        decoding: which of both.

    Returns: the bit.
    """
    low, high = coder[LOW], coder[HIGH]
    width = high - low
    middle = low + (width >> 16) * probability
    middle += ((width & 0xFFFF) * probability) >> 16
    if decoding:
        bit = 1 if coder[VALUE] <= middle else 0
    if bit:
        high = middle
    else:
        low = middle + 1
    while (low ^ high) < 1 << 24:
        if decoding:
            _shift_in(coder, data)
        else:
            data[coder[POSITION]] = low >> 24
            coder[POSITION] += 1
        low = low << 8 & 0xFFFFFFFF
        high = (high << 8 & 0xFFFFFFFF) | 255
    coder[LOW], coder[HIGH] = low, high
    return bit


@jit()
def with_room(coder: np.ndarray, data: np.ndarray, room: int) -> np.ndarray:
    """`data`, or a copy twice as large if less than `room` bytes are left in it."""
    if coder[POSITION] + room <= data.size:
        return data
    larger = np.empty(2 * data.size + room, np.uint8)
    larger[: data.size] = data
    return larger


@jit()
def finish(coder: np.ndarray, data: np.ndarray) -> np.ndarray:
    """The bytes of an encoder: what was written, and one byte in the interval."""
    data = with_room(coder, data, 1)
    data[coder[POSITION]] = 1 + (coder[LOW] >> 24)
    return data[: coder[POSITION] + 1].copy()


@jit()
def hashed(first: int, second: int) -> np.uint64:
    """A mixture of two numbers modulo 2**64."""
    h = np.uint64(first) * np.uint64(0x9E3779B97F4A7C15)
    h += np.uint64(second) * np.uint64(0xC2B2AE3D27D4EB4F)
    h += np.uint64(0x165667B19E3779F9)
    h ^= h >> np.uint64(29)
    h *= np.uint64(0xBF58476D1CE4E5B9)
    return h ^ (h >> np.uint64(32))


@jit()
def cell(first: int, second: int) -> int:
    """The cell of a context of two numbers."""
    return np.int64(hashed(first, second) & _CELL_MASK)


@jit()
def update_counter(counter: int, bit: int, rates: np.ndarray) -> np.uint32:
    """A counter after one more bit.

    Args:
        counter: uint32.
        bit: 0 or 1.
        rates: int64, how far the probability moves at each number of visits, in
            65536ths; the last one is that of all further visits.
    """
    probability = np.int64(counter) >> VISIT_BITS
    visits = np.int64(counter) & _VISIT_MASK
    if bit:
        probability += ((ONE - probability) * rates[visits]) >> 16
    else:
        probability -= (probability * rates[visits]) >> 16
    probability = min(max(probability, LOWEST_PROBABILITY), HIGHEST_PROBABILITY)
    visits = min(visits + 1, rates.size - 1)
    return np.uint32(probability << VISIT_BITS | visits)


@jit()
def _mix_bit(
    bit: int,
    cells: np.ndarray,
    used: int,
    chosen: int,
    counters: np.ndarray,
    weights: np.ndarray,
    inputs: np.ndarray,
    stretch: np.ndarray,
    squash: np.ndarray,
    rates: np.ndarray,
    coder: np.ndarray,
    data: np.ndarray,
    decoding: bool,
) -> int:
    """Codes one decision: mixes the counters of its contexts, codes, learns.

    Args:
        bit: to be coded.
        cells: int64 [T], a cell of each table; T is 7, with a side plane 10.
        used: how many of the tables count.
        chosen: row of `weights`.
        counters: uint32 [T,CELLS].
        weights: int32 [80,T].
        inputs: int64 [T], workspace.
        stretch, squash, rates: the constant tables.
        coder, data, decoding: of `code_bit`.

    Returns: the bit.
    """
    total = np.int64(1 << (WEIGHT_BITS - 1))
    for i in range(used):
        inputs[i] = stretch[counters[i, cells[i]] >> np.uint32(PROBABILITY_BITS - 2)]
        total += weights[chosen, i] * inputs[i]
    total = min(max(total >> WEIGHT_BITS, -LARGEST_STRETCHED), LARGEST_STRETCHED - 1)
    probability = np.int64(squash[total + LARGEST_STRETCHED])
    bit = code_bit(bit, probability, coder, data, decoding)
    error = (bit << 16) - probability
    for i in range(used):
        step = (error * inputs[i] * _LEARNING_RATE + (1 << 23)) >> 24
        weight = weights[chosen, i] + step
        weights[chosen, i] = min(max(weight, -LARGEST_WEIGHT), LARGEST_WEIGHT)
        counters[i, cells[i]] = update_counter(counters[i, cells[i]], bit, rates)
    return bit


@jit()
def _gather(
    padded: np.ndarray, y: int, x: int, found: np.ndarray, ranks: np.ndarray
) -> int:
    """The neighbours of a pixel and what is distinct among them.

    Args:
        padded: uint8, the plane with its margins.
        y, x: of the pixel in the plane.
        found: int64 [20], the result: 16 neighbours, then the candidates.
        ranks: int64 [16], the result: the place of each among the candidates.

    Returns: the number of candidates, 1 to 4.
    """
    here, above = padded[y + TOP], padded[y + TOP - 1]
    second, third = padded[y + TOP - 2], padded[y + TOP - 3]
    c = x + LEFT
    found[1] = above[c]
    found[0] = here[c - 1] if x >= 1 else above[c]
    found[2], found[3] = above[c + 1], above[c - 1]
    found[4] = here[c - 2] if x >= 2 else found[0]
    found[5], found[6], found[7] = second[c], second[c + 1], second[c - 1]
    found[8], found[9] = above[c + 2], above[c - 2]
    found[10], found[11] = second[c + 2], second[c - 2]
    found[12] = here[c - 3] if x >= 3 else found[4]
    found[13], found[14], found[15] = third[c], above[c + 3], third[c + 1]
    count = 0
    for i in range(16):
        rank = 0
        while rank < count and found[16 + rank] != found[i]:
            rank += 1
        if rank == count and count < _CANDIDATES:
            found[16 + count] = found[i]
            count += 1
        ranks[i] = rank
    return count


@jit()
def _runs(padded: np.ndarray, y: int, x: int, width: int) -> int:
    """How long the runs at a pixel are: left from W, right from N, up from N."""
    here, above = padded[y + TOP], padded[y + TOP - 1]
    c = x + LEFT
    left = right = up = 0
    while left < min(x, _LONGEST_RUN) and here[c - 1 - left] == here[c - 1]:
        left += 1
    if y:
        while right < min(width - x, _LONGEST_RUN) and above[c + right] == above[c]:
            right += 1
        rise = min(y, _LONGEST_RISE)
        while up < rise and padded[y + TOP - 1 - up, c] == above[c]:
            up += 1
    return (left * 13 + right) * 9 + up


@jit()
def close_row(padded: np.ndarray, y: int, width: int) -> None:
    """Repeats the ends of row `y` into the margins beside it."""
    row = padded[y + TOP]
    row[:LEFT] = row[LEFT]
    row[LEFT + width :] = row[LEFT + width - 1]


@jit()
def side_number(side: np.ndarray, y: int, x: int) -> int:
    """What the side plane says at a pixel; 0 if it is empty, for without one."""
    if not side.size:
        return 0
    value = side[y, x]
    number = 16 * (np.int64(value) + 1)
    if x > 0 and side[y, x - 1] == value:
        number += 1
    if y > 0 and side[y - 1, x] == value:
        number += 2
    if x < side.shape[1] - 1 and side[y, x + 1] == value:
        number += 4
    if y < side.shape[0] - 1 and side[y + 1, x] == value:
        number += 8
    return number


@jit()
def _flag_cells(
    found: np.ndarray,
    patterns: np.ndarray,
    ranks: np.ndarray,
    k: int,
    place: int,
    base: int,
    cells: np.ndarray,
) -> None:
    """The cells of the flag whether a pixel is candidate `k`.

    Args:
        found: int64 [20], of `_gather`.
        patterns: int64 [5]: the first 6, 10 and 16 ranks in base 5, runs, candidates.
        ranks: int64 [16], of `_gather`.
        k: 0 to 2.
        place: floor(y / 16).
        base: greater than every label of the plane and the rows above it.
        cells: int64 [7], the result.
    """
    nearest = ((found[0] * base + found[1]) * base + found[2]) * base + found[3]
    cells[0] = cell(patterns[0], k)
    cells[1] = cell(patterns[1], k + 1000000)
    cells[2] = cell(patterns[2], k + 2000000)
    cells[3] = cell(nearest, k + 3000000)
    cells[4] = cell(nearest * base + found[5], hashed(k, 5 * ranks[4] + ranks[7]))
    cells[5] = cell(
        found[16 + k] * base + found[1], hashed(k + 4096 * place, patterns[4])
    )
    cells[6] = cell(patterns[3], hashed(k, patterns[0]))


@jit()
def _describe_side(
    padded: np.ndarray, side: np.ndarray, y: int, x: int, about: np.ndarray
) -> None:
    """What the side plane says at a pixel, and where it was wrong before.

    Args:
        padded: uint8, the plane with its margins.
        side: uint8 [H,W].
        y, x: of the pixel.
        about: int64 [4], the result: its value; which of four neighbours differ in
            both planes, in bits; its values to the right and below.
    """
    height, width = side.shape
    here, above = padded[y + TOP], padded[y + TOP - 1]
    c = x + LEFT
    wrong = 0
    if x and here[c - 1] != side[y, x - 1]:
        wrong += 1
    if y:
        if above[c] != side[y - 1, x]:
            wrong += 2
        if x and above[c - 1] != side[y - 1, x - 1]:
            wrong += 4
        if x < width - 1 and above[c + 1] != side[y - 1, x + 1]:
            wrong += 8
    about[0], about[1] = side[y, x], wrong
    about[2] = side[y, min(x + 1, width - 1)]
    about[3] = side[min(y + 1, height - 1), x]


@jit()
def _side_cells(
    candidate: int, patterns: np.ndarray, about: np.ndarray, k: int, cells: np.ndarray
) -> None:
    """The further cells of a flag with a side plane.

    Args:
        candidate: the label that the flag asks for.
        patterns: of `_describe`.
        about: of `_describe_side`.
        k: 0 to 2.
        cells: int64 [10], the result is the last three.
    """
    kind = k + 4 * (candidate == about[0]) + 32 * about[1]
    ahead = 8 * (candidate == about[2]) + 16 * (candidate == about[3])
    cells[LABEL_TABLES] = cell(kind + ahead, 4000000 + patterns[4])
    cells[LABEL_TABLES + 1] = cell(kind, 5000000 + patterns[0])
    cells[LABEL_TABLES + 2] = cell(kind, 6000000 + 256 * about[0] + candidate)


@jit()
def _describe(
    padded: np.ndarray,
    y: int,
    x: int,
    width: int,
    found: np.ndarray,
    ranks: np.ndarray,
    patterns: np.ndarray,
) -> int:
    """Fills `found`, `ranks` and `patterns` for a pixel; returns the candidates."""
    count = _gather(padded, y, x, found, ranks)
    pattern = np.int64(0)
    for i in range(16):
        pattern = 5 * pattern + ranks[i]
        if i == 5:
            patterns[0] = pattern
        elif i == 9:
            patterns[1] = pattern
    patterns[2] = pattern
    patterns[3] = _runs(padded, y, x, width)
    patterns[4] = count
    return count


@jit()
def _with_side(
    counters: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Counters and weights with those of a side plane, which are always fresh.

    Args:
        counters: uint32 [7,CELLS].
        weights: int32 [80,7].
    Returns: uint32 [10,CELLS] and int32 [80,10].
    """
    tables = LABEL_TABLES + _SIDE_TABLES
    learnt = np.full((tables, CELLS), FRESH, np.uint32)
    learnt[:LABEL_TABLES] = counters
    sets = np.zeros((LABEL_SETS, tables), np.int32)
    sets[:, :LABEL_TABLES] = weights
    # What counts on the side plane begins with what is known without it.
    trusting = sets[_TRUSTING_SETS : 2 * _TRUSTING_SETS]
    trusting[:, :LABEL_TABLES] = weights[:_TRUSTING_SETS]
    trusting[:, LABEL_TABLES:] = FRESH_WEIGHT
    return learnt, sets


@jit()
def code_labels(
    plane: np.ndarray,
    symbols: int,
    side: np.ndarray,
    counters: np.ndarray,
    weights: np.ndarray,
    stretch: np.ndarray,
    squash: np.ndarray,
    rates: np.ndarray,
    data: np.ndarray,
    decoding: bool,
) -> tuple[int, np.ndarray]:
    """Codes a plane of labels, or decodes one.

    Args:
        plane: uint8 [H,W], labels below `symbols`; written to when decoding.
        symbols: 3 to 256.
        side: uint8 [H,W], or [0,0] for none.
        counters: uint32 [7,CELLS], learns.
        weights: int32 [80,7], learns.
        stretch: int64 [4096].
        squash: int64 [6144].
        rates: int64 [V], of `update_counter`.
        data: uint8, what to decode, or where to write.
        decoding: which of both.

    Returns: FINE, BAD_SYMBOL or WRONG_LENGTH, and the bytes written or `data`.
    """
    height, width = plane.shape
    base = 64 if symbols <= 63 else 256
    padded = np.full((height + TOP, width + LEFT + RIGHT), base - 1, np.uint8)
    found, ranks = np.zeros(20, np.int64), np.zeros(16, np.int64)
    has_side = side.size > 0
    learnt, sets = _with_side(counters, weights) if has_side else (counters, weights)
    tables = learnt.shape[0]
    patterns, cells = np.zeros(5, np.int64), np.zeros(tables, np.int64)
    inputs, about = np.zeros(tables, np.int64), np.zeros(4, np.int64)
    depth = 0
    while 1 << depth < symbols:
        depth += 1
    coder = start(decoding, data)
    for y in range(height):
        for x in range(width):
            if decoding:
                if coder[POSITION] > data.size + 3:
                    return WRONG_LENGTH, data
            else:
                data = with_room(coder, data, 64)
            count = _describe(padded, y, x, width, found, ranks, patterns)
            trusting = 0
            if has_side:
                _describe_side(padded, side, y, x, about)
                trusting = 0 if about[1] else _TRUSTING_SETS
            value = -1 if decoding else np.int64(plane[y, x])
            result, refused = -1, 0
            for k in range(min(count, _FLAGS)):
                if found[16 + k] >= symbols:
                    continue
                if refused == symbols - 1:
                    break
                _flag_cells(found, patterns, ranks, k, y // 16, base, cells)
                if has_side:
                    _side_cells(found[16 + k], patterns, about, k, cells)
                flag = _mix_bit(
                    1 if value == found[16 + k] else 0,
                    cells,
                    tables,
                    trusting + 8 * k + count,
                    learnt,
                    sets,
                    inputs,
                    stretch,
                    squash,
                    rates,
                    coder,
                    data,
                    decoding,
                )
                if flag:
                    result = found[16 + k]
                    break
                refused += 1
            if result < 0 and refused == symbols - 1:
                result = _remaining(found, refused, symbols)
            elif result < 0:
                result = 1
                for place in range(depth - 1, -1, -1):
                    cells[0] = cell(result, 9000000)
                    cells[1] = cell(result, 9100000 + found[1])
                    cells[2] = cell(result, 9200000 + found[0] * base + found[1])
                    cells[3] = cell(result, 9300000 + y // 32)
                    cells[4] = cell(result, 9500000)
                    if has_side:
                        guess = about[0] + (1 << depth)
                        same = 2 * (guess >> (place + 1) == result)
                        cells[5] = cell(same + (guess >> place & 1), 9600000)
                    bit = _mix_bit(
                        value >> place & 1,
                        cells,
                        ESCAPE_TABLES + has_side,
                        _ESCAPE_SET,
                        learnt,
                        sets,
                        inputs,
                        stretch,
                        squash,
                        rates,
                        coder,
                        data,
                        decoding,
                    )
                    result = 2 * result + bit
                result -= 1 << depth
                if result >= symbols:
                    return BAD_SYMBOL, data
            padded[y + TOP, x + LEFT] = result
            if decoding:
                plane[y, x] = result
        close_row(padded, y, width)
    if has_side:
        counters[:] = learnt[:LABEL_TABLES]
        weights[:] = sets[:, :LABEL_TABLES]
    if decoding:
        whole = coder[POSITION] == data.size + 3
        return FINE if whole else WRONG_LENGTH, data
    return FINE, finish(coder, data)


@jit()
def _remaining(found: np.ndarray, refused: int, symbols: int) -> int:
    """The only label that is not among the refused ones."""
    for label in range(symbols):
        taken = False
        seen = 0
        for k in range(_FLAGS):
            if seen < refused and found[16 + k] < symbols:
                seen += 1
                taken = taken or found[16 + k] == label
        if not taken:
            return label
    return 0
