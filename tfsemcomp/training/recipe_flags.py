"""The flags that all training recipes share, and what they amount to.

_FLAGS = recipe_flags.define(SIZES, size="small", crop=192, batch=12, ...)
...
run = _FLAGS.read()
model = loop.fit(
    build, run.batches(plan), run.fit_config(), run.validation_batches(), (),
    run.records,
)
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import tensorflow as tf
from absl import flags

from tfsemcomp.data import captions, coded, pipeline, records
from tfsemcomp.training import loop, strategies

# The flags are those of the recipe that calls `define`, in --help and in `values`.
flags.disclaim_key_flags()

_SMOKE_BATCH = 2
_SMOKE_STEPS = 2
_POWERS = {"none": 0.0, "linear": 1.0, "sqrt": 0.5}
LR_SCALINGS = tuple(_POWERS)


@dataclasses.dataclass(frozen=True)
class Run:
    """What the flags ask for, with `--smoke`, `--max_steps` and `--lr_scaling` done.

    Attributes:
        sources: (folder, split) of the training records.
        validation: (folder, split) to measure on, or None.
        out: folder of the run.
        size: name of the network's size.
        crop: side of the training pictures, pixels.
        batch: pictures in a step, of all replicas together.
        steps: of the whole training, which a schedule counts on.
        stop: steps to do by the end of this run; `steps`, or fewer by `--max_steps`.
        steps_per_epoch: steps of a piece.
        learning_rate: for this batch.
        strategy: one of `strategies.STRATEGIES`.
        precision: one of `loop.PRECISIONS`.
        seed: of weights, order and augmentation.
        skip_corrupt: leave out damaged records.
        smoke: whether this is only to see that it works.
    """

    sources: tuple[tuple[str, str], ...]
    validation: tuple[str, str] | None
    out: str
    size: str
    crop: int
    batch: int
    steps: int
    stop: int
    steps_per_epoch: int
    learning_rate: float
    strategy: str
    precision: str
    seed: int
    skip_corrupt: bool
    smoke: bool

    @property
    def records(self) -> list[tuple[str, str]]:
        """All that is read, for `loop.fit` to name damage."""
        return [*self.sources, *([self.validation] if self.validation else [])]

    def fit_config(self) -> loop.FitConfig:
        """How `loop.fit` shall run."""
        return loop.FitConfig(
            out=self.out,
            steps=self.stop,
            steps_per_epoch=self.steps_per_epoch,
            strategy=self.strategy,
            precision=self.precision,
            seed=self.seed,
        )

    def batches(
        self,
        plan: pipeline.Augmentation,
        weights: Sequence[float] | None = None,
        shuffle_buffer: int = 4096,
        planes: Sequence[str] = (),
        words: captions.Words | None = None,
        bases: coded.Bases | None = None,
    ) -> loop.Batches:
        """The training data for `loop.fit`.

        Args:
            plan: what is done to each picture.
            weights: share of each source, see `pipeline.training_batches`.
            shuffle_buffer: records held for shuffling, see there.
            planes: features that hold maps, see there.
            words: how captions become words, see there.
            bases: coded pictures beside the originals, see there.
        """

        def make(
            step: int, input_context: tf.distribute.InputContext | None = None
        ) -> tf.data.Dataset:
            return pipeline.training_batches(
                self.sources,
                self.batch,
                plan,
                self.seed,
                weights,
                start_step=step,
                shuffle_buffer=shuffle_buffer,
                skip_corrupt=self.skip_corrupt,
                input_context=input_context,
                planes=planes,
                words=words,
                bases=bases,
            )

        return make

    def validation_batches(
        self,
        batch_size: int = 8,
        crop: int | None = None,
        planes: Sequence[str] = (),
        words: captions.Words | None = None,
        bases: coded.Bases | None = None,
    ) -> Callable[[], tf.data.Dataset] | None:
        """The data to measure on for `loop.fit`; None without `--validation`.

        Args:
            batch_size: pictures in a batch.
            crop: side of the pictures; None for that of the training.
            planes: features that hold maps, see `pipeline.training_batches`.
            words: how captions become words, see there.
            bases: coded pictures beside the originals, see there.
        """
        if self.validation is None:
            return None
        return lambda: pipeline.evaluation_batches(
            self.validation,
            batch_size,
            crop or self.crop,
            skip_corrupt=self.skip_corrupt,
            planes=planes,
            words=words,
            bases=bases,
        )


@dataclasses.dataclass(frozen=True)
class TrainingFlags:
    """The flags of a recipe, to be read when they are parsed.

    Attributes:
        holders: by name.
        flag_values: that hold them.
        smoke_size: what `--smoke` makes of `--size`.
        smoke_crop: what `--smoke` makes of `--crop`.
    """

    holders: dict[str, flags.FlagHolder]
    flag_values: flags.FlagValues
    smoke_size: str
    smoke_crop: int

    def read(self) -> Run:
        """What the flags amount to.

        Raises:
            ValueError: --data or --validation are not folder:split.
        """
        given = {name: holder.value for name, holder in self.holders.items()}
        given["sources"] = tuple(map(records.parse_source, given.pop("data")))
        if given["validation"] is not None:
            given["validation"] = records.parse_source(given["validation"])
        if given["smoke"]:
            given |= {
                "size": self.smoke_size,
                "crop": self.smoke_crop,
                "batch": _SMOKE_BATCH,
                "steps": _SMOKE_STEPS,
                "steps_per_epoch": _SMOKE_STEPS,
            }
        larger = given["batch"] / given.pop("base_batch")
        given["learning_rate"] *= larger ** _POWERS[given.pop("lr_scaling")]
        given["stop"] = _stop(
            given["steps"], given["steps_per_epoch"], given.pop("max_steps")
        )
        return Run(**given)

    def values(self) -> dict[str, Any]:
        """Values of all flags of the recipe, for the run's record.

        Those that `--smoke` or `--max_steps` change are what the run did.
        """
        recipe = self.flag_values.find_module_defining_flag("data")
        own = self.flag_values.flags_by_module_dict()[recipe]
        run = self.read()
        return {flag.name: flag.value for flag in own} | {
            "size": run.size,
            "crop": run.crop,
            "batch": run.batch,
            "steps": run.stop,
            "steps_per_epoch": run.steps_per_epoch,
        }


def define(
    sizes: Iterable[str],
    *,
    size: str,
    crop: int,
    batch: int,
    steps: int,
    learning_rate: float,
    smoke_size: str = "tiny",
    smoke_crop: int = 32,
    flag_values: flags.FlagValues = flags.FLAGS,
) -> TrainingFlags:
    """Defines the flags; a recipe calls it once, as its module is loaded.

    Args:
        sizes: names of the network's sizes.
        size, crop, batch, steps, learning_rate: defaults of the flags so called.
        smoke_size: size that `--smoke` takes.
        smoke_crop: crop that `--smoke` takes, pixels.
        flag_values: where the flags go.
    """
    place = {"flag_values": flag_values}
    text = functools.partial(flags.DEFINE_string, **place)
    whole = functools.partial(flags.DEFINE_integer, **place)
    choice = functools.partial(flags.DEFINE_enum, **place)
    switch = functools.partial(flags.DEFINE_boolean, **place)
    holders = [
        flags.DEFINE_list(
            "data", None, "folder:split pairs of records.", required=True, **place
        ),
        text("validation", None, "folder:split to measure on."),
        text("out", None, "Folder of the run.", required=True),
        choice("size", size, sorted(sizes), "Size of the network."),
        whole("crop", crop, "Side of the training pictures, pixels.", 1),
        whole("batch", batch, "Pictures in a step, over all devices.", 1),
        whole("steps", steps, "Steps in all, as the schedule counts.", 1),
        whole("max_steps", None, "Stop there, at a whole piece; for a part.", 1),
        whole("steps_per_epoch", 500, "Steps of a piece, between checkpoints.", 1),
        flags.DEFINE_float("learning_rate", learning_rate, "Its peak.", 0, **place),
        choice("lr_scaling", "none", LR_SCALINGS, "How the rate follows --batch."),
        whole("base_batch", batch, "Batch that --learning_rate is for, if scaled.", 1),
        choice("strategy", "default", strategies.STRATEGIES, "Devices."),
        choice("precision", "float32", loop.PRECISIONS, "Policy of the transforms."),
        whole("seed", 1, "Fixes weights, order and augmentation."),
        switch("skip_corrupt", False, "Leave out damaged records."),
        switch("smoke", False, "Two steps of the smallest, to see that it works."),
    ]
    by_name = {holder.name: holder for holder in holders}
    return TrainingFlags(by_name, flag_values, smoke_size, smoke_crop)


def _stop(steps: int, piece: int, most: int | None) -> int:
    """Steps that a run does: at most `most`, in whole pieces."""
    if most is None or most >= steps:
        return steps
    return most if most < piece else math.floor(most / piece) * piece
