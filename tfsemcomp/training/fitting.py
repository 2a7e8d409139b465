"""What recipes do to train a network, whatever it is: flags, optimizer, fit and save.

_TRAINING = recipe_flags.define(SIZES, ...)
_FITTING = fitting.define()
...
def build_model(run):
    model = ...
    _FITTING.start(model, run, load_run)
    model.compile(_FITTING.optimizer(run), ...)
    return model

fitting.fit(_TRAINING, build_model)
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import tensorflow as tf
from absl import flags, logging

from tfsemcomp.data import pipeline
from tfsemcomp.models import runs
from tfsemcomp.training import loop, recipe_flags, schedules, strategies

# The flags are those of the recipe that calls `define`, in --help and in `values`.
flags.disclaim_key_flags()


class WarmStarted(Protocol):
    """A model that can begin as another one ended."""

    def create_weights(self) -> None:
        """Creates all weights."""

    def take_weights(self, other: "WarmStarted") -> None:
        """Copies what it shares with another model."""


Model = TypeVar("Model", bound=tf.keras.Model)


@dataclasses.dataclass(frozen=True)
class FittingFlags:
    """The flags, to be read when they are parsed.

    Attributes:
        clip: largest norm of all gradients.
        ema_momentum: of the averaged weights; 0 for none.
        init: folder of the run to start from, or None.
    """

    clip: flags.FlagHolder[float]
    ema_momentum: flags.FlagHolder[float]
    init: flags.FlagHolder[str | None]

    def start(
        self,
        model: WarmStarted,
        run: recipe_flags.Run,
        load: Callable[[str], WarmStarted],
    ) -> None:
        """Creates the weights, and takes those of `--init` but for a smoke test.

        Args:
            model: new.
            run: the shared flags.
            load: folder of a run -> its model.
        """
        model.create_weights()
        if self.init.value and not run.smoke:
            model.take_weights(load(self.init.value))

    def optimizer(self, run: recipe_flags.Run) -> tf.keras.optimizers.Optimizer:
        """Adam whose rate rises at first and then falls by a cosine."""
        return tf.keras.optimizers.Adam(
            schedules.warm_cosine(run.learning_rate, run.steps),
            global_clipnorm=self.clip.value,
            use_ema=self.ema_momentum.value > 0,
            ema_momentum=self.ema_momentum.value,
        )


def define(flag_values: flags.FlagValues = flags.FLAGS) -> FittingFlags:
    """Defines the flags; a recipe calls it once, as its module is loaded.

    Args:
        flag_values: where they go.
    """
    place = {"flag_values": flag_values}
    return FittingFlags(
        flags.DEFINE_float("clip", 1.0, "Largest norm of all gradients.", **place),
        flags.DEFINE_float(
            "ema_momentum", 0.999, "Averages weights; 0 doesn't.", 0, 1, **place
        ),
        flags.DEFINE_string(
            "init", None, "Run to start from; not with --smoke.", **place
        ),
    )


def photo_crops(run: recipe_flags.Run) -> loop.Batches:
    """Crops of photos at their own scale or smaller, mirrored, in their own colours."""
    return run.batches(
        pipeline.Augmentation(
            crop=run.crop, min_area=0.34, max_aspect=1.0, colour=0.0, resized=0.5
        )
    )


Validation = Callable[[], tf.data.Dataset] | None


def fit(
    training: recipe_flags.TrainingFlags,
    build: Callable[[recipe_flags.Run], Model],
    batches: Callable[[recipe_flags.Run], loop.Batches] = photo_crops,
    validation: Callable[
        [recipe_flags.Run], Validation
    ] = recipe_flags.Run.validation_batches,
    callbacks: Callable[
        [recipe_flags.Run, Validation], Sequence[tf.keras.callbacks.Callback]
    ] = lambda run, validation: (),
) -> Model:
    """Trains, measures and saves what the flags describe.

    Args:
        training: the shared flags.
        build: makes the compiled model.
        batches: makes what it learns from.
        validation: makes what it is measured on, or gives None.
        callbacks: makes those of `fit`, from the run and what `validation` gave.
    Returns: the model.
    """
    run = training.read()
    measured = validation(run)
    model = loop.fit(
        lambda: build(run),
        batches(run),
        run.fit_config(),
        measured,
        callbacks(run, measured),
        run.records,
    )
    result = loop.measure(model, measured)
    facts = {"flags": training.values(), "validation": result}
    with strategies.writing_folder(model.distribute_strategy, run.out) as own:
        runs.save(model, own, facts)
    logging.info("validation: %s", result)
    return model
