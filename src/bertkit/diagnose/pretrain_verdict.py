"""One paragraph that says what a pretraining run came to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bertkit.diagnose.conclusion import Level
from bertkit.diagnose.pictures import Points
from bertkit.diagnose.verdict import Verdict
from bertkit.diagnose.wording import perplexity, said
from bertkit.health.unlabelled import BY_HEART, nearly_through
from bertkit.runs.records import number

Result = Mapping[str, Any]


def losses(result: Result) -> dict[str, dict[str, float]]:
    """What the loss stands between, by name: each has `mlm_loss`, and accuracies where they are known.

    What was no number is NaN.
    """
    rows: dict[str, dict[str, float | None]] = {
        "knowing nothing": {"mlm_loss": result["floors"]["uniform"]},
        "word frequencies": {"mlm_loss": result["floors"]["unigram"]},
        "before, held out": result["before"] or {},
        "training": {"mlm_loss": result["train_mlm_loss"]},
        "after, held out": result["heldout"] or {},
    }
    return {name: {key: number(value) for key, value in row.items()} for name, row in rows.items() if row}


def give_pretrain_verdict(result: Result, heldout: Points) -> Verdict:
    """Judge the content of a `result.json` by the plateau of word frequencies.

    Args:
        result: of a pretraining run.
        heldout: (step, held-out MLM loss in nats) of each evaluation, in their order.
    """
    level, lead, conclusion = _conclusion(result, heldout)
    return Verdict(level, f"{_figures(result)} {conclusion}", lead)


def _figures(result: Result) -> str:
    found, floors = result["heldout"], result["floors"]
    loss = _last_loss(result)
    where = "Held-out loss" if found else "Training loss (no text was held out)"
    right = ""
    if found:
        right = f": {found['mlm_accuracy']:.1%} of the masked pieces are restored"
        if "pair_accuracy" in found:
            right += f", {found['pair_accuracy']:.1%} of the pairs told right"
    words = f"{where} {said(loss, 3)}, perplexity {said(perplexity(loss), 1)}{right}."
    if math.isnan(loss):
        words = f"{where}: no number."
    return (
        f"{words} Knowing only how frequent words are gives {floors['unigram']:.3f} "
        f"({said(perplexity(floors['unigram']), 0)}), knowing nothing {floors['uniform']:.3f} "
        f"({said(perplexity(floors['uniform']), 0)})."
    )


def _last_loss(result: Result) -> float:
    found = result["heldout"]
    return number(found["mlm_loss"] if found else result["train_mlm_loss"])


def _conclusion(result: Result, heldout: Points) -> tuple[Level, str, str]:
    """The level, the answer in a few words, and a sentence."""
    through, before, after = result["through_at"], result["before"], result["heldout"]
    if math.isnan(_last_loss(result)):
        return "bad", "It broke.", "An update was so large that the model broke: what it gives is no number."
    if through is None:
        return _on_the_plateau(result, heldout)
    scored = [point for point in heldout if math.isfinite(point[1])]
    lowest = min(scored, key=lambda point: point[1], default=None)
    if after and lowest and after["mlm_loss"] > lowest[1] + BY_HEART:
        text = (
            f"It was lower before, {lowest[1]:.3f} after step {lowest[0]:,.0f}: the model began to learn the "
            "text by heart. More text or fewer steps would help."
        )
        return "open", "It learned, and then by heart.", text
    if through == 0 and before and after:
        gain, began = before["mlm_loss"] - after["mlm_loss"], f"The model began with {before['mlm_loss']:.3f}"
        if gain <= 0:
            return "open", "It won nothing.", f"{began}, and has won nothing on this text."
        text = (
            f"{began} on this text (perplexity {said(perplexity(before['mlm_loss']), 1)}), and has won "
            f"{gain:.3f}."
        )
        return "good", "It learned.", text
    text = (
        f"It broke through the plateau of word frequencies by step {through:,} of {result['steps']:,}: the "
        "model uses the context."
    )
    return "good", "It learned.", text


def _on_the_plateau(result: Result, heldout: Points) -> tuple[Level, str, str]:
    """See `_conclusion`."""
    scored = [(round(step), loss) for step, loss in heldout if step > 0]
    if nearly_through(scored, result["floors"]["unigram"], share=1.0):
        text = (
            "The loss had nearly left the plateau of word frequencies at the end, and was still falling: "
            "more steps would bring more."
        )
        return "open", "It has just begun to learn.", text
    text = (
        "The loss stayed on the plateau of word frequencies: the model has hardly learned to use the "
        "context, and will help little."
    )
    return "bad", "It has hardly learned.", text
