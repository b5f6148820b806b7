"""What a check found: what was seen, what it means, how sure that is, and what to change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Weight = Literal["grave", "notable"]
"""grave: the run cannot learn, or its score cannot be believed; notable: it learns less than it could."""
Sureness = Literal["certain", "likely", "possible"]

WEIGHTS: tuple[Weight, ...] = ("grave", "notable")
SURENESSES: tuple[Sureness, ...] = ("certain", "likely", "possible")
MAY_HELP = "What may help"
WITH = " with "


@dataclass(frozen=True)
class Change:
    """A change that may help: a recipe's `key` (`section.name`, as `--set` takes it) and its new `value`.

    Where no key can say it, such as with a damaged data file, `key` is empty and `words` say what to do;
    beside a key they say more about it. Changes of a finding are alternatives, but for those that act
    `together` with the one before: see `ways`.
    """

    key: str = ""
    value: Any = None
    words: str = ""
    together: bool = False

    def __str__(self) -> str:
        if not self.key:
            return self.words
        return f"{self.typed} ({self.words})" if self.words else self.typed

    @property
    def typed(self) -> str:
        """What a command takes; "" where no key can say it."""
        return f"--set {self.key}={_as_typed(self.value)}" if self.key else ""


@dataclass(frozen=True)
class Finding:
    """One answer to "why is it not learning".

    Attributes:
        check: name of the check that made it, a row of its table.
        weight: how much it matters.
        sureness: how sure the meaning is; what was seen is always certain.
        seen: one sentence with the numbers.
        means: one sentence.
        changes: what to change, best first.
        read: where to read more: a file of `docs/` with its anchor, or a paper's arXiv number.
    """

    check: str
    weight: Weight
    sureness: Sureness
    seen: str
    means: str
    changes: tuple[Change, ...] = ()
    read: str = ""

    @property
    def line(self) -> str:
        """All of it in one line, as a terminal shows it."""
        parts = [self.seen, self.means]
        if self.changes:
            alternatives = (WITH.join(map(str, way)) for way in ways(self.changes))
            parts.append(f"{MAY_HELP}: {' or '.join(alternatives)}.")
        return " ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """As `result.json` and `--json` have it."""
        return asdict(self)


def ways(changes: Sequence[Change]) -> list[list[Change]]:
    """The alternatives among the changes of a finding, best first; each is what acts together."""
    found: list[list[Change]] = []
    for change in changes:
        if change.together and found:
            found[-1].append(change)
        else:
            found.append([change])
    return found


def by_weight(findings: Sequence[Finding]) -> list[Finding]:
    """The gravest and surest first."""
    return sorted(findings, key=lambda f: (WEIGHTS.index(f.weight), SURENESSES.index(f.sureness)))


def _as_typed(value: Any) -> str:
    """A value as a shell takes it after `--set key=`."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
