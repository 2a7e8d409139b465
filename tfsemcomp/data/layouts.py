"""Layouts of folders: which picture has which label, captions and maps.

| name | folder |
|---|---|
| images | any tree of images, without labels |
| class_folders | a folder of images for each class, as Caltech-101 has it |
| captions | `captions.tsv` with lines "file TAB caption", several lines a file |
| maps | `images/`, and `labels/`, `instances/` or `edges/` of the same names |
| imagenet | ILSVRC2012: `train/<synset>/`, `val/`, and the development kit |
| cub200 | CUB-200-2011 with `text/` or `text_c10/`, official split |
| cub200_attngan | the same, no class in both splits (see `read_cub200_attngan`) |
| stanford_dogs | `Images/<synset>-<breed>/`, `train_list.mat`, `test_list.mat` |
| caltech256 | `256_ObjectCategories` with its folders `001.ak47` ... |
| kodak | `kodim01.png` ... |
| edges2photos, edges2shoes, edges2handbags | files of two halves, drawing and photo |
| camvid | as `maps`, or SegNet's `train/`, `trainannot/`, ... |
| cityscapes | `leftImg8bit/` and `gtFine/` |
| bsds500 | `images/` with `groundTruth/` (.mat) or `boundaries/` (.png) |
| flickr8k | `Flicker8k_Dataset/` and its text files |

`images`, `class_folders` and `maps` take folders called train, val, test and the like,
where there are no others beside them, for splits. Labels are the place in the sorted
class names, except where the data set numbers its classes itself. Folders are local.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence

from tfsemcomp.data import items, layouts_general, layouts_public
from tfsemcomp.errors import SemCompError

_READERS: dict[str, Callable[[str], items.Collection]] = {
    "images": layouts_general.read_images,
    "class_folders": layouts_general.read_class_folders,
    "captions": layouts_general.read_captions,
    "maps": layouts_general.read_maps,
    "imagenet": layouts_public.read_imagenet,
    "cub200": layouts_public.read_cub200,
    "cub200_attngan": layouts_public.read_cub200_attngan,
    "stanford_dogs": layouts_public.read_stanford_dogs,
    "caltech256": layouts_public.read_caltech256,
    "kodak": layouts_public.read_kodak,
    "edges2photos": layouts_general.read_halves,
    "edges2shoes": layouts_general.read_halves,
    "edges2handbags": layouts_general.read_halves,
    "camvid": layouts_public.read_camvid,
    "cityscapes": layouts_public.read_cityscapes,
    "bsds500": layouts_public.read_bsds500,
    "flickr8k": layouts_public.read_flickr8k,
}
NAMES: tuple[str, ...] = tuple(_READERS)


def read(
    name: str,
    folder: str,
    *,
    lists: Sequence[str] = (),
    test_share: float = 0.0,
    seed: int = 1,
    drawing: str = "left",
    train_ids: bool = False,
) -> items.Collection:
    """Finds the pictures of a folder and what belongs to them.

    Files are listed, not read: one that is damaged or missing shows when its record is
    made.

    Args:
        name: of the layout, one of `NAMES`.
        folder: where the data set is.
        lists: `split:file` pairs in place of the layout's own splits, see
            `items.by_lists`.
        test_share: share of the pictures that becomes split "test", for a layout
            without splits.
        seed: fixes which ones.
        drawing: the half that is the drawing, "left" or "right", where files have two.
        train_ids: the 19 classes that Cityscapes is judged by instead of its 34 ids.

    Raises:
        ValueError: a wrong argument.
        SemCompError: the folder does not have this layout.
    """
    if name not in _READERS:
        raise ValueError(f"`name` must be one of {', '.join(NAMES)}; got '{name}'.")
    if drawing not in ("left", "right"):
        raise ValueError(f"`drawing` must be 'left' or 'right'; got '{drawing}'.")
    if not os.path.isdir(folder):
        raise SemCompError(f"{folder}: no such folder; check `--input`.")
    reader = _READERS[name]
    options = {}
    if reader is layouts_general.read_halves:
        options["drawing"] = drawing
    elif drawing != "left":
        raise ValueError(f"`drawing` is for files of two halves; {name} has none.")
    if reader is layouts_public.read_cityscapes:
        options["train_ids"] = train_ids
    elif train_ids:
        raise ValueError(f"`train_ids` is for cityscapes, not {name}.")
    collection = dataclasses.replace(reader(folder, **options), name=name)
    splits = {split: held.items for split, held in collection.splits.items()}
    if lists:
        splits = items.by_lists(splits, lists)
    elif test_share:
        if len(splits) > 1:
            raise ValueError(
                f"`test_share` is for pictures without splits; {folder} has "
                f"{', '.join(splits)}."
            )
        (whole,) = splits.values()
        splits = items.by_share(whole, test_share, seed)
    listed = {split: items.Listed(held) for split, held in splits.items()}
    return dataclasses.replace(collection, splits=listed)
