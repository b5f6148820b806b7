"""What is measured of rows without a model, on small files worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from bertkit.data.tables import bad_row
from bertkit.health.audit import PartMeasures, Rows, Shown
from bertkit.health.auditing import inspect_rows, measure_audit
from bertkit.tasks.choose import CHOOSE
from bertkit.tasks.classify import CLASSIFY
from bertkit.tasks.examples import Examples, Targets
from bertkit.tasks.regress import REGRESS
from bertkit.text.near import shingles
from bertkit.text.tokenizer import SPECIALS, Tokenizer

LONG = "the committee met on tuesday to discuss the new budget for the northern schools"


def examples(
    texts: list[str], labels: list[int] | list[float] | None, name: str = "train.csv", **more: object
) -> Examples:
    targets = None if labels is None else Targets.single(np.array(labels))
    return Examples(texts, None, targets, list(range(2, len(texts) + 2)), Path(name), **more)  # type: ignore[arg-type]


def lines(rows: Rows) -> list[int]:
    return [row.line for row in rows.shown]


def test_copies_contradictions_and_leaks_are_told_with_what_they_are_like() -> None:
    train = examples([LONG, f"  {LONG}", "short one", f"{LONG} today", "other words here"], [0, 1, 0, 1, 0])
    dev = examples(["short  one", f"{LONG} tomorrow", "new words"], [0, 1, 0], "dev.csv")
    audit = measure_audit({"train": train, "dev": dev}, CLASSIFY, ("no", "yes"), whole=True)
    part = audit.train
    assert part.labels == {"no": 3, "yes": 2}
    assert part.duplicates == Rows(1, [Shown(3, LONG, "train, line 2", LONG)])
    assert part.contradictions.count == 2
    assert part.contradictions.shown == [Shown(2, LONG), Shown(3, LONG, "train, line 2", LONG)]
    (near,) = part.near_duplicates.shown
    assert (near.line, near.text, near.other) == (5, f"{LONG} today", "train, line 2")
    assert near.resemblance == len(shingles(LONG)) / len(shingles(f"{LONG} today"))
    # The first of its texts says no.
    assert lines(part.near_contradictions) == [5]
    scored = audit.scored["dev"]
    assert scored.leaks == Rows(1, [Shown(2, "short one", "train, line 4", "short one")])
    assert (lines(scored.near_leaks), scored.near_leaks.shown[0].other) == ([3], "train, line 5")
    assert (scored.near_duplicates, scored.near_contradictions) == (Rows(), Rows())


def test_quickly_what_takes_longer_is_left_out() -> None:
    rows = examples([LONG, f"{LONG} today", "<b>odd</b>"], [0, 1, 0])
    audit = measure_audit({"train": rows}, CLASSIFY, ("no", "yes"), whole=False)
    assert (audit.train.near_duplicates, audit.train.odd, audit.telling) == (Rows(), {}, [])
    assert (audit.whole, audit.train.duplicates) == (False, Rows())


def test_odd_texts_are_told_from_where_they_are_odd() -> None:
    texts = ["x" * 200 + " <b>bold</b>", "ok", "one\x00two", "grüße по-русски слово", "y" * 2_000]
    part = measure_audit({"train": examples(texts, None)}, CLASSIFY, (), whole=True).train
    assert {name: lines(rows) for name, rows in part.odd.items()} == {"control": [4], "html": [2]}
    assert part.odd["html"].shown[0].text == f"...{'x' * 39} <b>bold</b>"
    assert part.odd["control"].shown[0].text == "one\ufffdtwo"
    assert part.scripts == {"Latin": 4, "Cyrillic": 1}
    assert (lines(part.mixed), lines(part.long)) == ([5], [6])
    assert part.characters == {"50": 21, "90": 2_000, "99": 2_000, "100": 2_000}
    assert (part.labels, part.contradictions) == ({}, Rows())


def test_odd_second_texts_and_blank_ones() -> None:
    rows = Examples(["a text"] * 2, ["<br>", " "], None, [1, 2], Path("x.csv"))
    part = measure_audit({"train": rows}, CLASSIFY, (), whole=True).train
    assert part.odd["html"].shown == [Shown(1, "a text | <br>")]
    assert lines(part.blank_pairs) == [2]


def test_texts_to_choose_from_are_texts_of_the_row() -> None:
    more = {"choices": [["one", "<b>two</b>"], ["one", "three"]]}
    rows = Examples(["a text", "a text"], None, None, [1, 2], Path("x.csv"), more=more, read=("choices",))
    part = measure_audit({"train": rows}, CHOOSE, (), whole=True).train
    assert (part.characters["100"], lines(part.odd["html"]), part.duplicates) == (19, [1], Rows())


def test_lengths_in_tokens_and_what_a_limit_would_cut() -> None:
    tokenizer = Tokenizer.from_vocabulary([*SPECIALS, "a", "b"])
    rows = examples(["a " * count for count in (1, 2, 3, 98)] + ["c"], None)
    seen = inspect_rows({"train": rows}, CLASSIFY, (), tokenizer=tokenizer, max_length=5)
    part = seen.audit.train
    # With [CLS] and [SEP].
    assert part.tokens == {"50": 4, "90": 100, "99": 100, "100": 100}
    assert part.cut == {"5": 0.2, "64": 0.2, "128": 0.0, "256": 0.0, "512": 0.0}
    assert seen.tokens is not None
    assert (seen.tokens.unknown_words, seen.tokens.truncated) == (["c"], 0.2)
    assert seen.asked is not None
    assert seen.asked.max_length == 5


def test_numbers_have_no_labels() -> None:
    rows = examples(["one text", "one text", "two texts"], [1.0, 2.0, 1.0])
    audit = measure_audit({"train": rows}, REGRESS, ("score",), whole=True)
    assert (audit.train.labels, audit.telling) == ({}, [])
    assert (audit.train.contradictions.count, audit.train.duplicates.count) == (2, 1)


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b"text\nplain\n", "UTF-8"),
        (b"\xef\xbb\xbftext\n", "UTF-8 with a byte-order mark"),
        ("text\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_the_encoding_of_the_file_is_told(content: bytes, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    left_out = [bad_row(path, 3, "the text is empty; fill it in.")]
    part = measure_audit(
        {"train": examples(["text"], None, str(path), left_out=left_out)}, CLASSIFY, (), whole=False
    ).train
    assert isinstance(part, PartMeasures)
    assert (part.encoding, part.left_out) == (encoding, 1)
    assert part.left_out_told == f"{path}: 1 of 2 rows are left out: the text is empty (1: line 3)."
