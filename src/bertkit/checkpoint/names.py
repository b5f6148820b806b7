"""Names of tensors: ours in memory, where projections are fused, and those on disk. One table, both ways."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import torch

from bertkit.config.head import HeadConfig
from bertkit.errors import listed

Tensors = dict[str, torch.Tensor]

BERT_MODULES: dict[str, tuple[str, ...]] = {
    "encoder.embeddings.tokens": ("embeddings.word_embeddings",),
    "encoder.embeddings.segments": ("embeddings.token_type_embeddings",),
    "encoder.embeddings.positions": ("embeddings.position_embeddings",),
    "encoder.embeddings.norm": ("embeddings.LayerNorm",),
    "encoder.blocks.{}.attention.qkv": (
        "encoder.layer.{}.attention.self.query",
        "encoder.layer.{}.attention.self.key",
        "encoder.layer.{}.attention.self.value",
    ),
    "encoder.blocks.{}.attention.output": ("encoder.layer.{}.attention.output.dense",),
    "encoder.blocks.{}.attention_norm": ("encoder.layer.{}.attention.output.LayerNorm",),
    "encoder.blocks.{}.intermediate": ("encoder.layer.{}.intermediate.dense",),
    "encoder.blocks.{}.output": ("encoder.layer.{}.output.dense",),
    "encoder.blocks.{}.output_norm": ("encoder.layer.{}.output.LayerNorm",),
    "encoder.pooler": ("pooler.dense",),
    "head.output": ("classifier",),
    "masked": ("cls.predictions",),
    "masked.transform": ("cls.predictions.transform.dense",),
    "masked.norm": ("cls.predictions.transform.LayerNorm",),
    "pair.output": ("cls.seq_relationship",),
}
"""Module by module, what transformers' BertModel, BertForSequenceClassification and BertForPreTraining call
it. Several names are one fused kernel's parts, in the order of its rows."""

MODERN_MODULES: dict[str, tuple[str, ...]] = {
    "encoder.embeddings.tokens": ("embeddings.tok_embeddings",),
    "encoder.embeddings.norm": ("embeddings.norm",),
    "encoder.blocks.{}.attention.qkv": ("layers.{}.attn.Wqkv",),
    "encoder.blocks.{}.attention.output": ("layers.{}.attn.Wo",),
    "encoder.blocks.{}.attention_norm": ("layers.{}.attn_norm",),
    "encoder.blocks.{}.intermediate": ("layers.{}.mlp.Wi",),
    "encoder.blocks.{}.output": ("layers.{}.mlp.Wo",),
    "encoder.blocks.{}.output_norm": ("layers.{}.mlp_norm",),
    "encoder.norm": ("final_norm",),
    "head.hidden": ("head.dense",),
    "head.norm": ("head.norm",),
    "head.output": ("classifier",),
    "masked": ("decoder",),
    "masked.transform": ("head.dense",),
    "masked.norm": ("head.norm",),
}
"""The same of transformers' ModernBERT classes, which fuse the projections as bertkit does."""

DECODER_BIAS = "cls.predictions.decoder.bias"
TIED = {
    "cls.predictions.decoder.weight": "embeddings.word_embeddings.weight",
    DECODER_BIAS: "cls.predictions.bias",
    "decoder.weight": "embeddings.tok_embeddings.weight",
}
"""Tensors that some versions of transformers write a second time, and the end of the first one's name."""

FIRST_TABLE = "embeddings.word_embeddings.weight"
OLD_ENDINGS = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
"""Ends of names before transformers 1, and what they are today."""

Naming = Callable[[str], tuple[str, ...]]
"""From our name of a tensor to the names on disk of its parts, along the first dimension."""


def bert_naming(prefix: str, head: HeadConfig | None = None) -> Naming:
    """Names of transformers' BERT, with `prefix` ("bert." or "") before those of the encoder."""
    answers = head is not None and head.kind == "answer"
    return _naming(BERT_MODULES | ({"head.output": ("qa_outputs",)} if answers else {}), prefix)


def modern_naming(prefix: str, head: HeadConfig | None = None) -> Naming:
    """The same of transformers' ModernBERT ("model." or ""), which calls all heads of tasks alike."""
    return _naming(MODERN_MODULES, prefix)


def _naming(modules: Mapping[str, tuple[str, ...]], prefix: str) -> Naming:
    def naming(ours: str) -> tuple[str, ...]:
        module, _, parameter = ours.rpartition(".")
        layer = next((part for part in module.split(".") if part.isdecimal()), "")
        theirs = modules[module.replace(f".{layer}.", ".{}.") if layer else module]
        before = prefix if ours.startswith("encoder.") else ""
        return tuple(f"{before}{name.format(layer)}.{parameter}" for name in theirs)

    return naming


def own_naming(ours: str) -> tuple[str, ...]:
    """Names of bertkit's own layout: those in memory."""
    return (ours,)


