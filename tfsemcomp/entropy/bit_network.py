"""The integer network that predicts the bits of a plane of binary codes.

    known bits -1/0/+1 --W--> + bias --ReLU--> --V--> + bias --floor shift--> level
              `-- of the cell itself --D-------------^

A plane [h,w,C] is coded in 2 G passes: the cells of even y + x, then those of odd
y + x, and in each half G groups of adjacent channels. The bits of one pass are
predicted at once, from the two planes before and from the passes before: of each of
these three planes the 3x3 cells around and all C channels. What is outside the plane,
stopped or not yet coded counts as 0. Iterations share W; what its units mean for their
bits (V), and what the bits of the same cell do (D), each of them learns alone.

Levels choose tables, so that every machine must compute the same ones. Weights are
integers; the sums are computed in float64, which is exact below 2**53 in whatever order
a BLAS adds them, and `Network` refuses weights that could reach that.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

# A level l stands for P(+1) = 1 / (1 + exp(-(l - EVEN) / LEVELS_PER_UNIT)).
LEVELS = 64
EVEN = 32
LEVELS_PER_UNIT = 4
MAX_ITERATIONS = 64
MAX_CHANNELS = 256
MAX_HIDDEN = 1024
_MAX_SUM = 2**53
# Cells whose neighbourhoods are gathered at a time: bounds the memory.
_BLOCK = 4096
# The plane that is being coded, the one before, the one before that.
_PLANES = 3
# Row-major in the 3x3 neighbourhood: the cell itself and those of its own half, and
# its four nearest neighbours, which are of the other half.
OWN_HALF = (0, 2, 4, 6, 8)
OTHER_HALF = (1, 3, 5, 7)
# Contexts of a mask: neighbours that were set before, 0 to 4, and that are set now, 0
# to 4 or not known.
MASK_CONTEXTS = (5, 6)
_UNKNOWN = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """The weights of the network.

    Attributes:
        hidden_weights: int16 [2,3,9,C,N] W: half, plane (the current one first),
            neighbour (row-major), channel, hidden unit.
        hidden_biases: int32 [T,2,N]: iteration, half, unit.
        output_weights: int16 [T,2,N,C] V.
        direct_weights: int32 [T,2,3,C,C] D: iteration, half, plane, known channel,
            predicted channel.
        output_biases: int32 [T,2,C].
        shift: 0 to 30; the level is EVEN + floor(sum / 2**shift), clipped to the 64.
        groups: G, divides C.

    Raises: ValueError if they are none of this, or sums could reach 2**53.
    """

    hidden_weights: np.ndarray
    hidden_biases: np.ndarray
    output_weights: np.ndarray
    direct_weights: np.ndarray
    output_biases: np.ndarray
    shift: int
    groups: int

    def __post_init__(self) -> None:
        shape = np.shape(self.output_weights)
        if len(shape) != 4 or not (
            1 <= shape[0] <= MAX_ITERATIONS
            and 1 <= shape[2] <= MAX_HIDDEN
            and 1 <= shape[3] <= MAX_CHANNELS
        ):
            raise ValueError(
                "`output_weights` must be [T,2,N,C] with T from 1 to "
                f"{MAX_ITERATIONS}, N to {MAX_HIDDEN} and C to {MAX_CHANNELS}, "
                f"received {list(shape)}"
            )
        iterations, _, units, channels = shape
        expected = {
            "hidden_weights": ("int16", (2, _PLANES, 9, channels, units)),
            "hidden_biases": ("int32", (iterations, 2, units)),
            "output_weights": ("int16", (iterations, 2, units, channels)),
            "direct_weights": ("int32", (iterations, 2, _PLANES, channels, channels)),
            "output_biases": ("int32", (iterations, 2, channels)),
        }
        for name, (dtype, wanted) in expected.items():
            array = np.asarray(getattr(self, name))
            if array.dtype != dtype or array.shape != wanted:
                raise ValueError(
                    f"`{name}` must be {dtype} {list(wanted)}, received {array.dtype} "
                    f"{list(array.shape)}"
                )
            array = array.copy()
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if not 0 <= self.shift <= 30:
            raise ValueError(f"`shift` must be from 0 to 30, received {self.shift}")
        if self.groups < 1 or channels % self.groups:
            raise ValueError(
                f"`groups` must divide the {channels} channels, received {self.groups}"
            )
        largest = self._largest_sum()
        if largest >= _MAX_SUM:
            raise ValueError(
                f"the weights allow sums of {largest:.0f}, they must stay below 2**53 "
                "to be exact in float64"
            )

    def _largest_sum(self) -> float:
        """A bound of every sum and partial sum.

        float64 suffices: it is exact where the bound is below 2**53, and what is not
        stays above when it is rounded.
        """
        hidden_weights, output_weights, direct_weights = map(abs, self.matrices)
        hidden = hidden_weights.sum(axis=(1, 2, 3)) + abs(self.hidden_biases * 1.0)
        sums = (hidden[:, :, None] @ output_weights)[:, :, 0]
        sums += direct_weights.sum(axis=(2, 3)) + abs(self.output_biases * 1.0)
        return sums.max()

    @property
    def iterations(self) -> int:
        """T, planes of a picture at most."""
        return len(self.output_biases)

    @property
    def channels(self) -> int:
        """C, bits of a cell in a plane."""
        return self.output_biases.shape[-1]

    @property
    def group_slices(self) -> list[slice]:
        """The channels of each group."""
        size = self.channels // self.groups
        return [slice(i, i + size) for i in range(0, self.channels, size)]

    @functools.cached_property
    def matrices(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """W, V and D as float64, in which they are multiplied."""
        return (
            self.hidden_weights.astype(np.float64),
            self.output_weights.astype(np.float64),
            self.direct_weights.astype(np.float64),
        )


Code = Callable[[np.ndarray, np.ndarray, slice], np.ndarray]
CodeMask = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def empty_plane(height: int, width: int, channels: int) -> np.ndarray:
    """A plane of zeros with a border of one cell: float64 [h+2,w+2,C]."""
    return np.zeros((height + 2, width + 2, channels))


def halves(active: np.ndarray) -> list[np.ndarray]:
    """Where the cells of each half stand in a plane with border.

    Args:
        active: bool [h,w], cells that are coded.
    Returns: two int64 vectors, indexes into a flat [h+2,w+2], row by row.
    """
    y, x = np.nonzero(active)
    cells = (y + 1) * (active.shape[1] + 2) + x + 1
    odd = (y + x) % 2 == 1
    return [cells[~odd], cells[odd]]


def run(
    network: Network,
    iteration: int,
    past: tuple[np.ndarray, np.ndarray],
    active: np.ndarray,
    code: Code,
) -> np.ndarray:
    """Goes through the passes of a plane, and learns its bits from `code`.

    Args:
        network: that predicts.
        iteration: 0 to T - 1.
        past: the planes of the iteration before and of the one before that, with
            borders, float64 [h+2,w+2,C] of -1, 0 and +1.
        active: bool [h,w], the cells that have bits.
        code: (levels int32 [n,C/G], cells int64 [n] in the flat plane with border,
            channels of the group) -> bits bool [n,C/G] that these levels predict.
    Returns: the plane with border, 0 in inactive cells.
    """
    hidden_weights, output_weights, direct_weights = network.matrices
    plane = np.zeros_like(past[0])
    planes = [item.reshape(-1, network.channels) for item in (plane, *past)]
    steps = _steps(plane.shape[1])
    others, own = list(OTHER_HALF), list(OWN_HALF)
    for half, cells in enumerate(halves(active)):
        weights = hidden_weights[half]
        readout = output_weights[iteration, half]
        direct = direct_weights[iteration, half]
        sums = _rows(network.hidden_biases[iteration, half], len(cells))
        outputs = _rows(network.output_biases[iteration, half], len(cells))
        # A plane of zeros adds nothing.
        for back in range(1, min(iteration, _PLANES - 1) + 1):
            _add(sums, planes[back], cells, steps, weights[back])
            outputs += planes[back][cells] @ direct[back]
        if half:
            _add(sums, planes[0], cells, steps[others], weights[0, others])
        for group in network.group_slices:
            outputs[:, group] += np.maximum(sums, 0) @ readout[:, group]
            levels = np.floor(np.ldexp(outputs[:, group], -network.shift)) + EVEN
            levels = np.clip(levels, 0, LEVELS - 1).astype(np.int32)
            bits = 2.0 * code(levels, cells, group) - 1
            planes[0][cells, group] = bits
            if group.stop < network.channels:
                _add(sums, planes[0], cells, steps[own], weights[0, own], group)
                outputs += bits @ direct[0, group]
    return plane


def run_mask(active: np.ndarray, code: CodeMask) -> np.ndarray:
    """Goes through the two halves of a mask that only shrinks.

    Args:
        active: bool [h,w], the mask before.
        code: (neighbours set before int64 [n], neighbours set now int64 [n], cells bool
            [h,w], n of them) -> bool [n], which of these cells stay set.
    Returns: bool [h,w].
    """
    before = _count_neighbours(active)
    y, x = np.indices(active.shape)
    odd = (y + x) % 2 == 1
    mask = np.zeros_like(active)
    for half in (~odd & active, odd & active):
        now = np.where(odd, _count_neighbours(mask), _UNKNOWN)
        mask[half] = code(before[half], now[half], half)
    return mask


def _count_neighbours(mask: np.ndarray) -> np.ndarray:
    """int64 [h,w], how many of the four neighbours are set; none are outside."""
    padded = np.pad(mask, 1).astype(np.int64)
    rows = padded[:-2, 1:-1] + padded[2:, 1:-1]
    return rows + padded[1:-1, :-2] + padded[1:-1, 2:]


def _rows(values: np.ndarray, count: int) -> np.ndarray:
    """float64 [count,...], the same in each row."""
    return np.repeat(values[None].astype(np.float64), count, axis=0)


def _steps(width: int) -> np.ndarray:
    """int64 [9], from a cell to its neighbours in a flat plane with borders."""
    return (np.arange(-1, 2)[:, None] * width + np.arange(-1, 2)).ravel()


def _add(
    sums: np.ndarray,
    plane: np.ndarray,
    cells: np.ndarray,
    steps: np.ndarray,
    weights: np.ndarray,
    channels: slice = slice(None),
) -> None:
    """Adds to `sums` [n,N] what neighbours at `steps` [k] contribute by [k,C,N]."""
    matrix = weights[:, channels].reshape(-1, weights.shape[-1])
    plane = plane[:, channels]
    for start in range(0, len(cells), _BLOCK):
        block = slice(start, start + _BLOCK)
        around = plane[cells[block, None] + steps]
        sums[block] += around.reshape(len(around), -1) @ matrix
