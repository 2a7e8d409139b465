"""From shards to batches: shuffling, crops and flips that a seed fixes.

Every random choice is a function of the seed and of the example's running number, so a
run that resumes at step n sees exactly the batches that an unbroken run would have, and
several workers see together those that one would have.
"""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from tfsemcomp.data import captions, coded, reading, records, stored_png

# A line that is scaled down stays, weaker: it is the mean of what it covers.
_AREA = tf.image.ResizeMethod.AREA
# Maps of numbers, between which there is nothing.
_NUMBERED = ("label_map/encoded", "instances/encoded")
_NEAREST = tf.image.ResizeMethod.NEAREST_NEIGHBOR


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random resized crop, flip and change of brightness, contrast and saturation.

    Attributes:
        crop: height and width of the result, pixels.
        min_area: least share of the image's area that a crop covers, in (0, 1].
        max_aspect: largest ratio of the crop's sides, >= 1.
        flip: mirror half of the images.
        colour: largest relative change of contrast and saturation, in [0, 1).
        resized: share of the images that are resized at all, in [0, 1]; the others are
            cropped as they are, with every pixel's own noise and sharpness.
        short_sides: least and largest short side to which images are scaled before a
            square is cut out of them, pixels, >= `crop`; in place of `min_area`,
            `max_aspect` and `resized`.
        brightness: largest shift of all values, as a share of their range.
        saturation: largest relative change of saturation, in [0, 1), besides `colour`.
    """

    crop: int
    min_area: float = 0.35
    max_aspect: float = 4 / 3
    flip: bool = True
    colour: float = 0.2
    resized: float = 1.0
    short_sides: tuple[int, int] | None = None
    brightness: float = 0.0
    saturation: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.short_sides or (self.crop, self.crop)
        if not self.crop <= low <= high:
            raise ValueError(
                f"`short_sides` must rise from at least the crop of {self.crop}, "
                f"received {self.short_sides}."
            )

    @property
    def changes_colour(self) -> bool:
        """Whether pixels change otherwise than by cutting, resizing and flipping."""
        return any((self.colour, self.brightness, self.saturation))


def training_batches(
    sources: Sequence[tuple[str, str]],
    batch_size: int,
    augmentation: Augmentation,
    seed: int,
    weights: Sequence[float] | None = None,
    start_step: int = 0,
    shuffle_buffer: int = 4096,
    *,
    skip_corrupt: bool = False,
    input_context: tf.distribute.InputContext | None = None,
    planes: Sequence[str] = (),
    words: captions.Words | None = None,
    bases: coded.Bases | None = None,
) -> tf.data.Dataset:
    """An endless, repeatable stream of augmented batches.

    A damaged record ends it with ``tf.errors.DataLossError``, to which
    `reading.naming_damage` adds shard and offset.

    Args:
        sources: (folder, split) pairs of `records.write_shards`.
        batch_size: images in a batch, of all replicas together.
        augmentation: what is done to each image.
        seed: fixes order and augmentation.
        weights: share of each source in the stream; default by its size.
        start_step: batches to skip, for exact resume.
        shuffle_buffer: records held for shuffling, of each source.
        skip_corrupt: leave out damaged records, see `reading.serialized`.
        input_context: of ``tf.distribute``'s ``distribute_datasets_from_function``: the
            batches are then those of one replica. Every worker reads all records but
            decodes its own share only: examples number w, w + n, w + 2n, ... of the one
            stream are those of worker w of n.
        planes: features that hold maps of the images as PNG, such as "edges/encoded" or
            the "layer/NAME/map" of materialized.py. They are cut, resized and flipped
            as the images are; label and instance maps keep their numbers.
        words: how captions become words; each time one of a record's, drawn at random.
        bases: coded pictures beside the originals; each time one of a record's, drawn
            at random, and cut and flipped as the original is. `augmentation` must leave
            the colours as they are.
    Returns: dataset of {"image": uint8 [B,crop,crop,3], "label": int64 [B]}, with P
        `planes` "planes": uint8 [B,crop,crop,P], with `words` of T ids "words": int32
        [B,T], and with `bases` "base": uint8 [B,crop,crop,3], "codec": int32 [B] and
        "rate": float32 [B], bits a pixel.
    Raises:
        ValueError: if `sources` is empty, `weights` does not match it, `batch_size` is
            no multiple of the number of replicas, or `augmentation` changes colours
            where there are `bases`.
    """
    if not sources:
        raise ValueError("`sources` must name at least one (folder, split).")
    if weights is not None and len(weights) != len(sources):
        raise ValueError(
            f"`weights` needs {len(sources)} values, one a source; got {len(weights)}."
        )
    if weights is None:
        weights = [records.read_index(*source)["records"] for source in sources]
    if bases and augmentation.changes_colour:
        raise ValueError(
            "`augmentation` must leave colours as they are, which coded pictures keep; "
            f"got {augmentation}."
        )
    streams = []
    for number, source in enumerate(sources):
        stream = reading.serialized(*source, skip_corrupt=skip_corrupt)
        stream = stream.shuffle(shuffle_buffer, seed=seed + 7919 * number)
        streams.append(stream.repeat())
    share = [float(weight) / sum(weights) for weight in weights]
    stream = tf.data.Dataset.sample_from_datasets(streams, share, seed=seed)
    stream = stream.enumerate().skip(start_step * batch_size)
    if input_context is not None:
        replicas = input_context.num_replicas_in_sync
        if batch_size % replicas:
            raise ValueError(
                f"`batch_size` must be a multiple of the {replicas} replicas that "
                f"share it; got {batch_size}."
            )
        batch_size //= replicas
        stream = stream.shard(
            input_context.num_input_pipelines, input_context.input_pipeline_id
        )

    read_words = words and words.reader(sources, skip_corrupt=skip_corrupt)

    def load(number: tf.Tensor, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        record = records.parse(serialized, ("image/encoded", "label"))
        key = tf.stack([tf.constant(seed, tf.int64), number])
        image = _decode_augmented(record["image/encoded"], augmentation, key)
        found = {"image": image, "label": record["label"]}
        if planes:
            maps = _parse_planes(serialized, planes)
            maps = [
                augment_plane(name, encoded, augmentation, key)
                for name, encoded in zip(planes, maps, strict=True)
            ]
            found["planes"] = tf.concat(maps, axis=-1)
        if read_words:
            found["words"] = read_words(serialized, key)
        if bases:
            picture, codec, rate = bases.read(serialized, bases.draw(key))
            base = _decode_augmented(picture, augmentation, key)
            found |= {"base": base, "codec": codec, "rate": rate}
        return found

    stream = stream.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return stream.batch(batch_size, drop_remainder=True).prefetch(4)


def evaluation_batches(
    source: tuple[str, str],
    batch_size: int,
    crop: int,
    *,
    skip_corrupt: bool = False,
    planes: Sequence[str] = (),
    words: captions.Words | None = None,
    bases: coded.Bases | None = None,
) -> tf.data.Dataset:
    """One pass in order: short side to `crop`, then the centre square.

    With `bases` the centre is cut out at its own scale, where it is large enough: what
    a codec did is measured as it is.

    Args:
        source: (folder, split) of `records.write_shards`.
        batch_size: images in a batch; the last may be smaller.
        crop: height and width of the result, pixels.
        skip_corrupt: leave out damaged records, see `reading.serialized`.
        planes: as in `training_batches`.
        words: as there, but of each record's first caption.
        bases: as there, but each in turn.
    Returns: as `training_batches`.
    """
    read_words = words and words.reader([source], skip_corrupt=skip_corrupt)

    cut = _centre_cut if bases else centre_square

    def load(number: tf.Tensor, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        record = records.parse(serialized)
        image = cut(decode(record["image/encoded"]), crop)
        found = {"image": image, "label": record["label"]}
        if planes:
            maps = _parse_planes(serialized, planes)
            maps = [tf.io.decode_png(encoded, channels=1) for encoded in maps]
            maps = [
                cut(plane, crop, _scaling(name))
                for name, plane in zip(planes, maps, strict=True)
            ]
            found["planes"] = tf.concat(maps, axis=-1)
        if read_words:
            found["words"] = read_words(serialized, None)
        if bases:
            picture, codec, rate = bases.read(serialized, bases.in_turn(number))
            found |= {"base": cut(decode(picture), crop), "codec": codec, "rate": rate}
        return found

    stream = reading.serialized(*source, skip_corrupt=skip_corrupt).enumerate()
    stream = stream.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return stream.batch(batch_size).prefetch(2)


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Encoded image, string scalar -> uint8 [H,W,3]."""
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])


