"""Make keras_reference.json: what keras-hub and tensorflow-text make of CoLA.

It needs neither bertkit nor torch. Run it in an environment of its own, with BERTKIT_DATA the folder of
real data:

    pip install "tensorflow==2.21.*" "tensorflow-text==2.21.*" "keras-hub==0.32.*"
    BERTKIT_DATA=../shared/data python tests/parity/make_keras_reference.py

Only numbers are kept: a size, hashes, and the ids of some pairs of sentences.
"""

import hashlib
import json
import os
from importlib.metadata import version
from pathlib import Path

import keras_hub
import numpy as np
import tensorflow as tf

DATA = Path(os.environ["BERTKIT_DATA"])
RESERVED = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
LEARNED_FROM = 8_512  # sentences: 133 full batches of 64
SIZE = 4_000
PAIRS = 64
MAX_LENGTH = 17  # short enough to cut some of the pairs


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sentences() -> list[str]:
    lines = (DATA / "cola" / "in_domain_train.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t")[3] for line in lines]


def learned_vocabulary(texts: list[str]) -> list[str]:
    batches = tf.data.Dataset.from_tensor_slices(texts[:LEARNED_FROM]).batch(64)
    return keras_hub.tokenizers.compute_word_piece_vocabulary(
        batches, SIZE, lowercase=True, strip_accents=True, reserved_tokens=RESERVED
    )


def reference_ids(texts: list[str], vocabulary: list[str]) -> dict[str, object]:
    """Ids of all `texts`, hashed as little-endian int32 with their lengths, and packed pairs as they are."""
    tokenizer = keras_hub.tokenizers.WordPieceTokenizer(
        vocabulary=vocabulary, lowercase=True, strip_accents=True, oov_token="[UNK]"
    )
    rows = list(tf.data.Dataset.from_tensor_slices(texts).map(tokenizer).as_numpy_iterator())
    packer = keras_hub.layers.MultiSegmentPacker(
        sequence_length=MAX_LENGTH,
        start_value=vocabulary.index("[CLS]"),
        end_value=vocabulary.index("[SEP]"),
        pad_value=vocabulary.index("[PAD]"),
    )
    ids, segments = packer((tf.ragged.stack(rows[:PAIRS]), tf.ragged.stack(rows[PAIRS : 2 * PAIRS])))
    return {
        "ids_sha256": sha256(np.concatenate(rows).astype("<i4").tobytes()),
        "lengths_sha256": sha256(np.array([len(row) for row in rows], "<i4").tobytes()),
        "pairs": np.asarray(ids).tolist(),
        "pair_segments": np.asarray(segments).tolist(),
    }


def main() -> None:
    texts = sentences()
    learned = learned_vocabulary(texts)
    uncased = (DATA / "vocab" / "bert-base-uncased-vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
    # keras-hub lower-cases by NFKC folding, which makes three periods of this character, and BERT does not.
    same = [text for text in texts if "\N{HORIZONTAL ELLIPSIS}" not in text]
    reference = {
        "versions": {name: version(name) for name in ("keras-hub", "tensorflow-text", "tensorflow")},
        "max_length": MAX_LENGTH,
        "rows": len(same),
        "learned": {
            "size": len(learned),
            "tokens_sha256": sha256("\n".join(learned).encode()),
            **reference_ids(same, learned),
        },
        "uncased": reference_ids(same, uncased),
    }
    path = Path(__file__).with_name("keras_reference.json")
    path.write_text(json.dumps(reference) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
