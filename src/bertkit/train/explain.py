"""The surest mistakes of a run, with the tokens that moved the model to them."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch

from bertkit.checkpoint.folder import read_model_folder
from bertkit.data.packed import pack
from bertkit.model.attribution import STEPS, explain
from bertkit.model.heads import Classifier
from bertkit.train.prepare import Prepared

EXPLAINED = 12
"""Mistakes at most: what a reader looks at."""
SHARE_OF_TRAINING = 0.02
LEAST_TOKENS = 20_000
"""The tokens computed for it are kept to this share of those trained on, or to this many if that is more."""


def explain_mistakes(
    folder: Path,
    prepared: Prepared,
    mistakes: list[dict[str, Any]],
    trained_tokens: int,
    *,
    seconds: float = math.inf,
    speed: float = math.inf,
) -> None:
    """Add `explanation` to the first of `mistakes`, as many as `EXPLAINED` and the time for them allow.

    A text that was read in several windows has none.

    An explanation has `tokens` (each `token`, the `text` it stands in (0, or 1 of a pair), the characters
    `from` and `to`, and its `push` towards the prediction and away from the true label, in logits), and
    `difference`, `baseline`, `gap`, `steps`, `complete` as `model.attribution.Attribution` has them.

    Args:
        folder: the model that made the mistakes.
        prepared: the run's data.
        mistakes: as `Kind.mistakes` lists them.
        trained_tokens: how many the model was trained on.
        seconds: after which none is begun.
        speed: tokens a second of training: more than there is time for at that speed are not computed.
    """
    end = time.monotonic() + seconds
    model = read_model_folder(folder)
    assert model.head is not None, "a run of fine-tuning keeps its head"
    classifier = Classifier(model.encoder, model.head)
    room = min(max(LEAST_TOKENS, SHARE_OF_TRAINING * trained_tokens), seconds * speed)
    for mistake in mistakes[:EXPLAINED]:
        row = prepared.dev.lines.index(mistake["line"])
        if prepared.dev_sequences.windows is not None and prepared.dev_sequences.windows.counts[row] > 1:
            continue  # No one sequence made this answer.
        length = int(prepared.dev_sequences.lengths[row])
        if length * STEPS[0] > room or time.monotonic() > end:
            break
        towards, away = (prepared.labels.index(mistake[key]) for key in ("predicted", "label"))
        found = _explain(classifier, prepared, row, towards, away)
        room -= length * sum(steps for steps in STEPS if steps <= found["steps"])
        if math.isfinite(found["difference"]):
            mistake["explanation"] = found


def _explain(classifier: Classifier, prepared: Prepared, row: int, towards: int, away: int) -> dict[str, Any]:
    tokenizer, dev = prepared.tokenizer, prepared.dev
    sequence = pack(prepared.dev_sequences, [row])
    special = {tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id}
    ids = sequence.ids_T.tolist()
    baseline = torch.tensor([each if each in special else tokenizer.pad_id for each in ids])
    found = explain(classifier, sequence, baseline, towards, away)
    tokens: list[dict[str, Any]] = []
    place = 0
    for number, text in enumerate([dev.texts[row], *([dev.pairs[row]] if dev.pairs else [])]):
        encoding = tokenizer.encode(text)
        place += 1  # [CLS], or the [SEP] before the second text.
        spelled = zip(encoding.tokens, encoding.offsets, strict=True)
        for token, (start, end) in spelled:
            if ids[place] == tokenizer.sep_id:  # What follows was cut off.
                break
            push = found.pushes[place]
            tokens.append({"token": token, "text": number, "from": start, "to": end, "push": push})
            place += 1
    return {
        "tokens": tokens,
        "difference": found.difference,
        "baseline": found.baseline,
        "gap": found.gap,
        "steps": found.steps,
        "complete": found.complete,
    }
