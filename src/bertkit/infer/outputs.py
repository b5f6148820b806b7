"""What the last layer of a head gives for texts, before anything is made of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from bertkit.checkpoint.folder import ModelFolder
from bertkit.config.head import HEAD_KINDS
from bertkit.data.packed import pack
from bertkit.data.packing import encode_texts
from bertkit.errors import UserError
from bertkit.model.bulk import TOKENS, batches_by_length
from bertkit.model.compute import Compute
from bertkit.model.heads import Classifier

FloatArray = npt.NDArray[np.float32]


def outputs(
    folder: ModelFolder,
    name: str,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    compute: Compute,
) -> list[FloatArray]:
    """The logits of each of N texts, or pairs of texts, in the order given.

    Args:
        folder: a model with a head of any kind.
        name: what the user called it.
        texts: the texts, or the first ones of the pairs.
        pairs: the second texts, as many: of a question the text that answers it, of a choice the choices.
        compute: where and in which number format the encoder computes.

    Returns:
        [C] for each, C being the head's `outputs`: classes, labels, numbers, or 1 for each of the texts that
        one is to be chosen from. Of a head on tokens [S, C] with a row for each token, `[CLS]` and `[SEP]`
        among them: tags, or how likely the answer starts (column 0) and ends (column 1) there.

    Raises:
        UserError: there is no such head, a text is longer than the model, or the weights make no numbers.
    """
    if folder.head is None:
        raise UserError(f"{name} has no head; fine-tune it first with `bertkit finetune`.")
    if isinstance(texts, str):
        raise UserError("`texts` must be a list of strings, not str; put one text in a list.")
    longest = folder.encoder_config.max_positions
    sequences = encode_texts(folder.tokenizer, texts, pairs, max_length=longest)
    if sequences.truncated:
        raise UserError(
            f"{sequences.truncated} of {len(texts)} texts have more tokens than {name} has positions for, "
            f"{longest}: shorten them."
        )
    classifier = Classifier(folder.encoder, folder.head).eval()
    tokens = HEAD_KINDS[folder.head.config.kind].tokens
    found: dict[int, FloatArray] = {}
    with torch.inference_mode(), compute.autocast():
        for rows in batches_by_length(sequences.lengths, TOKENS):
            batch = pack(sequences, rows)
            logits = classifier(batch).float()
            if not logits.isfinite().all():
                raise UserError(f"{name} answers with NaN: its weights are damaged.")
            parts = torch.split(logits, list(batch.lengths)) if tokens else logits.unbind(0)
            found |= {int(row): part.numpy() for row, part in zip(rows, parts, strict=True)}
    return [found[row] for row in range(len(sequences))]
