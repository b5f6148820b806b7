"""A pretrained encoder that says which tokens may stand where one is masked, and fills the gaps of texts."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, pairwise
from typing import Any

import numpy as np
import torch

from bertkit.checkpoint.folder import ModelFolder
from bertkit.config.head import HEAD_KINDS
from bertkit.data.packed import PackedBatch, Sequences, pack
from bertkit.data.packing import with_specials
from bertkit.errors import UserError, check_at_least
from bertkit.model.bulk import TOKENS, batches_by_length
from bertkit.model.compute import FLOAT32, Compute
from bertkit.text.tokenizer import Tokenizer
from bertkit.text.vocabulary_files import MASK


class MaskedModel:
    """An encoder with its masked head and its tokenizer.

    Attributes:
        name: what the user called the model.
        tokenizer: cuts texts into the tokens that the model knows.
        max_length: tokens of a sequence at most, `[CLS]` and `[SEP]` counted.
        compute: where and in which number format the encoder computes.
    """

    def __init__(self, folder: ModelFolder, name: str, compute: Compute) -> None:
        if folder.masked is None:
            why = "only an encoder"
            if folder.head is not None:
                why = f"but one that {HEAD_KINDS[folder.head.config.kind].does}"
            elif "cls.predictions.decoder.weight" in folder.unused:
                why = "or one whose table of tokens is not the encoder's, which bertkit cannot compute"
            raise UserError(
                f"{name} has no head for masked tokens, {why}; take a model that was pretrained, "
                f"or give it that head with `bertkit pretrain SHARDS --model {name} -o RUN`."
            )
        self.name = name
        self.tokenizer: Tokenizer = folder.tokenizer
        self.max_length = folder.encoder_config.max_positions
        self.compute = compute
        self._encoder = folder.encoder
        self._head = folder.masked

    @contextmanager
    def computing(self) -> Iterator[None]:
        """The context for many calls of `log_probabilities`: each weight is cast once in it."""
        with torch.inference_mode(), self.compute.autocast():
            yield

    def log_probabilities(self, batch: PackedBatch, masked_M: torch.Tensor) -> torch.Tensor:
        """Log-probability of each token of the vocabulary at each masked place, float32 [M, V].

        The head computes in float32 whatever the encoder does: logits rounded to bfloat16 are off by up to
        0.03, and what two sentences differ in is often less.

        Args:
            batch: sequences with `[MASK]` where tokens are masked.
            masked_M: packed indices of the places that are asked for, rising, none twice.

        Raises:
            UserError: the weights make numbers that are none.
        """
        hidden_MH = self._encoder(batch, rows=masked_M)
        with FLOAT32.autocast():
            logits_MV = self._head(hidden_MH.float(), self._encoder.embeddings.tokens.weight)
        logs_MV = torch.log_softmax(logits_MV, dim=-1)
        if not logs_MV.sum().isfinite():
            raise UserError(f"{self.name} answers with NaN: its weights are damaged; train it again.")
        return logs_MV


Filled = dict[str, Any]
"""`{"text", "masks": [{"position", "candidates": [{"token", "probability"}]}], "filled"}`: `position` is
where the `[MASK]` begins in the text, in characters; `filled` the text with the likeliest token in each."""


def fill(
    model: MaskedModel, texts: Sequence[str], *, top: int = 5, places: Sequence[str] | None = None
) -> list[Filled]:
    """The likeliest tokens for each `[MASK]` that is written in the texts.

    Several masks of one text are filled each for itself, all of them unseen. The whole vocabulary is asked,
    special tokens too, so the probabilities of all its tokens sum to 1.

    Args:
        model: what is asked.
        texts: each with at least one `[MASK]`, written so.
        top: how many candidates, likeliest first; all tokens if the vocabulary has fewer.
        places: what a message calls each text, such as its file and line; its number without.

    Raises:
        UserError: a text has no `[MASK]`, or more tokens than the model has positions for.
    """
    check_at_least("fill", "top", top, 1)
    names = [f"Text {number}" for number in range(1, len(texts) + 1)] if places is None else places
    sequences = _encode(model, texts, names)
    mask_id = model.tokenizer.mask_id
    top = min(top, model.tokenizer.size)
    answers: list[Filled] = [{} for _ in texts]
    with model.computing():
        for rows in batches_by_length(sequences.lengths, TOKENS):
            batch = pack(sequences, rows)
            masked_M = (batch.ids_T == mask_id).nonzero().flatten()
            best = model.log_probabilities(batch, masked_M).topk(top)
            candidates = [
                [
                    {"token": model.tokenizer.vocabulary[index], "probability": probability}
                    for probability, index in zip(*each, strict=True)
                ]
                for each in zip(best.values.exp().tolist(), best.indices.tolist(), strict=True)
            ]
            for row in rows:
                count = texts[row].count(MASK)
                answers[row] = _answer(texts[row], candidates[:count])
                del candidates[:count]
    return answers


def _encode(model: MaskedModel, texts: Sequence[str], names: Sequence[str]) -> Sequences:
    """`[CLS] text [SEP]` of each text, its written masks being the special token.

    A text is cut at its masks before the tokenizer sees it, to which `[MASK]` would be three words.
    """
    tokenizer = model.tokenizer
    parts = [text.split(MASK) for text in texts]
    for name, cut in zip(names, parts, strict=True):
        if len(cut) == 1:
            raise UserError(f"{name} has no {MASK}: write {MASK} where a token is to be found.")
    encoded = iter(tokenizer.encode_batch(list(chain.from_iterable(parts))))
    tokens, ends = array("i"), [0]
    for name, cut in zip(names, parts, strict=True):
        for number in range(len(cut)):
            tokens.extend([tokenizer.mask_id] * (number > 0) + next(encoded))
        length = len(tokens) - ends[-1] + 2
        if length > model.max_length:
            raise UserError(
                f"{name} has {length} tokens with the special ones, and {model.name} has positions for "
                f"{model.max_length}: shorten it."
            )
        ends.append(len(tokens))
    spans = np.array(list(pairwise(ends)), dtype=np.int64).reshape(-1, 2)
    alone = np.zeros(len(spans), dtype=np.bool_)
    sequences, _, _ = with_specials(np.array(tokens, dtype=np.int32), spans, 0 * spans, alone, tokenizer)
    return sequences


def _answer(text: str, candidates: list[list[dict[str, Any]]]) -> Filled:
    first, *rest = text.split(MASK)
    masks, filled, position = [], first, len(first)
    for mine, part in zip(candidates, rest, strict=True):
        masks.append({"position": position, "candidates": mine})
        position += len(MASK) + len(part)
        token = mine[0]["token"]
        # A token that continues a word is written onto it.
        filled = filled.rstrip() + token[2:] if token.startswith("##") else filled + token
        filled += part
    return {"text": text, "masks": masks, "filled": filled}
