"""The one fit loop: Keras `fit` with strategy, precision, exact resume and NaN stop.

A run is cut into pieces of `steps_per_epoch` steps. After each piece everything that
the next one depends on is written: weights, optimizer slots, averaged weights and the
number of the piece. The data stream is a function of the step, so that a run that was
killed goes on exactly as if nothing had happened.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator

import tensorflow as tf
from absl import logging

from tfsemcomp.errors import SemCompError

STRATEGIES = ("default", "mirrored", "multi_worker", "tpu")
PRECISIONS = ("float32", "mixed_bfloat16")


@dataclasses.dataclass(frozen=True)
class FitConfig:
    """How to run a training.

    Attributes:
        out: folder for checkpoints and TensorBoard logs.
        steps: optimizer steps in all; a multiple of `steps_per_epoch`, or fewer.
        steps_per_epoch: steps between checkpoints, validations and log lines.
        strategy: one of `STRATEGIES`.
        precision: one of `PRECISIONS`, for transforms; losses stay float32.
        seed: of initial weights and of everything drawn in the step.
        keep: checkpoints to keep.
        tensorboard: write TensorBoard logs.
    """

    out: str
    steps: int
    steps_per_epoch: int = 500
    strategy: str = "default"
    precision: str = "float32"
    seed: int = 1
    keep: int = 2
    tensorboard: bool = True

    def __post_init__(self) -> None:
        if self.steps < 1 or self.steps_per_epoch < 1:
            raise ValueError(
                "`steps` and `steps_per_epoch` must be at least 1; got "
                f"{self.steps} and {self.steps_per_epoch}."
            )
        if self.steps % min(self.steps_per_epoch, self.steps):
            raise ValueError(
                "`steps` must be a multiple of `steps_per_epoch`, since a run is made "
                f"of whole pieces; got {self.steps} and {self.steps_per_epoch}."
            )
        if self.strategy not in STRATEGIES:
            raise ValueError(
                f"`strategy` must be one of {STRATEGIES}; got '{self.strategy}'."
            )
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"`precision` must be one of {PRECISIONS}; got '{self.precision}'."
            )


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Returns the distribution strategy called `name` (see `STRATEGIES`)."""
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "tpu":
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="")
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    return tf.distribute.get_strategy()


def fit(
    build: Callable[[], tf.keras.Model],
    batches: Callable[[int], tf.data.Dataset],
    config: FitConfig,
    validation: tf.data.Dataset | None = None,
    callbacks: tuple[tf.keras.callbacks.Callback, ...] = (),
) -> tf.keras.Model:
    """Trains to `config.steps`, going on from the newest checkpoint if there is one.

    Args:
        build: makes the compiled model, all its weights created; called in the
            strategy's scope.
        batches: step -> endless dataset of global batches that starts at that step.
        config: how to run.
        validation: evaluated after each piece, when given.
        callbacks: further Keras callbacks.
    Returns: the trained model; with averaged weights (EMA) when its optimizer keeps
        them.
    Raises:
        SemCompError: if the loss stopped being finite; weights are then those of the
            last good checkpoint, which stays on disk.
    """
    strategy = make_strategy(config.strategy)
    with _precision(config.precision):
        tf.keras.utils.set_random_seed(config.seed)
        with strategy.scope():
            model = build()
            model.optimizer.build(model.trainable_variables)
        keeper = _Keeper(model, config)
        start = keeper.restore()
        pieces = math.ceil(config.steps / config.steps_per_epoch)
        stop = _NanStop(keeper)
        if start < pieces:
            logging.info("training piece %d of %d", start + 1, pieces)
            model.fit(
                batches(start * config.steps_per_epoch),
                initial_epoch=start,
                epochs=pieces,
                steps_per_epoch=min(config.steps_per_epoch, config.steps),
                validation_data=validation,
                callbacks=[stop, keeper, *_boards(config), *callbacks],
                verbose=2,
            )
        else:
            model.optimizer.finalize_variable_values(model.trainable_variables)
    if stop.step is not None:
        raise SemCompError(
            f"the loss was not finite near step {stop.step}; weights are back at the "
            f"last checkpoint in {config.out}: lower the learning rate and run again."
        )
    return model


@contextlib.contextmanager
def _precision(name: str) -> Iterator[None]:
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)


def _boards(config: FitConfig) -> list[tf.keras.callbacks.Callback]:
    if not config.tensorboard:
        return []
    folder = tf.io.gfile.join(config.out, "logs")
    return [tf.keras.callbacks.TensorBoard(folder, profile_batch=0)]


class _Keeper(tf.keras.callbacks.Callback):
    """Writes and restores everything that a later piece depends on."""

    def __init__(self, model: tf.keras.Model, config: FitConfig) -> None:
        super().__init__()
        self.seed = config.seed
        self.piece = tf.Variable(0, dtype=tf.int64, trainable=False, name="piece")
        state = tf.train.Checkpoint(
            model=model, optimizer=model.optimizer, piece=self.piece
        )
        folder = tf.io.gfile.join(config.out, "checkpoints")
        self.manager = tf.train.CheckpointManager(state, folder, config.keep)

    def restore(self) -> int:
        """Returns the number of pieces done, 0 for a new run."""
        if self.manager.latest_checkpoint is None:
            return 0
        status = self.manager.checkpoint.restore(self.manager.latest_checkpoint)
        status.assert_existing_objects_matched()
        return int(self.piece.numpy())

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the piece's random numbers anew, so that they don't need saving."""
        tf.random.set_seed(self.seed + epoch)
        self.model.make_train_function(force=True)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Saves, unless the piece ended in a loss that is not finite."""
        if self.model.stop_training:
            return
        self.piece.assign(epoch + 1)
        self.manager.save()


class _NanStop(tf.keras.callbacks.Callback):
    """Ends training at the first loss that is not finite and goes back."""

    def __init__(self, keeper: _Keeper) -> None:
        super().__init__()
        self.keeper = keeper
        self.step: int | None = None

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Looks at the running mean of the loss, which a NaN or infinity enters."""
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            self.step = int(self.model.optimizer.iterations.numpy())
            self.model.stop_training = True

    def on_train_end(self, logs: dict | None = None) -> None:
        """Takes back the steps since the last checkpoint."""
        if self.step is not None:
            self.keeper.restore()
