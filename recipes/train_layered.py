"""Train the layers of `layered`, a phase at a time.

Paper:  Zhang et al., Rethinking Semantic Image Compression, IEEE TCSVT 33(8), 2023
        (`--variant=v1`); this project's networks (`--variant=v2`).
Run:    python recipes/train_layered.py --phase=structure --size=small \
            --out=runs/structure --data=records/photos_edges:train \
            --planes=layer/fine/map,layer/bold/map --teacher=imagenet
        python recipes/train_layered.py --phase=structure --init=runs/structure \
            --vocabulary=vocabulary.json --text_to_image=runs/text_to_image ...
        python recipes/train_layered.py --phase=signal --size=small --out=runs/signal \
            --structure=runs/structure --init=saved_models/hyperprior-small/run \
            --learning_rate=1e-3 --batch=12 ...
        python recipes/train_layered.py --phase=joint --out=runs/joint \
            --structure=runs/structure --init=runs/signal --learning_rate=1e-4 ...
Cost:   a forward and two backward passes of the generator a step, and those of the
        teacher; of the signal, one of the generator besides.
Resume: the same command; it goes on from the newest checkpoint in --out.
Result: OUT/model.weights.h5 and OUT/run.json; pictures of a few validation photos in
        OUT/logs; then recipes/export_layered.py.

Each phase trains one network on frozen ones of the phases before it:

    caption     picture -> words                    recipes/train_captioner.py
    damsm       words <-> pictures                  recipes/train_damsm.py
    t2i         words -> base picture               recipes/train_text_to_image.py
    edge        picture -> lines                    recipes/train_edge_detector.py
    structure   lines, base, words -> layer 2       this recipe
    signal      picture, layer 2, lines -> layer 3  this recipe
    joint       layers 2 and 3 together             this recipe

The first four are recipes of their own, which take all other flags. `--size` of the
signal is one of train_hyperprior.py; `joint` takes the sizes of its two runs.

`--planes` are the features of records that hold edge maps: each crop gets one of them
at random, thresholded, thinned out and coarsened as `--thresholds`, `--edge_dropout`
and `--scales` say. `--vocabulary` lets networks be told words; records without
captions have none. A share `--textless` of the pictures is drawn without words from a
grey base. `--weights` are term=weight pairs of l1, perceptual and gan; the judges'
verdict sets in after a twentieth of the steps. `--lmbda` are the signal's weights of
the squared error, one for each quality; the published ones, which count otherwise, are
called 1, 3, 6 and 9 (`codecs.layered_model.PRESETS`) and are the default. The signal
may start from a hyperprior without layers below (`--init`).
"""

import functools
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from absl import app, flags

from tfsemcomp.codecs import layered_model
from tfsemcomp.data import captions, pipeline
from tfsemcomp.losses import adversarial
from tfsemcomp.models import hyperprior, layered, scmc_blocks, structure_generator
from tfsemcomp.models.layered_module import fit_words
from tfsemcomp.semantics import vocabulary
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

# Phases that are recipes of their own.
_RECIPES = {
    "caption": "train_captioner.py",
    "damsm": "train_damsm.py",
    "t2i": "train_text_to_image.py",
    "edge": "train_edge_detector.py",
}
# Shares of the steps where the judges' weight begins to rise, and where it is whole.
_GAN_RAMP = 0.05, 0.1

_TRAINING = recipe_flags.define(
    {*structure_generator.SIZES, *hyperprior.SIZES},
    size="small",
    crop=128,
    batch=8,
    steps=20000,
    learning_rate=4e-4,
    smoke_crop=64,
)
_PHASE = flags.DEFINE_enum(
    "phase",
    "structure",
    [*_RECIPES, "structure", "signal", "joint"],
    "What is trained.",
)
_EDGES = edge_map_flags.define(["2"])
_TEACHER = teacher_flags.define("dists")
_VALIDATION_CROP = flags.DEFINE_integer(
    "validation_crop", 128, "Side of what is measured, pixels.", 64
)
_COLOUR = flags.DEFINE_float("colour", 0.1, "Largest change of colours.", 0, 1)
_VARIANT = flags.DEFINE_enum(
    "variant", "v2", structure_generator.VARIANTS, "Which networks."
)
_AXIS = flags.DEFINE_enum(
    "attention_axis", "query", scmc_blocks.AXES, "Softmax of v1's attention."
)
_MODE = flags.DEFINE_enum(
    "gan_mode", "original", adversarial.MODES, "Adversarial loss."
)
_TEXTLESS = flags.DEFINE_float("textless", 0.5, "Share without text.", 0, 1)
_VOCABULARY = flags.DEFINE_string("vocabulary", None, "JSON file of the words.")
_WORDS = flags.DEFINE_integer("words", 20, "Most words of a caption.", 1)
_TEXT_TO_IMAGE = flags.DEFINE_string(
    "text_to_image", None, "Run that draws base pictures; else they are grey."
)
_WEIGHTS = flags.DEFINE_list("weights", [], "term=weight pairs, as l1=10,gan=0.5.")
_TWO_RATES = flags.DEFINE_boolean("two_rates", True, "Two time-scales rule.")
_STRUCTURE = flags.DEFINE_string(
    "structure", None, "Run of layer 2 that the signal goes on from; not with --smoke."
)
_PRIOR = flags.DEFINE_enum(
    "prior",
    None,
    hyperprior.VARIANTS[1:],
    "Of the signal; default scale for v1, mean_scale for v2.",
)
_LMBDA = flags.DEFINE_list(
    "lmbda",
    [f"{lmbda:.3g}" for lmbda in layered_model.PRESETS.values()],
    "Rising weights of the signal's distortion.",
)
_DISTORTION = flags.DEFINE_enum(
    "distortion", "mse", hyperprior.DISTORTIONS, "What lmbda weighs."
)
_ALONE = flags.DEFINE_float(
    "alone", 0.1, "Share of the signal's pictures without layers below.", 0, 1
)
_SHARE = flags.DEFINE_float("share", 0.1, "Weight of layer 2's own losses, joint.", 0)
_FITTING = fitting.define()


