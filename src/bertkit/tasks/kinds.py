"""The kinds of tasks that there are: one row for each."""

from __future__ import annotations

from bertkit.config.head import HEAD_KINDS, HeadKind
from bertkit.errors import UserError
from bertkit.tasks.classify import CLASSIFY
from bertkit.tasks.kind import Kind
from bertkit.tasks.metrics import Metric

KINDS: dict[HeadKind, Kind] = {kind.name: kind for kind in (CLASSIFY,)}

METRICS: dict[str, Metric] = {metric.name: metric for kind in KINDS.values() for metric in kind.metrics}
"""Of all kinds."""


def get_kind(name: HeadKind) -> Kind:
    """The kind of that name.

    Raises:
        UserError: tasks of that kind are not there yet.
    """
    if name not in KINDS:
        raise UserError(
            f"Nothing that {HEAD_KINDS[name].does} can be trained or scored yet; the kinds of tasks are "
            f"{', '.join(KINDS)}."
        )
    return KINDS[name]
