"""The kinds of tasks that there are: one row for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bertkit.config.head import HeadConfig, HeadKind
from bertkit.errors import UserError, quoted
from bertkit.tasks.answer import ANSWERS
from bertkit.tasks.choose import CHOOSE
from bertkit.tasks.classify import CLASSIFY
from bertkit.tasks.kind import Kind
from bertkit.tasks.metrics import Metric
from bertkit.tasks.multilabel import MULTILABEL
from bertkit.tasks.regress import REGRESS
from bertkit.tasks.tag import TAG

KINDS: dict[HeadKind, Kind] = {
    kind.name: kind for kind in (CLASSIFY, REGRESS, MULTILABEL, TAG, ANSWERS, CHOOSE)
}

ALL_METRICS: dict[str, Metric] = {metric.name: metric for kind in KINDS.values() for metric in kind.metrics}


def title(metric: str, positive: str = "") -> str:
    """What people call a metric, with the label that it is about; one that is not known by its name."""
    if metric not in ALL_METRICS:
        return metric
    found = ALL_METRICS[metric]
    return f"{found.title} of {positive}" if found.of_positive and positive else found.title


def title_of(found: Mapping[str, Any]) -> str:
    """What the score is called of which `Scoring.summary` tells."""
    return title(found["metric"], found.get("positive") or "")


def macro_beside(found: Mapping[str, Any]) -> str:
    """What stands beside a score of more than two classes: ", macro F1 0.657"; of others "".

    Accuracy tells next to nothing of small classes.
    """
    metrics = found.get("metrics") or {}
    if "macro_f1" not in metrics or "f1" in metrics or found["metric"] == "macro_f1":
        return ""
    return f", {title('macro_f1')} {metrics['macro_f1']:.3f}"


def kind_of_head(head: HeadConfig) -> Kind | None:
    """What a model with such a head answers; None where there are no such tasks."""
    kind = KINDS.get(head.kind)
    return None if kind is None or 0 < kind.most < len(head.labels) else kind


def get_kind(name: str) -> Kind:
    """The kind of that name.

    Raises:
        UserError: there are no tasks of that kind.
    """
    found = next((kind for kind in KINDS.values() if kind.name == name), None)
    if found is None:
        raise UserError(f"There are no tasks of the kind {quoted(name)} yet, but of {', '.join(KINDS)}.")
    return found