def centre_square(
    image: tf.Tensor, size: int, method: str = tf.image.ResizeMethod.BILINEAR
) -> tf.Tensor:
    """Short side to `size`, antialiased, then the middle: uint8 [size,size,C]."""
    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    scale = size / tf.reduce_min(shape)
    target = tf.maximum(tf.cast(tf.round(shape * scale), tf.int32), size)
    resized = tf.image.resize(image, target, method, antialias=True)
    top, left = (target[0] - size) // 2, (target[1] - size) // 2
    square = resized[top : top + size, left : left + size]
    return tf.ensure_shape(_to_uint8(square), [size, size, image.shape[-1]])


def _centre_cut(
    image: tf.Tensor, size: int, method: str = tf.image.ResizeMethod.BILINEAR
) -> tf.Tensor:
    """The middle at its own scale; of what is smaller, that of `centre_square`."""
    shape = tf.shape(image)
    top, left = (shape[0] - size) // 2, (shape[1] - size) // 2
    square = tf.cond(
        tf.reduce_min(shape[:2]) >= size,
        lambda: image[top : top + size, left : left + size],
        lambda: centre_square(image, size, method),
    )
    return tf.ensure_shape(square, [size, size, image.shape[-1]])


def augment(image: tf.Tensor, plan: Augmentation, key: tf.Tensor) -> tf.Tensor:
    """Applies `plan` to one image.

    Args:
        image: uint8 [H,W,3].
        plan: what to do.
        key: int64 [2]; the same key gives the same result.
    Returns: uint8 [crop,crop,3].
    """
    draw = tf.random.stateless_uniform([8], seed=key)
    corner, size = _window(tf.shape(image)[:2], plan, key, draw)
    cut = tf.slice(image, [corner[0], corner[1], 0], [size[0], size[1], 3])
    return _change(cut, plan, draw)


