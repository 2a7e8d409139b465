"""Export a trained segmenter as a SavedModel with its card.

Paper:  that of train_segmenter.py.
Run:    python recipes/export_segmenter.py --run=runs/camvid \
            --name=segmenter-camvid-small --default
Cost:   no training, no pictures; seconds.
Result: saved_models/segmenter-camvid-small/1 (signature `segment`), card.json and
        MANIFEST.json; then recipes/evaluate_segmenter.py measures it.

Signature `segment`: image float32 [B,H,W,3] in [0, 255], H and W multiples of 32 ->
scores float32 [B,H/4,W/4,classes], labels int32 [B,H,W]. As an observer:
`--observers=segment:NAME`.
"""

from absl import app

from tfsemcomp.evaluation import model_cards
from tfsemcomp.models import segmenter
from tfsemcomp.serving import export

_CARD = model_cards.define("segmenter")


def main(argv: list[str]) -> None:
    """Writes model, card and manifest."""
    del argv
    model = segmenter.load_run(str(_CARD.run))
    path = export.export(segmenter.signatures(model), _CARD.root, _CARD.version)
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
