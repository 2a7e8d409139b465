"""The one fit loop: Keras `fit` with strategy, precision, exact resume and NaN stop.

A run is cut into pieces of `steps_per_epoch` steps. After each piece everything that
the next one depends on is written: weights, optimizer slots, averaged weights and the
number of the piece. The data stream is a function of the step, so that a run that was
killed goes on exactly as if nothing had happened.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import tensorflow as tf
from absl import logging

from tfsemcomp.data import reading
from tfsemcomp.errors import SemCompError
from tfsemcomp.training import strategies
from tfsemcomp.training.callbacks import History, Keeper, NanStop

PRECISIONS = ("float32", "mixed_bfloat16")


class Batches(Protocol):
    """Makes the training data: called once in each run, with the step to start at."""

    def __call__(
        self, step: int, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """Returns an endless dataset that starts at that step.

        Args:
            step: number of steps done.
            input_context: None with `strategy="default"`, for global batches; else the
                batches must be those of one replica (`pipeline.training_batches`).
        """


@dataclasses.dataclass(frozen=True)
class FitConfig:
    """How to run a training.

    Attributes:
        out: folder for checkpoints and TensorBoard logs.
        steps: optimizer steps in all; a multiple of `steps_per_epoch`, or fewer.
        steps_per_epoch: steps between checkpoints, validations and log lines.
        strategy: one of `strategies.STRATEGIES`.
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
        if self.steps % self.piece:
            raise ValueError(
                "`steps` must be a multiple of `steps_per_epoch`, since a run is made "
                f"of whole pieces; got {self.steps} and {self.steps_per_epoch}."
            )
        if self.strategy not in strategies.STRATEGIES:
            raise ValueError(
                f"`strategy` must be one of {strategies.STRATEGIES}; got "
                f"'{self.strategy}'."
            )
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"`precision` must be one of {PRECISIONS}; got '{self.precision}'."
            )

    @property
    def piece(self) -> int:
        """Steps of a piece."""
        return min(self.steps_per_epoch, self.steps)


def fit(
    build: Callable[[], tf.keras.Model],
    batches: Batches,
    config: FitConfig,
    validation: Callable[[], tf.data.Dataset] | None = None,
    callbacks: Sequence[tf.keras.callbacks.Callback] = (),
    sources: Sequence[tuple[str, str]] = (),
) -> tf.keras.Model:
    """Trains to `config.steps`, going on from the newest checkpoint if there is one.

    Nothing of TensorFlow may have run before with `strategy="multi_worker"`, which is
    why data are given by functions.

    Args:
        build: makes the compiled model, all its weights created; called in the
            strategy's scope.
        batches: makes the training data, see `Batches`.
        config: how to run.
        validation: makes the data that each piece is measured on, in one pass.
        callbacks: further Keras callbacks.
        sources: (folder, split) of the records that `batches` and `validation` read, to
            tell where a damaged one lies.
    Returns: the trained model; with averaged weights (EMA) when its optimizer keeps
        them.
    Raises:
        SemCompError: if the loss stopped being finite; weights are then those of the
            last good checkpoint, which stays on disk. If `config.out` holds a run of
            other pieces.
        BitstreamError: a record is damaged: shard and offset.
    """
    strategy = strategies.make_strategy(config.strategy)
    with (
        _precision(config.precision),
        strategies.writing_folder(strategy, config.out) as own,
        reading.naming_damage(sources),
    ):
        tf.keras.utils.set_random_seed(config.seed)
        with strategy.scope():
            model = build()
            model.optimizer.build(model.trainable_variables)
        keeper = Keeper(
            model,
            config.out,
            own,
            config.piece,
            config.seed,
            config.keep,
            strategies.worker_number(strategy),
        )
        start = keeper.restore()
        pieces = math.ceil(config.steps / config.piece)
        stop = NanStop(keeper)
        if start < pieces:
            logging.info("training piece %d of %d", start + 1, pieces)
            data, steps = _shared_out(model, validation)
            model.fit(
                _training_data(strategy, config, batches, start * config.piece),
                initial_epoch=start,
                epochs=pieces,
                steps_per_epoch=config.piece,
                validation_data=data,
                validation_steps=steps,
                callbacks=[stop, History(own, config.piece), keeper]
                + [*_boards(config, own), *callbacks],
                verbose=2,
            )
        else:
            with strategy.scope():
                model.optimizer.finalize_variable_values(model.trainable_variables)
    if stop.step is not None:
        raise SemCompError(
            f"the loss was not finite near step {stop.step}; weights are back at the "
            f"last checkpoint in {config.out}: lower the learning rate and run again."
        )
    return model


def measure(
    model: tf.keras.Model, validation: Callable[[], tf.data.Dataset] | None
) -> dict[str, float]:
    """Evaluates a trained model; all workers must call it.

    Args:
        model: of `fit`.
        validation: as in `fit`.
    Returns: means by name; empty without `validation`.
    """
    if validation is None:
        return {}
    data, steps = _shared_out(model, validation)
    return model.evaluate(data, steps=steps, return_dict=True, verbose=2)


def _training_data(
    strategy: tf.distribute.Strategy, config: FitConfig, batches: Batches, step: int
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    if config.strategy == "default":
        return batches(step)
    return strategy.distribute_datasets_from_function(
        lambda context: batches(step, context)
    )


def _shared_out(
    model: tf.keras.Model, validation: Callable[[], tf.data.Dataset] | None
) -> tuple[tf.data.Dataset | tf.distribute.DistributedDataset | None, int | None]:
    """Data to evaluate on, and the number of batches where Keras must be told.

    Every replica measures all data: the means are then those of one device, whatever
    the size of the last batch, and it takes no longer than on one device.
    """
    if validation is None:
        return None, None
    strategy = model.distribute_strategy
    if strategy.num_replicas_in_sync == 1:
        return validation(), None

    def all_of_it(context: tf.distribute.InputContext) -> tf.data.Dataset:
        replicas = context.num_replicas_in_sync // context.num_input_pipelines
        return validation().flat_map(
            lambda batch: tf.data.Dataset.from_tensors(batch).repeat(replicas)
        )

    steps = validation().reduce(tf.constant(0, tf.int64), lambda n, _: n + 1)
    data = strategy.distribute_datasets_from_function(all_of_it)
    return data, int(steps.numpy())


@contextlib.contextmanager
def _precision(name: str) -> Iterator[None]:
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)


def _boards(config: FitConfig, own: str) -> list[tf.keras.callbacks.Callback]:
    if not config.tensorboard:
        return []
    folder = tf.io.gfile.join(own, "logs")
    return [tf.keras.callbacks.TensorBoard(folder, profile_batch=0)]
