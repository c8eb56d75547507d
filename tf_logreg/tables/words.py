"""Words and texts -> hashes, by TensorFlow: on the host and in the served graph by the same functions."""

import numpy as np
import tensorflow as tf

_BLOCK = 2**16  # texts that are split at a time
_BETWEEN = r"[^\p{L}\p{N}]+"  # what stands between two words of a text: neither letters nor digits


def hash_of(words: tf.Tensor, buckets: int) -> tf.Tensor:
    """Bucket of each word, int64 of the shape of `words`: FarmHash's Fingerprint64, the same everywhere."""
    return tf.strings.to_hash_bucket_fast(words, buckets)


def tokens_of(texts: tf.Tensor) -> tf.RaggedTensor:
    """The words of texts [n], in lower case: [n, words of each]."""
    lower = tf.strings.regex_replace(tf.strings.lower(texts, "utf-8"), _BETWEEN, " ")
    return tf.strings.split(lower)


def hashes(words: tuple[str, ...], buckets: int) -> np.ndarray:
    """Bucket of each word, int64 [n]."""
    if not words:
        return np.zeros(0, np.int64)
    with tf.device("CPU:0"):
        return hash_of(tf.constant(list(words)), buckets).numpy()


def tokens(texts: tuple[str, ...], buckets: int) -> tuple[np.ndarray, np.ndarray]:
    """How many words each text has, int64 [n], and the bucket of each word, int32."""
    lengths, places = [], []
    with tf.device("CPU:0"):
        for start in range(0, len(texts), _BLOCK):
            parts = tokens_of(tf.constant(list(texts[start : start + _BLOCK])))
            lengths.append(parts.row_lengths().numpy())
            places.append(hash_of(parts.values, buckets).numpy().astype(np.int32))
    return np.concatenate(lengths), np.concatenate(places)
