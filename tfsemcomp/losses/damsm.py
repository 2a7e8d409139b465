"""How well pictures and sentences of a batch match, word by word and as a whole.

Source: Xu et al., AttnGAN, CVPR 2018, arXiv 1711.10485, section 3.2 (DAMSM), with its
published code.
"""

import tensorflow as tf

# Of texts without words, and of pictures of the same class as the right one.
_NEVER = -1e9


def attend(
    queries: tf.Tensor, words: tf.Tensor, mask: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """What each position takes of the words of its sentence.

    Args:
        queries: float [B,N,D], a vector for each position.
        words: float [B,T,D].
        mask: bool [B,T], where there is a word.
    Returns: means of the words weighted by the softmax of their products with the
        query [B,N,D]; the weights [B,N,T], 0 where there is no word.
    """
    products = tf.einsum("bnd,btd->bnt", queries, words)
    weights = _softmax(products, mask[:, None, :])
    return tf.einsum("bnt,btd->bnd", weights, words), weights


def word_scores(
    regions: tf.Tensor,
    words: tf.Tensor,
    mask: tf.Tensor,
    attention: float = 4.0,
    sharpness: float = 5.0,
) -> tf.Tensor:
    """How well the regions of each picture match the words of each sentence.

        s_nt = softmax over t of v_n e_t      a_nt = softmax over n of gamma1 s_nt
        c_t = sum over n of a_nt v_n          R = log sum_t exp(gamma2 cos(c_t, e_t))

    The power 1 / gamma2 of the paper's equation 10 is left out, as in its code.

    Args:
        regions: v, float32 [A,N,D].
        words: e, float32 [B,T,D].
        mask: bool [B,T], where there is a word.
        attention: gamma1.
        sharpness: gamma2.
    Returns: R, float32 [A,B]; of a sentence without words a constant.
    """
    products = tf.einsum("and,btd->abnt", regions, words)
    shares = _softmax(products, mask[None, :, None, :])
    weights = tf.nn.softmax(attention * shares, axis=2)
    context = tf.einsum("abnt,and->abtd", weights, regions)
    cosines = tf.einsum("abtd,btd->abt", _unit(context), _unit(words))
    terms = tf.where(mask[None], sharpness * cosines, _NEVER)
    return tf.reduce_logsumexp(terms, axis=2)


def sentence_scores(pictures: tf.Tensor, sentences: tf.Tensor) -> tf.Tensor:
    """Cosines of pictures and sentences: float32 [A,D] and [B,D] -> [A,B]."""
    return tf.matmul(_unit(pictures), _unit(sentences), transpose_b=True)


def matching_loss(
    scores: tf.Tensor, labels: tf.Tensor | None = None, smoothing: float = 10.0
) -> tf.Tensor:
    """Cross-entropy of finding the right sentence for a picture, and vice versa.

    Args:
        scores: float32 [B,B], pictures by sentences; the right ones on the diagonal.
        labels: int [B], classes; others of the same class are no wrong answers. -1 is
            no class. None for none at all.
        smoothing: gamma3, factor of the scores.
    Returns: float32 scalar, mean over pictures plus mean over sentences.
    """
    count = tf.shape(scores)[0]
    logits = smoothing * scores
    if labels is not None:
        same = (labels[:, None] == labels[None, :]) & (labels[:, None] >= 0)
        same = tf.linalg.set_diag(same, tf.zeros([count], tf.bool))
        logits = tf.where(same, _NEVER, logits)
    right = tf.range(count)
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits
    found = tf.reduce_mean(entropy(right, logits))
    return found + tf.reduce_mean(entropy(right, tf.transpose(logits)))


def _softmax(products: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Over the last axis where `mask` is; zeros where it is nowhere."""
    shares = tf.nn.softmax(tf.where(mask, products, _NEVER))
    return tf.where(mask, shares, 0.0)


def _unit(x: tf.Tensor) -> tf.Tensor:
    return tf.math.l2_normalize(x, axis=-1, epsilon=1e-12)
