"""Export a trained segmenter as a SavedModel with its card.

Paper:  that of train_segmenter.py.
Run:    python recipes/export_segmenter.py --run=runs/camvid \
            --name=segmenter-camvid-small --default --half
Cost:   no training, no pictures; seconds.
Result: saved_models/segmenter-camvid-small/1 (signature `segment`), card.json and
        MANIFEST.json; then recipes/evaluate_segmenter.py measures it.

Signature `segment`: image float32 [B,H,W,3] in [0, 255], H and W multiples of 32 ->
scores float32 [B,H/4,W/4,classes], labels int32 [B,H,W]. As an observer:
`--observers=segment:NAME`.
"""

from absl import app, flags

from tfsemcomp.evaluation import model_cards
from tfsemcomp.models import segmenter
from tfsemcomp.serving import export

_CARD = model_cards.define("segmenter")
_HALF = flags.DEFINE_boolean("half", False, "Weights of 16 bits: half the bytes.")


def main(argv: list[str]) -> None:
    """Writes model, card and manifest."""
    del argv
    model = segmenter.load_run(str(_CARD.run))
    found = segmenter.signatures(model)
    bits = dict.fromkeys(found, 16) if _HALF.value else None
    path = export.export(found, _CARD.root, _CARD.version, bits=bits)
    _CARD.write(
        path,
        parameters=model.count_params(),
        classes={"number": model.classes, "ignored": model.ignored},
        signatures={
            "segment": "image float32 [B,H,W,3] 0..255, H and W multiples of 32 -> "
            "scores float32 [B,H/4,W/4,classes], labels int32 [B,H,W]"
        },
    )


if __name__ == "__main__":
    app.run(main)
