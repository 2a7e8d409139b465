"""Trains the network that predicts binary codes, and rounds it to integers.

    codes --Samples--> 3x3 cells of 3 planes --float network--> logits --> bits
                                                   |
                                                quantise --> entropy.bit_contexts

The float network is that of `entropy.bit_network` before rounding: the same passes see
the same bits. It is trained alone, on codes that are final.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from tfsemcomp.entropy import bit_contexts, bit_network

# Binary digits behind the point of rounded weights: about 0.3 % of a typical one.
_HIDDEN_DIGITS = 9
_OUTPUT_DIGITS = 9
_BLOCK = 8192
# Pictures that the log tells the cost of.
_SHOWN = 64


@dataclasses.dataclass(frozen=True, eq=False)
class Weights:
    """The float network, in the shapes of `bit_network.Network`.

    Attributes:
        arrays: float32 W [2,3,9,C,N], its biases [T,2,N], V [T,2,N,C], D [T,2,3,C,C],
            output biases [T,2,C]; outputs are logits of +1.
        groups: of channels, that are coded in turn.
    """

    arrays: tuple[np.ndarray, ...]
    groups: int


class Samples:
    """The cells of many pictures with what is around them.

    Args:
        codes: int8 [T,h,w,C] of each picture, -1 or +1, and 0 where a cell has
            stopped. T and C are those of the first; sizes may differ.
    Raises: ValueError if there is no picture, or one is none of this.
    """

    def __init__(self, codes: Sequence[np.ndarray]) -> None:
        _check_codes(codes)
        self.iterations, _, _, self.channels = codes[0].shape
        # Two empty planes before the first one, and a border of one cell.
        padded = [np.pad(item, [(2, 0), (1, 1), (1, 1), (0, 0)]) for item in codes]
        self._flat = np.concatenate([p.reshape(-1, self.channels) for p in padded])
        starts = np.cumsum([0] + [p[..., 0].size for p in padded])
        places: list[list[list[np.ndarray]]] = [
            [[] for _ in range(self.iterations)] for _ in range(2)
        ]
        for item, start in zip(codes, starts, strict=False):
            height, width = item.shape[1] + 2, item.shape[2] + 2
            for iteration, plane in enumerate(item):
                halves = bit_network.halves(plane.any(axis=-1))
                first = start + (iteration + 2) * height * width
                for half, cells in enumerate(halves):
                    rows = np.empty((len(cells), 3), np.int64)
                    rows[:] = first, width, height * width
                    rows[:, 0] += cells
                    places[half][iteration].append(rows)
        self._places = [[np.concatenate(part) for part in half] for half in places]

    def count(self, half: int, iteration: int) -> int:
        """How many cells of a half, 0 or 1, take part in an iteration."""
        return len(self._places[half][iteration])

    def gather(self, half: int, iteration: int, rows: np.ndarray) -> np.ndarray:
        """Some cells of a half, in an iteration.

        Args:
            half: 0 or 1.
            iteration: 0 to T - 1.
            rows: int [n], which ones, 0 to `count(half, iteration)` - 1.
        Returns: what is around them, int8 [n,3,9,C].
        """
        first, widths, sizes = self._places[half][iteration][rows].T
        dy, dx = np.mgrid[-1:2, -1:2].reshape(2, 9)
        steps = dy * widths[:, None] + dx
        planes = first[:, None] - sizes[:, None] * np.arange(3)
        return self._flat[planes[..., None] + steps[:, None]]

    def draw(self, half: int, count: int, rng: np.random.Generator) -> np.ndarray:
        """Random cells of each iteration: int8 [T,count,3,9,C].

        Zeros, which no loss counts, where no cell takes part.
        """
        drawn = np.zeros((self.iterations, count, 3, 9, self.channels), np.int8)
        for iteration in range(self.iterations):
            available = self.count(half, iteration)
            if available:
                rows = rng.integers(available, size=count)
                drawn[iteration] = self.gather(half, iteration, rows)
        return drawn


def _check_codes(codes: Sequence[np.ndarray]) -> None:
    if not len(codes) or np.ndim(codes[0]) != 4:
        raise ValueError("`codes` must be arrays [T,h,w,C], received none")
    for item in codes:
        if (
            item.dtype != np.int8
            or item.ndim != 4
            or (item.shape[0], item.shape[3]) != (codes[0].shape[0], codes[0].shape[3])
            or not (item.min(initial=0) >= -1 and item.max(initial=0) <= 1)
            or (item.any(axis=-1) != item.all(axis=-1)).any()
            or (abs(item[1:]) > abs(item[:-1])).any()
        ):
            raise ValueError(
                "`codes` must be int8 [T,h,w,C] of -1 and +1, or 0 in a whole cell "
                f"from some iteration on, T and C as in {list(codes[0].shape)}; "
                f"received {item.dtype} {list(item.shape)}"
            )


def _logits(
    arrays: Sequence[tf.Tensor], groups: int, half: int, around: tf.Tensor
) -> tf.Tensor:
    """Logits of the middle cells, float32 [T,n,C], from what each pass knows.

    Args:
        arrays: those of `Weights`.
        groups: of channels.
        half: 0 or 1.
        around: int8 [T,n,3,9,C].
    """
    weights = arrays[0][half]
    hidden_biases, readout, direct, output_biases = (a[:, half] for a in arrays[1:])
    around = tf.cast(around, tf.float32)
    channels, units = weights.shape[-2:]
    iterations, count = around.shape[0], tf.shape(around)[1]

    def product(values, matrix):
        rows = matrix.shape[:-1].num_elements()
        result = tf.reshape(values, [-1, rows]) @ tf.reshape(matrix, [rows, units])
        return tf.reshape(result, [iterations, count, units])

    current = around[:, :, 0]
    sums = hidden_biases[:, None] + product(around[:, :, 1:], weights[1:])
    outputs = output_biases[:, None]
    for back in (1, 2):
        outputs += around[:, :, back, 4] @ direct[:, back]
    if half:
        others = list(bit_network.OTHER_HALF)
        near = tf.gather(current, others, axis=2)
        sums += product(near, tf.gather(weights[0], others))
    own = list(bit_network.OWN_HALF)
    near, weights = tf.gather(current, own, axis=2), tf.gather(weights[0], own)
    logits = []
    size = channels // groups
    for start in range(0, channels, size):
        group = slice(start, start + size)
        logits.append(outputs[..., group] + tf.nn.relu(sums) @ readout[..., group])
        sums += product(near[..., group], weights[:, group])
        outputs += current[:, :, 4, group] @ direct[:, 0, group]
    return tf.concat(logits, axis=-1)


def _nats(logits: tf.Tensor, around: tf.Tensor) -> tf.Tensor:
    """float32 [T,n,C], what the bits of the middle cells cost, if there are."""
    signs = tf.cast(around[:, :, 0, 4], tf.float32)
    return abs(signs) * tf.nn.softplus(-signs * logits)


def _initial(
    samples: Samples, hidden: int, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    planes, channels = (samples.iterations, 2), samples.channels
    shape = (2, 3, 9, channels, hidden)
    arrays = (
        # He et al. 2015; the rest starts near even bits.
        rng.normal(0, np.sqrt(2 / np.prod(shape[1:4])), shape),
        np.zeros((*planes, hidden)),
        # The same in all iterations, which part where it pays.
        np.tile(
            rng.normal(0, 0.1 / np.sqrt(hidden), (2, hidden, channels)),
            (planes[0], 1, 1, 1),
        ),
        np.zeros((*planes, 3, channels, channels)),
        np.zeros((*planes, channels)),
    )
    return tuple(array.astype(np.float32) for array in arrays)


def train(
    codes: Sequence[np.ndarray],
    hidden: int = 128,
    groups: int = 16,
    steps: int = 3000,
    batch: int = 64,
    learning_rate: float = 2e-3,
    seed: int = 1,
) -> Weights:
    """Trains the float network on cells drawn at random (Adam, cosine decay).

    Args:
        codes: of each picture, as in `Samples`.
        hidden: units, N.
        groups: of channels, coded in turn; divides C.
        steps: of the optimizer.
        batch: cells of each half and iteration in a step.
        learning_rate: at the start, > 0.
        seed: of weights and draws; the same one gives the same network on the same
            machine.
    Raises: ValueError if `codes` are none, or a number is out of range.
    """
    if min(hidden, groups, steps, batch) < 1 or not learning_rate > 0:
        raise ValueError(
            "`hidden`, `groups`, `steps` and `batch` must be at least 1 and "
            f"`learning_rate` above 0; received {hidden}, {groups}, {steps}, {batch} "
            f"and {learning_rate}"
        )
    samples = Samples(codes)
    if samples.channels % groups:
        raise ValueError(
            f"`groups` must divide the {samples.channels} channels, received {groups}"
        )
    rng = np.random.default_rng(seed)
    variables = [tf.Variable(item) for item in _initial(samples, hidden, rng)]
    schedule = tf.keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    optimizer = tf.keras.optimizers.Adam(schedule)
    optimizer.build(variables)

    @tf.function(autograph=False)
    def step(*halves):
        with tf.GradientTape() as tape:
            costs = [
                _nats(_logits(variables, groups, half, around), around)
                for half, around in enumerate(halves)
            ]
            loss = tf.reduce_mean(costs)
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    for number in range(steps):
        loss = step(*(samples.draw(half, batch, rng) for half in (0, 1)))
        if (number + 1) % 500 == 0:
            logging.info("step %d: %.4f bits a bit", number + 1, loss / np.log(2))
    return Weights(tuple(v.numpy() for v in variables), groups)


def float_bits(weights: Weights, codes: Sequence[np.ndarray]) -> np.ndarray:
    """What codes cost under the float network: float64 [T], bits of all pictures."""
    samples = Samples(codes)
    first, *others = (tf.constant(item) for item in weights.arrays)
    totals = np.zeros(samples.iterations)
    for iteration in range(samples.iterations):
        arrays = [first, *(item[iteration : iteration + 1] for item in others)]
        for half in (0, 1):
            count = samples.count(half, iteration)
            for start in range(0, count, _BLOCK):
                rows = np.arange(start, min(start + _BLOCK, count))
                around = tf.constant(samples.gather(half, iteration, rows)[None])
                logits = _logits(arrays, weights.groups, half, around)
                totals[iteration] += tf.reduce_sum(_nats(logits, around))
    return totals / np.log(2)


def integer_bits(
    network: bit_network.Network, codes: Sequence[np.ndarray]
) -> np.ndarray:
    """What codes cost under the rounded network: float64 [T], bits of all pictures.

    Without continue bits, so that it compares with `float_bits`.
    """
    _check_codes(codes)
    tables = bit_contexts.level_tables()
    zeros = tables.lookup[tables.starts + 2] / 2.0**tables.precision
    costs = -np.log2([zeros, 1 - zeros])
    totals = np.zeros(network.iterations)
    for item in codes:
        planes = np.pad(item, [(2, 0), (1, 1), (1, 1), (0, 0)]).astype(np.float64)
        for iteration, plane in enumerate(planes[2:]):
            known = plane.reshape(-1, network.channels) > 0

            def code(levels, cells, group, known=known, iteration=iteration):
                bits = known[cells, group]
                totals[iteration] += costs[bits.astype(int), levels].sum()
                return bits

            past = planes[iteration + 1], planes[iteration]
            active = item[iteration].any(axis=-1)
            bit_network.run(network, iteration, past, active, code)
    return totals


def quantise(weights: Weights) -> bit_network.Network:
    """Rounds the float network to integers.

    Source: post-training rounding with power-of-two steps; Ballé et al., "Integer
        Networks for Data Compression with Latent-Variable Models", ICLR 2019, for
        why.
    Raises: ValueError if weights are not finite, or so large that sums are not exact.
    """
    if not all(np.isfinite(array).all() for array in weights.arrays):
        raise ValueError("`weights` must be finite; train with a lower `learning_rate`")
    hidden_weights, hidden_biases, output_weights, direct_weights, output_biases = (
        np.asarray(array, np.float64) for array in weights.arrays
    )
    unit = bit_network.LEVELS_PER_UNIT
    hidden_digits = min(_HIDDEN_DIGITS, _digits(hidden_weights))
    output_digits = min(_OUTPUT_DIGITS, _digits(output_weights * unit))
    shift = hidden_digits + output_digits
    direct_weights = _rounded(direct_weights * unit, output_digits)
    return bit_network.Network(
        _rounded(hidden_weights, hidden_digits).astype(np.int16),
        _rounded(hidden_biases, hidden_digits).astype(np.int32),
        _rounded(output_weights * unit, output_digits).astype(np.int16),
        np.ldexp(direct_weights, hidden_digits).astype(np.int32),
        # The floor of the level rounds to the nearest one.
        _rounded(output_biases * unit + 0.5, shift).astype(np.int32),
        shift,
        weights.groups,
    )


def _rounded(values: np.ndarray, digits: int) -> np.ndarray:
    return np.rint(np.ldexp(values, digits))


def _digits(weights: np.ndarray) -> int:
    """Binary digits behind the point with which all weights fit into int16."""
    largest = abs(weights).max()
    return 15 - int(np.frexp(largest)[1]) - 1 if largest else _HIDDEN_DIGITS


def count_stops(stops: Sequence[np.ndarray], iterations: int) -> np.ndarray:
    """The levels of continue bits, from how often cells go on in each context.

    Args:
        stops: integers [h,w] of each picture, 0 to T, as for `bit_contexts.encode`.
        iterations: T.
    Returns: uint8 [T,5,6] as in `bit_contexts.BitModel`; even where nothing is known.
    """
    # Half a count of each kind, so that no level is certain.
    counts = np.full((iterations, *bit_network.MASK_CONTEXTS, 2), 0.5)
    for item in stops:
        active = np.ones(item.shape, bool)
        for iteration in range(iterations):
            goes_on = item > iteration

            def count(before, now, cells, goes_on=goes_on, part=counts[iteration]):
                np.add.at(part, (before, now, goes_on[cells].astype(int)), 1)
                return goes_on[cells]

            active = bit_network.run_mask(active, count)
    logits = np.log(counts[..., 1] / counts[..., 0])
    levels = bit_network.EVEN + np.rint(bit_network.LEVELS_PER_UNIT * logits)
    return np.clip(levels, 0, bit_network.LEVELS - 1).astype(np.uint8)


def fit(
    codes: Sequence[np.ndarray],
    stops: Sequence[np.ndarray] | None = None,
    **settings,
) -> bit_contexts.BitModel:
    """Makes the contexts of a codec from the codes of its training pictures.

    Logs what the last pictures cost before and after rounding.

    Args:
        codes: of each picture, as in `Samples`; 0 where stopped.
        stops: integers [h,w], 0 to T, of those pictures whose continue bits are to be
            learned; without any these bits stay even.
        **settings: of `train`.
    Raises: ValueError if an argument is none of these.
    """
    weights = train(codes, **settings)
    network = quantise(weights)
    levels = count_stops(stops or [], network.iterations)
    model = bit_contexts.BitModel(network, levels)
    shown = codes[-_SHOWN:]
    before = float_bits(weights, shown)
    after = integer_bits(network, shown)
    counts = sum(np.count_nonzero(item, axis=(1, 2, 3)) for item in shown)
    logging.info(
        "%.4f bits a bit, %.4f with integers; by iteration %s",
        before.sum() / counts.sum(),
        after.sum() / counts.sum(),
        np.round(after / np.maximum(counts, 1), 4),
    )
    return model
