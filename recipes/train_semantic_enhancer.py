"""Train what makes a better picture of a coded one and its labels, a phase at a time.

Paper:  JPD-SE, arXiv 2005.12810 (`--variant=pix2pixhd`); this project's network
        (`--variant=residual`).
Run:    python tfrecords_tools/materialize_layers.py --records=records/camvid:train \
            --layer="webp1=codec:webp;quality=1" --layer="jpeg5=codec:jpeg;quality=5" \
            --out=records/camvid_coded
        python recipes/train_semantic_enhancer.py --phase=3 --size=small \
            --data=records/camvid_coded:train --validation=records/camvid_coded:val \
            --out=runs/enhancer_3
        python recipes/train_semantic_enhancer.py --phase=2 --init=runs/enhancer_3 \
            --teacher=imagenet --learning_rate=1e-4 --out=runs/enhancer_2 ...
        python recipes/train_semantic_enhancer.py --variant=pix2pixhd --phase=1 ...
Cost:   a forward and a backward pass of the generator a step; in phases 1 and 2 those
        of the discriminators and of the teacher besides. `small` on one core: 6 s a
        step of 8 crops of 192 in phase 3, 3.5 s of 4 crops of 160 in phase 2.
Resume: the same command; it goes on from the newest checkpoint in --out. `--init` is
        another thing: a new training that begins with the weights of another run.
Result: OUT/model.weights.h5 and OUT/run.json, pictures of a few validation photos in
        OUT/logs; then recipes/export_semantic_enhancer.py.

Records hold each picture, its label map and the same picture coded by several codecs at
several qualities (tfrecords_tools/materialize_layers.py, `codec:NAME;quality=Q`); one
of these is drawn at random in each step. `--layers` names some of them; by default all
are used. The model is told codec and rate, so that one serves all qualities.

    phase 1     labels alone, the base grey     gan, matching, perceptual
    phase 2     base and labels                 those and distortion
    phase 3     base and labels                 distortion

`pix2pixhd` draws all pixels anew and goes through 1, 2 and 3, each from the one before
by `--init`; 20, 30 and 50 % of the steps are a start. `residual` begins as its base:
3 first, then 2 from it; phase 1 only helps it with bases that are hardly there.
`--weights` are term=weight pairs of gan, matching, perceptual, distortion and
consistency in place of the phase's; what weighs 0 is not computed. `--segmenter` is
the run of recipes/train_segmenter.py that `consistency` asks, of the same classes.
`--zero_labels` trains without labels. `--boundaries=labels` takes the borders of labels
for boundaries, a name of a feature the map of that name; `none` shows none.
"""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from absl import app, flags

from tfsemcomp.data import coded, materialized, pipeline
from tfsemcomp.losses import adversarial
from tfsemcomp.models import semantic_enhancer
from tfsemcomp.training import (
    adversarial_optimizers,
    fitting,
    loop,
    recipe_flags,
    samples,
    teacher_flags,
    term_weights,
)

_TRAINING = recipe_flags.define(
    semantic_enhancer.SIZES,
    size="small",
    crop=256,
    batch=8,
    steps=20000,
    learning_rate=4e-4,
    smoke_crop=64,
)
_PHASE = flags.DEFINE_enum(
    "phase", "3", [str(phase) for phase in semantic_enhancer.PHASES], "What is lowered."
)
_VARIANT = flags.DEFINE_enum(
    "variant", "residual", semantic_enhancer.VARIANTS, "Which networks."
)
_LAYERS = flags.DEFINE_list("layers", [], "Coded pictures of the records; default all.")
_BASES = flags.DEFINE_list(
    "bases", [], "Codecs that the model tells apart; default: those of the records."
)
_CLASSES = flags.DEFINE_integer("classes", 12, "Number of labels.", 1, 255)
_IGNORED = flags.DEFINE_integer("ignored", 11, "Unlabelled; -1 for none.", -1)
_BOUNDARIES = flags.DEFINE_string(
    "boundaries", "labels", "`labels`, `none` or a feature with a map."
)
_ZERO_LABELS = flags.DEFINE_boolean("zero_labels", False, "Train without labels.")
_WITHHELD = flags.DEFINE_float(
    "withheld", 0.1, "Share without labels, and share without codec.", 0, 1
)
_WEIGHTS = flags.DEFINE_list("weights", [], "term=weight pairs, as gan=.1,matching=1.")
_DISTORTION = flags.DEFINE_enum(
    "distortion", "l1", semantic_enhancer.DISTORTIONS, "Which."
)
_MODE = flags.DEFINE_enum("gan_mode", "ls", adversarial.MODES, "Adversarial loss.")
_TEACHER = teacher_flags.define("unit")
_SEGMENTER = flags.DEFINE_string(
    "segmenter", None, "Run that `consistency` asks; not with --smoke."
)
_TWO_RATES = flags.DEFINE_boolean("two_rates", False, "Two time-scales rule.")
_VALIDATION_CROP = flags.DEFINE_integer(
    "validation_crop", 352, "Side of what is measured, pixels.", 32
)
_FITTING = fitting.define()


