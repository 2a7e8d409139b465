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
        arrays: float32 W [2,3,9,C,N], its biases [T,2,N], V [2,N,C], its biases
            [T,2,C]; outputs are logits of +1.
        groups: of channels, that are coded in turn.
    """

    arrays: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
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
        places: list[list[np.ndarray]] = [[], []]
        for item, start in zip(codes, starts, strict=False):
            height, width = item.shape[1] + 2, item.shape[2] + 2
            for iteration, plane in enumerate(item):
                halves = bit_network.halves(plane.any(axis=-1))
                first = start + (iteration + 2) * height * width
                for half, cells in enumerate(halves):
                    rows = np.empty((len(cells), 4), np.int64)
                    rows[:] = 0, iteration, width, height * width
                    rows[:, 0] = first + cells
                    places[half].append(rows)
        self._places = [np.concatenate(part) for part in places]

    def count(self, half: int) -> int:
        """How many cells of all iterations are in a half, 0 or 1."""
        return len(self._places[half])

    def gather(self, half: int, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        """Some cells of a half.

        Args:
            half: 0 or 1.
            rows: int [n], which ones, 0 to `count(half)` - 1.
        Returns: what is around them, int8 [n,3,9,C], and their iterations, int32 [n].
        """
        first, iterations, widths, sizes = self._places[half][rows].T
        dy, dx = np.mgrid[-1:2, -1:2].reshape(2, 9)
        steps = dy * widths[:, None] + dx
        planes = first[:, None] - sizes[:, None] * np.arange(3)
        around = self._flat[planes[..., None] + steps[:, None]]
        return around, iterations.astype(np.int32)


def _check_codes(codes: Sequence[np.ndarray]) -> None:
    if not len(codes) or np.ndim(codes[0]) != 4:
        raise ValueError("`codes` must be arrays [T,h,w,C], received none")
    for item in codes:
        if (
            item.dtype != np.int8
            or item.ndim != 4
            or (item.shape[0], item.shape[3]) != (codes[0].shape[0], codes[0].shape[3])
            or abs(item).max(initial=0) > 1
            or (item.any(axis=-1) != item.all(axis=-1)).any()
            or (abs(item[1:]) > abs(item[:-1])).any()
        ):
            raise ValueError(
                "`codes` must be int8 [T,h,w,C] of -1 and +1, or 0 in a whole cell "
                f"from some iteration on, T and C as in {list(codes[0].shape)}; "
                f"received {item.dtype} {list(item.shape)}"
            )


def _logits(variables, groups: int, half: int, around, iterations) -> tf.Tensor:
    """float32 [n,C] logits of the middle cells, from what each pass knows."""
    hidden_weights, hidden_biases, output_weights, output_biases = variables
    weights = hidden_weights[half]
    around = tf.cast(around, tf.float32)
    channels, units = weights.shape[-2:]
    size = channels // groups

    def product(values, matrix):
        rows = matrix.shape[:-1].num_elements()
        values = tf.reshape(values, [-1, rows])
        return values @ tf.reshape(matrix, [rows, units])

    sums = product(around[:, 1:], weights[1:])
    sums += tf.gather(hidden_biases[:, half], iterations)
    if half:
        others = list(bit_network.OTHER_HALF)
        current = tf.gather(around[:, 0], others, axis=1)
        sums += product(current, tf.gather(weights[0], others))
    own = list(bit_network.OWN_HALF)
    current = tf.gather(around[:, 0], own, axis=1)
    weights = tf.gather(weights[0], own)
    outputs = []
    for start in range(0, channels, size):
        group = slice(start, start + size)
        outputs.append(tf.nn.relu(sums) @ output_weights[half][:, group])
        sums += product(current[..., group], weights[:, group])
    biases = tf.gather(output_biases[:, half], iterations)
    return tf.concat(outputs, axis=1) + biases


def _nats(logits: tf.Tensor, around: tf.Tensor) -> tf.Tensor:
    """float32 [n], what the codes of the middle cells cost."""
    signs = tf.cast(around[:, 0, 4], tf.float32)
    return tf.reduce_sum(tf.nn.softplus(-signs * logits), axis=1)


def _initial(
    samples: Samples, hidden: int, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    shape = (2, 3, 9, samples.channels, hidden)
    # He et al. 2015; output weights start small, near even bits.
    scale = np.sqrt(2 / np.prod(shape[1:4]))
    planes = (samples.iterations, 2)
    arrays = (
        rng.normal(0, scale, shape),
        np.zeros((*planes, hidden)),
        rng.normal(0, 0.1 / np.sqrt(hidden), (2, hidden, samples.channels)),
        np.zeros((*planes, samples.channels)),
    )
    return tuple(array.astype(np.float32) for array in arrays)


def train(
    codes: Sequence[np.ndarray],
    hidden: int = 128,
    groups: int = 4,
    steps: int = 3000,
    batch: int = 1024,
    learning_rate: float = 2e-3,
    seed: int = 1,
) -> Weights:
    """Trains the float network on cells drawn at random (Adam, cosine decay).

    Args:
        codes: of each picture, as in `Samples`.
        hidden: units, N.
        groups: of channels, coded in turn; divides C.
        steps: of the optimizer.
        batch: cells of each half in a step.
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
    used = [half for half in (0, 1) if samples.count(half)]

    @tf.function(autograph=False)
    def step(batches):
        with tf.GradientTape() as tape:
            loss = 0.0
            for half, (around, iterations) in zip(used, batches, strict=True):
                logits = _logits(variables, groups, half, around, iterations)
                loss += tf.reduce_mean(_nats(logits, around))
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    for number in range(steps):
        drawn = [rng.integers(samples.count(half), size=batch) for half in used]
        loss = step(
            [samples.gather(half, rows) for half, rows in zip(used, drawn, strict=True)]
        )
        if (number + 1) % 500 == 0:
            bits = float(loss) / np.log(2) / len(used) / samples.channels
            logging.info("step %d: %.4f bits a bit", number + 1, bits)
    return Weights(tuple(v.numpy() for v in variables), groups)