def _decode_augmented(
    encoded: tf.Tensor, plan: Augmentation, key: tf.Tensor
) -> tf.Tensor:
    """What `augment` makes of the decoded image, of which only the part is decoded.

    Where a JPEG's chroma is subsampled, the decoder smooths it across one column less
    at the border of the part.
    """
    draw = tf.random.stateless_uniform([8], seed=key)

    def cut_jpeg() -> tf.Tensor:
        shape = tf.io.extract_jpeg_shape(encoded)[:2]
        window = tf.concat(_window(shape, plan, key, draw), axis=0)
        return tf.io.decode_and_crop_jpeg(encoded, window, channels=3)

    def cut_stored() -> tf.Tensor:
        window = _window(stored_png.size(encoded), plan, key, draw)
        return stored_png.cut(encoded, *window)

    def cut_other() -> tf.Tensor:
        image = decode(encoded)
        corner, size = _window(tf.shape(image)[:2], plan, key, draw)
        return tf.slice(image, [corner[0], corner[1], 0], [size[0], size[1], 3])

    def cut_lossless() -> tf.Tensor:
        return tf.cond(stored_png.is_stored(encoded), cut_stored, cut_other)

    cut = tf.cond(tf.io.is_jpeg(encoded), cut_jpeg, cut_lossless)
    return _change(cut, plan, draw)


def _parse_planes(serialized: tf.Tensor, planes: Sequence[str]) -> list[tf.Tensor]:
    """The PNG files of maps, string scalars.

    A record without one of them ends the stream with ``InvalidArgumentError``.
    """
    spec = {name: tf.io.FixedLenFeature([], tf.string, "") for name in planes}
    found = tf.io.parse_single_example(serialized, spec)
    for name, encoded in found.items():
        there = tf.debugging.Assert(
            tf.strings.length(encoded) > 0,
            [f"a record has no {name}: give `planes` that all records hold"],
        )
        # Or decoding nothing may fail first.
        with tf.control_dependencies([there]):
            found[name] = tf.identity(encoded)
    return [found[name] for name in planes]


def _scaling(plane: str) -> str:
    return _NEAREST if plane in _NUMBERED else _AREA


