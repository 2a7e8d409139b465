"""Layouts of public data sets, as their archives unpack; layouts.py lists them."""

import dataclasses
import os
import re
from collections.abc import Iterable, Sequence

import numpy as np
from absl import logging

from tfsemcomp.data import items, planes
from tfsemcomp.data.items import Collection, Item
from tfsemcomp.data.layouts_general import find_beside, item_of, listed, read_maps
from tfsemcomp.errors import SemCompError

_DEVKIT_FOLDERS = ("", "data", "ILSVRC2012_devkit_t12/data")
_SYNSET_LISTS = ("synset_words.txt", "LOC_synset_mapping.txt")
_IMAGENET_CLASSES = 1000
_CUB_TEXTS = ("text", "text_c10")
_CUB_CLASS_LISTS = {"train": "trainvalclasses.txt", "test": "testclasses.txt"}
_CAMVID_CLASSES = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign_symbol",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
    "unlabelled",
)
# Names by id; the second tuple lists the ids that the benchmark judges, in the order of
# the training ids. Source: cityscapesScripts, helpers/labels.py.
_CITYSCAPES_NAMES = (
    "unlabeled",
    "ego vehicle",
    "rectification border",
    "out of roi",
    "static",
    "dynamic",
    "ground",
    "road",
    "sidewalk",
    "parking",
    "rail track",
    "building",
    "wall",
    "fence",
    "guard rail",
    "bridge",
    "tunnel",
    "pole",
    "polegroup",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "caravan",
    "trailer",
    "train",
    "motorcycle",
    "bicycle",
)
_CITYSCAPES_JUDGED = (
    *(7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33),
)
_FLICKR_SPLITS = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}


def read_imagenet(folder: str) -> Collection:
    """ILSVRC2012; labels are Keras' class indexes: places in the sorted synsets.

    The synsets come from the development kit (`meta.mat`, also in
    `ILSVRC2012_devkit_t12/data`) or from a list of lines "synset words"
    (`synset_words.txt`, `LOC_synset_mapping.txt`); without either, from the folders of
    `train`, which must be all 1,000. Validation images are in folders of synsets, or in
    one folder with the kit's `ILSVRC2012_validation_ground_truth.txt`.
    """
    words, kit_order = _synsets(folder)
    order = sorted(words)
    index = {synset: number for number, synset in enumerate(order)}
    names = {synset: text.split(",")[0] for synset, text in words.items()}
    splits: dict[str, list[Item]] = {}
    for split in ("train", "val"):
        place = os.path.join(folder, split)
        if not os.path.isdir(place):
            continue
        found = items.find_images(place)
        flat = any("/" not in name for name in found)
        synsets = _validation_synsets(folder, kit_order) if flat else {}
        splits[split] = []
        for name in found:
            synset = synsets.get(name) if flat else name.partition("/")[0]
            if synset not in index:
                raise SemCompError(f"{place}: {name} belongs to no known synset.")
            item = item_of(place, name, label=index[synset], class_text=names[synset])
            splits[split].append(dataclasses.replace(item, name=f"{split}/{name}"))
    if not splits:
        raise SemCompError(f"{folder}: neither train/ nor val/ is in it.")
    return listed(splits, classes=tuple(names[synset] for synset in order))


def read_cub200(folder: str) -> Collection:
    """CUB-200-2011 with its official split of each class."""
    found = _cub_items(folder)
    numbers = _numbered(folder, "train_test_split.txt")
    splits: dict[str, list[Item]] = {"train": [], "test": []}
    for number, item in found.items():
        splits["train" if numbers[number] == "1" else "test"].append(item)
    return listed(splits, classes=_cub_classes(folder))


