"""Train a classifier of a fine-grained set, to look at compressed pictures.

Paper:  arXiv 1910.03472: networks fine-tuned from ImageNet weights on undistorted
        pictures of Stanford Dogs and CUB-200-2011, as observers of distorted ones.
Run:    python tfrecords_tools/build_records.py --dataset=stanford_dogs --input=DOGS \
            --out=records/dogs --size=512
        python recipes/train_classifier.py --preset=stanford_dogs --network=resnet50 \
            --data=records/dogs:train --validation=records/dogs:test --out=runs/dogs
        tfsemcomp classify photo.jpg --quality=10 --observer=folder:runs/dogs/best
Resume: the same command; it goes on from the newest checkpoint in --out.
Cost:   not measured: 100 passes over 12,000 pictures are a GPU's work; the network
        `residual` is small enough for a CPU.
Result: OUT/best and OUT/last, folders that --observer=folder:OUT/best takes and TF
        Serving hosts; OUT/best.json, OUT/run.json, OUT/history.csv.

`--network` is a network of tf.keras.applications, as observers are named, or
`residual`, this project's own of `--size`, for training from scratch. `--weights` is
`imagenet` (Keras downloads them), `none`, or the path of an .npz or .h5 of a network
without its classifier. All layers learn; the classifier starts anew.

`--preset` sets what is not given by a flag, as published: learning rate, weight decay
and steps between falls of the rate by network and set; Adam with epsilon 1, 100 passes
of batches of 32 out of a buffer of 16,384; crops of pictures whose short side is 256 to
512 (VGG, ResNet), or of 5 to 100 % of the area with changed colours (the others). What
differs: the best weights by validation are kept beside the last; networks of Keras have
no auxiliary classifier, whose loss would have counted 0.4.
"""

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Callable

import tensorflow as tf
from absl import app, flags, logging

from tfsemcomp.data import pipeline, records
from tfsemcomp.evaluation import observer_models
from tfsemcomp.evaluation import observer_preprocessing as preprocessing
from tfsemcomp.models import classifier
from tfsemcomp.models.classifier import ClassifierTrainer
from tfsemcomp.training import best, loop, recipe_flags, strategies

_RESIDUAL = "residual"
_TRAINING = recipe_flags.define(
    classifier.SIZES,
    size="small",
    crop=224,
    batch=32,
    steps=37500,
    learning_rate=1e-3,
)
_PRESET = flags.DEFINE_enum(
    "preset", "stanford_dogs", ["stanford_dogs", "cub200"], "Whose hyper-parameters."
)
_NETWORK = flags.DEFINE_string("network", _RESIDUAL, "residual, or one of Keras.")
_WEIGHTS = flags.DEFINE_string("weights", "imagenet", "imagenet, none or a path.")
_NAME = flags.DEFINE_string("name", None, "What tables call it; default: --out's.")
_EPOCHS = flags.DEFINE_integer("epochs", 100, "Passes over the records.", 1)
_DECAY = flags.DEFINE_float("weight_decay", 4e-4, "L2 of kernels.", 0)
_FALL = flags.DEFINE_float("fall", 0.94, "Of the rate, at each step of the stair.", 0)
_FALL_EPOCHS = flags.DEFINE_integer("fall_epochs", 10, "Passes between falls.", 1)
_EPSILON = flags.DEFINE_float("epsilon", 1.0, "Adam's.", 0)
_SHUFFLE = flags.DEFINE_integer("shuffle_buffer", 16384, "Records held to shuffle.", 1)

_BATCH = 32
# Least and largest short side of pictures, for each pixel of a crop.
_SHORT_SIDES = (256 / 224, 512 / 224)
_BATCH_NORM_MOMENTUM = 0.9997


@dataclasses.dataclass(frozen=True)
class Published:
    """Hyper-parameters by network and set.

    Attributes:
        learning_rate: at the start.
        weight_decay: w in loss += w * sum of squares / 2 of the kernels.
        fall_epochs: passes after which the rate falls.
        epsilon: Adam's.
    """

    learning_rate: float
    weight_decay: float
    fall_epochs: int
    epsilon: float = 1.0


PUBLISHED: dict[tuple[str, str], Published] = {
    ("stanford_dogs", "vgg"): Published(1e-3, 4e-5, 10),
    ("stanford_dogs", "resnet"): Published(1e-3, 4e-4, 10),
    ("stanford_dogs", "inception"): Published(1e-3, 4e-4, 10),
    ("cub200", "vgg"): Published(1e-2, 4e-5, 10),
    ("cub200", "resnet"): Published(1e-2, 4e-4, 10),
    ("cub200", "inception"): Published(1e-2, 4e-7, 20),
}
# Our own, of no paper: from scratch a rate that epsilon does not hold down.
_FROM_SCRATCH = Published(2e-3, 4e-5, 2, epsilon=1e-7)
_FAMILIES = {
    "vgg16": "vgg",
    "vgg19": "vgg",
    "inception_v3": "inception",
    "inception_resnet_v2": "inception",
}
_INCEPTION_DROPOUT = 0.2
_RESIDUAL_CROP = 128


def find_network(name: str) -> tuple[str, str, int]:
    """Module, class and side of a network of Keras; empty names for our own.

    Raises:
        ValueError: there is no such network.
    """
    if name == _RESIDUAL:
        return "", "", _RESIDUAL_CROP
    key = preprocessing.find_network(name)
    if key is None:
        raise ValueError(
            f"`network` must be {_RESIDUAL} or a network of tf.keras.applications, "
            f"such as mobilenet or resnet50; received {name!r}."
        )
    family, network = preprocessing.NETWORKS[key]
    return family.module, network, family.networks[network]


