"""What the checks found, as a section of a page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bertkit.runs.findings import MAY_HELP, WITH, Change, Finding, by_weight, ways

FEW = 3
"""Changes that read well in one line."""
LEVELS = {"grave": "bad", "notable": "open"}


def findings_section(findings: Sequence[Finding]) -> str:
    """The findings, the gravest and surest first; nothing where there are none."""
    if not findings:
        return ""
    cards, above = "", list[Change]()
    for finding in by_weight(findings):
        cards += _card(finding, above)
        above += finding.changes
    return f"<section><h2>What the checks found</h2>{cards}</section>"


def as_above(changes: Sequence[Change], above: Sequence[Change]) -> bool:
    """Whether these are many changes, and the findings above have proposed every one of them."""
    return len(changes) > FEW and {str(change) for change in changes} <= {str(change) for change in above}


def _change(change: Change) -> str:
    if not change.key:
        return escape(change.words)
    return f"<code>{escape(change.typed)}</code>" + (f" ({escape(change.words)})" if change.words else "")


def _card(finding: Finding, above: Sequence[Change]) -> str:
    alternatives = [WITH.join(map(_change, way)) for way in ways(finding.changes)]
    tried = f"<p>{MAY_HELP}: {'; or '.join(alternatives)}</p>" if alternatives else ""
    if as_above(finding.changes, above):
        tried = f"<p>{MAY_HELP}: as above</p>"
    elif len(finding.changes) > FEW and len(alternatives) > 1:
        items = "".join(f"<li>{alternative}</li>" for alternative in alternatives)
        tried = f"<p>{MAY_HELP}, one or the other:</p><ul>{items}</ul>"
    read = f"; more in {escape(finding.read)}" if finding.read else ""
    return (
        f"<div class='finding {LEVELS[finding.weight]}'><p><strong>{escape(finding.seen)}</strong></p>"
        f"<p>{escape(finding.means)}</p>{tried}"
        f"<p class=quiet>{finding.weight}, {finding.sureness}{read}</p></div>"
    )
