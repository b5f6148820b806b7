"""How likely a model finds sentences, and which of two it prefers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bertkit.data.packed import Sequences, pack
from bertkit.data.packing import encode_texts
from bertkit.errors import UserError
from bertkit.infer.masked import MaskedModel
from bertkit.infer.rows import SILENT, Progress
from bertkit.model.bulk import TOKENS
from bertkit.tasks.metrics import wilson_interval

# Sentences whose masked copies are laid out together: bounds the memory, whatever their number.
SENTENCES_AT_ONCE = 4_096

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """What a model thinks of N sentences.

    Attributes:
        scores: pseudo-log-likelihood of each, in nats, [N].
        tokens: how many tokens each has, without `[CLS]` and `[SEP]`, [N].
        unknown: how many of them are `[UNK]`, [N].
    """

    scores: Floats
    tokens: Ints
    unknown: Ints

    def __getitem__(self, rows: slice) -> Scores:
        """Those of some of the sentences."""
        return Scores(self.scores[rows], self.tokens[rows], self.unknown[rows])

    @property
    def perplexity(self) -> float:
        """Of a token: exp of minus the mean of their log-likelihoods (Salazar et al. 2020, section 2)."""
        return float(np.exp(-self.scores.sum() / self.tokens.sum()))


def score(
    model: MaskedModel,
    texts: Sequence[str],
    *,
    whole_words: bool = False,
    places: Sequence[str] | None = None,
    progress: Progress = SILENT,
) -> Scores:
    """Pseudo-log-likelihood of sentences (Salazar et al. 2020, arXiv 1910.14659, section 2).

    Each token is masked in turn, and the log-probability that the model gives to it there is summed. A
    sentence that stands several times is computed once.

    Args:
        model: what is asked.
        texts: the sentences, N of them.
        whole_words: while a token is masked, mask those behind it in its word too, so that they do not give
            it away: the score of long words is else too high (Kauf and Ivanova 2023, arXiv 2305.10588,
            "PLL-word-l2r").
        places: what a message calls each sentence, such as its file and line; its number without.
        progress: is told how far they have come; the tokens are those that are computed.

    Raises:
        UserError: a sentence has no tokens, or more than the model has positions for.
    """
    names = [f"Sentence {number}" for number in range(1, len(texts) + 1)] if places is None else places
    sequences = encode_texts(model.tokenizer, texts, max_length=2**31 - 1)
    for name, length in zip(names, sequences.lengths.tolist(), strict=True):
        if length == 2:
            raise UserError(f"{name} has no token that could be scored; remove it.")
        if length > model.max_length:
            raise UserError(
                f"{name} has {length} tokens with the special ones, and {model.name} has positions for "
                f"{model.max_length}: split it."
            )
    first, same = _first_of_its_kind(sequences)
    lengths = sequences.lengths[first]
    progress.begin(len(texts), 0)
    progress.block(0, int((lengths * (lengths - 2)).sum()))
    logs = _token_scores(model, sequences, first, whole_words, np.bincount(same), progress)
    begins = sequences.starts[:-1]
    unknown = (sequences.ids == model.tokenizer.unk_id).astype(np.int64)
    return Scores(
        scores=np.add.reduceat(logs, begins)[first][same],
        tokens=sequences.lengths - 2,
        unknown=np.add.reduceat(unknown, begins),
    )


def _first_of_its_kind(sequences: Sequences) -> tuple[Ints, Ints]:
    """The K sequences that none before is equal to, and for each of the N which of the K it is equal to.

    Equal ones must have equal scores, which they would not have to the last bit in different batches.
    """
    kinds: dict[bytes, int] = {}
    first: list[int] = []
    same: list[int] = []
    for row, (start, end) in enumerate(pairwise(sequences.starts.tolist())):
        kind = kinds.setdefault(sequences.ids[start:end].tobytes(), len(kinds))
        if kind == len(first):
            first.append(row)
        same.append(kind)
    return np.array(first, dtype=np.int64), np.array(same, dtype=np.int64)


def _token_scores(
    model: MaskedModel,
    sequences: Sequences,
    asked_rows: Ints,
    whole_words: bool,
    copies: Ints,
    progress: Progress,
) -> Floats:
    """Log-probability of each token of `sequences.ids` where it is masked.

    It is 0 for special tokens, and for sequences other than the K `asked_rows`; `copies` [K] is how many
    sentences each of these stands for.
    """
    stands_for = np.zeros(len(sequences), dtype=np.int64)
    stands_for[asked_rows] = copies
    found = np.zeros(len(sequences.ids))
    # What is masked with a token, itself counted: to the end of its word, or nothing else.
    counts = np.ones(len(sequences.ids), dtype=np.int64)
    if whole_words:
        begins = np.flatnonzero(~model.tokenizer.continues_V[sequences.ids])
        ends = np.append(begins[1:], len(sequences.ids))
        counts = np.repeat(ends, ends - begins) - np.arange(len(sequences.ids))
    # Of like length together, so that a batch is a dense block. The longest first: what does not fit into
    # memory fails at once.
    order = asked_rows[np.argsort(-sequences.lengths[asked_rows], kind="stable")]
    with model.computing():
        for start in range(0, len(order), SENTENCES_AT_ONCE):
            chunk = order[start : start + SENTENCES_AT_ONCE]
            for rows, asked in _masked_copies(sequences, chunk):
                batch = pack(sequences, rows)
                places = batch.starts_B.numpy() + asked - sequences.starts[rows]
                targets = batch.ids_T[torch.from_numpy(places)]
                more = counts[asked]
                behind = np.arange(more.sum()) - np.repeat(np.cumsum(more) - more, more)
                batch.ids_T[torch.from_numpy(np.repeat(places, more) + behind)] = model.tokenizer.mask_id
                logs_MV = model.log_probabilities(batch, torch.from_numpy(places))
                found[asked] = logs_MV.gather(1, targets[:, None]).flatten().numpy()
                last = asked == sequences.starts[rows + 1] - 2
                progress.done(int(stands_for[rows[last]].sum()), int(sequences.lengths[rows].sum()))
    return found


def _masked_copies(sequences: Sequences, chunk: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Batches of (sequence, place in `sequences.ids` of the one token that it is asked for)."""
    lengths = sequences.lengths[chunk]
    rows = np.repeat(chunk, lengths - 2)
    counts = np.cumsum(lengths - 2)
    number = np.arange(len(rows)) - np.repeat(counts - (lengths - 2), lengths - 2)
    asked = sequences.starts[rows] + 1 + number
    batch = np.cumsum(sequences.lengths[rows]) // TOKENS
    for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(batch)) + 1):
        yield rows[part], asked[part]


