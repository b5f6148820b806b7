"""What a check found: what was seen, what it means, what to change; and the list of it that a run keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from bertkit.checkpoint.atomic import replace_file
from bertkit.errors import UserError
from bertkit.text.jsons import to_json

Weight = Literal["grave", "notable"]
"""grave: the run cannot learn, or its score cannot be believed; notable: it learns less than it could."""
Sureness = Literal["certain", "likely", "possible"]

Moment = Literal["preflight", "watch"]
"""When it was found: before the first step, or while training."""

WEIGHTS: tuple[Weight, ...] = ("grave", "notable")
SURENESSES: tuple[Sureness, ...] = ("certain", "likely", "possible")
FINDINGS = "findings.json"
MAY_HELP = "What may help"
WITH = " with "
FEW = 3
"""Changes that read well in one line."""


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


def as_above(changes: Sequence[Change], above: Sequence[Change]) -> bool:
    """Whether these are many changes, and the findings above have proposed every one of them."""
    return len(changes) > FEW and {str(change) for change in changes} <= {str(change) for change in above}


def by_weight(findings: Sequence[Finding]) -> list[Finding]:
    """The gravest and surest first."""
    return sorted(findings, key=lambda f: (WEIGHTS.index(f.weight), SURENESSES.index(f.sureness)))


def _as_typed(value: Any) -> str:
    """A value as a shell takes it after `--set key=`."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def append_findings(folder: Path, moment: Moment, step: int, findings: Sequence[Finding]) -> None:
    """Add findings to `findings.json` of a run folder, atomically; nothing is written for none.

    The same check's finding of the same moment and step, such as that of a run before it was resumed, is
    replaced.

    Args:
        folder: the run's, or a seed's.
        moment: when it was found: before the first step, or while training.
        step: updates that were done.
        findings: in the order to keep.

    Raises:
        UserError: the file that is there is not such a list.
    """
    if not findings:
        return
    new = [{"moment": moment, "step": step, **finding.to_json()} for finding in findings]
    places = {(entry["moment"], entry["step"], entry["check"]) for entry in new}
    kept = [
        entry
        for entry in read_findings(folder)
        if (entry["moment"], entry["step"], entry["check"]) not in places
    ]
    with replace_file(folder / FINDINGS) as temporary:
        temporary.write_text(to_json([*kept, *new], indent=1) + "\n", encoding="utf-8")


def read_findings(folder: Path) -> list[dict[str, Any]]:
    """The findings of a run, each `{"moment", "step", **finding}`; none where there is no file.

    Raises:
        UserError: the file cannot be read, or is not such a list.
    """
    path = folder / FINDINGS
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}); remove it to go on without it.") from None
    if not (isinstance(entries, list) and all(_is_entry(entry) for entry in entries)):
        raise UserError(f"{path} is no list of findings; remove it to go on without it.")
    return entries


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and all(isinstance(entry.get(key), str) for key in ("moment", "check", "seen", "means"))
        and isinstance(entry.get("step"), int)
        and entry.get("weight") in WEIGHTS
        and entry.get("sureness") in SURENESSES
    )
