"""What may be wrong with labelled rows, whatever model reads them: labels, copies, leaks, odd texts."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from bertkit.errors import listed
from bertkit.health.advice import grave, notable
from bertkit.health.audit import Audit, PartMeasures, Rows
from bertkit.health.preflight import Inspection, Preflight
from bertkit.runs.findings import Change, Finding
from bertkit.text.odd import Oddity

FEW_ROWS = 10
"""Of a label: fewer are a matter of few-shot learning, which fine-tuning all weights is not made for."""
SHARES_DIFFER, SURELY = 0.15, 15.1
"""Total variation between train's and dev's shares of labels, and chi-squared of one degree of freedom that
chance exceeds once in ten thousand times."""
LEAKS_NOTABLE, LEAKS_GRAVE = 0.02, 0.1
"""Shares of dev rows. Of CoLA 1.1 % are in train too: its authors' doing, and as much as a seed's noise."""
NEAR_LEAKS_NOTABLE, NEAR_LEAKS_GRAVE = 0.1, 0.5
"""Likewise: of CoLA 8.5 %, for its authors vary one sentence, often with another label."""
CONTRADICTIONS_NOTABLE, CONTRADICTIONS_GRAVE = 0.01, 0.1
NEAR_CONTRADICTIONS, OF_NEAR = 0.01, 0.2
"""Shares of the training rows, from which, and of their near copies, up to which: where more of these have
other labels, as of CoLA 45 % have, few words are what decides."""
DUPLICATES = 0.1
"""Share of the training rows: a judgement, not a measurement."""
ODD = 0.01
"""Share of rows, likewise."""
OTHER_SCRIPT = 0.05
"""Share of rows, likewise."""
PRECISION, RECALL, BEYOND = 0.98, 0.5, 0.3
"""Of a word: the share of its rows with a label, the share of the label's rows with it, and by how much the
first is more than without any text: judgements."""
ENOUGH = 100
"""Rows with the word from which it is told: of fewer a small vocabulary may do it."""
LINES_SHOWN = 5

Seen = Preflight | Inspection


def _of(record: Seen) -> Audit:
    """What was measured of the rows; nothing of a pretraining."""
    return record.audit or Audit(parts={})


def rare_label(record: Seen) -> Finding | None:
    """A label of which there are too few rows to learn it."""
    audit = _of(record)
    counts = audit.train.labels if audit.parts else {}
    rare = {label: count for label, count in counts.items() if 0 < count < FEW_ROWS}
    if not rare:
        return None
    shown = ", ".join(f"{label!r} {count}" for label, count in islice(rare.items(), 5))
    return notable(
        "certain",
        f"{len(rare)} of {len(counts)} labels have fewer than {FEW_ROWS} rows of train: {shown}.",
        "They will hardly be learnt, and their scores are chance.",
        Change(words="label more rows of them, or join labels"),
    )


def unseen_label(record: Seen) -> Finding | None:
    """A label that a split to score has, and no row of train."""
    audit = _of(record)
    counts = audit.train.labels if audit.parts else {}
    unseen = [label for label, count in counts.items() if not count]
    found = {
        split: sum(part.labels.get(label, 0) for label in unseen) for split, part in audit.scored.items()
    }
    told = ", ".join(f"{count:,} of {split}" for split, count in found.items() if count)
    if not told:
        return None
    return notable(
        "certain",
        f"Labels without a row in train: {listed(unseen)}. Rows that have them: {told}.",
        "They cannot be learned: these rows count as wrong, whatever the model says.",
        Change(words="add rows of these labels to train, or leave them out of the others"),
    )


def labels_differ(record: Seen) -> Finding | None:
    """Train and a split to score have other shares of labels, by more than chance."""
    audit = _of(record)
    for split, part in audit.scored.items():
        if part.labels and audit.train.labels and (found := _shares_differ(split, audit.train, part)):
            return found
    return None


def _shares_differ(split: str, train: PartMeasures, part: PartMeasures) -> Finding | None:
    counts, totals = (train.labels, part.labels), (sum(train.labels.values()), sum(part.labels.values()))
    if not all(totals):
        return None
    shares = {
        label: tuple(each.get(label, 0) / total for each, total in zip(counts, totals, strict=True))
        for label in train.labels
    }
    apart = sum(abs(learned - scored) for learned, scored in shares.values()) / 2
    label, (learned, scored) = max(shares.items(), key=lambda each: abs(each[1][0] - each[1][1]))
    p = sum(each.get(label, 0) for each in counts) / sum(totals)
    variance = p * (1 - p) * sum(1 / total for total in totals)
    if apart < SHARES_DIFFER or (learned - scored) ** 2 < SURELY * variance:
        return None
    return notable(
        "certain",
        f"{label!r} is {learned:.1%} of train and {scored:.1%} of {split}.",
        "The two were not drawn alike, so the model learns other odds than it is scored by.",
        Change(words=f"draw {split} at random from the same rows as train, or choose the threshold on dev"),
    )


def leaks(record: Seen) -> Finding | None:
    """Rows that are scored stand in train too."""
    found, told = _leaked(record, lambda part: part.leaks, "stand in train too")
    if found < LEAKS_NOTABLE:
        return None
    return (grave if found >= LEAKS_GRAVE else notable)(
        "certain",
        told,
        "The score on them is memory, so the score of all is too high for new text.",
        Change(words="remove them from train"),
    )


def near_leaks(record: Seen) -> Finding | None:
    """Rows that are scored stand in train but for a few words."""
    found, told = _leaked(record, lambda part: part.near_leaks, "are near copies of rows of train")
    if found < NEAR_LEAKS_NOTABLE:
        return None
    return (grave if found >= NEAR_LEAKS_GRAVE else notable)(
        "likely",
        told,
        "The score on them is partly memory, unless the few words that differ are what decides.",
        Change(words="set rows aside by what they have in common, such as their source, not one by one"),
    )


def _leaked(record: Seen, of: Callable[[PartMeasures], Rows], words: str) -> tuple[float, str]:
    """The greatest share of such rows in a split that is scored, and a sentence about it."""
    scored = {split: part for split, part in _of(record).scored.items() if part.rows}
    if not scored:
        return 0.0, ""
    split, part = max(scored.items(), key=lambda each: of(each[1]).count / each[1].rows)
    found = of(part)
    share = found.count / part.rows
    return (
        share,
        f"{found.count:,} of {part.rows:,} rows of {split} ({share:.1%}) {words}{_lines(found)}.",
    )


def contradictions(record: Seen) -> Finding | None:
    """The same texts stand in train with different labels."""
    found, share = _of_train(record, lambda part: part.contradictions)
    if not found.count or share < CONTRADICTIONS_NOTABLE:
        return None
    return (grave if share >= CONTRADICTIONS_GRAVE else notable)(
        "certain",
        f"{found.count:,} rows of train ({share:.1%}) have texts that also stand there with "
        f"another label{_lines(found)}.",
        "No model can learn both, and what decides is perhaps in a column that is not read.",
        Change(words="settle their labels, or name the second text with --pair"),
    )


def near_contradictions(record: Seen) -> Finding | None:
    """Near copies stand in train with different labels."""
    found, share = _of_train(record, lambda part: part.near_contradictions)
    if not found.count or share < NEAR_CONTRADICTIONS:
        return None
    if found.count > OF_NEAR * _of(record).train.near_duplicates.count:
        return None
    return notable(
        "possible",
        f"{found.count:,} rows of train ({share:.1%}) are near copies of an earlier row with another "
        f"label{_lines(found)}.",
        "Most near copies have the same label; unless the words that differ decide, one of the two is wrong.",
        Change(words="look at them, and settle their labels"),
    )


def duplicates(record: Seen) -> Finding | None:
    """Many rows of train are there more than once."""
    found, share = _of_train(record, lambda part: part.duplicates)
    if not found.count or share < DUPLICATES:
        return None
    rows = _of(record).train.rows
    return notable(
        "certain",
        f"{found.count:,} of {rows:,} rows of train ({share:.1%}) repeat an earlier one{_lines(found)}.",
        "There is less to learn from than it seems, and what is repeated weighs more.",
        Change(words="remove the copies"),
    )


def near_duplicates(record: Seen) -> Finding | None:
    """Many rows of train are there again but for a few words."""
    found, share = _of_train(record, lambda part: part.near_duplicates)
    if not found.count or share < DUPLICATES:
        return None
    rows = _of(record).train.rows
    return notable(
        "likely",
        f"{found.count:,} of {rows:,} rows of train ({share:.1%}) are near copies of an earlier "
        f"one{_lines(found)}.",
        "There is less to learn from than it seems, and a random split would put copies on both sides.",
        Change(words="keep one of each, or split by what they have in common"),
    )


def _of_train(record: Seen, of: Callable[[PartMeasures], Rows]) -> tuple[Rows, float]:
    """Some rows of train, and their share of all."""
    audit = _of(record)
    if not audit.parts or not audit.train.rows:
        return Rows(), 0.0
    found = of(audit.train)
    return found, found.count / audit.train.rows


def label_in_text(record: Seen) -> Finding | None:
    """A word is as good as the label."""
    audit = _of(record)
    if not audit.telling or not (total := sum(audit.train.labels.values())):
        return None
    found = [
        each
        for each in audit.telling
        if each.rows >= ENOUGH
        and each.precision >= PRECISION
        and each.recall >= RECALL
        and each.precision >= audit.train.labels[each.label] / total + BEYOND
    ]
    if not found:
        return None
    best = max(found, key=lambda each: each.precision * each.recall)
    labels = listed(sorted({each.label for each in found}))
    return notable(
        "likely",
        f"{best.rows:,} rows of train have the word {best.word!r}: {best.precision:.1%} of them are "
        f"{best.label!r}, and {best.recall:.0%} of all that are; such words tell {labels}.",
        "If the word was put there with the label, as a header or a template, the model reads the label, and "
        "fails on text without it.",
        Change(words="take it out of the texts, or make sure that new text has it too"),
    )


def odd_text(oddity: Oddity) -> Callable[[Seen], Finding | None]:
    """The check that finds many rows with something odd in their texts."""

    def check(record: Seen) -> Finding | None:
        parts = {split: part for split, part in _of(record).parts.items() if oddity.name in part.odd}
        if not parts:
            return None
        split, part = max(parts.items(), key=lambda each: each[1].odd[oddity.name].count / each[1].rows)
        found = part.odd[oddity.name]
        if found.count < ODD * part.rows:
            return None
        return notable(
            "likely",
            f"{found.count:,} of {part.rows:,} rows of {split} ({found.count / part.rows:.1%}) have "
            f"{oddity.words}{_lines(found)}.",
            oddity.means,
            Change(words=oddity.way),
        )

    return check


def other_scripts(record: Seen) -> Finding | None:
    """Many rows of train are in another script than most."""
    audit = _of(record)
    scripts = {name: count for name, count in audit.train.scripts.items() if name} if audit.parts else {}
    if not scripts:
        return None
    usual, *others = sorted(scripts, key=lambda name: -scripts[name])
    share = sum(scripts[name] for name in others) / sum(scripts.values())
    if share < OTHER_SCRIPT:
        return None
    told = ", ".join(f"{name} {scripts[name]:,}" for name in others[:LINES_SHOWN])
    return notable(
        "possible",
        f"Most rows of train are in {usual}, and {share:.1%} in other scripts: {told}.",
        "A model and a vocabulary of one language read the others letter by letter, or not at all.",
        Change(words="take a multilingual model, or split the rows by language"),
    )


def left_out(record: Seen) -> Finding | None:
    """Rows cannot be used; in a run they are left out because somebody said so."""
    if isinstance(record, Preflight):
        return None
    parts = [part for part in _of(record).parts.values() if part.left_out]
    if not parts:
        return None
    return notable(
        "certain",
        " ".join(part.left_out_told for part in parts),
        "Nothing is trained on such a file unless they are mended or left out.",
        Change(words="mend them, or leave them out with --skip-bad"),
    )


def read_otherwise(record: Seen) -> Finding | None:
    """Rows are not as they should be and are read as something else; a run says so itself."""
    if isinstance(record, Preflight):
        return None
    parts = _of(record).parts.values()
    told = "; ".join(dict.fromkeys(note for part in parts for note in part.notes))
    if not told:
        return None
    if not told.startswith(tuple(part.path for part in parts)):  # The name of a file stays as it is.
        told = told[:1].upper() + told[1:]
    return notable(
        "possible",
        f"{told}.",
        "What is read so may not be what was meant.",
        Change(words="mend the rows, unless they are read as they were meant"),
    )


def _lines(found: Rows) -> str:
    lines = [str(row.line) for row in found.shown[:LINES_SHOWN]]
    return f" (lines {', '.join(lines)}{' ...' * (found.count > len(lines))})" if lines else ""
