"""Heads: what stands on top of the encoder, with its loss."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional as F

from bertkit.config.head import HEAD_KINDS, HeadConfig
from bertkit.config.model import ModelConfig
from bertkit.data.packed import FeatureBatch, PackedBatch
from bertkit.model.compute import in_float32
from bertkit.model.encoder import Encoder
from bertkit.model.layers import Dropout, initialise
from bertkit.model.losses import LAST_LAYERS, PLAIN, Losses, Softening
from bertkit.model.pooling import pool


class ClassificationHead(nn.Module):
    """Optional hidden layer, dropout, output, on one pooled vector a sequence, or on each token's.

    With pooling "pooler" and no hidden layer this is the head of transformers'
    `BertForSequenceClassification` and `BertForMultipleChoice`; on tokens that of
    `BertForTokenClassification` and, without dropout, of `BertForQuestionAnswering`; with `transform` that of
    its ModernBERT classes; with "cls", a hidden layer of 128 and "sigmoid" it is the article's.
    """

    def __init__(self, config: HeadConfig, model: ModelConfig) -> None:
        super().__init__()
        self.config = config
        pooled = config.pooled_size(model)
        width = config.hidden_size or pooled
        biases = model.biases or not config.transform
        deep = config.hidden_size > 0 or config.transform
        self.hidden = nn.Linear(pooled, width, bias=biases) if deep else None
        self.activation = F.gelu if config.transform else F.relu
        self.norm = nn.LayerNorm(width, model.norm_eps, bias=biases) if config.transform else nn.Identity()
        self.dropout = Dropout(config.dropout)
        self.output = nn.Linear(width, config.outputs)
        initialise(self, model)

    def forward(self, pooled_NW: torch.Tensor) -> torch.Tensor:
        """Logits [N, C] of N sequences or tokens, C being `config.outputs`."""
        hidden = pooled_NW if self.hidden is None else self.activation(self.hidden(pooled_NW))
        last = self.dropout(self.norm(hidden))
        if HEAD_KINDS[self.config.kind].exact:
            with in_float32(last):
                return F.linear(last.float(), self.output.weight, self.output.bias)
        logits: torch.Tensor = self.output(last)
        return logits

    def rescaled(self, factor: float, shift: float) -> ClassificationHead:
        """A copy whose logits are `factor` times those of this one, and `shift` more."""
        copied = copy.deepcopy(self)
        with torch.no_grad():
            copied.output.weight.mul_(factor)
            copied.output.bias.mul_(factor).add_(shift)
        return copied


class Classifier(nn.Module):
    """An encoder and a head of any kind, trained together, or the head alone on what the encoder made."""

    def __init__(self, encoder: Encoder, head: ClassificationHead) -> None:
        super().__init__()
        assert head.config.pooling != "pooler" or encoder.pooler is not None, "this model has no pooler"
        self.encoder = encoder
        self.head = head

    def forward(self, batch: PackedBatch | FeatureBatch) -> torch.Tensor:
        """Logits [N, C] of sequences or tokens, or of vectors pooled before, C being the head's `outputs`."""
        vectors_NW = batch.vectors_BW if isinstance(batch, FeatureBatch) else self.pool(batch)
        logits: torch.Tensor = self.head(vectors_NW)
        return logits

    def pool(self, batch: PackedBatch) -> torch.Tensor:
        """What the head sees of each row [B, W], of each of its sequences [M, W], or of each token [T, W]."""
        config = self.head.config
        if HEAD_KINDS[config.kind].apart:
            batch = replace(batch, windows=None)
        return pool(self.encoder, batch, config.pooling, config.layers, config.combine)

    def losses(
        self,
        logits: torch.Tensor,
        targets: torch.Tensor,
        batch: PackedBatch | FeatureBatch,
        how: Softening = PLAIN,
    ) -> Losses:
        """In float32; the mean is the loss of transformers' class.

        Args:
            logits: of `batch`, from `forward`.
            targets: by the head's kind: "classify" labels [B]; "multilabel" 0 or 1 [B, C]; "regress" numbers
                [B, C]; "tag" labels [T], `IGNORED` where none is due; "answer" first and last token of the
                answer, counted in its own sequence, [B, 2], where one beyond the sequence does not count;
                "choose" which of the sequences of each row is right, [N]: of as many as the batch says, or of
                B / N that follow each other.
            batch: the sequences, or what was pooled of them.
            how: what a training makes milder; see `LastLayer.softens`.
        """
        layer = LAST_LAYERS[self.head.config.kind]
        return layer.losses(self.head.config, logits.float(), targets, batch, how)

    def outputs(self, logits: torch.Tensor, batch: PackedBatch | FeatureBatch) -> torch.Tensor:
        """What the logits of `batch` are read as, in float32: see `LastLayer`."""
        return LAST_LAYERS[self.head.config.kind].outputs(self.head.config, logits.float(), batch)

    def train(self, mode: bool = True) -> Classifier:
        """Training mode, or not; an encoder that is frozen has no dropout in either."""
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.encoder.parameters()):
            self.encoder.eval()
        return self
