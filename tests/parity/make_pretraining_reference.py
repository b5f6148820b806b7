"""Make pretraining_reference.json: what google-research/bert's create_pretraining_data.py makes of documents.

It needs numpy and TensorFlow, neither bertkit nor torch. Run it in an environment of its own, with the
folder of the original program, as of commit eedf571 of https://github.com/google-research/bert:

    pip install "tensorflow==2.21.*"
    python tests/parity/make_pretraining_reference.py path/to/bert

The documents are random, the same ones from the same seed, and are made by `make_corpus`, which the test
uses too. The original's `create_instances_from_document` is called once for each document and epoch, which
is all that its `create_training_instances` does behind the reading and shuffling of text. Its tokens are
strings that know their place in the corpus, so that it is known exactly which of them came where.

Kept are, for each kind of count that `describe` takes of an epoch, mean and variance over the epochs. Epochs
are independent of each other. The sequences of one epoch are not: those of a document share its target
length. So it is epochs that can be compared by the usual tests.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

REFERENCE = Path(__file__).with_name("pretraining_reference.json")
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = [*SPECIALS, *(f"w{i}" for i in range(600)), *(f"##w{i}" for i in range(400))]
RATE = 0.15
EPOCHS = 250
CLASSES = 48  # of a histogram; larger values count in the last one
MASKED, RANDOM, KEPT = range(3)

SETTINGS: dict[str, dict[str, Any]] = {
    "token": {"length": 32, "short_share": 0.1, "whole_word": False},
    "whole-word": {"length": 40, "short_share": 0.5, "whole_word": True},
    # Few targets, each often drawn: their limits show.
    "short": {"length": 12, "short_share": 1.0, "whole_word": False},
}


@dataclass(frozen=True)
class Corpus:
    """Tokens, where sentences begin in them, and which sentence each document begins with."""

    ids: list[int]
    starts: list[int]
    documents: list[int]


def make_corpus(seed: int = 20_181_011) -> Corpus:
    """40 documents of 1 to 30 sentences of 1 to 12 tokens, and now and then one of up to 60."""
    random = Random(seed)
    ids: list[int] = []
    starts, documents = [0], [0]
    for document in range(40):
        for _ in range(1 if document % 8 == 0 else random.randint(2, 30)):
            length = random.randint(20, 60) if random.random() < 0.05 else random.randint(1, 12)
            for place in range(length):
                inside = place and random.random() < 0.4
                ids.append(random.randint(605, 1_004) if inside else random.randint(5, 604))
            starts.append(len(ids))
        documents.append(len(starts) - 1)
    return Corpus(ids, starts, documents)


def describe(corpus: Corpus, rows: np.ndarray, masks: np.ndarray) -> dict[str, np.ndarray]:
    """Counts of one epoch.

    Args:
        corpus: whose tokens they are.
        rows: of each sequence: begin and end of a, begin and end of b, label, document; [K, 6].
        masks: of each chosen token: its sequence, its place in it, and MASKED, RANDOM or KEPT; [M, 3].
    """
    a_begin, a_end, b_begin, b_end, label, document = rows.T
    a, b = a_end - a_begin, b_end - b_begin
    starts, documents = np.array(corpus.starts), np.array(corpus.documents)
    sentence = np.searchsorted(starts, np.arange(len(corpus.ids)), side="right") - 1
    owner = np.searchsorted(documents, np.arange(len(starts) - 1), side="right") - 1
    other = label == 1
    a_first, a_last, b_first, b_last = (sentence[at] for at in (a_begin, a_end - 1, b_begin, b_end - 1))
    counts = {
        "sequences of each document": count(document),
        "length": count(a + b + 3),
        "length, random": count((a + b + 3)[other]),
        "tokens of a": count(a),
        "tokens of b": count(b),
        "tokens of b, random": count(b[other]),
        "sentences of a": count(a_last - a_first),
        "sentences of b": count(b_last - b_first),
        "label": np.bincount(label, minlength=2),
        "cut off in front of a": count(a_begin - starts[a_first]),
        "cut off behind a": count(starts[a_last + 1] - a_end),
        "cut off in front of b": count(b_begin - starts[b_first]),
        "cut off behind b": count(starts[b_last + 1] - b_end),
        "document of b, random": count(owner[b_first[other]]),
        "first sentence of b, random": count((b_first - documents[owner[b_first]])[other]),
        "sentences from a to b, not random": count((b_first - a_last)[~other]),
    }
    # A segment b that begins inside a word: the original takes it as part of the last word of a.
    sound = (np.array(corpus.ids) < 605)[b_begin]
    masks = masks[sound[masks[:, 0]]]
    lengths = (a + b + 3)[masks[:, 0]]
    chosen = np.bincount(masks[:, 0], minlength=len(rows))
    counts |= {
        "chosen of a sequence": count(chosen[sound]),
        "chosen fewer than wanted": count((np.maximum(1, np.rint((a + b + 3) * RATE)) - chosen)[sound]),
        "place of the chosen": count(masks[:, 1]),
        "place of the chosen from the end": count(lengths - masks[:, 1]),
        "fate of the chosen": np.bincount(masks[:, 2], minlength=3),
        "chosen that begin a word": np.bincount(begins_word(corpus, rows, masks), minlength=2),
    }
    return counts


def count(values: np.ndarray) -> np.ndarray:
    return np.bincount(np.minimum(values, CLASSES - 1).astype(np.int64), minlength=CLASSES)


def begins_word(corpus: Corpus, rows: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Whether each chosen token is one without `##`."""
    a_begin, a_end, b_begin = rows[masks[:, 0], :3].T
    in_a = masks[:, 1] - 1 < a_end - a_begin
    at = np.where(in_a, a_begin + masks[:, 1] - 1, b_begin + masks[:, 1] - 2 - (a_end - a_begin))
    return (np.array(corpus.ids) < 605)[at]


