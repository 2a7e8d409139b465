"""What a network says about a picture: the likeliest sentences, and their cost.

The network runs through a Runner with two signatures (models/captioner.py):

    describe:  images float32 [B,H,W,3] in [0, 255] -> state float32 [B,S]
    next_word: state float32 [B,S], words int32 [B,n], length int32 [B] -> logits [B,V]
"""

import dataclasses

import numpy as np

from tfsemcomp import images
from tfsemcomp.entropy import text
from tfsemcomp.entropy.text import TextModel
from tfsemcomp.errors import ModelMismatchError
from tfsemcomp.semantics.vocabulary import END, FIRST_WORD, START, Vocabulary
from tfsemcomp.serving.runner import Runner

# Words after which a network that never ends is stopped.
_MOST_WORDS = 64


@dataclasses.dataclass(frozen=True)
class _Beam:
    """A beginning of a sentence: its words, and the sum of their log probabilities."""

    words: tuple[int, ...]
    score: float


def describe(
    image: np.ndarray,
    runner: Runner,
    vocabulary: Vocabulary,
    *,
    text_model: TextModel | None = None,
    rate_weight: float = 0.0,
    beam: int = 5,
) -> list[tuple[str, float]]:
    """The best sentences about a picture, found by a beam search.

    Args:
        image: uint8 [H,W,3], of any size.
        runner: of a model with the signatures of this module.
        vocabulary: the model's.
        text_model: the model's tables, with which sentences would be coded.
        rate_weight: mu, nats that a bit of the coded text must be worth, >= 0; the
            greater, the shorter and plainer the sentence.
        beam: sentences that are kept at each word, and returned at most, >= 1.
    Returns: sentences as `Vocabulary.text` writes them and their scores
        log p - mu bits, best first; at least one, which may be empty.
    Raises:
        ValueError: an image of another type, `beam` below 1, or a `rate_weight` that
            is below 0 or has no `text_model`.
        ModelMismatchError: the model has another number of words.
    """
    images.check_pixels(image)
    if beam < 1:
        raise ValueError(f"`beam` must be at least 1; got {beam}.")
    if not rate_weight >= 0 or (rate_weight and text_model is None):
        raise ValueError(
            f"`rate_weight` must be at least 0, and 0 without `text_model`; got "
            f"{rate_weight}."
        )
    pixels = image[None].astype(np.float32)
    state = runner.call("describe", images=pixels)["state"]
    found: dict[str, float] = {}
    for ended in _search(state, runner, vocabulary, beam):
        sentence = vocabulary.text(ended.words)
        bits = 8 * len(text.encode(sentence, text_model)) if rate_weight else 0
        found.setdefault(sentence, ended.score - rate_weight * bits)
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))[:beam]


def _search(
    state: np.ndarray, runner: Runner, vocabulary: Vocabulary, beam: int
) -> list[_Beam]:
    """Sentences that ended, most probable first."""
    going, ended = [_Beam((), 0.0)], []
    for count in range(_MOST_WORDS + 1):
        chances = _chances(state, runner, vocabulary, going)
        # What comes next of all beginnings together, the best first.
        scores = np.float64([one.score for one in going])[:, None] + chances
        best = np.argsort(-scores, axis=None, kind="stable")[: 2 * beam]
        sentences, going_on = going, []
        for place in best:
            number, word = np.unravel_index(place, scores.shape)
            score, before = float(scores[number, word]), sentences[number].words
            if score == -np.inf:
                break
            if word == END:
                ended.append(_Beam(before, score))
            elif len(going_on) < beam:
                going_on.append(_Beam((*before, int(word)), score))
        ended = sorted(ended, key=lambda one: -one.score)[: 2 * beam]
        going = going_on
        # A sentence only becomes less probable as it goes on.
        if not going or (
            len(ended) >= beam and ended[beam - 1].score >= going[0].score
        ):
            break
        if count == _MOST_WORDS:
            ended += going
    return ended


def _chances(
    state: np.ndarray, runner: Runner, vocabulary: Vocabulary, going: list[_Beam]
) -> np.ndarray:
    """Log probabilities of what comes next, float64 [beams, V]; words and end only."""
    words = np.int32([[START, *one.words] for one in going])
    count, length = words.shape
    logits = runner.call(
        "next_word",
        state=np.repeat(state, count, axis=0),
        words=words,
        length=np.full(count, length, np.int32),
    )["logits"].astype(np.float64)
    if logits.shape != (count, len(vocabulary)):
        raise ModelMismatchError(
            f"the model knows {logits.shape[-1]} words, its vocabulary "
            f"{len(vocabulary)}; restore the model's files."
        )
    logits[:, :FIRST_WORD] = np.where(
        np.arange(FIRST_WORD) == END, logits[:, :FIRST_WORD], -np.inf
    )
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
