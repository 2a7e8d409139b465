"""What observers see: each network family's own input, from any picture.

Two steps, always in this order: the picture is brought to the network's size as 8-bit
RGB (`prepare`), then the family's own `preprocess_input` scales it. The table tells
what that function must do, and tests hold it to the numbers: a network that is fed
RGB for BGR, or 0..1 for 0..255, still answers, only worse.

| convention | input of the network |
|---|---|
| tf | RGB / 127.5 - 1 |
| caffe | BGR less (103.939, 116.779, 123.68) |
| torch | (RGB / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225) |
| inside | RGB in 0..255; the network scales it by its own first layers |
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from tfsemcomp.metrics import inputs

# Share of the resized picture's short side that the centre crop keeps: 224 of 256, the
# rule of the ImageNet evaluations since AlexNet.
_RESIZED, _KEPT = 256, 224
CROPS = ("centre", "squash")


@dataclasses.dataclass(frozen=True)
class Family:
    """Networks of one module of ``tf.keras.applications``, scaled alike.

    Attributes:
        module: its name there, which holds `preprocess_input`.
        convention: "tf", "caffe", "torch" or "inside"; see this module.
        networks: input side in pixels by the class's name.
    """

    module: str
    convention: str
    networks: Mapping[str, int]


def _sides(prefix: str, **sides: int) -> dict[str, int]:
    return {prefix + suffix: side for suffix, side in sides.items()}


# In units of 100 MFLOP, as the classes are named.
_REGNET_FLOPS = (
    *("002", "004", "006", "008", "016", "032"),
    *("040", "064", "080", "120", "160", "320"),
)

FAMILIES: tuple[Family, ...] = (
    Family("vgg16", "caffe", {"VGG16": 224}),
    Family("vgg19", "caffe", {"VGG19": 224}),
    Family("resnet", "caffe", {f"ResNet{n}": 224 for n in (50, 101, 152)}),
    Family("resnet_v2", "tf", {f"ResNet{n}V2": 224 for n in (50, 101, 152)}),
    Family(
        "resnet_rs",
        "inside",
        {f"ResNetRS{n}": 224 for n in (50, 101, 152, 200, 270, 350, 420)},
    ),
    Family("inception_v3", "tf", {"InceptionV3": 299}),
    Family("inception_resnet_v2", "tf", {"InceptionResNetV2": 299}),
    Family("xception", "tf", {"Xception": 299}),
    Family("densenet", "torch", {f"DenseNet{n}": 224 for n in (121, 169, 201)}),
    Family("mobilenet", "tf", {"MobileNet": 224}),
    Family("mobilenet_v2", "tf", {"MobileNetV2": 224}),
    Family("mobilenet_v3", "inside", _sides("MobileNetV3", Small=224, Large=224)),
    Family("nasnet", "tf", _sides("NASNet", Mobile=224, Large=331)),
    Family(
        "efficientnet",
        "inside",
        _sides(
            "EfficientNet",
            B0=224,
            B1=240,
            B2=260,
            B3=300,
            B4=380,
            B5=456,
            B6=528,
            B7=600,
        ),
    ),
    Family(
        "efficientnet_v2",
        "inside",
        _sides("EfficientNetV2", B0=224, B1=240, B2=260, B3=300, S=384, M=480, L=480),
    ),
    Family(
        "convnext",
        "inside",
        _sides("ConvNeXt", Tiny=224, Small=224, Base=224, Large=224, XLarge=224),
    ),
    Family(
        "regnet",
        "inside",
        {f"RegNet{kind}{flops}": 224 for kind in "XY" for flops in _REGNET_FLOPS},
    ),
)
# Family and class name by the name that a user gives: "resnet50v2", "nasnetmobile".
NETWORKS: dict[str, tuple[Family, str]] = {
    network.lower(): (family, network)
    for family in FAMILIES
    for network in family.networks
}


def find_network(name: str) -> str | None:
    """The key of NETWORKS that a name stands for; case, "-" and "_" do not count.

    Returns:
        Such as "inceptionv3" for "Inception_V3"; None if there is no such network.
    """
    key = name.lower().replace("-", "").replace("_", "")
    return key if key in NETWORKS else None


def resized_side(side: int) -> int:
    """Short side to which `prepare` scales before its centre crop of `side` pixels."""
    return round(side * _RESIZED / _KEPT)


def prepare(pixels: np.ndarray, side: int, crop: str = "centre") -> np.ndarray:
    """Brings a picture to a network's input size, as 8-bit RGB.

    Both ways interpolate bilinearly with antialiasing (the filter widens as the picture
    shrinks) and round to whole values, so that a network sees no more than 8 bits of
    any picture.

    Args:
        pixels: uint8 [H,W,3], RGB, any size.
        side: of the result, pixels.
        crop: "centre": the short side becomes `resized_side(side)`, larger or smaller,
            and the middle is cut out; "squash": the whole picture, its aspect lost.

    Returns:
        uint8 [side,side,3].

    Raises:
        ValueError: a picture of another type or shape, or another `crop`.
    """
    import tensorflow as tf

    from tfsemcomp.data import pipeline

    inputs.check_pictures(np.asarray(pixels)[None], "pixels")
    if crop not in CROPS:
        raise ValueError(f"`crop` must be one of {', '.join(CROPS)}, not {crop!r}.")
    if crop == "squash":
        resized = tf.image.resize(pixels, [side, side], antialias=True)
        return np.clip(np.rint(resized.numpy()), 0, 255).astype(np.uint8)
    whole = resized_side(side)
    square = pipeline.centre_square(tf.constant(pixels), whole).numpy()
    margin = (whole - side) // 2
    return square[margin : margin + side, margin : margin + side]
