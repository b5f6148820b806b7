"""The packed encoder: BERT and its relatives, every option a value of `ModelConfig`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice

import torch
from torch import nn
from torch.nn import functional as F

from bertkit.config.model import ModelConfig, layer_numbers
from bertkit.data.packed import PackedBatch
from bertkit.errors import UserError
from bertkit.model.attention import Plan, SelfAttention, plan
from bertkit.model.layers import Dropout, initialise
from bertkit.model.positions import POSITIONS, Rotation

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
}


def _table(rows: int, size: int) -> nn.Embedding:
    # nn.Embedding(rows, size) would draw values that are replaced at once, and on the meta device, where
    # a model is laid out to be loaded, import for seconds what PyTorch needs to pretend that.
    blank = torch.empty(rows, size)
    table: nn.Embedding = nn.Embedding.from_pretrained(blank, freeze=False)  # type: ignore[no-untyped-call]
    return table


def _norm(config: ModelConfig) -> nn.LayerNorm:
    return nn.LayerNorm(config.hidden_size, eps=config.norm_eps, bias=config.biases)


class Embeddings(nn.Module):
    """Sum of the embeddings of token and (where they have tables) segment and position; norm; dropout."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.tokens = _table(config.vocabulary_size, size)
        self.segments = _table(config.segment_types, size) if config.segment_types else None
        scheme = POSITIONS[config.positions]
        self.positions = _table(config.max_positions, size) if scheme.learned else None
        # A constant: neither a parameter nor part of the state.
        table = None if scheme.table is None else scheme.table(config)
        self.fixed_positions: torch.Tensor | None
        self.register_buffer("fixed_positions", table, persistent=False)
        self.norm = _norm(config) if config.embedding_norm else nn.Identity()
        self.dropout = Dropout(config.hidden_dropout)

    def forward(self, batch: PackedBatch) -> torch.Tensor:
        """Embeddings of all tokens, [T, H]."""
        hidden_TH = self.tokens(batch.ids_T)
        if self.segments is not None:
            hidden_TH = hidden_TH + self.segments(batch.segments_T)
        if self.positions is not None:
            hidden_TH = hidden_TH + self.positions(batch.positions_T)
        if self.fixed_positions is not None:
            hidden_TH = hidden_TH + self.fixed_positions[batch.positions_T]
        embedded: torch.Tensor = self.dropout(self.norm(hidden_TH))
        return embedded


class Block(nn.Module):
    """One layer: attention and feed-forward, each with its residual, and norms after or before them.

    With `config.gated` the first half of the raised channels goes through the activation and is multiplied
    with the second (Shazeer 2020, "GLU Variants Improve Transformer").
    """

    def __init__(self, config: ModelConfig, first: bool = False) -> None:
        super().__init__()
        size, raised, biases = config.hidden_size, config.feedforward_size, config.biases
        self.pre_norm = config.norm == "pre"
        self.activation = ACTIVATIONS[config.activation]
        self.attention = SelfAttention(config)
        self.attention_norm = nn.Identity() if first and not config.first_norm else _norm(config)
        self.gated = config.gated
        self.intermediate = nn.Linear(size, raised * (1 + config.gated), bias=biases)
        self.output = nn.Linear(raised, size, bias=biases)
        self.output_norm = _norm(config)
        self.dropout = Dropout(config.hidden_dropout)

    def forward(
        self,
        hidden_TH: torch.Tensor,
        plan: Plan,
        rows: torch.Tensor | None,
        rotation: Rotation | None,
        record: list[torch.Tensor] | None,
    ) -> torch.Tensor:
        """The layer's output for all tokens [T, H], or for `rows` alone [R, H]."""
        residual = hidden_TH if rows is None else hidden_TH.index_select(0, rows)
        output: torch.Tensor
        if self.pre_norm:
            attended = self.attention(self.attention_norm(hidden_TH), plan, rows, rotation, record)
            residual = residual + self.dropout(attended)
            output = residual + self.dropout(self._feed_forward(self.output_norm(residual)))
        else:
            attended = self.attention(hidden_TH, plan, rows, rotation, record)
            residual = self.attention_norm(residual + self.dropout(attended))
            output = self.output_norm(residual + self.dropout(self._feed_forward(residual)))
        return output

    def _feed_forward(self, hidden: torch.Tensor) -> torch.Tensor:
        raised = self.intermediate(hidden)
        if self.gated:
            inputs, gate = raised.chunk(2, dim=-1)
            activated = self.activation(inputs) * gate
        else:
            activated = self.activation(raised)
        lowered: torch.Tensor = self.output(activated)
        return lowered


