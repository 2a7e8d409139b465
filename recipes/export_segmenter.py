"""Export a trained segmenter as a SavedModel with its card.

Paper:  that of train_segmenter.py.
Run:    python recipes/export_segmenter.py --run=runs/camvid \
            --name=segmenter-camvid-small --default --exact
Cost:   no training, no pictures; seconds.
Result: saved_models/segmenter-camvid-small/1 (signature `segment`), card.json and
        MANIFEST.json; then recipes/evaluate_segmenter.py measures it.

Signature `segment`: image float32 [B,H,W,3] in [0, 255], H and W multiples of 32 ->
scores float32 [B,H/4,W/4,classes], labels int32 [B,H,W]. As an observer:
`--observers=segment:NAME`. With `--exact` labels are the same on every machine, which
mode `corrected` of semantic_enhanced needs (serving/exact.py); networks of the
architecture segformer have no exact form.
"""

from absl import app, flags

from tfsemcomp.evaluation import model_cards
from tfsemcomp.models import segmenter
from tfsemcomp.serving import exact, export

_CARD = model_cards.define("segmenter")
_HALF = flags.DEFINE_boolean("half", False, "Weights of 16 bits: half the bytes.")
_EXACT = flags.DEFINE_boolean(
    "exact", False, "The same labels everywhere; weights of 16 bits."
)


def main(argv: list[str]) -> None:
    """Writes model, card and manifest."""
    del argv
    model = segmenter.load_run(str(_CARD.run))
    found = segmenter.signatures(model)
    if _EXACT.value:
        found = {name: exact.exactly(call) for name, call in found.items()}
    bits = 16 if _HALF.value else 32
    path = export.export(found, _CARD.root, _CARD.version, bits=bits)
    _CARD.write(
        path,
        parameters=model.count_params(),
        classes={"number": model.classes, "ignored": model.ignored},
        exact=_EXACT.value,
        signatures={
            "segment": "image float32 [B,H,W,3] 0..255, H and W multiples of 32 -> "
            "scores float32 [B,H/4,W/4,classes], labels int32 [B,H,W]"
        },
    )


if __name__ == "__main__":
    app.run(main)
