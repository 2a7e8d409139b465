"""Collections from TensorFlow Datasets, their features found by type and name.

| what | feature |
|---|---|
| image | an image: `image`, else `image_left`, `hr`, `content`, else the only one |
| label | a class label: `label`, else the only one |
| captions | text, or a sequence of it: `captions`, `text`, `description`, ... |
| label_map | an image named `segmentation...`, `label_map`, `annotation`, `...mask` |
| instances | an image named `instance...` |
| edges | an image named `edge...`, `boundar...` |
| box | a bounding box: `bbox`, `box`, else the only one |
| name | text: `file_name`, `filename`, `image_id`, ... |

What is found wrongly, or not, can be named. Ours are registered as well
(tfsemcomp/data/builders).
"""

import contextlib
import dataclasses
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from absl import logging

from tfsemcomp.data.items import Collection, Item
from tfsemcomp.errors import SemCompError, UnavailableError

# Where a feature is: keys from the outer to the inner dictionary.
Path = tuple[str, ...]
FIELDS = (
    "image",
    "label",
    "captions",
    "label_map",
    "instances",
    "edges",
    "box",
    "name",
)
_IMAGES = ("image", "image_left", "hr", "content")
_TEXTS = ("captions", "caption", "text", "texts", "description", "sentence", "title")
_NAMES = ("file_name", "filename", "image_id", "image/file_name", "image/filename")
_MAPS = {
    "instances": ("instance",),
    "edges": ("edge", "boundar"),
    "label_map": ("segmentation", "label_map", "annotation", "mask"),
}


@dataclasses.dataclass(frozen=True, eq=False)
class TfdsSplit:
    """The items of one split of a prepared data set; see `items.Items`.

    Attributes:
        name: of the data set with configuration and version.
        folder: where it was prepared.
        split: of the data set.
        count: examples in it.
        features: where the fields of an item are.
        classes: class names.
    """

    name: str
    folder: str
    split: str
    count: int
    features: Mapping[str, Path]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return self.count

    def part(self, number: int, parts: int, seed: int) -> "TfdsPart":
        """See `items.Items`; the order is that of TFDS, which shuffles as it writes."""
        del seed
        return TfdsPart(self, number, parts)

    def digest(self) -> str:
        """See `items.Items`."""
        features = sorted((field, *path) for field, path in self.features.items())
        return f"{self.name} {self.split} {self.count} {features}"


@dataclasses.dataclass(frozen=True, eq=False)
class TfdsPart:
    """A part of a split: an iterable that can be sent to another process."""

    whole: TfdsSplit
    number: int
    parts: int

    def __iter__(self) -> Iterator[Item]:
        tfds = _tfds()
        builder = tfds.builder_from_directory(self.whole.folder)
        start, end = (
            (self.number + step) * len(self.whole) // self.parts for step in (0, 1)
        )
        if start == end:
            return
        examples = builder.as_dataset(
            split=tfds.core.ReadInstruction(
                self.whole.split, from_=start, to=end, unit="abs"
            ),
            shuffle_files=False,
            decoders=_decoders(builder.info.features, self.whole.features),
            read_config=tfds.ReadConfig(add_tfds_id=True),
        )
        for example in tfds.as_numpy(examples):
            yield _item(example, self.whole)


def read(
    name: str,
    data_dir: str | None = None,
    manual_dir: str | None = None,
    features: Mapping[str, str] | None = None,
) -> Collection:
    """Prepares a data set, downloading what is missing, and finds its features.

    Args:
        name: as of ``tfds.load``: "caltech101", "coco_captions/2014:1.1.0", ...
        data_dir: where prepared data are; None for the usual place of TFDS.
        manual_dir: where files are that TFDS does not download by itself.
        features: names of features by field (`FIELDS`), "/" before inner ones, in place
            of those that would be found; an empty one leaves the field out.

    Raises:
        ValueError: an unknown data set, field or feature, or no RGB image in it.
        SemCompError: TFDS cannot prepare it.
        UnavailableError: tensorflow-datasets is not installed.
    """
    tfds = _tfds()
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.registered.DatasetNotFoundError as error:
        raise ValueError(
            f"`dataset` '{name}' is unknown to TensorFlow Datasets; a local layout "
            "needs `--input`."
        ) from error
    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    try:
        # TFDS prints to where scripts print their results.
        with contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare(download_config=config)
    except Exception as error:
        # TFDS raises anything from AssertionError to what its HTTP client raises.
        reason = " ".join(str(error).split())
        raise SemCompError(f"cannot prepare {name} with TFDS: {reason}") from error
    found = find_features(builder.info.features, features or {})
    logging.info("%s: %s", name, {field: "/".join(p) for field, p in found.items()})
    label = _lookup(builder.info.features, found["label"]) if "label" in found else None
    is_class = isinstance(label, tfds.features.ClassLabel)
    classes = tuple(label.names) if is_class else ()
    splits = {
        split: TfdsSplit(
            builder.info.full_name,
            str(builder.data_dir),
            split,
            info.num_examples,
            found,
            classes,
        )
        for split, info in builder.info.splits.items()
    }
    return Collection(builder.info.full_name, splits, classes)


