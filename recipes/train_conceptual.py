"""Train the conceptual codec: a generator that draws pictures from edges and a texture.

Paper:  Layered Conceptual Image Compression, ICIP 2019 (`--variant=unet`); arXiv
        2011.04976 (`--variant=hf_gan`).
Run:    python tfrecords_tools/materialize_layers.py --records=records/pairs:train \
            --layer=fine=edges:canny --layer="bold=edges:canny;threshold=0.18" \
            --out=records/pairs_edges --runner=
        python recipes/train_conceptual.py --size=small --out=runs/conceptual \
            --data=records/pairs_edges:train --validation=records/pairs_edges:test \
            --planes=layer/fine/map,layer/bold/map \
            --teacher=imagenet --feature_layers=conv_pw_3_relu,conv_pw_5_relu \
            --feature_kind=unit --weights=features=10,latent=0 --notwo_rates
        python recipes/train_conceptual.py --planes=edges/encoded \
            --data=records/edges2shoes:train ...      pairs of photo and drawing
Cost:   two forward and three backward passes of the generator a step, and those of the
        teacher; `latent=0` saves one backward pass.
Resume: the same command; it goes on from the newest checkpoint in --out.
Result: OUT/model.weights.h5 and OUT/run.json; pictures of a few validation photos in
        OUT/logs; then recipes/export_conceptual.py.

`--planes` are the features that hold edge maps: each crop gets one of them at random,
thresholded, thinned out and coarsened as `--thresholds`, `--edge_dropout` and
`--scales` say, so that one generator serves files of all qualities. Weights of the
losses that `--weights` does not name are those published for the variant. The latent's
cost sets in after a tenth of the steps, the discriminators' judgement after a
twentieth.
"""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from absl import app, flags

from tfsemcomp.data import pipeline
from tfsemcomp.losses import adversarial
from tfsemcomp.models import conceptual
from tfsemcomp.models import conceptual_structure as structures
from tfsemcomp.training import (
    adversarial_optimizers,
    edge_map_flags,
    fitting,
    loop,
    recipe_flags,
    samples,
    teacher_flags,
    term_weights,
)

# Shares of the steps where weights begin to rise, and where they are whole.
_GAN_RAMP = 0.05, 0.1
_PRIOR_RAMP = 0.1, 0.2

_TRAINING = recipe_flags.define(
    conceptual.SIZES,
    size="small",
    crop=128,
    batch=8,
    steps=20000,
    learning_rate=4e-4,
    smoke_crop=64,
)
_EDGES = edge_map_flags.define(["1", "2", "4"])
_VALIDATION_CROP = flags.DEFINE_integer(
    "validation_crop", 256, "Side of what is measured, pixels.", 64
)
_VARIANT = flags.DEFINE_enum(
    "variant", "hf_gan", conceptual.VARIANTS, "Which generator."
)
_LATENTS = flags.DEFINE_integer("nz", None, "Latents, in place of the size's.", 1)
_GRID = flags.DEFINE_boolean("grid", None, "A latent for each 128x128 pixels.")
_LATENT = flags.DEFINE_enum(
    "latent", "rate", conceptual.LATENTS, "What the latent costs."
)
_STEP = flags.DEFINE_float("latent_step", 0.25, "Its quantiser's step, at first.")
_MODE = flags.DEFINE_enum("gan_mode", "ls", adversarial.MODES, "Adversarial loss.")
_CONDITIONAL = flags.DEFINE_boolean(
    "conditional", True, "Discriminators see the edges."
)
_TEXTURELESS = flags.DEFINE_float(
    "textureless", 0.05, "Share of crops drawn from edges alone.", 0, 1
)
_WEIGHTS = flags.DEFINE_list("weights", [], "term=weight pairs, as l1=10,r1=0.1.")
_COLOUR = flags.DEFINE_float("colour", 0.1, "Largest change of colours.", 0, 1)
_TWO_RATES = flags.DEFINE_boolean("two_rates", True, "Two time-scales rule.")
_CLIP = flags.DEFINE_float("clip", None, "Largest norm of an optimizer's gradients.")
_EMA = flags.DEFINE_float("ema_momentum", 0.999, "Averages weights; 0 doesn't.", 0, 1)
_TEACHER = teacher_flags.define("mse")
_INIT = flags.DEFINE_string("init", None, "Run to start from; not with --smoke.")


def loss_weights(steps: int) -> conceptual.LossWeights:
    """The weights that the flags give, with ramps for a training of so many steps.

    Raises:
        ValueError: --weights names no term, or gives no number.
    """
    weights = term_weights.replace(conceptual.WEIGHTS[_VARIANT.value], _WEIGHTS.value)
    ramps = {"gan_ramp": _GAN_RAMP, "prior_ramp": _PRIOR_RAMP}
    rising = {
        name: tuple(int(steps * share) for share in shares)
        for name, shares in ramps.items()
    }
    return dataclasses.replace(weights, **rising)


def build_model(run: recipe_flags.Run) -> conceptual.Conceptual:
    """Makes the compiled model that the flags describe."""
    changes = {"latents": _LATENTS.value, "grid": _GRID.value}
    changes = {name: value for name, value in changes.items() if value is not None}
    model = conceptual.Conceptual(
        dataclasses.replace(conceptual.SIZES[run.size], **changes),
        _VARIANT.value,
        _LATENT.value,
        _STEP.value,
        _MODE.value,
        _CONDITIONAL.value,
        _TEXTURELESS.value,
    )
    model.create_weights()
    if _INIT.value and not run.smoke:
        model.take_weights(conceptual.load_run(_INIT.value))
    optimizers = adversarial_optimizers.make(
        run.learning_rate,
        run.steps,
        two_rates=_TWO_RATES.value,
        clip=_CLIP.value,
        ema_momentum=_EMA.value,
    )
    model.compile(
        *optimizers,
        loss_weights(run.steps),
        _EDGES.degradation(),
        _TEACHER.features(run.smoke),
        _TEACHER.kind,
    )
    return model


def strip(model: tf.keras.Model, batch: Mapping[str, tf.Tensor]) -> np.ndarray:
    """Each picture, its edges and what the model draws of them, side by side."""
    x = tf.cast(batch["image"], tf.float32)
    structure = structures.fixed(batch["planes"], model.degradation)
    drawn = model(x, structure, training=False)
    lines = tf.repeat(255 * structure, 3, axis=-1)
    whole = tf.concat([x, lines, drawn], axis=2)
    return tf.cast(tf.round(whole), tf.uint8).numpy()


def training_batches(run: recipe_flags.Run) -> loop.Batches:
    """Crops with their edge maps."""
    # Lines are one pixel wide at the scale that they were found at: nothing is resized.
    plan = pipeline.Augmentation(crop=run.crop, colour=_COLOUR.value, resized=0.0)
    return run.batches(plan, planes=_EDGES.planes)


def validation_batches(run: recipe_flags.Run) -> fitting.Validation:
    """Squares in the middle of the pictures, with their edge maps."""
    side = run.crop if run.smoke else _VALIDATION_CROP.value
    return run.validation_batches(crop=side, planes=_EDGES.planes)


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
