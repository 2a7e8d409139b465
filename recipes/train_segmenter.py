"""Train a network that tells the class of every pixel.

Paper:  arXiv 1802.02611 (DeepLabV3+); arXiv 2105.15203 (SegFormer); both from keras-cv.
Run:    python tfrecords_tools/build_records.py --dataset=camvid --input=CAMVID \
            --out=records/camvid --size=0
        python recipes/train_segmenter.py --size=small --data=records/camvid:train \
            --validation=records/camvid:val --out=runs/camvid
        python recipes/train_segmenter.py --size=deeplab --trunk --crop=320 \
            --data=records/city:train --classes=34 --ignored=0 ...
Cost:   `small`: 2 s a step of 8 crops of 256 on one core.
Resume: the same command; it goes on from the newest checkpoint in --out.
Result: OUT/model.weights.h5 and OUT/run.json; then recipes/export_segmenter.py and
        recipes/evaluate_segmenter.py.

`--classes` and `--ignored` are those of CamVid by default: 12, of which 11 means
unlabelled. `small` and `tiny` learn from scratch; `--trunk` lets the others start from
keras-cv's weights of ImageNet, which are downloaded.
"""

import tensorflow as tf
from absl import app, flags

from tfsemcomp.data import pipeline
from tfsemcomp.models import segmenter
from tfsemcomp.training import fitting, loop, recipe_flags, schedules

_TRAINING = recipe_flags.define(
    segmenter.SIZES,
    size="small",
    crop=256,
    batch=8,
    steps=3000,
    learning_rate=2e-3,
)
_CLASSES = flags.DEFINE_integer("classes", 12, "Their number.", 2, 255)
_IGNORED = flags.DEFINE_integer("ignored", 11, "Not learned; -1 for none.", -1)
_TRUNK = flags.DEFINE_boolean(
    "trunk", False, "Start from ImageNet's weights; not with --smoke."
)
_EMA = flags.DEFINE_float("ema_momentum", 0.995, "Averages weights; 0 doesn't.", 0, 1)
_CLIP = flags.DEFINE_float("clip", 1.0, "Largest norm of all gradients.")
_DECAY = flags.DEFINE_float("weight_decay", 1e-3, "AdamW's.", 0)
_PLANES = ("label_map/encoded",)
_VALIDATION_BATCH = 4


def build_model(run: recipe_flags.Run) -> segmenter.Segmenter:
    """Makes the compiled model that the flags describe."""
    ignored = None if _IGNORED.value < 0 else _IGNORED.value
    model = segmenter.Segmenter(_CLASSES.value, ignored, run.size)
    model.create_weights()
    if _TRUNK.value and not run.smoke:
        model.take_trunk()
    optimizer = tf.keras.optimizers.AdamW(
        schedules.warm_cosine(run.learning_rate, run.steps),
        weight_decay=_DECAY.value,
        global_clipnorm=_CLIP.value,
        use_ema=_EMA.value > 0,
        ema_momentum=_EMA.value,
    )
    model.compile(optimizer)
    return model


def training_batches(run: recipe_flags.Run) -> loop.Batches:
    """Crops of many scales with their label maps."""
    plan = pipeline.Augmentation(run.crop, min_area=0.2, resized=0.75)
    return run.batches(plan, planes=_PLANES)


def validation_batches(run: recipe_flags.Run) -> fitting.Validation:
    """Squares in the middle of the pictures, at the crop's size."""
    return run.validation_batches(_VALIDATION_BATCH, planes=_PLANES)


def main(argv: list[str]) -> None:
    """Trains, measures and saves the model."""
    del argv
    fitting.fit(_TRAINING, build_model, training_batches, validation_batches)


if __name__ == "__main__":
    app.run(main)