class Token(str):
    """A token that knows its place in the corpus."""

    at: int


def tokens_of(corpus: Corpus) -> list[list[list[Token]]]:
    """Documents of sentences of tokens, as the original wants them."""
    tokens = []
    for at, index in enumerate(corpus.ids):
        tokens.append(Token(VOCABULARY[index]))
        tokens[-1].at = at
    sentences = [tokens[i:j] for i, j in zip(corpus.starts, corpus.starts[1:], strict=False)]
    return [sentences[i:j] for i, j in zip(corpus.documents, corpus.documents[1:], strict=False)]


def original_epoch(
    original: Any, documents: list[list[list[Token]]], length: int, short_share: float, random: Random
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and masks, as `describe` wants them, of one pass of the original over the documents."""
    rows, masks = [], []
    for document in range(len(documents)):
        # The limit of predictions is out of the way: the paper's, 20 of 128, is as well.
        for instance in original.create_instances_from_document(
            documents, document, length, short_share, RATE, length, VOCABULARY, random
        ):
            tokens = list(instance.tokens)
            for place, label in zip(instance.masked_lm_positions, instance.masked_lm_labels, strict=True):
                now, tokens[place] = tokens[place], label
                fate = KEPT if now == label else MASKED if now == "[MASK]" else RANDOM
                masks.append((len(rows), place, fate))
            middle = tokens.index("[SEP]")
            a, b = tokens[1:middle], tokens[middle + 1 : -1]
            for segment in (a, b):
                assert [token.at for token in segment] == list(range(segment[0].at, segment[-1].at + 1))
            label = int(instance.is_random_next)
            rows.append((a[0].at, a[-1].at + 1, b[0].at, b[-1].at + 1, label, document))
    return np.array(rows), np.array(masks)


def load_original(folder: str) -> Any:
    """The original module: written for TensorFlow 1, which TensorFlow 2 still has inside."""
    import tensorflow.compat.v1 as tf

    sys.modules["tensorflow"] = tf
    sys.path.insert(0, folder)
    import create_pretraining_data

    return create_pretraining_data


def main() -> None:
    original = load_original(sys.argv[1])
    corpus = make_corpus()
    documents = tokens_of(corpus)
    reference: dict[str, Any] = {"epochs": EPOCHS, "tokens": len(corpus.ids), "sum": sum(corpus.ids)}
    for name, setting in SETTINGS.items():
        original.FLAGS([sys.argv[0], f"--do_whole_word_mask={setting['whole_word']}"], known_only=True)
        original.FLAGS.do_whole_word_mask = setting["whole_word"]
        random = Random(12_345)
        epochs, chosen = [], {}
        for _ in range(EPOCHS):
            rows, masks = original_epoch(
                original, documents, setting["length"], setting["short_share"], random
            )
            epochs.append(describe(corpus, rows, masks))
            lengths = rows[:, 1] - rows[:, 0] + rows[:, 3] - rows[:, 2] + 3
            for length, number in zip(
                lengths.tolist(), np.bincount(masks[:, 0], minlength=len(rows)).tolist(), strict=True
            ):
                chosen.setdefault(length, set()).add(number)
        reference[name] = {
            "chosen of each length": {length: sorted(chosen[length]) for length in sorted(chosen)},
            "counts": {key: summary([epoch[key] for epoch in epochs]) for key in epochs[0]},
        }
    text = json.dumps(reference, indent=None, separators=(",", ":"))
    REFERENCE.write_text(text.replace('"counts":{', '"counts":{\n').replace("]},", "]},\n") + "\n", "utf-8")


def summary(epochs: list[np.ndarray]) -> dict[str, list[float]]:
    """Mean and variance of each class, as far as any epoch has one."""
    table = np.array(epochs, dtype=np.float64)
    used = int(np.flatnonzero(table.any(axis=0))[-1]) + 1
    mean, variance = table.mean(axis=0)[:used], table.var(axis=0, ddof=1)[:used]
    return {"mean": [float(f"{v:.5g}") for v in mean], "variance": [float(f"{v:.5g}") for v in variance]}


if __name__ == "__main__":
    main()