def bases(run: recipe_flags.Run) -> tuple[str, ...]:
    """Codecs that the model tells apart.

    Raises:
        SemCompError: the records hold no coded pictures.
    """
    if _BASES.value:
        return tuple(_BASES.value)
    layers = materialized.codecs_of(*run.sources[0])
    names = _LAYERS.value or layers
    return tuple(sorted({layers[name] for name in names if name in layers}))


def coded_pictures(
    run: recipe_flags.Run, sources: tuple[tuple[str, str], ...]
) -> coded.Bases:
    """The base pictures of some records."""
    return materialized.bases(sources, bases(run), _LAYERS.value)


def planes() -> list[str]:
    """Features that hold labels and, where they are maps of their own, boundaries."""
    further = [] if _BOUNDARIES.value in ("labels", "none") else [_BOUNDARIES.value]
    return ["label_map/encoded", *further]


def loss_weights(run: recipe_flags.Run) -> semantic_enhancer.LossWeights:
    """The weights that the flags give; without frozen networks in a smoke test.

    Raises:
        ValueError: --weights names no term, or gives no number.
    """
    weights = semantic_enhancer.PHASES[int(_PHASE.value)]
    weights = term_weights.replace(weights, _WEIGHTS.value)
    if run.smoke:
        weights = dataclasses.replace(weights, perceptual=0.0, consistency=0.0)
    return weights


def segment(run: recipe_flags.Run) -> semantic_enhancer.Segment | None:
    """What tells the classes of pixels, of a run; None without, and in a smoke test.

    Raises:
        ValueError: it knows other classes than --classes.
    """
    if _SEGMENTER.value is None or run.smoke:
        return None
    from tfsemcomp.models import segmenter

    model = segmenter.load_run(_SEGMENTER.value)
    if model.classes != _CLASSES.value:
        raise ValueError(
            f"`--segmenter` knows {model.classes} classes, --classes are "
            f"{_CLASSES.value}: give one that was trained for the same."
        )
    return lambda x: model(x, training=False)


def build_model(run: recipe_flags.Run) -> semantic_enhancer.SemanticEnhancer:
    """Makes the compiled model that the flags describe."""
    model = semantic_enhancer.SemanticEnhancer(
        run.size,
        _VARIANT.value,
        _CLASSES.value,
        None if _IGNORED.value < 0 else _IGNORED.value,
        bases(run),
        _BOUNDARIES.value != "none",
        _WITHHELD.value,
        _MODE.value,
    )
    _FITTING.start(model, run, semantic_enhancer.load_run)
    optimizers = adversarial_optimizers.make(
        run.learning_rate,
        run.steps,
        two_rates=_TWO_RATES.value,
        clip=_FITTING.clip.value,
        ema_momentum=_FITTING.ema_momentum.value,
    )
    model.compile(
        *optimizers,
        int(_PHASE.value),
        loss_weights(run),
        distortion=_DISTORTION.value,
        features=_TEACHER.features(run.smoke),
        feature_kind=_TEACHER.kind,
        segment=segment(run),
        zero_labels=_ZERO_LABELS.value,
    )
    return model


def training_batches(run: recipe_flags.Run) -> loop.Batches:
    """Crops with their labels and a base picture each."""
    # What codecs do, they do at the scale of the whole picture: nothing is resized.
    plan = pipeline.Augmentation(crop=run.crop, colour=0.0, resized=0.0)
    return run.batches(plan, planes=planes(), bases=coded_pictures(run, run.sources))


def validation_batches(run: recipe_flags.Run) -> fitting.Validation:
    """Squares in the middle of the pictures, each with one base picture in turn."""
    if run.validation is None:
        return None
    side = run.crop if run.smoke else _VALIDATION_CROP.value
    found = coded_pictures(run, (run.validation,))
    return run.validation_batches(4, side, planes(), bases=found)


def strip(
    model: semantic_enhancer.SemanticEnhancer, batch: Mapping[str, tf.Tensor]
) -> np.ndarray:
    """Each picture, its base and what the model draws, side by side."""
    drawn = model.losses_of(batch, training=False)["x_hat"]
    drawn = tf.cast(tf.clip_by_value(tf.round(drawn), 0, 255), tf.uint8)
    return tf.concat([batch["image"], batch["base"], drawn], axis=2).numpy()


def main(argv: list[str]) -> None:
    """Trains, evaluates and saves the model."""
    del argv
    fitting.fit(
        _TRAINING,
        build_model,
        training_batches,
        validation_batches,
        functools.partial(samples.of_validation, strip),
    )


if __name__ == "__main__":
    app.run(main)