def published(preset: str, module: str) -> Published:
    """Hyper-parameters for a set and a network; those of ResNet for unnamed ones."""
    if not module:
        return _FROM_SCRATCH
    return PUBLISHED[preset, _FAMILIES.get(module, "resnet")]


def set_defaults(pictures: int) -> None:
    """Sets the flags that were not given to what `--preset` and `--network` say.

    Args:
        pictures: of the training records.
    """
    module, _, crop = find_network(_NETWORK.value)
    chosen = published(_PRESET.value, module)
    batch = _TRAINING.holders["batch"].value
    epoch = max(1, pictures // batch)
    defaults = {
        "crop": crop,
        "learning_rate": chosen.learning_rate,
        "weight_decay": chosen.weight_decay,
        "fall_epochs": chosen.fall_epochs,
        "epsilon": chosen.epsilon,
        "steps_per_epoch": epoch,
        "steps": epoch * _EPOCHS.value,
    }
    for name, value in defaults.items():
        flags.FLAGS.set_default(name, value)


def augmentation(module: str, crop: int) -> pipeline.Augmentation:
    """What is done to the training pictures of a network."""
    if not module:
        return pipeline.Augmentation(crop)
    if module.startswith(("vgg", "resnet")):
        low, high = (round(ratio * crop) for ratio in _SHORT_SIDES)
        return pipeline.Augmentation(crop, colour=0.0, short_sides=(low, high))
    return pipeline.Augmentation(
        crop, min_area=0.05, colour=0.0, brightness=32 / 255, saturation=0.5
    )


def build_network(run: recipe_flags.Run, classes: int) -> tf.keras.Model:
    """The network that the flags describe."""
    module, name, _ = find_network(_NETWORK.value)
    if run.smoke or not module:
        return classifier.residual(classes, run.size)
    is_inception = _FAMILIES.get(module) == "inception"
    return classifier.fine_tuned(
        name,
        classes,
        run.crop,
        _WEIGHTS.value,
        _INCEPTION_DROPOUT if is_inception else 0.0,
        None if _WEIGHTS.value == classifier.NONE else _BATCH_NORM_MOMENTUM,
    )


def build(run: recipe_flags.Run, classes: int, epoch: int) -> ClassifierTrainer:
    """The compiled trainer that the flags describe.

    Args:
        run: the shared flags.
        classes: number of classes.
        epoch: steps of a pass over the records.
    """
    trainer = ClassifierTrainer(build_network(run, classes), _DECAY.value)
    schedule = tf.keras.optimizers.schedules.ExponentialDecay(
        run.learning_rate, epoch * _FALL_EPOCHS.value, _FALL.value, staircase=True
    )
    trainer.compile(tf.keras.optimizers.Adam(schedule, epsilon=_EPSILON.value))
    return trainer


def validation_batches(
    run: recipe_flags.Run,
) -> Callable[[], tf.data.Dataset] | None:
    """The validation pictures as observers see them; None without any."""
    if run.validation is None:
        return None
    whole = preprocessing.resized_side(run.crop)
    margin = (whole - run.crop) // 2

    def cut(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        image = batch["image"][:, margin:, margin:][:, : run.crop, : run.crop]
        return {**batch, "image": image}

    return lambda: pipeline.evaluation_batches(
        run.validation, _BATCH, whole, skip_corrupt=run.skip_corrupt
    ).map(cut)


def save(
    trainer: ClassifierTrainer, folder: pathlib.Path, name: str, facts: dict
) -> None:
    """Writes the network as an observer, in place of that of an earlier run.

    Args:
        trainer: with the weights.
        folder: where.
        name: what tables call it.
        facts: `classes`, `crop`, and what else its card tells.
    """

    def classify(image: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(trainer.network(image, training=False))

    further = {key: facts[key] for key in ("flags", "network", "validation")}
    card = observer_models.Card(name, tuple(facts["classes"]), facts["crop"])
    shutil.rmtree(folder, ignore_errors=True)
    observer_models.save(folder, classify, card, further)


def main(argv: list[str]) -> None:
    """Trains, measures and saves."""
    del argv
    sources = [records.parse_source(text) for text in _TRAINING.holders["data"].value]
    pictures = sum(records.read_index(*source)["records"] for source in sources)
    set_defaults(pictures)
    run = _TRAINING.read()
    classes = records.class_names(run.sources)
    module, _, _ = find_network(_NETWORK.value)
    plan = augmentation("" if run.smoke else module, run.crop)
    validation = validation_batches(run)
    trainer = loop.fit(
        lambda: build(run, len(classes), max(1, pictures // run.batch)),
        run.batches(plan, shuffle_buffer=_SHUFFLE.value),
        run.fit_config(),
        validation,
        [best.BestWeights(run.out, "top1")],
        sources=run.records,
    )
    name = _NAME.value or os.path.basename(os.path.normpath(run.out))
    facts = {
        "flags": _TRAINING.values(),
        "classes": classes,
        "crop": run.crop,
        "network": _RESIDUAL if run.smoke else _NETWORK.value,
        "validation": loop.measure(trainer, validation),
    }
    with strategies.writing_folder(trainer.distribute_strategy, run.out) as own:
        out = pathlib.Path(own)
        save(trainer, out / "last", f"{name}-last", facts)
        records.write_json(str(out / "run.json"), facts)
        logging.info("last: %s", facts["validation"])
        if validation is not None:
            trainer.network.load_weights(pathlib.Path(run.out) / best.WEIGHTS)
            found = records.read_json(os.path.join(run.out, best.RECORD))
            save(trainer, out / "best", name, {**facts, "validation": found})
            logging.info("best: %s", found)


if __name__ == "__main__":
    app.run(main)
