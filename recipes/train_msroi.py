"""Train the MSROI classifier, from labels and, if wanted, from a teacher's features.

Paper:  arXiv 1612.08712 (the map network); distillation is this project's addition.
Run:    python recipes/train_msroi.py --size=small --out=runs/msroi \
            --data=records/caltech101:train,records/photos:train --weights=1,1 \
            --validation=records/caltech101:test --teacher=imagenet
Resume: the same command; it goes on from the newest checkpoint in --out.
Cost:   msroi-small: 2,065 steps in three phases of growing crops (its card.json has the
        commands), 82 minutes on 2 shared CPU cores, 2 GB.
Expect: top-1 47.5 %, top-5 70.9 % on 505 test photos of 101 classes with 16 training
        photos each; maps with an AUC of 0.776 against fixations (evaluate_msroi.py).
Result: OUT/student.weights.h5 and OUT/run.json; then recipes/export_msroi.py.

`--teacher` is `none`, `imagenet` (Keras downloads MobileNet) or the path of an npz. The
teacher's class shares come from a ridge classifier on its features of the labelled
images. `--backbone=keras:MobileNetV2` (any `tf.keras.applications` network) or
`--backbone=keras_cv:<preset>` replaces the trunk by one with ImageNet weights, for your
own use; such weights are not shipped. `--refit_classifier` replaces the last layer, at
the end, by a ridge classifier on the averaged weights' features: with few images a
closed form generalises better than gradient steps.
"""

import dataclasses
import json

import numpy as np
import tensorflow as tf
from absl import app, flags, logging

from tfsemcomp.data import pipeline, records
from tfsemcomp.models.msroi_cnn import SIZES, MsroiCnn
from tfsemcomp.models.msroi_trainer import MsroiLoss, MsroiTrainer
from tfsemcomp.models.teacher import Teacher
from tfsemcomp.training import loop, recipe_flags, strategies
from tfsemcomp.training.linear_probe import fit_ridge

_TRAINING = recipe_flags.define(
    SIZES,
    size="small",
    crop=160,
    batch=64,
    steps=20000,
    learning_rate=2e-3,
)
_WEIGHTS = flags.DEFINE_list("weights", None, "Share of each --data; default by size.")
_BACKBONE = flags.DEFINE_string("backbone", None, "keras:<Name>, keras_cv:<preset>.")
_TEACHER = flags.DEFINE_string("teacher", "none", "none, imagenet or an npz.")
_LOSS = flags.DEFINE_enum("loss", "softmax", ["softmax", "sigmoid"], "Label loss.")
_MIN_AREA = flags.DEFINE_float("min_area", 0.35, "Least share a crop covers.", 0.01, 1)
_DECAY = flags.DEFINE_float("weight_decay", 0.05, "AdamW's.")
_EMA = flags.DEFINE_float("ema_momentum", 0.998, "Averages weights; 0 doesn't.", 0, 1)
_INIT = flags.DEFINE_string("init", None, "student.weights.h5 to start from.")
_REFIT = flags.DEFINE_boolean("refit_classifier", False, "Ridge for the last layer.")


def pooled_features(
    network: tf.keras.Model, source: tuple[str, str], crop: int
) -> tuple[np.ndarray, np.ndarray]:
    """`pooled` of a network for labelled records and their mirror images."""
    run = tf.function(lambda x: network(tf.cast(x, tf.float32))["pooled"])
    pooled, labels = [], []
    for batch in pipeline.evaluation_batches(source, 32, crop):
        for image in (batch["image"], batch["image"][:, :, ::-1]):
            pooled.append(run(image).numpy())
            labels.append(batch["label"].numpy())
    return np.concatenate(pooled), np.concatenate(labels)


def make_teacher(
    weights: str, source: tuple[str, str], classes: int, crop: int
) -> Teacher:
    """Loads the teacher and fits its classifier on the labelled records."""
    teacher = Teacher(weights, classes)
    features, labels = pooled_features(teacher, source, crop)
    kernel, _ = fit_ridge(features, labels, classes, bias=False)
    teacher.set_classifier(kernel)
    return teacher


def refit_classifier(student: MsroiCnn, source: tuple[str, str], crop: int) -> None:
    """Replaces the student's last layer by a ridge classifier without bias."""
    features, labels = pooled_features(student, source, crop)
    kernel, _ = fit_ridge(features, labels, student.classes, bias=False)
    student.classifier.kernel.assign(kernel)


def build_trainer(
    run: recipe_flags.Run, classes: int, labelled: tuple[str, str]
) -> MsroiTrainer:
    """Makes the compiled trainer that the flags describe.

    Args:
        run: the shared flags.
        classes: number of classes.
        labelled: records that the teacher's classifier is fitted on.
    """
    size, backbone = SIZES[run.size], None if run.smoke else _BACKBONE.value
    if backbone:
        size = dataclasses.replace(size, trunk=backbone)
    student = MsroiCnn(classes, size, "imagenet" if backbone else None)
    teacher = None
    if _TEACHER.value != "none" and not run.smoke:
        teacher = make_teacher(_TEACHER.value, labelled, classes, 224)
    trainer = MsroiTrainer(student, MsroiLoss(kind=_LOSS.value), teacher)
    trainer.create_weights(run.crop)
    if _INIT.value and not run.smoke:
        student.load_weights(_INIT.value)
    # The rate rises for 500 steps, then falls to zero by a cosine.
    schedule = tf.keras.optimizers.schedules.CosineDecay(
        run.learning_rate / 100,
        run.steps,
        warmup_target=run.learning_rate,
        warmup_steps=min(500, run.steps // 10),
    )
    optimizer = tf.keras.optimizers.AdamW(
        schedule,
        weight_decay=_DECAY.value,
        global_clipnorm=5.0,
        use_ema=_EMA.value > 0,
        ema_momentum=_EMA.value,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    trainer.compile(optimizer=optimizer)
    return trainer


def main(argv: list[str]) -> None:
    """Trains, evaluates and saves the student."""
    del argv
    run = _TRAINING.read()
    weights = [float(w) for w in _WEIGHTS.value] if _WEIGHTS.value else None
    names = records.class_names(run.sources)
    labelled = next(s for s in run.sources if records.read_index(*s)["classes"])
    plan = pipeline.Augmentation(crop=run.crop, min_area=_MIN_AREA.value)
    validation = run.validation_batches(32)
    trainer = loop.fit(
        lambda: build_trainer(run, len(names), labelled),
        run.batches(plan, weights),
        run.fit_config(),
        validation,
        sources=run.records,
    )
    if _REFIT.value:
        refit_classifier(trainer.student, labelled, run.crop)
    result = loop.measure(trainer, validation)
    record = {
        "flags": _TRAINING.values(),
        "classes": names,
        "network": trainer.student.get_config(),
        "validation": result,
    }
    with strategies.writing_folder(trainer.distribute_strategy, run.out) as own:
        trainer.student.save_weights(f"{own}/student.weights.h5")
        with tf.io.gfile.GFile(f"{own}/run.json", "w") as file:
            file.write(json.dumps(record, indent=1, sort_keys=True) + "\n")
    logging.info("validation: %s", result)


if __name__ == "__main__":
    app.run(main)
