"""Train the generator that draws a base picture of a caption.

Paper:  Xu et al., AttnGAN, CVPR 2018, arXiv 1711.10485.
Run:    python recipes/train_text_to_image.py --size=small --out=runs/text_to_image \
            --damsm=runs/damsm \
            --data=records/captions:train --validation=records/captions:test
Cost:   a forward and two backward passes of the generator a step, two of each
        discriminator, and a forward and backward pass of DAMSM's picture encoder.
Resume: the same command; it goes on from the newest checkpoint in --out.
Result: OUT/model.weights.h5, OUT/run.json and OUT/vocabulary.json, that of --damsm;
        R-precision of the validation in OUT/r_precision.json; drawn pictures beside
        photos in OUT/logs; then recipes/export_layered.py.

`--damsm` is the run of recipes/train_damsm.py whose text encoder reads the captions and
which judges, frozen, how well pictures fit them. `--crop` must be the resolution of the
size. Weights of the losses that `--weights` does not name are the published ones;
`layout`, which pulls 4x4 mean colours to those of the photo, is not published.
`--augment` shows discriminators changed pictures (arXiv 2006.10738), without which a
thousand photos are soon known by heart. Adam's rates stay for half of the steps and
then fall to 0, where the published code had 2e-4 throughout; discriminators have half
of it.
"""

import functools
import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from absl import app, flags, logging

from tfsemcomp.data import captions, records
from tfsemcomp.evaluation import text_to_image as evaluation
from tfsemcomp.losses import adversarial
from tfsemcomp.models import damsm, text_to_image
from tfsemcomp.semantics import vocabulary
from tfsemcomp.training import (
    adversarial_optimizers,
    captioned,
    fitting,
    loop,
    recipe_flags,
    samples,
    term_weights,
)

_SAMPLES = 8
_SAMPLES_SEED = (3, 1)

_TRAINING = recipe_flags.define(
    text_to_image.SIZES,
    size="small",
    crop=128,
    batch=16,
    steps=20000,
    learning_rate=2e-4,
)
_DAMSM = flags.DEFINE_string("damsm", None, "Run of recipes/train_damsm.py.")
_MODE = flags.DEFINE_enum(
    "gan_mode", "original", adversarial.MODES, "Adversarial loss."
)
_WEIGHTS = flags.DEFINE_list("weights", [], "term=weight pairs, as words=5,layout=1.")
_AUGMENT = flags.DEFINE_boolean("augment", True, "Discriminators see changed pictures.")
_TWO_RATES = flags.DEFINE_boolean("two_rates", False, "Two time-scales rule.")
_CLIP = flags.DEFINE_float("clip", None, "Largest norm of an optimizer's gradients.")
_EMA = flags.DEFINE_float("ema_momentum", 0.999, "Averages weights; 0 doesn't.", 0, 1)
_INIT = flags.DEFINE_string("init", None, "Run to start from; not with --smoke.")


@functools.cache
def known_words() -> vocabulary.Vocabulary:
    """The vocabulary of --damsm; in a smoke test that of the captions.

    Raises:
        ValueError: there is no --damsm.
    """
    run = _TRAINING.read()
    if run.smoke:
        texts = captions.of_records(run.sources, skip_corrupt=run.skip_corrupt)
        return vocabulary.build(texts)
    if _DAMSM.value is None:
        raise ValueError("`--damsm` must name a run of recipes/train_damsm.py.")
    return vocabulary.load(pathlib.Path(_DAMSM.value) / vocabulary.FILE_NAME)


@functools.cache
def judge() -> damsm.Damsm:
    """The trained encoders; in a smoke test new ones."""
    count = len(known_words())
    if not _TRAINING.read().smoke:
        return damsm.load_run(_DAMSM.value)
    model = damsm.Damsm("tiny", count)
    model.create_weights()
    return model


def words() -> captions.Words:
    """How captions become words, as those encoders were trained."""
    return captions.Words(known_words(), judge().text_size.words, drops=True)


def build_model(run: recipe_flags.Run) -> text_to_image.TextToImage:
    """Makes the compiled model that the flags describe.

    Raises:
        ValueError: --crop is not the size's resolution, or there is no --damsm.
    """
    model = text_to_image.TextToImage(run.size, judge().text_size, _MODE.value)
    if run.crop != model.size.resolution:
        raise ValueError(
            f"`--crop` must be {model.size.resolution}, what --size={run.size} draws; "
            f"got {run.crop}."
        )
    model.create_weights()
    if _INIT.value and not run.smoke:
        model.take_weights(text_to_image.load_run(_INIT.value))
    model.take_text(judge())
    optimizers = adversarial_optimizers.make(
        run.learning_rate,
        run.steps,
        two_rates=_TWO_RATES.value,
        clip=_CLIP.value,
        ema_momentum=_EMA.value,
    )
    weights = term_weights.replace(text_to_image.LossWeights(), _WEIGHTS.value)
    model.compile(*optimizers, judge(), weights, _AUGMENT.value)
    return model


def training_batches(run: recipe_flags.Run) -> loop.Batches:
    """Squares of the pictures with the words of one of their captions."""
    return captioned.training_batches(run, words)


def validation_batches(run: recipe_flags.Run) -> fitting.Validation:
    """Squares in the middle of the pictures with their first caption."""
    return captioned.validation_batches(run, words)


def strip(model: tf.keras.Model, batch: Mapping[str, tf.Tensor]) -> np.ndarray:
    """Each photo, and what the model draws of its caption, side by side."""
    shape = [len(batch["words"]), model.size.noise]
    noise = tf.random.stateless_normal(shape, _SAMPLES_SEED)
    drawn = model.generate(batch["words"], noise)
    whole = tf.concat([tf.cast(batch["image"], tf.float32), drawn], axis=2)
    return tf.cast(tf.round(whole), tf.uint8).numpy()


def main(argv: list[str]) -> None:
    """Trains, evaluates and saves the model."""
    del argv
    model = fitting.fit(
        _TRAINING,
        build_model,
        training_batches,
        validation_batches,
        functools.partial(samples.of_validation, strip, count=_SAMPLES),
    )
    run = _TRAINING.read()
    out = pathlib.Path(run.out)
    vocabulary.save(out / vocabulary.FILE_NAME, known_words())
    validation = validation_batches(run)
    if validation is None:
        return
    found = evaluation.measure(model, judge(), validation())
    records.write_json(str(out / "r_precision.json"), found)
    logging.info("R-precision: %s", found)


if __name__ == "__main__":
    app.run(main)
