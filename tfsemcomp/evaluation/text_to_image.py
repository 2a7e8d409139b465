"""How well pictures that were drawn of captions fit them, by R-precision."""

from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf

from tfsemcomp.metrics import retrieval
from tfsemcomp.models.damsm import Damsm
from tfsemcomp.models.text_to_image import TextToImage


def measure(
    model: TextToImage,
    damsm: Damsm,
    batches: Iterable[Mapping[str, tf.Tensor]],
    candidates: int = retrieval.CANDIDATES,
    seed: int = 1,
) -> dict[str, float]:
    """R-precision of pictures drawn of captions, and of the photos themselves.

    The encoders that judge are those that the generator was trained with, as in the
    paper: values compare generators of the same encoders, and the photos' value says
    how much the encoders can tell.

    Args:
        model: draws.
        damsm: encodes.
        batches: {"image": uint8 [B,H,W,3], "words": int32 [B,T]}, one pass.
        candidates: as in `retrieval.r_precision`; all captions where there are fewer.
        seed: of the noise and of the candidates.
    Returns: "drawn" and "photos", in [0, 1], "candidates" and "pictures", counts.
    Raises: ValueError if there are fewer than two pictures.
    """
    encode = tf.function(lambda x: damsm.pictures(x)[1])
    draw = tf.function(lambda ids, z: damsm.pictures(model.generate(ids, z))[1])
    read = tf.function(lambda ids: damsm.text(ids)[1])
    found = {"drawn": [], "photos": [], "sentences": []}
    rng = np.random.Generator(np.random.Philox(seed))
    for batch in batches:
        ids = batch["words"]
        shape = (len(ids), model.size.noise)
        noise = rng.standard_normal(shape, np.float32)
        found["drawn"].append(draw(ids, noise))
        found["photos"].append(encode(tf.cast(batch["image"], tf.float32)))
        found["sentences"].append(read(ids))
    vectors = {name: np.concatenate(each) for name, each in found.items() if each}
    count = len(vectors.get("drawn", ()))
    if count < 2:
        raise ValueError(f"`batches` must hold at least two pictures; got {count}.")
    candidates = min(candidates, count)
    sentences = vectors.pop("sentences")
    return {
        name: retrieval.r_precision(each, sentences, candidates, seed)
        for name, each in vectors.items()
    } | {"candidates": candidates, "pictures": count}
