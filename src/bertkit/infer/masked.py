"""A pretrained encoder that says which pieces may stand where one is masked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bertkit.checkpoint.folder import ModelFolder
from bertkit.config.head import HEAD_KINDS
from bertkit.data.packed import PackedBatch
from bertkit.errors import UserError
from bertkit.model.compute import FLOAT32, Compute
from bertkit.text.tokenizer import Tokenizer


class MaskedModel:
    """An encoder with its masked head and its tokenizer.

    Attributes:
        name: what the user called the model.
        tokenizer: cuts texts into the pieces that the model knows.
        max_length: pieces of a sequence at most, `[CLS]` and `[SEP]` counted.
        compute: where and in which number format the encoder computes.
    """

    def __init__(self, folder: ModelFolder, name: str, compute: Compute) -> None:
        if folder.masked is None:
            raise UserError(
                f"{name} has no head for masked pieces, {_why(folder)}; take a model that was pretrained, "
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
        """Log-probability of each piece of the vocabulary at each masked place, float32 [M, V].

        The head computes in float32 whatever the encoder does: logits rounded to bfloat16 are off by up to
        0.03, and what two sentences differ in is often less.

        Args:
            batch: sequences with `[MASK]` where pieces are masked.
            masked_M: packed indices of the places that are asked for, rising, none twice.

        Raises:
            UserError: the weights make numbers that are none.
        """
        hidden_MH = self._encoder(batch, rows=masked_M)
        with FLOAT32.autocast():
            logits_MV = self._head(hidden_MH.float(), self._encoder.embeddings.pieces.weight)
        logs_MV = torch.log_softmax(logits_MV, dim=-1)
        if not logs_MV.sum().isfinite():
            raise UserError(f"{self.name} answers with NaN: its weights are damaged; train it again.")
        return logs_MV


def _why(folder: ModelFolder) -> str:
    if folder.head is not None:
        return f"but one that {HEAD_KINDS[folder.head.config.kind].does}"
    if "cls.predictions.decoder.weight" in folder.unused:
        return "or one whose table of pieces is not the encoder's, which bertkit cannot compute"
    return "only an encoder"
