"""The kinds of tasks that there are: one row for each."""

from __future__ import annotations

from bertkit.config.head import HeadConfig, HeadKind
from bertkit.errors import UserError, quoted
from bertkit.tasks.classify import CLASSIFY
from bertkit.tasks.kind import Kind
from bertkit.tasks.metrics import Metric
from bertkit.tasks.regress import REGRESS

KINDS: dict[HeadKind, Kind] = {kind.name: kind for kind in (CLASSIFY, REGRESS)}

METRICS: dict[str, Metric] = {metric.name: metric for kind in KINDS.values() for metric in kind.metrics}
"""Of all kinds."""


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
