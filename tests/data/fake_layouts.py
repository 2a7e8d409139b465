"""Tiny data sets in the layouts of real ones, written by the tests that read them."""

import pathlib

import numpy as np
from PIL import Image

from tests.harness import smooth_image

BIRDS = ("001.Black_footed_Albatross", "002.Laysan_Albatross")
DOGS = ("n02085620-Chihuahua", "n02085782-Japanese_spaniel")
SYNSETS = {"n01440764": "tench, Tinca tinca", "n01443537": "goldfish"}
# The order of the development kit is another one than that of the synsets.
KIT_ORDER = ("n01443537", "n01440764")


def write_image(path: pathlib.Path, seed: int = 0, size=(24, 32)) -> None:
    """Writes a picture of `size` (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    quality = {"quality": 95} if path.suffix.lower() in (".jpg", ".jpeg") else {}
    Image.fromarray(smooth_image(*size, seed)).save(path, **quality)


def write_plane(path: pathlib.Path, plane: np.ndarray) -> None:
    """Writes a map as grey PNG of 8 or 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(plane).save(path, "PNG")


def write_lines(path: pathlib.Path, *lines: str) -> None:
    """Writes a text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def label_plane(seed: int, classes: int = 12, size=(24, 32)) -> np.ndarray:
    """A map of blocks of 4x4 pixels; uint8 [height,width]."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, classes, (size[0] // 4, size[1] // 4), np.uint8)
    return blocks.repeat(4, 0).repeat(4, 1)


def kodak(folder: pathlib.Path) -> None:
    """Three pictures."""
    for number in (1, 2, 10):
        write_image(folder / f"kodim{number:02}.png", number)


def camvid(folder: pathlib.Path) -> None:
    """Three frames with labels, in two splits."""
    for split, number in (("train", 1), ("train", 2), ("val", 3)):
        write_image(folder / "images" / split / f"{number}.jpg", number)
        write_plane(folder / "labels" / split / f"{number}.png", label_plane(number))
    write_lines(folder / "classes.txt", "0\tsky", "1\ttraffic light", "2\tunlabelled")


def segnet_camvid(folder: pathlib.Path) -> None:
    """Two frames in the layout of SegNet's tutorial."""
    for split, number in (("train", 1), ("test", 2)):
        write_image(folder / split / f"{number}.png", number)
        write_plane(folder / f"{split}annot" / f"{number}.png", label_plane(number))


def cityscapes(folder: pathlib.Path) -> None:
    """A frame with maps of twice its size, and one of the test split without."""
    write_image(folder / "leftImg8bit/train/aachen/aachen_0_1_leftImg8bit.png", 1)
    write_image(folder / "leftImg8bit/test/bonn/bonn_0_2_leftImg8bit.png", 2)
    start = folder / "gtFine/train/aachen"
    labels = np.full((48, 64), 7, np.uint8)
    labels[:24, :32] = 26
    labels[24:] = 0
    write_plane(start / "aachen_0_1_gtFine_labelIds.png", labels)
    instances = labels.astype(np.uint16)
    instances[:24, :32] = 26005
    write_plane(start / "aachen_0_1_gtFine_instanceIds.png", instances)


def bsds500(folder: pathlib.Path, matlab: bool = True) -> None:
    """Two photos with the boundaries of two people."""
    import scipy.io

    for split, number in (("train", 1), ("val", 2)):
        write_image(folder / "images" / split / f"{number}.jpg", number)
        first = np.zeros((24, 32), np.uint8)
        second = first.copy()
        first[5], second[5, :16] = 1, 1
        if not matlab:
            mean = np.rint(127.5 * (first + second)).astype(np.uint8)
            write_plane(folder / "boundaries" / split / f"{number}.png", mean)
            continue
        people = np.empty((1, 2), object)
        for place, drawn in enumerate((first, second)):
            people[0, place] = {"Segmentation": drawn, "Boundaries": drawn}
        path = folder / "groundTruth" / split / f"{number}.mat"
        path.parent.mkdir(parents=True, exist_ok=True)
        scipy.io.savemat(path, {"groundTruth": people})


