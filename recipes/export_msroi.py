"""Export a trained MSROI classifier as a SavedModel with its card.

Paper:  that of train_msroi.py.
Run:    python recipes/export_msroi.py --run=runs/msroi --name=msroi-small
Cost:   one process, no training; it reads OUT of the run and no pictures.
Result: saved_models/msroi-small/1 (signature `analyze`), card.json and MANIFEST.json;
        then recipes/evaluate_msroi.py measures it and enters the figures in the card.

Signature `analyze_bytes` takes encoded string [B], JPEG or PNG files of one size, in
place of image, and gives their size int32 [B,2], too.
Signature `analyze`: image float32 [B,H,W,3] in [0, 255], H and W >= 16 ->
cam_topk and class_features float32 [B,H,W] in [0, 1], logits float32 [B,classes].
"""

import json
import pathlib

import tensorflow as tf
from absl import app

from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import model_cards
from tfsemcomp.models import msroi_cnn
from tfsemcomp.serving import export

_CARD = model_cards.define("msroi_jpeg", default=True)


class MsroiModule(tf.Module):
    """The exported form: classifier plus both map methods at the image's size.

    Args:
        network: trained, float32.
    """

    def __init__(self, network: msroi_cnn.MsroiCnn) -> None:
        super().__init__()
        self.network = network

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], name="image")])
    def analyze(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """float32 [B,H,W,3] in [0, 255] -> two maps [B,H,W] and logits."""
        result = self.network(image, training=False)
        logits = result["logits"]
        maps = self.network.class_maps(result["features"])
        own = self.network.class_features(result["features"])
        size = tf.shape(image)[1:3]
        methods = {
            "cam_topk": msroi_cnn.roi_map_cam_topk(maps, logits),
            "class_features": msroi_cnn.roi_map_class_features(own, logits),
        }
        resized = {
            name: tf.image.resize(roi[..., None], size)[..., 0]
            for name, roi in methods.items()
        }
        return {**resized, "logits": logits}


def load_network(run: pathlib.Path) -> tuple[msroi_cnn.MsroiCnn, dict]:
    """The trained network of a run folder, and the run's record."""
    if not (run / "run.json").is_file():
        raise SemCompError(f"{run}: has no run.json; is the training finished?")
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    network = msroi_cnn.MsroiCnn.from_config(
        {**record["network"], "trunk_weights": None}
    )
    network(tf.zeros([1, 32, 32, 3]))
    network.load_weights(run / "student.weights.h5")
    return network, record


def main(argv: list[str]) -> None:
    """Writes model, card and manifest."""
    del argv
    network, record = load_network(_CARD.run)
    module = MsroiModule(network)
    signatures = {
        "analyze": module.analyze,
        "analyze_bytes": export.from_bytes(module.analyze, "image"),
    }
    path = export.export(signatures, _CARD.root, _CARD.version)
    _CARD.write(
        path,
        parameters=network.count_params(),
        classes=record["classes"],
        signatures={
            "analyze": "image float32 [B,H,W,3] 0..255 -> cam_topk, class_features "
            "float32 [B,H,W] 0..1; logits float32 [B,classes]",
            "analyze_bytes": "encoded string [B] -> the same, and size int32 [B,2]",
        },
    )


if __name__ == "__main__":
    app.run(main)