class Encoder(nn.Module):
    """Devlin et al. 2018, section 3, over packed sequences, with freshly initialised weights.

    Dropout (`config.hidden_dropout`) falls on the embeddings and on the output of each attention and
    feed-forward part, as in BERT. BERT also drops attention probabilities; here that is asked for with
    `config.attention_dropout`, because on a CPU it forbids the fused kernel.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.blocks = nn.ModuleList(Block(config, first=layer == 0) for layer in range(config.layers))
        # With norms before the parts, nothing yet has normed what leaves the last layer.
        self.norm = _norm(config) if config.norm == "pre" else nn.Identity()
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size) if config.pooler else None
        initialise(self, config)

    def renew(self, layers: int) -> None:
        """Give so many of the top layers, and what stands on them, fresh weights.

        What they learned in pretraining may be of no use to a task of few rows (Zhang et al. 2021, Revisiting
        Few-sample BERT Fine-tuning, section 5).

        Raises:
            UserError: there are not so many.
        """
        if layers > len(self.blocks):
            raise UserError(f"model: reinit_layers = {layers}, and the model has {len(self.blocks)} layers.")
        above = [self.norm] if self.pooler is None else [self.norm, self.pooler]
        renewed = nn.ModuleList([*self.blocks[len(self.blocks) - layers :], *above])
        initialise(renewed, self.config)
        for part in renewed.modules():
            if isinstance(part, nn.LayerNorm):
                part.reset_parameters()

    def forward(
        self, batch: PackedBatch, rows: torch.Tensor | None = None, return_attention: bool = False
    ) -> torch.Tensor | tuple[torch.Tensor, list[list[torch.Tensor]]]:
        """Hidden states of all tokens [T, H], or of the tokens `rows` alone [R, H].

        With `rows`, the last layer computes queries, projections, norms and feed-forward for these tokens
        only: the same values for less work, a seventh less of it with 6 layers and one row a sequence.

        Args:
            batch: B sequences of T tokens in all.
            rows: packed indices [R] of the tokens that are wanted, at least one, none twice.
            return_attention: also return the attention probabilities: for each layer a list of B tensors
                [A, S, S]. This takes the slow path, which stores them; `rows` must be None.

        Raises:
            UserError: a sequence is longer than the model has positions for.
        """
        if return_attention and rows is not None:
            raise ValueError("attention is returned for whole sequences, not for some rows")
        attentions: list[list[torch.Tensor]] = [[] for _ in self.blocks]
        climb = self._climb(batch, rows, len(self.blocks), attentions if return_attention else None)
        hidden = deque(climb, maxlen=1).pop()  # and keep nothing of the layers below
        return (hidden, attentions) if return_attention else hidden

    def states(
        self, batch: PackedBatch, layers: Sequence[int], rows: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """Hidden states behind some layers, in the order asked: each [T, H], or [R, H] of the tokens `rows`.

        They are transformers' `hidden_states`: 0 are the embeddings, and a last norm belongs to the last
        layer. Layers above the highest one asked for are not computed.

        Args:
            batch: B sequences of T tokens in all.
            layers: see `config.layer_numbers`.
            rows: as in `forward`.

        Raises:
            UserError: there is no such layer, or a sequence is longer than the model has positions for.
        """
        wanted = layer_numbers(layers, len(self.blocks))
        top = max(wanted)
        found = {}
        for number, hidden in enumerate(self._climb(batch, rows, top, None)):
            if number in wanted:
                # The highest layer was computed for `rows` alone.
                if rows is not None and (number < top or top == 0):
                    hidden = hidden.index_select(0, rows)
                found[number] = hidden
        return [found[number] for number in wanted]

    def _climb(
        self,
        batch: PackedBatch,
        rows: torch.Tensor | None,
        top: int,
        attentions: list[list[torch.Tensor]] | None,
    ) -> Iterator[torch.Tensor]:
        """The embeddings, then the states behind each layer up to `top`: of all tokens, there of `rows`."""
        if max(batch.lengths) > self.config.max_positions:
            raise UserError(
                f"A sequence has {max(batch.lengths)} tokens and the model has positions for "
                f"{self.config.max_positions}; cut the texts with a smaller maximum length."
            )
        hidden = self.embeddings(batch)
        yield hidden
        make_rotation = POSITIONS[self.config.positions].rotation
        rotation = None if make_rotation is None else make_rotation(self.config, batch.positions_T)
        whole = plan(batch.lengths)
        for number, block in enumerate(islice(self.blocks, top), 1):
            asking = rows if number == top else None
            how = whole if asking is None else plan(batch.lengths, asking)
            record = None if attentions is None else attentions[number - 1]
            hidden = block(hidden, how, asking, rotation, record)
            yield self.norm(hidden) if number == len(self.blocks) else hidden

    def pool(self, hidden_BH: torch.Tensor) -> torch.Tensor:
        """BERT's pooled output [B, H] of the hidden states [B, H] of each sequence's first token."""
        assert self.pooler is not None, "this model has no pooler"
        return torch.tanh(self.pooler(hidden_BH))
