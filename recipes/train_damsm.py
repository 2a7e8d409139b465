"""Train the encoders that tell which sentence belongs to which picture (DAMSM).

Paper:  Xu et al., AttnGAN, CVPR 2018, arXiv 1711.10485, section 3.2.
Run:    python recipes/train_damsm.py --size=small --out=runs/damsm \
            --data=records/captions:train --validation=records/captions:test \
            --vocabulary=runs/text/vocabulary.json --trunk=imagenet
Cost:   a forward pass of the frozen trunk and two LSTMs over a caption's words a step;
        `small`: 0.8 s on 2 shared cores. With 900 photos, --steps=240 --ema_momentum=.9
        has them: averaged weights need some 5 / (1 - momentum) steps to follow.
Resume: the same command; it goes on from the newest checkpoint in --out.
Result: OUT/model.weights.h5, OUT/run.json and OUT/vocabulary.json; then
        recipes/train_text_to_image.py.

`--trunk` are the ImageNet weights of the frozen network that sees pictures: `imagenet`,
which Keras downloads, an npz of MobileNet (`small`) or Keras' h5 of Inception v3
(`paper`). They stay in the run; nothing that is exported later holds them. The sizes
`small-conv` and `tiny` have a network of their own and take none.

Without `--vocabulary` the words are those that the captions of `--data` have at least
twice. Adam's rate falls by a cosine, where the published code had .002 times .98 an
epoch, and `--clip` is for all gradients, there for those of the sentences (.25).
"""

import pathlib

from absl import app, flags

from tfsemcomp.data import captions
from tfsemcomp.models import damsm
from tfsemcomp.semantics import vocabulary
from tfsemcomp.training import captioned, fitting, loop, recipe_flags

_TRAINING = recipe_flags.define(
    damsm.SIZES, size="small", crop=128, batch=48, steps=3000, learning_rate=2e-3
)
_TRUNK = flags.DEFINE_string("trunk", None, "Its weights: `imagenet` or a file.")
_VOCABULARY = flags.DEFINE_string("vocabulary", None, "JSON file of the words.")
_WORDS = flags.DEFINE_integer("words", 18, "Most words of a caption.", 1)
_COLOUR = flags.DEFINE_float("colour", 0.1, "Largest change of colours.", 0, 1)
_FITTING = fitting.define()


def words(run: recipe_flags.Run) -> captions.Words:
    """How captions become words; long ones lose some of them at random."""
    if _VOCABULARY.value and not run.smoke:
        known = vocabulary.load(_VOCABULARY.value)
    else:
        texts = captions.of_records(run.sources, skip_corrupt=run.skip_corrupt)
        known = vocabulary.build(texts)
    return captions.Words(known, _WORDS.value, drops=True)


def build_model(run: recipe_flags.Run) -> damsm.Damsm:
    """Makes the compiled model that the flags describe.

    Raises:
        ValueError: the size has a frozen trunk, and --trunk doesn't say whose weights.
    """
    model = damsm.Damsm(run.size, len(words(run).vocabulary), _WORDS.value)
    frozen = model.size.trunk != "conv"
    if frozen and not _TRUNK.value:
        raise ValueError(
            f"--size={run.size} needs weights of {model.size.trunk}: give `--trunk`."
        )
    _FITTING.start(model, run, damsm.load_run)
    if frozen:
        model.take_trunk(_TRUNK.value)
    model.compile(optimizer=_FITTING.optimizer(run))
    return model


def training_batches(run: recipe_flags.Run) -> loop.Batches:
    """Squares of the pictures with the words of one of their captions."""
    return captioned.training_batches(run, lambda: words(run), _COLOUR.value)


def validation_batches(run: recipe_flags.Run) -> fitting.Validation:
    """Squares in the middle of the pictures with their first caption."""
    return captioned.validation_batches(run, lambda: words(run))


def main(argv: list[str]) -> None:
    """Trains, evaluates and saves the model."""
    del argv
    fitting.fit(_TRAINING, build_model, training_batches, validation_batches)
    run = _TRAINING.read()
    path = pathlib.Path(run.out) / vocabulary.FILE_NAME
    vocabulary.save(path, words(run).vocabulary)


if __name__ == "__main__":
    app.run(main)
