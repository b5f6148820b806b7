"""What was found about a run, kept in its folder: one list, which grows while the run goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from bertkit.checkpoint.atomic import replace_file
from bertkit.errors import UserError
from bertkit.health.finding import SURENESSES, WEIGHTS, Finding
from bertkit.text.jsons import to_json

FINDINGS = "findings.json"

Moment = Literal["preflight", "watch"]


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
