"""The encoder with the heads of pretraining: masked tokens, and whether two segments belong together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from bertkit.config.model import ModelConfig
from bertkit.data.packed import PackedBatch
from bertkit.model.encoder import ACTIVATIONS, Encoder
from bertkit.model.layers import initialise


class MaskedHead(nn.Module):
    """Predicts tokens: transform, norm, the table of token embeddings once more, and a bias of its own.

    Devlin et al. 2018; `get_masked_lm_output` of google-research/bert's run_pretraining.py. The table is
    the encoder's and is handed in, so that it is one parameter (tied embeddings).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.transform = nn.Linear(size, size, bias=config.biases)
        self.activation = ACTIVATIONS[config.activation]
        self.norm = nn.LayerNorm(size, eps=config.norm_eps, bias=config.biases)
        self.bias = nn.Parameter(torch.zeros(config.vocabulary_size))
        initialise(self, config)

    def forward(self, hidden_MH: torch.Tensor, table_VH: torch.Tensor) -> torch.Tensor:
        """Logits [M, V] of hidden states [M, H]; `table_VH` is the weight of `encoder.embeddings.tokens`."""
        transformed_MH = self.norm(self.activation(self.transform(hidden_MH)))
        return F.linear(transformed_MH, table_VH, self.bias)


class PairHead(nn.Module):
    """Two logits on the pooled `[CLS]`: 0, the second segment follows the first; 1, it does not.

    `get_next_sentence_output` of google-research/bert's run_pretraining.py.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.output = nn.Linear(config.hidden_size, 2)
        initialise(self, config)

    def forward(self, pooled_BH: torch.Tensor) -> torch.Tensor:
        """Logits [B, 2]."""
        logits: torch.Tensor = self.output(pooled_BH)
        return logits


@dataclass(frozen=True)
class PretrainingBatch:
    """Corrupted sequences with what they are to be restored to.

    Attributes:
        inputs: the packed sequences, masked tokens replaced; T tokens, B sequences.
        masked_M: packed indices of the masked tokens, rising, int64 [M].
        targets_M: the tokens that stood there, int64 [M].
        pairs_B: 0 where the second segment follows the first, 1 where not, int64 [B]; None without pairs.
    """

    inputs: PackedBatch
    masked_M: torch.Tensor
    targets_M: torch.Tensor
    pairs_B: torch.Tensor | None = None


class Pretrainer(nn.Module):
    """An encoder and the heads of pretraining, trained together."""

    def __init__(self, encoder: Encoder, masked: MaskedHead, pair: PairHead | None = None) -> None:
        super().__init__()
        assert pair is None or encoder.pooler is not None, "a pair head needs the pooler"
        self.encoder = encoder
        self.masked = masked
        self.pair = pair

    def forward(self, batch: PretrainingBatch) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Logits of the masked tokens [M, V], and of the pairs [B, 2] where there is a pair head.

        The last layer is computed for these tokens only.
        """
        count = len(batch.masked_M)
        rows = batch.masked_M
        if self.pair is not None:
            rows = torch.cat([rows, batch.inputs.starts_B])
        hidden_RH = self.encoder(batch.inputs, rows=rows)
        logits_MV = self.masked(hidden_RH[:count], self.encoder.embeddings.tokens.weight)
        pairs_B2 = None if self.pair is None else self.pair(self.encoder.pool(hidden_RH[count:]))
        return logits_MV, pairs_B2
