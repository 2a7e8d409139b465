"""Export a trained recurrent codec as a SavedModel with its contexts and its card.

Paper:  arXiv 1910.03472; contexts after docs/BITSTREAM.md, section 12.
Run:    python recipes/export_rnn.py --run=runs/rnn --name=rnn-small-human \
            --data=records/photos:train --default
Cost:   `small`, two cores: about five minutes, most of it to fit the contexts.
Expect: saved_models/rnn-small-human/1 (signatures `analyze` and `synthesize`,
        contexts.npz), card.json and MANIFEST.json. Then recipes/benchmark_rnn.py
        measures the model and enters the figures in the card.

The contexts, an integer network that tells how likely each bit is, are fitted to the
codes of `--pictures` training pictures. Some of their cells stop at random iterations,
as in adaptive files. Signatures and what they take:
`tfsemcomp.models.recurrent_module.RecurrentModule`.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from absl import app, flags, logging

from tfsemcomp.codecs import rnn
from tfsemcomp.data import pipeline, reading, records
from tfsemcomp.evaluation import model_cards
from tfsemcomp.models import recurrent_autoencoder, recurrent_module
from tfsemcomp.models.recurrent_transforms import STRIDE
from tfsemcomp.training import bit_predictor

_CARD = model_cards.define("rnn")
_DATA_RECORDS = flags.DEFINE_list(
    "data", None, "folder:split pairs of records to fit the contexts to.", required=True
)
_PICTURES = flags.DEFINE_integer("pictures", 600, "How many of them.", 1)
_ADAPTIVE = flags.DEFINE_float("adaptive", 0.2, "Share with stopped cells.", 0, 1)
_HIDDEN = flags.DEFINE_integer("hidden", 128, "Units of the contexts' network.", 1)
_GROUPS = flags.DEFINE_integer("groups", 16, "Of channels, coded in turn.", 1)
_STEPS_CONTEXTS = flags.DEFINE_integer("context_steps", 3000, "Steps to fit them.", 1)
_SEED = flags.DEFINE_integer("seed", 1, "Fixes the fit and its stopped cells.")


def training_codes(
    model: recurrent_autoencoder.RecurrentAutoencoder,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Codes of `--pictures` pictures, and the stops of those that have any.

    Returns: int8 [T,h,w,C] of each picture; int32 [h,w] of some.
    """
    rng = np.random.default_rng(_SEED.value)
    last = model.size.iterations
    analyze = recurrent_module.RecurrentModule(model).signatures()["analyze"]
    all_codes, all_stops = [], []
    for image in _pictures():
        rows, columns = (side // STRIDE for side in image.shape[:2])
        x = image[None, : rows * STRIDE, : columns * STRIDE].astype(np.float32)
        dial = [] if model.machine_weight is not None else [np.float32([rng.random()])]
        stops = np.full([1, rows, columns], last, np.int32)
        found = analyze(x, stops, *dial)
        if rng.random() < _ADAPTIVE.value:
            # As of an adaptive file of some quality, see codecs/rnn.py.
            errors = found["errors"].numpy()[0]
            stops[0] = rnn.choose_stops(errors, rng.uniform(1, last))
            found = analyze(x, stops, *dial)
            all_stops.append(stops[0])
        codes = np.zeros([last, rows, columns, model.size.bits], np.int8)
        codes[: found["codes"].shape[1]] = found["codes"][0]
        all_codes.append(codes)
    return all_codes, all_stops


def _pictures() -> Iterator[np.ndarray]:
    sources = [records.parse_source(text) for text in _DATA_RECORDS.value]
    streams = [reading.serialized(*source) for source in sources]
    stream = streams[0]
    for other in streams[1:]:
        stream = stream.concatenate(other)
    stream = stream.shuffle(4096, seed=_SEED.value).take(_PICTURES.value)

    def load(serialized: tf.Tensor) -> tf.Tensor:
        return pipeline.decode(records.parse(serialized)["image/encoded"])

    return stream.map(load).as_numpy_iterator()


def main(argv: list[str]) -> None:
    """Writes model, contexts, card and manifest."""
    del argv
    model = recurrent_autoencoder.load_run(str(_CARD.run))
    codes, stops = training_codes(model)
    raw = sum(np.count_nonzero(item) for item in codes)
    fitted = bit_predictor.fit(
        codes,
        stops,
        hidden=_HIDDEN.value,
        groups=_GROUPS.value,
        steps=_STEPS_CONTEXTS.value,
        seed=_SEED.value,
    )
    logging.info("contexts fitted to %d bits of %d pictures", raw, len(codes))
    path = recurrent_module.export_model(model, fitted, _CARD.root, _CARD.version)
    _CARD.write(
        path,
        parameters=sum(
            int(np.prod(weight.shape)) for weight in model.transforms.weights
        ),
        codes=recurrent_module.facts(model),
    )


if __name__ == "__main__":
    app.run(main)