def edges2photos(folder: pathlib.Path) -> None:
    """Two files of 24x24 halves: a drawing of one black line, and a photo."""
    for split, number in (("train", 1), ("val", 2)):
        drawing = np.full((24, 24, 3), 255, np.uint8)
        drawing[10 + number] = 0
        both = np.concatenate([drawing, smooth_image(24, 24, number)], axis=1)
        path = folder / split / f"{number}_AB.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(both).save(path)


def cub200(folder: pathlib.Path) -> None:
    """Four birds of two species with two captions each."""
    names = [f"{bird}/Bird_{n}.jpg" for bird in BIRDS for n in (1, 2)]
    for number, name in enumerate(names):
        write_image(folder / "images" / name, number, (40, 60))
        text = folder / "text" / name.replace(".jpg", ".txt")
        write_lines(text, f"bird {number} is black.", "it flies.")
    rows = list(enumerate(names, start=1))
    write_lines(folder / "images.txt", *(f"{n} {name}" for n, name in rows))
    write_lines(folder / "classes.txt", *(f"{n} {b}" for n, b in enumerate(BIRDS, 1)))
    labels = [f"{n} {BIRDS.index(name.split('/')[0]) + 1}" for n, name in rows]
    write_lines(folder / "image_class_labels.txt", *labels)
    boxes = [f"{n} 20.0 10.0 16.0 12.0" for n, _ in rows]
    write_lines(folder / "bounding_boxes.txt", *boxes)
    write_lines(folder / "train_test_split.txt", "1 1", "2 0", "3 1", "4 0")
    write_lines(folder / "trainvalclasses.txt", BIRDS[1])
    write_lines(folder / "testclasses.txt", BIRDS[0])


def stanford_dogs(folder: pathlib.Path) -> None:
    """Two breeds; the lists are MATLAB cells as in the archive."""
    import scipy.io

    for split, number in (("train", 1), ("test", 2)):
        names = [f"{dog}/{dog.split('-')[0]}_{number}.jpg" for dog in DOGS]
        for name in names:
            write_image(folder / "Images" / name, number)
        cells = np.empty((len(names), 1), object)
        cells[:, 0] = names
        scipy.io.savemat(folder / f"{split}_list.mat", {"file_list": cells})


def caltech256(folder: pathlib.Path) -> None:
    """Two classes, and the stray folder of the real archive."""
    root = folder / "256_ObjectCategories"
    write_image(root / "001.ak47" / "001_0001.jpg", 1)
    write_image(root / "002.american-flag" / "002_0001.jpg", 2)
    write_image(root / "002.american-flag" / "greg" / "vision.jpg", 3)


def imagenet(folder: pathlib.Path) -> None:
    """Two classes with the development kit, validation images in one folder."""
    import scipy.io

    for number, synset in enumerate(SYNSETS):
        write_image(folder / "train" / synset / f"{synset}_{number}.JPEG", number)
    for number in (1, 2, 3):
        write_image(folder / "val" / f"ILSVRC2012_val_{number:08}.JPEG", 10 + number)
    kit = folder / "ILSVRC2012_devkit_t12" / "data"
    write_lines(kit / "ILSVRC2012_validation_ground_truth.txt", "1", "2", "1")
    fields = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O")]
    rows = np.empty((3, 1), [*fields, ("num_children", "O")])
    for place, synset in enumerate(KIT_ORDER):
        rows[place, 0] = (place + 1, synset, SYNSETS[synset], 0)
    rows[2, 0] = (3, "n00001740", "entity", 2)
    scipy.io.savemat(kit / "meta.mat", {"synsets": rows})


def flickr8k(folder: pathlib.Path) -> None:
    """Three photos in three splits."""
    lines = []
    for number, split in enumerate(("train", "dev", "test")):
        name = f"{number}_abc.jpg"
        write_image(folder / "Flicker8k_Dataset" / name, number)
        lines += [f"{name}#{n}\tSentence {n} of {number} ." for n in range(2)]
        write_lines(folder / "Flickr8k_text" / f"Flickr_8k.{split}Images.txt", name)
    write_lines(folder / "Flickr8k_text" / "Flickr8k.token.txt", *lines)
