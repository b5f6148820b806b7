"""What all kinds of task have to agree about."""

from bertkit.config.head import HEAD_KINDS
from bertkit.tasks.kinds import KINDS


def test_there_is_a_kind_of_task_for_every_kind_of_head() -> None:
    assert KINDS.keys() == HEAD_KINDS.keys()


def test_metrics_of_one_name_are_called_and_compared_alike() -> None:
    """A log and a table name a metric without its kind."""
    known: dict[str, tuple[str, bool, bool]] = {}
    for kind in KINDS.values():
        for metric in kind.metrics:
            said = (metric.title, metric.higher, metric.of_positive)
            assert known.setdefault(metric.name, said) == said
