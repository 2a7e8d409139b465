"""Layouts that are nobody's in particular; layouts.py lists them."""

import os
from collections.abc import Iterable, Mapping, Sequence

from tfsemcomp.data import items
from tfsemcomp.data.items import Collection, Item, Listed
from tfsemcomp.errors import SemCompError

CAPTIONS_FILE = "captions.tsv"
# Folders of `maps`, by the field of `Item` that they fill.
_MAP_FOLDERS = {
    "label_map": ("labels", "annotations", "masks"),
    "instances": ("instances",),
    "edges": ("edges", "boundaries"),
}


def read_images(folder: str) -> Collection:
    """Any tree of images."""
    found = [item_of(folder, name) for name in items.find_images(folder)]
    return listed(items.by_folder(found))


def read_class_folders(folder: str) -> Collection:
    """Images whose class is the name of the folder that holds them."""
    names = items.find_images(folder)
    classes = tuple(sorted({_folder_of(name) for name in names}))
    index = {name: number for number, name in enumerate(classes)}
    found = []
    for name in names:
        text = _folder_of(name)
        found.append(item_of(folder, name, label=index[text], class_text=text))
    return listed(items.by_folder(found), classes=classes)


def read_captions(folder: str) -> Collection:
    """A table of captions and the images that it names."""
    captions: dict[str, list[str]] = {}
    path = os.path.join(folder, CAPTIONS_FILE)
    for line in items.read_lines(path):
        name, tab, caption = line.partition("\t")
        if not tab or not caption.strip():
            raise SemCompError(
                f"{path}: a line must be a file, a tab and a caption; got '{line}'."
            )
        captions.setdefault(name, []).append(caption.strip())
    found = [
        item_of(folder, name, captions=tuple(texts)) for name, texts in captions.items()
    ]
    return listed({"train": found})


def read_maps(folder: str) -> Collection:
    """Images, and maps of the same names in folders beside theirs."""
    beside = find_beside(folder, _MAP_FOLDERS)
    pictures = os.path.join(folder, "images")
    found = []
    for name in items.find_images(pictures):
        stem = os.path.splitext(name)[0]
        planes = {field: beside[field].get(stem, "") for field in beside}
        found.append(item_of(pictures, name, **planes))
    if not any(item.label_map or item.instances or item.edges for item in found):
        raise SemCompError(
            f"{folder}: no map of the name of an image in images/; layout `images` "
            "takes pictures alone."
        )
    return listed(items.by_folder(found))


def read_halves(folder: str, drawing: str = "left") -> Collection:
    """Files whose halves are a drawing and a photo."""
    names = items.find_images(folder)
    found = [item_of(folder, name, drawing=drawing) for name in names]
    return listed(items.by_folder(found))


def item_of(folder: str, name: str, **fields: object) -> Item:
    """The item of an image `name` below `folder`."""
    return Item(image=os.path.join(folder, *name.split("/")), name=name, **fields)


def listed(splits: Mapping[str, Sequence[Item]], **fields: object) -> Collection:
    """A collection of listed items; `layouts.read` gives it its name."""
    held = {split: Listed(group) for split, group in splits.items()}
    return Collection("", held, **fields)


def find_beside(
    folder: str, folders: Mapping[str, Iterable[str]]
) -> dict[str, dict[str, str]]:
    """Paths of maps by the name of their image.

    Args:
        folder: of the data set.
        folders: by field of `Item`, what its folder may be called.

    Returns: by field, path by the name without suffix.
    """
    found: dict[str, dict[str, str]] = {field: {} for field in folders}
    for field, candidates in folders.items():
        for place in (os.path.join(folder, candidate) for candidate in candidates):
            if os.path.isdir(place):
                for name in items.find_images(place):
                    path = os.path.join(place, *name.split("/"))
                    found[field][os.path.splitext(name)[0]] = path
                break
    return found


def _folder_of(name: str) -> str:
    return os.path.basename(os.path.dirname(name))
