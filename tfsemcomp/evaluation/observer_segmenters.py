"""Observers that segment: are things still found where they are after compression?

A segmentation network is a SavedModel with the signature `segment`:

| | name | type |
|---|---|---|
| input | `image` | float32 [B,H,W,3], RGB in 0..255, H and W multiples of 32 |
| output | `scores` | float32 [B,h,w,C], the class of highest score counts |
| or output | `labels` | integers [B,h,w], class indexes |

Outputs of another size than the picture are resized to it, scores bilinearly, labels to
the nearest. A network for one size only resizes inside its signature.
"""

import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tfsemcomp.data import label_maps as maps
from tfsemcomp.errors import ModelMismatchError, SemCompError
from tfsemcomp.evaluation import observer_networks
from tfsemcomp.evaluation.observer_base import Observer
from tfsemcomp.metrics import recognition
from tfsemcomp.semantics import segmentation

LabelMapSource = str | os.PathLike[str] | Mapping[str, np.ndarray]
_BATCH = 8

# float32 [B,h,w,3] in 0..255 -> uint8 [B,h,w]
Network = Callable[[np.ndarray], np.ndarray]


class Segmenter(Observer):
    """Segments originals and decoded pictures.

    Columns, each followed by "@" and the observer's name:

    | column | value of one picture |
    |---|---|
    | `miou` | mean IoU of the decoded picture's map with the true one |
    | `preserved_miou` | the same with the map that the original gets |

    `miou` needs true label maps. Their value 255, and values that the network has no
    class for, are ignored. A class counts where it occurs in either map.

    Args:
        name: of the observer.
        network: from pictures to label maps.
        classes: their number; None if the network does not tell.
        label_maps: a folder with `<name>.png`, `<name>` being the picture's without
            its suffix; or uint8 [H,W] by picture; None without any.
    """

    def __init__(
        self,
        name: str,
        network: Network,
        classes: int | None = None,
        label_maps: LabelMapSource | None = None,
    ) -> None:
        known = ["miou"] if label_maps is not None else []
        super().__init__(name, (*known, "preserved_miou"), self.segment)
        self._network, self._classes, self._maps = network, classes, label_maps

    def segment(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Label maps of pictures, uint8 [H,W,3] each -> uint8 [H,W] each."""
        found: list[np.ndarray] = [np.empty(0)] * len(pictures)
        by_shape: dict[tuple, list[int]] = {}
        for number, picture in enumerate(pictures):
            by_shape.setdefault(picture.shape, []).append(number)
        for (height, width, _), numbers in by_shape.items():
            for start in range(0, len(numbers), _BATCH):
                chosen = numbers[start : start + _BATCH]
                labels = self._network(
                    np.stack([segmentation.pad(pictures[n]) for n in chosen])
                )
                for number, plane in zip(chosen, labels, strict=True):
                    found[number] = plane[:height, :width]
        return found

    def against_truth(self, image: str, labels: np.ndarray) -> dict[str, float]:
        """`miou` of one picture; nothing if it has no label map.

        Args:
            image: its name.
            labels: uint8 [H,W], what the network found.
        """
        truth = self._truth(image)
        if truth is None:
            return {}
        if truth.shape != labels.shape:
            raise SemCompError(
                f"the label map of {image} has {truth.shape[1]}x{truth.shape[0]} "
                f"pixels, the picture {labels.shape[1]}x{labels.shape[0]}: label maps "
                "are never resized."
            )
        if self._classes is not None:
            truth = np.where(truth < self._classes, truth, recognition.IGNORE)
        return self._value("miou", truth, labels)

    def _truth(self, image: str) -> np.ndarray | None:
        if self._maps is None:
            return None
        if isinstance(self._maps, Mapping):
            return self._maps.get(image)
        name = pathlib.PurePosixPath(image).with_suffix(".png")
        path = pathlib.Path(self._maps) / name
        return maps.read(path) if path.is_file() else None

    def _values(
        self, image: str, before: np.ndarray, after: np.ndarray
    ) -> dict[str, float]:
        return {
            **self.against_truth(image, after),
            **self._value("preserved_miou", before, after),
        }

    def _value(
        self, column: str, reference: np.ndarray, labels: np.ndarray
    ) -> dict[str, float]:
        value = recognition.miou(recognition.confusion(reference, labels, 256))
        # No pixel of the reference has a class: there is nothing to compare.
        return {} if np.isnan(value) else {f"{column}@{self.name}": value}


def load(model: str, label_maps: LabelMapSource | None = None) -> Segmenter:
    """Makes a segmenter.

    Args:
        model: name or folder of a SavedModel with the signature of this module, or
            "keras_cv:" and the folder of the files of a keras-cv preset.
        label_maps: see `Segmenter`.

    Raises:
        SemCompError: no such model, or no such folder of label maps.
        ValueError: a preset that cannot be had with this Keras.
        UnavailableError: keras-cv is not installed.
    """
    is_folder = label_maps is not None and not isinstance(label_maps, Mapping)
    if is_folder and not os.path.isdir(label_maps):
        raise SemCompError(f"{label_maps}: no such folder of label maps.")
    if model.startswith("keras_cv:"):
        return _keras_cv(model.removeprefix("keras_cv:"), label_maps)
    return _saved_model(model, label_maps)


def _saved_model(model: str, label_maps: LabelMapSource | None) -> Segmenter:
    from tfsemcomp.serving import manifest
    from tfsemcomp.serving.runner import LocalRunner

    info = manifest.find(model)
    runner = LocalRunner(info)

    def outputs(pictures: np.ndarray) -> np.ndarray:
        found = runner.call(segmentation.SIGNATURE, image=pictures)
        given = found.get("scores", found.get("labels"))
        if given is None:
            raise ModelMismatchError(
                f"{info.path}: its signature `{segmentation.SIGNATURE}` must give "
                f"`scores` or `labels`, not {', '.join(sorted(found))}; export it "
                "again."
            )
        return given

    probe = outputs(
        np.zeros((1, segmentation.MULTIPLE, segmentation.MULTIPLE, 3), np.float32)
    )
    classes = probe.shape[-1] if probe.ndim == 4 else None
    return Segmenter(
        info.name,
        lambda pictures: _to_labels(outputs(pictures), pictures.shape[1:3]),
        classes,
        label_maps,
    )


def _keras_cv(preset: str, label_maps: LabelMapSource | None) -> Segmenter:
    import tensorflow as tf

    model = observer_networks.keras_cv_model("DeepLabV3Plus", preset)
    scale = observer_networks.keras_cv_scaling(model)
    size = model.input_shape[1:3]

    def run(pictures: np.ndarray) -> np.ndarray:
        scaled = scale(tf.constant(pictures))
        if None not in size:
            scaled = tf.image.resize(scaled, size, antialias=True)
        return _to_labels(model(scaled, training=False).numpy(), pictures.shape[1:3])

    name = pathlib.PurePath(preset).name
    return Segmenter(name, run, model.output_shape[-1], label_maps)


def _to_labels(outputs: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scores [B,h,w,C] or labels [B,h,w] -> uint8 [B,H,W]."""
    import tensorflow as tf

    if outputs.ndim == 4:
        if outputs.shape[1:3] != size:
            outputs = tf.image.resize(outputs, size).numpy()
        return outputs.argmax(axis=-1).astype(np.uint8)
    if outputs.shape[1:3] != size:
        outputs = tf.image.resize(outputs[..., None], size, method="nearest").numpy()
        outputs = outputs[..., 0]
    return outputs.astype(np.uint8)