def loss_weights(steps: int) -> structure_generator.LossWeights:
    """The weights that the flags give, with a ramp for a training of so many steps.

    Raises:
        ValueError: --weights names no term, or gives no number.
    """
    ramp = tuple(int(steps * share) for share in _GAN_RAMP)
    weights = structure_generator.LossWeights(gan_ramp=ramp)
    return term_weights.replace(weights, _WEIGHTS.value)


def words() -> captions.Words | None:
    """How captions become words; None without `--vocabulary`."""
    if _VOCABULARY.value is None:
        return None
    known = vocabulary.load(_VOCABULARY.value)
    return captions.Words(known, _WORDS.value, required=False)


def text_to_image(run: recipe_flags.Run) -> structure_generator.TextToImage | None:
    """What draws base pictures, of a run; None without one, and in a smoke test."""
    if _TEXT_TO_IMAGE.value is None or run.smoke:
        return None
    from tfsemcomp.models import text_to_image as networks

    model = networks.load_run(_TEXT_TO_IMAGE.value)
    return lambda told: model.generate(
        fit_words(told, model.words),
        tf.random.normal([tf.shape(told)[0], model.size.noise]),
    )


def build_structure(
    run: recipe_flags.Run,
) -> structure_generator.StructureGenerator:
    """Makes the compiled generator of layer 2 that the flags describe."""
    model = new_structure(run.size)
    _FITTING.start(model, run, structure_generator.load_run)
    model.condition_on(_EDGES.degradation(), text_to_image(run))
    model.compile(
        *optimizers(run),
        loss_weights(run.steps),
        _TEACHER.features(run.smoke),
        _TEACHER.kind,
    )
    return model


def new_structure(size: str) -> structure_generator.StructureGenerator:
    """An untrained generator of layer 2."""
    known = words()
    return structure_generator.StructureGenerator(
        size,
        _VARIANT.value,
        len(known.vocabulary) if known else 0,
        _AXIS.value,
        _MODE.value,
        _TEXTLESS.value,
    )


def lower_structure(run: recipe_flags.Run) -> structure_generator.StructureGenerator:
    """The generator of `--structure`, or in a smoke test an untrained one.

    Raises:
        ValueError: --structure is missing, or was trained for another vocabulary.
    """
    if run.smoke:
        model = new_structure(run.size)
        model.create_weights()
    elif _STRUCTURE.value is None:
        raise ValueError(
            f"`--structure` must name the run of layer 2 for --phase={_PHASE.value}."
        )
    else:
        model = structure_generator.load_run(_STRUCTURE.value)
    known = words()
    if known and model.vocabulary not in (0, len(known.vocabulary)):
        raise ValueError(
            f"`--vocabulary` has {len(known.vocabulary)} words, --structure was "
            f"trained for {model.vocabulary}: give the file that it was trained with."
        )
    model.condition_on(_EDGES.degradation(), text_to_image(run))
    return model


def new_signal(size: str) -> hyperprior.Hyperprior:
    """An untrained layer 3."""
    prior = _PRIOR.value or {"v1": "scale", "v2": "mean_scale"}[_VARIANT.value]
    lmbdas = [float(text) for text in _LMBDA.value]
    return hyperprior.Hyperprior(
        size, prior, lmbdas, _DISTORTION.value, condition=_VARIANT.value
    )


def build_signal(run: recipe_flags.Run) -> hyperprior.Hyperprior:
    """Makes the compiled layer 3 that the flags describe, upon a frozen layer 2."""
    lower = layered.lower_layers(lower_structure(run), _ALONE.value)
    model = new_signal(run.size)
    _FITTING.start(model, run, hyperprior.load_run)
    model.compile(optimizer=_FITTING.optimizer(run), lower=lower)
    return model