def float_bits(weights: Weights, codes: Sequence[np.ndarray]) -> np.ndarray:
    """What codes cost under the float network: float64 [T], bits of all pictures."""
    samples = Samples(codes)
    variables = [tf.constant(item) for item in weights.arrays]
    totals = np.zeros(samples.iterations)
    for half in (0, 1):
        for start in range(0, samples.count(half), _BLOCK):
            stop = min(start + _BLOCK, samples.count(half))
            around, iterations = samples.gather(half, np.arange(start, stop))
            logits = _logits(variables, weights.groups, half, around, iterations)
            nats = _nats(logits, around).numpy().astype(np.float64)
            totals += np.bincount(iterations, nats, samples.iterations)
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
    Raises: ValueError if the weights are so large that sums are not exact.
    """
    hidden_weights, hidden_biases, output_weights, output_biases = (
        np.asarray(array, np.float64) for array in weights.arrays
    )
    output_weights = output_weights * bit_network.LEVELS_PER_UNIT
    output_biases = output_biases * bit_network.LEVELS_PER_UNIT
    hidden_digits = min(_HIDDEN_DIGITS, _digits(hidden_weights))
    output_digits = min(_OUTPUT_DIGITS, _digits(output_weights))
    shift = hidden_digits + output_digits
    # The floor of the level rounds to the nearest one.
    return bit_network.Network(
        np.rint(np.ldexp(hidden_weights, hidden_digits)).astype(np.int16),
        np.rint(np.ldexp(hidden_biases, hidden_digits)).astype(np.int32),
        np.rint(np.ldexp(output_weights, output_digits)).astype(np.int16),
        np.rint(np.ldexp(output_biases + 0.5, shift)).astype(np.int32),
        shift,
        weights.groups,
    )


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
    count = sum(np.count_nonzero(item) for item in shown)
    logging.info(
        "%.4f bits a bit, %.4f with integers; by iteration %s",
        before.sum() / count,
        after.sum() / count,
        np.round(after / count * network.iterations, 4),
    )
    return model
