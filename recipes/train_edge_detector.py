"""Train the detector of edges as people draw them.

Paper:  arXiv 1612.02103 (RCF): side outputs at all scales, class-balanced loss.
Run:    python tfrecords_tools/build_records.py --dataset=bsds500 --input=BSDS500 \
            --out=records/bsds
        python recipes/train_edge_detector.py --size=small --data=records/bsds:train \
            --validation=records/bsds:val --out=runs/edges
        python recipes/train_edge_detector.py --size=paper --trunk=imagenet \
            --learning_rate=1e-4 ...
Cost:   the shipped `small`: 4.5 minutes for 1,800 steps of 8 crops of 128x128 on two
        cores (`--crop=128 --steps=1800`).
Resume: the same command; it goes on from the newest checkpoint in --out.
Expect: OUT/model.weights.h5 and OUT/run.json; then recipes/export_edge_detector.py
        and recipes/evaluate_edges.py.

`small` and `tiny` learn from scratch. `paper` is VGG16's trunk and starts, with
`--trunk`, from its ImageNet weights: `imagenet` (downloaded by Keras) or an npz.
"""

import tensorflow as tf
from absl import app, flags

from tfsemcomp.data import pipeline
from tfsemcomp.models import edge_detector
from tfsemcomp.training import fitting, loop, recipe_flags, schedules

_TRAINING = recipe_flags.define(
    edge_detector.SIZES,
    size="small",
    crop=192,
    batch=8,
    steps=6000,
    learning_rate=2e-3,
)
_TRUNK = flags.DEFINE_string(
    "trunk", None, "VGG16's weights for `paper`: imagenet or an npz; not with --smoke."
)
_POSITIVE = flags.DEFINE_float(
    "positive", edge_detector.POSITIVE, "Share of people that makes an edge.", 0, 1
)
_EMA = flags.DEFINE_float("ema_momentum", 0.998, "Averages weights; 0 doesn't.", 0, 1)
_CLIP = flags.DEFINE_float("clip", 1.0, "Largest norm of all gradients.")
_DECAY = flags.DEFINE_float("weight_decay", 1e-4, "AdamW's.", 0)
_PLANES = ("edges/encoded",)
# Side of the squares that are measured on, pixels: BSDS500's short side, which leaves
# its lines as they are.
_VALIDATION_CROP = 321
_VALIDATION_BATCH = 4


def build_model(run: recipe_flags.Run) -> edge_detector.EdgeDetector:
    """Makes the compiled model that the flags describe."""
    model = edge_detector.EdgeDetector(run.size, _POSITIVE.value)
    model.create_weights()
    if _TRUNK.value and not run.smoke:
        model.take_trunk(_TRUNK.value)
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
    """Squares at the pictures' own scale; rows and columns of half of them change."""
    plan = pipeline.Augmentation(run.crop, resized=0.0)
    make = run.batches(plan, planes=_PLANES)

    def transpose(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        # The stream is shuffled, so that it is another half of them each time.
        half = tf.shape(batch["image"])[0] // 2
        return {
            name: tf.concat([value[:half], tf.transpose(value[half:], [0, 2, 1, 3])], 0)
            for name, value in batch.items()
            if name in ("image", "planes")
        }

    def transposed(
        step: int, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        return make(step, input_context).map(transpose)

    return transposed


def validation_batches(run: recipe_flags.Run) -> fitting.Validation:
    """Squares in the middle of the pictures."""
    crop = run.crop if run.smoke else _VALIDATION_CROP
    return run.validation_batches(_VALIDATION_BATCH, crop, _PLANES)


def main(argv: list[str]) -> None:
    """Trains, measures and saves the model."""
    del argv
    fitting.fit(_TRAINING, build_model, training_batches, validation_batches)


if __name__ == "__main__":
    app.run(main)