def summarise_pairs(good: Scores, bad: Scores, groups: Sequence[str] | None = None) -> dict[str, Any]:
    """How often the good sentence of a minimal pair has the higher score.

    A tie counts as half: what a coin would give. (Warstadt et al. 2020, arXiv 1912.00582, score so.)

    Args:
        good: of the acceptable sentence of each pair.
        bad: of the other one.
        groups: the group of each pair, such as its phenomenon.

    Returns:
        `pairs`, `accuracy`, `interval` (95 %, Wilson), `ties`; and with groups `groups`, the same for each in
        the order in which they first come, and `groups_mean`, the mean of their accuracies.
    """
    points = preferences(good, bad)
    result = _accuracy(points)
    if groups is not None:
        numbers = {name: number for number, name in enumerate(dict.fromkeys(groups))}
        member = np.array([numbers[name] for name in groups])
        result["groups"] = {name: _accuracy(points[member == number]) for name, number in numbers.items()}
        result["groups_mean"] = float(np.mean([group["accuracy"] for group in result["groups"].values()]))
    return result


def preferences(good: Scores, bad: Scores) -> Floats:
    """For each pair 1 where the good sentence has the higher score, 0 where the bad one has, 0.5 at a tie."""
    return (1 + np.sign(good.scores - bad.scores)) / 2


def _accuracy(points: Floats) -> dict[str, Any]:
    right, count = float(points.sum()), len(points)
    return {
        "pairs": count,
        "accuracy": right / count,
        "interval": list(wilson_interval(right, count)),
        "ties": int((points == 0.5).sum()),
    }
