"""The page of an audit: what was found, the rows themselves, their lengths, the words that tell a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from bertkit.diagnose.audit import Audited
from bertkit.diagnose.page import facts, header, side, table, write_page
from bertkit.diagnose.sections import findings_section
from bertkit.health.audit import Audit, PartMeasures, Rows
from bertkit.text.odd import ODDITIES

SORTS: tuple[tuple[str, str], ...] = (
    ("leaks", "Rows that stand in train too"),
    ("near_leaks", "Rows that nearly stand in train"),
    ("contradictions", "The same texts with other labels"),
    ("near_contradictions", "Nearly the same texts with other labels"),
    ("duplicates", "Rows that repeat others"),
    ("near_duplicates", "Rows that nearly repeat others"),
    ("mixed", "Rows of several scripts"),
    ("long", "Rows that are far longer than the others"),
    ("blank_pairs", "Rows without a second text"),
)
"""Sorts of rows of a split, with their headings."""


def write_audit_page(path: Path, found: Audited) -> Path:
    """Write the page of an audit and return its path."""
    audit = found.seen.audit
    parts = [
        _head(found),
        findings_section(found.findings),
        *(_part(split, part) for split, part in audit.parts.items()),
        _labels(audit),
        _words(audit),
        *(_sort(audit, name, heading) for name, heading in SORTS),
        *(_odd(audit, each.name, each.words) for each in ODDITIES),
    ]
    return write_page(path, f"data · {found.task}", parts)


def _head(found: Audited) -> str:
    grave = sum(each.weight == "grave" for each in found.findings)
    level = "bad" if grave else "open" if found.findings else "good"
    words = {
        "bad": f"{grave} grave of {len(found.findings)} findings",
        "open": f"{len(found.findings)} findings",
        "good": "nothing is wrong, as far as one can see without a model",
    }[level]
    told = f" {'; '.join(found.told)}." if found.told else ""
    return header("bertkit data check", found.task, level, f"{words}.{told}")


def _part(split: str, part: PartMeasures) -> str:
    """A split in numbers."""
    values = {
        "file": part.path,
        "encoding": part.encoding or "-",
        "rows": f"{part.rows:,}",
        "cannot be used": f"{part.left_out:,}",
        "repeat others": f"{part.duplicates.count:,}",
        "nearly": f"{part.near_duplicates.count:,}",
        "contradict others": f"{part.contradictions.count:,}",
    }
    for name, percentiles in (("characters", part.characters), ("tokens", part.tokens)):
        if percentiles:
            values[f"{name}, median"] = f"{percentiles['50']:,}"
            values[f"{name}, 99 %"] = f"{percentiles['99']:,}"
            values[f"{name}, longest"] = f"{percentiles['100']:,}"
    values |= {f"over {int(cut):,} tokens": f"{share:.1%}" for cut, share in part.cut.items()}
    values |= {f"{script or 'no'} script": f"{count:,}" for script, count in part.scripts.items()}
    return facts(values, split)


def _labels(audit: Audit) -> str:
    """Rows of each label in each split."""
    splits = [split for split, part in audit.parts.items() if part.labels]
    if not splits:
        return ""
    names = sorted(audit.train.labels, key=lambda label: -audit.train.labels[label])
    lines = [
        [escape(label), *(cell for split in splits for cell in _share(audit.parts[split], label))]
        for label in names
    ]
    heads = ["label", *(cell for split in splits for cell in (split, "share"))]
    made = table(heads, lines, numbers=range(1, len(heads)))
    return f"<section><h2>Labels</h2>{made}</section>"


def _share(part: PartMeasures, label: str) -> tuple[str, str]:
    count = part.labels.get(label, 0)
    return f"{count:,}", f"{count / max(1, sum(part.labels.values())):.1%}"


def _words(audit: Audit) -> str:
    """The words that tell each label."""
    if not audit.telling:
        return ""
    lines = [
        [
            escape(each.label),
            escape(each.word) + (" (second text)" if each.text else ""),
            f"{each.rows:,}",
            f"{each.precision:.1%}",
            f"{each.recall:.1%}",
            f"{each.score:.1f}",
        ]
        for each in audit.telling
    ]
    heads = ["label", "word", "rows with it", "of them the label", "of the label with it", "z"]
    remark = (
        "Of the rows of train. z is the log odds ratio over its standard error. A word that nearly all rows "
        "of a label have, and no other, may have been put there with it."
    )
    made = table(heads, lines, numbers=(2, 3, 4, 5), caption=remark)
    return f"<section><h2>Words that tell a label</h2>{made}</section>"


def _sort(audit: Audit, name: str, heading: str) -> str:
    """The first rows of a sort, in each split."""
    return _rows({split: getattr(part, name) for split, part in audit.parts.items()}, heading)


def _odd(audit: Audit, name: str, words: str) -> str:
    found = {split: part.odd[name] for split, part in audit.parts.items() if name in part.odd}
    return _rows(found, f"Texts with {words}")


def _rows(found: Mapping[str, Rows], heading: str) -> str:
    """Rows as a table, each beside the one that it is like; nothing where there are none."""
    lines: list[Sequence[str]] = []
    for split, rows in found.items():
        for row in rows.shown:
            text = escape(row.text)
            if row.other:
                alike = "" if row.resemblance == 1 else f", {row.resemblance:.0%} alike"
                text += f"<br><span class=quiet>{escape(row.other)}{alike}: {escape(row.other_text)}</span>"
            lines.append([f"{split} {row.line}", text])
    if not lines:
        return ""
    counts = ", ".join(f"{rows.count:,} of {split}" for split, rows in found.items() if rows.count)
    made = table(["line", "text"], lines, name="mistakes")
    return side(f"<section class=wide><h2>{escape(heading)}: {counts}</h2>{made}</section>")