def find_features(features: Any, named: Mapping[str, str]) -> dict[str, Path]:
    """Finds where the fields of an item are.

    Args:
        features: ``tfds.features.FeaturesDict``.
        named: see `read`.

    Returns: path by field; fields that the data set lacks are missing.
    Raises:
        ValueError: see `read`.
    """
    tfds = _tfds()
    flat = dict(_flatten(features))
    found: dict[str, Path] = {}
    pictures = [p for p, f in flat.items() if isinstance(f, tfds.features.Image)]
    for field, words in _MAPS.items():
        fitting = [p for p in pictures if any(word in p[-1] for word in words)]
        if fitting:
            found[field] = fitting[0]
            pictures = [path for path in pictures if path not in fitting]
    found |= _one("image", pictures, _IMAGES)
    labels = [p for p, f in flat.items() if isinstance(f, tfds.features.ClassLabel)]
    found |= _one("label", labels, ("label",))
    texts = [p for p, f in flat.items() if p[-1] in _TEXTS and _is_text(f)]
    found |= _first("captions", texts, _TEXTS)
    names = [p for p, f in flat.items() if p[-1] in _NAMES and _is_text(f)]
    found |= _first("name", names, _NAMES)
    boxes = [
        path
        for path, feature in flat.items()
        if isinstance(feature, tfds.features.BBoxFeature) or path[-1] == "box"
    ]
    found |= _one("box", boxes, ("bbox", "box"))
    for field, text in named.items():
        found |= _named(field, text, flat)
        if not text:
            found.pop(field, None)
    if "image" not in found:
        raise ValueError(
            "no feature is clearly the image; name it with `--features=image=KEY`, KEY "
            f"being one of {', '.join('/'.join(path) for path in flat)}."
        )
    return found


def _named(field: str, text: str, flat: Mapping[Path, Any]) -> dict[str, Path]:
    if field not in FIELDS:
        raise ValueError(f"`features` knows {', '.join(FIELDS)}; got '{field}'.")
    if not text:
        return {}
    # Names of features may hold "/" themselves.
    for path in flat:
        if "/".join(path) == text:
            return {field: path}
    raise ValueError(
        f"`features` names '{text}', but there are only "
        f"{', '.join('/'.join(path) for path in flat)}."
    )


def _one(field: str, paths: list[Path], preferred: tuple[str, ...]) -> dict[str, Path]:
    """The path of a preferred name, else the only one."""
    found = _first(field, paths, preferred)
    if not found and len(paths) == 1:
        return {field: paths[0]}
    return found


def _first(field: str, paths: list[Path], order: tuple[str, ...]) -> dict[str, Path]:
    by_name = {path[-1]: path for path in reversed(paths)}
    found = [by_name[name] for name in order if name in by_name]
    return {field: found[0]} if found else {}


def _flatten(features: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Features by path; a sequence counts as one, whatever it holds."""
    tfds = _tfds()
    for key, feature in features.items():
        if isinstance(feature, tfds.features.FeaturesDict):
            yield from _flatten(feature, (*path, key))
        else:
            yield (*path, key), feature


def _is_text(feature: Any) -> bool:
    tfds = _tfds()
    if isinstance(feature, tfds.features.Sequence):
        inner = feature.feature
        if isinstance(inner, tfds.features.FeaturesDict):
            return any(_is_text(inner[key]) for key in inner if key in _TEXTS)
        return _is_text(inner)
    info = feature.get_tensor_info()
    return not isinstance(info, dict) and info.shape == () and info.dtype == object


def _lookup(tree: Any, path: Path) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _decoders(features: Any, found: Mapping[str, Path]) -> Any:
    """Reads the fields alone, and the picture as the bytes of its file."""
    tfds = _tfds()
    wanted: dict = {}
    for path in found.values():
        _put(wanted, path, True)
    decoders: dict = {}
    _put(decoders, found["image"], tfds.decode.SkipDecoding())
    return tfds.decode.PartialDecoding(wanted, decoders=decoders)


def _put(tree: dict, path: Path, value: Any) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value


def _item(example: Mapping[str, Any], whole: TfdsSplit) -> Item:
    values = {field: _lookup(example, path) for field, path in whole.features.items()}
    label = int(values.get("label", -1))
    known = 0 <= label < len(whole.classes)
    text = whole.classes[label] if known else ""
    if "name" in values:
        # File names are often unique within a class only.
        name = "/".join(filter(None, [text, values["name"].decode()]))
    else:
        name = example["tfds_id"].decode()
    return Item(
        image=bytes(values["image"]),
        name=name,
        label=label,
        class_text=text,
        captions=_captions(values.get("captions")),
        box=tuple(map(float, values["box"])) if "box" in values else None,
        **{field: _plane(values[field], name) for field in _MAPS if field in values},
    )


def _captions(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, dict):
        value = next(value[key] for key in _TEXTS if key in value)
    return tuple(text.decode() for text in np.atleast_1d(np.asarray(value, object)))


def _plane(value: np.ndarray, name: str) -> np.ndarray:
    """A map [H,W] of an image [H,W,1], or [H,W,3] of three equal channels."""
    if np.any(value != value[..., :1]):
        raise SemCompError(f"{name}: its map is a colour picture.")
    return np.ascontiguousarray(value[..., 0])


def _tfds() -> Any:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UnavailableError(
            "data sets by name need tensorflow-datasets; install it with: "
            "pip install 'tfsemcomp[train]'"
        ) from error
    from tfsemcomp.data import builders  # noqa: F401  registers ours

    return tfds