def read_cub200_attngan(folder: str) -> Collection:
    """CUB-200-2011 with AttnGAN's split: 150 classes to train, 50 others to test.

    The classes are listed in `trainvalclasses.txt` and `testclasses.txt`, which come
    with the captions. AttnGAN's own lists are pickles, which are never read.
    """
    lists = []
    for split, name in _CUB_CLASS_LISTS.items():
        path = os.path.join(folder, name)
        if not os.path.isfile(path):
            raise SemCompError(
                f"{path}: no such list of class folders, a line each; it comes with "
                "the captions. Pickles such as filenames.pickle are never read."
            )
        lists.append(f"{split}:{path}")
    splits = items.by_lists({"all": list(_cub_items(folder).values())}, lists)
    return listed(splits, classes=_cub_classes(folder))


def read_stanford_dogs(folder: str) -> Collection:
    """Stanford Dogs; the label is the place of the folder in the sorted ones."""
    place = os.path.join(folder, "Images")
    if not os.path.isdir(place):
        raise SemCompError(f"{place}: no such folder; unpack images.tar there.")
    folders = sorted(
        name for name in os.listdir(place) if os.path.isdir(os.path.join(place, name))
    )
    index = {name: number for number, name in enumerate(folders)}
    classes = {name: name.partition("-")[2] or name for name in folders}
    splits = {}
    for split in ("train", "test"):
        path = _first_file(folder, (f"{split}_list.mat", f"lists/{split}_list.mat"))
        splits[split] = []
        for entry in planes.read_mat(path)["file_list"].ravel():
            name = str(np.asarray(entry).item())
            breed = name.partition("/")[0]
            if breed not in index:
                raise SemCompError(f"{path}: {name} is in no folder of {place}.")
            splits[split].append(
                item_of(place, name, label=index[breed], class_text=classes[breed])
            )
    return listed(splits, classes=tuple(classes[name] for name in folders))


def read_caltech256(folder: str) -> Collection:
    """Caltech-256: folders `001.ak47` to `257.clutter`; the label is the number - 1.

    Images deeper down, which two folders of the archive hold, are no part of the set.
    """
    inner = os.path.join(folder, "256_ObjectCategories")
    folder = inner if os.path.isdir(inner) else folder
    found, classes = [], {}
    for name in items.find_images(folder):
        match = re.fullmatch(r"(\d{3})\.([^/]+)/[^/]+", name)
        if match:
            number, text = int(match[1]) - 1, match[2]
            classes[number] = text
            found.append(item_of(folder, name, label=number, class_text=text))
    if not found or sorted(classes) != list(range(len(classes))):
        raise SemCompError(
            f"{folder}: expected folders 001.NAME, 002.NAME, ... without a gap; layout "
            "`class_folders` takes others."
        )
    return listed({"train": found}, classes=tuple(classes[n] for n in sorted(classes)))


def read_kodak(folder: str) -> Collection:
    """The Kodak pictures, all of split "test"."""
    names = [
        name
        for name in items.find_images(folder)
        if re.fullmatch(r"kodim\d\d\.\w+", name)
    ]
    if not names:
        raise SemCompError(f"{folder}: no kodim01.png and so on in it.")
    return listed({"test": [item_of(folder, name) for name in names]})


def read_camvid(folder: str) -> Collection:
    """CamVid with index maps of 12 classes, 11 = unlabelled."""
    if os.path.isdir(os.path.join(folder, "images")):
        collection = read_maps(folder)
    else:
        collection = listed(_segnet_splits(folder))
    path = os.path.join(folder, "classes.txt")
    names = _CAMVID_CLASSES
    if os.path.isfile(path):
        lines = items.read_lines(path)
        names = tuple(re.sub(r"^\d+\s+", "", line) for line in lines)
    return dataclasses.replace(collection, map_classes=names)


