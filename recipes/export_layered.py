"""Export all networks of `layered` as one SavedModel with tables, words and card.

Paper:  that of train_layered.py.
Run:    python recipes/export_layered.py --run=runs/signal --structure=runs/structure \
            --captioner=runs/captioner --text_to_image=runs/text_to_image \
            --vocabulary=vocabulary.json --captions=records/captions:train \
            --edges=method=canny,scale=2 --primed=primed.npz \
            --name=layered-small --default
        python recipes/export_layered.py --run=runs/joint ...     without --structure
Cost:   one process, no training; it reads the captions and no pictures.
Result: saved_models/layered-small/1 (signatures `describe`, `next_word`,
        `synthesize_text`, `synthesize_structure`, `analyze`, `hyper_synthesis` and
        `synthesize`; tables.npz, text.npz, vocabulary.json, primed.npz), card.json and
        MANIFEST.json.

`--run` is the run of the signal, or of both layers together. `--captions` are the
records whose captions the text coder's tables count: those of the training. `--edges`
tells how the edges were found that the model was trained on: `method` of
semantics/edges.py, its options (`threshold`, `sigma`, `model`) and the divisor `scale`
of the map's sides, which `compress` then uses by itself. `--primed` is a file of
recipes/prime_context_mixing.py for such edges. With `--text_seed` a text comes with a
byte that chooses the best of 256 pictures of it. `--bits` stores the weights of some
signatures in 16 or 8 bits, which are widened when the model is loaded.
Signatures and what they take: `tfsemcomp.models.layered_module.LayeredModule`.
"""

import numpy as np
from absl import app, flags

from tfsemcomp.data import captions, records
from tfsemcomp.entropy import text
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import model_cards, structure_flags
from tfsemcomp.models import (
    captioner,
    hyperprior,
    layered,
    layered_module,
    structure_generator,
    text_to_image,
)
from tfsemcomp.semantics import vocabulary

_CARD = model_cards.define("layered")
_EDGES = structure_flags.define("edges", scale=True)
_STRUCTURE = flags.DEFINE_string("structure", None, "Run of layer 2, if not joint.")
_CAPTIONER = flags.DEFINE_string("captioner", None, "Run.", required=True)
_TEXT_TO_IMAGE = flags.DEFINE_string("text_to_image", None, "Run.", required=True)
_VOCABULARY = flags.DEFINE_string("vocabulary", None, "JSON file.", required=True)
_CAPTIONS = flags.DEFINE_list(
    "captions", None, "folder:split pairs of records.", required=True
)
_WORDS = flags.DEFINE_integer("words", 20, "Most words of a caption.", 1)
_BITS = flags.DEFINE_list(
    "bits", [], "signature=bits pairs, 16 or 8, of weights; default 32."
)
_SEED = flags.DEFINE_boolean("text_seed", False, "Texts come with a seed.")


def load_layers() -> tuple[
    structure_generator.StructureGenerator, hyperprior.Hyperprior
]:
    """The networks of layers 2 and 3.

    Raises:
        SemCompError: a run is missing, or --run is that of the signal alone and there
            is no --structure.
    """
    run = str(_CARD.run)
    if _STRUCTURE.value is not None:
        structure = structure_generator.load_run(_STRUCTURE.value)
        return structure, hyperprior.load_run(run)
    if "structure" not in _CARD.record()["network"]:
        raise SemCompError(
            f"{run} has no layer 2: give its run as `--structure`, or a run of "
            "train_layered.py --phase=joint as `--run`."
        )
    both = layered.load_run(run)
    return both.structure, both.signal


def _pair(text: str) -> tuple[str, int]:
    """Name and number of `--bits`; ValueError if it is none."""
    name, equals, number = text.partition("=")
    if not (equals and number.isdecimal()):
        raise ValueError(f"`--bits` are signature=bits pairs; got '{text}'.")
    return name, int(number)


def main(argv: list[str]) -> None:
    """Writes model, tables, words, card and manifest."""
    del argv
    facts = _EDGES.facts()
    structure, signal = load_layers()
    module = layered_module.LayeredModule(
        captioner.load_run(_CAPTIONER.value),
        text_to_image.load_run(_TEXT_TO_IMAGE.value),
        structure,
        signal,
        _WORDS.value,
    )
    words = vocabulary.load(_VOCABULARY.value)
    sources = [records.parse_source(source) for source in _CAPTIONS.value]
    path = layered_module.export_module(
        module,
        _CARD.root,
        _CARD.version,
        words,
        text.build(captions.of_records(sources), words),
        _EDGES.primed(),
        dict(map(_pair, _BITS.value)),
    )
    networks = {
        "captioner": module.captioner,
        "text_to_image": module.text_to_image.generator,
        "text_encoder": module.text_to_image.text,
        "structure": structure.generator,
        "signal": signal,
    }
    counts = {
        name: sum(int(np.prod(weight.shape)) for weight in network.weights)
        for name, network in networks.items()
    }
    _CARD.write(
        path,
        parameters=sum(counts.values()),
        parts=counts,
        structure_network=structure.get_config(),
        layered=layered_module.card(module, facts, _SEED.value),
    )


if __name__ == "__main__":
    app.run(main)
