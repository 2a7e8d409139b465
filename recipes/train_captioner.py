"""Train the captioner: a picture's words, one after the other.

Paper:  SCMC (TCSVT 33(8), 2023), whose captioner is that of arXiv 1411.4555.
Run:    python tfrecords_tools/build_records.py --dataset=captions --input=DIR \
            --out=records/captions --test_share=0.1
        python recipes/benchmark_text.py --data=records/captions:train \
            --held_out=records/captions:test --out=runs/text
        python recipes/train_captioner.py --size=small --out=runs/captioner \
            --data=records/captions:train --validation=records/captions:test \
            --vocabulary=runs/text/vocabulary.json --msroi=msroi-small
        python recipes/train_captioner.py --size=paper --decoder=lstm --crop=224 \
            --batch=128 --learning_rate=1e-3 --weight_decay=0 ...
Cost:   `small`: 0.5 s of CPU time a step of 32 pictures of 128x128, without teacher;
        0.8 s a step of 64 with `--msroi`.
Resume: the same command; it goes on from the newest checkpoint in --out.
Expect: OUT/model.weights.h5, OUT/run.json and OUT/vocabulary.json; the exporter of
        `layered` takes the folder.

`small` has its own trunk. With `--msroi` that is the one of an installed model of
msroi_jpeg, which knows things already and is not trained further: the best choice where
there are few captions. Otherwise it learns with the rest and, with `--teacher`, from
the features of MobileNet: `imagenet` (downloaded by Keras) or the path of an npz. With
a teacher, pictures without captions teach as well. `--trunk` takes a frozen network
instead: a name of ``tf.keras.applications`` with its ImageNet weights, or an npz of
MobileNet or VGG16; such weights are not shipped. `paper` is ResNet152.
"""

import dataclasses
import os

import tensorflow as tf
from absl import app, flags

from tfsemcomp.data import captions, pipeline
from tfsemcomp.models import captioner, msroi_cnn, runs, teacher
from tfsemcomp.semantics import vocabulary
from tfsemcomp.training import fitting, loop, recipe_flags, schedules

_TRAINING = recipe_flags.define(
    captioner.SIZES,
    size="small",
    crop=128,
    batch=32,
    steps=4000,
    learning_rate=1e-3,
)
_VOCABULARY = flags.DEFINE_string(
    "vocabulary", None, "vocabulary.json of benchmark_text.py.", required=True
)
_DECODER = flags.DEFINE_enum(
    "decoder", "transformer", captioner.DECODERS, "What makes words."
)
_TRUNK = flags.DEFINE_string(
    "trunk", None, "own, a Keras network or an npz; default: the size's."
)
_MSROI = flags.DEFINE_string(
    "msroi", None, "Model of msroi_jpeg whose trunk is taken, frozen."
)
_DROPOUT = flags.DEFINE_float(
    "dropout", None, "Share of the decoder's values dropped; default: the size's.", 0, 1
)
_SMOOTHING = flags.DEFINE_float("smoothing", 0.0, "Share of the truth spread.", 0, 1)
_TEACHER = flags.DEFINE_string("teacher", "none", "none, imagenet or an npz.")
_DISTILLATION = flags.DEFINE_float("distillation", 2.0, "Weight of the teacher.", 0)
_EMA = flags.DEFINE_float("ema_momentum", 0.998, "Averages weights; 0 doesn't.", 0, 1)
_CLIP = flags.DEFINE_float("clip", 1.0, "Largest norm of all gradients.")
_DECAY = flags.DEFINE_float("weight_decay", 0.05, "AdamW's.", 0)
# Of stride 16, as the own trunk's.
_TEACHER_LAYER, _TEACHER_CHANNELS = "conv_pw_11_relu", 512


def has_teacher(run: recipe_flags.Run) -> bool:
    """Whether features are learnt from."""
    return _TEACHER.value != "none" and not run.smoke


def build_model(run: recipe_flags.Run) -> captioner.Captioner:
    """Makes the compiled model that the flags describe."""
    size = dataclasses.replace(captioner.SIZES[run.size], resolution=run.crop)
    if _DROPOUT.value is not None:
        size = dataclasses.replace(size, dropout=_DROPOUT.value)
    weights = trunk = None
    if _MSROI.value and not run.smoke:
        taken, trunk = msroi_cnn.exported_trunk(_MSROI.value)
        size = captioner.with_own_trunk(size, taken.widths, taken.blocks)
    elif _TRUNK.value and not run.smoke:
        name, weights = captioner.trunk_of(_TRUNK.value)
        size = captioner.with_trunk(size, name)
    elif size.trunk != captioner.OWN:
        _, weights = captioner.trunk_of(size.trunk)
    words = vocabulary.load(_VOCABULARY.value)
    channels = _TEACHER_CHANNELS if has_teacher(run) else 0
    model = captioner.Captioner(size, len(words), _DECODER.value, channels)
    model.create_weights()
    if weights:
        model.take_trunk(weights)
    if trunk:
        runs.take_weights(model.trunk, trunk, "trunk")
    optimizer = tf.keras.optimizers.AdamW(
        schedules.warm_cosine(run.learning_rate, run.steps),
        weight_decay=_DECAY.value,
        global_clipnorm=_CLIP.value,
        use_ema=_EMA.value > 0,
        ema_momentum=_EMA.value,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "table"])
    features = make_teacher() if has_teacher(run) else None
    model.compile(
        optimizer,
        teacher=features,
        distillation=_DISTILLATION.value,
        smoothing=_SMOOTHING.value,
    )
    return model


def make_teacher():
    """Pictures -> the teacher's features, see `Captioner.compile`."""
    found = teacher.feature_function("mobilenet", _TEACHER.value, [_TEACHER_LAYER])
    return lambda images: found(images)[0]


def caption_words(run: recipe_flags.Run) -> captions.Words:
    """How captions become words: with a teacher, pictures may do without."""
    return captions.Words(
        vocabulary.load(_VOCABULARY.value),
        captioner.SIZES[run.size].words,
        required=not has_teacher(run),
    )


def training_batches(run: recipe_flags.Run) -> loop.Batches:
    """Most of each picture, for a caption tells of all of it."""
    plan = pipeline.Augmentation(run.crop, min_area=0.6)
    return run.batches(plan, words=caption_words(run))


def validation_batches(run: recipe_flags.Run) -> fitting.Validation:
    """The middle of the pictures with their first captions."""
    return run.validation_batches(words=caption_words(run))


def main(argv: list[str]) -> None:
    """Trains, measures and saves the model."""
    del argv
    fitting.fit(_TRAINING, build_model, training_batches, validation_batches)
    out = _TRAINING.read().out
    words = vocabulary.load(_VOCABULARY.value)
    vocabulary.save(os.path.join(out, vocabulary.FILE_NAME), words)


if __name__ == "__main__":
    app.run(main)