def read_cityscapes(folder: str, train_ids: bool = False) -> Collection:
    """Cityscapes with its fine annotations; a split without them has pictures only.

    Label maps hold ids 0 to 33, or the 19 training ids; 255 is no class.
    """
    pictures = os.path.join(folder, "leftImg8bit")
    if not os.path.isdir(pictures):
        raise SemCompError(f"{pictures}: no such folder.")
    found = []
    for name in items.find_images(pictures):
        base = name.removesuffix(".png").removesuffix("_leftImg8bit")
        maps = {}
        if os.path.isdir(os.path.join(folder, "gtFine", name.partition("/")[0])):
            start = os.path.join(folder, "gtFine", *base.split("/"))
            maps["label_map"] = start + "_gtFine_labelIds.png"
            maps["instances"] = start + "_gtFine_instanceIds.png"
        found.append(item_of(pictures, name, **maps))
    known = _CITYSCAPES_JUDGED if train_ids else range(len(_CITYSCAPES_NAMES))
    table = np.full(256, 255, np.uint8)
    table[list(known)] = np.arange(len(known))
    return listed(
        items.by_folder(found),
        map_classes=tuple(_CITYSCAPES_NAMES[number] for number in known),
        map_table=table.tobytes(),
    )


def read_bsds500(folder: str) -> Collection:
    """BSDS500; edges are the mean of its annotators' boundary maps.

    They come from the archive's .mat files, or from 8-bit PNGs in `boundaries/`.
    """
    for inner in ("", "data", "BSDS500/data", "BSR/BSDS500/data"):
        place = os.path.join(folder, inner)
        pictures = os.path.join(place, "images")
        if os.path.isdir(pictures):
            break
    else:
        raise SemCompError(f"{folder}: no images/ in it or in BSDS500/data.")
    drawn = find_beside(place, {"edges": ("boundaries",)})["edges"]
    found = []
    for name in items.find_images(pictures):
        stem = os.path.splitext(name)[0]
        matlab = os.path.join(place, "groundTruth", *f"{stem}.mat".split("/"))
        found.append(item_of(pictures, name, edges=drawn.get(stem, matlab)))
    return listed(items.by_folder(found))


def read_flickr8k(folder: str) -> Collection:
    """Flickr8k: five captions a photo, and its lists of three splits."""
    texts = [folder, os.path.join(folder, "Flickr8k_text")]
    pictures = _first_folder(folder, ("Flicker8k_Dataset", "Flickr8k_Dataset"))
    captions: dict[str, list[str]] = {}
    for line in items.read_lines(_first_file(texts, ("Flickr8k.token.txt",))):
        key, _, caption = line.partition("\t")
        captions.setdefault(key.partition("#")[0], []).append(caption.strip())
    splits: dict[str, list[Item]] = {}
    for split, name in _FLICKR_SPLITS.items():
        path = _first_file(texts, (name,))
        splits[split] = []
        for image in items.read_lines(path):
            if image not in captions:
                raise SemCompError(f"{path}: {image} has no captions.")
            sentences = tuple(captions[image])
            splits[split].append(item_of(pictures, image, captions=sentences))
    return listed(splits)


def _synsets(folder: str) -> tuple[dict[str, str], list[str]]:
    """Words by synset, and the synsets in the order of the kit's ids, if known."""
    kit = [os.path.join(folder, inner) for inner in _DEVKIT_FOLDERS]
    for path in (os.path.join(place, "meta.mat") for place in kit):
        if os.path.isfile(path):
            rows = planes.read_mat(path)["synsets"].ravel()[:_IMAGENET_CLASSES]
            # The kit also lists inner nodes of WordNet, after the classes.
            leaves = [row for row in rows if int(_text(row["num_children"])) == 0]
            texts = {_text(row["WNID"]): _text(row["words"]) for row in leaves}
            return texts, list(texts)
    for name in _SYNSET_LISTS:
        for path in (os.path.join(place, name) for place in kit):
            if os.path.isfile(path):
                lines = [line.partition(" ") for line in items.read_lines(path)]
                return {synset: words for synset, _, words in lines}, []
    train = os.path.join(folder, "train")
    folders = sorted(os.listdir(train)) if os.path.isdir(train) else []
    if len(folders) != _IMAGENET_CLASSES:
        raise SemCompError(
            f"{folder}: no meta.mat of the development kit, none of "
            f"{', '.join(_SYNSET_LISTS)}, and {len(folders)} folders in train/: class "
            "indexes need one of them, or all 1,000 folders."
        )
    return {synset: synset for synset in folders}, []