def build_joint(run: recipe_flags.Run) -> layered.Layered:
    """Makes both layers of the flags' runs, compiled to be trained together.

    Raises:
        ValueError: --init is missing.
    """
    structure = lower_structure(run)
    if run.smoke:
        signal = new_signal(run.size)
    elif _FITTING.init.value is None:
        raise ValueError("`--init` must name the run of the signal for --phase=joint.")
    else:
        signal = hyperprior.load_run(_FITTING.init.value)
    model = layered.Layered(structure, signal)
    if run.smoke:
        model.create_weights()
    model.compile(
        *optimizers(run),
        loss_weights(run.steps),
        _TEACHER.features(run.smoke),
        _TEACHER.kind,
        _SHARE.value,
    )
    return model


def optimizers(
    run: recipe_flags.Run,
) -> tuple[tf.keras.optimizers.Optimizer, tf.keras.optimizers.Optimizer]:
    """Those of what draws and of what judges."""
    return adversarial_optimizers.make(
        run.learning_rate,
        run.steps,
        two_rates=_TWO_RATES.value,
        clip=_FITTING.clip.value,
        ema_momentum=_FITTING.ema_momentum.value,
    )


def structure_strip(
    model: structure_generator.StructureGenerator, batch: Mapping[str, tf.Tensor]
) -> np.ndarray:
    """Each picture, its lines, its base and what the model draws, side by side."""
    structure, base, told = model.conditions(batch, training=False)
    drawn = model(structure, base, told, training=False)
    return side_by_side(batch["image"], 255 * structure, base, drawn)


def signal_strip(
    model: hyperprior.Hyperprior, batch: Mapping[str, tf.Tensor]
) -> np.ndarray:
    """Each picture, layer 2 and layer 3 at the least and the best quality."""
    lower = model.lower(batch, training=False)
    return coded_strip(model, batch, lower)


def joint_strip(model: layered.Layered, batch: Mapping[str, tf.Tensor]) -> np.ndarray:
    """As `signal_strip`."""
    lower = layered.lower_layers(model.structure)(batch, False)
    return coded_strip(model.signal, batch, lower)


def coded_strip(
    model: hyperprior.Hyperprior,
    batch: Mapping[str, tf.Tensor],
    lower: hyperprior.Lower,
) -> np.ndarray:
    """Pictures, their layer 2 and layer 3, side by side."""
    x = tf.cast(batch["image"], tf.float32)
    coded = [
        model(x, tf.fill([len(x)], float(quality)), lower)["x_hat"]
        for quality in (1, len(model.lmbdas))
    ]
    return side_by_side(x, lower[0], *coded)


def side_by_side(*pictures: tf.Tensor) -> np.ndarray:
    """[B,H,W,3] or [B,H,W,1] in [0, 255] each -> uint8 [B,H,nW,3]."""
    shown = [tf.cast(picture, tf.float32) for picture in pictures]
    shown = [tf.repeat(p, 3, axis=-1) if p.shape[-1] == 1 else p for p in shown]
    whole = tf.clip_by_value(tf.round(tf.concat(shown, axis=2)), 0, 255)
    return tf.cast(whole, tf.uint8).numpy()


def training_batches(run: recipe_flags.Run) -> loop.Batches:
    """Crops with their edge maps and words."""
    # Lines are one pixel wide at the scale that they were found at: nothing is resized.
    plan = pipeline.Augmentation(crop=run.crop, colour=_COLOUR.value, resized=0.0)
    return run.batches(plan, planes=_EDGES.planes, words=words())


def validation_batches(run: recipe_flags.Run) -> fitting.Validation:
    """Squares in the middle of the pictures, with their edge maps and words."""
    side = run.crop if run.smoke else _VALIDATION_CROP.value
    return run.validation_batches(crop=side, planes=_EDGES.planes, words=words())


def main(argv: list[str]) -> None:
    """Trains, evaluates and saves the model."""
    del argv
    build, strip = {
        "structure": (build_structure, structure_strip),
        "signal": (build_signal, signal_strip),
        "joint": (build_joint, joint_strip),
    }[_PHASE.value]
    fitting.fit(
        _TRAINING,
        build,
        training_batches,
        validation_batches,
        functools.partial(samples.of_validation, strip),
    )


def other_recipe(argv: Sequence[str]) -> list[str] | None:
    """The command of the recipe that `--phase` names, or None if it is this one."""
    for number, flag in enumerate(argv):
        name, equals, phase = flag.lstrip("-").partition("=")
        following = number + 1
        if name == "phase" and not equals:
            phase = argv[following] if following < len(argv) else ""
            following += 1
        if name == "phase" and phase in _RECIPES:
            recipe = pathlib.Path(__file__).with_name(_RECIPES[phase])
            return [sys.executable, str(recipe), *argv[1:number], *argv[following:]]
    return None


if __name__ == "__main__":
    # Before any flag is read: those of other recipes are others.
    command = other_recipe(sys.argv)
    if command:
        os.execv(command[0], command)
    app.run(main)