def has_any(names: Iterable[str], expected: Iterable[str], naming: Naming) -> bool:
    """Whether one of `names` on disk is of the modules with the tensors `expected`, well spelt or not."""
    modules = tuple({f"{name.rpartition('.')[0]}." for ours in expected for name in naming(ours)})
    return any(name.startswith(modules) for name in names if name not in TIED)


def drop_tied(tensors: Tensors) -> list[str]:
    """Take out of `tensors` the second copies of tied ones.

    Returns:
        Those that are no copies, which stay: the decoder has values of its own.
    """
    own = []
    for copy, original in TIED.items():
        first = next((tensor for name, tensor in tensors.items() if name.endswith(original)), None)
        if copy not in tensors or first is None:
            continue
        second = tensors[copy]
        if first.dtype != second.dtype and first.is_floating_point() and second.is_floating_point():
            # Equal they are, too, if they would be with the coarser of their number formats.
            coarser = max((first.dtype, second.dtype), key=lambda kind: torch.finfo(kind).eps)
            first, second = first.to(coarser), second.to(coarser)
        if torch.equal(first, second):
            del tensors[copy]
        else:
            own.append(copy)
    return own


def name_bias(tensors: Tensors) -> None:
    """Give the masked head's bias its name where `tensors` have it under that of its copy alone."""
    if DECODER_BIAS in tensors and TIED[DECODER_BIAS] not in tensors:
        tensors[TIED[DECODER_BIAS]] = tensors.pop(DECODER_BIAS)


HOLDERS = ("model.", "bert_model.")
"""What programs call the attribute that holds a BERT, beside "bert."."""

WRAPPERS = re.compile(r"(?<![^.])(module|_orig_mod)\.")
"""What DataParallel and torch.compile put before the names of what they wrap, wherever they do."""


LEFT_OVER = re.compile(r"(.*\.)?(position_ids|token_type_ids|inv_freq)|(loss\w*|criterion)\.(pos_)?weight")
"""Buffers that are constants, or weights of a loss: what a model computes does not depend on them."""


def modernise(tensors: Tensors) -> Tensors:
    """The tensors under today's names.

    TensorFlow, and with it pytorch_pretrained_bert, called a norm's weight and bias gamma and beta; wrappers
    and modules that hold a model put their names before its own. Where a name of today is there too, the old
    one stays as it is, and nothing will use it.
    """
    plain = {name: WRAPPERS.sub("", name) for name in tensors}
    parts = [name for name in plain.values() if not LEFT_OVER.fullmatch(name)]
    while holder := next((h for h in HOLDERS if parts and all(part.startswith(h) for part in parts)), ""):
        plain = {name: short.removeprefix(holder) for name, short in plain.items()}
        parts = [part.removeprefix(holder) for part in parts]
    # Of an encoder beside a head of the program's own, which stands outside.
    holders = [h for h in HOLDERS if any(name == f"{h}{FIRST_TABLE}" for name in plain.values())]
    found: Tensors = {}
    for name, tensor in tensors.items():
        today = plain[name]
        for holder in holders:
            if today.startswith(holder):
                today = f"bert.{today.removeprefix(holder)}"
        for old, new in OLD_ENDINGS.items():
            if today.endswith(old):
                today = today.removesuffix(old) + new
        taken = today in found or (today != name and today in tensors)
        found[name if taken else today] = tensor
    return found


def to_disk(state: Mapping[str, torch.Tensor], naming: Naming) -> Tensors:
    """The tensors of `state` under their names on disk, each with storage of its own."""
    return {
        name: part.clone()
        for ours, tensor in state.items()
        for name, part in zip(naming(ours), tensor.chunk(len(naming(ours))), strict=True)
    }


def from_disk(tensors: Tensors, expected: Mapping[str, torch.Tensor], naming: Naming) -> Tensors:
    """Take out of `tensors` what `expected` (our names; shapes alone matter) needs, fused, as float32.

    Raises:
        ValueError: a tensor is missing, or has another shape or a type that is no floating point number;
            the message is a clause that names it.
    """
    state = {}
    if missing := [name for ours in expected for name in naming(ours) if name not in tensors]:
        raise ValueError(f"{listed(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    for ours, tensor in expected.items():
        names = naming(ours)
        part_shape = (tensor.shape[0] // len(names), *tensor.shape[1:])
        parts = []
        for name in names:
            part = tensors.pop(name)
            if tuple(part.shape) != part_shape:
                raise ValueError(f"{name} has the shape {list(part.shape)}, not {list(part_shape)}")
            if part.dtype not in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
                raise ValueError(f"{name} is of type {part.dtype}, not a 16-, 32- or 64-bit float")
            parts.append(part.float())
        state[ours] = torch.cat(parts)  # Copies, so that nothing stays mapped to the file.
    return state