def _validation_synsets(folder: str, kit_order: Sequence[str]) -> dict[str, str]:
    places = [os.path.join(folder, inner) for inner in _DEVKIT_FOLDERS]
    path = _first_file(places, ("ILSVRC2012_validation_ground_truth.txt",))
    if not kit_order:
        raise SemCompError(
            f"{path} holds the kit's ids, which only its meta.mat explains; put that "
            "beside it."
        )
    return {
        f"ILSVRC2012_val_{number:08}.JPEG": kit_order[int(line) - 1]
        for number, line in enumerate(items.read_lines(path), start=1)
    }


def _cub_items(folder: str) -> dict[str, Item]:
    """Items by their numbers in CUB's tables."""
    classes = _numbered(folder, "classes.txt")
    labels = _numbered(folder, "image_class_labels.txt")
    boxes = _numbered(folder, "bounding_boxes.txt")
    texts = next(
        (
            os.path.join(folder, name)
            for name in _CUB_TEXTS
            if os.path.isdir(os.path.join(folder, name))
        ),
        None,
    )
    if texts is None:
        logging.warning("%s: no text/ or text_c10/, so no captions", folder)
    pictures, found = os.path.join(folder, "images"), {}
    for number, name in _numbered(folder, "images.txt").items():
        captions: tuple[str, ...] = ()
        if texts is not None:
            stem = os.path.splitext(name)[0]
            path = os.path.join(texts, *f"{stem}.txt".split("/"))
            captions = tuple(items.read_lines(path))
        left, top, width, height = map(float, boxes[number].split())
        found[number] = item_of(
            pictures,
            name,
            label=int(labels[number]) - 1,
            class_text=_bird(classes[labels[number]]),
            captions=captions,
            box=(top, left, top + height, left + width),
        )
    return found


def _cub_classes(folder: str) -> tuple[str, ...]:
    return tuple(_bird(name) for name in _numbered(folder, "classes.txt").values())


def _bird(folder: str) -> str:
    """`001.Black_footed_Albatross` -> "Black footed Albatross"."""
    return folder.partition(".")[2].replace("_", " ")


def _numbered(folder: str, name: str) -> dict[str, str]:
    """One of CUB's tables: lines "number value" as value by number."""
    lines = items.read_lines(os.path.join(folder, name))
    return {number: value for number, _, value in (x.partition(" ") for x in lines)}


def _segnet_splits(folder: str) -> dict[str, list[Item]]:
    splits = {}
    for split in ("train", "val", "test"):
        place = os.path.join(folder, split)
        if not os.path.isdir(place):
            continue
        beside = find_beside(folder, {"label_map": (f"{split}annot",)})["label_map"]
        splits[split] = []
        for name in items.find_images(place):
            stem = os.path.splitext(name)[0]
            path = beside.get(
                stem, os.path.join(folder, f"{split}annot", f"{stem}.png")
            )
            item = item_of(place, name, label_map=path)
            splits[split].append(dataclasses.replace(item, name=f"{split}/{name}"))
    if not splits:
        raise SemCompError(f"{folder}: neither images/ nor train/, val/, test/ in it.")
    return splits


def _first_file(folders: str | Sequence[str], names: Iterable[str]) -> str:
    folders = [folders] if isinstance(folders, str) else folders
    wanted = [os.path.join(place, name) for place in folders for name in names]
    found = next(filter(os.path.isfile, wanted), None)
    if found is None:
        raise SemCompError(f"{wanted[0]}: no such file; check `--input`.")
    return found


def _first_folder(folder: str, names: Iterable[str]) -> str:
    wanted = [os.path.join(folder, name) for name in (*names, "images", "Images")]
    found = next(filter(os.path.isdir, wanted), None)
    if found is None:
        raise SemCompError(f"{wanted[0]}: no such folder; check `--input`.")
    return found


def _text(value: object) -> str:
    return str(np.asarray(value).item())
