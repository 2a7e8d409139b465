"""Export a trained edge detector as a SavedModel with its card.

Paper:  that of train_edge_detector.py.
Run:    python recipes/export_edge_detector.py --run=runs/edges --name=edges-small \
            --default
Cost:   no training, no pictures; seconds.
Result: saved_models/edges-small/1 (signature `structure`), card.json and MANIFEST.json;
        then recipes/evaluate_edges.py measures it and enters its best threshold.

Signature `structure`: images float32 [B,H,W,3] in [0, 255] -> strength float32 [B,H,W]
in [0, 1].
"""

from absl import app

from tfsemcomp.evaluation import model_cards
from tfsemcomp.models import edge_detector
from tfsemcomp.semantics import edges
from tfsemcomp.serving import export

_CARD = model_cards.define(edges.SYSTEM)


def main(argv: list[str]) -> None:
    """Writes model, card and manifest."""
    del argv
    model = edge_detector.load_run(str(_CARD.run))
    signatures = edge_detector.signatures(model)
    path = export.export(signatures, _CARD.root, _CARD.version)
    _CARD.write(
        path,
        parameters=model.count_params(),
        signatures={
            "structure": "images float32 [B,H,W,3] 0..255 -> strength float32 [B,H,W] "
            "0..1"
        },
    )


if __name__ == "__main__":
    app.run(main)
