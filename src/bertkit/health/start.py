"""A model before its first update: its loss, its embeddings, the memory it takes; and what is wrong there."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from bertkit.data.packed import PackedBatch
from bertkit.health.advice import grave, notable
from bertkit.health.look import cls_spread_by_layer, encoder_of, evaluating, gradient_norms
from bertkit.health.preflight import Preflight, StartMeasures
from bertkit.model.compute import Compute
from bertkit.model.encoder import Encoder
from bertkit.runs.findings import Change, Finding

LossOf = Callable[[nn.Module], torch.Tensor]
"""The loss of some sequences, a scalar."""
DROWNED = 4.0
"""Positions against tokens. BERT's learned tables are of the same size at first and 0.4 when trained; the
article's sinusoids are 24 times as large as its tokens."""
BERTS_RANGE = 0.02
"""Deviation of BERT's fresh weights (paper's code, `initializer_range`)."""
LOUD_START = 1.0
"""Nats over uniform guessing: what logits of a deviation of 1.4 cost (half its square). BERT's are near 0."""
SMALL_RESERVE = 0.9
"""Share of the memory that is left, which an estimate may ask for."""


def measure_start(
    model: nn.Module,
    loss: LossOf,
    batch: PackedBatch,
    *,
    uniform: float,
    compute: Compute,
    pad_id: int | None = None,
) -> StartMeasures:
    """One forward and backward pass without dropout; the model is as before afterwards, without gradients.

    Args:
        model: has an `encoder`.
        loss: of the sequences of `batch`.
        batch: at least one sequence.
        uniform: loss in nats of who knows nothing.
        compute: where and in which number format.
        pad_id: where pads are tokens that others see: the share of attention that they get is measured.
    """
    with evaluating(model):
        model.zero_grad(set_to_none=True)
        with compute.autocast():
            found = loss(model)
        found.backward()  # type: ignore[no-untyped-call]
        norms = gradient_norms(model)
        model.zero_grad(set_to_none=True)
        encoder = encoder_of(model)
        sizes = embedding_sizes(encoder, batch)
        return StartMeasures(
            rows=len(batch.lengths),
            tokens=len(batch.ids_T),
            loss=found.item(),
            uniform=uniform,
            gradient_norms=norms,
            cls_spread=cls_spread_by_layer(model, batch),
            token_size=sizes[0],
            position_size=sizes[1],
            segment_size=sizes[2],
            attention_to_pads=0.0 if pad_id is None else _attention_to_pads(encoder, batch, pad_id),
        )


@torch.no_grad()
def embedding_sizes(encoder: Encoder, batch: PackedBatch) -> tuple[float, float | None, float]:
    """Root mean square of what the batch's tokens, their positions (None: nothing) and segments add up.

    A model that does not tell segments apart adds 0 for them.
    """
    tables = encoder.embeddings
    positions = None
    if tables.positions is not None:
        positions = _size(tables.positions(batch.positions_T))
    if tables.fixed_positions is not None:
        positions = _size(tables.fixed_positions[batch.positions_T])
    segments = 0.0 if tables.segments is None else _size(tables.segments(batch.segments_T))
    return _size(tables.tokens(batch.ids_T)), positions, segments


def _size(vectors: torch.Tensor) -> float:
    return float(vectors.square().mean().sqrt())


@torch.no_grad()
def _attention_to_pads(encoder: Encoder, batch: PackedBatch, pad_id: int) -> float:
    """Share of the attention of `[CLS]` that goes to pads, a mean over sequences, layers and heads."""
    _, by_layer = encoder(batch, return_attention=True)
    pads = [part == pad_id for part in torch.split(batch.ids_T, list(batch.lengths))]
    shares = [
        probabilities[:, 0, :][:, is_pad].sum(-1).mean()
        for layer in by_layer
        for probabilities, is_pad in zip(layer, pads, strict=True)
    ]
    return float(torch.stack(shares).mean())


def embedding_scale(record: Preflight) -> Finding | None:
    """What is added for positions is far larger than the embeddings of tokens."""
    start, asked = record.start, record.asked
    if start.position_size is None or start.position_size <= DROWNED * start.token_size:
        return None
    ratio = start.position_size / start.token_size if start.token_size else math.inf
    normed = asked.embedding_norm
    changes: tuple[Change, ...] = (Change(words="start from a model whose tokens are not drowned"),)
    if asked.fresh:
        changes = (
            Change("model.options.positions", "rotary"),
            Change("model.options.position_scale", float(f"{asked.position_scale / ratio:.2g}")),
        )
        if asked.positions != "sinusoidal":
            changes = changes[:1]
        if not start.token_size:
            changes = (Change("model.options.initialiser_range", BERTS_RANGE),)
    return (notable if normed else grave)(
        "certain",
        f"Embeddings of tokens are of size {start.token_size:.3f}, what is added for their positions of "
        f"{start.position_size:.3f}" + (f": {ratio:.0f} to 1." if start.token_size else "."),
        "The first layer sees where a token stands and hardly which one it is"
        + (", also behind the norm." if normed else "."),
        *changes,
    )


def loss_at_start(record: Preflight) -> Finding | None:
    """The model is sure of wrong answers before it has learnt anything, or is broken."""
    start, broken = record.start, broken_at_start(record)
    if not broken and start.loss <= start.uniform + LOUD_START:
        return None
    present = record.asked.initialiser_range
    change = Change("model.options.initialiser_range", min(BERTS_RANGE, float(f"{present / 3:.1g}")))
    if not record.asked.fresh:
        change = Change(words="look at what the model was trained for: its head may be of other labels")
        if broken:
            change = Change(words="another model: the weights of this one are broken")
    return (grave if broken else notable)(
        "certain" if broken else "likely",
        f"Before the first update {broken} is no number."
        if broken
        else f"The loss begins at {start.loss:.2f}, and uniform guessing gives {start.uniform:.2f}.",
        "No update can be made of such a model: there is no gradient to follow."
        if broken
        else "The first updates are spent on unlearning, and are large: the initialisation is too wide.",
        change,
    )


def broken_at_start(record: Preflight) -> str:
    """Which of the first step's figures is no number, or ""."""
    if not math.isfinite(record.start.loss):
        return "the loss"
    return "" if all(map(math.isfinite, record.start.gradient_norms.values())) else "the gradient"


def kept_for_backward(model: nn.Module, loss: LossOf, compute: Compute) -> tuple[int, int]:
    """Bytes that a forward pass in training keeps for the backward pass, and those of the largest tensor.

    Parameters, which are there anyway, do not count. Random numbers for dropout are drawn.
    """
    own = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # An output that kept itself would be a circle.

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), compute.autocast():
        loss(model)
    return sum(kept.values()), max(kept.values(), default=0)


def memory(record: Preflight) -> Finding | None:
    """The run needs more memory than there is."""
    cost = record.cost
    if cost is None or cost.available is None or cost.peak - cost.base < SMALL_RESERVE * cost.available:
        return None
    smaller = Change("batch.sequences", max(1, record.asked.at_once // 4))
    if record.asked.phase == "pretrain":
        smaller = Change("batch.at_once", max(record.asked.max_length, record.asked.at_once // 4))
    return grave(
        "likely",
        f"The run needs about {(cost.peak - cost.base) / 1e9:.1f} GB more, "
        f"{cost.activations / 1e9:.1f} GB for the largest batch; {cost.available / 1e9:.1f} GB are free.",
        "It will be killed, or swap.",
        smaller,
        Change(words="a smaller model"),
    )
