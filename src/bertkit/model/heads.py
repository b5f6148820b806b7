"""Heads: what stands on top of the encoder, with its loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from bertkit.config import HeadConfig, ModelConfig
from bertkit.data.features import FeatureBatch
from bertkit.data.packed import PackedBatch
from bertkit.model.dropout import Dropout
from bertkit.model.encoder import Encoder
from bertkit.model.initialisation import initialise
from bertkit.model.pooling import pool


def _softmax_loss(logits_BC: torch.Tensor, labels_B: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits_BC, labels_B, reduction="none")


def _sigmoid_loss(logits_B1: torch.Tensor, labels_B: torch.Tensor) -> torch.Tensor:
    logits_B = logits_B1.squeeze(1)
    return F.binary_cross_entropy_with_logits(logits_B, labels_B.to(logits_B.dtype), reduction="none")


def _softmax_log_probabilities(logits_BC: torch.Tensor) -> torch.Tensor:
    return logits_BC.log_softmax(-1)


def _sigmoid_log_probabilities(logits_B1: torch.Tensor) -> torch.Tensor:
    return torch.cat([F.logsigmoid(-logits_B1), F.logsigmoid(logits_B1)], dim=1)


@dataclass(frozen=True)
class Output:
    """What the last layer's numbers mean: loss of each sequence [B] and log-probabilities [B, C]."""

    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    log_probabilities: Callable[[torch.Tensor], torch.Tensor]


OUTPUTS: dict[str, Output] = {
    "softmax": Output(_softmax_loss, _softmax_log_probabilities),
    "sigmoid": Output(_sigmoid_loss, _sigmoid_log_probabilities),
}


class ClassificationHead(nn.Module):
    """Optional hidden layer, dropout, output, on one pooled vector a sequence.

    With pooling "pooler" and no hidden layer this is the head of transformers'
    `BertForSequenceClassification`; with "cls", a hidden layer of 128 and "sigmoid" it is the article's.
    """

    def __init__(self, config: HeadConfig, model: ModelConfig) -> None:
        super().__init__()
        self.config = config
        pooled = config.pooled_size(model)
        width = config.hidden_size or pooled
        self.hidden = nn.Linear(pooled, width) if config.hidden_size else None
        self.dropout = Dropout(config.dropout)
        self.output = nn.Linear(width, config.outputs)
        initialise(self, model)

    def forward(self, pooled_BW: torch.Tensor) -> torch.Tensor:
        """Logits [B, C], or [B, 1] with the sigmoid loss."""
        hidden = pooled_BW if self.hidden is None else F.relu(self.hidden(pooled_BW))
        logits: torch.Tensor = self.output(self.dropout(hidden))
        return logits


class Classifier(nn.Module):
    """An encoder and a classification head, trained together, or the head alone on what the encoder made."""

    def __init__(self, encoder: Encoder, head: ClassificationHead) -> None:
        super().__init__()
        assert head.config.pooling != "pooler" or encoder.pooler is not None, "this model has no pooler"
        self.encoder = encoder
        self.head = head

    def forward(self, batch: PackedBatch | FeatureBatch) -> torch.Tensor:
        """Logits [B, C], or [B, 1] with the sigmoid loss, of sequences or of the pooled vectors of some."""
        vectors_BW = batch.vectors_BW if isinstance(batch, FeatureBatch) else self.pool(batch)
        logits: torch.Tensor = self.head(vectors_BW)
        return logits

    def pool(self, batch: PackedBatch) -> torch.Tensor:
        """What the head sees of each sequence, [B, W]."""
        config = self.head.config
        return pool(self.encoder, batch, config.pooling, config.layers, config.combine)

    def loss(self, logits: torch.Tensor, labels_B: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of each sequence in nats, float32 [B], of integer labels [B]."""
        return OUTPUTS[self.head.config.loss].loss(logits.float(), labels_B)

    def log_probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Log-probability of each class, float32 [B, C]."""
        return OUTPUTS[self.head.config.loss].log_probabilities(logits.float())