def augment_plane(
    name: str, encoded: tf.Tensor, plan: Augmentation, key: tf.Tensor
) -> tf.Tensor:
    """The part of a map that `augment` cuts out of its image.

    Args:
        name: of the feature that holds the map; see `planes` of `training_batches`.
        encoded: the map as PNG, string scalar.
        plan: what is done to the image, but for its colours.
        key: int64 [2], the image's.
    Returns: uint8 [crop,crop,1].
    """
    plane = tf.io.decode_png(encoded, channels=1)
    draw = tf.random.stateless_uniform([8], seed=key)
    corner, size = _window(tf.shape(plane)[:2], plan, key, draw)
    cut = tf.slice(plane, [corner[0], corner[1], 0], [size[0], size[1], 1])
    square = [plan.crop, plan.crop]
    fits = tf.reduce_all(tf.shape(cut)[:2] == plan.crop)
    cut = tf.cond(
        fits,
        lambda: tf.ensure_shape(cut, [*square, 1]),
        lambda: _to_uint8(tf.image.resize(cut, square, _scaling(name))),
    )
    if plan.flip:
        cut = tf.cond(draw[4] < 0.5, lambda: tf.reverse(cut, [1]), lambda: cut)
    return cut


def _window(
    shape: tf.Tensor, plan: Augmentation, key: tf.Tensor, draw: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Corner and size of the part that is kept, int32 [2] each."""
    shape = tf.cast(shape, tf.float32)
    if plan.short_sides is not None:
        low, high = plan.short_sides
        short_side = low + tf.floor(draw[0] * (high - low + 1))
        side = plan.crop * tf.reduce_min(shape) / short_side
        size = tf.maximum(tf.round(tf.stack([side, side])), 1)
        return _placed(shape, size, draw)
    aspect = tf.exp((draw[0] * 2 - 1) * tf.math.log(plan.max_aspect))
    area = (plan.min_area + draw[1] * (1 - plan.min_area)) * shape[0] * shape[1]
    size = tf.minimum(tf.sqrt(area * tf.stack([aspect, 1 / aspect])), shape)
    size = tf.maximum(tf.floor(size), 1)
    if plan.resized < 1:
        whole = tf.random.stateless_uniform([], seed=key + 1) >= plan.resized
        size = tf.where(whole, tf.minimum(float(plan.crop), shape), size)
    return _placed(shape, size, draw)


def _placed(
    shape: tf.Tensor, size: tf.Tensor, draw: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """A part of this size, anywhere in the image."""
    corner = tf.cast(draw[2:4] * (shape - size + 1), tf.int32)
    corner = tf.minimum(corner, tf.cast(shape - size, tf.int32))
    return corner, tf.cast(size, tf.int32)


def _change(cut: tf.Tensor, plan: Augmentation, draw: tf.Tensor) -> tf.Tensor:
    """Resizes, flips and colours a part: uint8 [h,w,3] -> uint8 [crop,crop,3]."""
    square = [plan.crop, plan.crop]

    def resize() -> tf.Tensor:
        resized = tf.image.resize(cut, square, antialias=True)
        return resized if plan.changes_colour else _to_uint8(resized)

    def keep() -> tf.Tensor:
        kept = tf.ensure_shape(cut, [*square, 3])
        return tf.cast(kept, tf.float32) if plan.changes_colour else kept

    # Most of the time of a step goes into resizing, floats and rounding: none of them
    # where the part is as large as the crop and keeps its colours.
    fits = tf.reduce_all(tf.shape(cut)[:2] == plan.crop)
    image = tf.cond(fits, keep, resize)
    if plan.flip:
        # tf.reverse takes a tenth of the time of image[:, ::-1].
        image = tf.cond(draw[4] < 0.5, lambda: tf.reverse(image, [1]), lambda: image)
    if plan.changes_colour:
        image = _to_uint8(_change_colour(image, plan, draw[5:8] * 2 - 1))
    return image


def _change_colour(
    image: tf.Tensor, plan: Augmentation, change: tf.Tensor
) -> tf.Tensor:
    mean = tf.reduce_mean(image)
    contrast, level, saturation = tf.unstack(plan.colour * change)
    image = (image - mean) * (1 + contrast) + mean * (1 + level)
    image += 255 * plan.brightness * change[1]
    saturation += plan.saturation * change[2]
    grey = tf.reduce_mean(image, axis=-1, keepdims=True)
    return grey + (image - grey) * (1 + saturation)


def _to_uint8(image: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)
