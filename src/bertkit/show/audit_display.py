"""What a person sees of an audit of rows: how they are, in a few lines, and what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bertkit.text.odd import ODDITIES

Measures = Mapping[str, Any]
Measured = tuple[str, str, str]
"""What was measured: its name, in words, and the checks that read it, separated by spaces."""
LABELS, WORDS = 5, 3
"""Labels that are named, and words of each."""

_ODD_CHECKS = " ".join(f"text_{each.name}" for each in ODDITIES)


def audit_lines(audit: Measures, *, alone: bool = False) -> Iterator[Measured]:
    """What there is to say of rows, a topic a line.

    Args:
        audit: the measures, as JSON has them.
        alone: whether nothing else tells of the rows, their labels and their lengths.
    """
    parts: Mapping[str, Measures] = audit["parts"]
    if alone:
        yield from _alone(parts)
    copies = "{duplicates[count]:,} repeat others"
    if audit["whole"]:
        copies += ", {near_duplicates[count]:,} nearly"
    copies += "; {contradictions[count]:,} contradict others"
    if audit["whole"]:
        copies += ", {near_contradictions[count]:,} nearly"
    checks = "duplicates near_duplicates contradictions near_contradictions"
    yield "copies", _by_part(parts, lambda part: copies.format_map(part)), checks
    learned, *scored = parts
    if scored:
        leaks = "{leaks[count]:,} of {rows:,} stand in " + learned
        leaks += ", {near_leaks[count]:,} nearly" if audit["whole"] else ""
        some = {split: parts[split] for split in scored}
        yield "leaks", _by_part(some, lambda part: leaks.format_map(part), always=True), "leaks near_leaks"
    if audit["whole"]:
        yield "odd texts", _by_part(parts, _odd_words), _ODD_CHECKS
        yield "scripts", _by_part(parts, _script_words), "other_scripts"
        if audit["telling"]:
            yield "words", _telling_words(audit), "label_in_text"


def _alone(parts: Mapping[str, Measures]) -> Iterator[Measured]:
    yield "rows", _by_part(parts, _row_words), "left_out read_otherwise"
    if any(part["labels"] for part in parts.values()):
        yield "labels", _by_part(parts, _label_words), "rare_label labels_differ"
    yield "characters", _by_part(parts, lambda part: _spread(part["characters"])), ""
    if all(part["tokens"] for part in parts.values()):
        yield "tokens", _by_part(parts, lambda part: _spread(part["tokens"])), ""
        yield "cut at", _by_part(parts, _cut_words), "truncated"


def _by_part(parts: Mapping[str, Measures], words: Any, *, always: bool = False) -> str:
    """What there is to say of each split, named where there are several."""
    if len(parts) == 1 and not always:
        return str(words(*parts.values()))
    return "\n".join(f"{split}: {words(part)}" for split, part in parts.items())


def _row_words(part: Measures) -> str:
    left_out = f"; {part['left_out']:,} more cannot be used" if part["left_out"] else ""
    encoding = f", {part['encoding']}" if part["encoding"] else ""
    return f"{part['rows']:,} of {part['path']}{encoding}{left_out}"


def _label_words(part: Measures) -> str:
    shares = sorted(part["labels"].items(), key=lambda item: -item[1])
    total = max(1, sum(part["labels"].values()))
    told = ", ".join(f"{label} {count / total:.1%}" for label, count in shares[:LABELS])
    return told + (f" and {len(shares) - LABELS} more" if len(shares) > LABELS else "")


def _spread(percentiles: Mapping[str, int]) -> str:
    return (
        f"median {percentiles['50']:,}, 90 % have at most {percentiles['90']:,}, 99 % {percentiles['99']:,}, "
        f"the longest {percentiles['100']:,}"
    )


def _cut_words(part: Measures) -> str:
    return ", ".join(f"{int(cut):,} tokens {share:.1%}" for cut, share in part["cut"].items())


def _odd_words(part: Measures) -> str:
    told = [
        f"{part['odd'][each.name]['count']:,} with {each.words}"
        for each in ODDITIES
        if each.name in part["odd"]
    ]
    told += [f"{part['long']['count']:,} far longer than the others"] * bool(part["long"]["count"])
    told += [f"{part['blank_pairs']['count']:,} without a second text"] * bool(part["blank_pairs"]["count"])
    return "; ".join(told) or "none"


def _script_words(part: Measures) -> str:
    told = [f"{script or 'none'} {count:,}" for script, count in part["scripts"].items()]
    mixed = f"; {part['mixed']['count']:,} rows mix several" if part["mixed"]["count"] else ""
    return ", ".join(told) + mixed


def _telling_words(audit: Measures) -> str:
    """The surest words of the labels whose words are surest."""
    by_label: dict[str, list[str]] = {}
    for each in audit["telling"]:
        where = " of the second text" if each["text"] else ""
        words = f"{each['word']}{where} ({each['precision']:.0%} of {each['rows']:,} rows)"
        by_label.setdefault(each["label"], []).append(words)
    lines = [f"{label}: {', '.join(words[:WORDS])}" for label, words in list(by_label.items())[:LABELS]]
    more = len(by_label) - len(lines)
    return "\n".join(lines) + (f"\nand {more} more labels" if more > 0 else "")
