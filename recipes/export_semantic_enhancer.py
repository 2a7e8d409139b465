"""Export trained semantic enhancers as one SavedModel with its card.

Paper:  that of train_semantic_enhancer.py.
Run:    python recipes/export_semantic_enhancer.py --phase3=runs/enhancer_3 \
            --phase2=runs/enhancer_2 --primed=primed.npz \
            --name=semantic-enhancer-small --default
        python recipes/export_semantic_enhancer.py --phase3=runs/enhancer_3 --half ...
Cost:   one process, no training, no pictures.
Result: saved_models/semantic-enhancer-small/1 (signature `synthesize`; primed.npz),
        card.json and MANIFEST.json.

With both, `--perception` of the decoder mixes the two pictures: 0 gives that of
--phase3, 1 that of --phase2. With one run, whatever its phase, it is given as --phase3,
and perception changes nothing. The card tells of --phase3's training.
`--primed` is a file of recipes/prime_context_mixing.py for label maps of the same
classes.
Signature and what it takes: `tfsemcomp.models.semantic_enhancer_module`.
"""

import numpy as np
from absl import app, flags

from tfsemcomp.entropy import context_mixing
from tfsemcomp.evaluation import model_cards
from tfsemcomp.models import semantic_enhancer, semantic_enhancer_module

_CARD = model_cards.define("semantic_enhanced", run="phase3")
_PHASE2 = flags.DEFINE_string("phase2", None, "Run that perception 1 is of.")
_HALF = flags.DEFINE_boolean("half", False, "Weights of 16 bits: half the bytes.")
_PRIMED = flags.DEFINE_string("primed", None, "Primed coder of the labels.")


def main(argv: list[str]) -> None:
    """Writes model, card and manifest."""
    del argv
    faithful = semantic_enhancer.load_run(str(_CARD.run))
    perceptual = None
    if _PHASE2.value is not None:
        perceptual = semantic_enhancer.load_run(_PHASE2.value)
    module = semantic_enhancer_module.SemanticEnhancerModule(faithful, perceptual)
    primed = None if _PRIMED.value is None else context_mixing.load(_PRIMED.value)
    path = semantic_enhancer_module.export_module(
        module, _CARD.root, _CARD.version, primed, _HALF.value
    )
    exported = faithful.generator.weights
    _CARD.write(
        path,
        parameters=sum(int(np.prod(weight.shape)) for weight in exported),
        enhancer=module.card(),
        signatures={
            "synthesize": "base float32 [B,H,W,3] 0..255, labels int32 [B,H,W], "
            "boundaries float32 [B,H,W,1], codec int32 [B], rate float32 [B], "
            "perception float32 [B] -> images float32 [B,H,W,3]"
        },
    )


if __name__ == "__main__":
    app.run(main)
